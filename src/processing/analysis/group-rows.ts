import {padKey} from '../../record/group-kernel.js'
import type {KeyShape} from '../../record/group-spec.js'
import type {GroupTable} from '../../record/group-table.js'

/*
 * Groups as octets, for what looks at all of a million groups: an object for each would cost more than the group does.
 * group-kernel.ts says how rows are laid out.
 */

/**
 * @param at octet of `rows` at which the group's row begins
 * @param columns word of `words` at which its columns begin, the less significant word of each first
 */
export type VisitGroup = (
  shape: KeyShape,
  rows: Uint8Array,
  at: number,
  words: Uint32Array,
  columns: number,
) => void

/** Visits every group; what it is shown is good only during the visit. */
export function eachGroup(table: GroupTable, visit: VisitGroup): void {
  for (const {shape, rows, rowOctets} of table.blocks()) {
    const columnsAt = padKey(shape.octets)
    const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
    for (let at = 0; at < rows.length; at += rowOctets) {
      visit(shape, rows, at, words, (at + columnsAt) / 4)
    }
  }
}

/** A part of a key as a number, 0 where it is missing; parts of up to 6 octets. */
export function numberAt(rows: Uint8Array, at: number, shape: KeyShape, part: number): number {
  const {offset, length} = shape.fields[part]
  let value = 0
  for (let i = at + offset; i < at + offset + length; i++) value = value * 256 + rows[i]
  return value
}

/** Copies a part of a key; how many octets it has. */
export function copyPart(
  rows: Uint8Array,
  at: number,
  shape: KeyShape,
  part: number,
  into: Uint8Array,
  to: number,
): number {
  const {offset, length} = shape.fields[part]
  for (let i = 0; i < length; i++) into[to + i] = rows[at + offset + i]
  return length
}

/** Octets of a part; good as long as the rows are. */
export function partAt(rows: Uint8Array, at: number, shape: KeyShape, part: number): Uint8Array {
  const {offset, length} = shape.fields[part]
  return rows.subarray(at + offset, at + offset + length)
}

/** A column as a number; beyond 2^53 it is the nearest one. */
export function columnAt(words: Uint32Array, columns: number, column: number): number {
  return words[columns + 2 * column + 1] * 4294967296 + words[columns + 2 * column]
}

/** Tells at little cost that octets are none of a few. */
export interface Sieve {
  add(octets: Uint8Array, from: number, length: number): void
  /** False: they were not added. True: they may have been. */
  mayHave(octets: Uint8Array, from: number, length: number): boolean
}

export function createSieve(): Sieve {
  const bits = new Uint32Array(2 ** 15)
  const place = (octets: Uint8Array, from: number, length: number): number => {
    let hash = length
    for (let i = from; i < from + length; i++) hash = Math.imul(hash ^ octets[i], 0x01000193)
    return (hash ^ (hash >>> 15)) & 0xfffff
  }
  return {
    add(octets, from, length) {
      const at = place(octets, from, length)
      bits[at >>> 5] |= 1 << (at & 31)
    },
    mayHave(octets, from, length) {
      const at = place(octets, from, length)
      return ((bits[at >>> 5] >>> (at & 31)) & 1) === 1
    },
  }
}
