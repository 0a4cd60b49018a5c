import type {Frame} from '../../src/metering/capture-file.js'
import {createDissector, type Dissector} from '../../src/metering/dissect.js'
import type {Packet} from '../../src/metering/packet.js'

export interface FrameParts {
  readonly linkType?: number
  /** Octets on the wire; as many as captured if absent. */
  readonly original?: number
}

/** What is compared of a dissected frame: values where the packet has positions. */
export interface Dissected {
  readonly version: number
  readonly src: string
  readonly dst: string
  readonly protocol: number
  readonly sport: number
  readonly dport: number
  readonly ipOctets: number
  readonly tcpBits: number
  readonly icmp: number
  readonly tos: number
  readonly ttl: number
  readonly flowLabel: number
  readonly fragmentFlags: number
  readonly vlans: readonly number[]
  readonly vlanCount: number
  readonly mpls: number | undefined
  /** Source, then destination; empty without Ethernet header. */
  readonly macs: string
  readonly depth: number
  /** The IP packet as captured. */
  readonly section: string
}

/** Dissects frames one after another; the text is why one is not metered. */
export interface Bench {
  /** Packet time, milliseconds; `see` moves the clock there. */
  readonly clock: {ms: number; ns: number}
  readonly see: (octets: Uint8Array, parts?: FrameParts) => Dissected | string
}

export function createBench(decap = false): Bench {
  const clock = {ms: 0, ns: 0}
  const dissector: Dissector = createDissector(decap, clock)
  return {
    clock,
    see(octets, {linkType = 1, original = octets.length} = {}) {
      // A frame stands somewhere in a chunk; what is around it must not be read.
      const around = new Uint8Array(octets.length + 64).fill(0x45)
      around.set(octets, 32)
      const frame: Frame = {
        octets: around,
        start: 32,
        end: 32 + octets.length,
        originalLength: original,
        time: {...clock},
        linkType,
        interfaceIndex: 0,
        offset: 0,
      }
      const result = dissector.dissect(frame)
      if (result !== 'metered') return `${result}: ${dissector.refusal()}`
      return describe(dissector.packet)
    },
  }
}

/** Dissects one frame. */
export function dissect(
  octets: Uint8Array,
  parts: FrameParts & {readonly decap?: boolean} = {},
): Dissected | string {
  return createBench(parts.decap).see(octets, parts)
}

function describe(packet: Packet): Dissected {
  const text = (at: number, count: number): string =>
    Buffer.from(packet.octets.subarray(at, at + count)).toString('hex')
  const {layers, macs} = packet
  return {
    version: packet.version,
    src: text(packet.source, packet.addressOctets),
    dst: text(packet.destination, packet.addressOctets),
    protocol: packet.protocol,
    sport: packet.sourcePort,
    dport: packet.destinationPort,
    ipOctets: packet.ipOctets,
    tcpBits: packet.tcpBits,
    icmp: packet.icmpTypeCode,
    tos: packet.classOfService,
    ttl: packet.ttl,
    flowLabel: packet.flowLabel,
    fragmentFlags: packet.fragmentFlags,
    vlans: layers.vlans.slice(0, layers.vlanCount),
    vlanCount: layers.vlanCount,
    mpls: layers.mplsLabel,
    macs: macs < 0 ? '' : text(macs + 6, 6) + text(macs, 6),
    depth: packet.tunnelDepth,
    section: text(packet.start, packet.end - packet.start),
  }
}
