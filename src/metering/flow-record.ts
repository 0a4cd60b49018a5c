import {DartaError} from '../record/errors.js'
import {toNtp} from '../record/value.js'
import type {Direction, FirstPacket, Flow} from './flow.js'
import type {MeterField} from './meter.js'
import {putUnsigned, type OutputBuffer} from './output.js'
import {nanoseconds, type Time} from './time.js'

/** Writes one field of a record at `at`. */
type PutField = (buffer: OutputBuffer, at: number, flow: Flow, reason: number) => void

/** Writes Flow Records of one Template. docs/METERING.md section 4. */
export interface FlowWriter {
  /** Octets of a record. */
  readonly octets: number
  write(buffer: OutputBuffer, flow: Flow, reason: number): void
}

/** @throws DartaError DARTA_USAGE for a field that a Flow cannot fill */
export function createFlowWriter(fields: readonly MeterField[]): FlowWriter {
  const puts: {put: PutField; offset: number}[] = []
  let octets = 0
  for (const {element, length} of fields) {
    puts.push({put: putterOf(element.name, length), offset: octets})
    octets += length
  }
  return {
    octets,
    write(buffer, flow, reason) {
      for (const {put, offset} of puts) put(buffer, buffer.at + offset, flow, reason)
      buffer.at += octets
    },
  }
}

const NOT_SEEN: Direction = {
  start: {ms: 0, ns: 0},
  end: {ms: 0, ns: 0},
  packets: 0,
  octets: 0,
  tcpBits: 0,
  minimumLength: 0,
  maximumLength: 0,
  minimumTtl: 0,
  maximumTtl: 0,
  fragmentFlags: 0,
  synPackets: 0,
  finPackets: 0,
  rstPackets: 0,
}

/** Numbers that are counted of one direction. */
const counters: Readonly<Record<string, (direction: Direction) => number>> = {
  octetDeltaCount: (d) => d.octets,
  octetTotalCount: (d) => d.octets,
  packetDeltaCount: (d) => d.packets,
  packetTotalCount: (d) => d.packets,
  tcpControlBits: (d) => d.tcpBits,
  minimumIpTotalLength: (d) => d.minimumLength,
  maximumIpTotalLength: (d) => d.maximumLength,
  minimumTTL: (d) => d.minimumTtl,
  maximumTTL: (d) => d.maximumTtl,
  fragmentFlags: (d) => d.fragmentFlags,
  tcpSynTotalCount: (d) => d.synPackets,
  tcpFinTotalCount: (d) => d.finPackets,
  tcpRstTotalCount: (d) => d.rstPackets,
  flowDurationMilliseconds: (d) => d.end.ms - d.start.ms - (d.end.ns < d.start.ns ? 1 : 0),
}

/** Numbers of the first packet. */
const properties: Readonly<Record<string, (first: FirstPacket) => number>> = {
  sourceTransportPort: (f) => f.sourcePort,
  destinationTransportPort: (f) => f.destinationPort,
  dot1qVlanId: (f) => f.vlan,
  dot1qCustomerVlanId: (f) => f.customerVlan,
  icmpTypeCodeIPv4: (f) => f.icmpTypeCode,
  icmpTypeCodeIPv6: (f) => f.icmpTypeCode,
  protocolIdentifier: (f) => f.protocol,
  ipClassOfService: (f) => f.classOfService,
  ipVersion: (f) => f.version,
  sourceMacAddress: (f) => f.sourceMac,
  destinationMacAddress: (f) => f.destinationMac,
  ingressInterface: (f) => f.interfaceIndex,
  flowLabelIPv6: (f) => f.flowLabel,
  mplsTopLabelStackSection: (f) => f.mplsLabel,
  dartaTunnelDepth: (f) => f.tunnelDepth,
  biflowDirection: () => 1, // initiator: the first packet's. RFC 5103 section 6.3
}

/** Where the IP addresses begin in what a Flow keeps of them. */
const addresses: Readonly<Record<string, number>> = {
  sourceIPv4Address: 0,
  sourceIPv6Address: 0,
  destinationIPv4Address: 4,
  destinationIPv6Address: 16,
}

function putterOf(name: string, length: number): PutField {
  if (name === 'flowEndReason') {
    return ({view}, at, _flow, reason) => putUnsigned(view, at, length, reason)
  }
  const from = addresses[name]
  if (from !== undefined) {
    return ({octets}, at, {first}) => {
      for (let i = 0; i < length; i++) octets[at + i] = first.addresses[from + i]
    }
  }
  const property = properties[name]
  if (property !== undefined) {
    return ({view}, at, {first}) => putUnsigned(view, at, length, property(first))
  }
  // What is left has a direction.
  const reverse = name.startsWith('reverse')
  const forwardName = reverse ? name[7].toLowerCase() + name.slice(8) : name
  const directionOf = (flow: Flow): Direction =>
    reverse ? (flow.reverse ?? NOT_SEEN) : flow.forward
  const counter = counters[forwardName]
  if (counter !== undefined) {
    return ({view}, at, flow) => putUnsigned(view, at, length, counter(directionOf(flow)))
  }
  const [, edge, unit] = /^flow(Start|End)(\w+)$/.exec(forwardName) ?? []
  if (!isTimeUnit(unit)) throw new DartaError('DARTA_USAGE', `Flows have no ${name}`)
  const isStart = edge === 'Start'
  return ({view}, at, flow) => {
    const {start, end} = directionOf(flow)
    putTime(view, at, unit, isStart ? start : end)
  }
}

type TimeUnit = 'Seconds' | 'Milliseconds' | 'Microseconds' | 'Nanoseconds'

function isTimeUnit(unit: string | undefined): unit is TimeUnit {
  return ['Seconds', 'Milliseconds', 'Microseconds', 'Nanoseconds'].includes(unit ?? '')
}

/** Writes a time as the data type of this unit, cut off. RFC 7011 sections 6.1.7 to 6.1.10. */
export function putTime(view: DataView, at: number, unit: TimeUnit, time: Readonly<Time>): void {
  if (unit === 'Seconds') view.setUint32(at, Math.floor(time.ms / 1000))
  else if (unit === 'Milliseconds') putUnsigned(view, at, 8, time.ms)
  else {
    const ns = nanoseconds(time)
    const [seconds, fraction] =
      unit === 'Nanoseconds' ? toNtp(ns, 1000000000n) : toNtp(ns / 1000n, 1000000n)
    view.setUint32(at, seconds)
    view.setUint32(at + 4, fraction)
  }
}
