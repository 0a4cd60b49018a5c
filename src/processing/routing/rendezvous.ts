/** A Processing Unit as far as routing is concerned. */
export interface WeightedUnit {
  /** What its places hang on: the same name has the same places, whoever else is there. */
  readonly id: string
  /** Its part of the whole, in relation to the others'; 0: it gets nothing more. */
  readonly weight: number
}

/** No unit: all have weight 0. */
export const NO_UNIT = 0xfffe

/**
 * The unit of each slot, by weighted rendezvous: each unit draws a number for each slot, and the best takes it. So a
 * unit that comes takes from each of the others only what becomes its own, and of one that goes nothing but its own
 * slots move.
 *
 * @returns index of the unit, or NO_UNIT
 */
export function assignSlots(units: readonly WeightedUnit[], slots: number): Uint16Array {
  const best = new Float64Array(slots).fill(-1)
  const owner = new Uint16Array(slots).fill(NO_UNIT)
  for (const [index, {id, weight}] of units.entries()) {
    if (!(weight > 0)) continue
    const salt = hashText(id)
    for (let slot = 0; slot < slots; slot++) {
      // The greatest of w / −ln(u) falls to a unit with probability w / Σw.
      const score = weight / -Math.log((mix(salt ^ mix(slot + 0x9e3779b9)) + 0.5) / 4294967296)
      if (score > best[slot]) {
        best[slot] = score
        owner[slot] = index
      }
    }
  }
  return owner
}

function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (const octet of new TextEncoder().encode(text)) hash = Math.imul(hash ^ octet, 0x01000193)
  return mix(hash)
}

/** Jain's index of fairness of loads by weight: 1 where each has its share, 1 / N where one has all. */
export function jainIndex(loads: readonly number[], weights: readonly number[]): number {
  const shares = loads.flatMap((load, i) => (weights[i] > 0 ? [load / weights[i]] : []))
  const sum = shares.reduce((a, b) => a + b, 0)
  const squares = shares.reduce((a, b) => a + b * b, 0)
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}
