import type {InformationElement} from '../../record/element.js'
import {put, reserve, textOctets, type TextBuffer} from './buffer.js'
import {kindOf, kinds, type Kind} from './kinds.js'
import {
  floatAt,
  hasFourDigitYear,
  putFloat,
  putControlBits,
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
  significant,
  unpadded,
} from './scalars.js'
import {utf8SequenceOctets} from '../../record/utf8.js'

/** Writes the value in `length` octets at `start`; room for SCALAR_OCTETS has been reserved. */
export type ValueWriter = (
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
) => void

/** The longest scalar with its quotes: an unsigned256 has 78 digits. */
export const SCALAR_OCTETS = 96

/** How integers beyond 2^53 − 1 are written. */
export type BigintForm = 'number' | 'string'

/**
 * Writer of a scalar's JSON form. Octets that do not fit the type are written in marked form,
 * `{"octets":"hex"}`; lists are not scalars.
 *
 * @param length encoded length of the field, VARIABLE (65535) where each value has its own
 */
export function jsonWriter(
  element: InformationElement,
  length: number,
  bigint: BigintForm,
): ValueWriter {
  const kind = kindOf(element, length)
  if (kind !== kinds.variable) return writerOf(kind, bigint)
  return (out, octets, start, n) => writerOf(kindOf(element, n), bigint)(out, octets, start, n)
}

function writerOf(kind: Kind, bigint: BigintForm): ValueWriter {
  switch (kind) {
    case kinds.unsigned:
    case kinds.longUnsigned:
      return bigint === 'number' ? putUnsigned : putQuotedUnsigned
    case kinds.controlBits:
      return putControlBits
    case kinds.signed:
      return bigint === 'number' ? putSigned : putQuotedSigned
    case kinds.float:
      return putJsonFloat
    case kinds.boolean:
      return putJsonBoolean
    case kinds.mac:
      return quotedMac
    case kinds.ipv4:
      return quotedIpv4
    case kinds.ipv6:
      return quotedIpv6
    case kinds.seconds:
      return putJsonSeconds
    case kinds.milliseconds:
      return putJsonMilliseconds
    case kinds.microseconds:
      return putJsonMicroseconds
    case kinds.nanoseconds:
      return putJsonNanoseconds
    case kinds.string:
      return putJsonString
    case kinds.paddedString:
      return putJsonPaddedString
    case kinds.octets:
      return putJsonHex
    default:
      return putJsonOctets
  }
}

const QUOTE = 34

function quoted(write: ValueWriter): ValueWriter {
  return (out, octets, start, length) => {
    out.octets[out.at++] = QUOTE
    write(out, octets, start, length)
    out.octets[out.at++] = QUOTE
  }
}

const quotedMac = quoted(putMac)
const quotedIpv4 = quoted(putIpv4)
const quotedIpv6 = quoted(putIpv6)
const quotedUnsigned = quoted(putUnsigned)
const quotedSigned = quoted(putSigned)

function putQuotedUnsigned(out: TextBuffer, octets: Uint8Array, start: number, n: number): void {
  const write = significant(octets, start, n) > 53 ? quotedUnsigned : putUnsigned
  write(out, octets, start, n)
}

function putQuotedSigned(out: TextBuffer, octets: Uint8Array, start: number, n: number): void {
  // −2^53 has 54 bits as a magnitude, so that it is not safe either.
  let value = 0n
  for (let i = 0; i < n; i++) value = (value << 8n) | BigInt(octets[start + i])
  const safe = Number.isSafeInteger(Number(BigInt.asIntN(n * 8, value)))
  const write = safe ? putSigned : quotedSigned
  write(out, octets, start, n)
}

const NAN = textOctets('"NaN"')
const PLUS_INF = textOctets('"+inf"')
const MINUS_INF = textOctets('"-inf"')

/** JSON has no numbers for them: `"NaN"`, `"+inf"`, `"-inf"` as RFC 7373 section 4.4 spells them. */
function putJsonFloat(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  const value = floatAt(octets, start, length)
  if (Number.isFinite(value)) putFloat(out, value)
  else if (value === Infinity) put(out, PLUS_INF)
  else if (value === -Infinity) put(out, MINUS_INF)
  else if (isPlainNan(octets, start, length)) put(out, NAN)
  else putJsonOctets(out, octets, start, length)
}

/** A NaN that carries no payload: the one a reader of `"NaN"` makes. */
function isPlainNan(octets: Uint8Array, start: number, length: number): boolean {
  if (octets[start] !== 0x7f || octets[start + 1] !== (length === 4 ? 0xc0 : 0xf8)) return false
  for (let i = 2; i < length; i++) if (octets[start + i] !== 0) return false
  return true
}

const TRUE = textOctets('true')
const FALSE = textOctets('false')

function putJsonBoolean(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  if (octets[start] === 1) put(out, TRUE)
  else if (octets[start] === 2) put(out, FALSE)
  else putJsonOctets(out, octets, start, length)
}

const putJsonSeconds = quoted(putSeconds)
const putJsonMicroseconds = quoted(putMicroseconds)
const putJsonNanoseconds = quoted(putNanoseconds)
const quotedMilliseconds = quoted(putMilliseconds)

function putJsonMilliseconds(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const write = hasFourDigitYear(octets, start) ? quotedMilliseconds : putJsonOctets
  write(out, octets, start, length)
}

/** Octets in hex, as RFC 7373 section 4.1 has them. */
function putJsonHex(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  reserve(out, length * 2 + 2)
  out.octets[out.at++] = QUOTE
  putHex(out, octets, start, length)
  out.octets[out.at++] = QUOTE
}

const OCTETS = textOctets('{"octets":"')
const OCTETS_END = textOctets('"}')

/** The marked form of octets that do not fit their type. */
export function putJsonOctets(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  reserve(out, length * 2 + 13)
  put(out, OCTETS)
  putHex(out, octets, start, length)
  put(out, OCTETS_END)
}

/** A string of fixed length: the zero octets at its end only pad it. */
function putJsonPaddedString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const from = out.at
  if (!putEscaped(out, octets, start, unpadded(octets, start, length))) {
    out.at = from
    putJsonOctets(out, octets, start, length)
  }
}

/** A JSON string, or the octets in marked form if they are not well-formed UTF-8. */
export function putJsonString(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  const from = out.at
  if (!putEscaped(out, octets, start, length)) {
    out.at = from
    putJsonOctets(out, octets, start, length)
  }
}

const HEX = textOctets('0123456789abcdef')
/** The letter behind the backslash, by octet; 0 where there is no short form. */
const short = new Uint8Array(128)
for (const [character, letter] of ['""', '\\\\', '\bb', '\tt', '\nn', '\ff', '\rr']) {
  short[character.charCodeAt(0)] = letter.charCodeAt(0)
}

/**
 * Writes a string in quotes. Controls (C0, DEL, C1) and the line separators U+2028 and U+2029 are escaped,
 * so that one record stays one line for every reader and a terminal cannot be driven. False if the
 * octets are not well-formed UTF-8.
 */
function putEscaped(out: TextBuffer, octets: Uint8Array, start: number, length: number): boolean {
  reserve(out, length * 6 + 2)
  const target = out.octets
  const end = start + length
  let {at} = out
  target[at++] = QUOTE
  for (let i = start; i < end;) {
    const octet = octets[i]
    if (octet >= 0x20 && octet < 0x7f) {
      if (octet === 0x22 || octet === 0x5c) target[at++] = 0x5c
      target[at++] = octet
      i++
      continue
    }
    if (octet < 0x80) {
      at = putEscape(target, at, octet)
      i++
      continue
    }
    const n = utf8SequenceOctets(octets, i, end)
    if (n === 0) return false
    const second = octets[i + 1]
    if (octet === 0xc2 && second < 0xa0) {
      at = putEscape(target, at, second)
    } else if (octet === 0xe2 && second === 0x80 && (octets[i + 2] & 0xfe) === 0xa8) {
      at = putEscape(target, at, 0x2000 | (octets[i + 2] & 0x3f))
    } else {
      for (let j = 0; j < n; j++) target[at++] = octets[i + j]
    }
    i += n
  }
  target[at++] = QUOTE
  out.at = at
  return true
}

/** `\n`, or `\u001b`: at most 6 octets. Returns the octet behind it. */
function putEscape(target: Uint8Array, start: number, code: number): number {
  let at = start
  target[at++] = 0x5c
  if (code < 128 && short[code] !== 0) {
    target[at++] = short[code]
    return at
  }
  target[at++] = 0x75
  for (let shift = 12; shift >= 0; shift -= 4) target[at++] = HEX[(code >> shift) & 15]
  return at
}
