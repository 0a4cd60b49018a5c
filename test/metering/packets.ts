import {hex} from '../hex.js'
import {concat} from './captures.js'

/** Packets built by hand, of as few words as a test needs. */

export interface TransportParts {
  /** IPv4 addresses in hex; 10.0.0.1 and 10.0.0.2 if absent. */
  readonly src?: string
  readonly dst?: string
  readonly sport?: number
  readonly dport?: number
  /** Octets of payload. */
  readonly payload?: number
}

function number(value: number, octets: number): string {
  return value.toString(16).padStart(2 * octets, '0')
}

export interface Ipv4Parts {
  readonly src?: string
  readonly dst?: string
  readonly protocol: number
  readonly tos?: number
  readonly id?: number
  /** Flags and offset as the header has them. */
  readonly fragment?: number
  readonly ttl?: number
  /** Instead of the right one. */
  readonly totalLength?: number
}

export function ipv4(parts: Ipv4Parts, payload: Uint8Array = hex``): Uint8Array {
  const {src = '0a000001', dst = '0a000002', protocol, tos = 0, id = 0, ttl = 64} = parts
  const {fragment = 0, totalLength = 20 + payload.length} = parts
  return hex`
    45 ${number(tos, 1)} ${number(totalLength, 2)}
    ${number(id, 2)} ${number(fragment, 2)}
    ${number(ttl, 1)} ${number(protocol, 1)} 0000
    ${src} ${dst}
    ${payload}`
}

export const V6_A = '20010db8000000000000000000000001'
export const V6_B = '20010db8000000000000000000000002'

export interface Ipv6Parts {
  readonly src?: string
  readonly dst?: string
  readonly next: number
  /** Traffic class and flow label. */
  readonly classAndLabel?: string
  readonly hopLimit?: number
  readonly payloadLength?: number
}

export function ipv6(parts: Ipv6Parts, payload: Uint8Array = hex``): Uint8Array {
  const {src = V6_A, dst = V6_B, next, classAndLabel = '0000000', hopLimit = 64} = parts
  const {payloadLength = payload.length} = parts
  return hex`
    6${classAndLabel} ${number(payloadLength, 2)} ${number(next, 1)} ${number(hopLimit, 1)}
    ${src} ${dst}
    ${payload}`
}

export function udp(sport: number, dport: number, payload: Uint8Array = hex``): Uint8Array {
  return hex`${number(sport, 2)} ${number(dport, 2)} ${number(8 + payload.length, 2)} 0000 ${payload}`
}

/** @param flags octet 13: FIN 1, SYN 2, RST 4, PSH 8, ACK 16 */
export function tcp(sport: number, dport: number, flags: number, payload = 0): Uint8Array {
  return hex`
    ${number(sport, 2)} ${number(dport, 2)} 00000001 00000000
    50 ${number(flags, 1)} 2000 0000 0000
    ${new Uint8Array(payload)}`
}

export interface EthernetParts {
  readonly source?: string
  readonly destination?: string
  /** VLAN ids, outermost first. */
  readonly vlans?: readonly number[]
}

/** An Ethernet frame around an IP packet. */
export function ethernet(packet: Uint8Array, parts: EthernetParts = {}): Uint8Array {
  const {source = '020000000001', destination = '020000000002', vlans = []} = parts
  const type = packet[0] >> 4 === 6 ? hex`86dd` : hex`0800`
  const tags = vlans.map((id) => hex`8100 ${number(id, 2)}`)
  return concat(hex`${destination} ${source}`, ...tags, type, packet)
}

/** UDP over IPv4 over Ethernet. */
export function udpFrame({
  src,
  dst,
  sport = 1000,
  dport = 2000,
  payload = 0,
}: TransportParts = {}): Uint8Array {
  return ethernet(ipv4({src, dst, protocol: 17}, udp(sport, dport, new Uint8Array(payload))))
}

/** TCP over IPv4 over Ethernet. */
export function tcpFrame(
  flags: number,
  {src, dst, sport = 1000, dport = 2000, payload = 0}: TransportParts = {},
): Uint8Array {
  return ethernet(ipv4({src, dst, protocol: 6}, tcp(sport, dport, flags, payload)))
}

/** The parts of the packet the other way. */
export function answer(parts: TransportParts = {}): TransportParts {
  const {src = '0a000001', dst = '0a000002', sport = 1000, dport = 2000} = parts
  return {...parts, src: dst, dst: src, sport: dport, dport: sport}
}
