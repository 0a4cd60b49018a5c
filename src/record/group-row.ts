import type {KeyShape} from './group-spec.js'
import {padKey} from './group-kernel.js'
import {compareOctets} from './octets.js'

/** What a `min` column holds where no record had a value. */
export const NO_VALUE = 0xffffffffffffffffn

/** One group: a view of its row, since there may be millions. */
export class GroupRow {
  readonly shape: KeyShape
  readonly #interned: Interned
  readonly #block: Uint8Array
  readonly #start: number

  /** @param block holds the row from `start` on, laid out as group-kernel.ts says */
  constructor(shape: KeyShape, interned: Interned, block: Uint8Array, start: number) {
    this.shape = shape
    this.#interned = interned
    this.#block = block
    this.#start = start
  }

  /** The key, padded. */
  get key(): Uint8Array {
    return this.#block.subarray(this.#start, this.#start + padKey(this.shape.octets))
  }

  /** Key and the first `width` columns. */
  octets(width: number): Uint8Array {
    const end = this.#start + padKey(this.shape.octets) + 8 * width
    return this.#block.subarray(this.#start, end)
  }

  /** Octets of part `i` of the key: as many as its field in the shape, or the value that is interned; undefined: missing. */
  part(i: number): Uint8Array | undefined {
    const {element, offset, length, interned} = this.shape.fields[i]
    if (element === undefined) return undefined
    const at = this.#start + offset
    if (interned) return this.#interned.valueOf(numberAt(this.#block, at))
    return this.#block.subarray(at, at + length)
  }

  /** Column `c`; NO_VALUE where a `min` has none. */
  value(c: number): bigint {
    const high = this.#word(2 * c + 1)
    const low = this.#word(2 * c)
    return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low)
  }

  /** Column `c` as a number; beyond 2^53 it is the nearest one. */
  number(c: number): number {
    return this.#word(2 * c + 1) * 4294967296 + this.#word(2 * c)
  }

  #word(i: number): number {
    const at = this.#start + padKey(this.shape.octets) + 4 * i
    const octets = this.#block
    const low = octets[at] | (octets[at + 1] << 8) | (octets[at + 2] << 16)
    return low + octets[at + 3] * 16777216
  }

  /** Order of the keys of two rows of one shape: octet by octet, interned parts by what they stand for. */
  compareKey(other: GroupRow): number {
    const a = this.#block
    const b = other.#block
    for (const {offset, length, interned} of this.shape.fields) {
      const x = this.#start + offset
      const y = other.#start + offset
      if (interned) {
        const ours = this.#interned.valueOf(numberAt(a, x))
        const theirs = this.#interned.valueOf(numberAt(b, y))
        const order = compareOctets(ours, 0, ours.length, theirs, 0, theirs.length)
        if (order !== 0) return order
        continue
      }
      for (let i = 0; i < length; i++) if (a[x + i] !== b[y + i]) return a[x + i] - b[y + i]
    }
    return 0
  }
}

/** Values of variable length by number. */
export interface Interned {
  numberOf(value: Uint8Array): number
  valueOf(number: number): Uint8Array
  /** By number. */
  values(): readonly Uint8Array[]
  /** About. */
  memoryOctets(): number
}

/** Octets that a value takes besides itself, about. */
const VALUE_OVERHEAD = 160

export function createInterned(): Interned {
  const numbers = new Map<string, number>()
  const values: Uint8Array[] = []
  let memory = 0
  return {
    numberOf(value) {
      let name = ''
      for (let i = 0; i < value.length; i += 4096) {
        name += String.fromCharCode(...value.subarray(i, i + 4096))
      }
      let number = numbers.get(name)
      if (number === undefined) {
        number = values.length
        numbers.set(name, number)
        values.push(value.slice())
        memory += 2 * value.length + VALUE_OVERHEAD
      }
      return number
    },
    valueOf: (number) => values[number],
    values: () => values,
    memoryOctets: () => memory,
  }
}

function numberAt(octets: Uint8Array, at: number): number {
  return (
    ((octets[at] << 24) | (octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3]) >>> 0
  )
}
