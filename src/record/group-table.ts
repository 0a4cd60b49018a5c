import {DartaError} from './errors.js'
import {MAX, MIN, OR, padKey, SUM} from './group-kernel.js'
import {makePrograms} from './group-program.js'
import {makeRowReader, type RowReader, type RowSink} from './group-reader.js'
import {createInterned, GroupRow, NO_VALUE, type Interned} from './group-row.js'
import {columnNumber, createSelection, type GroupOrder} from './group-selection.js'
import {readSnapshot, writeSnapshot, type SnapshotShape} from './group-snapshot.js'
import {isAdded, makeShape, viewsOf} from './group-view.js'
import {kernels} from './kernels.js'
import type {RecordBatch} from './batch.js'
import type {InformationElement} from './element.js'
import type {GroupSpec, KeyShape} from './group-spec.js'
import type {Template} from './template.js'

export interface GroupTableOptions {
  /** Octets that groups may take; 0 or absent: no limit. */
  readonly maxOctets?: number
  /**
   * What happens to records whose group finds no room: the command fails (default), or they are only counted
   * in `refused` and in the totals.
   */
  readonly onFull?: 'fail' | 'drop'
  /** Shared by tables whose rows are given to each other. */
  readonly interned?: Interned
}

/** What `select` finds in one pass over all groups. */
export interface GroupSelection {
  /** Per order asked for: its rows, best first; rows of equal value in the order of their keys. */
  readonly rows: readonly (readonly GroupRow[])[]
  /** Per column over all records, each counted once, also those whose groups found no room. */
  readonly totals: readonly bigint[]
  /** Groups, the rest included, what was refused not. */
  readonly groups: number
}

/** Rows of a table that can be had in the order of their keys. */
export interface OrderedRows {
  readonly rowOctets: number
  /** Octet of a row at which its columns begin. */
  readonly columnsAt: number
  /** How many rows there are. */
  count(): number
  /** Numbers of all rows in the order of their keys, octet by octet. */
  order(): Uint32Array
  /** Copies the rows with these numbers into octets that have room for them. */
  gather(numbers: Uint32Array, into: Uint8Array): void
}

/** Rows of groups with keys of one shape. */
export interface GroupBlock {
  readonly shape: KeyShape
  readonly rows: Uint8Array
  readonly rowOctets: number
}

/**
 * Groups records by key and keeps sums, minima and maxima per group, exactly; a sum that would be beyond 2^64 − 1 stays
 * there, and `limited` tells. What it answers never depends on how records were cut into batches, on their order, on the seed
 * of the hash, or on which kernel is in place.
 */
export interface GroupTable {
  /**
   * Adds records; returns how many of them belong to a group, wanted or not. The others lack a part of the key.
   * @throws DartaError DARTA_MEMORY_LIMIT no room, and `onFull` is `fail`
   */
  add(batches: readonly RecordBatch[]): number
  /** Whether records of this Template can belong to a group. */
  takes(template: Template): boolean
  /** Adds the groups of a snapshot of a table with an equal spec. @throws DartaError DARTA_VALUE, and as `add` */
  merge(snapshot: Uint8Array): void
  /**
   * All groups as octets. With `keep` only these rows; the others are left as their count and sums: enough where
   * no other table has records of the same keys.
   */
  snapshot(keep?: readonly GroupRow[]): Uint8Array
  select(orders: readonly {order: GroupOrder; count: number}[]): GroupSelection
  /**
   * The groups in blocks of rows of one shape (see group-kernel.ts), each good until the next is asked for; shapes in the order
   * of their size, groups in the order in which they first came.
   */
  blocks(): Iterable<GroupBlock>
  /** The same by shape, for those who want groups in order; a key with interned parts is in the order of their numbers. */
  ordered(): (OrderedRows & {readonly shape: KeyShape})[]
  /** Adds rows of a shape, which another table that shares `interned` and has an equal spec has given. */
  addRows(signature: string, rows: Uint8Array): void
  /** Visits every group; its row is good only during the visit. */
  eachRow(visit: (row: GroupRow) => void): void
  /** Additions that found no room. */
  refused(): number
  /** Additions that a sum at 2^64 − 1 could not take, and totals of the last `select` that are beyond. */
  limited(): number
  /** Octets in use. */
  memoryOctets(): number
  /** Frees memory at once. */
  close(): void
}

/** Rows that are handed over together. */
const BLOCK_ROWS = 1024
/** Plans are looked up by Template object first; this many are remembered. */
const MAX_PLANS = 4096

/** Stands for the shape without key that holds the totals where groups do not add up to them. */
const TOTAL = 'total'

interface Plan {
  /** Program numbers; empty: read record by record. */
  readonly programs: readonly number[]
  readonly read: RowReader
}

interface Shape {
  readonly shape: KeyShape
  readonly id: number
  readonly rowOctets: number
  /** Rows read one by one that wait for the kernel. */
  readonly pending: Uint8Array
  waiting: number
}

export function createGroupTable(spec: GroupSpec, options: GroupTableOptions = {}): GroupTable {
  const maxOctets = options.maxOctets ?? 0
  const width = spec.columns.length
  const kinds = Uint8Array.from(
    spec.columns,
    ({kind}) => ({sum: SUM, count: SUM, min: MIN, max: MAX, or: OR})[kind],
  )
  const kernel = kernels.groups(kinds, maxOctets, (Math.random() * 2 ** 32) >>> 0)
  const ranked = spec.key.find((part) => part.ranks !== undefined)
  const ranks = spec.ranked ?? ranked?.ranks
  if (ranks !== undefined) kernel.ranks(ranks)

  const shapes = new Map<string, Shape>()
  // Where records count for two groups each, the sum over groups is not that of the records.
  const either = spec.key.some((part) => part.either === true)
  const total = either
    ? addShape({signature: TOTAL, fields: [], octets: 0, half: 0, wayAt: -1})
    : undefined
  if (total !== undefined) kernel.addRows(total.id, emptyRow(kinds), 1)
  const byLayout = new Map<string, Plan | undefined>()
  const byTemplate = new Map<Template, Plan | undefined>()
  const interned = options.interned ?? createInterned()
  const rest = {groups: 0, columns: emptyColumns()}
  const merged = {refused: 0, columns: emptyColumns()}
  let totalsLimited = 0
  let spans = new Int32Array(3 * 1024)

  function emptyColumns(): bigint[] {
    return spec.columns.map(({kind}) => (kind === 'min' ? NO_VALUE : 0n))
  }

  function shapeOf(alternatives: readonly number[]): KeyShape {
    return openShape(alternatives)!.shape
  }

  function openShape(alternatives: readonly number[]): Shape | undefined {
    const signature = alternatives.join()
    const known = shapes.get(signature)
    if (known !== undefined) return known
    const shape = makeShape(spec, alternatives)
    if (shape === undefined) return undefined
    const opened = addShape(shape)
    shapes.set(signature, opened)
    return opened
  }

  function addShape(shape: KeyShape): Shape {
    const keyOctets = padKey(shape.octets)
    const rowOctets = keyOctets + 8 * width
    const pending = new Uint8Array(BLOCK_ROWS * rowOctets)
    return {shape, id: kernel.shape(keyOctets), rowOctets, pending, waiting: 0}
  }

  function planOf(template: Template): Plan | undefined {
    if (byTemplate.has(template)) return byTemplate.get(template)
    if (!byLayout.has(template.layout)) byLayout.set(template.layout, makePlan(template))
    if (byTemplate.size >= MAX_PLANS) byTemplate.clear()
    const plan = byLayout.get(template.layout)
    byTemplate.set(template, plan)
    return plan
  }

  function makePlan(template: Template): Plan | undefined {
    const views = viewsOf(spec, template)
    if (views.length === 0) return undefined
    const programs = makePrograms(spec, template, views, shapeOf) ?? []
    if (total !== undefined && programs.length > 0) {
      const once = views.filter((v) => !v.exceptPrevious).map((v) => ({...v, parts: []}))
      const whole: GroupSpec = {key: [], columns: spec.columns}
      programs.push(...makePrograms(whole, template, once, () => total.shape)!)
    }
    return {
      programs: programs.map(({shape, code}) => {
        code[1] = (shapes.get(shape.signature) ?? total)!.id
        return kernel.program(code)
      }),
      read: makeRowReader(spec, views, shapeOf),
    }
  }

  const sink: RowSink = {
    intern: (octets) => interned.numberOf(octets),
    row(shape, row) {
      push(shapes.get(shape.signature)!, row)
    },
    total: total && ((columns) => push(total, columns)),
  }

  function push(target: Shape, row: Uint8Array): void {
    target.pending.set(row, target.waiting * target.rowOctets)
    if (++target.waiting === BLOCK_ROWS) flush(target)
  }

  function flush(shape: Shape): void {
    if (shape.waiting > 0) kernel.addRows(shape.id, shape.pending, shape.waiting)
    shape.waiting = 0
  }

  function check(): void {
    const full = maxOctets > 0 && memoryOctets() > maxOctets
    if (options.onFull !== 'drop' && (full || kernel.refused() > 0)) {
      throw new DartaError(
        'DARTA_MEMORY_LIMIT',
        maxOctets > 0
          ? `the groups need more than the ${maxOctets} octets that --max-memory allows`
          : 'the system has no memory for more groups',
      )
    }
  }

  function memoryOctets(): number {
    return kernel.memoryOctets() + interned.memoryOctets()
  }

  function add(batches: readonly RecordBatch[]): number {
    let belonging = 0
    let octets: Uint8Array | undefined
    let n = 0
    const run = (): void => {
      if (n > 0) kernel.add(octets!, spans, n)
      n = 0
    }
    const span = (start: number, count: number, program: number): void => {
      if (3 * n === spans.length) {
        const longer = new Int32Array(2 * spans.length)
        longer.set(spans)
        spans = longer
      }
      spans[3 * n] = start
      spans[3 * n + 1] = count
      spans[3 * n + 2] = program
      n++
    }
    for (const batch of batches) {
      const plan = planOf(batch.template)
      if (plan === undefined) continue
      if (batch.octets !== octets) {
        run()
        octets = batch.octets
      }
      if (plan.programs.length === 0) {
        for (let i = 0; i < batch.count; i++) if (plan.read(batch, i, sink)) belonging++
        continue
      }
      belonging += batch.count
      for (const program of plan.programs) {
        if (batch.offsets === undefined) span(batch.start, batch.count, program)
        else for (let i = 0; i < batch.count; i++) span(batch.offsets[i], 1, program)
      }
    }
    run()
    for (const shape of shapes.values()) flush(shape)
    if (total !== undefined) flush(total)
    check()
    return belonging
  }

  /** Rows of a shape, block by block, as words; `at` counts rows. */
  function eachBlock(
    shape: Shape,
    visit: (octets: Uint8Array, words: Uint32Array, rows: number) => void,
  ): void {
    const block = new Uint8Array(BLOCK_ROWS * shape.rowOctets)
    const words = new Uint32Array(block.buffer)
    for (let from = 0; ; from += BLOCK_ROWS) {
      const rows = kernel.rows(shape.id, from, block)
      if (rows > 0) visit(block, words, rows)
      if (rows < BLOCK_ROWS) return
    }
  }

  function ordered(): Shape[] {
    return [...shapes.values()].sort(
      (a, b) => a.shape.octets - b.shape.octets || (a.shape.signature < b.shape.signature ? -1 : 1),
    )
  }

  function fold(into: bigint[], from: readonly bigint[]): void {
    for (const [c, column] of spec.columns.entries()) {
      if (isAdded(column)) into[c] += from[c]
      else if (column.kind === 'or') into[c] |= from[c]
      else if (column.kind === 'min' ? from[c] < into[c] : from[c] > into[c]) into[c] = from[c]
    }
  }

  function refusedColumns(): bigint[] {
    const words = new Uint32Array(2 * width)
    kernel.refusedRow(new Uint8Array(words.buffer))
    const columns = foldBlock(kinds, words, 1, 2 * width, 0)
    fold(columns, merged.columns)
    return columns
  }

  /** Sums beyond 2^64 − 1 stand there. */
  function limit(columns: readonly bigint[]): bigint[] {
    return columns.map((sum) => (sum > MOST ? MOST : sum))
  }

  function select(orders: readonly {order: GroupOrder; count: number}[]): GroupSelection {
    const selection = selectExact(orders)
    totalsLimited = selection.totals.filter((sum) => sum > MOST).length
    return {...selection, totals: limit(selection.totals)}
  }

  /** Totals may be beyond 64 bits. */
  function selectExact(orders: readonly {order: GroupOrder; count: number}[]): GroupSelection {
    const selections = orders.map(({order, count}) => createSelection(order, count, interned))
    const totals = emptyColumns()
    if (total === undefined) {
      fold(totals, rest.columns)
      fold(totals, refusedColumns())
    } else {
      eachBlock(total, (_, words) => fold(totals, foldBlock(kinds, words, 1, 2 * width, 0)))
    }
    let groups = rest.groups
    for (const [rank, shape] of ordered().entries()) {
      const keyOctets = padKey(shape.shape.octets)
      groups += kernel.count(shape.id)
      eachBlock(shape, (octets, words, rows) => {
        for (const selection of selections) {
          selection.offer(shape.shape, rank, octets, words, rows, shape.rowOctets)
        }
        if (total === undefined) {
          fold(totals, foldBlock(kinds, words, rows, shape.rowOctets / 4, keyOctets / 4))
        }
      })
    }
    return {rows: selections.map((s) => s.take()), totals, groups}
  }

  function snapshot(keep?: readonly GroupRow[]): Uint8Array {
    const left = {groups: rest.groups, columns: [...rest.columns]}
    const parts: SnapshotShape[] = ordered().map((shape) => ({
      signature: shape.shape.signature,
      rows: keep === undefined ? allRows(shape) : keptRows(shape, keep),
    }))
    if (total !== undefined) parts.push({signature: TOTAL, rows: allRows(total)})
    if (keep !== undefined) {
      const all = selectExact([])
      left.groups = all.groups - keep.length
      if (total === undefined) left.columns = restColumns(all.totals, keep)
    }
    return writeSnapshot({
      spec: fingerprint(spec),
      rest: {groups: left.groups, columns: limit(left.columns)},
      refused: {additions: refused(), columns: limit(refusedColumns())},
      interned: interned.values(),
      shapes: parts,
    })
  }

  function allRows(shape: Shape): Uint8Array {
    const rows = new Uint8Array(kernel.count(shape.id) * shape.rowOctets)
    kernel.rows(shape.id, 0, rows)
    return rows
  }

  function keptRows(shape: Shape, keep: readonly GroupRow[]): Uint8Array {
    const kept = keep.filter((row) => row.shape === shape.shape)
    const rows = new Uint8Array(kept.length * shape.rowOctets)
    for (const [i, row] of kept.entries()) rows.set(row.octets(width), i * shape.rowOctets)
    return rows
  }

  /** What the totals have besides some rows and what was refused; minima and maxima may count twice. */
  function restColumns(totals: readonly bigint[], keep: readonly GroupRow[]): bigint[] {
    const refusedSums = refusedColumns()
    return spec.columns.map((column, c) =>
      isAdded(column)
        ? keep.reduce((sum, row) => sum - row.value(c), totals[c] - refusedSums[c])
        : totals[c],
    )
  }

  function refused(): number {
    return kernel.refused() + merged.refused
  }

  function merge(octets: Uint8Array): void {
    const other = readSnapshot(octets, fingerprint(spec), width)
    rest.groups += other.rest.groups
    fold(rest.columns, other.rest.columns)
    merged.refused += other.refused.additions
    fold(merged.columns, other.refused.columns)
    const numbers = other.interned.map((value) => interned.numberOf(value))
    for (const {signature, rows} of other.shapes) {
      const shape =
        signature === TOTAL
          ? total
          : openShape(signature === '' ? [] : signature.split(',').map(Number))
      if (shape === undefined || rows.length % shape.rowOctets !== 0) {
        throw new DartaError('DARTA_VALUE', 'a snapshot of groups holds keys of another kind')
      }
      const own = numbers.length === 0 ? rows : rows.slice()
      const view = new DataView(own.buffer, own.byteOffset)
      for (const {interned: yes, offset} of shape.shape.fields) {
        if (!yes) continue
        for (let at = offset; at < own.length; at += shape.rowOctets) {
          const number = numbers[view.getUint32(at)]
          if (number === undefined) {
            throw new DartaError('DARTA_VALUE', 'a snapshot of groups names a value it lacks')
          }
          view.setUint32(at, number)
        }
      }
      kernel.addRows(shape.id, own, own.length / shape.rowOctets)
    }
    check()
  }

  return {
    add,
    takes: (template) => planOf(template) !== undefined,
    merge,
    snapshot,
    select,
    *blocks() {
      for (const {shape, id, rowOctets} of ordered()) {
        const block = new Uint8Array(BLOCK_ROWS * rowOctets)
        for (let from = 0, n = BLOCK_ROWS; n === BLOCK_ROWS; from += n) {
          n = kernel.rows(id, from, block)
          if (n > 0) yield {shape, rows: block.subarray(0, n * rowOctets), rowOctets}
        }
      }
    },
    ordered: () =>
      ordered().map(({shape, id, rowOctets}) => ({
        shape,
        rowOctets,
        columnsAt: padKey(shape.octets),
        count: () => kernel.count(id),
        order() {
          const numbers = new Uint32Array(kernel.count(id))
          kernel.order(id, numbers)
          return numbers
        },
        gather: (numbers, into) => kernel.gather(id, numbers, into),
      })),
    addRows(signature, rows) {
      const shape = openShape(signature === '' ? [] : signature.split(',').map(Number))
      if (shape === undefined || rows.length % shape.rowOctets !== 0) {
        throw new DartaError('DARTA_VALUE', 'rows are of keys of another kind')
      }
      kernel.addRows(shape.id, rows, rows.length / shape.rowOctets)
      check()
    },
    eachRow(visit) {
      for (const shape of ordered()) {
        eachBlock(shape, (octets, _, rows) => {
          for (let i = 0; i < rows; i++) {
            visit(new GroupRow(shape.shape, interned, octets, i * shape.rowOctets))
          }
        })
      }
    },
    refused,
    limited: () => kernel.limited() + totalsLimited,
    memoryOctets,
    close: () => kernel.close(),
  }
}

/** The greatest sum: what is added beyond is told, not kept. */
const MOST = 0xffffffffffffffffn

/** Columns of a group that nothing was added to. */
function emptyRow(kinds: Uint8Array): Uint8Array {
  const row = new Uint8Array(8 * kinds.length)
  for (const [c, kind] of kinds.entries()) if (kind === MIN) row.fill(255, 8 * c, 8 * c + 8)
  return row
}

/** The columns of the rows of a block together. A block is small enough that no sum of halves is inexact. */
function foldBlock(
  kinds: Uint8Array,
  words: Uint32Array,
  rows: number,
  rowWords: number,
  firstColumn: number,
): bigint[] {
  return Array.from(kinds, (kind, c) => {
    let low = 0
    let high = 0
    let best = kind === MIN ? NO_VALUE : 0n
    let bestNumber = kind === MIN ? Infinity : 0
    for (let i = 0; i < rows; i++) {
      const at = i * rowWords + firstColumn
      if (kind === SUM) {
        low += words[at + 2 * c]
        high += words[at + 2 * c + 1]
        continue
      }
      if (kind === OR) {
        low |= words[at + 2 * c]
        high |= words[at + 2 * c + 1]
        continue
      }
      const value = columnNumber(words, at, c)
      if (kind === MIN ? value > bestNumber : value < bestNumber) continue
      const exact = (BigInt(words[at + 2 * c + 1]) << 32n) | BigInt(words[at + 2 * c])
      if (kind === MIN ? exact < best : exact > best) best = exact
      bestNumber = value
    }
    if (kind === OR) return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    return kind === SUM ? (BigInt(high) << 32n) + BigInt(low) : best
  })
}

/** Equal for specs whose groups can be added to each other. */
function fingerprint(spec: GroupSpec): string {
  const list = (elements: readonly InformationElement[] = []): string =>
    elements.map((e) => e.name).join('|')
  const parts = spec.key.map((part) => {
    const side = part.either === true ? `,either ${list(part.opposite)}` : ''
    const bits = part.bits === undefined ? '' : `,bits ${part.bits.join('|')}`
    const ranked = part.ranks === undefined ? '' : `,ranked ${hashOctets(part.ranks)}`
    return `${list(part.elements)}${side}${bits}${ranked}${part.optional === true ? '?' : ''}`
  })
  const columns = spec.columns.map(
    (c) => `${c.kind} ${list(c.elements)}${c.present === undefined ? '' : ` or ${c.present}`}`,
  )
  const symmetric = spec.symmetric === undefined ? '' : ` symmetric ${spec.symmetric}`
  const sides = `${spec.ranked === undefined ? '' : `, ranked ${hashOctets(spec.ranked)}`}${spec.directed === true ? ', directed' : ''}`
  const only = spec.only === undefined ? '' : `, only ${spec.only.part}: ${spec.only.values.join()}`
  return `(${parts.join('; ')})${symmetric}${sides}${only} → (${columns.join('; ')})`
}

/** FNV-1a, 32 bits. */
function hashOctets(octets: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const octet of octets) hash = Math.imul(hash ^ octet, 0x01000193)
  return hash >>> 0
}
