import {
  CONSTANT,
  EXCEPT_SAME,
  MIN,
  MOVE,
  NO_GROUP,
  NTP,
  ONLY,
  OR,
  orderHalves,
  PROGRAM_HEADER,
  RANKED,
  ROWS,
  sameOctets,
  SKIP_ZERO,
  SOURCE,
  SUM,
  swapHalves,
  WAY,
  type CreateGroups,
} from './group-kernel.js'

/** Rows are kept in blocks that never move, so that growing costs no copy. */
const BLOCK_ROWS = 4096
const FIRST_SLOTS = 64
/** Seconds from 1900 to 1970, and in one NTP era. RFC 7011 section 6.1.9. */
const NTP_1970 = 2208988800
const TWO_32 = 4294967296

interface Shape {
  readonly keyOctets: number
  readonly rowWords: number
  blocks: Uint32Array[]
  count: number
  /** Pairs: hash, row number + 1; 0: free. */
  slots: Uint32Array
  /** Slots − 1. */
  mask: number
}

interface Program {
  readonly stride: number
  readonly shape: Shape
  readonly flags: number
  readonly half: number
  readonly moves: Int32Array
  readonly exceptMoves: Int32Array
  readonly sources: Int32Array
}

/** The kernel in TypeScript: what the native one is held against, and what runs where it is not built. */
export const createPlainGroups: CreateGroups = (columns, maxOctets, seed) => {
  const shapes: Shape[] = []
  const programs: Program[] = []
  const width = columns.length
  let rank = new Uint8Array(65536)
  let memory = 0
  let refused = 0
  let limited = 0
  let key = new Uint8Array(0)
  let keyWords = new Uint32Array(0)
  let other = new Uint8Array(0)
  /** Low and high words of the values being added. */
  const values = new Uint32Array(2 * width)
  const refusedRow = startRow()

  function startRow(): Uint32Array {
    const row = new Uint32Array(2 * width)
    for (let c = 0; c < width; c++) if (columns[c] === MIN) row.fill(0xffffffff, 2 * c, 2 * c + 2)
    return row
  }

  function readMoves(record: Uint8Array, at: number, moves: Int32Array, into: Uint8Array): void {
    into.fill(0)
    for (let i = 0; i < moves.length; i += MOVE) {
      if (moves[i] === WAY || moves[i] === ONLY) continue
      if (moves[i] === CONSTANT) {
        into[moves[i + 2]] = moves[i + 3]
        continue
      }
      let from = at + moves[i]
      const length = moves[i + 1]
      const to = moves[i + 2]
      if (moves[i + 4] >= 0) {
        const second = at + moves[i + 4]
        const a = (record[from] << 8) | record[from + 1]
        const b = (record[second] << 8) | record[second + 1]
        if (rank[b] < rank[a] || (rank[b] === rank[a] && b < a)) from = second
      }
      for (let k = 0; k < length; k++) into[to + k] = record[from + k]
      into[to + length - 1] &= moves[i + 3]
    }
  }

  /** Fills `values` from a record; true if a SUM field is not zero. */
  function readSources(record: Uint8Array, at: number, sources: Int32Array): boolean {
    let counted = false
    for (let c = 0; c < width; c++) {
      const s = c * SOURCE
      const length = sources[s + 1]
      const constant = sources[s + 3]
      let low = 0
      let high = 0
      if (length > 0) {
        const end = at + sources[s]
        for (let k = Math.max(end - length, end - 4); k < end; k++) low = low * 256 + record[k]
        for (let k = end - length; k < end - 4; k++) high = high * 256 + record[k]
        const scale = sources[s + 2]
        if (scale === NTP) {
          const seconds = high < NTP_1970 ? high - NTP_1970 + TWO_32 : high - NTP_1970
          const ms = seconds * 1000 + Math.floor((low * 1000) / TWO_32)
          high = Math.floor(ms / TWO_32)
          low = ms % TWO_32
        } else if (scale !== 1) {
          high = high * scale + Math.floor((low * scale) / TWO_32)
          low = (low * scale) % TWO_32
        }
        if (columns[c] === SUM && (low !== 0 || high !== 0)) counted = true
      }
      if (constant === -1) {
        low = 0xffffffff
        high = 0xffffffff
      } else if (constant > 0) {
        low += constant
        if (low >= TWO_32) high++
      }
      values[2 * c] = low
      values[2 * c + 1] = high
    }
    return counted
  }

  /** Orders the halves by their ports and clears the second one's; whether they changed places. */
  function rankHalves(half: number): boolean {
    const a = (key[half - 2] << 8) | key[half - 1]
    const b = (key[2 * half - 2] << 8) | key[2 * half - 1]
    const changed = rank[b] < rank[a] || (rank[b] === rank[a] && b < a)
    if (changed) swapHalves(key, half)
    key[2 * half - 2] = 0
    key[2 * half - 1] = 0
    return changed
  }

  /** Fills `values` from a row of another table. */
  function readRow(rows: Uint8Array, at: number, sources: Int32Array): void {
    for (let c = 0; c < width; c++) {
      const [end, length, , constant] = sources.subarray(c * SOURCE, (c + 1) * SOURCE)
      const from = at + end - 8
      if (length === 0) {
        values[2 * c] = constant
        values[2 * c + 1] = constant < 0 ? constant : 0
        continue
      }
      for (let w = 0; w < 2; w++) {
        const i = from + 4 * w
        values[2 * c + w] = rows[i] | (rows[i + 1] << 8) | (rows[i + 2] << 16) | (rows[i + 3] << 24)
      }
    }
  }

  /** Whether the key is one of those that are wanted. */
  function isWanted(moves: Int32Array): boolean {
    let wanted = true
    for (let i = 0; i < moves.length; i += MOVE) {
      if (moves[i] !== ONLY) continue
      if (key[moves[i + 2]] === moves[i + 3]) return true
      wanted = false
    }
    return wanted
  }

  /** Puts the halves of the key in their order, and says in it whether they changed places. */
  function settleHalves({flags, half, moves}: Program): void {
    let changed = false
    if ((flags & RANKED) !== 0) changed = rankHalves(half)
    else if (half > 0) changed = orderHalves(key, half)
    for (let i = 0; i < moves.length; i += MOVE) {
      if (moves[i] === WAY) key[moves[i + 2]] = changed ? 1 : 0
    }
  }

  function addRow(rows: Uint8Array, at: number, program: Program): number {
    const {shape, moves, sources} = program
    readMoves(rows, at, moves, key.subarray(0, shape.keyOctets))
    if (!isWanted(moves)) return NO_GROUP
    settleHalves(program)
    readRow(rows, at, sources)
    return addKey(shape)
  }

  function rowAt({blocks, rowWords}: Shape, row: number): Uint8Array {
    const start = (row % BLOCK_ROWS) * rowWords * 4
    return new Uint8Array(blocks[Math.floor(row / BLOCK_ROWS)].buffer, start, rowWords * 4)
  }

  function hashKey(words: number): number {
    let h = seed ^ words
    for (let i = 0; i < words; i++) {
      let k = Math.imul(keyWords[i], 0xcc9e2d51)
      k = (k << 15) | (k >>> 17)
      h ^= Math.imul(k, 0x1b873593)
      h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64
    }
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return (h ^ (h >>> 16)) >>> 0
  }

  function combine(block: Uint32Array, at: number, from: Uint32Array): void {
    for (let c = 0; c < width; c++) {
      const low = from[2 * c]
      const high = from[2 * c + 1]
      const i = at + 2 * c
      switch (columns[c]) {
        case SUM: {
          const l = block[i] + low
          const h = block[i + 1] + high + (l >= TWO_32 ? 1 : 0)
          const beyond = h >= TWO_32
          if (beyond) limited++
          block[i] = beyond ? 0xffffffff : l
          block[i + 1] = beyond ? 0xffffffff : h
          break
        }
        case MIN:
          if (high < block[i + 1] || (high === block[i + 1] && low < block[i])) {
            block[i] = low
            block[i + 1] = high
          }
          break
        case OR:
          block[i] |= low
          block[i + 1] |= high
          break
        default:
          if (high > block[i + 1] || (high === block[i + 1] && low > block[i])) {
            block[i] = low
            block[i + 1] = high
          }
      }
    }
  }

  /** Asks for `octets` more; false if that is past the limit. */
  function allowed(octets: number): boolean {
    if (maxOctets > 0 && memory + octets > maxOctets) return false
    memory += octets
    return true
  }

  function grow(shape: Shape): boolean {
    const slots = shape.mask + 1
    if (!allowed(slots * 8)) return false
    const mask = 2 * slots - 1
    const bigger = new Uint32Array(2 * (mask + 1))
    for (let i = 0; i < shape.slots.length; i += 2) {
      if (shape.slots[i + 1] === 0) continue
      let at = shape.slots[i] & mask
      while (bigger[2 * at + 1] !== 0) at = (at + 1) & mask
      bigger[2 * at] = shape.slots[i]
      bigger[2 * at + 1] = shape.slots[i + 1]
    }
    shape.slots = bigger
    shape.mask = mask
    return true
  }

  /** Adds `values` to the group of `key`, whose number it returns. */
  function addKey(shape: Shape): number {
    const words = shape.keyOctets / 4
    const hash = hashKey(words)
    let at = hash & shape.mask
    for (; shape.slots[2 * at + 1] !== 0; at = (at + 1) & shape.mask) {
      if (shape.slots[2 * at] !== hash) continue
      const row = shape.slots[2 * at + 1] - 1
      const block = shape.blocks[Math.floor(row / BLOCK_ROWS)]
      const start = (row % BLOCK_ROWS) * shape.rowWords
      let i = 0
      while (i < words && block[start + i] === keyWords[i]) i++
      if (i < words) continue
      combine(block, start + words, values)
      return row
    }
    const rowOctets = shape.rowWords * 4
    if (shape.count * 10 >= (shape.mask + 1) * 7) {
      if (!grow(shape)) return refuse()
      at = hash & shape.mask
      while (shape.slots[2 * at + 1] !== 0) at = (at + 1) & shape.mask
    }
    if (!allowed(rowOctets)) return refuse()
    const row = shape.count++
    const start = (row % BLOCK_ROWS) * shape.rowWords
    if (start === 0) shape.blocks.push(new Uint32Array(BLOCK_ROWS * shape.rowWords))
    const block = shape.blocks[shape.blocks.length - 1]
    block.set(keyWords.subarray(0, words), start)
    block.set(empty, start + words)
    combine(block, start + words, values)
    shape.slots[2 * at] = hash
    shape.slots[2 * at + 1] = row + 1
    return row
  }

  function refuse(): number {
    refused++
    combine(refusedRow, 0, values)
    return NO_GROUP
  }

  const empty = startRow()

  return {
    shape(keyOctets) {
      memory += FIRST_SLOTS * 8
      if (keyOctets > key.length) {
        key = new Uint8Array(keyOctets)
        keyWords = new Uint32Array(key.buffer)
        other = new Uint8Array(keyOctets)
      }
      shapes.push({
        keyOctets,
        rowWords: keyOctets / 4 + 2 * width,
        blocks: [],
        count: 0,
        slots: new Uint32Array(2 * FIRST_SLOTS),
        mask: FIRST_SLOTS - 1,
      })
      return shapes.length - 1
    },
    program(code) {
      const moves = PROGRAM_HEADER + code[4] * MOVE
      const sources = moves + code[5] * MOVE
      programs.push({
        stride: code[0],
        shape: shapes[code[1]],
        flags: code[2],
        half: code[3],
        moves: code.slice(PROGRAM_HEADER, moves),
        exceptMoves: code.slice(moves, sources),
        sources: code.slice(sources, sources + width * SOURCE),
      })
      return programs.length - 1
    },
    ranks(table) {
      rank = table.slice()
    },
    add(octets, spans, count, numbers) {
      let n = 0
      for (let s = 0; s < 3 * count; s += 3) {
        const program = programs[spans[s + 2]]
        const {stride, shape, flags, moves, exceptMoves, sources} = program
        const size = shape.keyOctets
        const end = spans[s] + spans[s + 1] * stride
        if (spans[s] < 0 || end > octets.length) throw new RangeError('a span leaves its octets')
        for (let at = spans[s]; at < end; at += stride, n++) {
          if ((flags & ROWS) !== 0) {
            const group = addRow(octets, at, program)
            if (numbers !== undefined) numbers[n] = group
            continue
          }
          if (numbers !== undefined) numbers[n] = NO_GROUP
          if (!readSources(octets, at, sources) && (flags & SKIP_ZERO) !== 0) continue
          readMoves(octets, at, moves, key)
          if (!isWanted(moves)) continue
          if ((flags & EXCEPT_SAME) !== 0) {
            readMoves(octets, at, exceptMoves, other)
            if (sameOctets(key, other, size)) continue
          }
          settleHalves(program)
          const group = addKey(shape)
          if (numbers !== undefined) numbers[n] = group
        }
      }
    },
    addRows(shape, rows, count) {
      const s = shapes[shape]
      const words = s.keyOctets / 4
      const all = new Uint32Array(s.rowWords)
      const octets = new Uint8Array(all.buffer)
      for (let i = 0; i < count; i++) {
        octets.set(rows.subarray(i * octets.length, (i + 1) * octets.length))
        keyWords.set(all.subarray(0, words))
        values.set(all.subarray(words))
        addKey(s)
      }
    },
    count: (shape) => shapes[shape].count,
    rows(shape, from, into) {
      const {rowWords, count, blocks} = shapes[shape]
      const rowOctets = rowWords * 4
      const n = Math.max(0, Math.min(Math.floor(into.length / rowOctets), count - from))
      for (let i = 0; i < n; i++) {
        const row = from + i
        const block = blocks[Math.floor(row / BLOCK_ROWS)]
        const start = (row % BLOCK_ROWS) * rowOctets
        into.set(new Uint8Array(block.buffer, start, rowOctets), i * rowOctets)
      }
      return n
    },
    order(shape, into) {
      const s = shapes[shape]
      if (into.length < s.count) throw new RangeError('no room for the order of all groups')
      const order = into.subarray(0, s.count)
      for (let i = 0; i < s.count; i++) order[i] = i
      order.sort((a, b) => {
        const [x, y] = [rowAt(s, a), rowAt(s, b)]
        for (let i = 0; i < s.keyOctets; i++) if (x[i] !== y[i]) return x[i] - y[i]
        return 0
      })
    },
    gather(shape, numbers, into) {
      const s = shapes[shape]
      const octets = s.rowWords * 4
      if (numbers.length * octets > into.length) throw new RangeError('no room for the rows')
      for (const [i, row] of numbers.entries()) {
        if (row >= s.count) throw new RangeError('there is no such row')
        into.set(rowAt(s, row), i * octets)
      }
    },
    refusedRow(into) {
      into.set(new Uint8Array(refusedRow.buffer))
    },
    refused: () => refused,
    limited: () => limited,
    memoryOctets: () => memory,
    close() {
      for (const shape of shapes) {
        shape.blocks = []
        shape.slots = new Uint32Array(0)
      }
    },
  }
}
