import type {Decoder} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import {byteOrderMark} from './json-scan.js'
import {MAX_LINE_OCTETS, type ObjectDecoder} from './object-decoder.js'

const NEWLINE = 10

/** Cuts input into lines, of which it keeps at most MAX_LINE_OCTETS. */
export function createLineDecoder(objects: ObjectDecoder, account: StageLedger): Decoder {
  /** The beginning of a line whose end has not come yet. */
  let held = new Uint8Array(4096)
  let heldOctets = 0
  /** Octets of the line that were passed over because it is too long. */
  let passed = 0
  let offset = 0
  let line = 1

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

  /** A line in `text`, without its end, at octet `at` + `start` of the input. */
  function read(text: Uint8Array, start: number, end: number, at: number, last = false): void {
    if (end - start > MAX_LINE_OCTETS) tooLong(at + start)
    else if (!isBlank(text, start, end)) {
      const mark = at + start === 0 ? byteOrderMark(text.subarray(start, end)) : 0
      objects.object(text, start + mark, end, at, line, last)
    }
    line++
  }

  function tooLong(at: number): void {
    account.in++
    account.lose('longer-than-1-mib', 1, at, line)
  }

  function finishHeld(last = false): void {
    if (passed > 0) {
      tooLong(offset - passed)
      line++
    } else {
      read(held, 0, heldOctets, offset - heldOctets, last)
    }
    heldOctets = 0
    passed = 0
  }

  return {
    push(octets) {
      let start = 0
      if (heldOctets > 0 || passed > 0) {
        const end = octets.indexOf(NEWLINE)
        const rest = end < 0 ? octets : octets.subarray(0, end)
        hold(rest)
        offset += rest.length
        if (end < 0) return []
        finishHeld()
        offset++
        start = end + 1
      }
      const base = offset - start
      for (;;) {
        const end = octets.indexOf(NEWLINE, start)
        if (end < 0) break
        read(octets, start, end, base)
        start = end + 1
      }
      offset = base + octets.length
      if (start < octets.length) hold(octets.subarray(start))
      return objects.take()
    },
    end() {
      if (heldOctets > 0 || passed > 0) finishHeld(true)
      return objects.take()
    },
  }
}

function isBlank(text: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (text[i] > 32) return false
  return true
}
