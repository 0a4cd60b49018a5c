/** Octet by octet; what the other begins with comes first. */
export function compareOctets(
  a: Uint8Array,
  from: number,
  length: number,
  b: Uint8Array,
  to: number,
  otherLength: number,
): number {
  const most = Math.min(length, otherLength)
  for (let k = 0; k < most; k++) {
    const difference = a[from + k] - b[to + k]
    if (difference !== 0) return difference
  }
  return length - otherLength
}

/** Whether addresses begin with the same `bits` bits; those of another length never do. */
export function sharePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  if (a.length !== b.length) return false
  for (let bit = 0; bit < bits; bit++) {
    if (((a[bit >> 3] ^ b[bit >> 3]) & (0x80 >> (bit & 7))) !== 0) return false
  }
  return true
}
