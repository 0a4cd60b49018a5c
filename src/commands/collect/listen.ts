import {lookup} from 'node:dns/promises'
import {readFileSync} from 'node:fs'
import {isIP} from 'node:net'
import type {DartaCommand} from '../../cli/base-command.js'
import type {Endpoint} from '../../io/endpoint.js'
import {loadNative} from '../../io/native.js'
import type {HandedSocket} from '../../io/listen-fds.js'
import {
  listenForStreams,
  type Connection,
  type ConnectionHandlers,
  type StreamListener,
} from '../../io/stream-listener.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import {
  openUdpReceiver,
  type DatagramBlock,
  type UdpAddress,
  type UdpReceiver,
} from '../../io/udp-receiver.js'
import type {IpfixEncoder} from '../../ipfix/encoder.js'
import type {CollectingProcess} from '../../ipfix/session.js'
import type {Collector, NamedProtocol} from '../../mediation/collector.js'
import {createIpfixStream, type IpfixStream} from '../../mediation/ipfix-stream.js'
import type {Losses} from '../../mediation/loss-records.js'
import type {Relay} from '../../mediation/relay.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {Ledger} from '../../record/ledger.js'
import {createDatagramIntake} from './datagram-intake.js'

/** A socket that was bound for us, as an endpoint. */
export interface HandedEndpoint {
  readonly endpoint: Endpoint
  readonly descriptor: number
}

/** Over TCP, FileDescriptorName=tls says that TLS is spoken. */
export function handedEndpoint({descriptor, name: called, kind}: HandedSocket): HandedEndpoint {
  const name = `descriptor ${descriptor} (${called})`
  const endpoint: Endpoint =
    kind === 'unix'
      ? {transport: kind, path: '', name}
      : {transport: kind === 'tcp' && called === 'tls' ? 'tls' : kind, host: '', port: 0, name}
  return {endpoint, descriptor}
}

export interface Listening {
  readonly endpoints: readonly Endpoint[]
  /** Sockets that a service manager has bound. */
  readonly handed: readonly HandedEndpoint[]
  readonly collector: Collector
  readonly streams: () => CollectingProcess
  readonly ledger: Ledger
  readonly credentials: TlsCredentials | undefined
  /** Of each UDP socket's kernel buffer. */
  readonly bufferOctets: number
  readonly ignorePorts: boolean
  readonly decodeAs: ReadonlyMap<number, NamedProtocol>
  /** Takes in what sessions that are over have told. */
  readonly gone: Losses[]
  /** Connections at once. */
  readonly maxConnections: number
  allows(address: Uint8Array): boolean
  /** Passes on what needs no look, where that can be. */
  readonly relay: Relay | undefined
  /** The encoder that all that came between these times (milliseconds since 1970) goes to, if it is one for `relay`. */
  relayEncoder(fromMs: number, toMs: number): IpfixEncoder | undefined
}

/** What listens, and what has come. */
export interface Listeners {
  /** Records of all that comes until the command is stopped; then what the kernel and the peers still hold. */
  readonly records: RecordStream
  /** Sessions over streams that are open. */
  streamReports(): Iterable<{readonly connection: Connection; readonly stream: IpfixStream}>
  /** What sockets took and the kernel dropped. */
  socketCounters(): ReturnType<UdpReceiver['counters']>
  close(): void
}

/** Blocks of datagrams that are looked at in one turn. */
const MAX_BLOCKS = 16
/** Octets of one connection that wait here before its peer has to. */
const MAX_WAITING_OCTETS = 1 << 20
/** A peer that sends so many damaged Messages in a row is not listened to any longer. RFC 7011 section 9.1. */
const MAX_DAMAGED_IN_ROW = 100
/** Connections that were silent for twice so long have nothing on its way. */
const QUIET_MS = 125
/** How long connections may go on when the command is stopped. */
const DRAIN_MS = 2000
/** Sessions that are over and not reported yet. */
export const MAX_GONE = 65536
/** A line about refused peers at most so often. */
const LOG_MS = 1000

interface Waiting {
  readonly connection: Connection
  /** Undefined: it was closed. */
  readonly octets: Uint8Array | undefined
}

/**
 * Binds all endpoints, and says where.
 *
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function listen(command: DartaCommand, options: Listening): Promise<Listeners> {
  const {handed, collector, ledger, decodeAs, ignorePorts} = options
  const endpoints = [...options.endpoints, ...handed.map(({endpoint}) => endpoint)]
  const descriptorOf = (endpoint: Endpoint): number | undefined =>
    handed.find((one) => one.endpoint === endpoint)?.descriptor
  const datagrams = endpoints.some(({transport}) => transport === 'udp')
  const account = (datagrams ? ledger : new Ledger()).stage('sockets', 'packets')
  const streaming = endpoints.some(({transport}) => transport !== 'udp')
  const connections = (streaming ? ledger : new Ledger()).stage('connections', 'messages')
  let wakeUp: (() => void) | undefined
  let woken = false
  const wake = (): void => {
    woken = true
    wakeUp?.()
  }
  const waiting: Waiting[] = []
  const waitingOctets = new Map<Connection, number>()
  const open = new Map<Connection, IpfixStream>()
  let lastLine = -LOG_MS
  let unsaid = 0
  const log = (text: string): void => {
    const now = performance.now()
    if (now - lastLine < LOG_MS) {
      unsaid++
      return
    }
    lastLine = now
    command.note(unsaid > 0 ? `${text} (and ${unsaid} lines like it)` : text)
    unsaid = 0
  }

  const listeners: StreamListener[] = []
  let receiver: UdpReceiver | undefined
  const udpPorts: number[] = []
  const intake = createDatagramIntake({
    collector,
    relay: options.relay,
    ignorePorts,
    decodeAs,
    ports: udpPorts,
  })
  try {
    const udp: UdpAddress[] = []
    for (const endpoint of endpoints) {
      const descriptor = descriptorOf(endpoint)
      if (endpoint.transport === 'udp' && descriptor !== undefined) {
        udp.push({address: '0.0.0.0', port: 0, name: endpoint.name, descriptor})
      } else if (endpoint.transport === 'udp') udp.push(...(await udpAddresses(endpoint)))
      else listeners.push(await openStreams(endpoint))
    }
    if (udp.length > 0) {
      receiver = await openUdpReceiver(udp, options.bufferOctets, loadNative(), wake)
      udpPorts.push(...receiver.counters().map(({port}) => port))
      for (const [i, {name, address}] of udp.entries()) {
        const {bufferOctets} = receiver.counters()[i]
        command.detail(`kernel buffer of ${bufferOctets} octets`)
        command.note(`listening on ${spoken(address, udpPorts[i], name)}`)
      }
    }
    for (const {name} of listeners) command.note(`listening on ${name}`)
  } catch (error) {
    close()
    throw error
  }

  async function openStreams(endpoint: Endpoint): Promise<StreamListener> {
    const handlers: ConnectionHandlers = {
      accepts(address, name) {
        connections.in++
        if (address !== undefined && !options.allows(address)) {
          connections.skip('not-allowed')
          log(`${name} may not send and was sent away`)
          return false
        }
        if (open.size >= options.maxConnections) {
          connections.lose('too-many')
          log(`${name} was sent away: ${open.size} connections are open`)
          return false
        }
        connections.out++
        return true
      },
      opened(connection) {
        const {name, address, port} = connection
        open.set(connection, createIpfixStream(options.streams(), {name, address, port}))
        command.detail(`${name} connected`)
      },
      data(connection, octets) {
        waiting.push({connection, octets})
        const sum = (waitingOctets.get(connection) ?? 0) + octets.length
        waitingOctets.set(connection, sum)
        if (sum > MAX_WAITING_OCTETS) connection.pause()
        wake()
      },
      closed(connection, fault) {
        waiting.push({connection, octets: undefined})
        if (fault === undefined) command.detail(`${connection.name} closed its connection`)
        else {
          connections.note('reset')
          log(`the connection of ${connection.name} broke: ${fault}`)
        }
        wake()
      },
      refused(name, why) {
        connections.in++
        connections.lose('refused')
        log(`${name || 'a peer'} was refused: ${why}`)
      },
    }
    return listenForStreams(endpoint, options.credentials, handlers, descriptorOf(endpoint))
  }

  /**
   * Takes what sockets have received, so much of it at once that others have their turn. Where all that is known passes, records
   * that went the long way go where that goes; else the blocks come to `blocks`.
   */
  function takeReceived(from: UdpReceiver, blocks: DatagramBlock[]): boolean {
    const {relay} = options
    const {handle} = from
    for (let passed = 0; handle !== undefined && relay !== undefined; passed++) {
      const {ended, fromMs, toMs} = from.next()
      if (fromMs === undefined || toMs === undefined) return ended
      if (passed === MAX_BLOCKS) {
        wake()
        return false
      }
      const encoder = options.relayEncoder(fromMs, toMs)
      relay.use(encoder)
      if (encoder === undefined) break
      for (;;) {
        const {count, octets, left} = relay.received(handle)
        intake.passed(count, octets)
        if (left === undefined) break
        intake.take(left, [], true)
      }
    }
    const taken = from.take()
    blocks.push(...taken.blocks)
    return taken.ended
  }

  function finish(exporter: Connection, stream: IpfixStream, out: RecordBatch[]): void {
    if (options.gone.length < MAX_GONE) {
      options.gone.push({exporter, protocol: 'ipfix', losses: [...stream.losses()]})
    }
    stream.end(out)
  }

  function takeOctets(out: RecordBatch[]): void {
    if (waiting.length === 0) return
    const now = Date.now()
    const encoder = options.relayEncoder(now, now)
    options.relay?.use(encoder)
    const relay = encoder && options.relay
    for (const {connection, octets} of waiting.splice(0)) {
      const stream = open.get(connection)
      if (stream === undefined) continue
      if (octets === undefined) {
        finish(connection, stream, out)
        open.delete(connection)
        waitingOctets.delete(connection)
        continue
      }
      const sum = waitingOctets.get(connection)! - octets.length
      waitingOctets.set(connection, sum)
      if (sum <= MAX_WAITING_OCTETS && sum + octets.length > MAX_WAITING_OCTETS) connection.resume()
      stream.push(octets, now, out, relay)
      if (stream.damagedInRow >= MAX_DAMAGED_IN_ROW) {
        connections.note('stopped-for-damage')
        log(`${connection.name} was sent away: ${stream.damagedInRow} damaged Messages in a row`)
        connection.close()
      }
    }
  }

  /** Octets that connections have brought. */
  let streamOctets = 0

  async function* records(): RecordStream {
    let udpEnded = receiver === undefined
    let drained = false
    const stop = (): void => {
      receiver?.stop()
      // Who has connected already is in the kernel's queue: the next turn of the loop takes them in.
      afterTurn(() => {
        for (const listener of listeners) listener.stop()
        if (open.size === 0) drained = true
        else watchQuiet()
        wake()
      })
      // Who goes on sending is not waited for.
      setTimeout(() => {
        drained = true
        for (const connection of open.keys()) connection.close()
        wake()
      }, DRAIN_MS).unref()
    }
    /** When nothing comes any more, all that was on its way is here. */
    const watchQuiet = (): void => {
      let before = streamOctets
      let quiet = 0
      const timer = setInterval(() => {
        // A timer that is late comes before the octets that came meanwhile are read.
        afterTurn(() => {
          quiet = streamOctets === before ? quiet + 1 : 0
          before = streamOctets
          if (quiet < 2 && open.size > 0) return
          clearInterval(timer)
          drained = true
          wake()
        })
      }, QUIET_MS)
    }
    if (command.stopping.aborted) stop()
    else command.onStop(stop)
    while (!udpEnded || !drained || waiting.length > 0) {
      if (!woken) {
        await new Promise<void>((resolve) => {
          wakeUp = resolve
          if (woken) resolve()
        })
      }
      woken = false
      const before = intake.octets + streamOctets
      const blocks: DatagramBlock[] = []
      if (receiver !== undefined) udpEnded = takeReceived(receiver, blocks)
      // One at a time: as text, and for a slow reader, all that waited would be a lot.
      for (const block of blocks) {
        const records: RecordBatch[] = []
        intake.take(block, records, false)
        if (records.length > 0) yield records
      }
      const out: RecordBatch[] = []
      for (const {octets} of waiting) streamOctets += octets?.length ?? 0
      takeOctets(out)
      if (listeners.length === 0 && command.stopping.aborted) drained = true
      // Also for what was passed on: whoever writes has to look.
      if (out.length > 0 || intake.octets + streamOctets > before) yield out
      if (command.signal.aborted) return
    }
    const out: RecordBatch[] = []
    for (const [connection, stream] of open) {
      finish(connection, stream, out)
      connection.close()
    }
    open.clear()
    if (out.length > 0) yield out
  }

  function countSockets(): void {
    if (receiver === undefined) return
    let received = 0
    let dropped = 0
    for (const one of receiver.counters()) {
      received += one.received
      dropped += one.dropped ?? 0
    }
    account.in = received + dropped
    account.out = received
    if (dropped > 0) account.lost.set('socket-full', dropped)
  }
  account.update = countSockets

  function close(): void {
    countSockets()
    // Who has to give up leaves some.
    const unread = account.out - intake.datagrams
    if (unread > 0) {
      account.out -= unread
      account.lose('unread', unread)
    }
    account.update = undefined
    receiver?.close()
    for (const listener of listeners) listener.close()
  }

  return {
    records: records(),
    *streamReports() {
      for (const [connection, stream] of open) yield {connection, stream}
    },
    socketCounters: () => receiver?.counters() ?? [],
    close,
  }
}

/** Calls `fn` when all that the kernel has at this moment was looked at. */
function afterTurn(fn: () => void): void {
  setImmediate(() => setImmediate(fn))
}

/** The addresses that an endpoint stands for; without a host it is every address. */
async function udpAddresses(
  endpoint: Exclude<Endpoint, {transport: 'unix'}>,
): Promise<UdpAddress[]> {
  const {host, port, name} = endpoint
  if (host === '' || host === '*') return [{address: hasIpv6() ? '::' : '0.0.0.0', port, name}]
  if (isIP(host) !== 0) return [{address: host, port, name}]
  try {
    const found = await lookup(host, {all: true})
    return found.map(({address}) => ({address, port, name}))
  } catch (error) {
    throw new DartaError('DARTA_LISTEN', `${name}: no such host`, undefined, error)
  }
}

function hasIpv6(): boolean {
  try {
    return readFileSync('/proc/net/if_inet6', 'latin1').trim() !== ''
  } catch {
    return false
  }
}

function spoken(address: string, port: number, name: string): string {
  const host = address === '::' || address === '0.0.0.0' ? '*' : address
  return port === 0 ? name : `udp://${host.includes(':') ? `[${host}]` : host}:${port}`
}
