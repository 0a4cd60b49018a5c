import type {Decoder} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import {MAX_LINE_OCTETS, type ObjectDecoder} from './object-decoder.js'

const QUOTE = 34
const BACKSLASH = 92
const OPEN = 123
const CLOSE = 125

/**
 * Finds the objects in a JSON array, laid out in any way. What stands between them has only to be white space,
 * brackets and commas; anything else is counted and passed over up to the next object. An object is kept
 * up to MAX_LINE_OCTETS.
 */
export function createArrayDecoder(objects: ObjectDecoder, account: StageLedger): Decoder {
  let held = new Uint8Array(4096)
  let heldOctets = 0
  /** Octets of the object in hand that were passed over because it is too long. */
  let passed = 0
  let offset = 0
  /** Braces open around the octet in hand. */
  let depth = 0
  let inString = false
  let escaped = false
  /** Whether the octets before belong to something that is no object. */
  let strange = false

  function hold(octets: Uint8Array): void {
    if (passed > 0 || heldOctets + octets.length > MAX_LINE_OCTETS) {
      passed += heldOctets + octets.length
      heldOctets = 0
      return
    }
    if (heldOctets + octets.length > held.length) {
      const larger = new Uint8Array(Math.max(held.length * 2, heldOctets + octets.length))
      larger.set(held.subarray(0, heldOctets))
      held = larger
    }
    held.set(octets, heldOctets)
    heldOctets += octets.length
  }

  /** The held object is whole, or all there is of it; `end` is the octet behind it in the input. */
  function finish(end: number, last: boolean): void {
    if (passed > 0) {
      account.in++
      account.lose('longer-than-1-mib', 1, end - passed)
    } else if (heldOctets > 0) {
      objects.object(held, 0, heldOctets, end - heldOctets, undefined, last)
    }
    heldOctets = 0
    passed = 0
  }

  /** Octet behind the object that goes on at `start`, or −1 if it goes on behind these octets. */
  function objectEnd(octets: Uint8Array, start: number): number {
    for (let at = start; at < octets.length; at++) {
      const octet = octets[at]
      if (escaped) {
        escaped = false
      } else if (inString) {
        if (octet === QUOTE) inString = false
        else if (octet === BACKSLASH) escaped = true
      } else if (octet === QUOTE) {
        inString = true
      } else if (octet === OPEN) {
        depth++
      } else if (octet === CLOSE) {
        depth--
        if (depth === 0) return at + 1
      }
    }
    return -1
  }

  return {
    push(octets) {
      let at = 0
      while (at < octets.length) {
        if (depth === 0) {
          const octet = octets[at]
          if (octet !== OPEN) {
            if (!isBetween(octet, offset + at) && !strange) {
              strange = true
              account.in++
              account.lose('not-json', 1, offset + at)
            }
            if (octet === 44) strange = false
            at++
            continue
          }
          strange = false
        }
        const end = objectEnd(octets, at)
        if (end < 0) {
          hold(octets.subarray(at))
          break
        }
        if (heldOctets === 0 && passed === 0 && end - at <= MAX_LINE_OCTETS) {
          objects.object(octets, at, end, offset)
        } else {
          hold(octets.subarray(at, end))
          finish(offset + end, false)
        }
        at = end
      }
      offset += octets.length
      return objects.take()
    },
    end() {
      finish(offset, true)
      return objects.take()
    },
  }
}

/** White space, brackets, commas; a byte order mark at the beginning. */
function isBetween(octet: number, at: number): boolean {
  if (octet <= 32 || octet === 44 || octet === 91 || octet === 93) return true
  return at < 3 && (octet === 0xef || octet === 0xbb || octet === 0xbf)
}
