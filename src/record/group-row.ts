import type {KeyShape} from './group-spec.js'
import {padKey} from './group-kernel.js'

/** What a `min` column holds where no record had a value. */
export const NO_VALUE = 0xffffffffffffffffn

/** One group. */
export interface GroupRow {
  readonly shape: KeyShape
  /** Key, padded, then columns: see group-kernel.ts. */
  readonly octets: Uint8Array
  /** Octets of part `i` of the key: as many as its field in the shape, or the value that is interned; undefined: missing. */
  part(i: number): Uint8Array | undefined
  /** Column `c`; NO_VALUE where a `min` has none. */
  value(c: number): bigint
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

/** A row over octets that are not changed any more. */
export function makeRow(shape: KeyShape, octets: Uint8Array, interned: Interned): GroupRow {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const columns = padKey(shape.octets)
  return {
    shape,
    octets,
    part(i) {
      const {element, offset, length, interned: numbered} = shape.fields[i]
      if (element === undefined) return undefined
      return numbered
        ? interned.valueOf(view.getUint32(offset))
        : octets.subarray(offset, offset + length)
    },
    value: (c) => view.getBigUint64(columns + 8 * c, true),
  }
}

/** Order of two keys of one shape: octet by octet, interned parts by what they stand for. */
export function compareKeys(
  shape: KeyShape,
  a: Uint8Array,
  b: Uint8Array,
  interned: Interned,
): number {
  for (const {offset, length, interned: numbered} of shape.fields) {
    const x = a.subarray(offset, offset + length)
    const y = b.subarray(offset, offset + length)
    const order = numbered
      ? compareOctets(interned.valueOf(number(x)), interned.valueOf(number(y)))
      : compareOctets(x, y)
    if (order !== 0) return order
  }
  return 0
}

function number(octets: Uint8Array): number {
  return ((octets[0] << 24) | (octets[1] << 16) | (octets[2] << 8) | octets[3]) >>> 0
}

function compareOctets(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}
