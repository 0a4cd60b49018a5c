import {fieldSpan, type RecordBatch} from '../../../record/batch.js'
import {DartaError} from '../../../record/errors.js'
import type {GroupColumn} from '../../../record/group-spec.js'
import {makeColumnReader} from '../../../record/group-reader.js'
import {fieldIndex, type Template} from '../../../record/template.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowsColumn, octetsColumn, packetsColumn} from '../../../registry/flow-columns.js'
import {defineApp, type Analysis, type AnalysisState} from '../app.js'
import {whyOption} from '../findings.js'
import {resultBatches, type ResultRecord} from '../result-records.js'
import {createUniflows} from '../../routing/uniflows.js'

/*
 * Which hosts have more than a part of the whole, in memory that does not grow. A count-min sketch (Cormode, Muthukrishnan 2005) for each
 * of a few lengths of prefix: from heavy prefixes the search goes down to heavy hosts. A sketch is a sum of records, so
 * it is the same in whatever order they came, and sketches of parts add up to that of the whole.
 */
const measures: Readonly<Record<string, GroupColumn>> = {
  octets: octetsColumn,
  packets: packetsColumn,
  flows: flowsColumn,
}

export default defineApp({
  summary:
    'Hosts with more than a part of all traffic, found in bounded memory with a stated error',
  options: {
    side: {
      kind: 'text',
      value: 'source|destination',
      choices: ['source', 'destination'],
      default: 'source',
      summary: 'Hosts that send or hosts that receive. IPv6 counts by its first 64 bits.',
    },
    by: {
      kind: 'text',
      value: 'octets|packets|flows',
      choices: ['octets', 'packets', 'flows'],
      default: 'octets',
      summary: 'What is counted.',
    },
    share: {
      kind: 'number',
      min: 1,
      max: 1000,
      default: 10,
      summary: 'Least part of the whole, in thousandths.',
    },
    ...whyOption,
  },
  prepare: ({side, by, share, why}): Analysis => {
    const source = side === 'source'
    const addresses = source
      ? [ie.sourceIPv4Address, ie.sourceIPv6Address]
      : [ie.destinationIPv4Address, ie.destinationIPv6Address]
    return {
      needs: [addresses],
      uses: [...measures[by].elements],
      routingKey: undefined,
      splittable: true,
      createState: () => createState(source, measures[by], by, share / 1000, why),
    }
  },
})

const WIDTH_BITS = 12
const WIDTH = 1 << WIDTH_BITS
const DEPTH = 4
/** Bits of the prefixes; each level has 2^bits of the difference below each prefix of the one before. */
const LEVELS4 = [8, 16, 24, 32]
const LEVELS6 = [16, 32, 48, 64]
const LEVELS = LEVELS4.length + LEVELS6.length
const CELLS = LEVELS * DEPTH * WIDTH
/** Octets of a snapshot's head: cells that are not zero, then the sums of both IP versions. */
const HEADER = 20

interface Hitter {
  readonly version: 4 | 6
  /** High and low word of the address; only the high one of IPv4. */
  readonly high: number
  readonly low: number
  readonly estimate: number
}

function createState(
  source: boolean,
  column: GroupColumn,
  by: string,
  share: number,
  why: boolean,
): AnalysisState {
  const cells = new Float64Array(CELLS)
  const sums = [0, 0]
  const uniflows = createUniflows()
  const readers = new WeakMap<Template, {v4: number; v6: number; weight: Weight}>()
  let beyond = 0

  type Weight = (batch: RecordBatch, index: number) => number

  function readerOf(template: Template): {v4: number; v6: number; weight: Weight} {
    let reader = readers.get(template)
    if (reader === undefined) {
      const field = (element: typeof ie.sourceIPv4Address, octets: number): number => {
        const found = fieldIndex(template, element)
        return found >= 0 && template.fields[found].length === octets ? found : -1
      }
      reader = {
        v4: field(source ? ie.sourceIPv4Address : ie.destinationIPv4Address, 4),
        v6: field(source ? ie.sourceIPv6Address : ie.destinationIPv6Address, 16),
        weight: makeColumnReader(column, template) ?? (() => column.absent ?? 0),
      }
      readers.set(template, reader)
    }
    return reader
  }

  function count(version: 0 | 1, high: number, low: number, weight: number): void {
    sums[version] += weight
    const levels = version === 0 ? LEVELS4 : LEVELS6
    for (let level = 0; level < 4; level++) {
      const bits = levels[level]
      const h = bits >= 32 ? high : high & (-1 << (32 - bits))
      const l = bits > 32 ? (bits === 64 ? low : low & (-1 << (64 - bits))) : 0
      const base = (version * 4 + level) * DEPTH
      for (let row = 0; row < DEPTH; row++) cells[cellOf(base + row, h, l)] += weight
    }
  }

  function addBatch(batch: RecordBatch): number {
    const {v4, v6, weight} = readerOf(batch.template)
    if (v4 < 0 && v6 < 0) return 0
    const {view} = batch
    for (let i = 0; i < batch.count; i++) {
      const n = weight(batch, i)
      // What a number does not hold exactly would hang on the order of the sum.
      if (!(n <= 2 ** 40)) {
        beyond++
        continue
      }
      const at4 = v4 < 0 ? -1 : fieldSpan(batch, i, v4).start
      // Of a record that carries both, the one that is not all zeros.
      if (at4 >= 0 && (v6 < 0 || view.getUint32(at4) !== 0)) count(0, view.getInt32(at4), 0, n)
      else {
        const at = fieldSpan(batch, i, v6).start
        count(1, view.getInt32(at), view.getInt32(at + 4), n)
      }
    }
    return batch.count
  }

  function estimate(version: 0 | 1, level: number, high: number, low: number): number {
    let least = Infinity
    const base = (version * 4 + level) * DEPTH
    for (let row = 0; row < DEPTH; row++) {
      least = Math.min(least, cells[cellOf(base + row, high, low)])
    }
    return least
  }

  function hitters(threshold: number): Hitter[] {
    const found: Hitter[] = []
    for (const version of [0, 1] as const) {
      const levels = version === 0 ? LEVELS4 : LEVELS6
      let heavy: [number, number][] = [[0, 0]]
      for (const [level, bits] of levels.entries()) {
        const step = version === 0 ? 8 : 16
        const next: [number, number][] = []
        for (const [high, low] of heavy) {
          for (let child = 0; child < 1 << step; child++) {
            const h = bits <= 32 ? high | (child << (32 - bits)) : high
            const l = bits > 32 ? low | (child << (64 - bits)) : low
            if (estimate(version, level, h, l) >= threshold) next.push([h, l])
          }
        }
        heavy = next
      }
      for (const [high, low] of heavy) {
        const weight = estimate(version, levels.length - 1, high, low)
        found.push({
          version: version === 0 ? 4 : 6,
          high: high >>> 0,
          low: low >>> 0,
          estimate: weight,
        })
      }
    }
    return found.sort(
      (a, b) =>
        b.estimate - a.estimate || a.version - b.version || a.high - b.high || a.low - b.low,
    )
  }

  const element = {
    octets: ie.octetDeltaCount,
    packets: ie.packetDeltaCount,
    flows: ie.deltaFlowCount,
  }[by]!

  function* records(): Iterable<ResultRecord> {
    const all = sums[0] + sums[1]
    const bound = Math.ceil((Math.E / WIDTH) * Math.max(sums[0], sums[1]))
    yield {
      fields: [
        [ie.dartaStatistic, `heavy-hitters by ${by}`],
        [element, all],
        [ie.dartaErrorBound, bound],
      ],
      scopeCount: 1,
    }
    const threshold = share * all
    if (all === 0) return
    for (const {version, high, low, estimate: weight} of hitters(threshold)) {
      const octets = new Uint8Array(version === 4 ? 4 : 16)
      const view = new DataView(octets.buffer)
      view.setUint32(0, high)
      if (version === 6) view.setUint32(4, low)
      const fields =
        version === 4
          ? [[source ? ie.sourceIPv4Address : ie.destinationIPv4Address, octets] as const]
          : [
              [source ? ie.sourceIPv6Prefix : ie.destinationIPv6Prefix, octets] as const,
              [source ? ie.sourceIPv6PrefixLength : ie.destinationIPv6PrefixLength, 64] as const,
            ]
      const end = `${source ? 'src' : 'dst'} ${version === 4 ? 'ip' : 'net'}`
      const bits = version === 4 ? '' : '/64'
      yield {
        fields: [
          ...fields,
          [element, weight],
          [ie.dartaErrorBound, bound],
          [ie.dartaScore, weight / all],
          ...(why ? [[ie.dartaFilter, `${end} ${addressText(octets)}${bits}`] as const] : []),
        ],
      }
    }
  }

  return {
    add(batches) {
      let counted = 0
      for (const batch of batches) {
        for (const part of uniflows(batch)) addBatch(part)
        const {v4, v6} = readerOf(batch.template)
        if (v4 >= 0 || v6 >= 0) counted += batch.count
      }
      return counted
    },
    merge(snapshot) {
      const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
      const used = snapshot.length < HEADER ? NaN : view.getUint32(0)
      if (snapshot.length !== HEADER + 12 * used) {
        throw new DartaError('DARTA_VALUE', 'a snapshot of a sketch has another length', 0)
      }
      sums[0] += view.getFloat64(4)
      sums[1] += view.getFloat64(12)
      for (let at = HEADER; at < snapshot.length; at += 12) {
        const cell = view.getUint32(at)
        if (cell < CELLS) cells[cell] += view.getFloat64(at + 4)
      }
    },
    snapshot() {
      let used = 0
      for (const cell of cells) if (cell !== 0) used++
      const octets = new Uint8Array(HEADER + 12 * used)
      const view = new DataView(octets.buffer)
      view.setUint32(0, used)
      view.setFloat64(4, sums[0])
      view.setFloat64(12, sums[1])
      let at = HEADER
      for (let cell = 0; cell < CELLS; cell++) {
        if (cells[cell] === 0) continue
        view.setUint32(at, cell)
        view.setFloat64(at + 4, cells[cell])
        at += 12
      }
      return octets
    },
    results: (message) => resultBatches(message, records()),
    missing: () => (beyond > 0 ? [['sum-limit', beyond]] : []),
    memoryOctets: () => 8 * CELLS,
    close: () => {},
  }
}

/** Place of a prefix in a row of a level's sketch; rows and levels have hashes of their own. */
function cellOf(row: number, high: number, low: number): number {
  let h = Math.imul(high ^ Math.imul(row + 1, 0x9e3779b1), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13) ^ low, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f)
  return row * WIDTH + ((h ^ (h >>> 15)) >>> (32 - WIDTH_BITS))
}
