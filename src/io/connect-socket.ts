import {connect, type Socket} from 'node:net'
import {parseEndpoint, type Endpoint} from './endpoint.js'
import {isClosedPipe, OutputClosed, writeError} from './errors.js'
import type {OctetSink} from './octet-sink.js'
import type {TlsCredentials} from './tls-credentials.js'

/** How long a peer may take until it has shown its certificate and looked at ours. */
const TLS_TIMEOUT_MS = 10_000

/**
 * Where a stream socket listens: `unix:PATH`, `tcp://HOST[:PORT]` or `tls://HOST[:PORT]`.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseSocketUrl(url: string): Endpoint {
  return parseEndpoint(url, {role: 'connect', transports: ['unix', 'tcp', 'tls']})
}

/** A stream socket of which the other end reads. */
export interface SocketSink extends OctetSink {
  /** Whether the other end has closed the connection, or it broke. */
  readonly closed: boolean
}

/**
 * Connects to a stream socket, which then takes octets. Whatever the other end sends is not looked at; that it ends its
 * side is taken for having gone away, so that no more is given to a dead connection. With TLS both sides are verified before
 * anything is sent.
 *
 * @param credentials needed for `tls://`
 * @throws DartaError DARTA_FILE_WRITE, DARTA_PERMISSION when nobody listens, or one of the two does not trust the other
 */
export async function connectSocket(
  url: string,
  stopping: AbortSignal,
  credentials?: TlsCredentials,
): Promise<SocketSink> {
  const place = parseSocketUrl(url)
  try {
    if (place.transport === 'tls') {
      const {openForWriting} = await import('./stream-connection.js')
      const options = {credentials, timeoutMs: TLS_TIMEOUT_MS, signal: stopping}
      return new ConnectedSocket(url, await openForWriting(place, options))
    }
    const socket =
      place.transport === 'unix' ? connect(place.path) : connect(place.port, place.host)
    await connected(socket, stopping)
    return new ConnectedSocket(url, socket)
  } catch (error) {
    throw writeError(url, error)
  }
}

async function connected(socket: Socket, stopping: AbortSignal): Promise<void> {
  const giveUp = (): void => void socket.destroy(new Error('stopped before anybody answered'))
  stopping.addEventListener('abort', giveUp)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
  } finally {
    stopping.removeEventListener('abort', giveUp)
  }
}

class ConnectedSocket implements SocketSink {
  readonly name: string
  readonly #socket: Socket
  #fault: Error | undefined
  #ended = false

  constructor(name: string, socket: Socket) {
    this.name = name
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('error', (error) => (this.#fault ??= error))
    socket.on('end', () => (this.#ended = true))
    socket.on('close', () => (this.#ended = true))
    socket.resume()
  }

  get closed(): boolean {
    return this.#ended
  }

  get octets(): number {
    return this.#socket.bytesWritten
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    if (chunks.length === 0) return
    this.#check()
    // The kernel has taken the last one when it calls back: that is the backpressure.
    const written = new Promise<void>((resolve, reject) => {
      this.#socket.cork()
      chunks.forEach((chunk, i) =>
        this.#socket.write(
          chunk,
          i < chunks.length - 1 ? undefined : (error) => (error ? reject(error) : resolve()),
        ),
      )
      this.#socket.uncork()
    })
    try {
      await written
    } catch (error) {
      this.#fault ??= error as Error
      this.#ended = true
      this.#check()
    }
  }

  async end(): Promise<void> {
    this.#check()
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve())
      this.#socket.end(() => resolve())
    })
    // All octets are with the kernel, which delivers them without this process.
    this.#socket.destroySoon()
    if (this.#fault !== undefined) this.#check()
  }

  async abort(): Promise<void> {
    this.#socket.destroy()
  }

  #check(): void {
    if (!this.#ended) return
    const fault = this.#fault
    if (fault === undefined || isClosedPipe(fault)) throw new OutputClosed()
    throw writeError(this.name, fault, this.octets)
  }
}
