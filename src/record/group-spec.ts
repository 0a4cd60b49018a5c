import type {MessageContext} from './batch.js'
import type {InformationElement} from './element.js'

/** What records are grouped by and what is kept of each group. */
export interface GroupSpec {
  /** Empty: all records are one group. */
  readonly key: readonly KeyPart[]
  readonly columns: readonly GroupColumn[]
  /** n: the first n parts and the next n are counterparts, and both orders are the same group. */
  readonly symmetric?: number
  /**
   * With `symmetric` 2, of an address and a port: 65536 ranks, and the side whose port has the lesser rank, or is less, is the first
   * one; of two alike it stays. The other side's port is left out: it is 0.
   */
  readonly ranked?: Uint8Array
  /** With `symmetric`: keys tell which way a record went, by an octet behind the parts that is 1 where the sides changed places. */
  readonly directed?: boolean
  /**
   * Records are passed over, as if they had been added, unless a part of their key, of one octet and no counterpart, has one of
   * these values. Not for keys with `either`.
   */
  readonly only?: {readonly part: number; readonly values: readonly number[]}
}

/** One part of a key. */
export interface KeyPart {
  /**
   * What is read: for each type the first that the Template has. Several types are twins (IPv4 and IPv6): of
   * a record that carries both, the first that is not all zeros.
   */
  readonly elements: readonly InformationElement[]
  /** The same part seen from the other direction, element by element; a part without it has no direction. */
  readonly opposite?: readonly InformationElement[]
  /** A record counts for both directions' values, once if they are equal. All such parts of a key take the same side. */
  readonly either?: boolean
  /** Leading bits that are kept, by element; absent: all. */
  readonly bits?: readonly number[]
  /** 65536 ranks: of the ports in `elements` and `opposite` the one of lesser rank, then the lesser port, is the value. */
  readonly ranks?: Uint8Array
  /** Records without the part are grouped too, apart from those that have it. */
  readonly optional?: boolean
  /** What the Message says where the record has none of `elements`. */
  readonly ofMessage?: (message: MessageContext) => MessageValue | undefined
}

export interface MessageValue {
  /** Index in the part's `elements`. */
  readonly alternative: number
  /** As many as the element's full length. */
  readonly octets: Uint8Array
}

/** One column of a group: an unsigned64. */
export interface GroupColumn {
  /**
   * `min` and `max` of times are in milliseconds since 1970; `count` is how many records have one of the elements, whatever
   * its type; `or` has the bits that any has.
   */
  readonly kind: 'sum' | 'min' | 'max' | 'count' | 'or'
  /** What is read, the first that the Template has. */
  readonly elements: readonly InformationElement[]
  /**
   * Element by element, what is read instead for the reverse direction of a Biflow (RFC 5103). A minimum or
   * maximum without it is the forward direction's.
   */
  readonly reverse: readonly (InformationElement | undefined)[]
  /** What a record adds to a sum whose element it lacks: 1 where records are counted. */
  readonly absent?: 0 | 1
  /**
   * Of `or`: what a record that has one of the elements adds, a power of two beyond their values and below 2^31. Such a column
   * is 0 where no record had one, and in a direction that has none of its own.
   */
  readonly present?: number
}

/** Keys whose parts have the same types; they share a table. */
export interface KeyShape {
  /** The alternatives of its parts: names the shape among those of equal specs. */
  readonly signature: string
  readonly fields: readonly KeyField[]
  /** Octets without padding. */
  readonly octets: number
  /** Octets of each half where both orders are one key, else 0. */
  readonly half: number
  /** Octet that tells the way, where keys have one, else −1. */
  readonly wayAt: number
}

/** A part as it lies in the keys of a shape. */
export interface KeyField {
  readonly part: KeyPart
  /** Stands for the type; undefined: the optional part is missing. */
  readonly element: InformationElement | undefined
  /** Index of `element` in the part's elements, −1: missing. */
  readonly alternative: number
  /** Octet of the key. */
  readonly offset: number
  /** Octets in the key. */
  readonly length: number
  /** The key holds the number of interned octets, 4 octets, not the value. */
  readonly interned: boolean
}
