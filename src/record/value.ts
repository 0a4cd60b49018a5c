import type {InformationElement} from './element.js'

/**
 * One value at the human edge.
 *
 * | abstract type | value |
 * | --- | --- |
 * | unsigned, signed | number up to 2^53 − 1, bigint beyond |
 * | float | number |
 * | boolean | boolean |
 * | ipv4Address, ipv6Address | text, RFC 5952 |
 * | macAddress | text, lower case with colons |
 * | string | text; ill-formed UTF-8 becomes octets |
 * | octetArray, and any value whose octets do not fit its type | Uint8Array |
 * | dateTimeSeconds | seconds since 1970 as number |
 * | dateTimeMilliseconds | milliseconds since 1970 as number, bigint beyond 2^53 |
 * | dateTimeMicroseconds, dateTimeNanoseconds | microseconds, nanoseconds since 1970 as bigint |
 * | basicList, subTemplateList, subTemplateMultiList | `ListValue` |
 */
export type Value = number | bigint | boolean | string | Uint8Array | ListValue

/** Structured data, RFC 6313 section 4.5. */
export type ListValue = BasicListValue | SubTemplateListValue | SubTemplateMultiListValue

export interface BasicListValue {
  readonly kind: 'basicList'
  /** RFC 6313 section 4.4: 255 undefined, 0 noneOf, 1 exactlyOneOf, 2 oneOrMoreOf, 3 allOf, 4 ordered; others are kept. */
  readonly semantic: number
  readonly element: InformationElement
  /** Field length as encoded, kept even for an empty list. */
  readonly length: number
  readonly items: readonly Value[]
}

export interface SubTemplateListValue {
  readonly kind: 'subTemplateList'
  readonly semantic: number
  readonly templateId: number
  readonly records: readonly RecordValue[]
}

export interface SubTemplateMultiListValue {
  readonly kind: 'subTemplateMultiList'
  readonly semantic: number
  readonly groups: readonly {
    readonly templateId: number
    readonly records: readonly RecordValue[]
  }[]
}

/** The fields of one record in the order of its Template; an element may come more than once. */
export type RecordValue = readonly (readonly [InformationElement, Value])[]

/** Seconds from the NTP era 0 (1900) to 1970. */
const NTP_OFFSET = 2208988800n
const ERA = 2n ** 32n

/**
 * Units since 1970 of an NTP timestamp, cut off to `perSecond` (1 000 000 or 1 000 000 000).
 * Seconds below 1970's belong to era 1, which begins 2036-02-07. RFC 7011 section 6.1.9.
 */
export function fromNtp(
  seconds: number,
  fraction: number,
  perSecond: 1000000n | 1000000000n,
): bigint {
  let s = BigInt(seconds) - NTP_OFFSET
  if (s < 0n) s += ERA
  return s * perSecond + ((BigInt(fraction) * perSecond) >> 32n)
}

/**
 * The NTP timestamp that `fromNtp` turns back into `units`: the least fraction that does, so that no
 * time drifts over any number of round trips. Microseconds keep the low 11 bits zero (RFC 7011 section 6.1.9).
 */
export function toNtp(
  units: bigint,
  perSecond: 1000000n | 1000000000n,
): [seconds: number, fraction: number] {
  const s = units / perSecond
  const rest = units % perSecond
  let fraction = ((rest << 32n) + perSecond - 1n) / perSecond
  if (perSecond === 1000000n) fraction = (fraction + 2047n) & ~2047n
  return [Number((s + NTP_OFFSET) % ERA), Number(fraction)]
}

/** Text of an IPv4 address at `at`. */
export function ipv4Text(octets: Uint8Array, at: number): string {
  return `${octets[at]}.${octets[at + 1]}.${octets[at + 2]}.${octets[at + 3]}`
}

/** Canonical text of an IPv6 address at `at`, RFC 5952; IPv4-mapped ones end in dotted form. */
export function ipv6Text(octets: Uint8Array, at: number): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((octets[at + i] << 8) | octets[at + i + 1])
  if (groups[5] === 0xffff && groups.slice(0, 5).every((g) => g === 0)) {
    return `::ffff:${ipv4Text(octets, at + 12)}`
  }
  let best = -1
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && groups[i + n] === 0) n++
    if (n > bestLength) {
      best = i
      bestLength = n
    }
    if (n > 0) i += n
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':')
  if (best < 0) return hex(groups)
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`
}

/** Text of an address of 4 octets, IPv4, or 16, IPv6. */
export function addressText(address: Uint8Array): string {
  return address.length === 4 ? ipv4Text(address, 0) : ipv6Text(address, 0)
}

/** `02:00:5e:10:00:01` */
export function macText(octets: Uint8Array, at: number): string {
  let text = ''
  for (let i = 0; i < 6; i++) {
    text += (i > 0 ? ':' : '') + octets[at + i].toString(16).padStart(2, '0')
  }
  return text
}

/** Lower-case hex digits, no prefix. */
export function hexText(octets: Uint8Array): string {
  let text = ''
  for (const octet of octets) text += octet.toString(16).padStart(2, '0')
  return text
}
