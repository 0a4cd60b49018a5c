import type {AbstractType} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {hexDigit, isWord, skipSpace} from './json-scan.js'
import {grow, type OctetBuffer} from './octet-buffer.js'
import {daysOf, microsecondsToNtp, nanosecondsToNtp, secondToNtp} from './scalars.js'

/**
 * Reads the JSON value in `text` from `start` to `end` and appends its `length` octets. The span holds
 * one whole value of good JSON grammar.
 *
 * @throws DartaError DARTA_VALUE where the value is none of the type, or does not fit the length
 */
export type ValueReader = (
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
) => void

export function valueFault(expected: string, at: number): DartaError {
  return new DartaError('DARTA_VALUE', `expected ${expected}`, at)
}

const QUOTE = 34
const OPEN_OBJECT = 123

/** Greatest time, in seconds since 1970, that was read since it was last set. */
export const latest = {second: 0}

/**
 * Reader of a scalar of this type in `length` octets. Every reader also takes the marked form
 * `{"octets":"hex"}`, whose octets must be as many as the field's.
 */
export function scalarReader(type: AbstractType): ValueReader {
  const read = plainReader(type)
  return (text, start, end, out, length) => {
    if (text[start] === OPEN_OBJECT) readMarked(text, start, end, out, length)
    else read(text, start, end, out, length)
  }
}

function plainReader(type: AbstractType): ValueReader {
  switch (type) {
    case 'unsigned8':
    case 'unsigned16':
    case 'unsigned32':
    case 'unsigned64':
    case 'unsigned256':
      return (text, start, end, out, n) => readInteger(text, start, end, out, n, false)
    case 'signed8':
    case 'signed16':
    case 'signed32':
    case 'signed64':
      return (text, start, end, out, n) => readInteger(text, start, end, out, n, true)
    case 'float32':
    case 'float64':
      return readFloat
    case 'boolean':
      return readBoolean
    case 'macAddress':
      return readMac
    case 'ipv4Address':
      return readIpv4
    case 'ipv6Address':
      return readIpv6
    case 'dateTimeSeconds':
      return (text, start, end, out, n) => readTime(text, start, end, out, n, 0)
    case 'dateTimeMilliseconds':
      return (text, start, end, out, n) => readTime(text, start, end, out, n, 3)
    case 'dateTimeMicroseconds':
      return (text, start, end, out, n) => readTime(text, start, end, out, n, 6)
    case 'dateTimeNanoseconds':
      return (text, start, end, out, n) => readTime(text, start, end, out, n, 9)
    case 'string':
      return readFixedString
    case 'octetArray':
      return (text, start, end, out, n) => {
        if (readHex(text, start, end, out) !== n) throw valueFault(`${n} octets in hex`, start)
      }
    case 'basicList':
    case 'subTemplateList':
    case 'subTemplateMultiList':
      return (_text, start) => {
        throw valueFault('a list', start)
      }
  }
}

// ---- integers ----------------------------------------------------------------------------------

/**
 * A JSON number that is an integer, with all its digits, or a string of decimal digits, as
 * --bigint=string writes it. It must fit `length` octets; where the length is the type's own, that is its range.
 */
function readInteger(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
  signed: boolean,
): void {
  grow(out, length)
  let from = start
  let to = end
  if (text[from] === QUOTE) {
    from++
    to--
  }
  const negative = text[from] === 45
  const first = negative ? from + 1 : from
  let value = 0
  let at = first
  for (; at < to; at++) {
    const digit = text[at] - 48
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  if (at === to && at > first && at - first <= 15 && length <= 8) {
    // Fewer than 16 digits: below 2^53, exact so far.
    if (!fits(negative ? -value : value, length, signed)) throw rangeFault(length, start)
    putTwosComplement(out, negative ? -value : value, length)
    out.at += length
    return
  }
  const exact = exactInteger(text, from, to)
  if (exact === undefined || length < 1) throw valueFault('an integer', start)
  const bits = BigInt(length * 8)
  const least = signed ? -(1n << (bits - 1n)) : 0n
  const most = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n
  if (exact < least || exact > most) throw rangeFault(length, start)
  let v = BigInt.asUintN(length * 8, exact)
  for (let i = out.at + length - 1; i >= out.at; i--) {
    out.octets[i] = Number(v & 255n)
    v >>= 8n
  }
  out.at += length
}

/** An integer between −2^53 and 2^53 in `length` octets (1..8). */
function putTwosComplement(out: OctetBuffer, value: number, length: number): void {
  const {octets} = out
  const high = Math.floor(value / 4294967296)
  let low = (value - high * 4294967296) | 0
  let at = out.at + length - 1
  const least = Math.max(out.at, at - 3)
  for (; at >= least; at--) {
    octets[at] = low
    low >>= 8
  }
  for (let rest = high; at >= out.at; at--) {
    octets[at] = rest
    rest >>= 8
  }
}

/** Least integer that is too large for so many octets, and half of it. */
const limits = Array.from({length: 7}, (_, length) => 2 ** (8 * length))

function fits(value: number, length: number, signed: boolean): boolean {
  if (length < 1) return false
  if (length > 6) return signed || value >= 0
  if (!signed) return value >= 0 && value < limits[length]
  return value >= -limits[length] / 2 && value < limits[length] / 2
}

function rangeFault(length: number, at: number): DartaError {
  return new DartaError('DARTA_VALUE', `the number does not fit ${length} octets`, at)
}

/** `-?digits`, also with a fraction and an exponent if the number is an integer all the same (`1.5e3`). */
function exactInteger(text: Uint8Array, start: number, end: number): bigint | undefined {
  let source = ''
  if (end - start > 400) return undefined
  for (let i = start; i < end; i++) source += String.fromCharCode(text[i])
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source)
  if (match === null) return undefined
  const [, sign, whole, fraction = '', exponent = '0'] = match
  // No integer type has more than 78 digits; a greater exponent is no number of ours.
  const shift = Number(exponent) - fraction.length
  if (Math.abs(shift) > 400) return undefined
  let digits = whole + fraction
  if (shift >= 0) digits += '0'.repeat(shift)
  else {
    if (/[1-9]/.test(digits.slice(shift))) return undefined
    digits = digits.slice(0, shift) || '0'
  }
  return BigInt(sign + digits)
}

// ---- floats, booleans --------------------------------------------------------------------------

function readFloat(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  let value: number
  if (text[start] === QUOTE) {
    const word = asciiText(text, start + 1, end - 1)
    if (word === 'NaN') value = NaN
    else if (word === '+inf') value = Infinity
    else if (word === '-inf') value = -Infinity
    else throw valueFault('a number, "NaN", "+inf" or "-inf"', start)
  } else {
    if (!isNumberStart(text[start])) throw valueFault('a number', start)
    value = Number(asciiText(text, start, end))
    const within = length === 4 ? Math.fround(value) : value
    if (!Number.isFinite(within)) throw rangeFault(length, start)
  }
  grow(out, 8)
  if (length === 4) out.view.setFloat32(out.at, value)
  else if (length === 8) out.view.setFloat64(out.at, value)
  else throw rangeFault(length, start)
  if (Number.isNaN(value)) {
    // The engine is free to choose a NaN; ours is the quiet one without payload.
    out.octets.fill(0, out.at, out.at + length)
    out.octets[out.at] = 0x7f
    out.octets[out.at + 1] = length === 4 ? 0xc0 : 0xf8
  }
  out.at += length
}

function isNumberStart(octet: number): boolean {
  return octet === 45 || (octet >= 48 && octet <= 57)
}

function asciiText(text: Uint8Array, start: number, end: number): string {
  let result = ''
  for (let i = start; i < end; i++) result += String.fromCharCode(text[i])
  return result
}

/** RFC 7011 section 6.1.5: 1 is true, 2 is false. */
function readBoolean(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  const value = isWord(text, start, end, 'true') ? 1 : isWord(text, start, end, 'false') ? 2 : 0
  if (value === 0 || length !== 1) throw valueFault('true or false', start)
  grow(out, 1)
  out.octets[out.at++] = value
}

// ---- addresses ---------------------------------------------------------------------------------

function readMac(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  const fault = (): DartaError => valueFault('a MAC address like "02:00:5e:10:00:01"', start)
  if (text[start] !== QUOTE || end - start !== 19 || length !== 6) throw fault()
  grow(out, 6)
  for (let i = 0; i < 6; i++) {
    const at = start + 1 + i * 3
    const high = hexDigit(text[at])
    const low = hexDigit(text[at + 1])
    if (high < 0 || low < 0 || (i < 5 && text[at + 2] !== 58)) throw fault()
    out.octets[out.at + i] = high * 16 + low
  }
  out.at += 6
}

function readIpv4(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  grow(out, 4)
  const good =
    text[start] === QUOTE && length === 4 && parseIpv4(text, start + 1, end - 1, out.octets, out.at)
  if (!good) throw valueFault('an IPv4 address', start)
  out.at += 4
}

/** Four decimal numbers 0..255 without leading zeros. */
function parseIpv4(
  text: Uint8Array,
  start: number,
  end: number,
  octets: Uint8Array,
  target: number,
): boolean {
  let at = start
  for (let i = 0; i < 4; i++) {
    if (i > 0 && (at >= end || text[at++] !== 46)) return false
    const first = at
    let value = 0
    while (at < end && text[at] >= 48 && text[at] <= 57 && at - first < 3) {
      value = value * 10 + text[at++] - 48
    }
    if (at === first || value > 255 || (at - first > 1 && text[first] === 48)) return false
    octets[target + i] = value
  }
  return at === end
}

const groups = new Uint16Array(8)

function readIpv6(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  grow(out, 16)
  if (text[start] !== QUOTE || length !== 16 || !parseIpv6(text, start + 1, end - 1)) {
    throw valueFault('an IPv6 address', start)
  }
  for (let i = 0; i < 8; i++) out.view.setUint16(out.at + 2 * i, groups[i])
  out.at += 16
}

const tail = new Uint8Array(4)

/** RFC 4291 section 2.2, all three forms; fills `groups`. */
function parseIpv6(text: Uint8Array, start: number, end: number): boolean {
  let count = 0
  let gap = -1
  let at = start
  if (end - start >= 2 && text[at] === 58) {
    if (text[at + 1] !== 58) return false
    gap = 0
    at += 2
  }
  while (at < end) {
    if (count === 8) return false
    const first = at
    let value = 0
    while (at < end && at - first < 5) {
      const digit = hexDigit(text[at])
      if (digit < 0) break
      value = value * 16 + digit
      at++
    }
    if (at < end && text[at] === 46) {
      if (count > 6 || !parseIpv4(text, first, end, tail, 0)) return false
      groups[count++] = tail[0] * 256 + tail[1]
      groups[count++] = tail[2] * 256 + tail[3]
      at = end
      break
    }
    if (at === first || at - first > 4) return false
    groups[count++] = value
    if (at === end) break
    if (text[at++] !== 58) return false
    if (at === end) return false
    if (text[at] === 58) {
      if (gap >= 0) return false
      gap = count
      at++
    }
  }
  if (gap < 0) return count === 8
  if (count > 7) return false
  groups.copyWithin(8 - (count - gap), gap, count)
  groups.fill(0, gap, 8 - (count - gap))
  return true
}

// ---- times -------------------------------------------------------------------------------------

/**
 * RFC 3339 with any zone; digits beyond the element's precision are cut off. A leap second is the
 * first second of the next minute.
 *
 * @param digits the element's precision: 0, 3, 6 or 9 digits of a second
 */
function readTime(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
  digits: number,
): void {
  grow(out, 8)
  if (text[start] !== QUOTE || !parseTime(text, start + 1, end - 1, digits)) {
    throw valueFault('a time like "2013-01-01T00:00:00Z"', start)
  }
  const {second, fraction} = parsed
  if (length !== (digits === 0 ? 4 : 8)) throw valueFault('a time of another encoding', start)
  if (second > latest.second) latest.second = second
  if (digits === 0) {
    if (second < 0 || second >= 4294967296) throw valueFault('a time from 1970 to 2106', start)
    out.view.setUint32(out.at, second)
    out.at += 4
    return
  }
  if (digits === 3) {
    if (second < 0) throw valueFault('a time from 1970 on', start)
    const value = second * 1000 + fraction
    out.view.setUint32(out.at, Math.floor(value / 4294967296))
    out.view.setUint32(out.at + 4, value % 4294967296)
  } else {
    const ntp = secondToNtp(second)
    if (Number.isNaN(ntp)) throw valueFault('a time from 1970 to 2106', start)
    out.view.setUint32(out.at, ntp)
    const encoded = digits === 6 ? microsecondsToNtp(fraction) : nanosecondsToNtp(fraction)
    out.view.setUint32(out.at + 4, encoded)
  }
  out.at += 8
}

const parsed = {second: 0, fraction: 0}

/** `digits` decimal digits at `at`, or −1. */
function number(text: Uint8Array, at: number, digits: number): number {
  let value = 0
  for (let i = at; i < at + digits; i++) {
    const digit = text[i] - 48
    if (!(digit >= 0 && digit <= 9)) return -1
    value = value * 10 + digit
  }
  return value
}

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** 0123-56-89T12:45:78[.fraction](Z|±12:45); fills `parsed`. */
function parseTime(text: Uint8Array, start: number, end: number, digits: number): boolean {
  if (end - start < 20) return false
  const year = number(text, start, 4)
  const month = number(text, start + 5, 2)
  const day = number(text, start + 8, 2)
  const hour = number(text, start + 11, 2)
  const minute = number(text, start + 14, 2)
  const second = number(text, start + 17, 2)
  if (year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || minute < 0) return false
  if (hour > 23 || minute > 59 || second < 0 || second > 60) return false
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  if (day > monthDays[month - 1] + (leap ? 1 : 0)) return false
  const separators = text[start + 4] === 45 && text[start + 7] === 45 && text[start + 13] === 58
  if (!separators || text[start + 16] !== 58 || (text[start + 10] | 32) !== 116) return false
  let at = start + 19
  let fraction = 0
  let taken = 0
  if (text[at] === 46) {
    const first = ++at
    while (at < end && text[at] >= 48 && text[at] <= 57) {
      if (taken < digits) {
        fraction = fraction * 10 + text[at] - 48
        taken++
      }
      at++
    }
    if (at === first) return false
  }
  for (; taken < digits; taken++) fraction *= 10
  let offset = 0
  if (at + 1 === end && (text[at] | 32) === 122) {
    offset = 0
  } else if (at + 6 === end && (text[at] === 43 || text[at] === 45) && text[at + 3] === 58) {
    const hours = number(text, at + 1, 2)
    const minutes = number(text, at + 4, 2)
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false
    offset = (hours * 3600 + minutes * 60) * (text[at] === 45 ? -1 : 1)
  } else {
    return false
  }
  parsed.second = daysOf(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
  parsed.fraction = fraction
  return true
}

// ---- strings and octets ------------------------------------------------------------------------

/** Appends the octets of a JSON string, however many; returns their number. */
export function readString(text: Uint8Array, start: number, end: number, out: OctetBuffer): number {
  if (text[start] !== QUOTE) throw valueFault('a string', start)
  grow(out, end - start)
  const {octets} = out
  const from = out.at
  let to = from
  const last = end - 1
  for (let at = start + 1; at < last;) {
    const octet = text[at]
    if (octet !== 0x5c) {
      octets[to++] = octet
      at++
      continue
    }
    const letter = text[at + 1]
    if (letter !== 0x75) {
      octets[to++] = unescaped[letter]
      at += 2
      continue
    }
    let code = hex4(text, at + 2)
    at += 6
    if (code >= 0xdc00 && code < 0xe000) throw surrogateFault(at - 6)
    if (code >= 0xd800 && code < 0xdc00) {
      const low =
        at + 6 <= last && text[at] === 0x5c && text[at + 1] === 0x75 ? hex4(text, at + 2) : 0
      if (low < 0xdc00 || low >= 0xe000) throw surrogateFault(at - 6)
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
      at += 6
    }
    to = putCodePoint(octets, to, code)
  }
  out.at = to
  return to - from
}

const unescaped = new Uint8Array(128)
for (const [letter, octet] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t']) {
  unescaped[letter.charCodeAt(0)] = octet.charCodeAt(0)
}

function surrogateFault(at: number): DartaError {
  return new DartaError('DARTA_VALUE', 'a lone surrogate is no character', at)
}

function hex4(text: Uint8Array, at: number): number {
  return (
    (hexDigit(text[at]) << 12) |
    (hexDigit(text[at + 1]) << 8) |
    (hexDigit(text[at + 2]) << 4) |
    hexDigit(text[at + 3])
  )
}

function putCodePoint(octets: Uint8Array, start: number, code: number): number {
  let at = start
  if (code < 0x80) {
    octets[at++] = code
  } else if (code < 0x800) {
    octets[at++] = 0xc0 | (code >> 6)
    octets[at++] = 0x80 | (code & 63)
  } else {
    if (code < 0x10000) {
      octets[at++] = 0xe0 | (code >> 12)
    } else {
      octets[at++] = 0xf0 | (code >> 18)
      octets[at++] = 0x80 | ((code >> 12) & 63)
    }
    octets[at++] = 0x80 | ((code >> 6) & 63)
    octets[at++] = 0x80 | (code & 63)
  }
  return at
}

/** A string in a field of fixed length is padded with zero octets. */
function readFixedString(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  const from = out.at
  const n = readString(text, start, end, out)
  if (n > length) throw valueFault(`a string of at most ${length} octets`, start)
  grow(out, length - n)
  out.octets.fill(0, out.at, from + length)
  out.at = from + length
}

/** Appends the octets of a JSON string of hex digits, however many; returns their number. */
export function readHex(text: Uint8Array, start: number, end: number, out: OctetBuffer): number {
  const digits = end - start - 2
  if (text[start] !== QUOTE || digits % 2 !== 0) throw valueFault('octets in hex', start)
  grow(out, digits / 2)
  const {octets} = out
  for (let at = start + 1; at < end - 1; at += 2) {
    const high = hexDigit(text[at])
    const low = hexDigit(text[at + 1])
    if (high < 0 || low < 0) throw valueFault('octets in hex', at)
    octets[out.at++] = high * 16 + low
  }
  return digits / 2
}

/** Appends the octets of `{"octets":"hex"}`, however many; returns their number. */
export function readMarkedOctets(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
): number {
  let at = skipSpace(text, start + 1, end)
  if (!isWord(text, at, end, '"octets"')) throw valueFault('{"octets":"hex"}', start)
  at = skipSpace(text, at + 8, end)
  at = skipSpace(text, at + 1, end)
  let to = end - 1
  while (to > at && text[to - 1] <= 32) to--
  // Good grammar is given: one string that reaches to the brace is the only member.
  if (text[at] !== QUOTE || text.indexOf(QUOTE, at + 1) !== to - 1) {
    throw valueFault('{"octets":"hex"}', start)
  }
  return readHex(text, at, to, out)
}

function readMarked(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  length: number,
): void {
  if (readMarkedOctets(text, start, end, out) !== length) {
    throw valueFault(`${length} octets in hex`, start)
  }
}
