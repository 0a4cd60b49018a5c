import type {GroupRow} from '../../../record/group-row.js'
import type {GroupSpec} from '../../../record/group-spec.js'
import {ie} from '../../../registry/elements.js'
import {packetsColumn} from '../../../registry/flow-columns.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {createObservers, observerParts, observerText, octetText, whyOption} from '../findings.js'
import {eachGroup} from '../group-rows.js'
import {createDigests} from '../packet-digest.js'
import {observerFilter, oneOf} from '../record-filters.js'
import type {ResultRecord} from '../result-records.js'
import {byDomain, createTableSet, tableState} from '../table-set.js'

/** When a packet was seen, or the first of a Flow, best precision first. */
const times = [
  ie.observationTimeNanoseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeMilliseconds,
  ie.flowStartNanoseconds,
  ie.flowStartMicroseconds,
  ie.flowStartMilliseconds,
]

export default defineApp({
  summary: 'One-way delay and loss between observation points, from packet digests or from Flows',
  options: {
    minMatched: {
      kind: 'number',
      min: 1,
      max: 1_000_000_000,
      default: 1,
      summary: 'Fewest packets or Flows seen at both points that say anything.',
    },
    ...whyOption,
  },
  prepare: ({minMatched, why}): Analysis => ({
    needs: [
      [ie.digestHashValue, ie.sourceIPv4Address, ie.sourceIPv6Address, ie.ipHeaderPacketSection],
      times,
    ],
    uses: [
      ie.destinationIPv4Address,
      ie.destinationIPv6Address,
      ie.protocolIdentifier,
      ie.sourceTransportPort,
      ie.destinationTransportPort,
      ...packetsColumn.elements,
    ],
    routingKey: {
      key: [
        {elements: [ie.digestHashValue], optional: true},
        {...flowKey('srcip'), optional: true},
        {...flowKey('dstip'), optional: true},
      ],
    },
    splittable: false,
    createState: (limits) => createState(minMatched, why, limits),
  }),
})

const identity = [
  {elements: [ie.digestHashValue], optional: true},
  {...flowKey('srcip'), optional: true},
  {...flowKey('dstip'), optional: true},
  {...flowKey('proto'), optional: true},
  {...flowKey('srcport'), optional: true},
  {...flowKey('dstport'), optional: true},
]
const OBSERVER = identity.length
const TIME = OBSERVER + observerParts.length
/** Every time is a row of its own: sums would not have its precision. */
const spec: GroupSpec = {
  key: [...identity, ...observerParts, {elements: times}],
  columns: [packetsColumn],
}

/** What one point saw of one packet or Flow. */
interface Sight {
  /** Nanoseconds since 1970, the first. */
  time: bigint
  packets: number
  sights: number
}

function createState(minMatched: number, why: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([spec], limits)
  /** What selects the records of each observation point. */
  const filters = new Map<string, string>()

  /** By observation point: what it saw, by packet or Flow. */
  function sights(): Map<string, Map<string, Sight>> {
    const points = new Map<string, Map<string, Sight>>()
    for (const domain of tables.names()) {
      tables.of(domain)[0].eachRow((row) => {
        const who = [domain, row.part(OBSERVER), row.part(OBSERVER + 1)] as const
        const point = observerText(...who)
        let seen = points.get(point)
        if (seen === undefined) {
          points.set(point, (seen = new Map<string, Sight>()))
          if (why) filters.set(point, observerFilter(...who))
        }
        const name = identityOf(row)
        const time = nanoseconds(row)
        const known = seen.get(name)
        if (known === undefined) seen.set(name, {time, packets: row.number(0), sights: 1})
        else {
          known.sights++
          known.packets += row.number(0)
          if (time < known.time) known.time = time
        }
      })
    }
    return points
  }

  function countObservers(): number {
    const observers = createObservers()
    for (const domain of tables.names()) {
      eachGroup(tables.of(domain)[0], (shape, rows, at) => {
        observers.numberOf(domain, shape, OBSERVER, rows, at)
      })
    }
    return observers.names.length
  }

  function* records(): Iterable<ResultRecord> {
    // With one point there is nothing to compare, which is dear to find out from its packets.
    if (countObservers() < 2) return
    const points = [...sights()].sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [i, [one, ofOne]] of points.entries()) {
      for (const [other, ofOther] of points.slice(i + 1)) {
        const row = comparison(one, ofOne, other, ofOther)
        if (row !== undefined) yield row
      }
    }
  }

  function comparison(
    one: string,
    ofOne: ReadonlyMap<string, Sight>,
    other: string,
    ofOther: ReadonlyMap<string, Sight>,
  ): ResultRecord | undefined {
    const delays: bigint[] = []
    for (const [name, sight] of ofOne) {
      const twin = ofOther.get(name)
      if (twin !== undefined) delays.push(twin.time - sight.time)
    }
    if (delays.length < minMatched) return undefined
    const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
    delays.sort(compare)
    // Time goes forward: the point that saw most of them later is the second.
    const turned = delays[Math.floor((delays.length - 1) / 2)] < 0n
    const sorted = turned ? delays.map((delay) => -delay).reverse() : delays
    const at = (part: number): bigint => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]
    const [from, to] = turned ? [ofOther, ofOne] : [ofOne, ofOther]
    return {
      fields: [
        [ie.dartaObserver, turned ? other : one],
        [ie.dartaOtherObserver, turned ? one : other],
        [ie.dartaMatchedCount, sorted.length],
        [ie.dartaLostPackets, lost(from, to)],
        [ie.dartaDelayMinimumNanoseconds, sorted[0]],
        [ie.dartaDelayMedianNanoseconds, at(0.5)],
        [ie.dartaDelayHighNanoseconds, at(0.95)],
        [ie.dartaDelayMaximumNanoseconds, sorted[sorted.length - 1]],
        ...(why
          ? [[ie.dartaFilter, oneOf([one, other].map((point) => filters.get(point)!))] as const]
          : []),
      ],
    }
  }

  const state = tableState(tables, byDomain, records)
  const digest = createDigests([...times, ...observerParts.flatMap(({elements}) => elements)])
  return {...state, add: (batches) => state.add(batches.map(digest))}
}

/**
 * Packets that did not arrive. A digest is one packet, which arrived or did not; of Flows only those count that the second point
 * saw too, since others may have taken another way.
 */
function lost(from: ReadonlyMap<string, Sight>, to: ReadonlyMap<string, Sight>): number {
  let packets = 0
  for (const [name, {packets: sent, sights}] of from) {
    const twin = to.get(name)
    if (name.startsWith('d')) packets += Math.max(0, sights - (twin?.sights ?? 0))
    else if (twin !== undefined) packets += Math.max(0, sent - twin.packets)
  }
  return packets
}

/** Begins with d where the packet has a digest, else with f. */
function identityOf(row: GroupRow): string {
  const {fields, signature} = row.shape
  const first = row.part(0) === undefined ? 'f' : 'd'
  // The missing parts and the types of the others are part of it, as the octets are.
  const types = signature.split(',').slice(0, OBSERVER).join()
  return `${first}${types} ${octetText(row.key.subarray(0, fields[OBSERVER].offset))}`
}

const TWO_32 = 1n << 32n
const NTP_1970 = 2_208_988_800n

function nanoseconds(row: GroupRow): bigint {
  const {element} = row.shape.fields[TIME]
  const octets = row.part(TIME)!
  const view = new DataView(octets.buffer, octets.byteOffset)
  const value = view.getBigUint64(0)
  if (element!.type === 'dateTimeMilliseconds') return value * 1_000_000n
  const seconds = value >> 32n
  const since = seconds < NTP_1970 ? seconds - NTP_1970 + TWO_32 : seconds - NTP_1970
  return (
    since * 1_000_000_000n + (((value & (TWO_32 - 1n)) * 1_000_000_000n + (TWO_32 >> 1n)) >> 32n)
  )
}
