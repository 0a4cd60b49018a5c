import {padKey} from '../../record/group-kernel.js'
import type {GroupOrder} from '../../record/group-selection.js'
import type {KeyShape} from '../../record/group-spec.js'
import type {GroupBlock, GroupTable} from '../../record/group-table.js'

/** Files by name that octets are appended to; they go away at the end. */
export interface SpillStore {
  /** @throws DartaError DARTA_FILE_WRITE */
  append(name: string, octets: Uint8Array): void
  /** What was appended, in pieces as they were appended. @throws DartaError DARTA_FILE_READ */
  read(name: string): Iterable<Uint8Array>
  close(): void
}

/** Groups are spread over so many files by their keys; each must fit memory when it is read back. */
export const PARTITIONS = 64

/** Octets of a piece. */
const PIECE = 65536

/** Tables whose groups do not fit memory, on disk. */
export interface Spill {
  /** Writes the groups of table number `n`. */
  write(n: number, table: GroupTable): void
  /** Adds the groups of a partition to a table. */
  read(n: number, partition: number, table: GroupTable): void
  /** Keeps rows that are in order. */
  writeRun(run: number, shape: KeyShape, rows: Uint8Array, rowOctets: number): void
  /** The rows of all runs in order. */
  mergeRuns(runs: readonly number[], order: GroupOrder): Iterable<GroupBlock>
  close(): void
}

/**
 * @param parts how many parts of a key, from the first, decide the partition: rows of tables whose keys begin alike
 * meet in the same one
 */
export function createSpill(store: SpillStore, parts: number): Spill {
  const shapes = new Map<string, {shape: KeyShape; rowOctets: number}>()
  const files = new Set<string>()
  const buffers = new Map<string, {octets: Uint8Array; filled: number}>()

  function nameOf(n: number, partition: number, signature: string): string {
    return `${n}-${partition}-${signature}`
  }

  function put(name: string, row: Uint8Array): void {
    let buffer = buffers.get(name)
    if (buffer === undefined) {
      const rows = Math.max(1, Math.floor(PIECE / row.length))
      buffer = {octets: new Uint8Array(rows * row.length), filled: 0}
      buffers.set(name, buffer)
    }
    buffer.octets.set(row, buffer.filled)
    buffer.filled += row.length
    if (buffer.filled === buffer.octets.length) flush(name, buffer)
  }

  function flush(name: string, buffer: {octets: Uint8Array; filled: number}): void {
    if (buffer.filled > 0) store.append(name, buffer.octets.subarray(0, buffer.filled))
    files.add(name)
    buffer.filled = 0
  }

  return {
    write(n, table) {
      for (const {shape, rows, rowOctets} of table.blocks()) {
        shapes.set(`${n}-${shape.signature}`, {shape, rowOctets})
        // The octets of the parts that decide, and which kinds of values they are.
        const octets = parts === 0 ? 0 : endOf(shape, parts)
        const names = Array.from({length: PARTITIONS}, (_, p) => nameOf(n, p, shape.signature))
        for (let row = 0; row < rows.length; row += rowOctets) {
          let hash = 0x811c9dc5
          for (let i = 0; i < octets; i++) hash = Math.imul(hash ^ rows[row + i], 0x01000193)
          hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
          put(names[(hash ^ (hash >>> 13)) & (PARTITIONS - 1)], rows.subarray(row, row + rowOctets))
        }
      }
      for (const [name, buffer] of buffers) flush(name, buffer)
    },
    read(n, partition, table) {
      for (const key of shapes.keys()) {
        const [number, signature] = splitOnce(key)
        if (Number(number) !== n) continue
        const name = nameOf(n, partition, signature)
        if (!files.has(name)) continue
        for (const rows of store.read(name)) table.addRows(signature, rows)
      }
    },
    writeRun(run, shape, rows, rowOctets) {
      shapes.set(`0-${shape.signature}`, {shape, rowOctets})
      const name = `run-${run}`
      files.add(name)
      // Which shape the piece is of goes ahead.
      const signature = new TextEncoder().encode(shape.signature)
      const piece = new Uint8Array(1 + signature.length + rows.length)
      piece[0] = signature.length
      piece.set(signature, 1)
      piece.set(rows, 1 + signature.length)
      store.append(name, piece)
    },
    *mergeRuns(runs, order) {
      const sign = order.ascending === true ? 1 : -1
      const cursors = runs
        .filter((run) => files.has(`run-${run}`))
        .map((run) => cursorOf(store.read(`run-${run}`)[Symbol.iterator](), shapes, order))
        .filter((cursor) => cursor.next())
      // Few enough for a look at each; they stay in the order of their runs, which decides between equals.
      while (cursors.length > 0) {
        let best = cursors[0]
        for (const cursor of cursors) {
          const by = cursor.high !== best.high ? cursor.high - best.high : cursor.low - best.low
          if (sign * by < 0) best = cursor
        }
        yield {shape: best.shape!, rows: best.row(), rowOctets: best.rowOctets}
        if (!best.next()) cursors.splice(cursors.indexOf(best), 1)
      }
    },
    close: () => store.close(),
  }
}

/** Octet behind the first `parts` parts of a key. */
function endOf(shape: KeyShape, parts: number): number {
  const {offset, length} = shape.fields[parts - 1]
  return offset + length
}

function splitOnce(key: string): [string, string] {
  const dash = key.indexOf('-')
  return [key.slice(0, dash), key.slice(dash + 1)]
}

interface Cursor {
  shape: KeyShape | undefined
  rowOctets: number
  high: number
  low: number
  /** Goes to the next row; false: there is none. */
  next(): boolean
  row(): Uint8Array
}

function cursorOf(
  pieces: Iterator<Uint8Array>,
  shapes: ReadonlyMap<string, {shape: KeyShape; rowOctets: number}>,
  order: GroupOrder,
): Cursor {
  let rows = new Uint8Array(0)
  let words = new Uint32Array(0)
  let at = 0
  const cursor: Cursor = {
    shape: undefined,
    rowOctets: 0,
    high: 0,
    low: 0,
    next() {
      at += cursor.rowOctets
      if (at >= rows.length) {
        const piece = pieces.next()
        if (piece.done === true) return false
        const length = piece.value[0]
        const signature = new TextDecoder().decode(piece.value.subarray(1, 1 + length))
        const known = shapes.get(`0-${signature}`)!
        cursor.shape = known.shape
        cursor.rowOctets = known.rowOctets
        // A copy: rows have to lie on multiples of 4 octets.
        rows = piece.value.slice(1 + length)
        words = new Uint32Array(rows.buffer)
        at = 0
      }
      const columns = at / 4 + padKey(cursor.shape!.octets) / 4
      cursor.high = order.high(words, columns)
      cursor.low = order.low(words, columns)
      return true
    },
    row: () => rows.subarray(at, at + cursor.rowOctets),
  }
  return cursor
}
