/**
 * What deals records to lanes by the hash of a key: it reads the key of each record, finds the slot of its hash, and copies
 * the record behind the others of its lane. There are two, alike in every octet: plain-deal.ts and native/kernel/deal.cc.
 * src/processing/routing/ turns routing keys and Templates into programs, so that a kernel knows octets and nothing of elements.
 */
export interface DealProgram {
  /** Octets of each record. */
  readonly recordOctets: number
  /** The key before anything is read into it: a multiple of 4 octets, zeros behind `keyOctets`. */
  readonly key: Uint8Array
  /** Octets of the key that count. */
  readonly keyOctets: number
  /** Octets of each of the two leading halves that are put in order, 0: none. */
  readonly half: number
  /** (from, length, to, mask) each: `length` octets of the record go to the key, the last one masked. */
  readonly moves: Int32Array
}

/** Where slots go, and what they carry; both kernels change `loads` and `cursor`. */
export interface DealTable {
  /** Lane of each of DEAL_SLOTS slots; BY_TURN: the next one of `ring`. */
  readonly lanes: Uint16Array
  /** Lanes that hot slots are dealt to in turn; empty where there are none. */
  readonly ring: Uint16Array
  /** One word: the place in the ring of the next record. */
  readonly cursor: Uint32Array
  /** Records of each slot so far. */
  readonly loads: Uint32Array
}

export const DEAL_SLOT_BITS = 14
export const DEAL_SLOTS = 1 << DEAL_SLOT_BITS
export const BY_TURN = 0xffff
export const DEAL_MOVE = 4

/**
 * Copies the records of `spans` (first octet, records; `count` of them) to `into`, those of lane 0 first, each lane's in
 * their order, and puts the number of each lane's records into `counts`.
 *
 * @param into as long as all records together, or longer
 * @param counts one for each lane
 * @throws RangeError a span reaches past the octets, or a slot names a lane that is not there
 */
export type DealRecords = (
  octets: Uint8Array,
  spans: Int32Array,
  count: number,
  program: DealProgram,
  seed: number,
  table: DealTable,
  into: Uint8Array,
  counts: Uint32Array,
) => void

/**
 * Hash of a key, 32 bits, unsigned: MurmurHash3's rounds over the words of the key, least significant octet first, seeded so that no
 * sender can choose keys for one unit. It is part of what programs on several machines agree on; it does not change.
 *
 * @param words of the key, zeros behind its octets
 */
export function hashRoutingKey(words: Uint32Array, octets: number, seed: number): number {
  let h = seed ^ octets
  const n = (octets + 3) >> 2
  for (let i = 0; i < n; i++) {
    let k = Math.imul(words[i], 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Slot of a hash, 0..DEAL_SLOTS − 1. */
export function slotOfHash(hash: number): number {
  return hash >>> (32 - DEAL_SLOT_BITS)
}
