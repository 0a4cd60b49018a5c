import {padKey} from './group-kernel.js'
import {GroupRow, type Interned} from './group-row.js'
import type {KeyShape} from './group-spec.js'

/**
 * How groups are ordered: by `high`, then by `low`. Two numbers, so that 64-bit counters are compared exactly.
 * `at` is where a row's columns begin in `words`, two words a column, the less significant first.
 */
export interface GroupOrder {
  readonly high: (words: Uint32Array, at: number) => number
  readonly low: (words: Uint32Array, at: number) => number
  /** Least first. */
  readonly ascending?: boolean
}

/** By a column. */
export function columnOrder(column: number, ascending = false): GroupOrder {
  const low = 2 * column
  return {high: (words, at) => words[at + low + 1], low: (words, at) => words[at + low], ascending}
}

/** By a number computed from the columns. */
export function computedOrder(
  value: (words: Uint32Array, at: number) => number,
  ascending = false,
): GroupOrder {
  return {high: value, low: () => 0, ascending}
}

/** A column as a number; beyond 2^53 it is the nearest one. */
export function columnNumber(words: Uint32Array, at: number, column: number): number {
  return words[at + 2 * column + 1] * 4294967296 + words[at + 2 * column]
}

/** A row with what it is ordered by, so that a million of them are a million objects and not two. */
class Entry extends GroupRow {
  readonly high: number
  readonly low: number
  /** Place of its shape among shapes. */
  readonly rank: number

  constructor(
    shape: KeyShape,
    interned: Interned,
    block: Uint8Array,
    start: number,
    high: number,
    low: number,
    rank: number,
  ) {
    super(shape, interned, block, start)
    this.high = high
    this.low = low
    this.rank = rank
  }
}

/** Keeps the best rows of all that are offered, in a heap whose root is the worst of them. */
export interface Selection {
  /** Offers the rows of a block; `rank` is the place of the shape among shapes. */
  offer(
    shape: KeyShape,
    rank: number,
    octets: Uint8Array,
    words: Uint32Array,
    rows: number,
    rowOctets: number,
  ): void
  /** The rows kept, best first. */
  take(): GroupRow[]
}

/** @param count rows kept, 0: all */
export function createSelection(order: GroupOrder, count: number, interned: Interned): Selection {
  const heap: Entry[] = []
  const sign = order.ascending === true ? 1 : -1

  /** Below 0: `a` comes before `b`. */
  function compare(a: Entry, b: Entry): number {
    if (a.high !== b.high) return sign * (a.high - b.high)
    if (a.low !== b.low) return sign * (a.low - b.low)
    if (a.rank !== b.rank) return a.rank - b.rank
    return a.compareKey(b)
  }

  function up(i: number): void {
    const entry = heap[i]
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (compare(entry, heap[parent]) <= 0) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = entry
  }

  function down(): void {
    const entry = heap[0]
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && compare(heap[child + 1], heap[child]) > 0) child++
      if (compare(entry, heap[child]) >= 0) break
      heap[i] = heap[child]
      i = child
    }
    heap[i] = entry
  }

  return {
    offer(shape, rank, octets, words, rows, rowOctets) {
      const columns = padKey(shape.octets) / 4
      const rowWords = rowOctets / 4
      const entryOf = (block: Uint8Array, start: number, at: number): Entry =>
        new Entry(shape, interned, block, start, order.high(words, at), order.low(words, at), rank)
      if (count === 0) {
        const block = octets.slice(0, rows * rowOctets)
        for (let i = 0; i < rows; i++) {
          heap.push(entryOf(block, i * rowOctets, i * rowWords + columns))
        }
        return
      }
      for (let i = 0; i < rows; i++) {
        const at = i * rowWords + columns
        const start = i * rowOctets
        if (heap.length < count) {
          heap.push(entryOf(octets.slice(start, start + rowOctets), 0, at))
          up(heap.length - 1)
          continue
        }
        const worst = heap[0]
        const worse = sign * (order.high(words, at) - worst.high)
        if (worse > 0 || (worse === 0 && sign * (order.low(words, at) - worst.low) > 0)) continue
        // Only a view as yet: most rows that tie with the worst one go no further.
        if (compare(entryOf(octets, start, at), worst) < 0) {
          heap[0] = entryOf(octets.slice(start, start + rowOctets), 0, at)
          down()
        }
      }
    },
    take: () => heap.sort(compare),
  }
}
