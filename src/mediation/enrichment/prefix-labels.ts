import {DartaError} from '../../record/errors.js'
import {addAddress, type AddressTaker} from '../filter/operands.js'
import {
  compareAt,
  find1,
  find4,
  setOfSorted,
  sortedOrder,
  type RangeSet,
} from '../filter/range-set.js'

/** Names of networks, found by the longest prefix that an address is in. */
export interface PrefixLabels {
  /** Prefixes that were read. */
  readonly size: number
  /** What the networks are called; places in it are what is found. */
  readonly labels: readonly string[]
  /** The label of an IPv4 address; −1: no prefix has it. */
  find4(address: number): number
  /** The same of an IPv6 address, as four words from the most significant. */
  find6(words: Uint32Array): number
}

/** Prefixes of one version in the order of the file. */
type Prefixes = ReturnType<typeof collectPrefixes>

/**
 * Reads lines of `PREFIX LABEL`: a prefix or an address, blanks or a comma or a semicolon, and the label up to the end of the
 * line. A `#` at the beginning of a line or behind a blank begins a comment. Of two lines with one prefix the later one counts.
 *
 * @throws DartaError DARTA_USAGE with the line
 */
export function readPrefixLabels(octets: Uint8Array, name: string): PrefixLabels {
  const labels: string[] = []
  const numbers = new Map<string, number>()
  const v4 = collectPrefixes(1)
  const v6 = collectPrefixes(4)
  const into: AddressTaker = {v4, v6}
  const text = new TextDecoder().decode(octets)
  let line = 0
  for (let at = 0; at < text.length;) {
    line++
    let end = text.indexOf('\n', at)
    if (end < 0) end = text.length
    const begin = at
    at = end + 1
    let from = begin
    while (from < end && text.charCodeAt(from) <= 32) from++
    if (from === end || text.charCodeAt(from) === 35) continue
    let to = from
    while (to < end && !isSeparator(text.charCodeAt(to))) to++
    const prefix = text.slice(from, to)
    while (to < end && isSeparator(text.charCodeAt(to))) to++
    const label = text
      .slice(to, end)
      .replace(/\s#.*$|\s+$/, '')
      .trimEnd()
    const fault = (what: string): DartaError =>
      new DartaError('DARTA_USAGE', `${name}, line ${line}: ${what}`, begin)
    if (label === '' || label.startsWith('#')) throw fault(`${prefix} has no label`)
    let number = numbers.get(label)
    if (number === undefined) {
      number = labels.push(label) - 1
      numbers.set(label, number)
    }
    v4.label = v6.label = number
    if (prefix.includes('-') || !addAddress(into, prefix)) {
      throw fault(`'${prefix}' is no prefix and no address`)
    }
  }
  const [four, six] = [longestMatch(v4), longestMatch(v6)]
  return {
    size: v4.count + v6.count,
    labels,
    find4(address) {
      const range = find1(four.set, address)
      return range < 0 ? -1 : four.labels[range]
    },
    find6(words) {
      const range = find4(six.set, words)
      return range < 0 ? -1 : six.labels[range]
    },
  }
}

/** Blank, comma, semicolon. */
function isSeparator(code: number): boolean {
  return code <= 32 || code === 44 || code === 59
}

function collectPrefixes(words: 1 | 4) {
  let low = new Uint32Array(64 * words)
  let high = new Uint32Array(64 * words)
  let labels = new Uint32Array(64)
  let count = 0
  return {
    words,
    /** Of the prefixes that come next. */
    label: 0,
    get count() {
      return count
    },
    get low() {
      return low
    },
    get high() {
      return high
    },
    get labels() {
      return labels
    },
    add(from: ArrayLike<number>, to: ArrayLike<number>): void {
      if (count === labels.length) {
        low = doubled(low)
        high = doubled(high)
        labels = doubled(labels)
      }
      for (let w = 0; w < words; w++) {
        low[count * words + w] = from[w]
        high[count * words + w] = to[w]
      }
      labels[count++] = this.label
    },
  }
}

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length)
  larger.set(array)
  return larger
}

/** Cuts prefixes, which lie in each other or apart, into ranges that each have the label of the longest one there. */
function longestMatch(prefixes: Prefixes): {set: RangeSet; labels: Uint32Array} {
  const {words, count, low, high, labels} = prefixes
  // A prefix that holds others is cut where each of them begins and ends.
  const from = new Uint32Array((2 * count + 1) * words)
  const to = new Uint32Array((2 * count + 1) * words)
  const of = new Uint32Array(2 * count + 1)
  let n = 0
  /** Where the next range begins, and whether the numbers have an end before it. */
  const cursor = new Uint32Array(words)
  let over = false
  const open: number[] = []

  function emit(prefix: number, end: Uint32Array, at: number): void {
    const joins = n > 0 && of[n - 1] === labels[prefix] && isBehind(n - 1)
    if (!joins) {
      from.set(cursor, n * words)
      of[n] = labels[prefix]
      n++
    }
    for (let w = 0; w < words; w++) to[(n - 1) * words + w] = end[at + w]
  }
  /** Whether the cursor is the number behind that range. */
  function isBehind(range: number): boolean {
    let borrow = 1
    for (let w = words - 1; w >= 0; w--) {
      const value = cursor[w] - borrow
      if (value >>> 0 !== to[range * words + w]) return false
      borrow = value < 0 ? 1 : 0
    }
    return borrow === 0
  }
  function close(): void {
    const prefix = open.pop()!
    const at = prefix * words
    if (over || compareAt(cursor, 0, high, at, words) > 0) return
    emit(prefix, high, at)
    over = true
    for (let w = words - 1; w >= 0; w--) {
      cursor[w] = high[at + w] + 1
      if (cursor[w] !== 0) {
        over = false
        for (let v = 0; v < w; v++) cursor[v] = high[at + v]
        break
      }
    }
  }

  const before = new Uint32Array(words)
  const order = orderOf(prefixes)
  for (let k = 0; k < count; k++) {
    const prefix = order[k]
    const at = prefix * words
    while (open.length > 0 && compareAt(high, open[open.length - 1] * words, low, at, words) < 0) {
      close()
    }
    const outer = open[open.length - 1]
    if (outer !== undefined && !over && compareAt(cursor, 0, low, at, words) < 0) {
      let borrow = 1
      for (let w = words - 1; w >= 0; w--) {
        const value = low[at + w] - borrow
        before[w] = value
        borrow = value < 0 ? 1 : 0
      }
      emit(outer, before, 0)
    }
    for (let w = 0; w < words; w++) cursor[w] = low[at + w]
    open.push(prefix)
  }
  while (open.length > 0) close()
  const set = setOfSorted(words, from.slice(0, n * words), to.slice(0, n * words))
  return {set, labels: of.slice(0, n)}
}

/** Places of the prefixes by where they begin; of those that begin alike the shortest first, then as they came. */
function orderOf({words, count, low, high}: Prefixes): Uint32Array {
  const order = sortedOrder(words, count, low)
  for (let i = 0; i < count;) {
    let end = i + 1
    while (end < count && compareAt(low, order[end] * words, low, order[i] * words, words) === 0) {
      end++
    }
    if (end - i > 1) {
      order
        .subarray(i, end)
        .sort((a, b) => compareAt(high, b * words, high, a * words, words) || a - b)
    }
    i = end
  }
  return order
}
