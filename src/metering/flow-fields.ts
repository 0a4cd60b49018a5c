import {VARIABLE} from '../record/element.js'
import {DartaError} from '../record/errors.js'
import {elementByName} from '../registry/lookup.js'
import type {Emit, KeyPart, MeterField, MeterOptions} from './meter.js'

/** Precision of the times in Flow Records. */
export type Precision = 'ms' | 'us' | 'ns'

/** What decides which fields records have. */
export interface FieldRequest {
  readonly emit: Emit
  readonly key: readonly KeyPart[]
  readonly biflow: boolean
  readonly decap: boolean
  readonly precision: Precision
  /** Names of elements, in order, instead of the default ones; for flows only. */
  readonly fields?: readonly string[] | undefined
}

const timeUnits = {ms: 'Milliseconds', us: 'Microseconds', ns: 'Nanoseconds'} as const

/** Elements that are a part of the key, and not in records without it. */
const keyElements: Readonly<Record<string, KeyPart>> = {
  sourceIPv4Address: 'src',
  sourceIPv6Address: 'src',
  destinationIPv4Address: 'dst',
  destinationIPv6Address: 'dst',
  sourceTransportPort: 'srcport',
  destinationTransportPort: 'dstport',
  dot1qVlanId: 'vlan',
  dot1qCustomerVlanId: 'vlan',
  protocolIdentifier: 'proto',
  dartaTunnelDepth: 'tunnel',
}

/** Elements that only one IP version has, and what stands for them in the other. */
const versionTwins: Readonly<Record<string, string>> = {
  sourceIPv4Address: 'sourceIPv6Address',
  destinationIPv4Address: 'destinationIPv6Address',
  icmpTypeCodeIPv4: 'icmpTypeCodeIPv6',
}

/** Octets of the fields. */
const lengths: Readonly<Record<string, number>> = {
  flowStartSeconds: 4,
  flowEndSeconds: 4,
  flowDurationMilliseconds: 4,
  octetDeltaCount: 8,
  packetDeltaCount: 8,
  octetTotalCount: 8,
  packetTotalCount: 8,
  sourceIPv4Address: 4,
  destinationIPv4Address: 4,
  sourceIPv6Address: 16,
  destinationIPv6Address: 16,
  sourceTransportPort: 2,
  destinationTransportPort: 2,
  dot1qVlanId: 2,
  dot1qCustomerVlanId: 2,
  tcpControlBits: 2,
  icmpTypeCodeIPv4: 2,
  icmpTypeCodeIPv6: 2,
  protocolIdentifier: 1,
  ipClassOfService: 1,
  flowEndReason: 1,
  sourceMacAddress: 6,
  destinationMacAddress: 6,
  ingressInterface: 4,
  minimumIpTotalLength: 8,
  maximumIpTotalLength: 8,
  minimumTTL: 1,
  maximumTTL: 1,
  ipVersion: 1,
  flowLabelIPv6: 4,
  mplsTopLabelStackSection: 3,
  fragmentFlags: 1,
  tcpSynTotalCount: 8,
  tcpFinTotalCount: 8,
  tcpRstTotalCount: 8,
  biflowDirection: 1,
  reverseOctetDeltaCount: 8,
  reversePacketDeltaCount: 8,
  reverseTcpControlBits: 2,
  dartaTunnelDepth: 1,
}
for (const unit of Object.values(timeUnits)) {
  for (const edge of ['flowStart', 'flowEnd', 'reverseFlowStart', 'reverseFlowEnd']) {
    Object.assign(lengths, {[edge + unit]: 8})
  }
}

/**
 * The fields of a meter's records, by IP version. docs/METERING.md section 4.
 *
 * @throws DartaError DARTA_ELEMENT_UNKNOWN for a name that no element has, DARTA_USAGE for a field that
 *   the meter cannot fill or a key that cannot be read in both directions
 */
export function meterFields(request: FieldRequest): MeterOptions['fields'] {
  const {emit, fields} = request
  if (fields !== undefined && emit !== 'flows') {
    throw new DartaError('DARTA_USAGE', `the fields of ${emit} cannot be chosen`)
  }
  if (emit === 'pcap') return {v4: [], v6: []}
  if (emit === 'packets') {
    const report = packetReportFields()
    return {v4: report, v6: report}
  }
  if (request.biflow) checkBiflowKey(request.key)
  const names = fields === undefined ? defaultNames(request) : chosenNames(fields, request)
  return {v4: fieldsOf(names, 4), v6: fieldsOf(names, 6)}
}

function packetReportFields(): MeterField[] {
  return [
    {element: elementOf('observationTimeNanoseconds'), length: 8},
    {element: elementOf('selectionSequenceId'), length: 8},
    {element: elementOf('ipTotalLength'), length: 8},
    {element: elementOf('ipHeaderPacketSection'), length: VARIABLE},
  ]
}

/** The default list, with IPv4's elements for those that differ by version. */
function defaultNames({key, biflow, decap, precision}: FieldRequest): string[] {
  const unit = timeUnits[precision]
  const names = [
    `flowStart${unit}`,
    `flowEnd${unit}`,
    'octetDeltaCount',
    'packetDeltaCount',
    'sourceIPv4Address',
    'destinationIPv4Address',
    'sourceTransportPort',
    'destinationTransportPort',
    'dot1qVlanId',
    'dot1qCustomerVlanId',
    'tcpControlBits',
    'icmpTypeCodeIPv4',
    'protocolIdentifier',
    'ipClassOfService',
    'flowEndReason',
  ]
  if (key.includes('srcmac')) names.push('sourceMacAddress')
  if (key.includes('dstmac')) names.push('destinationMacAddress')
  if (key.includes('interface')) names.push('ingressInterface')
  if (biflow) {
    names.push('reverseOctetDeltaCount', 'reversePacketDeltaCount')
    names.push(`reverseFlowStart${unit}`, `reverseFlowEnd${unit}`)
    names.push('reverseTcpControlBits', 'biflowDirection')
  }
  if (decap) names.push('dartaTunnelDepth')
  return names.filter((name) => isInKey(name, key))
}

function isInKey(name: string, key: readonly KeyPart[]): boolean {
  const part = keyElements[name]
  return part === undefined || key.includes(part)
}

function chosenNames(fields: readonly string[], request: FieldRequest): string[] {
  const names = fields.map((field) => elementOf(field).name)
  names.forEach((name, i) => {
    if (names.indexOf(name) !== i) throw usage(name, 'is named twice')
    if (!Object.hasOwn(lengths, name)) throw usage(name, 'is nothing that the meter measures')
    if (!isInKey(name, request.key)) {
      throw usage(name, `needs ${keyElements[name]} in the Flow Key`)
    }
    const directed = name.startsWith('reverse') || name === 'biflowDirection'
    if (directed && !request.biflow) throw usage(name, 'is a field of biflows')
    if (name === 'dartaTunnelDepth' && !request.decap) throw usage(name, 'needs decapsulation')
  })
  for (const version of [4, 6] as const) {
    if (fieldsOf(names, version).length === 0) {
      throw new DartaError('DARTA_USAGE', `no field is left for records of IPv${version}`)
    }
  }
  return names
}

function fieldsOf(names: readonly string[], version: 4 | 6): MeterField[] {
  const own = new Set<string>()
  for (const name of names) {
    const twin = nameFor(name, version)
    if (twin !== undefined) own.add(twin)
  }
  return [...own].map((name) => ({element: elementOf(name), length: lengths[name]}))
}

/** What stands for the element `name` in records of this IP version. */
function nameFor(name: string, version: 4 | 6): string | undefined {
  if (name === 'flowLabelIPv6') return version === 6 ? name : undefined
  for (const [v4, v6] of Object.entries(versionTwins)) {
    if (name === v4 || name === v6) return version === 4 ? v4 : v6
  }
  return name
}

/** RFC 5103 section 4: reverse needs keys with a direction, whole. */
function checkBiflowKey(key: readonly KeyPart[]): void {
  const has = (part: KeyPart): boolean => key.includes(part)
  if (!has('src') || !has('dst')) {
    throw new DartaError('DARTA_USAGE', 'biflows need src and dst in the Flow Key')
  }
  if (has('srcport') !== has('dstport') || has('srcmac') !== has('dstmac')) {
    throw new DartaError(
      'DARTA_USAGE',
      'biflows need both ports, and both MAC addresses, in the Flow Key or neither',
    )
  }
}

function elementOf(name: string): MeterField['element'] {
  const element = elementByName(name)
  if (element === undefined) {
    throw new DartaError('DARTA_ELEMENT_UNKNOWN', `no Information Element is named ${name}`)
  }
  return element
}

function usage(name: string, why: string): DartaError {
  return new DartaError('DARTA_USAGE', `${name} ${why}`)
}
