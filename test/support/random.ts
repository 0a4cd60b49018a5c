/** Whole numbers from 0 to below `limit`, the same for the same seed (xorshift). */
export function createRandom(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % limit
  }
}
