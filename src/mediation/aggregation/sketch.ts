/** Greatest relative error of quantiles. */
export const QUANTILE_ERROR = 0.01
const GAMMA = (1 + QUANTILE_ERROR) / (1 - QUANTILE_ERROR)
const LOG_GAMMA = Math.log(GAMMA)

/**
 * The bucket of a value from 0 to 2^64: 0 for 0, and so on in steps of 2 %, so that the middle of the bucket is within
 * `QUANTILE_ERROR` of every value in it (DDSketch).
 */
export function bucketOf(value: number): number {
  return value < 1 ? 0 : 1 + Math.ceil(Math.log(value) / LOG_GAMMA - 1e-9)
}

/** The value that stands for a bucket, a whole number. */
export function bucketValue(bucket: number): number {
  if (bucket === 0) return 0
  return Math.round((2 * GAMMA ** (bucket - 1)) / (GAMMA + 1))
}

/** The value below or at which the part `quantile` (0..1) of all lies; `buckets` are (bucket, count). */
export function quantileOf(
  buckets: readonly (readonly [bucket: number, count: number])[],
  quantile: number,
): number {
  const sorted = [...buckets].sort((a, b) => a[0] - b[0])
  const total = sorted.reduce((sum, [, count]) => sum + count, 0)
  // The nearest rank: the least value that at least this many are not above.
  let left = Math.max(1, Math.ceil(quantile * total))
  for (const [bucket, count] of sorted) {
    left -= count
    if (left <= 0) return bucketValue(bucket)
  }
  return 0
}

const REGISTER_BITS = 11
/** Registers of an approximate count. */
export const REGISTERS = 1 << REGISTER_BITS
/** Standard error of approximate counts: 2.3 %. */
export const DISTINCT_ERROR = 1.04 / Math.sqrt(REGISTERS)

/** Two hashes of 32 bits of some octets. */
export function hashOctets(
  octets: Uint8Array,
  start: number,
  length: number,
  into: Uint32Array,
): void {
  let a = 0x9e3779b9 ^ length
  let b = 0x85ebca6b
  for (let i = 0; i < length; i++) {
    a = Math.imul(a ^ octets[start + i], 0xcc9e2d51)
    a ^= a >>> 15
    b = Math.imul(b ^ octets[start + i], 0x1b873593)
    b ^= b >>> 13
  }
  into[0] = finish(a ^ Math.imul(b, 0x2545f491))
  into[1] = finish(b ^ Math.imul(a, 0x9e3779b1))
}

function finish(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Register of a hash, and the place of the first set bit of the rest, from 1 (HyperLogLog). */
export function registerOf(hash: Uint32Array): number {
  return hash[0] >>> (32 - REGISTER_BITS)
}
export function rankOf(hash: Uint32Array): number {
  const rest = (hash[0] << REGISTER_BITS) >>> 0
  if (rest !== 0) return Math.clz32(rest) + 1
  return 32 - REGISTER_BITS + Math.clz32(hash[1]) + 1
}

/** How many different values there were, from the greatest rank of each register that has one. */
export function countOf(ranks: Iterable<number>): number {
  let used = 0
  let sum = 0
  for (const rank of ranks) {
    used++
    sum += 2 ** -rank
  }
  const empty = REGISTERS - used
  sum += empty
  const alpha = 0.7213 / (1 + 1.079 / REGISTERS)
  const estimate = (alpha * REGISTERS * REGISTERS) / sum
  // Few values leave registers empty, whose number says more.
  if (estimate <= 2.5 * REGISTERS && empty > 0) {
    return Math.round(REGISTERS * Math.log(REGISTERS / empty))
  }
  return Math.round(estimate)
}
