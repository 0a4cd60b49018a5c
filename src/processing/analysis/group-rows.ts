import {padKey} from '../../record/group-kernel.js'
import type {KeyShape} from '../../record/group-spec.js'
import type {GroupBlock, GroupTable, OrderedRows} from '../../record/group-table.js'

/*
 * Groups as octets, for what looks at all of a million groups: an object for each would cost more than the group does.
 * group-kernel.ts says how rows are laid out.
 */

/**
 * @param at octet of `rows` at which the group's row begins
 * @param columns word of `words` at which its columns begin, the less significant word of each first
 */
export type VisitGroup = (
  shape: KeyShape,
  rows: Uint8Array,
  at: number,
  words: Uint32Array,
  columns: number,
) => void

/** Visits every group; what it is shown is good only during the visit. */
export function eachGroup(table: GroupTable, visit: VisitGroup): void {
  for (const {shape, rows, rowOctets} of table.blocks()) {
    const columnsAt = padKey(shape.octets)
    const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
    for (let at = 0; at < rows.length; at += rowOctets) {
      visit(shape, rows, at, words, (at + columnsAt) / 4)
    }
  }
}

/** Visits the groups in blocks, with the octet of a row at which its columns begin; see GroupTable.blocks. */
export function eachBlock(
  table: GroupTable,
  visit: (block: GroupBlock & {readonly columnsAt: number}) => void,
): void {
  for (const block of table.blocks()) visit({...block, columnsAt: padKey(block.shape.octets)})
}

/** Rows of a block that one program or another takes, as spans of rows that follow each other. */
export interface Spans {
  add(at: number, rowOctets: number, program: number): void
  /** Gives them away; none is no call. */
  take(use: (spans: Int32Array, count: number) => void): void
}

export function createSpans(): Spans {
  let spans = new Int32Array(3 * 1024)
  let n = 0
  let end = -1
  return {
    add(at, rowOctets, program) {
      if (at === end && spans[3 * n - 1] === program) spans[3 * n - 2]++
      else {
        if (3 * n === spans.length) {
          const longer = new Int32Array(2 * spans.length)
          longer.set(spans)
          spans = longer
        }
        spans[3 * n] = at
        spans[3 * n + 1] = 1
        spans[3 * n + 2] = program
        n++
      }
      end = at + rowOctets
    },
    take(use) {
      if (n > 0) use(spans, n)
      n = 0
      end = -1
    },
  }
}

/** Rows that are taken from a table together. */
export const GATHERED = 1024

/** Goes through the rows of a table in the order of their keys. */
export interface RowCursor {
  readonly octets: Uint8Array
  readonly words: Uint32Array
  /** Octet at which the row begins; −1 behind the last one. */
  at: number
  /** Octet behind the rows that are there: a step from the last of them changes them all, others none. */
  end: number
  step(): void
}

/**
 * A cursor at the first row.
 *
 * @param into where rows are put from octet `begin` on, GATHERED of them; its own octets unless said otherwise
 */
export function orderedRows(
  table: OrderedRows,
  into = new Uint8Array(GATHERED * table.rowOctets),
  begin = 0,
): RowCursor {
  const {rowOctets} = table
  const order = table.order()
  const own = into.subarray(begin, begin + GATHERED * rowOctets)
  let from = 0
  const cursor: RowCursor = {
    octets: into,
    words: new Uint32Array(into.buffer),
    at: 0,
    end: 0,
    step() {
      cursor.at += rowOctets
      if (cursor.at < cursor.end) return
      const numbers = order.subarray(from, from + GATHERED)
      from += numbers.length
      table.gather(numbers, own)
      cursor.end = begin + numbers.length * rowOctets
      cursor.at = numbers.length === 0 ? -1 : begin
    },
  }
  cursor.step()
  return cursor
}

/**
 * Rows of a table in the order of their numbers, in blocks that are good until the next is asked for.
 *
 * @param wanted whether a row with this number is
 */
export function* someRows(
  table: OrderedRows,
  wanted: (number: number) => boolean,
): Iterable<{readonly rows: Uint8Array; readonly numbers: Uint32Array}> {
  const {rowOctets} = table
  const numbers = new Uint32Array(GATHERED)
  const rows = new Uint8Array(GATHERED * rowOctets)
  const count = table.count()
  let n = 0
  for (let i = 0; i < count; i++) {
    if (wanted(i)) numbers[n++] = i
    if (n < GATHERED && (i + 1 < count || n === 0)) continue
    const own = numbers.subarray(0, n)
    table.gather(own, rows)
    yield {rows: rows.subarray(0, n * rowOctets), numbers: own}
    n = 0
  }
}

/** A part of a key as a number, 0 where it is missing; parts of up to 6 octets. */
export function numberAt(rows: Uint8Array, at: number, shape: KeyShape, part: number): number {
  const {offset, length} = shape.fields[part]
  let value = 0
  for (let i = at + offset; i < at + offset + length; i++) value = value * 256 + rows[i]
  return value
}

/** Copies a part of a key; how many octets it has. */
export function copyPart(
  rows: Uint8Array,
  at: number,
  shape: KeyShape,
  part: number,
  into: Uint8Array,
  to: number,
): number {
  const {offset, length} = shape.fields[part]
  for (let i = 0; i < length; i++) into[to + i] = rows[at + offset + i]
  return length
}

/** Octets of a part; good as long as the rows are. */
export function partAt(rows: Uint8Array, at: number, shape: KeyShape, part: number): Uint8Array {
  const {offset, length} = shape.fields[part]
  return rows.subarray(at + offset, at + offset + length)
}

/** A column as a number; beyond 2^53 it is the nearest one. */
export function columnAt(words: Uint32Array, columns: number, column: number): number {
  return words[columns + 2 * column + 1] * 4294967296 + words[columns + 2 * column]
}

/** Tells at little cost that octets are none of a few. */
export interface Sieve {
  add(octets: Uint8Array, from: number, length: number): void
  /** False: they were not added. True: they may have been. */
  mayHave(octets: Uint8Array, from: number, length: number): boolean
}

export function createSieve(): Sieve {
  const bits = new Uint32Array(2 ** 15)
  const place = (octets: Uint8Array, from: number, length: number): number => {
    let hash = length
    for (let i = from; i < from + length; i++) hash = Math.imul(hash ^ octets[i], 0x01000193)
    return (hash ^ (hash >>> 15)) & 0xfffff
  }
  return {
    add(octets, from, length) {
      const at = place(octets, from, length)
      bits[at >>> 5] |= 1 << (at & 31)
    },
    mayHave(octets, from, length) {
      const at = place(octets, from, length)
      return ((bits[at >>> 5] >>> (at & 31)) & 1) === 1
    },
  }
}

/**
 * Counts rows by the octets with which their keys begin, one octet of memory for each row: heads that differ may share
 * a count, so that it is too great at times and never too small.
 */
export interface HeadCounts {
  /**
   * @param octets of the head
   * @param places gets, for each row, where its head is counted
   */
  add(rows: Uint8Array, rowOctets: number, octets: number, places: Uint32Array): void
  /** Whether there may be so many rows with the head that is counted there; beyond 255 more are taken for as many as asked for. */
  mayHave(place: number, count: number): boolean
}

/** @param rows that are expected, at most 2^28 of which are worth a count of their own */
export function createHeadCounts(rows: number): HeadCounts {
  const bits = Math.min(28, Math.max(6, Math.ceil(Math.log2(rows + 1))))
  const counts = new Uint8Array(2 ** bits)
  // So that no sender can choose heads that share a count.
  const seed = Math.random() * 2 ** 32
  return {
    add(octetsOfRows, rowOctets, octets, places) {
      const {buffer, byteOffset, length} = octetsOfRows
      const words = new Uint32Array(buffer, byteOffset, length / 4)
      const whole = octets >>> 2
      const rest = 2 ** (8 * (octets & 3)) - 1
      for (let row = 0, at = 0; row < places.length; row++, at += rowOctets / 4) {
        let hash = seed | 0
        for (let i = at; i < at + whole; i++) hash = mixWord(hash, words[i])
        if (rest > 0) hash = mixWord(hash, words[at + whole] & rest)
        hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> (32 - bits)
        places[row] = hash
        if (counts[hash] < 255) counts[hash]++
      }
    },
    mayHave: (place, count) => counts[place] >= Math.min(count, 255),
  }
}

function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0xcc9e2d51)
  return Math.imul(mixed ^ (mixed >>> 15), 0x1b873593)
}
