import type {Socket} from 'node:net'
import {DartaError} from '../record/errors.js'

/** What is used of the insides of the npm package `nats`, which its ordinary way of connecting uses too. */
interface Insides {
  readonly NodeTransport: new () => Transport
  readonly nodeResolveHost: unknown
}
interface Base {
  setTransportFactory(of: {factory: () => Transport; dnsResolveFn: unknown}): void
  readonly NatsConnectionImpl: {connect(options: Record<string, unknown>): Promise<unknown>}
}
interface Transport {
  socket?: Socket
  connected: boolean
  /** What came and was not parsed. */
  yields: Uint8Array[]
  readonly signal: {resolve(): void}
  setupHandlers(): void
  disconnect(): void
}

/** Of a connection that `connectWhole` made. */
interface Protocol {
  readonly connected: boolean
  readonly transport?: Transport
}

const CR = 13
const LF = 10
const SPACE = 32
const LINE_END = Buffer.from('\r\n')
/** What a line of the protocol has at most, far more than any server sends. */
const MOST_LINE = 1 << 20

/**
 * Connects as the package `nats` does, but gives its parser whole messages: one that comes in two pieces, as nearly every entry of
 * a log does, would be put together there by copying it several times into memory that grows. Undefined where the package is
 * another one inside than the one that is known.
 */
export function connectWhole(
  load: (path: string) => unknown,
): ((options: Record<string, unknown>) => Promise<unknown>) | undefined {
  let insides: Insides
  let base: Base
  try {
    insides = load('nats/lib/src/node_transport.js') as Insides
    base = load('nats/lib/src/nats-base-client.js') as Base
  } catch {
    return undefined
  }
  const {NodeTransport, nodeResolveHost} = insides
  const known =
    typeof NodeTransport === 'function' &&
    ['setupHandlers', 'disconnect'].every((name) => name in NodeTransport.prototype) &&
    typeof base.setTransportFactory === 'function' &&
    typeof base.NatsConnectionImpl.connect === 'function'
  if (!known) return undefined

  class WholeTransport extends NodeTransport {
    override setupHandlers(): void {
      super.setupHandlers()
      const {socket} = this
      if (socket === undefined) return
      const frame = createFramer()
      socket.removeAllListeners('data')
      socket.on('data', (chunk: Buffer) => {
        let frames: Buffer[]
        try {
          frames = frame(chunk)
        } catch (error) {
          socket.destroy(error as Error)
          return
        }
        if (frames.length === 0) return
        this.yields.push(...frames)
        this.signal.resolve()
      })
    }

    /** The package would wait until what is to be sent has gone, which it never does where a link was cut. */
    override disconnect(): void {
      if (this.connected && this.socket !== undefined) this.socket.destroy()
      else super.disconnect()
    }
  }
  return async (options) => {
    base.setTransportFactory({factory: () => new WholeTransport(), dnsResolveFn: nodeResolveHost})
    return base.NatsConnectionImpl.connect(options)
  }
}

/**
 * Sends a message from where its octets lie; the package would copy them first. They must stay as they are until it is answered.
 *
 * @returns false where it was not sent: nothing is connected now
 */
export function sendInPlace(
  connection: unknown,
  subject: string,
  reply: string,
  octets: Uint8Array,
): boolean {
  const {protocol} = connection as {readonly protocol?: Protocol}
  const transport = protocol?.transport
  const socket = transport?.socket
  if (protocol?.connected !== true || transport?.connected !== true) return false
  if (socket === undefined || socket.destroyed || !socket.writable) return false
  socket.cork()
  socket.write(`PUB ${subject} ${reply} ${octets.length}\r\n`, 'latin1')
  socket.write(octets)
  socket.write(LINE_END)
  socket.uncork()
  return true
}

/** Cuts a stream of the protocol's octets so that no message, and no line, is in two pieces; each piece may have several. */
export function createFramer(): (chunk: Buffer) => Buffer[] {
  /** Of a message whose size is known: its octets so far. */
  let message: Buffer | undefined
  let filled = 0
  /** The beginning of a line. */
  let line: Buffer | undefined

  return (chunk) => {
    const frames: Buffer[] = []
    let at = 0
    if (message !== undefined) {
      const taken = Math.min(message.length - filled, chunk.length)
      chunk.copy(message, filled, 0, taken)
      filled += taken
      at = taken
      if (filled < message.length) return frames
      frames.push(message)
      message = undefined
    }
    let octets = chunk
    if (line !== undefined) {
      // Lines are short.
      octets = Buffer.concat([line, chunk.subarray(at)])
      at = 0
      line = undefined
    }
    const start = at
    while (at < octets.length) {
      const end = octets.indexOf(LF, at)
      if (end < 0) {
        if (octets.length - at > MOST_LINE) {
          throw new DartaError('DARTA_ENGINE', 'the engine sends something that is not NATS', at)
        }
        line = Buffer.from(octets.subarray(at))
        break
      }
      const next = end + 1 + payloadOctets(octets, at, end)
      if (next > octets.length) {
        message = Buffer.allocUnsafeSlow(next - at)
        filled = octets.copy(message, 0, at)
        break
      }
      at = next
    }
    if (at > start) frames.push(octets.subarray(start, at))
    return frames
  }
}

/** Octets behind a line that ends with the LF at `end`: those of a message and of its own end. */
function payloadOctets(octets: Buffer, start: number, end: number): number {
  // MSG and HMSG, in capitals or not.
  const first = octets[start] | 0x20
  if (first !== 0x6d && first !== 0x68) return 0
  let size = 0
  let factor = 1
  for (let i = end - (octets[end - 1] === CR ? 2 : 1); i > start && octets[i] !== SPACE; i--) {
    size += (octets[i] - 48) * factor
    factor *= 10
  }
  return size + 2
}
