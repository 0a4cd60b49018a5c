import type {Decoder} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import {byteOrderMark} from './json-scan.js'
import {createHeldOctets} from './held-octets.js'
import {MAX_LINE_OCTETS, type ObjectDecoder} from './object-decoder.js'

const NEWLINE = 10

/** Cuts input into lines, of which it keeps at most MAX_LINE_OCTETS. */
export function createLineDecoder(objects: ObjectDecoder, account: StageLedger): Decoder {
  /** The beginning of a line whose end has not come yet. */
  const held = createHeldOctets(MAX_LINE_OCTETS)
  let offset = 0
  let line = 1

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
    if (held.passed > 0) {
      tooLong(offset - held.passed)
      line++
    } else {
      read(held.octets, 0, held.count, offset - held.count, last)
    }
    held.clear()
  }

  return {
    push(octets) {
      let start = 0
      if (held.count > 0 || held.passed > 0) {
        const end = octets.indexOf(NEWLINE)
        const rest = end < 0 ? octets : octets.subarray(0, end)
        held.add(rest)
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
      if (start < octets.length) held.add(octets.subarray(start))
      return objects.take()
    },
    end() {
      if (held.count > 0 || held.passed > 0) finishHeld(true)
      return objects.take()
    },
  }
}

function isBlank(text: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (text[i] > 32) return false
  return true
}
