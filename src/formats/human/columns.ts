import {addressOctets} from '../../record/address.js'
import type {RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import {valueReader} from '../../record/readers.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {addressText, type Value} from '../../record/value.js'
import {elementByName, ie, reverseOf} from '../../registry/lookup.js'
import {durationText, scaled, timeText, visible, type Presentation} from './presentation.js'
import {valueText, type Origin} from './value-text.js'

/** The text of one cell. */
export type Cell = (batch: RecordBatch, index: number) => string

/** One column of a table, or one word of `fmt:`. */
export interface Column {
  readonly heading: string
  readonly align: 'left' | 'right'
  /** Compiled once per Template. */
  cell(template: Template, presentation: Presentation, origin: Origin): Cell
}

type Reading<T> = (batch: RecordBatch, index: number) => T | undefined

/** Reads the first of these elements that the Template has; undefined where it has none. */
function first(
  template: Template,
  ...elements: (InformationElement | undefined)[]
): Reading<Value> {
  for (const element of elements) {
    const field = element === undefined ? -1 : fieldIndex(template, element)
    if (field >= 0) return valueReader(template, field)
  }
  return () => undefined
}

/** The column of one element, as its value is. */
export function elementColumn(element: InformationElement, heading = element.name): Column {
  return plain(heading, isNumeric(element) ? 'right' : 'left', element)
}

function isNumeric({type, name}: InformationElement): boolean {
  return (
    /^(un)?signed|^float/.test(type) &&
    name !== 'protocolIdentifier' &&
    !/[cC]ontrolBits$/.test(name)
  )
}

function plain(
  heading: string,
  align: Column['align'],
  ...elements: (InformationElement | undefined)[]
): Column {
  return {
    heading,
    align,
    cell(template, presentation, origin) {
      const element = elements.find((e) => e !== undefined && fieldIndex(template, e) >= 0)
      const read = first(template, element)
      return (batch, index) =>
        element === undefined ? '-' : valueText(element, read(batch, index), presentation, origin)
    },
  }
}

const startElements = [
  ie.flowStartNanoseconds,
  ie.flowStartMicroseconds,
  ie.flowStartMilliseconds,
  ie.flowStartSeconds,
  ie.observationTimeNanoseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeMilliseconds,
  ie.observationTimeSeconds,
]
const endElements = [
  ie.flowEndNanoseconds,
  ie.flowEndMicroseconds,
  ie.flowEndMilliseconds,
  ie.flowEndSeconds,
]
const nsPer: Readonly<Record<string, bigint>> = {
  dateTimeSeconds: 1_000_000_000n,
  dateTimeMilliseconds: 1_000_000n,
  dateTimeMicroseconds: 1000n,
  dateTimeNanoseconds: 1n,
}

/** Nanoseconds since 1970 of the first of these times that the Template has, and their precision. */
function timeOf(
  template: Template,
  elements: readonly InformationElement[],
): {read: Reading<bigint>; digits: 0 | 3 | 6 | 9} {
  const element = elements.find((e) => fieldIndex(template, e) >= 0)
  if (element === undefined) return sinceBoot(template, elements === endElements)
  const read = first(template, element)
  const scale = nsPer[element.type]
  return {
    digits: ({'1000000000': 0, '1000000': 3, '1000': 6, '1': 9} as const)[String(scale) as '1'],
    read: (batch, index) => {
      const value = read(batch, index)
      return typeof value === 'number' || typeof value === 'bigint'
        ? BigInt(value) * scale
        : undefined
    },
  }
}

/** Times counted from the exporter's start, with its start time in the record. RFC 5102 section 5.9. */
function sinceBoot(template: Template, end: boolean): {read: Reading<bigint>; digits: 3} {
  const up = first(template, end ? ie.flowEndSysUpTime : ie.flowStartSysUpTime)
  const boot = first(template, ie.systemInitTimeMilliseconds)
  return {
    digits: 3,
    read: (batch, index) => {
      const [ms, zero] = [up(batch, index), boot(batch, index)]
      if (typeof ms !== 'number' || typeof zero !== 'number') return undefined
      return BigInt(zero + ms) * 1_000_000n
    },
  }
}

function timeColumn(heading: string, elements: readonly InformationElement[]): Column {
  return {
    heading,
    align: 'left',
    cell(template, {time}, origin) {
      const {read, digits} = timeOf(template, elements)
      const scale = 10n ** BigInt(9 - digits)
      return (batch, index) => {
        const ns = read(batch, index)
        if (ns === undefined) return '-'
        origin.ns ??= ns
        return timeText(ns / scale, digits, time, origin.ns / scale)
      }
    },
  }
}

/** Milliseconds that a Flow lasted. */
function durationOf(template: Template): Reading<number> {
  const stated = first(template, ie.flowDurationMilliseconds)
  const start = timeOf(template, startElements).read
  const end = timeOf(template, endElements).read
  return (batch, index) => {
    const given = stated(batch, index)
    if (typeof given === 'number') return given
    const [from, to] = [start(batch, index), end(batch, index)]
    return from === undefined || to === undefined ? undefined : Number(to - from) / 1e6
  }
}

function counter(heading: string, ...elements: (InformationElement | undefined)[]): Column {
  return {
    heading,
    align: 'right',
    cell(template, {units}) {
      const read = first(template, ...elements)
      return (batch, index) => {
        const value = read(batch, index)
        return typeof value === 'number' || typeof value === 'bigint' ? scaled(value, units) : '-'
      }
    },
  }
}

const octets = [ie.octetDeltaCount, ie.octetTotalCount]
const packets = [ie.packetDeltaCount, ie.packetTotalCount]

/** A quotient of counters and time; nothing where the divisor is 0. */
function rate(
  heading: string,
  over: (template: Template) => Reading<number>,
  under: (template: Template) => Reading<number>,
  factor: number,
): Column {
  return {
    heading,
    align: 'right',
    cell(template, {units}) {
      const above = over(template)
      const below = under(template)
      return (batch, index) => {
        const [a, b] = [above(batch, index), below(batch, index)]
        return a === undefined || b === undefined || b === 0
          ? '-'
          : scaled(Math.round((a * factor) / b), units)
      }
    },
  }
}

const numberOf =
  (elements: readonly InformationElement[]) =>
  (template: Template): Reading<number> => {
    const read = first(template, ...elements)
    return (batch, index) => {
      const value = read(batch, index)
      return value === undefined ? undefined : Number(value)
    }
  }

const source = plain(
  'Source',
  'left',
  ie.sourceIPv4Address,
  ie.sourceIPv6Address,
  ie.sourceIPv4Prefix,
  ie.sourceIPv6Prefix,
  ie.sourceMacAddress,
)
const destination = plain(
  'Destination',
  'left',
  ie.destinationIPv4Address,
  ie.destinationIPv6Address,
  ie.destinationIPv4Prefix,
  ie.destinationIPv6Prefix,
  ie.destinationMacAddress,
)
const sourcePort = plain(
  'Port',
  'right',
  ie.sourceTransportPort,
  ie.udpSourcePort,
  ie.tcpSourcePort,
)
const destinationPort = plain(
  'Port',
  'right',
  ie.destinationTransportPort,
  ie.udpDestinationPort,
  ie.tcpDestinationPort,
)

const natSource = plain(
  'NAT source',
  'left',
  ie.postNATSourceIPv4Address,
  ie.postNATSourceIPv6Address,
)
const natDestination = plain(
  'NAT destination',
  'left',
  ie.postNATDestinationIPv4Address,
  ie.postNATDestinationIPv6Address,
)
const natSourcePort = plain('NAT port', 'right', ie.postNAPTSourceTransportPort)
const natDestinationPort = plain('NAT port', 'right', ie.postNAPTDestinationTransportPort)

/** The network of an address, where its length is known: `192.0.2.0/24`. */
function network(
  heading: string,
  addresses: readonly InformationElement[],
  lengths: readonly InformationElement[],
): Column {
  return {
    heading,
    align: 'left',
    cell(template) {
      const [address, bits] = [first(template, ...addresses), numberOf(lengths)(template)]
      return (batch, index) => {
        const [text, length] = [address(batch, index), bits(batch, index)]
        if (typeof text !== 'string' || length === undefined) return '-'
        const octets = addressOctets(text)
        const masked = octets.map((octet, i) => {
          const kept = Math.max(0, Math.min(8, length - 8 * i))
          return octet & (0xff00 >> kept)
        })
        return `${addressText(masked)}/${length}`
      }
    },
  }
}

/** Type (`shift` 8) or code (0) of ICMP, which NetFlow puts into the destination port. */
function icmpColumn(heading: string, shift: number): Column {
  return {
    heading,
    align: 'right',
    cell(template) {
      const protocol = numberOf([ie.protocolIdentifier])(template)
      const both = numberOf([ie.icmpTypeCodeIPv4, ie.icmpTypeCodeIPv6])(template)
      const port = numberOf([ie.destinationTransportPort])(template)
      return (batch, index) => {
        const ip = protocol(batch, index)
        const said = both(batch, index) ?? (ip === 1 || ip === 58 ? port(batch, index) : undefined)
        return said === undefined ? '-' : String((said >> shift) & 255)
      }
    },
  }
}

/** An entry of the MPLS label stack, from the top: label, traffic class, bottom of stack. RFC 3032 section 2.1. */
function mplsLabel(depth: number): Column {
  const element =
    depth === 1 ? ie.mplsTopLabelStackSection : elementByName(`mplsLabelStackSection${depth}`)
  return {
    heading: `MPLS ${depth}`,
    align: 'right',
    cell(template) {
      const read = first(template, element)
      return (batch, index) => {
        const entry = read(batch, index)
        if (!(entry instanceof Uint8Array) || entry.length !== 3) return '-'
        const label = (entry[0] << 12) | (entry[1] << 4) | (entry[2] >> 4)
        return `${label}-${(entry[2] >> 1) & 7}-${entry[2] & 1}`
      }
    },
  }
}

/** A MAC address has two digits between its colons everywhere. */
function isIpv6(host: string): boolean {
  return host.includes(':') && !/^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(host)
}

/** Address and port in one; the ICMP type and code where there are no ports. */
function endpoint(heading: string, address: Column, port: Column, isDestination: boolean): Column {
  return {
    heading,
    align: 'left',
    cell(template, presentation, origin) {
      const a = address.cell(template, presentation, origin)
      const p = port.cell(template, presentation, origin)
      const protocol = numberOf([ie.protocolIdentifier])(template)
      const icmp = numberOf([ie.icmpTypeCodeIPv4, ie.icmpTypeCodeIPv6])(template)
      return (batch, index) => {
        const host = a(batch, index)
        const ip = protocol(batch, index)
        if (ip === 1 || ip === 58) {
          if (!isDestination) return host
          // NetFlow puts type and code into the destination port.
          const code = icmp(batch, index) ?? Number(p(batch, index))
          return Number.isNaN(code) ? host : `${host} ${code >> 8}.${code & 255}`
        }
        const number = p(batch, index)
        if (number === '-') return host
        return isIpv6(host) ? `[${host}]:${number}` : `${host}:${number}`
      }
    },
  }
}

/** Columns by the words of `fmt:` as nfdump users type them. */
export const columns: Readonly<Record<string, Column>> = {
  ts: timeColumn('First seen', startElements),
  tfs: timeColumn('First seen', startElements),
  te: timeColumn('Last seen', endElements),
  td: {
    heading: 'Duration',
    align: 'right',
    cell(template) {
      const read = durationOf(template)
      return (batch, index) => {
        const ms = read(batch, index)
        return ms === undefined ? '-' : durationText(ms)
      }
    },
  },
  pr: plain('Proto', 'left', ie.protocolIdentifier),
  sa: source,
  da: destination,
  sn: network(
    'Source network',
    [ie.sourceIPv4Prefix, ie.sourceIPv6Prefix, ie.sourceIPv4Address, ie.sourceIPv6Address],
    [ie.sourceIPv4PrefixLength, ie.sourceIPv6PrefixLength],
  ),
  dn: network(
    'Destination network',
    [
      ...[ie.destinationIPv4Prefix, ie.destinationIPv6Prefix],
      ...[ie.destinationIPv4Address, ie.destinationIPv6Address],
    ],
    [ie.destinationIPv4PrefixLength, ie.destinationIPv6PrefixLength],
  ),
  sp: sourcePort,
  dp: destinationPort,
  sap: endpoint('Source', source, sourcePort, false),
  dap: endpoint('Destination', destination, destinationPort, true),
  it: icmpColumn('ICMP type', 8),
  ic: icmpColumn('ICMP code', 0),
  pkt: counter('Packets', ...packets),
  byt: counter('Octets', ...octets),
  ipkt: counter('Packets', ...packets),
  ibyt: counter('Octets', ...octets),
  opkt: counter('Rev packets', ...packets.map(reverseOf)),
  obyt: counter('Rev octets', ...octets.map(reverseOf)),
  fl: {
    heading: 'Flows',
    align: 'right',
    cell(template, {units}) {
      const read = numberOf([ie.deltaFlowCount])(template)
      // A Flow Record that does not say is of one Flow.
      return (batch, index) => scaled(read(batch, index) ?? 1, units)
    },
  },
  flg: plain('Flags', 'left', ie.tcpControlBits),
  tos: plain('Tos', 'right', ie.ipClassOfService),
  stos: plain('Src tos', 'right', ie.ipClassOfService),
  dtos: plain('Dst tos', 'right', ie.postIpClassOfService),
  bps: rate('bps', numberOf(octets), durationOf, 8000),
  pps: rate('pps', numberOf(packets), durationOf, 1000),
  bpp: rate('Bpp', numberOf(octets), numberOf(packets), 1),
  sas: plain('Src AS', 'right', ie.bgpSourceAsNumber),
  das: plain('Dst AS', 'right', ie.bgpDestinationAsNumber),
  nas: plain('Next AS', 'right', ie.bgpNextAdjacentAsNumber),
  pas: plain('Prev AS', 'right', ie.bgpPrevAdjacentAsNumber),
  in: plain('In', 'right', ie.ingressInterface),
  out: plain('Out', 'right', ie.egressInterface),
  svln: plain('Vlan', 'right', ie.dot1qVlanId, ie.vlanId),
  dvln: plain('Vlan out', 'right', ie.postDot1qVlanId, ie.postVlanId),
  smk: plain('SMask', 'right', ie.sourceIPv4PrefixLength, ie.sourceIPv6PrefixLength),
  dmk: plain('DMask', 'right', ie.destinationIPv4PrefixLength, ie.destinationIPv6PrefixLength),
  nh: plain('Next hop', 'left', ie.ipNextHopIPv4Address, ie.ipNextHopIPv6Address),
  nhb: plain('BGP next hop', 'left', ie.bgpNextHopIPv4Address, ie.bgpNextHopIPv6Address),
  ra: plain('Router', 'left', ie.exporterIPv4Address, ie.exporterIPv6Address),
  ismc: plain('Src MAC', 'left', ie.sourceMacAddress),
  idmc: plain('In dst MAC', 'left', ie.destinationMacAddress),
  osmc: plain('Out src MAC', 'left', ie.postSourceMacAddress),
  odmc: plain('Dst MAC', 'left', ie.postDestinationMacAddress, ie.destinationMacAddress),
  lbl: plain('Flow label', 'right', ie.flowLabelIPv6),
  fwd: plain('Fwd', 'right', ie.forwardingStatus),
  opid: plain('Obs point', 'right', ie.observationPointId),
  evt: plain('Event', 'right', ie.firewallEvent, ie.natEvent),
  nevt: plain('NAT event', 'right', ie.natEvent),
  ivrf: plain('In VRF', 'right', ie.ingressVRFID),
  evrf: plain('Out VRF', 'right', ie.egressVRFID),
  xsa: natSource,
  xda: natDestination,
  xsp: natSourcePort,
  xdp: natDestinationPort,
  nsa: natSource,
  nda: natDestination,
  nsp: natSourcePort,
  ndp: natDestinationPort,
  xsap: endpoint('NAT source', natSource, natSourcePort, false),
  xdap: endpoint('NAT destination', natDestination, natDestinationPort, false),
  pbstart: plain('Block start', 'right', ie.portRangeStart),
  pbend: plain('Block end', 'right', ie.portRangeEnd),
  pbstep: plain('Block step', 'right', ie.portRangeStepSize),
  pbsize: plain('Block size', 'right', ie.portRangeNumPorts),
  uname: plain('User', 'left', ie.userName),
  cnt: {
    heading: 'No',
    align: 'right',
    // One count for all Templates of an output: `origin` is made once for each.
    cell: (_template, _presentation, origin) => () => {
      origin.records = (origin.records ?? 0) + 1
      return String(origin.records)
    },
  },
  ...Object.fromEntries(
    Array.from({length: 10}, (_, i) => [`mpls${i + 1}`, mplsLabel(i + 1)] as const),
  ),
  un: plain('User', 'left', ie.userName),
  er: plain('End', 'right', ie.flowEndReason),
  dir: plain('Dir', 'right', ie.flowDirection),
  exp: {
    heading: 'Exporter',
    align: 'left',
    cell: () => (batch) => visible(batch.message.exporter ?? '-'),
  },
  odid: {
    heading: 'Domain',
    align: 'right',
    cell: () => (batch) => String(batch.message.observationDomainId),
  },
  tr: {
    heading: 'Exported',
    align: 'left',
    cell:
      (_template, {time}, origin) =>
      (batch) => {
        const seconds = BigInt(batch.message.exportTime)
        origin.ns ??= seconds * 1_000_000_000n
        return timeText(seconds, 0, time, origin.ns / 1_000_000_000n)
      },
  },
}

/** A word of `fmt:` or an element's name; undefined for neither. */
export function columnByName(name: string): Column | undefined {
  if (Object.hasOwn(columns, name)) return columns[name]
  const element = elementByName(name)
  return element && elementColumn(element)
}

/** Whether records of this Template are of Flows or packets between two ends. */
export function isFlow(template: Template): boolean {
  if (template.scopeCount > 0) return false
  const has = (...elements: InformationElement[]): boolean =>
    elements.some((element) => fieldIndex(template, element) >= 0)
  return (
    has(ie.sourceIPv4Address, ie.sourceIPv6Address) &&
    has(ie.destinationIPv4Address, ie.destinationIPv6Address) &&
    has(...octets, ...packets)
  )
}

export function isBiflow(template: Template): boolean {
  return [...packets, ...octets].some((element) => {
    const twin = reverseOf(element)
    return twin !== undefined && fieldIndex(template, twin) >= 0
  })
}
