/** Draws numbers from 0 on, of which number n is as frequent as 1 / (n + 1)^s. */
export function zipf(s: number, numbers: number): () => number {
  const weights = Float64Array.from({length: numbers}, (_, i) => 1 / (i + 1) ** s)
  const sum = weights.reduce((a, b) => a + b, 0)
  let total = 0
  const cumulative = weights.map((weight) => (total += weight / sum))
  let state = 12345
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const drawn = state / 4294967296
    let low = 0
    let high = numbers - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle] < drawn) low = middle + 1
      else high = middle
    }
    return low
  }
}
