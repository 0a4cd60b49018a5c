import {connect as connectTcp, isIP, type Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import type {Endpoint} from './endpoint.js'
import {systemWords} from './errors.js'
import type {NativeAddon} from './native.js'
import type {TlsCredentials} from './tls-credentials.js'

/** Octets given to the socket that the system has not taken yet; more have to wait. */
const HIGH_WATER = 1 << 20
/** Most octets that a peer's system may hold for a peer that has not read them. */
const MOST_UNREAD_OCTETS = 1 << 23
/** What has been acknowledged for so long has been read, and stored, by any peer that is not stuck. */
const READ_AFTER_MS = 1000
/** A window may be wrong by what the peer's system holds back to avoid small steps. */
const WINDOW_SLACK = 1 << 16
/** After so long without anything new, a peer with an open window has read all. */
const CALM_MS = 10_000
/** How long a server has to refuse our certificate: TLS 1.3 lets us believe that all is well before it does. */
const REFUSAL_MS = 3000
const SETTLE_MS = 300

/** How a connection ended. */
export interface StreamEnd {
  /**
   * `closed`: the peer's system ended it in order, as it also does for a program that was killed; `broken`: it, or the path,
   * went away.
   */
  readonly kind: 'closed' | 'broken'
  readonly reason: string
}

/** An open connection to which octets are written. */
export interface StreamConnection {
  /** Where the peer is, for people. */
  readonly peer: string
  /** Octets written so far. */
  readonly written: number
  /** Resolves when there is room for more; at once when the connection has ended. */
  write(octets: Uint8Array): Promise<void>
  /** Octets of which nothing needs to be sent again should the connection break now. */
  delivered(): number
  /** Octets that the peer's system has; whether the peer has read them is another matter. */
  acknowledged(): number
  /** When the peer last took octets, by `performance.now()`, or had nothing to take. */
  readonly progressAt: number
  /** Resolves when the connection has ended, whoever ended it. */
  readonly ended: Promise<StreamEnd>
  /**
   * Says that nothing follows and waits until the peer has read all and closed too, `lingerMs` at most.
   *
   * @returns whether it did
   */
  end(lingerMs: number): Promise<boolean>
  /** Ends it at once. What the peer's system has not acknowledged is not delivered later, where TCP can be told so. */
  destroy(): void
}

export interface ConnectOptions {
  /** Needed for `tls://`. */
  readonly credentials?: TlsCredentials
  /** Milliseconds until a peer that does not answer counts as not there. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly addon?: Pick<NativeAddon, 'streamState'>
}

/**
 * Connects to the endpoint, to write to it only. With TLS it resolves only when the peer's certificate was checked and the
 * peer had time to refuse ours: nothing is written before. RFC 7011 section 11.3.
 *
 * @throws an error whose message says why it cannot be connected to
 */
export async function connectStream(
  endpoint: Endpoint,
  options: ConnectOptions,
): Promise<StreamConnection> {
  const socket = await openForWriting(endpoint, options)
  return new OpenConnection(socket, endpoint.transport, options.addon)
}

/** The socket of such a connection. */
export async function openForWriting(
  endpoint: Endpoint,
  options: Omit<ConnectOptions, 'addon'>,
): Promise<Socket> {
  const socket = await openSocket(endpoint, options)
  if (endpoint.transport === 'tls') {
    try {
      await accepted(socket as TLSSocket)
    } catch (error) {
      socket.destroy()
      throw error
    }
  }
  return socket
}

/**
 * Connects to the endpoint, for both directions. With TLS the peer's certificate was checked when it resolves.
 *
 * @throws an error whose message says why it cannot be connected to
 */
export async function openSocket(
  endpoint: Endpoint,
  options: Omit<ConnectOptions, 'addon'>,
): Promise<Socket> {
  if (endpoint.transport === 'udp') throw new TypeError('UDP has no connections')
  const {signal, timeoutMs} = options
  const socket =
    endpoint.transport === 'unix'
      ? connectTcp({path: endpoint.path})
      : endpoint.transport === 'tcp'
        ? connectTcp({host: endpoint.host, port: endpoint.port, noDelay: true, keepAlive: true})
        : await connectTls(endpoint.host, endpoint.port, options.credentials)
  try {
    await ready(
      socket,
      endpoint.transport === 'tls' ? 'secureConnect' : 'connect',
      timeoutMs,
      signal,
    )
  } catch (error) {
    socket.destroy()
    throw error
  }
  return socket
}

async function connectTls(
  host: string,
  port: number,
  credentials: TlsCredentials | undefined,
): Promise<Socket> {
  if (credentials === undefined) throw new TypeError('TLS needs credentials')
  const [{connect}, {nameFault, tlsOptions}] = await Promise.all([
    import('node:tls'),
    import('./tls-credentials.js'),
  ])
  const names = credentials.peers.length > 0 ? credentials.peers : [host]
  return connect({
    ...tlsOptions(credentials),
    host,
    port,
    // RFC 6066: addresses are no server names.
    ...(isIP(host) === 0 && {servername: host}),
    checkServerIdentity: (_host, certificate) => {
      const fault = nameFault(certificate, names)
      return fault === undefined ? undefined : new Error(fault)
    },
  })
}

/** Waits for `event`; what ends the socket before is the error. */
async function ready(
  socket: Socket,
  event: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  let finish = (_error?: Error): void => {}
  const outcome = new Promise<Error | undefined>((resolve) => (finish = resolve))
  const timer = setTimeout(() => finish(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs)
  const done = (): void => finish()
  const abort = (): void => finish(new Error('stopped'))
  const close = (): void => finish(new Error('the peer closed the connection'))
  socket.on(event, done).on('close', close)
  // Stays: an error that nobody listens to would end the process.
  socket.on('error', (error) => finish(new Error(connectWords(error))))
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  const error = await outcome
  clearTimeout(timer)
  socket.off(event, done).off('close', close)
  signal.removeEventListener('abort', abort)
  if (error !== undefined) throw error
}

const tlsWords: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is from an unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is from an unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is its own only',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not yet valid',
}

function connectWords(error: Error): string {
  const {code, reason} = error as NodeJS.ErrnoException & {reason?: string}
  if (code !== undefined && Object.hasOwn(tlsWords, code)) return tlsWords[code]
  if (code?.startsWith('ERR_SSL')) return `TLS: ${reason ?? code}`
  // All addresses of a name were tried.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return connectWords(error.errors[0] as Error)
  }
  return systemWords(error)
}

/** Waits for what shows that the server has accepted our certificate, and then a moment for it to change its mind. */
async function accepted(socket: TLSSocket): Promise<void> {
  let finish = (_error?: Error): void => {}
  const outcome = new Promise<Error | undefined>((resolve) => (finish = resolve))
  let timer = setTimeout(finish, REFUSAL_MS)
  const ticket = (): void => {
    clearTimeout(timer)
    timer = setTimeout(finish, SETTLE_MS)
  }
  const fail = (error: Error): void => finish(new Error(`it refused us: ${connectWords(error)}`))
  const close = (): void => finish(new Error('it refused us: closed after the handshake'))
  socket.on('session', ticket).on('error', fail).on('end', close).on('close', close)
  // Its tickets and alerts come with the data that it never sends.
  socket.resume()
  const error = await outcome
  clearTimeout(timer)
  socket.off('session', ticket).off('error', fail).off('end', close).off('close', close)
  if (error !== undefined) throw error
  if (!socket.authorized) throw new Error('its certificate was not verified')
}

class OpenConnection implements StreamConnection {
  readonly peer: string
  written = 0
  progressAt = performance.now()
  readonly ended: Promise<StreamEnd>
  readonly #socket: Socket
  readonly #unix: boolean
  readonly #tcp: boolean
  readonly #addon: Pick<NativeAddon, 'streamState'> | undefined
  /** Octets that the system has taken, and that the peer's has acknowledged. */
  #taken = 0
  #acknowledged = 0
  /** [when, acknowledged by then], oldest first. */
  #samples: [number, number][] = []
  #acknowledgedAt = performance.now()
  #widest = 0
  #window = 0
  #end: StreamEnd | undefined
  #endedAt: number | undefined
  /** The system tells what is acknowledged. */
  #known = true
  #room: (() => void) | undefined

  constructor(
    socket: Socket,
    transport: Endpoint['transport'],
    addon: Pick<NativeAddon, 'streamState'> | undefined,
  ) {
    this.#socket = socket
    this.#unix = transport === 'unix'
    this.#tcp = transport === 'tcp'
    this.#addon = addon
    const {remoteAddress, remotePort} = socket
    this.peer = remoteAddress === undefined ? 'unix' : `${remoteAddress} port ${remotePort ?? 0}`
    this.ended = new Promise((resolve) => {
      const finish = (kind: StreamEnd['kind'], reason: string): void => {
        if (this.#end !== undefined) return
        // Nothing is acknowledged any more; what was is known only while the socket is open. A Unix socket's peer takes with it
        // what it has not read.
        if (!this.#unix) this.#sample()
        this.#end = {kind, reason}
        this.#endedAt = performance.now()
        socket.destroy()
        this.#room?.()
        resolve(this.#end)
      }
      socket.on('end', () => finish('closed', 'the peer closed the connection'))
      socket.on('error', (error) => finish('broken', connectWords(error)))
      socket.on('close', () => finish('broken', 'the connection was closed'))
    })
    // A Collector sends nothing; what it sends all the same is not kept.
    socket.resume()
  }

  async write(octets: Uint8Array): Promise<void> {
    if (this.#end !== undefined) return
    this.written += octets.length
    this.#socket.write(octets, (error) => {
      if (error) return
      this.#taken += octets.length
      if (!this.#known) this.progressAt = performance.now()
      this.#sample()
      this.#room?.()
    })
    while (this.#end === undefined && this.written - this.#taken > HIGH_WATER) {
      await new Promise<void>((resolve) => (this.#room = resolve))
      this.#room = undefined
    }
  }

  /** The connection's descriptor is not part of Node's interface; without it nothing is known to be acknowledged. */
  #state(): [outstanding: number, window: number] | undefined {
    const {fd} = (this.#socket as unknown as {_handle?: {fd?: number} | null})._handle ?? {}
    return typeof fd === 'number' && fd >= 0 ? this.#addon?.streamState(fd) : undefined
  }

  #sample(): void {
    if (this.#end !== undefined) return
    const state = this.#state()
    this.#known = state !== undefined
    // Without TLS these are our octets; with it they are more, so that fewer count as acknowledged.
    const acknowledged =
      state === undefined ? this.#taken - MOST_UNREAD_OCTETS : this.#taken - state[0]
    if (state !== undefined) {
      this.#window = state[1]
      this.#widest = Math.max(this.#widest, state[1])
    }
    if (this.#unix) {
      // What a peer that has just died had not read looks as if it had: news of its death comes before the immediate.
      setImmediate(() => {
        if (this.#end === undefined) this.#enter(acknowledged)
      })
    } else {
      this.#enter(acknowledged)
    }
  }

  #enter(acknowledged: number): void {
    const now = performance.now()
    if (acknowledged > this.#acknowledged || this.written === acknowledged) this.progressAt = now
    if (acknowledged > this.#acknowledged) {
      this.#acknowledged = acknowledged
      this.#acknowledgedAt = now
    }
    const last = this.#samples.at(-1)
    if (last === undefined || now - last[0] >= READ_AFTER_MS / 8) {
      this.#samples.push([now, this.#acknowledged])
      while (this.#samples.length > 1 && this.#samples[1][0] <= now - READ_AFTER_MS) {
        this.#samples.shift()
      }
    }
  }

  acknowledged(): number {
    this.#sample()
    return Math.max(0, this.#acknowledged)
  }

  delivered(): number {
    this.#sample()
    // What is seen after the end proves nothing.
    const now = this.#endedAt ?? performance.now()
    let old = 0
    for (const [when, acknowledged] of this.#samples) {
      if (when <= now - READ_AFTER_MS) old = acknowledged
    }
    // What a Unix socket does not hold any more was read; whether it was stored is still a matter of time.
    if (this.#unix) return Math.max(0, old)
    const narrowed = Math.max(this.#widest - this.#window, 0)
    if (narrowed <= WINDOW_SLACK && now - this.#acknowledgedAt > CALM_MS) return this.#acknowledged
    const unread = narrowed + WINDOW_SLACK
    const known = this.#acknowledged - Math.min(unread, MOST_UNREAD_OCTETS)
    return Math.max(0, Math.min(old, known))
  }

  async end(lingerMs: number): Promise<boolean> {
    if (this.#end !== undefined) return false
    const socket = this.#socket
    let since = performance.now()
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        this.#sample()
        // A peer that is slow but takes something is waited for.
        since = Math.max(since, this.#acknowledgedAt)
        if (performance.now() - since >= lingerMs) resolve()
      }, 50)
      void this.ended.then(() => {
        clearInterval(timer)
        resolve()
      })
      socket.end()
    })
    const end = this.#end as StreamEnd | undefined
    this.#sample()
    // The octet that a FIN counts as may still be outstanding.
    const all = this.#acknowledged >= this.written - 1 || !this.#known
    socket.destroy()
    return end?.kind !== 'broken' && all
  }

  destroy(): void {
    this.#sample()
    if (this.#tcp) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }
}
