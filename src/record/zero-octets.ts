/** Whether the octets from `from` to before `to` are all zero, as padding is. */
export function isZero(octets: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (octets[i] !== 0) return false
  return true
}
