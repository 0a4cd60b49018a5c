import {u16, u32} from './octets.js'
import type {Packet} from './packet.js'

const IPV4_HEADER_OCTETS = 20
const IPV6_HEADER_OCTETS = 40
const MAX_EXTENSION_HEADERS = 64

const HOP_BY_HOP = 0
const ICMP = 1
const TCP = 6
const UDP = 17
const DCCP = 33
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const ICMPV6 = 58
const NO_NEXT_HEADER = 59
const DESTINATION_OPTIONS = 60
const SCTP = 132
const MOBILITY = 135
const UDP_LITE = 136
const HIP = 139
const SHIM6 = 140

/**
 * Reads the IP header at `at`, its extension headers and the ports behind it into `packet`.
 * docs/METERING.md section 2.3.
 *
 * @param end end of what was captured
 * @param wireOctets octets from `at` to the end of the frame on the wire (or of the outer packet);
 *   stands in for an IP length that is not written
 * @returns empty, or why this is no usable header; `packet` is unchanged then
 */
export function readIpHeader(
  octets: Uint8Array,
  at: number,
  end: number,
  wireOctets: number,
  packet: Packet,
): '' | 'ip-version' | 'ip-header-short' {
  if (at >= end) return 'ip-header-short'
  const version = octets[at] >> 4
  if (version === 4) {
    if (end - at < IPV4_HEADER_OCTETS || (octets[at] & 15) < 5) return 'ip-header-short'
  } else if (version === 6) {
    if (end - at < IPV6_HEADER_OCTETS) return 'ip-header-short'
  } else return 'ip-version'
  packet.octets = octets
  packet.start = at
  packet.version = version
  packet.sourcePort = packet.destinationPort = packet.tcpBits = packet.icmpTypeCode = 0
  if (version === 4) readIpv4(packet, end, Math.max(wireOctets, 0))
  else readIpv6(packet, end, wireOctets)
  if (packet.fragmentOffset === 0) readPorts(packet)
  return ''
}

/** RFC 791 section 3.1. */
function readIpv4(packet: Packet, end: number, wireOctets: number): void {
  const {octets, start} = packet
  const totalLength = u16(octets, start + 2)
  const fragment = u16(octets, start + 6)
  packet.ipOctets = totalLength === 0 ? wireOctets : totalLength
  packet.end = Math.min(end, start + packet.ipOctets)
  packet.payload = start + (octets[start] & 15) * 4
  packet.classOfService = octets[start + 1]
  packet.flowLabel = 0
  packet.ttl = octets[start + 8]
  packet.protocol = octets[start + 9]
  packet.source = start + 12
  packet.destination = start + 16
  packet.addressOctets = 4
  packet.fragmentFlags = octets[start + 6] & 0xe0
  packet.fragment = (fragment & 0x3fff) !== 0
  packet.fragmentOffset = fragment & 0x1fff
  packet.identification = start + 4
}

/** RFC 8200 sections 3 and 4. */
function readIpv6(packet: Packet, end: number, wireOctets: number): void {
  const {octets, start} = packet
  const payloadLength = u16(octets, start + 4)
  const nextHeader = octets[start + 6]
  packet.ipOctets = IPV6_HEADER_OCTETS + payloadLength
  // A jumbogram (RFC 2675) or a packet that the sender's hardware was to split.
  const unwritten = payloadLength === 0 && (nextHeader === HOP_BY_HOP || nextHeader === TCP)
  if (unwritten && wireOctets > IPV6_HEADER_OCTETS) packet.ipOctets = wireOctets
  packet.end = Math.min(end, start + packet.ipOctets)
  packet.payload = start + IPV6_HEADER_OCTETS
  packet.classOfService = (u16(octets, start) >> 4) & 0xff
  packet.flowLabel = u32(octets, start) & 0xfffff
  packet.ttl = octets[start + 7]
  packet.protocol = nextHeader
  packet.source = start + 8
  packet.destination = start + 24
  packet.addressOctets = 16
  packet.fragmentFlags = 0
  packet.fragment = false
  packet.fragmentOffset = 0
  for (let i = 0; i < MAX_EXTENSION_HEADERS; i++) if (!skipExtensionHeader(packet)) return
}

/** Moves over one extension header; false if there is none, or nothing behind it to be read. */
function skipExtensionHeader(packet: Packet): boolean {
  const {octets, payload: at} = packet
  if (packet.end - at < 8) return false
  let length: number
  switch (packet.protocol) {
    case MOBILITY:
    case HIP:
    case SHIM6:
      // These need not be followed by anything.
      if (octets[at] === NO_NEXT_HEADER) return false
      length = 8 + 8 * octets[at + 1]
      break
    case HOP_BY_HOP:
    case ROUTING:
    case DESTINATION_OPTIONS:
      length = 8 + 8 * octets[at + 1]
      break
    case AUTHENTICATION: // RFC 4302 section 2.2
      length = 4 * (octets[at + 1] + 2)
      break
    case FRAGMENT:
      length = 8
      readFragmentHeader(packet, at)
      break
    default:
      return false
  }
  packet.protocol = octets[at]
  packet.payload = at + length
  return packet.fragmentOffset === 0
}

function readFragmentHeader(packet: Packet, at: number): void {
  const field = u16(packet.octets, at + 2)
  packet.fragmentFlags = field & 1 ? 0x20 : 0
  packet.fragment = (field & 0xfff9) !== 0
  packet.fragmentOffset = field >> 3
  packet.identification = at + 4
}

function readPorts(packet: Packet): void {
  const {octets, payload: at, protocol} = packet
  const room = packet.end - at
  switch (protocol) {
    case TCP:
    case UDP:
    case SCTP:
    case DCCP:
    case UDP_LITE:
      if (room < 4) return
      packet.sourcePort = u16(octets, at)
      packet.destinationPort = u16(octets, at + 2)
      // The upper 4 bits are the data offset; RFC 9565 wants them 0.
      if (protocol === TCP && room >= 14) packet.tcpBits = u16(octets, at + 12) & 0xfff
      return
    case ICMP:
      if (packet.version === 4 && room >= 2) packet.icmpTypeCode = u16(octets, at)
      return
    case ICMPV6:
      if (packet.version === 6 && room >= 2) packet.icmpTypeCode = u16(octets, at)
  }
}
