/**
 * What finds and sums groups: hash tables over keys of fixed size, one per shape. There are two, alike in
 * every result: plain-groups.ts and native/kernel/groups.cc. group-table.ts turns Templates into programs, so that a
 * kernel knows octets and nothing of elements; row-table.ts groups rows only.
 *
 * A row is a group as octets: its key, padded with zeros to a multiple of 8, then one unsigned64 per
 * column, least significant octet first. Rows keep the order in which their groups first came.
 */
export interface GroupKernel {
  /** Opens the table of keys of `keyOctets` (a multiple of 8, 0: all records are one group); ids count from 0. */
  shape(keyOctets: number): number
  /** Takes a program (below); ids count from 0. The numbers are trusted to fit each other. */
  program(code: Int32Array): number
  /** 65536 octets: of two ports, the one with the lesser rank names the service; equal: the lesser port. */
  ranks(table: Uint8Array): void
  /**
   * Adds records: `spans` holds `count` times (octet where the first record begins, records, program). With `numbers`, which has
   * room for all records of the spans, each record's place in it gets the number of its group in its shape; NO_GROUP: it
   * was passed over or refused.
   *
   * @throws RangeError a span reaches past the octets
   */
  add(octets: Uint8Array, spans: Int32Array, count: number, numbers?: Uint32Array): void
  /** Adds `count` rows of the shape's layout to the groups of their keys. */
  addRows(shape: number, rows: Uint8Array, count: number): void
  /** Groups of a shape. */
  count(shape: number): number
  /** Copies rows from number `from` on until `into` is full; returns how many. */
  rows(shape: number, from: number, into: Uint8Array): number
  /**
   * Fills `into` with the numbers of the shape's groups in the order of their keys, octet by octet.
   * @throws RangeError it has no room for all
   */
  order(shape: number, into: Uint32Array): void
  /** Copies the rows with these numbers, one behind the other. @throws RangeError there is no such row, or no room */
  gather(shape: number, numbers: Uint32Array, into: Uint8Array): void
  /** Columns (8 octets each) of what was refused because a new group found no room below the limit. */
  refusedRow(into: Uint8Array): void
  /** How many additions were refused. */
  refused(): number
  /** Additions that would have taken a sum past 2^64 − 1; it stays there. */
  limited(): number
  /** Octets of rows and indexes in use. */
  memoryOctets(): number
  /** Frees the tables at once; the kernel is of no use after. */
  close(): void
}

/**
 * @param columns one of SUM, MIN, MAX, OR per column
 * @param maxOctets new groups are refused beyond; 0: no limit
 * @param seed of the hash, 0..2^32−1, so that no sender can choose keys that collide
 */
export type CreateGroups = (columns: Uint8Array, maxOctets: number, seed: number) => GroupKernel

export const SUM = 0
/** Starts at 2^64 − 1, which means: no value. */
export const MIN = 1
/** Starts at 0. */
export const MAX = 2
/** Bits that any addition has. */
export const OR = 3

/**
 * A program says how records of one layout become keys and columns:
 *
 *     octets of a record, shape, flags, half, moves, moves of the other key, moves …, sources …
 *
 * A move is (from, length, to, mask, second): `length` octets go from the record to the key, the last one
 * masked. With `second` ≥ 0 the move carries the better ranked of two unsigned16, at `from` and `second`.
 * A source (one per column) is (end, length, scale, constant): the unsigned integer of `length` octets that
 * ends before octet `end` of the record, times `scale`, plus `constant`; −1 as constant: 2^64 − 1. Scale NTP: an
 * NTP timestamp becomes milliseconds since 1970. Length 0: the constant alone.
 * The other key is built when flag EXCEPT_SAME is set; the record is passed over when the keys are equal.
 *
 * A move from CONSTANT puts its mask there, one from WAY 1 where the halves changed places and else 0; records are passed over
 * unless their key has, where moves from ONLY go, the mask of one of these, before halves change places; none of the three is for the
 * other key. With RANKED the halves, which end in a port each, are in the order of the ports' ranks, then of the ports, and
 * otherwise stay; the second one's port becomes 0.
 *
 * With flag ROWS the records are rows of another table, and the columns of these are what sources read: (end, 8, 1, 0).
 */
export const PROGRAM_HEADER = 6
export const MOVE = 5
export const SOURCE = 4

/** Pass over records whose SUM fields are all zero: the reverse direction that saw no packet. */
export const SKIP_ZERO = 1
export const EXCEPT_SAME = 2
export const ROWS = 4
export const RANKED = 8
export const NTP = 0
/** Instead of where a move comes from. */
export const CONSTANT = -1
export const WAY = -2
export const ONLY = -3

/** A number of no group. */
export const NO_GROUP = 0xffffffff

/** Octets of a key as it lies in a row. */
export function padKey(keyOctets: number): number {
  return (keyOctets + 7) & ~7
}

/** Puts the lesser of the two leading halves of a key first, so that both orders have one key; whether they changed places. */
export function orderHalves(key: Uint8Array, half: number): boolean {
  let i = 0
  while (i < half && key[i] === key[half + i]) i++
  if (i === half || key[i] < key[half + i]) return false
  swapHalves(key, half)
  return true
}

export function swapHalves(key: Uint8Array, half: number): void {
  for (let i = 0; i < half; i++) {
    const octet = key[i]
    key[i] = key[half + i]
    key[half + i] = octet
  }
}

/** Whether the first `n` octets are equal. */
export function sameOctets(a: Uint8Array, b: Uint8Array, n: number): boolean {
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return false
  return true
}
