import {VARIABLE} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {NO_ARRAY, skipValue, type Members} from './json-scan.js'
import {usualLengthOctets} from './json-plan.js'
import {grow, type OctetBuffer} from './octet-buffer.js'
import {putLength} from './read-record.js'
import {readHex, readString} from './read-values.js'
import type {RecordShape} from './record-shape.js'

/**
 * The text of an object without its values: what stands before the first value, between values, and behind
 * the last one up to the end of the object. Lines that come one after another mostly differ in values alone; then
 * comparing these gaps tells as much as reading keys and `_ipfix` again.
 */
export interface Gaps {
  readonly octets: Uint8Array
  /** The same octets. */
  readonly view: DataView
  /** Where each gap ends. */
  readonly ends: Int32Array
}

/** The gaps of the object from `start` to `end`; undefined if its values are not simple ones in the order of the record. */
export function gapsOf(
  text: Uint8Array,
  start: number,
  end: number,
  members: Members,
  shape: RecordShape,
): Gaps | undefined {
  let before = -1
  for (const {member, item, read, length, element} of shape.steps) {
    const simple = length !== VARIABLE || element.type === 'string' || element.type === 'octetArray'
    if (item >= 0 || member <= before || read === undefined || !simple) return undefined
    if (members.items[member] !== NO_ARRAY) return undefined
    before = member
  }
  let size = 0
  let at = start
  const parts: Uint8Array[] = []
  const ends = new Int32Array(shape.steps.length + 1)
  const add = (to: number): void => {
    parts.push(text.subarray(at, to))
    size += to - at
    ends[parts.length - 1] = size
  }
  for (const {member} of shape.steps) {
    add(members.valueStart[member])
    at = members.valueEnd[member]
  }
  add(end)
  const octets = new Uint8Array(size)
  let to = 0
  for (const part of parts) {
    octets.set(part, to)
    to += part.length
  }
  return {octets, view: new DataView(octets.buffer), ends}
}

const QUOTE = 34

/**
 * Appends the record of the object at `start` if it has these gaps. Returns the octet behind the object; −1 if it
 * is another, or a value is not as expected: then it has to be read from the beginning, and what was appended is void.
 */
export function readAlike(
  text: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  gaps: Gaps,
  {steps}: RecordShape,
  out: OctetBuffer,
): number {
  let at = start
  let gap = 0
  try {
    for (let i = 0; i < steps.length; i++) {
      const to = gaps.ends[i]
      if (!isGap(view, at, end, gaps, gap, to)) return -1
      at += to - gap
      gap = to
      const {length, read, element} = steps[i]
      const behind = skipValue(text, at, end, 2)
      if (length !== VARIABLE) {
        read!(text, at, behind, out, length)
      } else {
        if (text[at] !== QUOTE) return -1
        const begin = out.at
        grow(out, 3)
        out.at++
        const n =
          element.type === 'string'
            ? readString(text, at, behind, out)
            : readHex(text, at, behind, out)
        if (n > 65535) return -1
        putLength(out, begin, 1, usualLengthOctets(element, n))
      }
      at = behind
    }
  } catch (error) {
    if (error instanceof DartaError) return -1
    throw error
  }
  const to = gaps.octets.length
  return isGap(view, at, end, gaps, gap, to) ? at + to - gap : -1
}

function isGap(
  view: DataView,
  at: number,
  end: number,
  gaps: Gaps,
  from: number,
  to: number,
): boolean {
  const n = to - from
  if (end - at < n) return false
  const {view: expected} = gaps
  let i = 0
  for (; i + 4 <= n; i += 4) {
    if (view.getInt32(at + i) !== expected.getInt32(from + i)) return false
  }
  for (; i < n; i++) {
    if (view.getUint8(at + i) !== expected.getUint8(from + i)) return false
  }
  return true
}
