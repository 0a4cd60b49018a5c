export const codecs = ['gzip', 'bzip2', 'zstd', 'lz4'] as const
export type Codec = (typeof codecs)[number]

/** The codec whose magic number `head` begins with. */
export function detectCodec(head: Uint8Array): Codec | undefined {
  const [a, b, c, d] = head
  if (a === 0x1f && b === 0x8b) return 'gzip'
  if (a === 0x42 && b === 0x5a && c === 0x68 && d >= 0x31 && d <= 0x39) return 'bzip2'
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd'
  if (a === 0x04 && b === 0x22 && c === 0x4d && d === 0x18) return 'lz4'
  // A skippable frame (RFC 8878 section 3.1.2); lz4 has the same, which is not seen in practice.
  if ((a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd'
  return undefined
}
