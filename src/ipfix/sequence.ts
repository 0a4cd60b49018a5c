import type {StageLedger} from '../record/ledger.js'

/** Messages whose sequence numbers are remembered, to tell a repeated Message from a restart. */
export const RECENT = 64
/**
 * Records that may be missing where the sequence passes 2^32. More than that is an Exporter that began again at 0 from the
 * upper half of the numbers, which looks like a step ahead.
 */
const MAX_GAP_AT_WRAP = 1048576
/** Gaps that late Messages may still fill. */
const MAX_GAPS = 256
/** Old Messages in order, one behind the other, that are no late ones but a restarted Exporter whose clock is behind. */
const MAX_OLD_IN_ROW = 16

/**
 * Data Sets of one Message that could not be read: without a Template their records cannot be counted. What
 * the next Message's sequence number says is missing was in them.
 */
export interface UnreadSets {
  /** Octet of the first of them in the stream. */
  readonly offset: number
  /** Octets in their bodies: they held no more records than that. */
  octets: number
  /** Still held for a Template to come. */
  open: number
  /** Sets given up. */
  dropped: number
  /** Records of those that were read after all. */
  released: number
  /** Records that were in them, by the sequence numbers; −1: not known. */
  claimed: number
  /** Of the domain they belong to. */
  readonly counts: SequenceCounts
}

/** What is known of the losses of one Observation Domain in one session. */
export interface SequenceCounts {
  /** Messages that were read. */
  messages: number
  /** Data Records in them. */
  records: number
  /** What sequence numbers say never came: records, or Messages where those are counted. */
  missing: number
  /** Records that came and could not be read. */
  lost: number
  /** Messages that came once more. */
  duplicates: number
  /** Messages that came late. */
  reordered: number
  /** How often the numbers began anew. */
  resets: number
}

export function createSequenceCounts(): SequenceCounts {
  return {
    messages: 0,
    records: 0,
    missing: 0,
    lost: 0,
    duplicates: 0,
    reordered: 0,
    resets: 0,
  }
}

/** What is known of the sequence numbers of one Observation Domain in one session. RFC 7011 section 3.1. */
export interface DomainSequence {
  /** Next sequence number, 0..2^32−1; −1 before the first Message. */
  expected: number
  lastExportTime: number
  /** Something stands between `expected` and the next Message: unread Sets or damaged octets. */
  unsettled: boolean
  unread: UnreadSets | undefined
  /** Octets of damage since the last Message, and where they began. */
  damagedOctets: number
  damagedOffset: number
  /**
   * Ring of (sequence number, export time, Data Records) of the last Messages. Plain numbers until there is a second one, which
   * most domains of a flood never send: a typed array takes four times the room.
   */
  recent: number[] | Uint32Array
  recentAt: number
  recentCount: number
  /** [sequence number, records] of gaps, oldest first. */
  gaps: [number, number][]
  readonly counts: SequenceCounts
  /** Messages in a row that were old and followed each other, and the number behind the last of them. */
  oldInRow: number
  oldExpected: number
}

export function createDomainSequence(): DomainSequence {
  return {
    expected: -1,
    lastExportTime: 0,
    unsettled: false,
    unread: undefined,
    damagedOctets: 0,
    damagedOffset: 0,
    recent: [],
    recentAt: 0,
    recentCount: 0,
    gaps: [],
    counts: createSequenceCounts(),
    oldInRow: 0,
    oldExpected: -1,
  }
}

/** Whether the next Message, if it is the one that is expected, changes nothing but what is expected. */
export function isSettled(s: DomainSequence): boolean {
  return s.expected >= 0 && !s.unsettled && s.unread === undefined && s.damagedOctets === 0
}

/** Room for what `saveSequence` writes. */
export const SEQUENCE_WORDS = 4 + 3 * RECENT

/** What Messages in order change: number expected, last export time, place in the ring, Messages in it, the ring. */
export function saveSequence(s: DomainSequence, words: Uint32Array): void {
  words[0] = s.expected
  words[1] = s.lastExportTime
  words[2] = s.recentAt
  words[3] = s.recentCount
  words.set(s.recent, 4)
}

/** Takes over what Messages that others have followed have changed. */
export function restoreSequence(s: DomainSequence, words: Uint32Array): void {
  s.expected = words[0]
  s.lastExportTime = words[1]
  s.recentAt = words[2]
  s.recentCount = words[3]
  const ring = words.subarray(4, SEQUENCE_WORDS)
  if (s.recent.length < 3 * RECENT || Array.isArray(s.recent)) s.recent = ring.slice()
  else s.recent.set(ring)
}

function remember(s: DomainSequence, sequence: number, exportTime: number, count: number): void {
  if (s.recentAt * 3 === s.recent.length) {
    if (s.recentAt === 0) s.recent = [sequence, exportTime, count]
    else {
      const larger = new Uint32Array(Math.max(12, 2 * s.recent.length))
      larger.set(s.recent)
      s.recent = larger
    }
  }
  const at = s.recentAt
  s.recent[3 * at] = sequence
  s.recent[3 * at + 1] = exportTime
  s.recent[3 * at + 2] = count
  s.recentAt = (at + 1) % RECENT
  if (s.recentCount < RECENT) s.recentCount++
}

/**
 * Accounts for the Message with this sequence number and `count` Data Records. All arithmetic is modulo 2^32.
 *
 * | Message | seen by | account |
 * | --- | --- | --- |
 * | in order | it is the one expected | |
 * | behind a gap of k records | it is ahead by k | k `missing`, `sequence-gap` |
 * | late | it lies in a gap | taken off `missing` again; noted `reordered` |
 * | repeated | sequence number, export time and records of one of the last 64 Messages | noted `duplicate` |
 * | restart | anything else that is behind, or far ahead across 2^32 | noted `sequence-reset`, nothing missing |
 *
 * On UDP a Message that is behind and older than the last one is `reordered`, however late it comes: a
 * restarted Exporter's clock seldom goes back; if it does, the 16th Message in a row tells. In a file it is a restart,
 * since files are joined in any order.
 *
 * @param byMessage `count` is 1 and the numbers count Messages: RFC 3954, sFlow
 */
export function observeSequence(
  s: DomainSequence,
  sequence: number,
  count: number,
  exportTime: number,
  offset: number,
  reliable: boolean,
  records: StageLedger,
  byMessage = false,
): void {
  let ahead = (sequence - s.expected) | 0
  if (s.expected < 0) {
    ahead = 0
    s.damagedOctets = 0
    s.unsettled = s.unread !== undefined
  }
  if (ahead < 0 || (ahead > MAX_GAP_AT_WRAP && sequence < s.expected)) {
    observeBehind(s, sequence, count, exportTime, offset, reliable, records)
    return
  }
  if (s.unsettled) ahead = settle(s, ahead, records, byMessage)
  if (ahead > 0) {
    records.miss('sequence-gap', ahead, offset)
    s.counts.missing += ahead
    s.gaps.push([(sequence - ahead) >>> 0, ahead])
    if (s.gaps.length > MAX_GAPS) s.gaps.shift()
  }
  s.expected = (sequence + count) >>> 0
  s.lastExportTime = exportTime
  remember(s, sequence, exportTime, count)
}

/** Gives what is missing to what is known to be unread; returns what is left over. */
function settle(
  s: DomainSequence,
  ahead: number,
  records: StageLedger,
  byMessage: boolean,
): number {
  s.unsettled = false
  if (s.damagedOctets > 0) {
    const claimed = Math.min(ahead, s.damagedOctets)
    s.damagedOctets = 0
    // A malformed Message is booked as such already.
    if (claimed > 0 && !byMessage) {
      records.in += claimed
      records.lose('malformed-message', claimed, s.damagedOffset)
      s.counts.lost += claimed
    }
    ahead -= claimed
  }
  if (s.unread !== undefined) {
    const unread = s.unread
    s.unread = undefined
    const claimed = Math.min(ahead, unread.octets)
    unread.claimed = claimed
    settleUnread(unread, records)
    ahead -= claimed
  }
  return ahead
}

/** Books unread Sets once nothing about them can change; call with `final` when nothing more will come. */
export function settleUnread(unread: UnreadSets, records: StageLedger, final = false): void {
  if (unread.open > 0 || (unread.claimed < 0 && !final)) return
  const rest = Math.max(unread.claimed - unread.released, 0)
  if (unread.dropped > 0) {
    // A Data Set holds one record at least, whatever the sequence numbers say.
    const lost = Math.max(rest, unread.dropped)
    records.in += lost
    records.lose('no-template', lost, unread.offset)
    unread.counts.lost += lost
    unread.dropped = 0
  } else if (rest > 0) {
    records.miss('sequence-gap', rest, unread.offset)
    unread.counts.missing += rest
  }
  unread.claimed = unread.released
}

function observeBehind(
  s: DomainSequence,
  sequence: number,
  count: number,
  exportTime: number,
  offset: number,
  reliable: boolean,
  records: StageLedger,
): void {
  for (let i = 0; i < s.recentCount; i++) {
    if (
      s.recent[3 * i] === sequence &&
      s.recent[3 * i + 1] === exportTime &&
      s.recent[3 * i + 2] === count &&
      count > 0
    ) {
      records.note('duplicate', 1, offset)
      s.counts.duplicates++
      return
    }
  }
  if (fillsGap(s, sequence, count, records)) {
    records.note('reordered', 1, offset)
    s.counts.reordered++
    remember(s, sequence, exportTime, count)
    return
  }
  const age = (s.lastExportTime - exportTime) | 0
  // Messages without Data Records leave no gap; they are late if they are not the first of a new session.
  if (count === 0 && age >= 0 && isRecent(s, sequence)) {
    records.note('reordered', 1, offset)
    s.counts.reordered++
    return
  }
  if (!reliable && age > 0) {
    s.oldInRow = sequence === s.oldExpected ? s.oldInRow + 1 : 1
    s.oldExpected = (sequence + count) >>> 0
    if (s.oldInRow < MAX_OLD_IN_ROW) {
      records.note('reordered', 1, offset)
      s.counts.reordered++
      return
    }
  }
  s.oldInRow = 0
  s.oldExpected = -1
  records.note('sequence-reset', 1, offset)
  s.counts.resets++
  if (s.unread !== undefined) {
    s.unread.claimed = 0
    settleUnread(s.unread, records)
    s.unread = undefined
  }
  s.unsettled = false
  s.damagedOctets = 0
  s.gaps = []
  s.recentCount = 0
  s.recentAt = 0
  s.expected = (sequence + count) >>> 0
  s.lastExportTime = exportTime
  remember(s, sequence, exportTime, count)
}

function isRecent(s: DomainSequence, sequence: number): boolean {
  for (let i = 0; i < s.recentCount; i++) if (s.recent[3 * i] === sequence) return true
  return false
}

function fillsGap(
  s: DomainSequence,
  sequence: number,
  count: number,
  records: StageLedger,
): boolean {
  for (let i = s.gaps.length - 1; i >= 0; i--) {
    const [from, size] = s.gaps[i]
    const begin = (sequence - from) >>> 0
    if (begin + count > size) continue
    if (count > 0) {
      records.miss('sequence-gap', -count)
      s.counts.missing -= count
      const rest: [number, number][] = []
      if (begin > 0) rest.push([from, begin])
      if (begin + count < size) rest.push([(sequence + count) >>> 0, size - begin - count])
      s.gaps.splice(i, 1, ...rest)
    }
    return true
  }
  return false
}
