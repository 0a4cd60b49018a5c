import type {Decoder} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import {createHeldOctets} from './held-octets.js'
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
  const held = createHeldOctets(MAX_LINE_OCTETS)
  let offset = 0
  /** Braces open around the octet in hand. */
  let depth = 0
  let inString = false
  let escaped = false
  /** Whether the octets before belong to something that is no object. */
  let strange = false

  /** The held object is whole, or all there is of it; `end` is the octet behind it in the input. */
  function finish(end: number, last: boolean): void {
    if (held.passed > 0) {
      account.in++
      account.lose('longer-than-1-mib', 1, end - held.passed)
    } else if (held.count > 0) {
      objects.object(held.octets, 0, held.count, end - held.count, undefined, last)
    }
    held.clear()
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
          held.add(octets.subarray(at))
          break
        }
        if (held.count === 0 && held.passed === 0 && end - at <= MAX_LINE_OCTETS) {
          objects.object(octets, at, end, offset)
        } else {
          held.add(octets.subarray(at, end))
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
