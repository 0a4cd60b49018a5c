import {readDataSet} from './data-set.js'
import {SET_HEADER_OCTETS} from './message.js'
import {settleUnread, type UnreadSets} from './sequence.js'
import {storedTemplate, type Domain} from './template-store.js'
import {isWithdrawn} from './withdrawn.js'
import type {SessionState} from './session-state.js'
import type {MessageContext, RecordBatch} from '../record/batch.js'

/** Octets of Data Sets that a session holds for Templates that have not come yet. */
const MAX_HELD_OCTETS = 65536
/** Seconds of export time after which a held Data Set is given up on UDP. */
const HELD_SECONDS = 30

/** A Data Set that came before its Template. RFC 7011 section 8. */
export interface HeldSet {
  readonly domain: Domain
  readonly setId: number
  /** Set with its header. */
  readonly octets: Uint8Array
  readonly message: MessageContext
  readonly unread: UnreadSets
}

/** Keeps a Data Set for its Template, or gives it up: for want of room, or because the Template was withdrawn. */
export function holdSet(
  s: SessionState,
  octets: Uint8Array,
  at: number,
  end: number,
  domain: Domain,
  setId: number,
  message: MessageContext,
): void {
  if (end - at <= SET_HEADER_OCTETS) return
  const {pool, observer, work} = s.process
  const unread = (work.unread ??= {
    offset: message.offset,
    octets: 0,
    open: 0,
    dropped: 0,
    released: 0,
    claimed: -1,
    counts: domain.sequence.counts,
  })
  const size = end - at
  unread.octets += size - SET_HEADER_OCTETS
  observer?.unreadSet?.(setId, size, message)
  if (
    isWithdrawn(domain, setId) ||
    s.heldOctets + size > MAX_HELD_OCTETS ||
    pool.heldOctets + size > pool.maxHeldOctets
  ) {
    unread.dropped++
    return
  }
  unread.open++
  s.heldOctets += size
  pool.heldOctets += size
  s.held.push({domain, setId, octets: octets.slice(at, end), message, unread})
}

function letGo(s: SessionState, set: HeldSet): void {
  s.heldOctets -= set.octets.length
  s.process.pool.heldOctets -= set.octets.length
  set.unread.open--
}

function giveUp(s: SessionState, set: HeldSet): void {
  letGo(s, set)
  set.unread.dropped++
  settleUnread(set.unread, s.process.records)
}

/**
 * Decodes the Data Sets that waited for the Templates which the Message at hand brought.
 *
 * @param book counts their records
 */
export function releaseSets(
  s: SessionState,
  out: RecordBatch[],
  book: (s: SessionState, count: number, offset: number) => void,
): void {
  const {work, records, messages, pool} = s.process
  s.held = s.held.filter((set) => {
    const slot = pool.slots.find(set.domain, set.setId)
    if (slot < 0 || !work.arrived.includes(slot)) return true
    const stored = storedTemplate(set.domain, slot)
    letGo(s, set)
    const {octets, message, unread} = set
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const end = octets.length
    const count = readDataSet(s, octets, view, SET_HEADER_OCTETS, end, stored, message, out)
    if (count < 0) {
      unread.dropped++
    } else {
      unread.released += count
      book(s, count, message.offset)
      messages.note('held-set-read')
    }
    settleUnread(unread, records)
    return false
  })
}

/** UDP: gives up Data Sets that have waited too long. */
export function expireSets(s: SessionState, now: number): void {
  s.held = s.held.filter((set) => {
    if (((now - set.message.exportTime) | 0) <= HELD_SECONDS) return true
    giveUp(s, set)
    return false
  })
}

/** Gives up all. */
export function giveUpSets(s: SessionState): void {
  for (const set of s.held) giveUp(s, set)
  s.held = []
}

/** Forgets the Data Sets of a Message that is dropped: they are accounted for with it. */
export function forgetSets(s: SessionState, unread: UnreadSets): void {
  s.held = s.held.filter((set) => {
    if (set.unread !== unread) return true
    letGo(s, set)
    return false
  })
}
