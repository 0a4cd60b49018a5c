import {SUM} from '../../../record/group-kernel.js'
import type {GroupSpec, KeyShape} from '../../../record/group-spec.js'
import {createGroupTable, type GroupTable} from '../../../record/group-table.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
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
import {columnAt, eachBlock, numberAt, partAt} from '../group-rows.js'
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

/** Contacts of pairs whose keys without the time have the same parts, in the order of the table's blocks. */
interface Pairs {
  /** The pair of each contact. */
  numbers: Uint32Array
  count: number
  /** Not 0: the pair has contacts enough. */
  wanted: Uint8Array
  /** Contact that comes next when they are gone through again. */
  next: number
}

/** Finds out which pairs have contacts enough; what is returned tells of whom those of a shape are. */
function countPairs(table: GroupTable, minContacts: number): (shape: KeyShape) => Pairs {
  const classes = new Map<string, Pairs & {readonly counts: RowTable}>()
  const known = new Map<KeyShape, readonly [string, number]>()

  function programOf(shape: KeyShape, rowOctets: number): readonly [string, number] {
    let program = known.get(shape)
    if (program === undefined) {
      const length = shape.fields[TIME].offset
      // Of a pair of IPv4 and IPv6 the octets alone do not say which is which.
      const name = `${length} ${shape.fields[SOURCE].length}`
      let of = classes.get(name)
      if (of === undefined) {
        const [numbers, wanted] = [new Uint32Array(4096), new Uint8Array(0)]
        of = {numbers, count: 0, wanted, next: 0, counts: createRowTable(length, [SUM])}
        classes.set(name, of)
      }
      const moves = [[0, length, 0]] as const
      program = [name, of.counts.program({rowOctets, moves, columns: [{constant: 1}]})]
      known.set(shape, program)
    }
    return program
  }

  eachBlock(table, ({shape, rows, rowOctets}) => {
    const [name, program] = programOf(shape, rowOctets)
    const of = classes.get(name)!
    const contacts = rows.length / rowOctets
    if (of.count + contacts > of.numbers.length) {
      const more = new Uint32Array(2 * of.numbers.length + contacts)
      more.set(of.numbers)
      of.numbers = more
    }
    const numbers = of.numbers.subarray(of.count, of.count + contacts)
    of.counts.addFrom(rows, Int32Array.of(0, contacts, program), 1, numbers)
    of.count += contacts
  })
  for (const of of classes.values()) {
    const {counts} = of
    of.wanted = new Uint8Array(counts.count())
    let number = 0
    counts.eachBlock((_, words, n) => {
      for (let at = counts.columnsAt / 4; n > 0; n--, at += counts.rowOctets / 4) {
        of.wanted[number++] = columnAt(words, at, 0) < minContacts ? 0 : 1
      }
    })
    counts.close()
  }
  return (shape) => classes.get(known.get(shape)![0])!
}

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
    const pairs = countPairs(table, rhythm.minContacts)
    const found = new Map<string, Contacts>()
    eachBlock(table, ({shape, rows, rowOctets, columnsAt}) => {
      const of = pairs(shape)
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
      for (let at = 0; at < rows.length; at += rowOctets) {
        if (of.wanted[of.numbers[of.next++]] === 0) continue
        const name = nameOf(rows, at, shape.fields[TIME].offset, shape.fields[SOURCE].length)
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
        const {octets, packets} = sumsAt(words, (at + columnsAt) / 4)
        // In milliseconds; the time in the key is in its own precision.
        known.times.push(columnAt(words, (at + columnsAt) / 4, START))
        known.octets += octets
        known.packets += packets
      }
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
