import {DartaError} from '../../record/errors.js'
import {addressText} from '../../record/value.js'
import {
  addAddress,
  createAddressSet,
  entriesOf,
  MOST,
  readRange,
  readWhole,
} from '../filter/operands.js'
import {
  bigRanges,
  createRangeSetBuilder,
  has1,
  has2,
  has4,
  type BigRange,
  type RangeSet,
  type RangeSetBuilder,
} from '../filter/range-set.js'
import {difference, intersection, union, widened} from './range-algebra.js'

/** Addresses of both versions, or numbers (ports, AS numbers, interfaces …) up to 2^64 − 1; never both. */
export interface ValueSet {
  readonly v4: RangeSet
  readonly v6: RangeSet
  readonly numbers: RangeSet
}

/** Collects the values of one set. */
export interface ValueSetBuilder {
  readonly v4: RangeSetBuilder
  readonly v6: RangeSetBuilder
  readonly numbers: RangeSetBuilder
  build(): ValueSet
}

export function createValueSet(): ValueSetBuilder {
  const {v4, v6} = createAddressSet()
  const numbers = createRangeSetBuilder(2)
  return {
    v4,
    v6,
    numbers,
    build: () => ({v4: v4.build(), v6: v6.build(), numbers: numbers.build()}),
  }
}

/** Adds a number of up to 64 bits, or all from the first to the second one. */
export function addNumbers(numbers: RangeSetBuilder, [low, high]: BigRange): void {
  numbers.add(wordsOf(low), wordsOf(high))
}

function wordsOf(value: bigint): [number, number] {
  return [Number(value >> 32n), Number(value & 0xffffffffn)]
}

/**
 * Reads a set as text: addresses, prefixes and ranges of addresses, or numbers and ranges of numbers, one a line or several with blanks
 * or commas between; a `#` begins a comment. It is what filters take behind `@`.
 *
 * @param name of the file, for faults
 * @throws DartaError DARTA_VALUE with the line of what is no value, or of the first value of the other kind
 */
export function readValueSet(octets: Uint8Array, name: string): ValueSet {
  const builder = createValueSet()
  const {v4, v6, numbers} = builder
  for (const text of entriesOf(octets)) {
    if (!addAddress(builder, text)) {
      const range = readRange(text, readWhole)
      const isNumber = range !== undefined && range[0] >= 0n && range[1] <= MOST
      if (!isNumber || range[0] > range[1]) {
        throw fault(octets, name, text, 'is no address, prefix, number or range of them')
      }
      addNumbers(numbers, range)
    }
    if (numbers.count > 0 && v4.count + v6.count > 0) {
      throw fault(octets, name, text, 'stands in a set of the other kind: addresses, or numbers')
    }
  }
  return builder.build()
}

function fault(octets: Uint8Array, name: string, entry: string, what: string): DartaError {
  const lines = new TextDecoder().decode(octets).split('\n')
  const line = lines.findIndex((text) =>
    [...entriesOf(new TextEncoder().encode(text))].includes(entry),
  )
  return new DartaError('DARTA_VALUE', `${name}, line ${line + 1}: '${entry}' ${what}`)
}

/** Whether the set is of numbers; undefined: it is empty. */
export function isOfNumbers({v4, v6, numbers}: ValueSet): boolean | undefined {
  if (numbers.count > 0) return true
  return v4.count + v6.count > 0 ? false : undefined
}

export function unionOf(sets: readonly ValueSet[]): ValueSet {
  return {
    v4: union(
      1,
      sets.map(({v4}) => v4),
    ),
    v6: union(
      4,
      sets.map(({v6}) => v6),
    ),
    numbers: union(
      2,
      sets.map(({numbers}) => numbers),
    ),
  }
}

/** What is in both. */
export function intersectionOf(a: ValueSet, b: ValueSet): ValueSet {
  return {
    v4: intersection(a.v4, b.v4),
    v6: intersection(a.v6, b.v6),
    numbers: intersection(a.numbers, b.numbers),
  }
}

/** What is in `a` and not in `b`. */
export function differenceOf(a: ValueSet, b: ValueSet): ValueSet {
  return {
    v4: difference(a.v4, b.v4),
    v6: difference(a.v6, b.v6),
    numbers: difference(a.numbers, b.numbers),
  }
}

/** The networks of so many bits that have an address of the set in them. Numbers stay. */
export function networksOf({v4, v6, numbers}: ValueSet, bits4: number, bits6: number): ValueSet {
  return {v4: widened(v4, bits4), v6: widened(v6, bits6), numbers}
}

/** How many values there are. */
export function sizeOf({v4, v6, numbers}: ValueSet): bigint {
  let sum = 0n
  for (const set of [v4, v6, numbers]) {
    for (const [low, high] of bigRanges(set)) sum += high - low + 1n
  }
  return sum
}

/** Whether all of `part` is in the set. */
export function contains(set: ValueSet, part: ValueSet): boolean {
  return (
    within(set.v4, part.v4, (words) => has1(set.v4, words[0])) &&
    within(set.numbers, part.numbers, (words) => has2(set.numbers, words[0], words[1])) &&
    within(set.v6, part.v6, (words) => has4(set.v6, words))
  )
}

/** A range lies in a set if it begins there and nothing of it is missing. */
function within(set: RangeSet, part: RangeSet, has: (words: Uint32Array) => boolean): boolean {
  const {words, count, low} = part
  for (let i = 0; i < count; i++) {
    if (!has(low.slice(i * words, (i + 1) * words))) return false
  }
  return difference(part, set).count === 0
}

/** How a set is spelt. `prefixes` of numbers are ranges. */
export type Spelling = 'prefixes' | 'ranges' | 'values'

/** The lines of a set, in order, without their ends: IPv4 before IPv6. */
export function* linesOf({v4, v6, numbers}: ValueSet, spelling: Spelling): Iterable<string> {
  const number = (value: bigint): string => String(value)
  if (spelling === 'values') {
    for (const [set, text] of [
      [v4, ipv4],
      [v6, ipv6],
      [numbers, number],
    ] as const) {
      for (const [low, high] of bigRanges(set)) for (let n = low; n <= high; n++) yield text(n)
    }
    return
  }
  yield* spelling === 'ranges' ? ranges(v4, ipv4) : prefixes(v4, 32n, ipv4)
  yield* spelling === 'ranges' ? ranges(v6, ipv6) : prefixes(v6, 128n, ipv6)
  yield* ranges(numbers, number)
}

function* ranges(set: RangeSet, text: (value: bigint) => string): Iterable<string> {
  for (const [low, high] of bigRanges(set)) {
    yield low === high ? text(low) : `${text(low)}-${text(high)}`
  }
}

/** The fewest prefixes that make up each range. */
function* prefixes(set: RangeSet, most: bigint, text: (value: bigint) => string): Iterable<string> {
  for (const [low, high] of bigRanges(set)) {
    for (let from = low; from <= high;) {
      // As large as where it begins allows, and as what is left.
      let free = 0n
      while (free < most) {
        const size = 2n << free
        if (from % size !== 0n || from + size - 1n > high) break
        free++
      }
      yield free === 0n ? text(from) : `${text(from)}/${most - free}`
      from += 1n << free
    }
  }
}

const address4 = new Uint8Array(4)
const address6 = new Uint8Array(16)

function ipv4(value: bigint): string {
  new DataView(address4.buffer).setUint32(0, Number(value))
  return addressText(address4)
}

function ipv6(value: bigint): string {
  const view = new DataView(address6.buffer)
  view.setBigUint64(0, value >> 64n)
  view.setBigUint64(8, value & MOST)
  return addressText(address6)
}
