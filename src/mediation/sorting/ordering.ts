import type {RecordBatch} from '../../record/batch.js'
import {compareOctets} from '../../record/octets.js'
import type {Template} from '../../record/template.js'
import type {ReadText, SortKey, WriteWords} from './sort-key.js'

/** How records are ordered: by words that are computed once for each record, and by texts where a key is text. */
export interface Ordering {
  /** Words of each record. */
  readonly words: number
  readonly hasText: boolean
  /** Puts the words of all records of a batch into `into` from `at` on. */
  write(batch: RecordBatch, into: Uint32Array, at: number): void
  /** Compares two records of which the words lie at `x` of `a` and at `y` of `b`. */
  compare(
    a: Uint32Array,
    x: number,
    one: RecordBatch,
    i: number,
    b: Uint32Array,
    y: number,
    other: RecordBatch,
    j: number,
  ): number
}

interface Part {
  readonly key: SortKey
  /** Where its words lie among those of a record. */
  readonly at: number
}

interface Compiled {
  readonly writers: readonly (WriteWords | undefined)[]
  readonly texts: readonly (ReadText | undefined)[]
}

const ABSENT = 0xffffffff

export function createOrdering(keys: readonly SortKey[]): Ordering {
  let words = 0
  const parts = keys.map((key): Part => {
    const at = words
    words += key.words
    return {key, at}
  })
  const compiled = new WeakMap<Template, Compiled>()
  function compile(template: Template): Compiled {
    let made = compiled.get(template)
    if (made === undefined) {
      made = {
        writers: keys.map((key) => key.writer(template)),
        texts: keys.map((key) => (key.words === 0 ? key.text(template) : undefined)),
      }
      compiled.set(template, made)
    }
    return made
  }

  return {
    words,
    hasText: keys.some((key) => key.words === 0),
    write(batch, into, at) {
      const {writers} = compile(batch.template)
      for (const [p, part] of parts.entries()) {
        const {descending, words: width} = part.key
        if (width === 0) continue
        const write = writers[p]
        let place = at + part.at
        for (let i = 0; i < batch.count; i++, place += words) {
          if (write === undefined) {
            into.fill(ABSENT, place, place + width)
            continue
          }
          write(batch, i, into, place)
          if (!descending) continue
          let absent = true
          for (let w = place; w < place + width; w++) if (into[w] !== ABSENT) absent = false
          // What is not there is last in both directions.
          if (!absent) for (let w = place; w < place + width; w++) into[w] = ~into[w]
        }
      }
    },
    compare(a, x, one, i, b, y, other, j) {
      for (const [p, {key, at}] of parts.entries()) {
        if (key.words > 0) {
          for (let w = at; w < at + key.words; w++) {
            const [v, u] = [a[x + w], b[y + w]]
            if (v !== u) return v < u ? -1 : 1
          }
          continue
        }
        const ours = compile(one.template).texts[p]?.(one, i)
        const theirs = compile(other.template).texts[p]?.(other, j)
        if (ours === undefined || theirs === undefined) {
          if (ours === theirs) continue
          return ours === undefined ? 1 : -1
        }
        const order = compareOctets(ours, 0, ours.length, theirs, 0, theirs.length)
        if (order !== 0) return key.descending ? -order : order
      }
      return 0
    },
  }
}

/** Digits of the radix sort. */
const RADIX_BITS = 16
const RADIX = 1 << RADIX_BITS
const counts = new Uint32Array(RADIX)

/** The places 0 to `count` in the order of their words; those that are equal stay in theirs. */
export function radixOrder(words: Uint32Array, width: number, count: number): Uint32Array {
  let order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  let other = new Uint32Array(count)
  for (let w = width - 1; w >= 0; w--) {
    for (let shift = 0; shift < 32; shift += RADIX_BITS) {
      counts.fill(0)
      for (let i = 0, at = w; i < count; i++, at += width) {
        counts[(words[at] >>> shift) & (RADIX - 1)]++
      }
      // Where all have one digit there is nothing to do: addresses share their first ones, times too.
      if (count > 0 && counts[(words[w] >>> shift) & (RADIX - 1)] === count) continue
      let sum = 0
      for (let d = 0; d < RADIX; d++) {
        const n = counts[d]
        counts[d] = sum
        sum += n
      }
      for (let k = 0; k < count; k++) {
        const i = order[k]
        other[counts[(words[i * width + w] >>> shift) & (RADIX - 1)]++] = i
      }
      ;[order, other] = [other, order]
    }
  }
  return order
}
