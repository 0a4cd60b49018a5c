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
