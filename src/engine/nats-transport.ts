import {connect, type Socket} from 'node:net'
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
  /** Connects, without TLS yet. */
  dial(server: Server): Promise<Socket>
  /** Waits for what the server says first. */
  peekInfo(): Promise<unknown>
  startTLS(): Promise<Socket>
}
interface Server {
  readonly hostname: string
  readonly port: number
}

/** Of a connection that `connectWhole` made. */
interface Protocol {
  readonly connected: boolean
  readonly transport?: Transport
}

const CR = 13
const LF = 10
const SPACE = 32
/** What is read into at once, and the least room that is worth a read. */
const BLOCK_OCTETS = 1 << 20
const LEAST_READ = 1 << 16
const LINE_END = Buffer.from('\r\n')
/** What a line of the protocol has at most, far more than any server sends. */
const MOST_LINE = 1 << 20
/** The most that a server can be told to let through. */
const MOST_PAYLOAD = 64 << 20

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
    ['setupHandlers', 'disconnect', 'dial', 'peekInfo', 'startTLS'].every(
      (name) => name in NodeTransport.prototype,
    ) &&
    typeof base.setTransportFactory === 'function' &&
    typeof base.NatsConnectionImpl.connect === 'function'
  if (!known) return undefined

  class WholeTransport extends NodeTransport {
    readonly #framer = createFramer()
    #framing = false
    #dialled: Server | undefined
    /** What came before anybody asked. */
    #early: Buffer[] = []

    override async dial(server: Server): Promise<Socket> {
      this.#dialled = server
      const framer = this.#framer
      const first = Buffer.allocUnsafeSlow(LEAST_READ)
      let inBlock = false
      const socket = connect({
        ...{host: server.hostname, port: server.port, noDelay: true},
        onread: {
          // Asked for before it is known what comes.
          buffer: () => {
            inBlock = this.#framing
            return inBlock ? framer.room() : first
          },
          callback: (octets) => {
            if (inBlock) this.#give(socket, octets)
            else this.#say(socket, Buffer.from(first.subarray(0, octets)))
            return true
          },
        },
      })
      try {
        await new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve)
          socket.once('error', reject)
        })
      } finally {
        socket.removeAllListeners()
      }
      return socket
    }

    override peekInfo(): Promise<unknown> {
      const told = super.peekInfo()
      const {socket} = this
      for (const octets of this.#early.splice(0)) socket?.emit('data', octets)
      return told
    }

    #say(socket: Socket, octets: Buffer): void {
      if (socket.listenerCount('data') === 0) this.#early.push(octets)
      else socket.emit('data', octets)
    }

    /** What will be encrypted is not read in blocks. */
    override async startTLS(): Promise<Socket> {
      if (this.#dialled !== undefined) {
        this.socket?.destroy()
        this.yields = []
        this.socket = await super.dial(this.#dialled)
        await super.peekInfo()
      }
      return super.startTLS()
    }

    override setupHandlers(): void {
      super.setupHandlers()
      const {socket} = this
      if (socket === undefined) return
      socket.removeAllListeners('data')
      socket.on('data', (chunk: Buffer) => {
        for (let at = 0; at < chunk.length && !socket.destroyed;) {
          const octets = chunk.copy(this.#framer.room(), 0, at)
          this.#give(socket, octets)
          at += octets
        }
      })
      for (const octets of this.#early.splice(0)) socket.emit('data', octets)
      this.#framing = true
    }

    #give(socket: Socket, octets: number): void {
      let whole: Buffer | undefined
      try {
        whole = this.#framer.taken(octets)
      } catch (error) {
        socket.destroy(error as Error)
        return
      }
      if (whole === undefined) return
      this.yields.push(whole)
      this.signal.resolve()
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

/** Cuts a stream of the protocol's octets so that no message, and no line, is in two pieces; a piece may have several. */
export interface Framer {
  /** Where the next octets are to be put. */
  room(): Buffer
  /** So many were put there. Gives what is whole, where it lies: there it stays as it is. */
  taken(octets: number): Buffer | undefined
}

/**
 * Reads into blocks that hold many messages; only what a block has no room for is copied, into the next one.
 *
 * @throws DartaError DARTA_ENGINE by `taken`: what comes is no line of the protocol
 */
export function createFramer(): Framer {
  let block = Buffer.alloc(0)
  /** Where what was not given yet begins, up to where there is anything, and where the first message or line ends if that is known. */
  let start = 0
  let filled = 0
  let next = -1

  return {
    room() {
      // A message of which the size is known needs no room behind it.
      if (block.length - filled >= LEAST_READ || next > filled) {
        if (next <= block.length && filled < block.length) return block.subarray(filled)
      }
      const need = Math.max(filled, next) - start + LEAST_READ
      const larger = Buffer.allocUnsafeSlow(Math.max(BLOCK_OCTETS, need))
      block.copy(larger, 0, start, filled)
      block = larger
      filled -= start
      next = next < 0 ? next : next - start
      start = 0
      return block.subarray(filled)
    },
    taken(octets) {
      filled += octets
      let at = start
      for (;;) {
        if (next < 0) {
          const end = at < filled ? block.subarray(0, filled).indexOf(LF, at) : -1
          if (end < 0) {
            if (filled - at > MOST_LINE) {
              throw new DartaError(
                'DARTA_ENGINE',
                'the engine sends something that is not NATS',
                at,
              )
            }
            break
          }
          next = end + 1 + payloadOctets(block, at, end)
        }
        if (next > filled) break
        at = next
        next = -1
      }
      if (at === start) return undefined
      const whole = block.subarray(start, at)
      start = at
      return whole
    },
  }
}

/**
 * Octets behind a line that ends with the LF at `end`: those of a message and of its own end.
 *
 * @throws DartaError DARTA_ENGINE no such message can be
 */
function payloadOctets(octets: Buffer, start: number, end: number): number {
  // MSG and HMSG, in capitals or not.
  const first = octets[start] | 0x20
  if (first !== 0x6d && first !== 0x68) return 0
  let size = 0
  let factor = 1
  for (let i = end - (octets[end - 1] === CR ? 2 : 1); i > start && octets[i] !== SPACE; i--) {
    const digit = octets[i] - 48
    size += digit * factor
    factor *= 10
    if (digit < 0 || digit > 9 || size > MOST_PAYLOAD) throw notNats(start)
  }
  return size + 2
}

function notNats(offset: number): DartaError {
  return new DartaError('DARTA_ENGINE', 'the engine sends something that is not NATS', offset)
}
