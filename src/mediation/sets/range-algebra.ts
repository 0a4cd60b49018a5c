import {
  compareAt,
  createRangeSetBuilder,
  type RangeSet,
  type RangeSetBuilder,
} from '../filter/range-set.js'

/** The numbers of any of the sets, all of `words` words. */
export function union(words: 1 | 2 | 4, sets: readonly RangeSet[]): RangeSet {
  const builder = createRangeSetBuilder(words)
  for (const set of sets) addSet(builder, set)
  return builder.build()
}

/** Adds all ranges of `set`. */
export function addSet(builder: RangeSetBuilder, {words, count, low, high}: RangeSet): void {
  for (let i = 0; i < count; i++) {
    const [from, to] = [i * words, (i + 1) * words]
    builder.add(low.subarray(from, to), high.subarray(from, to))
  }
}

/** The numbers that are in both. */
export function intersection(a: RangeSet, b: RangeSet): RangeSet {
  const {words} = a
  const builder = createRangeSetBuilder(words)
  for (let i = 0, j = 0; i < a.count && j < b.count;) {
    const [x, y] = [i * words, j * words]
    const low = compareAt(a.low, x, b.low, y, words) >= 0 ? at(a.low, x) : at(b.low, y)
    const endsFirst = compareAt(a.high, x, b.high, y, words) <= 0
    const high = endsFirst ? at(a.high, x) : at(b.high, y)
    if (compareAt(low, 0, high, 0, words) <= 0) builder.add(low, high)
    if (endsFirst) i++
    else j++
  }
  return builder.build()

  function at(array: Uint32Array, from: number): Uint32Array {
    return array.subarray(from, from + words)
  }
}

/** The numbers of `a` that are not in `b`. */
export function difference(a: RangeSet, b: RangeSet): RangeSet {
  return b.count === 0 ? a : intersection(a, rest(b))
}

/** All numbers of as many words that are not in the set. */
function rest({words, count, low, high}: RangeSet): RangeSet {
  const builder = createRangeSetBuilder(words)
  const from = new Uint32Array(words)
  const to = new Uint32Array(words)
  for (let i = 0; i < count; i++) {
    to.set(low.subarray(i * words, (i + 1) * words))
    if (compareAt(from, 0, to, 0, words) < 0) {
      step(to, -1)
      builder.add(from, to)
    }
    from.set(high.subarray(i * words, (i + 1) * words))
    if (!step(from, 1)) return builder.build()
  }
  builder.add(from, to.fill(0xffffffff))
  return builder.build()
}

/** Adds 1 or −1; false: past the last number. */
function step(number: Uint32Array, by: 1 | -1): boolean {
  const full = by === 1 ? 0 : 0xffffffff
  for (let w = number.length - 1; w >= 0; w--) {
    number[w] += by
    if (number[w] !== full) return true
  }
  return false
}

/**
 * The prefixes of `bits` bits that have a number of the set in them, whole.
 *
 * @param bits 0 to 32 times the words of the set
 */
export function widened({words, count, low, high}: RangeSet, bits: number): RangeSet {
  const builder = createRangeSetBuilder(words)
  const from = new Uint32Array(words)
  const to = new Uint32Array(words)
  for (let i = 0; i < count; i++) {
    for (let w = 0; w < words; w++) {
      const kept = Math.min(32, Math.max(0, bits - 32 * w))
      const mask = kept === 0 ? 0 : -1 << (32 - kept)
      from[w] = low[i * words + w] & mask
      to[w] = high[i * words + w] | ~mask
    }
    builder.add(from, to)
  }
  return builder.build()
}
