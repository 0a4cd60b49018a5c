import {
  findBrokenSet,
  IPFIX_VERSION,
  MAX_MESSAGE_OCTETS,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from './message.js'
import type {ErrorCode} from '../record/errors.js'

/** A stretch of a stream that is no Message. */
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
}

/** Cuts a stream of octets into Messages. */
export interface MessageStream {
  /** Takes the next octets, cut anywhere; they are the stream's from now on. */
  push(octets: Uint8Array): void
  /** End of the stream: what is left is a Message cut short. */
  end(): void
}

/** Sets that are looked at to tell a Message from damage; a guard against crafted input. */
const PLAUSIBLE_SETS = 256

/**
 * A Message is handed on where it lies; only one that straddles two chunks is copied. After damage the stream
 * goes on at the next octet where a Message stands: version 10, Sets of possible IDs that fill it, and behind it another
 * header or the end. Each stretch of damage is told once.
 */
export function createMessageStream(events: MessageStreamEvents): MessageStream {
  /** What is left of the chunks before; `base` is its place in the stream. */
  let carry = new Uint8Array(0)
  let carried = 0
  let base = 0
  /** Octets that have to be at hand before there is anything to decide. */
  let wanted = MESSAGE_HEADER_OCTETS
  /** Where the damage began that is being passed over; −1: in step. */
  let damageAt = -1
  let damageCode: ErrorCode = 'DARTA_MESSAGE_VERSION'

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
      if (findBrokenSet(view, at, length) < 0) {
        events.message(octets, view, at, length, base + at)
        at += length
        continue
      }
      // Either a Set's length is wrong or the Message's: what stands behind the Message tells which.
      const behind = headerAt(view, at + length, size, final)
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
  }

  /**
   * Looks for the next Message behind the damage. When it is found, or the input ends, the damage is told.
   *
   * @returns where to go on
   */
  function search(octets: Uint8Array, view: DataView, from: number, final: boolean): number {
    const size = octets.length
    // The octet where the damage begins is no candidate.
    let at = Math.max(from, damageAt + 1 - base)
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
    const end = Math.min(at + length, size)
    let set = at + MESSAGE_HEADER_OCTETS
    for (let i = 0; i < PLAUSIBLE_SETS && end - set >= SET_HEADER_OCTETS; i++) {
      const id = view.getUint16(set)
      const octets = view.getUint16(set + 2)
      if (id < MIN_DATA_SET_ID && id !== TEMPLATE_SET_ID && id !== OPTIONS_TEMPLATE_SET_ID) {
        return false
      }
      if (octets < SET_HEADER_OCTETS || octets > at + length - set) return false
      set += octets
    }
    if (length > rest) {
      wanted = length + 4
      return final ? false : undefined
    }
    if (findBrokenSet(view, at, length) >= 0) return false
    const behind = headerAt(view, at + length, size, final)
    if (behind === undefined) wanted = length + 4
    return behind
  }

  return {
    push(octets) {
      if (octets.constructor !== Uint8Array) {
        octets = new Uint8Array(octets.buffer, octets.byteOffset, octets.byteLength)
      }
      let at = 0
      while (carried > 0) {
        const take = Math.min(wanted - carried, octets.length - at)
        if (carried + take > carry.length) {
          const larger = new Uint8Array(2 * MAX_MESSAGE_OCTETS)
          larger.set(carry.subarray(0, carried))
          carry = larger
        }
        carry.set(octets.subarray(at, at + take), carried)
        carried += take
        at += take
        if (carried < wanted) return
        const whole = carry.slice(0, carried)
        const done = scan(whole, new DataView(whole.buffer), false)
        carry.copyWithin(0, done, carried)
        carried -= done
        base += done
      }
      const rest = at === 0 ? octets : octets.subarray(at)
      if (rest.length === 0) return
      const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength)
      const done = scan(rest, view, false)
      base += done
      carried = rest.length - done
      if (carried > carry.length) carry = new Uint8Array(2 * MAX_MESSAGE_OCTETS)
      carry.set(rest.subarray(done))
    },
    end() {
      const rest = carry.slice(0, carried)
      scan(rest, new DataView(rest.buffer), true)
      base += carried
      carried = 0
    },
  }
}

/** Whether a Message Header may stand at `at`, or the input ends there; undefined if that is not to be seen yet. */
function headerAt(view: DataView, at: number, size: number, final: boolean): boolean | undefined {
  if (at === size) return final ? true : undefined
  if (size - at < 4) return final ? false : undefined
  return view.getUint16(at) === IPFIX_VERSION && view.getUint16(at + 2) >= MESSAGE_HEADER_OCTETS
}
