import {DartaError} from './errors.js'
import {CONSTANT, MOVE, padKey, ROWS} from './group-kernel.js'
import {kernels} from './kernels.js'
import type {OrderedRows} from './group-table.js'

/** Rows that are handed over together. */
const BLOCK_ROWS = 1024

/**
 * Groups rows by keys of one size: for what is made of the groups of other tables. Rows are laid out as group-kernel.ts
 * says, the less significant word of a column first.
 */
export interface RowTable extends OrderedRows {
  /** Where rows are written, as octets and as words. */
  readonly octets: Uint8Array
  readonly words: Uint32Array
  /** Begins a row, all zeros: the octet of `octets` at which it is. What was written before is added by and by. */
  next(): number
  /** A number for a way to make rows out of those of another table. */
  program(from: RowProgram): number
  /**
   * Adds what programs make of rows: `spans` holds `count` times (octet where the first row begins, rows, program).
   *
   * @param numbers has room for the number of each row's group, or is not there
   */
  addFrom(rows: Uint8Array, spans: Int32Array, count: number, numbers?: Uint32Array): void
  /** All groups, in the order in which they first came; octets and words are good only during the visit. */
  eachBlock(visit: (octets: Uint8Array, words: Uint32Array, rows: number) => void): void
  /** Frees memory at once. */
  close(): void
}

/** How a row of another table becomes a key and columns; what no move writes is 0. */
export interface RowProgram {
  /** Octets of each row there. */
  readonly rowOctets: number
  /** (octet there, length, octet of the key). */
  readonly moves: readonly (readonly [from: number, length: number, to: number])[]
  /** (octet of the key, its value). */
  readonly constants?: readonly (readonly [to: number, octet: number])[]
  /** Of each column. */
  readonly columns: readonly RowSource[]
}

/** Where a column comes from: one of 8 octets there, or a constant below 2^31. */
export type RowSource = {readonly at: number} | {readonly constant: number}

/** As group-kernel.ts says; the shape's number is 0. */
function rowCode({rowOctets, moves, constants = [], columns}: RowProgram): Int32Array {
  const all = [
    ...moves.filter(([, length]) => length > 0).flatMap((move) => [...move, 255, -1]),
    ...constants.flatMap(([to, octet]) => [CONSTANT, 1, to, octet, -1]),
  ]
  const sources = columns.flatMap((source) =>
    'at' in source ? [source.at + 8, 8, 1, 0] : [0, 0, 1, source.constant],
  )
  return Int32Array.from([rowOctets, 0, ROWS, 0, all.length / MOVE, 0, ...all, ...sources])
}

/**
 * @param keyOctets of a key without padding
 * @param kinds one of SUM, MIN, MAX, OR per column
 */
export function createRowTable(keyOctets: number, kinds: readonly number[]): RowTable {
  const kernel = kernels.groups(Uint8Array.from(kinds), 0, (Math.random() * 2 ** 32) >>> 0)
  const rowOctets = padKey(keyOctets) + 8 * kinds.length
  const shape = kernel.shape(padKey(keyOctets))
  const octets = new Uint8Array(BLOCK_ROWS * rowOctets)
  let begun = 0

  function settle(): void {
    if (begun === 0) return
    kernel.addRows(shape, octets, begun)
    begun = 0
    octets.fill(0)
    check()
  }

  function check(): void {
    if (kernel.refused() > 0) {
      throw new DartaError('DARTA_MEMORY_LIMIT', 'the system has no memory for more groups')
    }
  }

  return {
    rowOctets,
    columnsAt: padKey(keyOctets),
    octets,
    words: new Uint32Array(octets.buffer),
    next() {
      if (begun === BLOCK_ROWS) settle()
      return begun++ * rowOctets
    },
    program: (from) => kernel.program(rowCode(from)),
    addFrom(rows, spans, count, numbers) {
      settle()
      kernel.add(rows, spans, count, numbers)
      check()
    },
    order() {
      settle()
      const numbers = new Uint32Array(kernel.count(shape))
      kernel.order(shape, numbers)
      return numbers
    },
    gather: (numbers, into) => kernel.gather(shape, numbers, into),
    count() {
      settle()
      return kernel.count(shape)
    },
    eachBlock(visit) {
      settle()
      const block = new Uint8Array(BLOCK_ROWS * rowOctets)
      const words = new Uint32Array(block.buffer)
      for (let from = 0, rows = BLOCK_ROWS; rows === BLOCK_ROWS; from += rows) {
        rows = kernel.rows(shape, from, block)
        if (rows > 0) visit(block, words, rows)
      }
    },
    close: () => kernel.close(),
  }
}
