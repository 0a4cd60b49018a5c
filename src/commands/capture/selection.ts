import {SLOTS} from '../../metering/share-hash.js'
import {ownedSlots, type Share} from '../../metering/share.js'

/**
 * A Selector of the Selection Sequence that packets pass before they are reported (RFC 5474 section 3.3), with what
 * RFC 5477 says of it.
 */
export interface SelectorReport {
  /** What it is, in words; selectorName. */
  readonly name: string
  /** selectorAlgorithm of the registry of RFC 5477 section 8.2.1. */
  readonly algorithm: number
  /** Of systematic count-based Sampling: packets taken and packets left out, in turn. */
  readonly turn?: {readonly interval: number; readonly space: number}
  /** Of a hash: its range, the part of it that is selected, and its seed. */
  readonly hash?: {
    readonly max: number
    readonly selectedMin: number
    readonly selectedMax: number
    readonly seed: number
  }
}

const SYSTEMATIC_COUNT_BASED = 1
const PROPERTY_MATCH = 5

/**
 * The last Selector of every sequence: packets with an IP header, which is where a Packet Report's section begins.
 * Frames without one are counted and not reported.
 */
export const ipSelector: SelectorReport = {name: 'ip', algorithm: PROPERTY_MATCH}

/** What decides in the kernel which packets a live capture sees. */
export interface KernelSelection {
  readonly filter?: string
  readonly share?: {
    readonly share: Share
    readonly by: string
    /** Packets in turn instead of a hash. */
    readonly turn: boolean
    readonly seed: number
  }
}

/** The Selectors of a live capture, in their order. */
export function selectionSequence({filter, share}: KernelSelection): SelectorReport[] {
  const selectors: SelectorReport[] = []
  if (filter !== undefined) selectors.push({name: filter, algorithm: PROPERTY_MATCH})
  if (share !== undefined) {
    const {first, last, parts} = share.share
    const part = first === last ? `${first}/${parts}` : `${first}-${last}/${parts}`
    const name = `share ${part} by ${share.by}`
    const interval = last - first + 1
    if (share.turn) {
      const turn = {interval, space: parts - interval}
      selectors.push({name, algorithm: SYSTEMATIC_COUNT_BASED, turn})
    } else {
      // IANA has numbers for three hash functions, of which this is none: its result is matched as a property.
      const owned = ownedSlots(share.share)
      const has = (slot: number): boolean => ((owned[slot >> 3] >> (slot & 7)) & 1) === 1
      const slots = Array.from({length: SLOTS}, (_, slot) => slot).filter(has)
      const hash = {
        max: SLOTS - 1,
        selectedMin: slots[0],
        selectedMax: slots[slots.length - 1],
        seed: share.seed,
      }
      selectors.push({name, algorithm: PROPERTY_MATCH, hash})
    }
  }
  return [...selectors, ipSelector]
}
