/** What a Flow Record says of the headers of its packets. */
export interface FlowHeader {
  /** 4 or 16 octets each. */
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
  /** ICMP: type and code. */
  readonly icmpTypeCode: number
  readonly tcpBits: number
  readonly classOfService: number
  readonly ttl: number
  /** IP octets of the packet. */
  readonly octets: number
}

const IPV4_OCTETS = 20
const IPV6_OCTETS = 40
/** Octets of the header behind that of IP, where it begins with what a record tells: ports, or type and code. */
const transportOctets: Readonly<Record<number, number>> = {1: 8, 6: 20, 17: 8, 58: 8, 132: 12}
/** Behind an IPv6 header these are no protocol but another header. RFC 8200 section 4. */
const extensions = new Set([0, 43, 44, 50, 51, 60, 135])

/**
 * The IP header, and the transport header's, of a packet of this Flow. What the record does not tell is 0: identification, sequence
 * numbers, transport checksums.
 *
 * @returns undefined if no packet of so many octets has these headers
 */
export function flowHeader(flow: FlowHeader): Uint8Array | undefined {
  const {source, destination, protocol, octets} = flow
  const six = source.length === 16
  const ip = six ? IPV6_OCTETS : IPV4_OCTETS
  const size = ip + (transportOctets[protocol] ?? 0)
  if (size > octets || octets > 65535 || (six && extensions.has(protocol))) return undefined
  const header = new Uint8Array(size)
  const view = new DataView(header.buffer)
  if (six) {
    view.setUint32(0, (6 << 28) | ((flow.classOfService & 0xff) << 20))
    view.setUint16(4, octets - IPV6_OCTETS)
    view.setUint8(6, protocol)
    view.setUint8(7, flow.ttl)
  } else {
    view.setUint8(0, 0x45)
    view.setUint8(1, flow.classOfService)
    view.setUint16(2, octets)
    view.setUint8(8, flow.ttl)
    view.setUint8(9, protocol)
  }
  header.set(source, six ? 8 : 12)
  header.set(destination, six ? 24 : 16)
  if (!six) view.setUint16(10, checksum(view, IPV4_OCTETS))
  if (protocol === 1 || protocol === 58) view.setUint16(ip, flow.icmpTypeCode)
  else if (size > ip) {
    view.setUint16(ip, flow.sourcePort)
    view.setUint16(ip + 2, flow.destinationPort)
    // Length in words of 32 bits, and the flags.
    if (protocol === 6) view.setUint16(ip + 12, (5 << 12) | (flow.tcpBits & 0xfff))
    if (protocol === 17) view.setUint16(ip + 4, octets - ip)
  }
  return header
}

/** RFC 791 section 3.1. */
function checksum(view: DataView, octets: number): number {
  let sum = 0
  for (let at = 0; at < octets; at += 2) sum += view.getUint16(at)
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff)
  return ~sum & 0xffff
}
