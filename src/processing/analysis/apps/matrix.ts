import {DartaError} from '../../../record/errors.js'
import {columnOrder} from '../../../record/group-selection.js'
import {createGroupTable} from '../../../record/group-table.js'
import type {GroupRow} from '../../../record/group-row.js'
import {hexText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey, prefixKey, type FlowKey} from '../../../registry/flow-keys.js'
import {
  defineApp,
  type Analysis,
  type AnalysisState,
  type StateLimits,
  type TableStyle,
} from '../app.js'
import {flowColumns, limitedSums, OCTETS, rowSums, sumFields, sumsOf} from '../flow-sums.js'
import {whyOption} from '../findings.js'
import {keyFields, keyText} from '../key-values.js'
import {allOf, oneOf, partFilter} from '../record-filters.js'
import {resultBatches, type ResultField, type ResultRecord} from '../result-records.js'
import {scaledNumber, textTable} from '../text-table.js'

const bits = (char: string | undefined, most: number, usual: number, summary: string) =>
  ({kind: 'number', char, min: 0, max: most, default: usual, summary}) as const

export default defineApp({
  summary: 'Who sends how much to whom: networks or autonomous systems, as a square',
  options: {
    by: {
      kind: 'text',
      value: 'prefix|as',
      choices: ['prefix', 'as'],
      default: 'prefix',
      summary: 'Between prefixes of addresses or between autonomous systems.',
    },
    srcPrefix: bits(undefined, 32, 16, 'Leading bits of IPv4 source addresses.'),
    dstPrefix: bits(undefined, 32, 16, 'Leading bits of IPv4 destination addresses.'),
    srcPrefix6: bits(undefined, 128, 48, 'Leading bits of IPv6 source addresses.'),
    dstPrefix6: bits(undefined, 128, 48, 'Leading bits of IPv6 destination addresses.'),
    symmetric: {
      kind: 'flag',
      summary: 'Both directions of a pair together, under the order of their addresses.',
    },
    top: {
      kind: 'number',
      char: 'k',
      min: 0,
      max: 2 ** 31 - 1,
      default: 10,
      summary: 'Rows and columns of the square for people; 0 is all. Records are of all pairs.',
    },
    ...whyOption,
  },
  prepare(options): Analysis {
    const {by, srcPrefix, dstPrefix, srcPrefix6, dstPrefix6, symmetric, top, why} = options
    if (symmetric && (srcPrefix !== dstPrefix || srcPrefix6 !== dstPrefix6)) {
      throw new DartaError(
        'DARTA_USAGE',
        '--symmetric: source and destination prefixes have to be of one length',
      )
    }
    const key =
      by === 'as'
        ? [flowKey('srcas'), flowKey('dstas')]
        : [
            prefixKey('source', {v4: srcPrefix, v6: srcPrefix6}, 'source'),
            prefixKey('destination', {v4: dstPrefix, v6: dstPrefix6}, 'destination'),
          ]
    return {
      needs: key.map(({elements}) => [...elements]),
      uses: [
        ...key.flatMap(({elements}) => elements),
        ...flowColumns.flatMap((c) => [...c.elements, ...c.reverse]).filter((e) => e !== undefined),
      ],
      routingKey: symmetric ? {key, symmetric: 1} : {key},
      splittable: true,
      createState: (limits) => createState(key, symmetric, top, why, limits),
    }
  },
})

function createState(
  key: readonly FlowKey[],
  symmetric: boolean,
  top: number,
  why: boolean,
  {maxOctets}: StateLimits,
): AnalysisState {
  const spec = {key, columns: flowColumns, ...(symmetric && {symmetric: 1})}
  const table = createGroupTable(spec, {maxOctets})

  function* records(): Iterable<ResultRecord> {
    const {rows, totals, groups} = table.select([{order: columnOrder(OCTETS), count: 0}])
    const whole = sumsOf(totals)
    const name: ResultField = [ie.dartaStatistic, symmetric ? 'matrix symmetric' : 'matrix']
    yield {fields: [name, [ie.dartaGroupCount, groups], ...sumFields(whole)], scopeCount: 1}
    for (const row of rows[0]) {
      const ends = [...keyFields(row, 0), ...keyFields(row, 1)]
      yield {
        fields: [
          ...ends,
          ...sumFields(rowSums(row), whole),
          ...(why ? [[ie.dartaFilter, pairFilter(row, symmetric)] as const] : []),
        ],
      }
    }
  }

  return {
    add: (batches) => table.add(batches),
    merge: (snapshot) => table.merge(snapshot),
    snapshot: () => table.snapshot(),
    results: (message) => resultBatches(message, records()),
    table(style) {
      const pairs: Pair[] = []
      // A row is good only during the visit.
      table.eachRow((row) => pairs.push(pairOf(row, style)))
      const families = [...new Set(pairs.map((p) => p.family))].sort()
      const squares = families.map((family) =>
        squareText(
          pairs.filter((p) => p.family === family),
          symmetric,
          top,
          style,
        ),
      )
      return squares.join('\n')
    },
    missing: () => limitedSums(table),
    memoryOctets: () => table.memoryOctets(),
    close: () => table.close(),
  }
}

function pairFilter(row: GroupRow, symmetric: boolean): string {
  const way = (turned: boolean): string =>
    allOf([0, 1].map((part) => partFilter(row, part, turned)))
  return symmetric ? oneOf([way(false), way(true)]) : way(false)
}

/** One pair in words; `order` sorts names as their octets are sorted. */
interface Pair {
  readonly family: string
  readonly source: End
  readonly destination: End
  readonly octets: bigint
  /** Shown a second time, under its other end. */
  readonly mirrored?: boolean
}

interface End {
  readonly text: string
  readonly order: string
}

function pairOf(row: GroupRow, style: TableStyle): Pair {
  const end = (i: number): End => ({
    text: keyText(row, i, style),
    order: hexText(row.part(i)!),
  })
  return {
    family: row.shape.signature,
    source: end(0),
    destination: end(1),
    octets: row.value(OCTETS),
  }
}

const OTHERS = 'others'

/** Greatest sources by greatest destinations; what is in neither is in the last row and column but one. */
function squareText(
  pairs: readonly Pair[],
  symmetric: boolean,
  top: number,
  style: TableStyle,
): string {
  // Where a pair has no direction, it stands in the row and in the column of both its ends.
  const both = symmetric
    ? pairs.flatMap((p) =>
        p.source.text === p.destination.text
          ? [p]
          : [p, {...p, source: p.destination, destination: p.source, mirrored: true}],
      )
    : pairs
  const rows = greatest(both, ({source}) => source, top)
  const columns = symmetric ? rows : greatest(both, ({destination}) => destination, top)
  const cells = new Map<string, bigint>()
  const add = (row: string, column: string, octets: bigint): void => {
    const cell = `${row} ${column}`
    cells.set(cell, (cells.get(cell) ?? 0n) + octets)
  }
  const ALL = 'all'
  const known = {rows: new Set(rows), columns: new Set(columns)}
  for (const {source, destination, octets, mirrored} of both) {
    const row = known.rows.has(source.text) ? source.text : OTHERS
    const column = known.columns.has(destination.text) ? destination.text : OTHERS
    add(row, column, octets)
    add(row, ALL, octets)
    add(ALL, column, octets)
    if (mirrored !== true) add(ALL, ALL, octets)
  }
  const withOthers = (names: readonly string[], has: (name: string) => boolean): string[] => [
    ...names,
    ...(has(OTHERS) ? [OTHERS] : []),
    ALL,
  ]
  const heads = withOthers(columns, (name) => cells.has(`${ALL} ${name}`))
  const lines = withOthers(rows, (name) => cells.has(`${name} ${ALL}`)).map((row) => [
    row,
    ...heads.map((column) => {
      const octets = cells.get(`${row} ${column}`)
      return octets === undefined ? '-' : scaledNumber(octets, style.units)
    }),
  ])
  const corner = symmetric ? 'octets' : 'from \\ to'
  return textTable([corner, ...heads], lines, [false, ...heads.map(() => true)])
}

/** The ends with most octets, most first; equal ones in the order of their octets. */
function greatest(pairs: readonly Pair[], endOf: (pair: Pair) => End, top: number): string[] {
  const sums = new Map<string, {end: End; octets: bigint}>()
  for (const pair of pairs) {
    const end = endOf(pair)
    const known = sums.get(end.text)
    sums.set(end.text, {end, octets: (known?.octets ?? 0n) + pair.octets})
  }
  const sorted = [...sums.values()].sort((a, b) =>
    a.octets === b.octets ? (a.end.order < b.end.order ? -1 : 1) : a.octets > b.octets ? -1 : 1,
  )
  return sorted.slice(0, top === 0 ? undefined : top).map(({end}) => end.text)
}
