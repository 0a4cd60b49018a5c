import {
  findBrokenSet,
  IPFIX_VERSION,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from './message.js'
import type {ErrorCode} from '../record/errors.js'

/** A Message that cannot be used, or a stretch of a stream that is none. */
export interface Damage {
  readonly code: ErrorCode
  /** Octet of the stream where it begins. */
  readonly offset: number
  /** Octets passed over. */
  readonly octets: number
  /** Whose Message it was, where its end is known, so that its header can be believed. */
  readonly observationDomainId?: number
}

export interface MessageStreamEvents {
  /** A Message that lies whole in `octets` from `start`, and whose Sets fill it. */
  message(
    octets: Uint8Array,
    view: DataView,
    start: number,
    length: number,
    /** Octet of the stream where the Message begins. */
    offset: number,
  ): void
  damage(damage: Damage): void
  /**
   * Takes Messages that lie back to back from `at`, octet `offset` of the stream, by itself, where it wants to; returns where
   * the first one is that it leaves.
   */
  skip?(octets: Uint8Array, view: DataView, at: number, offset: number): number
}

/** Cuts a stream of octets into Messages. */
export interface MessageStream {
  /** Takes the next octets, cut anywhere; they are the stream's from now on. */
  push(octets: Uint8Array): void
  /** Copies what is left of the octets so far, which then are nobody's but their giver's. */
  release(): void
  /** End of the stream: what is left is a Message cut short. */
  end(): void
}

/**
 * Sets that may be walked to tell Messages from damage: so many at once, and so many more for each octet passed over. Octets
 * that are crafted to look like Messages everywhere use them up; what else there is does not come near.
 */
const MAX_WALK = 65536
const WALK_PER_OCTET = 8

/**
 * A Message is handed on where it lies; only one that straddles two chunks is copied. After damage the stream
 * goes on at the next octet where a Message stands: version 10, Sets of possible IDs that fill it, and behind it another
 * header or the end. Each stretch of damage is told once.
 *
 * A Message that was cut short and has the beginning of the next one for its end is damage too, where enough of what
 * follows is at hand to see it: a Message is never held back to wait for the next.
 */
export function createMessageStream(events: MessageStreamEvents): MessageStream {
  /** What is left of the chunks before is `carry` from `from` to `to`; `base` is its place in the stream. */
  let carry = new Uint8Array(0)
  let from = 0
  let to = 0
  let base = 0
  /**
   * What is left of the last chunk where it lies; then `carry` is empty. Chunks of a pipe often lie one behind the other,
   * and what straddles two of those needs no copy.
   */
  let tail: Uint8Array = new Uint8Array(0)
  /** Octets that have to be at hand before there is anything to decide. */
  let wanted = MESSAGE_HEADER_OCTETS
  /** Where the damage began that is being passed over; −1: in step. */
  let damageAt = -1
  let damageCode: ErrorCode = 'DARTA_MESSAGE_VERSION'
  let walk = 0

  /**
   * Hands on the Messages in `octets`, of which octet 0 is `base` of the stream. Sets `wanted`.
   *
   * @returns octets done with
   */
  function scan(octets: Uint8Array, view: DataView, final: boolean): number {
    const size = octets.length
    let at = 0
    for (;;) {
      if (damageAt >= 0) {
        at = search(octets, view, at, final)
        if (damageAt >= 0) return at
      }
      if (events.skip !== undefined) at = events.skip(octets, view, at, base + at)
      const rest = size - at
      if (rest < MESSAGE_HEADER_OCTETS) {
        wanted = MESSAGE_HEADER_OCTETS
        // Fewer octets than a header can show already that there is none.
        if (rest >= 2 && view.getUint16(at) !== IPFIX_VERSION) lose(at, 'DARTA_MESSAGE_VERSION')
        else if (rest >= 4 && view.getUint16(at + 2) < MESSAGE_HEADER_OCTETS) {
          lose(at, 'DARTA_MESSAGE_LENGTH')
        } else if (final && rest > 0) lose(at, 'DARTA_MESSAGE_TRUNCATED')
        else return at
        continue
      }
      if (view.getUint16(at) !== IPFIX_VERSION) {
        lose(at, 'DARTA_MESSAGE_VERSION')
        continue
      }
      const length = view.getUint16(at + 2)
      if (length < MESSAGE_HEADER_OCTETS) {
        lose(at, 'DARTA_MESSAGE_LENGTH')
        continue
      }
      if (length > rest) {
        if (final) {
          lose(at, 'DARTA_MESSAGE_TRUNCATED')
          continue
        }
        wanted = length
        return at
      }
      // Also undefined: it cannot be seen yet.
      const behind = headerAt(view, at + length, size, final)
      if (findBrokenSet(view, at, length) < 0) {
        if (behind === false) {
          const inside = messageInside(octets, view, at, length, final)
          if (inside === undefined) return at
          if (inside) {
            lose(at, 'DARTA_SET_LENGTH')
            continue
          }
        }
        events.message(octets, view, at, length, base + at)
        at += length
        continue
      }
      // Either a Set's length is wrong or the Message's: what stands behind the Message tells which.
      if (behind === undefined) {
        wanted = length + 4
        return at
      }
      if (behind) {
        events.damage({
          code: 'DARTA_SET_LENGTH',
          offset: base + at,
          octets: length,
          observationDomainId: view.getUint32(at + 12),
        })
        at += length
      } else {
        lose(at, 'DARTA_SET_LENGTH')
      }
    }
  }

  function lose(at: number, code: ErrorCode): void {
    damageAt = base + at
    damageCode = code
    walk = MAX_WALK
  }

  /** Whether another Message begins inside the one at `at`, so that this one was cut short; undefined: as of `messageAt`. */
  function messageInside(
    octets: Uint8Array,
    view: DataView,
    at: number,
    length: number,
    final: boolean,
  ): boolean | undefined {
    walk = MAX_WALK
    const end = at + length
    for (let ten = at + 1; ;) {
      ten = octets.indexOf(IPFIX_VERSION, ten + 1)
      if (ten < 0 || ten > end) return false
      if (octets[ten - 1] !== 0) continue
      const found = messageAt(view, ten - 1, octets.length, final)
      if (found === undefined) {
        // Counted from where this Message begins.
        wanted += ten - 1 - at
        return undefined
      }
      if (found) return true
    }
  }

  /**
   * Looks for the next Message behind the damage. When it is found, or the input ends, the damage is told.
   *
   * @returns where to go on
   */
  function search(octets: Uint8Array, view: DataView, begin: number, final: boolean): number {
    const size = octets.length
    // The octet where the damage begins is no candidate.
    let at = Math.max(begin, damageAt + 1 - base)
    let paid = at
    for (;;) {
      const ten = octets.indexOf(IPFIX_VERSION, at + 1)
      if (ten < 0) {
        // The last octet may be the first of a version.
        if (!final) {
          wanted = MESSAGE_HEADER_OCTETS
          return Math.max(at, size - 1)
        }
        at = size
        break
      }
      at = ten - 1
      walk = Math.min(walk + (at - paid) * WALK_PER_OCTET, MAX_WALK)
      paid = at
      if (octets[at] === 0) {
        const found = messageAt(view, at, size, final)
        if (found === undefined) return at
        if (found) break
      }
      at++
    }
    events.damage({code: damageCode, offset: damageAt, octets: base + at - damageAt})
    damageAt = -1
    return at
  }

  /** Whether a Message stands at `at`; undefined (and `wanted` set) if more octets are needed to tell. */
  function messageAt(
    view: DataView,
    at: number,
    size: number,
    final: boolean,
  ): boolean | undefined {
    const rest = size - at
    if (rest < MESSAGE_HEADER_OCTETS) {
      wanted = MESSAGE_HEADER_OCTETS
      return final ? false : undefined
    }
    const length = view.getUint16(at + 2)
    if (length < MESSAGE_HEADER_OCTETS) return false
    const end = at + length
    let set = at + MESSAGE_HEADER_OCTETS
    while (end - set >= SET_HEADER_OCTETS && size - set >= SET_HEADER_OCTETS) {
      if (--walk < 0) return false
      const id = view.getUint16(set)
      const octets = view.getUint16(set + 2)
      if (id < MIN_DATA_SET_ID && id !== TEMPLATE_SET_ID && id !== OPTIONS_TEMPLATE_SET_ID) {
        return false
      }
      if (octets < SET_HEADER_OCTETS || octets > end - set) return false
      set += octets
    }
    if (length > rest) {
      wanted = length + 4
      return final ? false : undefined
    }
    const behind = headerAt(view, at + length, size, final)
    if (behind === undefined) wanted = length + 4
    return behind
  }

  return {
    push(octets) {
      if (octets.constructor !== Uint8Array) {
        octets = new Uint8Array(octets.buffer, octets.byteOffset, octets.byteLength)
      }
      if (tail.length > 0) {
        const {buffer, byteOffset, length} = tail
        if (buffer === octets.buffer && byteOffset + length === octets.byteOffset) {
          octets = new Uint8Array(buffer, byteOffset, length + octets.length)
          if (octets.length < wanted) {
            tail = octets
            return
          }
        } else {
          release()
        }
        tail = new Uint8Array(0)
      }
      let at = 0
      while (to > from) {
        const take = Math.min(wanted - (to - from), octets.length - at)
        makeRoom(take)
        carry.set(octets.subarray(at, at + take), to)
        to += take
        at += take
        if (to - from < wanted) return
        if (damageAt >= 0) {
          // What is damage is passed over where it lies: nobody keeps it.
          const held = carry.subarray(from, to)
          advance(search(held, viewOf(held), 0, false))
          if (damageAt >= 0) continue
        }
        const whole = carry.slice(from, to)
        advance(scan(whole, viewOf(whole), false))
      }
      const rest = at === 0 ? octets : octets.subarray(at)
      if (rest.length === 0) return
      const done = scan(rest, viewOf(rest), false)
      base += done
      from = 0
      to = 0
      tail = rest.subarray(done)
    },
    release,
    end() {
      const rest = tail.length > 0 ? tail : carry.slice(from, to)
      scan(rest, viewOf(rest), true)
      base += rest.length
      from = 0
      to = 0
      tail = new Uint8Array(0)
    },
  }

  function release(): void {
    if (tail.length === 0) return
    makeRoom(tail.length)
    carry.set(tail, to)
    to += tail.length
    tail = new Uint8Array(0)
  }

  function advance(octets: number): void {
    from += octets
    base += octets
  }

  /** Makes room for so many octets behind what is carried. */
  function makeRoom(octets: number): void {
    if (to + octets <= carry.length) return
    const size = to - from
    if (size + octets > carry.length / 2) {
      const larger = new Uint8Array(4 * (size + octets))
      larger.set(carry.subarray(from, to))
      carry = larger
    } else {
      carry.copyWithin(0, from, to)
    }
    from = 0
    to = size
  }
}

function viewOf(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
}

/** Whether a Message Header may stand at `at`, or the input ends there; undefined if that is not to be seen yet. */
function headerAt(view: DataView, at: number, size: number, final: boolean): boolean | undefined {
  if (at === size) return final ? true : undefined
  if (size - at < 4) return final ? false : undefined
  return view.getUint16(at) === IPFIX_VERSION && view.getUint16(at + 2) >= MESSAGE_HEADER_OCTETS
}
