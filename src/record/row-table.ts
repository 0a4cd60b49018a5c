import {DartaError} from './errors.js'
import {padKey} from './group-kernel.js'
import {kernels} from './kernels.js'

/** Rows that are handed over together. */
const BLOCK_ROWS = 1024

/**
 * Groups rows by keys of one size: for what is made of the groups of other tables. Rows are laid out as group-kernel.ts
 * says, the less significant word of a column first.
 */
export interface RowTable {
  readonly rowOctets: number
  /** Octet of a row at which its columns begin. */
  readonly columnsAt: number
  /** Where rows are written, as octets and as words. */
  readonly octets: Uint8Array
  readonly words: Uint32Array
  /** Begins a row, all zeros: the octet of `octets` at which it is. What was written before is added by and by. */
  next(): number
  /** Groups so far. */
  count(): number
  /** All groups, in the order in which they first came; octets and words are good only during the visit. */
  eachBlock(visit: (octets: Uint8Array, words: Uint32Array, rows: number) => void): void
  /** Frees memory at once. */
  close(): void
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
    if (begun > 0) kernel.addRows(shape, octets, begun)
    begun = 0
    octets.fill(0)
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
