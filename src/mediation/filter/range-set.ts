/**
 * A set of unsigned integers as disjoint ranges in ascending order: ports, counters, times, and addresses, which are integers of
 * 4 or 16 octets. A million prefixes take 8 or 32 MB and no object.
 */
export interface RangeSet {
  /** 32-bit words of a number: 1 up to 32 bits, 2 up to 64, 4 up to 128. */
  readonly words: 1 | 2 | 4
  /** Ranges. */
  readonly count: number
  /** Least number of each range, `words` words each, the most significant first. */
  readonly low: Uint32Array
  /** Greatest number of each range. */
  readonly high: Uint32Array
  /**
   * Where to begin, by the upper 16 bits of the first word: the first range that does not end before such numbers; 65537
   * entries. Only for large sets.
   */
  readonly index: Uint32Array | undefined
}

/** Least and greatest number, both part of it. */
export type BigRange = readonly [low: bigint, high: bigint]

/** Sets of more ranges than this have an index. */
const INDEX_FROM = 64

/** Collects ranges in any order; they may overlap. */
export interface RangeSetBuilder {
  readonly words: 1 | 2 | 4
  /** Ranges added. */
  readonly count: number
  /** `low` and `high` are read from these words, beginning at 0. */
  add(low: ArrayLike<number>, high: ArrayLike<number>): void
  build(): RangeSet
}

export function createRangeSetBuilder(words: 1 | 2 | 4): RangeSetBuilder {
  let low = new Uint32Array(16 * words)
  let high = new Uint32Array(16 * words)
  let count = 0
  return {
    words,
    get count() {
      return count
    },
    add(from, to) {
      if ((count + 1) * words > low.length) {
        low = grown(low)
        high = grown(high)
      }
      for (let w = 0; w < words; w++) {
        low[count * words + w] = from[w]
        high[count * words + w] = to[w]
      }
      count++
    },
    build: () => merged(words, count, low, high),
  }
}

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length)
  larger.set(array)
  return larger
}

/** The set of these ranges, cut to numbers of `words` words; ranges wholly beyond are left out. */
export function rangeSet(words: 1 | 2 | 4, ranges: Iterable<BigRange>): RangeSet {
  const builder = createRangeSetBuilder(words)
  const most = (1n << BigInt(32 * words)) - 1n
  for (const [low, high] of ranges) {
    const from = low < 0n ? 0n : low
    const to = high > most ? most : high
    if (from <= to) builder.add(bigWords(words, from), bigWords(words, to))
  }
  return builder.build()
}

/** The numbers that are not in the set. */
export function complement(ranges: readonly BigRange[], least: bigint, most: bigint): BigRange[] {
  const sorted = [...ranges].sort((a, b) => (a[0] < b[0] ? -1 : 1))
  const gaps: BigRange[] = []
  let from = least
  for (const [low, high] of sorted) {
    if (low > from) gaps.push([from, low - 1n])
    if (high >= from) from = high + 1n
  }
  if (from <= most) gaps.push([from, most])
  return gaps
}

/** The ranges again. */
export function* bigRanges({words, count, low, high}: RangeSet): Iterable<BigRange> {
  for (let i = 0; i < count; i++)
    yield [bigOf(low, i * words, words), bigOf(high, i * words, words)]
}

/** The same set for numbers of another width. */
export function ofWords(set: RangeSet, words: 1 | 2 | 4): RangeSet {
  return set.words === words ? set : rangeSet(words, bigRanges(set))
}

function bigWords(words: number, value: bigint): number[] {
  return Array.from({length: words}, (_, w) =>
    Number((value >> BigInt(32 * (words - 1 - w))) & 0xffffffffn),
  )
}

function bigOf(array: Uint32Array, at: number, words: number): bigint {
  let value = 0n
  for (let w = 0; w < words; w++) value = (value << 32n) | BigInt(array[at + w])
  return value
}

/** Below 0: the number at `i` of `a` is less than that at `j` of `b`. */
export function compareAt(
  a: Uint32Array,
  i: number,
  b: Uint32Array,
  j: number,
  words: number,
): number {
  for (let w = 0; w < words; w++) if (a[i + w] !== b[j + w]) return a[i + w] < b[j + w] ? -1 : 1
  return 0
}

/** Whether the number at `j` of `b` is that at `i` of `a` plus one. */
function follows(a: Uint32Array, i: number, b: Uint32Array, j: number, words: number): boolean {
  let carry = 1
  for (let w = words - 1; w >= 0; w--) {
    const sum = a[i + w] + carry
    if (sum >>> 0 !== b[j + w]) return false
    carry = sum > 0xffffffff ? 1 : 0
  }
  return carry === 0
}

function merged(words: 1 | 2 | 4, count: number, low: Uint32Array, high: Uint32Array): RangeSet {
  const order = sortedOrder(words, count, low)
  const from = new Uint32Array(count * words)
  const to = new Uint32Array(count * words)
  let n = 0
  for (let k = 0; k < count; k++) {
    const i = order[k] * words
    const last = (n - 1) * words
    const joins =
      n > 0 && (compareAt(low, i, to, last, words) <= 0 || follows(to, last, low, i, words))
    if (joins) {
      if (compareAt(high, i, to, last, words) > 0) {
        for (let w = 0; w < words; w++) to[last + w] = high[i + w]
      }
      continue
    }
    for (let w = 0; w < words; w++) {
      from[n * words + w] = low[i + w]
      to[n * words + w] = high[i + w]
    }
    n++
  }
  return setOfSorted(words, from.slice(0, n * words), to.slice(0, n * words))
}

/** The set of ranges that are in ascending order and do not overlap, as they are: neighbours are not joined. */
export function setOfSorted(words: 1 | 2 | 4, low: Uint32Array, high: Uint32Array): RangeSet {
  const set = {words, count: low.length / words, low, high}
  return {...set, index: set.count > INDEX_FROM ? indexOf(set) : undefined}
}

/** Places of the ranges in the order of their least numbers, then in that in which they came. */
export function sortedOrder(words: number, count: number, low: Uint32Array): Uint32Array {
  // First word and place in one 64-bit number: sorted without a callback, and enough where first words differ.
  const keys = new BigUint64Array(count)
  const halves = new Uint32Array(keys.buffer)
  // The more significant half comes last on little-endian machines, which are the only ones that Node runs on here.
  for (let i = 0; i < count; i++) {
    halves[2 * i] = i
    halves[2 * i + 1] = low[i * words]
  }
  keys.sort()
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = halves[2 * i]
  if (words === 1) return order
  // Runs with the same first word.
  for (let i = 0; i < count;) {
    let end = i + 1
    while (end < count && low[order[end] * words] === low[order[i] * words]) end++
    if (end - i > 1) {
      order
        .subarray(i, end)
        .sort((a, b) => compareAt(low, a * words, low, b * words, words) || a - b)
    }
    i = end
  }
  return order
}

function indexOf({words, count, high}: Omit<RangeSet, 'index'>): Uint32Array {
  const index = new Uint32Array(65537)
  let range = 0
  for (let top = 0; top < 65536; top++) {
    while (range < count && high[range * words] >>> 16 < top) range++
    index[top] = range
  }
  index[65536] = count
  return index
}

/** Whether a number of 1 word is in the set. */
export function has1(set: RangeSet, a: number): boolean {
  if (set.count === 1) return a >= set.low[0] && a <= set.high[0]
  return find1(set, a) >= 0
}

/** Which range a number of 1 word is in; −1: none. */
export function find1(set: RangeSet, a: number): number {
  const {low, high, count, index} = set
  let from = index === undefined ? 0 : index[a >>> 16]
  let to = index === undefined ? count : index[(a >>> 16) + 1]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (high[middle] < a) from = middle + 1
    else to = middle
  }
  return from < count && low[from] <= a ? from : -1
}

/** Whether a number of 2 words is in the set. */
export function has2(set: RangeSet, a: number, b: number): boolean {
  const {low, high, count} = set
  let from = 0
  let to = count
  while (from < to) {
    const middle = (from + to) >>> 1
    const h = high[2 * middle]
    if (h < a || (h === a && high[2 * middle + 1] < b)) from = middle + 1
    else to = middle
  }
  if (from === count) return false
  const l = low[2 * from]
  return l < a || (l === a && low[2 * from + 1] <= b)
}

/** Whether a number of 4 words, the first ones of `number`, is in the set. */
export function has4(set: RangeSet, number: Uint32Array): boolean {
  return find4(set, number) >= 0
}

/** Which range a number of 4 words, the first ones of `number`, is in; −1: none. */
export function find4(set: RangeSet, number: Uint32Array): number {
  const {low, high, count, index} = set
  const top = number[0] >>> 16
  let from = index === undefined ? 0 : index[top]
  let to = index === undefined ? count : index[top + 1]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (compareAt(high, 4 * middle, number, 0, 4) < 0) from = middle + 1
    else to = middle
  }
  return from < count && compareAt(low, 4 * from, number, 0, 4) <= 0 ? from : -1
}
