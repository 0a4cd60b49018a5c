import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {padKey} from '../../record/group-kernel.js'
import type {GroupRow} from '../../record/group-row.js'
import {createInterned} from '../../record/group-row.js'
import {createSelection, type GroupOrder} from '../../record/group-selection.js'
import type {GroupColumn, GroupSpec, KeyPart, KeyShape} from '../../record/group-spec.js'
import {createGroupTable, type GroupTable} from '../../record/group-table.js'
import type {StageLedger} from '../../record/ledger.js'
import {createTemplate} from '../../record/template.js'
import {ie} from '../../registry/elements.js'
import type {FlowKey} from '../../registry/flow-keys.js'
import {
  endColumn,
  flowsColumn,
  octetsColumn,
  packetsColumn,
  startColumn,
} from '../../registry/flow-columns.js'
import {
  bucketElement,
  flowCompleted,
  flowInitiated,
  flowPresent,
  intervalStart,
  rankElement,
  registerElement,
} from './derived.js'
import {createDerivation, distributionNumber, needsDerivation, type Distribution} from './derive.js'
import type {Measure} from './measure.js'
import {createRowRecords, type ResultColumn, type RowRecords} from './row-records.js'
import {countOf, quantileOf} from './sketch.js'
import {createSpill, PARTITIONS, type Spill, type SpillStore} from './spill.js'
import {sortedRows} from './sort-rows.js'

export interface AggregatorOptions {
  /** Empty: all records are one group. */
  readonly key: readonly FlowKey[]
  readonly measures: readonly Measure[]
  /** Undefined: all of the input is one interval. */
  readonly intervalMs: number | undefined
  readonly distribution: Distribution
  /** The columns begin with octets, packets, Flows and, without intervals, start and end. Undefined: as they come. */
  readonly order: GroupOrder | undefined
  /** Groups that are wanted, in the order; 0: all. */
  readonly count: number
  /** Octets that groups may take before they are spilled; 0: no limit. */
  readonly maxOctets: number
  /** Where groups go that find no room. */
  readonly openStore: () => SpillStore
  readonly ledger: StageLedger
}

/** Groups records by key and computes what is asked of each group. RFC 7015. */
export interface Aggregator {
  add(batches: readonly RecordBatch[]): void
  /** The results; with intervals, how values were spread goes ahead (RFC 7015 section 8). Ask once. */
  results(): Iterable<readonly RecordBatch[]>
  /** Groups were written to the store, so often. */
  readonly spills: number
  close(): void
}

/** Part of the limit that tables fill before they are spilled: an index that doubles must still fit. */
const SPILL_AT = 0.4

/** One table and what it takes to fold it into the main one. */
interface Side {
  readonly measure: number
  readonly spec: GroupSpec
  /** Column of the main table. */
  readonly column: number
}

export function createAggregator(options: AggregatorOptions): Aggregator {
  const {key, measures, intervalMs, order, count, maxOctets, ledger} = options
  const bins: KeyPart[] = intervalMs === undefined ? [] : [{elements: [intervalStart]}]
  const {columns, results} = columnsOf(measures, intervalMs !== undefined)
  const main: GroupSpec = {key: [...bins, ...key], columns}
  const sides = sidesOf(main, measures, columns)
  const interned = createInterned()
  const deriveOptions = {
    intervalMs,
    distribution: options.distribution,
    counters: columns.filter(({kind}) => kind === 'sum'),
    measures,
    derived: key.flatMap(({derived = []}) => derived),
  }
  const derivation = needsDerivation(deriveOptions) ? createDerivation(deriveOptions) : undefined
  let tables = openTables()
  let spill: Spill | undefined
  let spills = 0
  let exportTime = 0
  let lost = 0
  let limited = 0

  function openTables(): GroupTable[] {
    return [main, ...sides.map(({spec}) => spec)].map((spec) => createGroupTable(spec, {interned}))
  }

  function closeTables(): void {
    for (const table of tables) {
      limited += table.limited()
      table.close()
    }
    tables = []
  }

  function add(batches: readonly RecordBatch[]): void {
    const flows: RecordBatch[] = []
    let sent = 0
    for (const batch of batches) {
      ledger.in += batch.count
      if (batch.template.scopeCount > 0) {
        ledger.skip('options', batch.count)
        continue
      }
      if (batch.message.exportTime > exportTime) ({exportTime} = batch.message)
      sent += batch.count
      if (derivation === undefined) flows.push(batch)
      else {
        // Intervals make several of one, so each is asked for whether it belongs to a group at all.
        if (!tables[0].takes(derivation.templateOf(batch.template))) {
          ledger.skip('not-applicable', batch.count)
          sent -= batch.count
          continue
        }
        const derived = derivation.derive(batch)
        if (derived !== undefined) flows.push(derived)
      }
    }
    const counted = tables[0].add(flows)
    for (const table of tables.slice(1)) table.add(flows)
    if (derivation === undefined) {
      ledger.out += counted
      if (counted < sent) ledger.skip('not-applicable', sent - counted)
    } else {
      const more = derivation.lost - lost
      lost = derivation.lost
      if (more > 0) ledger.lose('impossible-time', more)
      ledger.out += sent - more
    }
    if (maxOctets === 0) return
    const octets = tables.reduce((sum, table) => sum + table.memoryOctets(), 0)
    if (octets > SPILL_AT * maxOctets) spillTables()
  }

  function spillTables(): void {
    spill ??= createSpill(options.openStore(), main.key.length)
    for (const [i, table] of tables.entries()) spill.write(i, table)
    closeTables()
    tables = openTables()
    spills++
  }

  function message(): MessageContext {
    return {exportTime, sequenceNumber: 0, observationDomainId: 0, offset: 0}
  }

  function* results_(): Iterable<readonly RecordBatch[]> {
    const records = createRowRecords({columns: results, interned, intervalMs, message: message()})
    if (intervalMs !== undefined) yield* distributionRecord(options.distribution, message())
    if (spill === undefined) {
      fold(tables)
      yield* ordered(tables[0], records)
      closeTables()
      return
    }
    spillTables()
    closeTables()
    yield* partitions(spill, records)
  }

  function* partitions(of: Spill, records: RowRecords): Iterable<readonly RecordBatch[]> {
    const selection = order && count > 0 ? createSelection(order, count, interned) : undefined
    const runs: number[] = []
    for (let p = 0; p < PARTITIONS; p++) {
      tables = openTables()
      for (const [i, table] of tables.entries()) of.read(i, p, table)
      fold(tables)
      const [table] = tables
      if (order === undefined) {
        yield* ordered(table, records)
      } else if (selection !== undefined) {
        let rank = 0
        for (const {shape, rows, rowOctets} of table.blocks()) {
          const copy = rows.slice()
          const words = new Uint32Array(copy.buffer)
          selection.offer(shape, rank++, copy, words, copy.length / rowOctets, rowOctets)
        }
      } else {
        for (const {shape, rows, rowOctets} of sortedRows(table, order)) {
          of.writeRun(p, shape, rows, rowOctets)
        }
        runs.push(p)
      }
      closeTables()
    }
    if (selection !== undefined) yield* selected(selection.take(), records)
    else if (runs.length > 0) {
      for (const {shape, rows, rowOctets} of of.mergeRuns(runs, order!)) {
        yield records.batches(shape, rows, rowOctets)
      }
    }
  }

  function* ordered(table: GroupTable, records: RowRecords): Iterable<readonly RecordBatch[]> {
    if (order !== undefined && count > 0) {
      const [rows] = table.select([{order, count}]).rows
      yield* selected(rows, records)
    } else if (order !== undefined) {
      for (const {shape, rows, rowOctets} of sortedRows(table, order)) {
        yield records.batches(shape, rows, rowOctets)
      }
    } else {
      let left = count === 0 ? Infinity : count
      for (const {shape, rows, rowOctets} of table.blocks()) {
        const n = Math.min(left, rows.length / rowOctets)
        left -= n
        if (n > 0) yield records.batches(shape, rows.subarray(0, n * rowOctets), rowOctets)
      }
    }
  }

  function* selected(rows: readonly GroupRow[], records: RowRecords): Iterable<RecordBatch[]> {
    const out: RecordBatch[] = []
    for (const row of rows) {
      const octets = row.octets(columns.length).slice()
      out.push(...records.batches(row.shape, octets, octets.length))
      if (out.length >= 1024) yield out.splice(0)
    }
    if (out.length > 0) yield out
  }

  /** Puts what the tables at the side know into columns of the main one. */
  function fold([table, ...others]: readonly GroupTable[]): void {
    for (const [i, other] of others.entries()) {
      const {measure, column} = sides[i]
      const of = measures[measure]
      if (of.kind === 'distinct') foldDistinct(table, other, main, column)
      else if (of.kind === 'approximate') {
        foldGroups(table, other, main, column, (entries) =>
          countOf([...entries.values()].map(Number)),
        )
      } else if (of.kind === 'quantile') {
        foldGroups(table, other, main, column, (entries) =>
          quantileOf(
            [...entries].map(([bucket, n]) => [bucket, Number(n)] as const),
            of.quantile,
          ),
        )
      }
    }
  }

  return {
    add,
    results: results_,
    get spills() {
      return spills
    },
    close() {
      closeTables()
      spill?.close()
      if (limited > 0) ledger.miss('sum-limit', limited)
    },
  }
}

/** Columns of the main table, and what of them is told. */
function columnsOf(
  measures: readonly Measure[],
  intervals: boolean,
): {columns: GroupColumn[]; results: ResultColumn[]} {
  const columns: GroupColumn[] = [octetsColumn, packetsColumn, flowsColumn, startColumn, endColumn]
  const results: ResultColumn[] = [
    {kind: 'column', element: ie.octetDeltaCount, column: 0},
    {kind: 'column', element: ie.packetDeltaCount, column: 1},
    {kind: 'column', element: ie.deltaFlowCount, column: 2},
  ]
  const add = (column: GroupColumn): number => columns.push(column) - 1
  if (intervals) {
    // The interval's own times stand in their place.
    for (const [element, from] of [
      [ie.originalFlowsPresent, flowPresent],
      [ie.originalFlowsInitiated, flowInitiated],
      [ie.originalFlowsCompleted, flowCompleted],
    ] as const) {
      const column = add({kind: 'sum', elements: [from], reverse: [undefined]})
      results.push({kind: 'column', element, column})
    }
  } else {
    results.push(
      {kind: 'column', element: ie.flowStartMilliseconds, column: 3, absent: 'most'},
      {kind: 'column', element: ie.flowEndMilliseconds, column: 4, absent: 'zero'},
    )
  }
  for (const measure of measures) {
    const element = measure.result
    switch (measure.kind) {
      case 'sum':
      case 'max':
        results.push({kind: 'column', element, column: add(measure.column)})
        break
      case 'min':
        results.push({kind: 'column', element, column: add(measure.column), absent: 'most'})
        break
      case 'mean':
        results.push({kind: 'mean', element, sum: add(measure.sum), count: add(measure.count)})
        break
      case 'distinct':
      case 'approximate':
      case 'quantile':
        // Filled when the input has ended.
        results.push({
          kind: 'column',
          element,
          column: add({kind: 'sum', elements: [], reverse: []}),
        })
        break
    }
  }
  return {columns, results}
}

function sidesOf(
  main: GroupSpec,
  measures: readonly Measure[],
  columns: readonly GroupColumn[],
): Side[] {
  const fillers = columns.flatMap(({elements}, c) => (elements.length === 0 ? [c] : []))
  const sides: Side[] = []
  for (const [measure, of] of measures.entries()) {
    let part: KeyPart
    let column: GroupColumn
    if (of.kind === 'distinct') {
      part = of.key
      column = flowsColumn
    } else if (of.kind === 'approximate') {
      part = {elements: [registerElement(measure)]}
      column = {kind: 'max', elements: [rankElement(measure)], reverse: [undefined]}
    } else if (of.kind === 'quantile') {
      part = {elements: [bucketElement(measure)]}
      column = {kind: 'count', elements: [bucketElement(measure)], reverse: [undefined]}
    } else continue
    sides.push({
      measure,
      spec: {key: [...main.key, part], columns: [column]},
      column: fillers[sides.length],
    })
  }
  return sides
}

/** Signature of the group that a row of a table at the side belongs to, and the octets of its key. */
function groupOf(shape: KeyShape): {signature: string; octets: number} {
  const last = shape.fields[shape.fields.length - 1]
  return {
    signature: shape.fields
      .slice(0, -1)
      .map(({alternative}) => alternative)
      .join(),
    octets: last.offset,
  }
}

/** Rows with nothing in their columns but the one of `column`. */
function emptyColumns(row: Uint8Array, from: number, columns: readonly GroupColumn[]): void {
  row.fill(0, from, from + 8 * columns.length)
  for (const [c, {kind}] of columns.entries()) {
    if (kind === 'min') row.fill(255, from + 8 * c, from + 8 * c + 8)
  }
}

/** Each row of `other` is one value: it adds 1 to its group. */
function foldDistinct(
  table: GroupTable,
  other: GroupTable,
  {columns}: GroupSpec,
  column: number,
): void {
  for (const {shape, rows, rowOctets} of other.blocks()) {
    const {signature, octets} = groupOf(shape)
    const keyOctets = padKey(octets)
    const size = keyOctets + 8 * columns.length
    const count = rows.length / rowOctets
    const out = new Uint8Array(count * size)
    for (let i = 0; i < count; i++) {
      out.set(rows.subarray(i * rowOctets, i * rowOctets + octets), i * size)
      emptyColumns(out, i * size + keyOctets, columns)
      out[i * size + keyOctets + 8 * column] = 1
    }
    table.addRows(signature, out)
  }
}

/** Gathers the rows of each group (last part of the key, column) and puts what `compute` makes of them into its column. */
function foldGroups(
  table: GroupTable,
  other: GroupTable,
  {columns}: GroupSpec,
  column: number,
  compute: (entries: ReadonlyMap<number, bigint>) => number,
): void {
  const groups = new Map<
    string,
    {signature: string; key: Uint8Array; entries: Map<number, bigint>}
  >()
  for (const {shape, rows, rowOctets} of other.blocks()) {
    const {signature, octets} = groupOf(shape)
    const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength)
    const width = padKey(shape.octets)
    for (let row = 0; row < rows.length; row += rowOctets) {
      let name = `${signature}|`
      for (let i = 0; i < octets; i++) name += String.fromCharCode(rows[row + i])
      let group = groups.get(name)
      if (group === undefined) {
        group = {signature, key: rows.slice(row, row + octets), entries: new Map()}
        groups.set(name, group)
      }
      group.entries.set(view.getUint16(row + octets), view.getBigUint64(row + width, true))
    }
  }
  for (const {signature, key, entries} of groups.values()) {
    const keyOctets = padKey(key.length)
    const row = new Uint8Array(keyOctets + 8 * columns.length)
    row.set(key)
    emptyColumns(row, keyOctets, columns)
    const view = new DataView(row.buffer)
    view.setBigUint64(keyOctets + 8 * column, BigInt(compute(entries)), true)
    table.addRows(signature, row)
  }
}

/** How values were spread, as an Options Record about all Templates of the domain. RFC 7015 section 8. */
function* distributionRecord(
  distribution: Distribution,
  message: MessageContext,
): Iterable<readonly RecordBatch[]> {
  const template = createTemplate(
    299,
    [
      {element: ie.observationDomainId, length: 4},
      {element: ie.valueDistributionMethod, length: 1},
    ],
    1,
  )
  const octets = Uint8Array.of(0, 0, 0, 0, distributionNumber[distribution])
  const view = new DataView(octets.buffer)
  view.setUint32(0, message.observationDomainId)
  yield [{template, octets, view, start: 0, count: 1, offsets: undefined, message}]
}
