import type {Time} from './time.js'

/** VLAN ids that are compared of a stack. */
export const MAX_VLANS = 4

/** What stands between the start of a frame and its IP header. */
export interface Layers {
  /** VLAN tags met; only the ids of the first MAX_VLANS are kept. */
  vlanCount: number
  /** VLAN ids, outermost first. */
  readonly vlans: number[]
  /** Label, Exp and S of the first MPLS label met (24 bits); undefined without. */
  mplsLabel: number | undefined
  /** Ethertypes looked up so far. */
  lookups: number
  /** Why there is no IP header to be metered. */
  refusal: string
}

/**
 * What was found of the metered IP packet. Positions are indices of `octets`. The same object serves
 * every frame.
 */
export interface Packet {
  octets: Uint8Array
  /** Start of the IP header, and end of the IP packet as captured. */
  start: number
  end: number
  time: Readonly<Time>
  interfaceIndex: number
  /** Where the frame's Ethernet header begins (destination, then source address); −1: none. */
  macs: number
  readonly layers: Layers
  /** Tunnel headers before this IP header, 0..8. */
  tunnelDepth: number
  version: 4 | 6
  /** IP total length, 0 upward: what octetDeltaCount sums. */
  ipOctets: number
  source: number
  destination: number
  /** Octets of an address, 4 or 16. */
  addressOctets: number
  protocol: number
  /** Type of service or traffic class. */
  classOfService: number
  /** Time to live or hop limit. */
  ttl: number
  /** 0 in IPv4. */
  flowLabel: number
  /** As the element of this name: 0x80 reserved, 0x40 DF, 0x20 MF. */
  fragmentFlags: number
  fragment: boolean
  /** In 8 octets; 0 for the first fragment and for whole packets. */
  fragmentOffset: number
  /** Where the identification is (2 octets in IPv4, 4 in IPv6); only of fragments. */
  identification: number
  /** First octet behind the headers of IP; the payload is empty if `payload >= end`. */
  payload: number
  sourcePort: number
  destinationPort: number
  /** TCP control bits, 12 bits; 0 for all else. */
  tcpBits: number
  /** Type × 256 + code of ICMP or ICMPv6; 0 for all else. */
  icmpTypeCode: number
}

export const TCP_FIN = 0x01
export const TCP_SYN = 0x02
export const TCP_RST = 0x04
export const TCP_ACK = 0x10

export function createLayers(): Layers {
  return {vlanCount: 0, vlans: [0, 0, 0, 0], mplsLabel: undefined, lookups: 0, refusal: ''}
}

export function clearLayers(layers: Layers): void {
  layers.vlanCount = 0
  layers.vlans.fill(0)
  layers.mplsLabel = undefined
  layers.lookups = 0
}

export function createPacket(): Packet {
  return {
    octets: new Uint8Array(0),
    start: 0,
    end: 0,
    time: {ms: 0, ns: 0},
    interfaceIndex: 0,
    macs: -1,
    layers: createLayers(),
    tunnelDepth: 0,
    version: 4,
    ipOctets: 0,
    source: 0,
    destination: 0,
    addressOctets: 4,
    protocol: 0,
    classOfService: 0,
    ttl: 0,
    flowLabel: 0,
    fragmentFlags: 0,
    fragment: false,
    fragmentOffset: 0,
    identification: 0,
    payload: 0,
    sourcePort: 0,
    destinationPort: 0,
    tcpBits: 0,
    icmpTypeCode: 0,
  }
}
