import {SUM} from '../../../record/group-kernel.js'
import type {GroupSpec} from '../../../record/group-spec.js'
import {createGroupTable} from '../../../record/group-table.js'
import {createRowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {startColumn} from '../../../registry/flow-columns.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  destinationField,
  octetText,
  quantile,
  sourceField,
  textOctets,
  whyOption,
} from '../findings.js'
import {flowColumns, START, sumsAt} from '../flow-sums.js'
import {columnAt, createSieve, eachGroup, numberAt, partAt} from '../group-rows.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {oneTableState} from '../table-set.js'

export default defineApp({
  summary: 'Hosts that contact another at regular intervals, as malware and forgotten scripts do',
  options: {
    minContacts: {
      kind: 'number',
      min: 4,
      max: 1_000_000,
      default: 8,
      summary: 'Fewest contacts that make a rhythm.',
    },
    jitter: {
      kind: 'number',
      min: 0,
      max: 100,
      default: 15,
      summary: 'How irregular intervals may be, as median deviation in percent of the interval.',
    },
    minInterval: {
      kind: 'number',
      min: 1,
      max: 86_400,
      default: 5,
      summary: 'Shortest interval in seconds; what is faster is one conversation.',
    },
    ...whyOption,
  },
  prepare: ({minContacts, jitter, minInterval, why}): Analysis => ({
    needs: [
      [ie.sourceIPv4Address, ie.sourceIPv6Address],
      [ie.destinationIPv4Address, ie.destinationIPv6Address],
      [ie.protocolIdentifier],
      startColumn.elements.filter(({type}) => type.startsWith('dateTime')),
    ],
    uses: [ie.destinationTransportPort, ...flowColumns.flatMap(({elements}) => elements)],
    routingKey: {key: [flowKey('srcip'), flowKey('dstip')]},
    splittable: true,
    createState: (limits) =>
      createState({minContacts, jitter: jitter / 100, leastMs: minInterval * 1000, why}, limits),
  }),
})

interface Rhythm {
  readonly minContacts: number
  /** In relation to the interval. */
  readonly jitter: number
  readonly leastMs: number
  readonly why: boolean
}

/** When each Flow began is part of the key, so that every contact has a row. */
const key = [
  flowKey('srcip'),
  flowKey('dstip'),
  flowKey('proto'),
  {...flowKey('dstport'), optional: true},
  {elements: startColumn.elements.filter(({type}) => type.startsWith('dateTime'))},
]
const [SOURCE, DESTINATION, PROTOCOL, PORT, TIME] = [0, 1, 2, 3, 4]
const spec: GroupSpec = {key, columns: flowColumns}
/** Of a key without the time: two addresses, a protocol and a port. */
const MOST_PAIR_OCTETS = 35

interface Contacts {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly port: number
  readonly times: number[]
  octets: bigint
  packets: bigint
}

function createState(rhythm: Rhythm, limits: StateLimits): AnalysisState {
  const table = createGroupTable(spec, limits)

  function contacts(): Map<string, Contacts> {
    // Few pairs have contacts enough: only these are worth their times.
    const counts = createRowTable(MOST_PAIR_OCTETS + 2, [SUM])
    eachGroup(table, (shape, rows, at) => {
      const start = counts.next()
      const length = shape.fields[TIME].offset
      for (let i = 0; i < length; i++) counts.octets[start + i] = rows[at + i]
      counts.octets[start + MOST_PAIR_OCTETS] = length
      counts.octets[start + MOST_PAIR_OCTETS + 1] = shape.fields[SOURCE].length
      counts.words[(start + counts.columnsAt) / 4] = 1
    })
    const wanted = new Set<string>()
    const sieve = createSieve()
    counts.eachBlock((octets, words, n) => {
      for (let at = 0; at < n * counts.rowOctets; at += counts.rowOctets) {
        if (columnAt(words, (at + counts.columnsAt) / 4, 0) < rhythm.minContacts) continue
        const length = octets[at + MOST_PAIR_OCTETS]
        wanted.add(nameOf(octets, at, length, octets[at + MOST_PAIR_OCTETS + 1]))
        sieve.add(octets, at, length)
      }
    })
    counts.close()
    const found = new Map<string, Contacts>()
    eachGroup(table, (shape, rows, at, words, columns) => {
      const length = shape.fields[TIME].offset
      if (!sieve.mayHave(rows, at, length)) return
      const name = nameOf(rows, at, length, shape.fields[SOURCE].length)
      if (!wanted.has(name)) return
      let known = found.get(name)
      if (known === undefined) {
        known = {
          source: octetText(partAt(rows, at, shape, SOURCE)),
          destination: octetText(partAt(rows, at, shape, DESTINATION)),
          protocol: numberAt(rows, at, shape, PROTOCOL),
          port: numberAt(rows, at, shape, PORT),
          times: [],
          octets: 0n,
          packets: 0n,
        }
        found.set(name, known)
      }
      const {octets, packets} = sumsAt(words, columns)
      // In milliseconds; the time in the key is in its own precision.
      known.times.push(columnAt(words, columns, START))
      known.octets += octets
      known.packets += packets
    })
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = contacts()
    for (const name of [...all.keys()].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))) {
      const of = all.get(name)!
      const beat = rhythmOf(of.times, rhythm)
      if (beat === undefined) continue
      const source = textOctets(of.source)
      const destination = textOctets(of.destination)
      const fields: ResultField[] = [
        [ie.dartaFinding, 'beacon'],
        sourceField(source),
        destinationField(destination),
        [ie.protocolIdentifier, of.protocol],
        [ie.destinationTransportPort, of.port],
        [ie.dartaIntervalMilliseconds, beat.intervalMs],
        [ie.dartaJitter, beat.jitter],
        [ie.dartaScore, beat.score],
        [ie.deltaFlowCount, of.times.length],
        [ie.octetDeltaCount, of.octets],
        [ie.packetDeltaCount, of.packets],
        [ie.flowStartMilliseconds, beat.first],
        [ie.flowEndMilliseconds, beat.last],
      ]
      if (rhythm.why) {
        const ends = `src ip ${addressText(source)} and dst ip ${addressText(destination)}`
        const port = of.port === 0 ? '' : ` and dst port ${of.port}`
        fields.push([ie.dartaFilter, `${ends} and proto ${of.protocol}${port}`])
      }
      yield {fields}
    }
  }

  return oneTableState(table, records)
}

/** Of a pair of IPv4 and IPv6 the octets alone do not say which is which. */
function nameOf(octets: Uint8Array, from: number, length: number, sourceOctets: number): string {
  return `${octetText(octets.subarray(from, from + length))}${sourceOctets === 4 ? 0 : 1}`
}

/** Intervals between contacts, of which the median and the median deviation from it bear single contacts that are missing or extra. */
function rhythmOf(
  times: readonly number[],
  {minContacts, jitter, leastMs}: Rhythm,
): {intervalMs: number; jitter: number; score: number; first: number; last: number} | undefined {
  const sorted = Float64Array.from(times.filter((ms) => ms < 2 ** 52)).sort()
  const beginnings = sorted.filter((ms, i) => i === 0 || ms - sorted[i - 1] >= leastMs / 2)
  if (beginnings.length < minContacts) return undefined
  const intervals = beginnings.subarray(1).map((ms, i) => ms - beginnings[i])
  const median = quantile(intervals.slice().sort(), 0.5)
  if (median < leastMs) return undefined
  const deviations = intervals.map((ms) => Math.abs(ms - median)).sort()
  const deviation = quantile(deviations, 0.5) / median
  // Most of them have to keep the beat, not only half.
  const kept = intervals.filter((ms) => Math.abs(ms - median) <= 2 * jitter * median).length
  const score = kept / intervals.length
  if (deviation > jitter || score < 0.75) return undefined
  return {
    intervalMs: median,
    jitter: deviation,
    score,
    first: beginnings[0],
    last: beginnings[beginnings.length - 1],
  }
}
