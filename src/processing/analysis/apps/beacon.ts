import type {GroupSpec} from '../../../record/group-spec.js'
import {createGroupTable} from '../../../record/group-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {startColumn} from '../../../registry/flow-columns.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  destinationField,
  octetText,
  partNumber,
  quantile,
  sourceField,
  textOctets,
  whyOption,
} from '../findings.js'
import {flowColumns, OCTETS, PACKETS} from '../flow-sums.js'
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
    const counts = new Map<string, number>()
    const nameOf = (row: Parameters<Parameters<typeof table.eachRow>[0]>[0]): string =>
      octetText(row.key.subarray(0, row.shape.fields[TIME].offset)) +
      row.shape.signature.slice(0, 1)
    table.eachRow((row) => {
      const name = nameOf(row)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    })
    const found = new Map<string, Contacts>()
    table.eachRow((row) => {
      const name = nameOf(row)
      if (counts.get(name)! < rhythm.minContacts) return
      let known = found.get(name)
      if (known === undefined) {
        known = {
          source: octetText(row.part(SOURCE)!),
          destination: octetText(row.part(DESTINATION)!),
          protocol: partNumber(row, PROTOCOL),
          port: partNumber(row, PORT),
          times: [],
          octets: 0n,
          packets: 0n,
        }
        found.set(name, known)
      }
      known.times.push(row.number(START_MS))
      known.octets += row.value(OCTETS)
      known.packets += row.value(PACKETS)
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
        fields.push([ie.dartaFilter, `${ends} and proto ${of.protocol} and dst port ${of.port}`])
      }
      yield {fields}
    }
  }

  return oneTableState(table, records)
}

/** The column of the start in milliseconds: what the time in the key is in its own precision. */
const START_MS = 3

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
