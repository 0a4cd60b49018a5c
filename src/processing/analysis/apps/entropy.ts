import type {GroupSpec} from '../../../record/group-spec.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {quantile, whyOption} from '../findings.js'
import {flowColumns, FLOWS, PACKETS, OCTETS} from '../flow-sums.js'
import {columnAt, eachGroup} from '../group-rows.js'
import {overWithin} from '../record-filters.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {createTableSet, tableState} from '../table-set.js'
import {createTimeBins} from '../time-bins.js'

const features = ['srcip', 'dstip', 'srcport', 'dstport'] as const
const weights = {flows: FLOWS, packets: PACKETS, octets: OCTETS}

export default defineApp({
  summary:
    'How addresses and ports are distributed, in bits, and when that changes: scans, floods, worms',
  options: {
    by: {
      kind: 'text',
      value: 'flows|packets|octets',
      choices: ['flows', 'packets', 'octets'],
      default: 'flows',
      summary: 'What a value weighs.',
    },
    bin: {
      kind: 'number',
      min: 1,
      max: 86_400,
      default: 60,
      summary: 'Seconds that are looked at together.',
    },
    deviations: {
      kind: 'number',
      min: 1,
      max: 1000,
      default: 6,
      summary: 'How many median deviations from the median are an anomaly.',
    },
    ...whyOption,
  },
  prepare: ({by, bin, deviations, why}): Analysis => ({
    needs: [
      [ie.sourceIPv4Address, ie.sourceIPv6Address],
      [ie.destinationIPv4Address, ie.destinationIPv6Address],
    ],
    uses: [
      ie.sourceTransportPort,
      ie.destinationTransportPort,
      ...flowColumns.flatMap(({elements}) => elements),
    ],
    // Distributions are of all records.
    routingKey: undefined,
    splittable: true,
    createState: (limits) =>
      createState(weights[by as keyof typeof weights], bin * 1000, deviations, why, limits),
  }),
})

/** Without times, which nobody asks for. Octets and packets tell whether a direction of a Biflow saw any. */
const columns = flowColumns.slice(0, 1 + Math.max(OCTETS, PACKETS, FLOWS))
const specs = features.map((name): GroupSpec => ({key: [flowKey(name)], columns}))

/** Of an anomaly: bits that the entropy must have changed by at least, and bins without which nothing is usual. */
const LEAST_CHANGE = 1
const LEAST_BINS = 6
/** Of a bin: the entropy of a few Flows is chance. */
const LEAST_FLOWS = 32n

interface Measure {
  /** Bits. */
  readonly entropy: number
  readonly values: number
  readonly sum: bigint
  /** Whether there are Flows enough to say anything. */
  readonly enough: boolean
}

function createState(
  column: number,
  binMs: number,
  deviations: number,
  why: boolean,
  limits: StateLimits,
): AnalysisState {
  const tables = createTableSet(specs, limits)
  const sort = createTimeBins(binMs)

  function measure(bin: number, feature: number): Measure {
    const table = tables.of(String(bin))[feature]
    const counts: number[] = []
    eachGroup(table, (_shape, _rows, _at, words, at) => {
      counts.push(columnAt(words, at, column))
    })
    const {totals} = table.select([])
    return {
      entropy: entropyOf(Float64Array.from(counts).sort()),
      values: counts.length,
      sum: totals[column],
      enough: totals[FLOWS] >= LEAST_FLOWS,
    }
  }

  function* records(): Iterable<ResultRecord> {
    const bins = tables
      .names()
      .map(Number)
      .sort((a, b) => a - b)
    for (const [feature, name] of features.entries()) {
      const measures = bins.map((bin) => measure(bin, feature))
      // What is usual, bins say in which there is something to distribute.
      const telling = measures.filter(({enough}) => enough)
      const known = telling.length >= LEAST_BINS ? telling : measures
      const sorted = Float64Array.from(known, ({entropy}) => entropy).sort()
      const median = quantile(sorted, 0.5)
      const spread = quantile(sorted.map((h) => Math.abs(h - median)).sort(), 0.5)
      for (const [i, bin] of bins.entries()) {
        const {entropy, values, sum, enough} = measures[i]
        if (values === 0) continue
        const change = Math.abs(entropy - median)
        const score = change / Math.max(spread, LEAST_CHANGE / deviations)
        const anomaly =
          enough && telling.length >= LEAST_BINS && change >= LEAST_CHANGE && score >= deviations
        const fields: ResultField[] = [
          [ie.dartaFinding, anomaly ? (entropy > median ? 'dispersed' : 'concentrated') : 'usual'],
          [ie.dartaFeature, name],
          [ie.dartaEntropy, entropy],
          [ie.dartaBaseline, median],
          [ie.dartaScore, score],
          [ie.dartaGroupCount, values],
          [
            [ie.deltaFlowCount, ie.packetDeltaCount, ie.octetDeltaCount][
              [FLOWS, PACKETS, OCTETS].indexOf(column)
            ],
            sum,
          ],
          [ie.flowStartMilliseconds, Math.max(0, bin) * binMs],
          [ie.flowEndMilliseconds, Math.max(0, bin) * binMs + binMs],
        ]
        if (why) fields.push([ie.dartaFilter, overWithin(bin * binMs, (bin + 1) * binMs)])
        yield {fields}
      }
    }
  }

  return tableState(tables, sort, records)
}

/** Shannon's entropy in bits of counts that are sorted, so that it is the same sum in whatever order they came. */
function entropyOf(counts: Float64Array): number {
  const sum = counts.reduce((a, b) => a + b, 0)
  if (sum === 0) return 0
  let entropy = 0
  for (const count of counts) if (count > 0) entropy -= (count / sum) * Math.log2(count / sum)
  return Math.max(0, entropy)
}
