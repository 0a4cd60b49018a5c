import {createRecordBuilder} from '../../../src/record/record-writer.js'
import {createTemplate} from '../../../src/record/template.js'
import {elementByName, ie, reverseOf} from '../../../src/registry/lookup.js'
import {numbers} from '../../ipfix/generate.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import type {InformationElement} from '../../../src/record/element.js'
import type {Value} from '../../../src/record/value.js'

/** When the first of the flows began; each begins in a millisecond of its own, which is its name. */
export const FIRST = 1_700_000_000_000

const common: readonly (readonly [InformationElement, number])[] = [
  [ie.flowStartMilliseconds, 8],
  [ie.flowEndMilliseconds, 8],
  [ie.sourceTransportPort, 2],
  [ie.destinationTransportPort, 2],
  [ie.protocolIdentifier, 1],
  [ie.tcpControlBits, 2],
  [ie.ipClassOfService, 1],
  [ie.packetDeltaCount, 8],
  [ie.octetDeltaCount, 8],
  [reverseOf(ie.packetDeltaCount)!, 8],
  [reverseOf(ie.octetDeltaCount)!, 8],
  [ie.ingressInterface, 4],
  [ie.egressInterface, 4],
  [ie.bgpSourceAsNumber, 4],
  [ie.bgpDestinationAsNumber, 4],
  [ie.vlanId, 2],
  [ie.postVlanId, 2],
  [ie.sourceMacAddress, 6],
  [ie.postDestinationMacAddress, 6],
  [ie.flowDirection, 1],
]
const addresses = [
  [ie.sourceIPv4Address, ie.destinationIPv4Address, ie.ipNextHopIPv4Address],
  [ie.sourceIPv6Address, ie.destinationIPv6Address, ie.ipNextHopIPv6Address],
]
const prefixes = [
  [ie.sourceIPv4PrefixLength, ie.destinationIPv4PrefixLength],
  [ie.sourceIPv6PrefixLength, ie.destinationIPv6PrefixLength],
]
const templates = [0, 1].map((family) =>
  createTemplate(256 + family, [
    ...common.map(([element, length]) => ({element, length})),
    ...addresses[family].map((element) => ({element, length: family === 0 ? 4 : 16})),
    ...prefixes[family].map((element) => ({element, length: 1})),
  ]),
)

/** Few different values of each kind, so that every test of one holds for some flows and not for others. */
const pools = {
  v4: ['10.0.0.1', '10.0.0.2', '10.1.2.3', '172.16.5.4', '192.168.1.1', '198.51.100.7', '8.8.8.8'],
  v6: ['2001:db8::1', '2001:db8::2', '2001:db8:1::1', 'fe80::1', '2606:4700::1111'],
  ports: [22, 53, 80, 123, 443, 443, 1024, 8080, 40000, 50001, 65535, 0],
  protocols: [6, 6, 6, 17, 17, 1, 47, 50],
  flags: [0, 2, 18, 16, 24, 27, 4, 20, 63, 194],
  tos: [0, 0, 8, 46 << 2, 255, 3],
  interfaces: [0, 1, 2, 3, 17],
  systems: [0, 1, 64496, 64497, 4200000000],
  vlans: [0, 1, 10, 100, 4094],
  macs: ['00:00:5e:00:53:01', '00:00:5e:00:53:02', '02:00:00:00:00:ff'],
  durations: [0, 1, 10, 999, 1000, 5000, 60_000],
  packets: [1, 1, 2, 3, 10, 100, 1000, 1024, 70_000],
} as const

/** `count` flows in batches of one Template, up to `perBatch` records each, the same for the same count. */
export function nfdumpFlows(count: number, perBatch = 7): RecordBatch[] {
  const below = numbers(7)
  const pick = <T>(pool: readonly T[]): T => pool[below(pool.length)]
  const builders = templates.map((template) => createRecordBuilder(template))
  const batches: RecordBatch[] = []
  const take = (family: number): void => {
    const batch = builders[family].take({
      exportTime: FIRST / 1000 + 100,
      sequenceNumber: 0,
      observationDomainId: 7,
      offset: 0,
    })
    if (batch !== undefined) batches.push(batch)
  }
  for (let i = 0; i < count; i++) {
    const family = below(3) === 0 ? 1 : 0
    const pool = family === 0 ? pools.v4 : pools.v6
    const protocol = pick(pools.protocols)
    const start = FIRST + i
    const packets = pick(pools.packets)
    const back = below(2) === 0 ? 0 : pick(pools.packets)
    const values: Value[] = [
      start,
      start + pick(pools.durations),
      protocol === 1 ? 0 : pick(pools.ports),
      protocol === 1 ? pick([0, 2048, 771, 2816]) : pick(pools.ports),
      protocol,
      protocol === 6 ? pick(pools.flags) : 0,
      pick(pools.tos),
      packets,
      packets * pick([40, 64, 100, 576, 1500]),
      back,
      back * pick([40, 64, 1500]),
      pick(pools.interfaces),
      pick(pools.interfaces),
      pick(pools.systems),
      pick(pools.systems),
      pick(pools.vlans),
      pick(pools.vlans),
      pick(pools.macs),
      pick(pools.macs),
      below(2),
      pick(pool),
      pick(pool),
      pick(pool),
      ...(family === 0
        ? [pick([8, 16, 24]), pick([8, 16, 32])]
        : [pick([32, 48]), pick([64, 128])]),
    ]
    builders[family].add(values)
    if (builders[family].count === perBatch) take(family)
  }
  take(0)
  take(1)
  return batches
}

/** The same flows without counters of the way back. */
export function withoutReverse(batch: RecordBatch): RecordBatch {
  const template = createTemplate(
    batch.template.id,
    batch.template.fields.map(({element, length}) => ({
      element: element.enterpriseNumber === 29305 ? ie.paddingOctets : element,
      length,
    })),
  )
  return {...batch, template}
}

const label = (number: number, exp: number, bottom: boolean): Uint8Array =>
  Uint8Array.of(number >> 12, number >> 4, ((number & 15) << 4) | (exp << 1) | (bottom ? 1 : 0))

const rare = createTemplate(
  258,
  (
    [
      [ie.flowStartMilliseconds, 8],
      [ie.flowEndMilliseconds, 8],
      [ie.sourceIPv4Address, 4],
      [ie.destinationIPv4Address, 4],
      [ie.sourceTransportPort, 2],
      [ie.destinationTransportPort, 2],
      [ie.protocolIdentifier, 1],
      [ie.packetDeltaCount, 8],
      [ie.octetDeltaCount, 8],
      [ie.bgpNextHopIPv4Address, 4],
      [ie.bgpPrevAdjacentAsNumber, 4],
      [ie.bgpNextAdjacentAsNumber, 4],
      [ie.forwardingStatus, 1],
      [ie.mplsTopLabelStackSection, 3],
      [elementByName('mplsLabelStackSection2')!, 3],
      [elementByName('mplsLabelStackSection3')!, 3],
      [ie.natEvent, 1],
      [ie.postNATSourceIPv4Address, 4],
      [ie.postNATDestinationIPv4Address, 4],
      [ie.postNAPTSourceTransportPort, 2],
      [ie.postNAPTDestinationTransportPort, 2],
      [ie.ingressVRFID, 4],
      [ie.egressVRFID, 4],
      [ie.portRangeStart, 2],
      [ie.portRangeEnd, 2],
      [ie.portRangeStepSize, 2],
      [ie.portRangeNumPorts, 2],
      [ie.observationDomainId, 4],
      [ie.observationPointId, 8],
    ] as const
  ).map(([element, length]) => ({element, length})),
)

/** Flows with what few exporters tell: labels, translations, virtual routers. */
export function nfdumpRareFlows(count: number, perBatch = 7): RecordBatch[] {
  const below = numbers(11)
  const pick = <T>(pool: readonly T[]): T => pool[below(pool.length)]
  const builder = createRecordBuilder(rare)
  const batches: RecordBatch[] = []
  const take = (): void => {
    const message = {exportTime: FIRST / 1000 + 100, sequenceNumber: 0, observationDomainId: 7}
    const batch = builder.take({...message, offset: 0})
    if (batch !== undefined) batches.push(batch)
  }
  for (let i = 0; i < count; i++) {
    const depth = below(3)
    const labels = [0, 1, 2].map((entry) =>
      entry > depth
        ? Uint8Array.of(0, 0, 0)
        : label(pick([16, 17, 4095, 1048575]), below(8), entry === depth),
    )
    const begin = pick([0, 1024, 40000])
    builder.add([
      FIRST + i,
      FIRST + i + pick(pools.durations),
      pick(pools.v4),
      pick(pools.v4),
      pick(pools.ports),
      pick(pools.ports),
      pick([6, 17]),
      pick(pools.packets),
      1500,
      pick(pools.v4),
      pick(pools.systems),
      pick(pools.systems),
      pick([0, 64, 65, 66, 128, 129, 131, 192]),
      ...labels,
      below(3),
      pick(pools.v4),
      pick(pools.v4),
      pick(pools.ports),
      pick(pools.ports),
      below(4),
      below(4),
      begin,
      begin + pick([0, 63, 20000]),
      pick([1, 64]),
      pick([1, 64, 512]),
      pick([7, 8]),
      pick([1, 2, 3]),
    ])
    if (builder.count === perBatch) take()
  }
  take()
  return batches
}
