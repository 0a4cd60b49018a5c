import {lookup} from 'node:dns/promises'
import {isIP} from 'node:net'
import {getSystemErrorMap, getSystemErrorMessage} from 'node:util'
import type {Socket} from 'node:dgram'
import type {InternetEndpoint} from './endpoint.js'
import type {NativeAddon} from './native.js'

/** What an IPv4 and an IPv6 header take of a packet, each with that of UDP. */
const IPV4_OVERHEAD = 28
const IPV6_OVERHEAD = 48
/** What nobody has to know the path for. RFC 7011 section 10.3.3. */
const UNKNOWN_PATH_OCTETS = 512
/** What Ethernet carries; interfaces without such a limit (loopback) only invite receivers with short buffers to cut. */
const MOST_PACKET_OCTETS = 1500

/** Why datagrams do not go out. */
export interface SendFault {
  /** `ECONNREFUSED`, `EMSGSIZE` … */
  readonly code: string
  readonly message: string
}

export interface SendProgress {
  /** Datagrams that the system took. */
  readonly sent: number
  /** What stopped it before the last; undefined: the system takes no more just now. */
  readonly fault?: SendFault
}

/** Sends datagrams to one peer. */
export interface UdpSender {
  /** The address in use, numeric. */
  readonly address: string
  /** Octets that a datagram may have, as far as the path is known. */
  maxOctets(): number
  /** Whether the path is known; else `maxOctets` is 512. */
  readonly pathKnown: boolean
  /** Sends datagrams `from` to `to` of `octets`; datagram i is from ends[i − 1], or 0, to ends[i]. */
  send(octets: Uint8Array, ends: Uint32Array, from: number, to: number): Promise<SendProgress>
  close(): void
}

/**
 * A socket that sends to the endpoint. With the addon many datagrams go out with one system call, none is ever
 * fragmented, and the path's limit is known; without it a path is taken to carry 512 octets.
 *
 * @throws what `lookup` throws for a name that has no address; a system error
 */
export async function openUdpSender(
  {host, port}: Pick<InternetEndpoint, 'host' | 'port'>,
  addon: Pick<NativeAddon, 'udpOpen' | 'udpMtu' | 'udpSend' | 'udpClose'> | undefined,
): Promise<UdpSender> {
  const address = isIP(host) === 0 ? (await lookup(host)).address : host
  return addon === undefined
    ? plainSender(address, port)
    : nativeSender(addon, address, port, address.includes(':') ? IPV6_OVERHEAD : IPV4_OVERHEAD)
}

function nativeSender(
  addon: Pick<NativeAddon, 'udpOpen' | 'udpMtu' | 'udpSend' | 'udpClose'>,
  address: string,
  port: number,
  overhead: number,
): UdpSender {
  const [descriptor, errno] = addon.udpOpen(address, port)
  if (errno !== 0) throw Object.assign(new Error(faultOf(errno).message), faultOf(errno))
  let open = true
  return {
    address,
    pathKnown: true,
    maxOctets() {
      const [octets, error] = addon.udpMtu(descriptor)
      if (error !== 0) return UNKNOWN_PATH_OCTETS
      return Math.min(octets, MOST_PACKET_OCTETS) - overhead
    },
    async send(octets, ends, from, to) {
      const [sent, error] = addon.udpSend(descriptor, octets, ends, from, to)
      if (error === 0) return {sent}
      const fault = faultOf(error)
      // The interface is busy: it takes more in a moment.
      if (fault.code === 'EAGAIN' || fault.code === 'ENOBUFS') return {sent}
      return {sent, fault}
    },
    close() {
      if (open) addon.udpClose(descriptor)
      open = false
    },
  }
}

function faultOf(errno: number): SendFault {
  const name = getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`
  return {code: name, message: getSystemErrorMessage(-errno)}
}

async function plainSender(address: string, port: number): Promise<UdpSender> {
  const {createSocket} = await import('node:dgram')
  const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  let fault: SendFault | undefined
  const note = (error: NodeJS.ErrnoException): void => {
    fault = {code: error.code ?? '', message: error.message}
  }
  socket.on('error', note)
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.connect(port, address, () => {
      socket.off('error', reject)
      resolve()
    })
  })
  // Nothing is received, and an open socket is no reason to go on.
  socket.unref()
  return {
    address,
    pathKnown: false,
    maxOctets: () => UNKNOWN_PATH_OCTETS,
    async send(octets, ends, from, to) {
      for (let i = from; i < to; i++) {
        const datagram = octets.subarray(i === 0 ? 0 : ends[i - 1], ends[i])
        if (fault === undefined) {
          await new Promise<void>((resolve) => {
            socket.send(datagram, (error) => {
              if (error !== null) note(error)
              resolve()
            })
          })
        }
        if (fault !== undefined) {
          const told = fault
          fault = undefined
          return {sent: i - from, fault: told}
        }
      }
      return {sent: to - from}
    },
    close: () => socket.close(),
  }
}
