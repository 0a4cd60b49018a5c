/** What is written cannot be read as XDR. */
export class XdrFault extends Error {
  /** The octets end too early, or say what cannot be. */
  readonly kind: 'truncated' | 'value'
  /** Octets in front of what cannot be read. */
  readonly offset: number
  /** Octets that there must be from the beginning on before it makes sense to read again, where they end too early. */
  readonly needed: number

  constructor(kind: XdrFault['kind'], offset: number, needed = 0) {
    super(kind === 'truncated' ? 'the octets end too early' : 'a value that cannot be')
    this.kind = kind
    this.offset = offset
    this.needed = needed
  }
}

/** Reads one value after another. What does not fit the octets throws an `XdrFault`, and `at` stays where it was. */
export interface XdrReader {
  /** Octets in front of the next value. */
  at: number
  readonly end: number
  unsigned8(): number
  unsigned16(): number
  unsigned32(): number
  signed32(): number
  unsigned64(): bigint
  /** The next `count` octets, where they lie. */
  octets(count: number): Uint8Array
  /** Octets whose length, `most` at most, stands in front of them. */
  opaque(most: number): Uint8Array
  /** The same as text; ill-formed UTF-8 becomes U+FFFD. */
  text(most: number): string
}

const utf8 = new TextDecoder()

/**
 * Reads what lies from `start` to `end` in XDR (RFC 4506), without the padding to multiples of 4 octets unless it is
 * `padded`.
 */
export function createXdrReader(
  octets: Uint8Array,
  start = 0,
  end = octets.length,
  padded = false,
): XdrReader {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const take = (count: number): number => {
    const {at} = reader
    if (count > end - at) throw new XdrFault('truncated', at, at - start + count)
    reader.at = at + count
    return at
  }
  const reader: XdrReader = {
    at: start,
    end,
    unsigned8: () => view.getUint8(take(1)),
    unsigned16: () => view.getUint16(take(2)),
    unsigned32: () => view.getUint32(take(4)),
    signed32: () => view.getInt32(take(4)),
    unsigned64: () => view.getBigUint64(take(8)),
    octets(count) {
      const at = take(count)
      return octets.subarray(at, at + count)
    },
    opaque(most) {
      const {at} = reader
      const length = reader.unsigned32()
      try {
        if (length > most) throw new XdrFault('value', at)
        const room = padded ? (length + 3) & ~3 : length
        return reader.octets(room).subarray(0, length)
      } catch (error) {
        reader.at = at
        throw error
      }
    },
    text: (most) => utf8.decode(reader.opaque(most)),
  }
  return reader
}
