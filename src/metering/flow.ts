import {u16, u32} from './octets.js'
import {MAX_VLANS, TCP_FIN, TCP_RST, TCP_SYN, type Packet} from './packet.js'
import {isLater, setTime, type Time} from './time.js'

/** What is counted of the packets of one direction of a Flow. */
export interface Direction {
  /** Least and greatest packet time. */
  readonly start: Time
  readonly end: Time
  packets: number
  /** Σ IP total length. */
  octets: number
  /** Union of TCP control bits. */
  tcpBits: number
  minimumLength: number
  maximumLength: number
  minimumTtl: number
  maximumTtl: number
  fragmentFlags: number
  synPackets: number
  finPackets: number
  rstPackets: number
}

/** What the first packet of a Flow said. */
export interface FirstPacket {
  readonly version: 4 | 6
  /** Source, then destination. */
  readonly addresses: Uint8Array
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
  readonly icmpTypeCode: number
  readonly classOfService: number
  readonly flowLabel: number
  /** Outermost two VLAN ids, 0 where there is none. */
  readonly vlan: number
  readonly customerVlan: number
  readonly mplsLabel: number
  /** 48 bits; 0 without Ethernet. */
  readonly sourceMac: number
  readonly destinationMac: number
  readonly interfaceIndex: number
  readonly tunnelDepth: number
}

export interface Flow {
  readonly key: string
  /** Whether the first packet's direction is the one in which the key is not written. */
  readonly turned: boolean
  /** Counts up with every Flow made. */
  readonly made: number
  readonly first: FirstPacket
  readonly forward: Direction
  /** Present once the other direction saw a packet. */
  reverse: Direction | undefined
  /** Least and greatest time of both directions. */
  readonly start: Time
  readonly end: Time
  /** How TCP ended the Flow, if it did. */
  ended: 'fin' | 'rst' | undefined
  /** For the heap: place in it, and a moment not after the Flow's deadline. */
  place: number
  readonly due: Time
}

export function createFlow(key: string, turned: boolean, made: number, packet: Packet): Flow {
  const {time} = packet
  return {
    key,
    turned,
    made,
    first: copyFirst(packet),
    forward: createDirection(time),
    reverse: undefined,
    start: {...time},
    end: {...time},
    ended: undefined,
    place: -1,
    due: {...time},
  }
}

function copyFirst(packet: Packet): FirstPacket {
  const {octets, source, addressOctets, macs, layers} = packet
  return {
    version: packet.version,
    // Destination follows source in the headers of both versions.
    addresses: octets.slice(source, source + 2 * addressOctets),
    protocol: packet.protocol,
    sourcePort: packet.sourcePort,
    destinationPort: packet.destinationPort,
    icmpTypeCode: packet.icmpTypeCode,
    classOfService: packet.classOfService,
    flowLabel: packet.flowLabel,
    vlan: layers.vlans[0],
    customerVlan: layers.vlans[1],
    mplsLabel: layers.mplsLabel ?? 0,
    sourceMac: macs < 0 ? 0 : readMac(octets, macs + 6),
    destinationMac: macs < 0 ? 0 : readMac(octets, macs),
    interfaceIndex: packet.interfaceIndex,
    tunnelDepth: packet.tunnelDepth,
  }
}

function readMac(octets: Uint8Array, at: number): number {
  return u16(octets, at) * 2 ** 32 + u32(octets, at + 2)
}

function createDirection(time: Readonly<Time>): Direction {
  return {
    start: {...time},
    end: {...time},
    packets: 0,
    octets: 0,
    tcpBits: 0,
    minimumLength: Infinity,
    maximumLength: 0,
    minimumTtl: 255,
    maximumTtl: 0,
    fragmentFlags: 0,
    synPackets: 0,
    finPackets: 0,
    rstPackets: 0,
  }
}

/** Counts a packet whose key is written `turned` or not. */
export function addPacket(flow: Flow, turned: boolean, packet: Packet): void {
  const {time} = packet
  widen(flow, time)
  if (turned === flow.turned) count(flow.forward, packet)
  else count((flow.reverse ??= createDirection(time)), packet)
}

/** Extends start or end to `time`. */
function widen(span: {start: Time; end: Time}, time: Readonly<Time>): void {
  if (isLater(time, span.end)) setTime(span.end, time)
  else if (isLater(span.start, time)) setTime(span.start, time)
}

function count(direction: Direction, packet: Packet): void {
  widen(direction, packet.time)
  direction.packets++
  direction.octets += packet.ipOctets
  if (packet.ipOctets < direction.minimumLength) direction.minimumLength = packet.ipOctets
  if (packet.ipOctets > direction.maximumLength) direction.maximumLength = packet.ipOctets
  if (packet.ttl < direction.minimumTtl) direction.minimumTtl = packet.ttl
  if (packet.ttl > direction.maximumTtl) direction.maximumTtl = packet.ttl
  direction.fragmentFlags |= packet.fragmentFlags
  const {tcpBits} = packet
  if (tcpBits === 0) return
  direction.tcpBits |= tcpBits
  if (tcpBits & TCP_SYN) direction.synPackets++
  if (tcpBits & TCP_FIN) direction.finPackets++
  if (tcpBits & TCP_RST) direction.rstPackets++
}

/** Whether the packets seen so far end the Flow: RST, else FIN of each direction that there may be. */
export function tcpEnd(flow: Flow, biflow: boolean): 'fin' | 'rst' | undefined {
  const {forward, reverse} = flow
  if (forward.rstPackets > 0 || (reverse !== undefined && reverse.rstPackets > 0)) return 'rst'
  const closed = forward.finPackets > 0 && (!biflow || (reverse?.finPackets ?? 0) > 0)
  return closed ? 'fin' : undefined
}

/** Ids of the VLAN stack that are part of the key: how many, then four places. */
export const VLAN_KEY_OCTETS = 1 + 2 * MAX_VLANS
