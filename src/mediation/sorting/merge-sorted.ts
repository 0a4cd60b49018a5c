import type {RecordBatch} from '../../record/batch.js'
import type {Identity} from './identity.js'
import type {Ordering} from './ordering.js'

/** Told of each record in the order in which they come out. */
export type TakeRecord = (batch: RecordBatch, index: number) => void

/** A stream of records that are in order, or are said to be. */
export interface Lane {
  /** The next batches; undefined: it has ended. */
  next(): Promise<readonly RecordBatch[] | undefined>
}

/** The record of a lane that comes next. */
export interface Head {
  readonly batch: RecordBatch
  readonly index: number
  readonly words: Uint32Array
  readonly at: number
}

interface Cursor {
  readonly lane: Lane
  /** Ties go in the order of the lanes. */
  readonly place: number
  batches: readonly RecordBatch[]
  /** Words of all records of these batches. */
  words: Uint32Array
  batch: number
  index: number
  at: number
}

/**
 * Merges lanes: always the record that comes first of those that are next. Between two records it yields nothing, so that the
 * caller can write what it has taken whenever it wants to: once after each chunk of a lane.
 *
 * @param disorder told of a lane in which a record comes before its predecessor
 */
export async function* mergeSorted(
  lanes: readonly Lane[],
  ordering: Ordering,
  identity: Identity | undefined,
  take: TakeRecord,
  disorder?: (lane: number) => void,
): AsyncGenerator<void> {
  const heap: Cursor[] = []
  const compare = (a: Cursor, b: Cursor): number => {
    const [one, other] = [a.batches[a.batch], b.batches[b.batch]]
    const order = ordering.compare(a.words, a.at, one, a.index, b.words, b.at, other, b.index)
    if (order !== 0) return order
    return identity?.compare(one, a.index, other, b.index) || a.place - b.place
  }
  function down(i: number): void {
    for (;;) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && compare(heap[child], heap[least]) < 0) least = child
      }
      if (least === i) return
      ;[heap[i], heap[least]] = [heap[least], heap[i]]
      i = least
    }
  }

  /** Goes on to the next chunk; false: there is none. */
  async function refill(cursor: Cursor): Promise<boolean> {
    for (;;) {
      const next = await cursor.lane.next()
      if (next === undefined) return false
      const batches = next.filter(({count}) => count > 0)
      if (batches.length === 0) continue
      const previous = last(cursor)
      const total = batches.reduce((n, {count}) => n + count, 0)
      cursor.batches = batches
      cursor.words = new Uint32Array(total * ordering.words)
      let at = 0
      for (const batch of batches) {
        ordering.write(batch, cursor.words, at)
        at += batch.count * ordering.words
      }
      cursor.batch = cursor.index = cursor.at = 0
      if (disorder !== undefined) check(cursor, previous)
      return true
    }
  }

  function last({batches, words}: Cursor): Head | undefined {
    const batch = batches.at(-1)
    if (batch === undefined) return undefined
    return {batch, index: batch.count - 1, words, at: words.length - ordering.words}
  }

  function check(cursor: Cursor, previous: Head | undefined): void {
    let before = previous
    let at = 0
    for (const batch of cursor.batches) {
      for (let index = 0; index < batch.count; index++, at += ordering.words) {
        const here = {batch, index, words: cursor.words, at}
        if (before !== undefined) {
          const {words} = before
          const order = ordering.compare(
            ...[words, before.at, before.batch, before.index],
            ...[here.words, at, batch, index],
          )
          if (order > 0) disorder!(cursor.place)
        }
        before = here
      }
    }
  }

  for (const [place, lane] of lanes.entries()) {
    const words = new Uint32Array(0)
    const cursor: Cursor = {lane, place, batches: [], words, batch: 0, index: 0, at: 0}
    if (await refill(cursor)) heap.push(cursor)
  }
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) down(i)
  while (heap.length > 0) {
    const first = heap[0]
    const batch = first.batches[first.batch]
    take(batch, first.index)
    first.at += ordering.words
    if (++first.index === batch.count) {
      first.index = 0
      if (++first.batch === first.batches.length) {
        yield
        if (!(await refill(first))) {
          const end = heap.pop()!
          if (heap.length === 0) break
          if (end !== first) heap[0] = end
        }
      }
    }
    down(0)
  }
}
