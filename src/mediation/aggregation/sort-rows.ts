import type {GroupOrder} from '../../record/group-selection.js'
import type {KeyShape} from '../../record/group-spec.js'
import type {GroupBlock, GroupTable} from '../../record/group-table.js'
import {padKey} from '../../record/group-kernel.js'

/** Rows that are handed on together. */
const BLOCK_ROWS = 4096

/**
 * All rows of a table in order; equal ones in the order in which their groups came. Blocks hold rows of one shape: where
 * shapes alternate they are small.
 */
export function* sortedRows(table: GroupTable, order: GroupOrder): Iterable<GroupBlock> {
  const shapes: KeyShape[] = []
  const sizes: number[] = []
  const blocks: {shape: number; rows: Uint8Array}[] = []
  let total = 0
  for (const {shape, rows, rowOctets} of table.blocks()) {
    if (shapes.at(-1) !== shape) {
      shapes.push(shape)
      sizes.push(rowOctets)
    }
    blocks.push({shape: shapes.length - 1, rows: rows.slice()})
    total += rows.length / rowOctets
  }
  // What rows are ordered by, and where they lie.
  const high = new Float64Array(total)
  const low = new Float64Array(total)
  const place = new Uint32Array(total)
  const blockOf = new Uint32Array(total)
  let n = 0
  for (const [b, {shape, rows}] of blocks.entries()) {
    const words = new Uint32Array(rows.buffer)
    const rowOctets = sizes[shape]
    const columns = padKey(shapes[shape].octets) / 4
    for (let row = 0; row < rows.length; row += rowOctets) {
      high[n] = order.high(words, row / 4 + columns)
      low[n] = order.low(words, row / 4 + columns)
      place[n] = row
      blockOf[n++] = b
    }
  }
  const sorted = sortIndices(high, low, order.ascending === true)
  let out: Uint8Array | undefined
  let filled = 0
  let current = -1
  for (const i of sorted) {
    const {shape, rows} = blocks[blockOf[i]]
    const rowOctets = sizes[shape]
    if (out !== undefined && (shape !== current || filled === BLOCK_ROWS)) {
      yield {
        shape: shapes[current],
        rows: out.subarray(0, filled * sizes[current]),
        rowOctets: sizes[current],
      }
      out = undefined
    }
    if (out === undefined) {
      out = new Uint8Array(BLOCK_ROWS * rowOctets)
      filled = 0
      current = shape
    }
    out.set(rows.subarray(place[i], place[i] + rowOctets), filled++ * rowOctets)
  }
  if (out !== undefined) {
    yield {
      shape: shapes[current],
      rows: out.subarray(0, filled * sizes[current]),
      rowOctets: sizes[current],
    }
  }
}

/** Indices in the order of `high`, then `low`, then of themselves: least significant digit first, 16 bits at a time. */
function sortIndices(high: Float64Array, low: Float64Array, ascending: boolean): Uint32Array {
  const n = high.length
  let indices = new Uint32Array(n)
  for (let i = 0; i < n; i++) indices[i] = i
  let next = new Uint32Array(n)
  const counts = new Uint32Array(65537)
  for (const values of [low, high]) {
    // The bits of a double that is not negative are ordered as the double is.
    const words = new Uint16Array(values.buffer)
    for (let digit = 0; digit < 4; digit++) {
      counts.fill(0)
      for (let i = 0; i < n; i++) counts[digitOf(words, i, digit, ascending) + 1]++
      if (counts.includes(n)) continue
      for (let d = 1; d <= 65536; d++) counts[d] += counts[d - 1]
      for (let k = 0; k < n; k++) {
        const i = indices[k]
        next[counts[digitOf(words, i, digit, ascending)]++] = i
      }
      ;[indices, next] = [next, indices]
    }
  }
  return indices
}

function digitOf(words: Uint16Array, i: number, digit: number, ascending: boolean): number {
  const value = words[4 * i + digit]
  return ascending ? value : 65535 - value
}
