import {padKey} from './group-kernel.js'
import {compareKeys, makeRow, type GroupRow, type Interned} from './group-row.js'
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

interface Entry {
  readonly high: number
  readonly low: number
  readonly shape: KeyShape
  readonly rank: number
  readonly octets: Uint8Array
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
  const limit = count === 0 ? Infinity : count
  const sign = order.ascending === true ? 1 : -1

  /** Below 0: `a` comes before `b`. */
  function compare(a: Entry, b: Entry): number {
    if (a.high !== b.high) return sign * (a.high - b.high)
    if (a.low !== b.low) return sign * (a.low - b.low)
    if (a.rank !== b.rank) return a.rank - b.rank
    return compareKeys(a.shape, a.octets, b.octets, interned)
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
      for (let i = 0; i < rows; i++) {
        const at = i * rowWords + columns
        const high = order.high(words, at)
        if (heap.length >= limit) {
          const worst = heap[0]
          const worse = sign * (high - worst.high)
          if (worse > 0 || (worse === 0 && sign * (order.low(words, at) - worst.low) > 0)) continue
        }
        // Only a view as yet: most rows that tie with the worst one go no further.
        const start = i * rowOctets
        const row = octets.subarray(start, start + rowOctets)
        const entry = {high, low: order.low(words, at), shape, rank, octets: row}
        if (heap.length < limit) {
          heap.push({...entry, octets: row.slice()})
          up(heap.length - 1)
        } else if (compare(entry, heap[0]) < 0) {
          heap[0] = {...entry, octets: row.slice()}
          down()
        }
      }
    },
    take: () => heap.sort(compare).map(({shape, octets}) => makeRow(shape, octets, interned)),
  }
}
