import {
  BY_TURN,
  DEAL_MOVE,
  hashRoutingKey,
  slotOfHash,
  type DealProgram,
  type DealRecords,
  type DealTable,
} from './deal-kernel.js'
import {orderHalves} from './group-kernel.js'

/** The kernel in TypeScript: what the native one is held against, and what runs where it is not built. */
export const dealPlainly: DealRecords = (
  octets,
  spans,
  count,
  program,
  seed,
  table,
  into,
  counts,
) => {
  const {recordOctets: size} = program
  let total = 0
  for (let s = 0; s < count; s++) {
    const end = spans[2 * s] + spans[2 * s + 1] * size
    if (spans[2 * s] < 0 || end > octets.length) throw new RangeError('a span leaves its octets')
    total += spans[2 * s + 1]
  }
  if (total * size > into.length) throw new RangeError('no room for the records')
  const lanes = new Uint16Array(total)
  const hash = keyHasher(program, seed)
  counts.fill(0)
  let n = 0
  for (let s = 0; s < count; s++) {
    for (let i = 0, at = spans[2 * s]; i < spans[2 * s + 1]; i++, at += size) {
      const lane = takeSlot(table, slotOfHash(hash(octets, at)))
      if (lane >= counts.length) throw new RangeError('a slot names no lane')
      lanes[n++] = lane
      counts[lane]++
    }
  }
  const places = new Uint32Array(counts.length)
  for (let lane = 1; lane < counts.length; lane++) {
    places[lane] = places[lane - 1] + counts[lane - 1] * size
  }
  n = 0
  for (let s = 0; s < count; s++) {
    for (let i = 0, at = spans[2 * s]; i < spans[2 * s + 1]; i++, at += size) {
      const lane = lanes[n++]
      into.set(octets.subarray(at, at + size), places[lane])
      places[lane] += size
    }
  }
}

/** Hash of the key of the record at an octet. */
function keyHasher(
  {key: start, keyOctets, half, moves}: DealProgram,
  seed: number,
): (octets: Uint8Array, at: number) => number {
  const key = start.slice()
  const words = new Uint32Array(key.buffer, 0, key.length >> 2)
  return (octets, at) => {
    key.set(start)
    for (let m = 0; m < moves.length; m += DEAL_MOVE) {
      const from = at + moves[m]
      const length = moves[m + 1]
      const to = moves[m + 2]
      for (let k = 0; k < length; k++) key[to + k] = octets[from + k]
      if (length > 0) key[to + length - 1] &= moves[m + 3]
    }
    if (half > 0) orderHalves(key, half)
    return hashRoutingKey(words, keyOctets, seed)
  }
}

/** Counts a record of a slot and gives its lane. */
export function takeSlot({lanes, ring, cursor, loads}: DealTable, slot: number): number {
  loads[slot]++
  const lane = lanes[slot]
  if (lane !== BY_TURN || ring.length === 0) return lane
  const turn = cursor[0] % ring.length
  cursor[0] = turn + 1
  return ring[turn]
}
