/**
 * A small generator of random numbers (splitmix32): the same seed gives the same numbers on every machine, and each
 * run has its own, so that any run can be repeated alone.
 */
export function createRandom(seed, run) {
  // Both go in whole: run numbers pass 2^32 on long campaigns.
  let state =
    (Math.imul(seed, 0x9e3779b1) ^ Math.imul(run, 0x85ebca6b) ^ Math.floor(run / 2 ** 32)) | 0
  const next = () => {
    state = (state + 0x9e3779b9) | 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  return {
    /** 0..n−1 */
    below: (n) => Math.floor((next() / 2 ** 32) * n),
    /** One of `list`. */
    of: (list) => list[Math.floor((next() / 2 ** 32) * list.length)],
    /** True once in `n`. */
    once: (n) => next() % n === 0,
    next,
  }
}

/** Numbers at which length and count fields break, if they do. */
export const edges = [
  0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 127, 128, 254, 255, 256, 257, 1399, 1400, 32767, 32768,
  65519, 65520, 65534, 65535,
]

/** Changes that know nothing of the format: bits, octets, runs cut out, doubled, zeroed or taken from elsewhere. */
export function mutateOctets(random, octets, others) {
  if (octets.length === 0)
    return Uint8Array.from({length: random.below(64)}, () => random.below(256))
  const at = random.below(octets.length)
  const n = 1 + random.below(random.once(4) ? octets.length - at : Math.min(16, octets.length - at))
  switch (random.below(9)) {
    case 0: {
      const copy = octets.slice()
      copy[at] ^= 1 << random.below(8)
      return copy
    }
    case 1: {
      const copy = octets.slice()
      copy[at] = random.below(256)
      return copy
    }
    case 2: {
      const copy = octets.slice()
      if (copy.length > 1) {
        new DataView(copy.buffer).setUint16(Math.min(at, copy.length - 2), random.of(edges))
      }
      return copy
    }
    case 3:
      return joinOctets(octets.subarray(0, at), octets.subarray(at + n))
    case 4:
      return joinOctets(octets.subarray(0, at + n), octets.subarray(at))
    case 5:
      return octets.slice().fill(random.of([0, 0, 255, random.below(256)]), at, at + n)
    case 6:
      return octets.slice(0, at)
    case 7: {
      const other = random.of(others)
      const from = random.below(other.length + 1)
      const part = other.subarray(from, from + random.below(random.once(4) ? 65536 : 128))
      return joinOctets(octets.subarray(0, at), part, octets.subarray(random.once(2) ? at : at + n))
    }
    default: {
      const noise = Uint8Array.from({length: n}, () => random.below(256))
      return joinOctets(octets.subarray(0, at), noise, octets.subarray(at + n))
    }
  }
}

export function joinOctets(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
