import type {WeightedUnit} from './rendezvous.js'

/** Places in a ring: as fine as shares can be. */
const RING_PLACES = 256

/**
 * Which units take hot slots' records in turn, so that together with what else they have (`cold`, records) each comes to its
 * share of all. A unit with more than its share gets none.
 *
 * @param hot records of the hot slots
 */
export function hotRing(
  units: readonly WeightedUnit[],
  cold: Float64Array,
  hot: number,
): Uint16Array {
  const weightSum = units.reduce((sum, {weight}) => sum + weight, 0)
  if (weightSum === 0) return new Uint16Array(0)
  const level = cold.reduce((a, b) => a + b, hot) / weightSum
  const missing = units.map(({weight}, i) => Math.max(0, weight * level - cold[i]))
  const all = missing.reduce((a, b) => a + b, 0)
  const places = missing.map((part) => (all === 0 ? 0 : (part / all) * RING_PLACES))
  // Smooth: each step goes to the unit that is furthest behind.
  const given = units.map(() => 0)
  return Uint16Array.from({length: RING_PLACES}, (_, step) => {
    let next = 0
    let most = -Infinity
    for (let i = 0; i < units.length; i++) {
      const behind = (places[i] * (step + 1)) / RING_PLACES - given[i]
      if (places[i] > 0 && behind > most) {
        most = behind
        next = i
      }
    }
    given[next]++
    return next
  })
}
