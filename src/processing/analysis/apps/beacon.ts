import type {GroupSpec, KeyShape} from '../../../record/group-spec.js'
import {createGroupTable, type GroupTable} from '../../../record/group-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {octetsColumn, packetsColumn, startColumn} from '../../../registry/flow-columns.js'
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
import {columnAt, createHeadCounts, eachBlock, numberAt, partAt, someRows} from '../group-rows.js'
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
    uses: [ie.destinationTransportPort, ...columns.flatMap(({elements}) => elements)],
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
/** The constants are places. */
const columns = [octetsColumn, packetsColumn, startColumn]
const [OCTETS, PACKETS, START] = [0, 1, 2]
const spec: GroupSpec = {key, columns}

/**
 * The rows of contacts whose pairs have enough of them, in blocks, and perhaps a few others. Counting pairs in a table of their own
 * would take half as much memory as the contacts do.
 */
function* likelyContacts(
  table: GroupTable,
  minContacts: number,
): Iterable<{shape: KeyShape; rows: Uint8Array; rowOctets: number; columnsAt: number}> {
  const shapes = table.ordered()
  const contacts = shapes.reduce((n, of) => n + of.count(), 0)
  const counts = createHeadCounts(contacts)
  const places = new Map(shapes.map((of) => [of.shape, new Uint32Array(of.count())]))
  let [of, next] = [shapes[0]?.shape, 0]
  eachBlock(table, ({shape, rows, rowOctets}) => {
    if (shape !== of) [of, next] = [shape, 0]
    const n = rows.length / rowOctets
    counts.add(
      rows,
      rowOctets,
      shape.fields[TIME].offset,
      places.get(shape)!.subarray(next, next + n),
    )
    next += n
  })
  for (const of of shapes) {
    const {shape, rowOctets, columnsAt} = of
    const own = places.get(shape)!
    const wanted = (i: number): boolean => counts.mayHave(own[i], minContacts)
    for (const {rows} of someRows(of, wanted)) yield {shape, rows, rowOctets, columnsAt}
  }
}

/** The sum of 64-bit counters, its less significant word first; the other one may be longer, so that the sum is exact up to 2^85. */
type WordSums = [low: number, high: number]

function addWords(sums: WordSums, words: Uint32Array, at: number): void {
  const low = sums[0] + words[at]
  sums[0] = low % 2 ** 32
  sums[1] += words[at + 1] + (low >= 2 ** 32 ? 1 : 0)
}

function wordSum([low, high]: WordSums): bigint {
  return (BigInt(high) << 32n) + BigInt(low)
}

interface Contacts {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly port: number
  readonly times: number[]
  readonly octets: WordSums
  readonly packets: WordSums
}

function createState(rhythm: Rhythm, limits: StateLimits): AnalysisState {
  const table = createGroupTable(spec, limits)

  function contacts(): Map<string, Contacts> {
    // Few pairs have contacts enough: only these are worth their times.
    const found = new Map<string, Contacts>()
    for (const {shape, rows, rowOctets, columnsAt} of likelyContacts(table, rhythm.minContacts)) {
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
      for (let at = 0; at < rows.length; at += rowOctets) {
        const name = nameOf(rows, at, shape.fields[TIME].offset, shape.fields[SOURCE].length)
        let known = found.get(name)
        if (known === undefined) {
          known = {
            source: octetText(partAt(rows, at, shape, SOURCE)),
            destination: octetText(partAt(rows, at, shape, DESTINATION)),
            protocol: numberAt(rows, at, shape, PROTOCOL),
            port: numberAt(rows, at, shape, PORT),
            times: [],
            octets: [0, 0],
            packets: [0, 0],
          }
          found.set(name, known)
        }
        const columns = (at + columnsAt) / 4
        // In milliseconds; the time in the key is in its own precision.
        known.times.push(columnAt(words, columns, START))
        addWords(known.octets, words, columns + 2 * OCTETS)
        addWords(known.packets, words, columns + 2 * PACKETS)
      }
    }
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
        [ie.octetDeltaCount, wordSum(of.octets)],
        [ie.packetDeltaCount, wordSum(of.packets)],
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
