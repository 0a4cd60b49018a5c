import {DartaError} from '../record/errors.js'
import {SLOTS} from './share-hash.js'

/** Which part of a divided link one node takes: parts `first` to `last` (from 1) of `parts` equal ones. */
export interface Share {
  readonly first: number
  readonly last: number
  readonly parts: number
}

/**
 * Reads `2/4` (the second of four equal parts) or `3-4/8` (two of eight: a node of twice the weight).
 * @throws DartaError DARTA_USAGE
 */
export function parseShare(text: string): Share {
  const match = /^(\d{1,4})(?:-(\d{1,4}))?\/(\d{1,4})$/.exec(text)
  const first = Number(match?.[1])
  const last = Number(match?.[2] ?? match?.[1])
  const parts = Number(match?.[3])
  if (match === null || first < 1 || last < first || parts < last || parts > SLOTS) {
    throw new DartaError(
      'DARTA_USAGE',
      `a share is I/N or I-J/N with 1 ≤ I ≤ J ≤ N ≤ ${SLOTS}, not ${JSON.stringify(text)}`,
    )
  }
  return {first, last, parts}
}

/** The part (from 1) of `parts` equal ones that a slot belongs to. Every slot belongs to exactly one. */
export function partOf(slot: number, parts: number): number {
  return Math.floor((slot * parts) / SLOTS) + 1
}

/** The slots of a share, one bit each: slot 0 is bit 0 of octet 0. */
export function ownedSlots(share: Share): Uint8Array {
  const owned = new Uint8Array(SLOTS / 8)
  for (let slot = 0; slot < SLOTS; slot++) {
    const part = partOf(slot, share.parts)
    if (part >= share.first && part <= share.last) owned[slot >> 3] |= 1 << (slot & 7)
  }
  return owned
}
