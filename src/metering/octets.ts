/** Two octets at `at` in network order. */
export function u16(octets: Uint8Array, at: number): number {
  return (octets[at] << 8) | octets[at + 1]
}

/** Four octets at `at` in network order, 0..2^32−1. */
export function u32(octets: Uint8Array, at: number): number {
  return ((octets[at] << 24) | (octets[at + 1] << 16) | u16(octets, at + 2)) >>> 0
}
