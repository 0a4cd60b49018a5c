import type {InformationElement} from '../../record/element.js'
import {utf8SequenceOctets} from '../../record/utf8.js'
import {put, reserve, textOctets, type TextBuffer} from './buffer.js'
import type {ValueWriter} from './json-values.js'
import {kindOf, kinds, type Kind} from './kinds.js'
import {
  floatAt,
  hasFourDigitYear,
  putControlBits,
  putFloat,
  putHex,
  putIpv4,
  putIpv6,
  putMac,
  putMicroseconds,
  putMilliseconds,
  putNanoseconds,
  putSeconds,
  putSigned,
  putUnsigned,
  unpadded,
} from './scalars.js'

/** What sets cells apart: commas as in RFC 4180, or tabs. */
export type Separator = 'comma' | 'tab'

/**
 * Writer of a scalar as one cell. Octets that do not fit the type are `0x` and hex.
 *
 * @param length encoded length of the field, VARIABLE (65535) where each value has its own
 */
export function cellWriter(
  element: InformationElement,
  length: number,
  separator: Separator,
): ValueWriter {
  const kind = kindOf(element, length)
  if (kind !== kinds.variable) return writerOf(kind, separator)
  return (out, octets, start, n) => writerOf(kindOf(element, n), separator)(out, octets, start, n)
}

function writerOf(kind: Kind, separator: Separator): ValueWriter {
  switch (kind) {
    case kinds.unsigned:
    case kinds.longUnsigned:
      return putUnsigned
    case kinds.controlBits:
      return putControlBits
    case kinds.signed:
      return putSigned
    case kinds.float:
      return putFloatCell
    case kinds.boolean:
      return putBooleanCell
    case kinds.mac:
      return putMac
    case kinds.ipv4:
      return putIpv4
    case kinds.ipv6:
      return putIpv6
    case kinds.seconds:
      return putSeconds
    case kinds.milliseconds:
      return putMillisecondsCell
    case kinds.microseconds:
      return putMicroseconds
    case kinds.nanoseconds:
      return putNanoseconds
    case kinds.string:
      return separator === 'comma' ? putCommaString : putTabString
    case kinds.paddedString:
      return separator === 'comma' ? putPaddedCommaString : putPaddedTabString
    case kinds.octets:
      return putHexCell
    default:
      return putMisfitCell
  }
}

const NAN = textOctets('NaN')
const INF = textOctets('inf')
const MINUS_INF = textOctets('-inf')

function putFloatCell(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  const value = floatAt(octets, start, length)
  if (Number.isFinite(value)) putFloat(out, value)
  else put(out, Number.isNaN(value) ? NAN : value > 0 ? INF : MINUS_INF)
}

const TRUE = textOctets('true')
const FALSE = textOctets('false')

function putBooleanCell(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  if (octets[start] === 1) put(out, TRUE)
  else if (octets[start] === 2) put(out, FALSE)
  else putMisfitCell(out, octets, start, length)
}

function putMillisecondsCell(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const write = hasFourDigitYear(octets, start) ? putMilliseconds : putMisfitCell
  write(out, octets, start, length)
}

function putHexCell(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  reserve(out, length * 2)
  putHex(out, octets, start, length)
}

/** Octets that do not fit their type: `0x00ff`. */
function putMisfitCell(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  reserve(out, length * 2 + 2)
  out.octets[out.at++] = 48
  out.octets[out.at++] = 120
  putHex(out, octets, start, length)
}

const COMMA = 44
const QUOTE = 34
const APOSTROPHE = 39

/**
 * A string in a cell of RFC 4180: in quotes where it must be, and where it is empty, which tells it
 * from no value. What a spreadsheet would take for a formula gets an apostrophe in front. Control
 * characters but tab and line ends, which drive terminals, are written as `\u001b`.
 */
export function putCommaString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const end = start + length
  reserve(out, length * 6 + 3)
  const from = out.at
  const quoted = length === 0 || needsQuotes(octets, start, end)
  const target = out.octets
  let at = from
  if (quoted) target[at++] = QUOTE
  if (length > 0 && isFormula(octets[start])) target[at++] = APOSTROPHE
  for (let i = start; i < end;) {
    const octet = octets[i]
    if (octet >= 0x80) {
      const n = utf8SequenceOctets(octets, i, end)
      if (n === 0) {
        out.at = from
        putMisfitCell(out, octets, start, length)
        return
      }
      if (octet === 0xc2 && octets[i + 1] < 0xa0) at = putControl(target, at, octets[i + 1])
      else for (let j = 0; j < n; j++) target[at++] = octets[i + j]
      i += n
      continue
    }
    if (octet === QUOTE) target[at++] = QUOTE
    if (octet >= 0x20 && octet !== 0x7f) target[at++] = octet
    else if (octet === 9 || octet === 10 || octet === 13) target[at++] = octet
    else at = putControl(target, at, octet)
    i++
  }
  if (quoted) target[at++] = QUOTE
  out.at = at
}

function needsQuotes(octets: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const octet = octets[i]
    if (octet === COMMA || octet === QUOTE || octet === 10 || octet === 13) return true
  }
  return false
}

/** `=`, `+`, `-`, `@`, tab and carriage return make a spreadsheet compute. */
function isFormula(octet: number): boolean {
  return octet === 61 || octet === 43 || octet === 45 || octet === 64 || octet === 9 || octet === 13
}

const HEX = textOctets('0123456789abcdef')

/** `\u001b`: 6 octets. Returns the octet behind it. */
function putControl(target: Uint8Array, at: number, code: number): number {
  target[at] = 0x5c
  target[at + 1] = 0x75
  target[at + 2] = 48
  target[at + 3] = 48
  target[at + 4] = HEX[code >> 4]
  target[at + 5] = HEX[code & 15]
  return at + 6
}

/**
 * A string between tabs: tab, line ends and backslash as `\t`, `\n`, `\r`, `\\`, other control characters
 * as `\u001b`. What a spreadsheet would take for a formula gets an apostrophe in front.
 */
export function putTabString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const end = start + length
  reserve(out, length * 6 + 1)
  const from = out.at
  const target = out.octets
  let at = from
  if (length > 0 && isFormula(octets[start])) target[at++] = APOSTROPHE
  for (let i = start; i < end;) {
    const octet = octets[i]
    if (octet >= 0x80) {
      const n = utf8SequenceOctets(octets, i, end)
      if (n === 0) {
        out.at = from
        putMisfitCell(out, octets, start, length)
        return
      }
      if (octet === 0xc2 && octets[i + 1] < 0xa0) at = putControl(target, at, octets[i + 1])
      else for (let j = 0; j < n; j++) target[at++] = octets[i + j]
      i += n
      continue
    }
    const letter =
      octet === 9 ? 116 : octet === 10 ? 110 : octet === 13 ? 114 : octet === 92 ? 92 : 0
    if (letter !== 0) {
      target[at++] = 92
      target[at++] = letter
    } else if (octet >= 0x20 && octet !== 0x7f) {
      target[at++] = octet
    } else {
      at = putControl(target, at, octet)
    }
    i++
  }
  out.at = at
}

function putPaddedCommaString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  putCommaString(out, octets, start, unpadded(octets, start, length))
}

function putPaddedTabString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  putTabString(out, octets, start, unpadded(octets, start, length))
}
