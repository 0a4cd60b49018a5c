import {readBigUnsigned} from '../../record/readers.js'
import {put, textOctets, type TextBuffer} from './buffer.js'

// Writers of scalars. Each writes at most the octets its comment states; the caller has reserved them.

const HEX = textOctets('0123456789abcdef')

/** Decimal digits of an integer 0..2^53 − 1: at most 16. */
export function putInteger(out: TextBuffer, value: number): void {
  if (value > 0xffffffff) {
    const high = Math.floor(value / 1e9)
    putInteger(out, high)
    putPadded(out, value - high * 1e9, 9)
    return
  }
  const {octets} = out
  let v = value >>> 0
  const n = digitsOf(v)
  const end = out.at + n
  for (let at = end - 1; at >= out.at; at--) {
    const q = (v / 10) >>> 0
    octets[at] = 48 + v - q * 10
    v = q
  }
  out.at = end
}

function digitsOf(v: number): number {
  if (v < 100000) {
    if (v < 100) return v < 10 ? 1 : 2
    if (v < 1000) return 3
    return v < 10000 ? 4 : 5
  }
  if (v < 10000000) return v < 1000000 ? 6 : 7
  if (v < 100000000) return 8
  return v < 1000000000 ? 9 : 10
}

/** Exactly `digits` decimal digits of `value`, 0 ≤ value < 10^digits < 2^53. */
export function putPadded(out: TextBuffer, value: number, digits: number): void {
  const {octets} = out
  let v = value
  for (let i = out.at + digits - 1; i >= out.at; i--) {
    const q = Math.floor(v / 10)
    octets[i] = 48 + v - q * 10
    v = q
  }
  out.at += digits
}

/** Decimal digits of the unsigned integer in `length` octets (1..32): at most 78. */
export function putUnsigned(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  if (length > 6 && significant(octets, start, length) > 53) {
    put(out, textOctets(readBigUnsigned(octets, start, length).toString()))
    return
  }
  let value = 0
  for (let i = start; i < start + length; i++) value = value * 256 + octets[i]
  putInteger(out, value)
}

/** TCP control bits in 2 octets: at most 4. RFC 9565 section 3: the upper four bits are ignored on receipt. */
export function putControlBits(out: TextBuffer, octets: Uint8Array, start: number): void {
  putInteger(out, ((octets[start] & 15) << 8) | octets[start + 1])
}

/** How many bits the unsigned integer in `length` octets needs. */
export function significant(octets: Uint8Array, start: number, length: number): number {
  let i = 0
  while (i < length && octets[start + i] === 0) i++
  return i === length ? 0 : (length - i) * 8 - (Math.clz32(octets[start + i]) - 24)
}

/** Sign and decimal digits of the two's complement integer in `length` octets (1..8): at most 20. */
export function putSigned(
  out: TextBuffer,
  octets: Uint8Array,
  start: number,
  length: number,
): void {
  if (octets[start] < 128) {
    putUnsigned(out, octets, start, length)
    return
  }
  const value = BigInt.asIntN(length * 8, readBigUnsigned(octets, start, length))
  put(out, textOctets(value.toString()))
}

/** Lower-case hex digits, two an octet. */
export function putHex(out: TextBuffer, octets: Uint8Array, start: number, length: number): void {
  const target = out.octets
  let {at} = out
  for (let i = start; i < start + length; i++) {
    target[at++] = HEX[octets[i] >> 4]
    target[at++] = HEX[octets[i] & 15]
  }
  out.at = at
}

/** `02:00:5e:10:00:01`: 17 octets. */
export function putMac(out: TextBuffer, octets: Uint8Array, start: number): void {
  for (let i = 0; i < 6; i++) {
    if (i > 0) out.octets[out.at++] = 58
    putHex(out, octets, start + i, 1)
  }
}

/** Dotted decimal: at most 15. */
export function putIpv4(out: TextBuffer, octets: Uint8Array, start: number): void {
  const target = out.octets
  let {at} = out
  for (let i = start; i < start + 4; i++) {
    if (i > start) target[at++] = 46
    let v = octets[i]
    if (v >= 10) {
      if (v >= 100) {
        const hundreds = v >= 200 ? 2 : 1
        target[at++] = 48 + hundreds
        v -= hundreds * 100
      }
      const tens = (v / 10) | 0
      target[at++] = 48 + tens
      v -= tens * 10
    }
    target[at++] = 48 + v
  }
  out.at = at
}

/** RFC 5952 text, IPv4-mapped addresses in dotted form: at most 39. */
export function putIpv6(out: TextBuffer, octets: Uint8Array, start: number): void {
  const target = out.octets
  // The longest run of zero groups, the first of several, at least two.
  let best = -1
  let bestLength = 1
  let run = 0
  for (let i = 0; i < 8; i++) {
    if (octets[start + 2 * i] === 0 && octets[start + 2 * i + 1] === 0) {
      run++
      if (run > bestLength) {
        bestLength = run
        best = i - run + 1
      }
    } else {
      run = 0
    }
  }
  const mapped =
    best === 0 && bestLength === 5 && octets[start + 10] === 255 && octets[start + 11] === 255
  const groups = mapped ? 6 : 8
  let {at} = out
  for (let i = 0; i < groups; i++) {
    if (i === best) {
      target[at++] = 58
      target[at++] = 58
      i += bestLength - 1
      continue
    }
    if (i > 0 && i !== best + bestLength) target[at++] = 58
    const high = octets[start + 2 * i]
    const low = octets[start + 2 * i + 1]
    if (high > 15) target[at++] = HEX[high >> 4]
    if (high > 0) target[at++] = HEX[high & 15]
    if (high > 0 || low > 15) target[at++] = HEX[low >> 4]
    target[at++] = HEX[low & 15]
  }
  out.at = at
  if (mapped) {
    target[out.at++] = 58
    putIpv4(out, octets, start + 12)
  }
}

/** JavaScript's shortest text of a finite number that reads back the same, `-0` with its sign: at most 25. */
export function putFloat(out: TextBuffer, value: number): void {
  put(out, textOctets(Object.is(value, -0) ? '-0' : String(value)))
}

/** Seconds since 1970 of 9999-12-31T23:59:59: RFC 3339 has four digits for the year. */
export const LAST_SECOND = 253402300799

// Times come in clusters: date and time of the last second written are kept.
const dateTime: TextBuffer = {octets: new Uint8Array(19), at: 0, begin: 0, full: []}
let cachedSecond = -1
let cachedDay = -1

/** RFC 3339 UTC with `digits` digits (0, 3, 6, 9) of `fraction`: at most 30. */
export function putTime(out: TextBuffer, second: number, fraction: number, digits: number): void {
  if (second !== cachedSecond) writeDateTime(second)
  const {octets} = out
  let {at} = out
  const source = dateTime.octets
  for (let i = 0; i < 19; i++) octets[at++] = source[i]
  if (digits > 0) {
    octets[at++] = 46
    out.at = at
    putPadded(out, fraction, digits)
    at = out.at
  }
  octets[at++] = 90
  out.at = at
}

function writeDateTime(second: number): void {
  const day = Math.floor(second / 86400)
  if (day !== cachedDay) {
    const [year, month, dayOfMonth] = civil(day)
    dateTime.at = 0
    putPadded(dateTime, year, 4)
    dateTime.octets[dateTime.at++] = 45
    putPadded(dateTime, month, 2)
    dateTime.octets[dateTime.at++] = 45
    putPadded(dateTime, dayOfMonth, 2)
    dateTime.octets[dateTime.at++] = 84
    cachedDay = day
  }
  const rest = second - day * 86400
  const minutes = (rest / 60) | 0
  const hours = (minutes / 60) | 0
  dateTime.at = 11
  putPadded(dateTime, hours, 2)
  dateTime.octets[dateTime.at++] = 58
  putPadded(dateTime, minutes - hours * 60, 2)
  dateTime.octets[dateTime.at++] = 58
  putPadded(dateTime, rest - minutes * 60, 2)
  cachedSecond = second
}

/** Year, month 1..12 and day 1..31 of the Gregorian calendar, of days since 1970-01-01. */
export function civil(day: number): [year: number, month: number, day: number] {
  // Years are counted from 1 March, so that the leap day comes last.
  const shifted = day + 719468
  const era = Math.floor(shifted / 146097)
  const ofEra = shifted - era * 146097
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36524) - Math.floor(ofEra / 146096)) /
      365,
  )
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return [
    yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  ]
}

/** Days since 1970-01-01 of a Gregorian date. */
export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const ofEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + ofYear
  return era * 146097 + ofEra - 719468
}

/** Seconds from the NTP era 0 (1900) to 1970. */
const NTP_OFFSET = 2208988800

/** Seconds since 1970 of an NTP second count; below 1970 it is era 1, from 2036. RFC 7011 section 6.1.9. */
export function ntpSecond(seconds: number): number {
  return seconds >= NTP_OFFSET ? seconds - NTP_OFFSET : seconds + 4294967296 - NTP_OFFSET
}

/** The 32-bit NTP second count of seconds since 1970; NaN if no era that is read back so holds it. */
export function secondToNtp(second: number): number {
  if (second < 0 || second >= 4294967296) return NaN
  return (second + NTP_OFFSET) % 4294967296
}

/** Microseconds of an NTP fraction, cut off. */
export function ntpMicroseconds(fraction: number): number {
  return Math.floor((fraction * 1e6) / 4294967296)
}

/** Nanoseconds of an NTP fraction, cut off; in two steps, because the product needs 62 bits. */
export function ntpNanoseconds(fraction: number): number {
  const low = fraction % 65536
  const high = (fraction - low) / 65536
  return Math.floor((high * 1e9 + Math.floor((low * 1e9) / 65536)) / 65536)
}

/** The NTP fraction that is sent for `microseconds`: the least with its low 11 bits zero. RFC 7011 section 6.1.9. */
export function microsecondsToNtp(microseconds: number): number {
  return Math.ceil((microseconds * 4294967296) / 1e6 / 2048) * 2048
}

/** The NTP fraction that is sent for `nanoseconds`: the least that is read back so. */
export function nanosecondsToNtp(nanoseconds: number): number {
  // Division in doubles may be off by one in the last place; the reading decides.
  let fraction = Math.max(0, Math.floor(nanoseconds * 4.294967296) - 1)
  while (ntpNanoseconds(fraction) < nanoseconds) fraction++
  return fraction
}

const scratch = new DataView(new ArrayBuffer(8))

/** The IEEE 754 number in 4 or 8 octets. */
export function floatAt(octets: Uint8Array, start: number, length: number): number {
  for (let i = 0; i < length; i++) scratch.setUint8(i, octets[start + i])
  return length === 4 ? scratch.getFloat32(0) : scratch.getFloat64(0)
}

export function uint32At(octets: Uint8Array, at: number): number {
  return octets[at] * 16777216 + ((octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3])
}

/** dateTimeSeconds, 4 octets: 20. RFC 7011 section 6.1.7. */
export function putSeconds(out: TextBuffer, octets: Uint8Array, start: number): void {
  putTime(out, uint32At(octets, start), 0, 0)
}

function millisecondsAt(octets: Uint8Array, start: number): number {
  return uint32At(octets, start) * 4294967296 + uint32At(octets, start + 4)
}

/** Whether the dateTimeMilliseconds at `start` lies before the year 10000. */
export function hasFourDigitYear(octets: Uint8Array, start: number): boolean {
  return millisecondsAt(octets, start) < (LAST_SECOND + 1) * 1000
}

/** dateTimeMilliseconds, 8 octets, before the year 10000: 24. RFC 7011 section 6.1.8. */
export function putMilliseconds(out: TextBuffer, octets: Uint8Array, start: number): void {
  const value = millisecondsAt(octets, start)
  const second = Math.floor(value / 1000)
  putTime(out, second, value - second * 1000, 3)
}

/** dateTimeMicroseconds, 8 octets: 27. RFC 7011 section 6.1.9. */
export function putMicroseconds(out: TextBuffer, octets: Uint8Array, start: number): void {
  putTime(out, ntpSecond(uint32At(octets, start)), ntpMicroseconds(uint32At(octets, start + 4)), 6)
}

/** dateTimeNanoseconds, 8 octets: 30. RFC 7011 section 6.1.10. */
export function putNanoseconds(out: TextBuffer, octets: Uint8Array, start: number): void {
  putTime(out, ntpSecond(uint32At(octets, start)), ntpNanoseconds(uint32At(octets, start + 4)), 9)
}

/** Octets of a string of fixed length without the zero octets that pad it. */
export function unpadded(octets: Uint8Array, start: number, length: number): number {
  let n = length
  while (n > 0 && octets[start + n - 1] === 0) n--
  return n
}
