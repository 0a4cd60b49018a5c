/**
 * Octets of the well-formed UTF-8 sequence at `at` (1..4), or 0 if none stands there before `end`. Unicode 15, table 3-7:
 * no overlong forms, no surrogates, nothing above U+10FFFF.
 */
export function utf8SequenceOctets(octets: Uint8Array, at: number, end: number): number {
  const first = octets[at]
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  if (end - at < size) return 0
  const second = octets[at + 1]
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const greatest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < least || second > greatest) return 0
  for (let i = 2; i < size; i++) if ((octets[at + i] & 0xc0) !== 0x80) return 0
  return size
}

/** Whether the octets from `at` to `end` are well-formed UTF-8. */
export function isUtf8(octets: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const size = octets[at] < 0x80 ? 1 : utf8SequenceOctets(octets, at, end)
    if (size === 0) return false
    at += size
  }
  return true
}

/**
 * Overwrites each octet between `at` and `end` that belongs to no well-formed sequence with `?`.
 *
 * @returns how many were overwritten
 */
export function maskUtf8(octets: Uint8Array, at: number, end: number): number {
  let masked = 0
  while (at < end) {
    const size = octets[at] < 0x80 ? 1 : utf8SequenceOctets(octets, at, end)
    if (size === 0) {
      octets[at++] = 0x3f
      masked++
    } else {
      at += size
    }
  }
  return masked
}
