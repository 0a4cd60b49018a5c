import {createSocket, type Socket} from 'node:dgram'
import {isIPv6} from 'node:net'
import {getSystemErrorName} from 'node:util'
import {ipv4Octets, ipv6Octets} from '../record/address.js'
import {DartaError} from '../record/errors.js'
import type {NativeAddon, ReceiverHandle} from './native.js'

/** Numbers of a datagram in `DatagramBlock.datagrams`. */
export const DATAGRAM_NUMBERS = 11

/**
 * Datagrams as they came. Each has eleven numbers: offset and length in `octets`, socket, a hash of sender and socket, the
 * sender's port, octets of its address (4 or 16), milliseconds since `baseMs`, and its address in the last four, as 16
 * octets in network order.
 */
export interface DatagramBlock {
  readonly octets: Uint8Array
  readonly datagrams: Uint32Array
  /** Milliseconds since 1970. */
  readonly baseMs: number
}

export interface UdpAddress {
  /** In numbers. */
  readonly address: string
  readonly port: number
  /** What the user called it. */
  readonly name: string
  /** Of a socket that another process has bound. */
  readonly descriptor?: number
}

export interface SocketCounters {
  readonly port: number
  readonly bufferOctets: number
  readonly received: number
  /** Datagrams that the kernel had no room for; undefined where it does not tell. */
  readonly dropped: number | undefined
}

/** UDP sockets that are read as fast as datagrams come. */
export interface UdpReceiver {
  /** Datagrams that have come, oldest first; `ended` when there will be no more. */
  take(): {readonly blocks: readonly DatagramBlock[]; readonly ended: boolean}
  /**
   * What there is, without taking it: `fromMs` and `toMs` are when the first and last datagram of the oldest block came,
   * undefined if there is none. Only where there is a `handle`.
   */
  next(): {readonly ended: boolean; readonly fromMs?: number; readonly toMs?: number}
  /** For a kernel that looks at datagrams where they are. */
  readonly handle: ReceiverHandle | undefined
  counters(): SocketCounters[]
  /** Takes what the kernel holds, and ends. */
  stop(): void
  close(): void
}

/**
 * Binds the sockets and begins to read them.
 *
 * @param wake is called when there is something to take, and at the end
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function openUdpReceiver(
  addresses: readonly UdpAddress[],
  bufferOctets: number,
  addon: NativeAddon | undefined,
  wake: () => void,
): Promise<UdpReceiver> {
  return addon === undefined
    ? openDgram(addresses, bufferOctets, wake)
    : openNative(addresses, bufferOctets, addon, wake)
}

function openNative(
  addresses: readonly UdpAddress[],
  bufferOctets: number,
  addon: NativeAddon,
  wake: () => void,
): UdpReceiver {
  const handle = addon.receiverOpen(
    addresses.map(({address, port, descriptor = -1}) => ({
      address,
      port,
      bufferOctets,
      descriptor,
    })),
  )
  if (Array.isArray(handle)) {
    const [call, errno, socket] = handle
    throw listenError(addresses[socket].name, getSystemErrorName(-errno), call)
  }
  addon.receiverStart(handle, wake)
  return {
    take() {
      const taken = addon.receiverTake(handle)
      const blocks: DatagramBlock[] = []
      for (let i = 1; i < taken.length; i += 3) {
        blocks.push({
          octets: taken[i] as Uint8Array,
          datagrams: taken[i + 1] as Uint32Array,
          baseMs: taken[i + 2] as number,
        })
      }
      return {blocks, ended: taken[0] === 1}
    },
    next() {
      const [ended, fromMs, toMs] = addon.receiverNext(handle)
      return {ended: ended === 1, fromMs, toMs}
    },
    handle,
    counters() {
      const numbers = addon.receiverStatistics(handle)
      return addresses.map((_, i) => ({
        port: numbers[4 * i],
        bufferOctets: numbers[4 * i + 1],
        received: numbers[4 * i + 2],
        dropped: numbers[4 * i + 3],
      }))
    },
    stop: () => addon.receiverStop(handle),
    close: () => addon.receiverClose(handle),
  }
}

export function listenError(name: string, code: string, what: string): DartaError {
  const words = `cannot listen on ${name}: ${what}: ${code}`
  if (code !== 'EACCES' && code !== 'EPERM') return new DartaError('DARTA_LISTEN', words)
  const port = Number(/:(\d+)$/.exec(name)?.[1] ?? Infinity)
  const why = port < 1024 ? ': a port below 1024 needs CAP_NET_BIND_SERVICE' : ''
  return new DartaError('DARTA_PERMISSION', words + why)
}

/** Where there is no addon: slower, and what the kernel drops is not known. */
async function openDgram(
  addresses: readonly UdpAddress[],
  bufferOctets: number,
  wake: () => void,
): Promise<UdpReceiver> {
  let blocks: DatagramBlock[] = []
  let ended = false
  const received = addresses.map(() => 0)
  const sockets: Socket[] = []
  try {
    for (const [i, {address, port, name, descriptor}] of addresses.entries()) {
      if (descriptor !== undefined) {
        throw new DartaError('DARTA_LISTEN', `${name}: sockets of others need the native addon`)
      }
      const socket = createSocket({
        type: isIPv6(address) ? 'udp6' : 'udp4',
        recvBufferSize: bufferOctets,
      })
      sockets.push(socket)
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject)
        socket.bind(port, address, () => resolve())
      }).catch((error: unknown) => {
        const {code = 'error', syscall = 'bind'} = error as NodeJS.ErrnoException
        throw listenError(name, code, syscall)
      })
      socket.on('message', (octets, sender) => {
        received[i]++
        blocks.push(blockOf(octets, sender, i))
        wake()
      })
    }
  } catch (error) {
    for (const socket of sockets) socket.close()
    throw error
  }
  const finish = (): void => {
    if (ended) return
    ended = true
    for (const socket of sockets) socket.close()
    wake()
  }
  return {
    take() {
      const taken = {blocks, ended}
      blocks = []
      return taken
    },
    next: () => ({ended}),
    handle: undefined,
    counters: () =>
      sockets.map((socket, i) => ({
        port: ended ? 0 : socket.address().port,
        bufferOctets: ended ? 0 : socket.getRecvBufferSize(),
        received: received[i],
        dropped: undefined,
      })),
    // What the loop has not delivered yet comes before an immediate.
    stop: () => void setImmediate(finish),
    close: finish,
  }
}

function blockOf(
  octets: Uint8Array,
  sender: {address: string; port: number},
  socket: number,
): DatagramBlock {
  const datagrams = new Uint32Array(DATAGRAM_NUMBERS)
  const address = senderAddress(sender.address)
  let hash = (2166136261 ^ (socket << 16) ^ sender.port) >>> 0
  for (const octet of address) hash = Math.imul(hash ^ octet, 16777619) >>> 0
  datagrams.set([0, octets.length, socket, hash, sender.port, address.length, 0])
  new Uint8Array(datagrams.buffer).set(address, 28)
  return {octets, datagrams, baseMs: Date.now()}
}

function senderAddress(text: string): Uint8Array {
  const [address] = text.split('%')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)
  if (mapped !== null) return ipv4Octets(mapped[1])
  return address.includes(':') ? ipv6Octets(address) : ipv4Octets(address)
}
