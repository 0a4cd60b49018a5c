import type {FieldSpecifier} from '../../record/template.js'

/** Something that is known of addresses, and that records get for both of theirs. */
export interface Attribute {
  /** For the address of the source and for that of the destination. */
  readonly fields: readonly (readonly [source: FieldSpecifier, destination: FieldSpecifier])[]
  /** What is known of an IPv4 address, as a number; −1: nothing. */
  find4(address: number): number
  /** The same of an IPv6 address, as four words from the most significant. */
  find6(words: Uint32Array): number
  /** Octets of each of the fields for what was found, length octets before them where the field is of variable length. */
  octets(found: number): readonly Uint8Array[]
}

const utf8 = new TextEncoder()

/** Text as a field of variable length, cut to 254 octets. RFC 7011 section 7. */
export function textField(text: string): Uint8Array {
  const octets = new Uint8Array(255)
  // Whole characters only.
  const {written} = utf8.encodeInto(text, octets.subarray(1))
  octets[0] = written
  return octets.slice(0, written + 1)
}
