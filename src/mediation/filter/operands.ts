import {ipv4Octets, ipv6Octets, macOctets} from '../../record/address.js'
import {createRangeSetBuilder, type BigRange, type RangeSetBuilder} from './range-set.js'

/** The greatest unsigned64. */
export const MOST = 0xffffffffffffffffn

/** What a filter needs of the world outside. */
export interface FilterContext {
  /** Octets of a file that the filter names. @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION */
  readonly readFile: (name: string) => Uint8Array
  /**
   * Milliseconds since 1970 of a time or range of times; a time stands for the period that it names. `to` is not part of it.
   * @throws DartaError DARTA_USAGE
   */
  readonly timeRange: (text: string) => {
    readonly from: number | undefined
    readonly to: number | undefined
  }
  /** The names that a word was most likely meant to be. */
  readonly suggest: (word: string, names: Iterable<string>) => string[]
}

const factors: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 1000n,
  m: 1000n ** 2n,
  g: 1000n ** 3n,
  t: 1000n ** 4n,
  p: 1000n ** 5n,
  ki: 1n << 10n,
  mi: 1n << 20n,
  gi: 1n << 30n,
  ti: 1n << 40n,
  pi: 1n << 50n,
}

/** `80`, `0x1f`, `1.5k`, `4Mi` as a whole number; undefined: none, or a fraction is left. */
export function readWhole(text: string): bigint | undefined {
  if (/^-?\d+$/.test(text) || /^0x[0-9a-f]+$/i.test(text)) return BigInt(text)
  const match = /^(\d+)(?:\.(\d{1,15}))?([kmgtp]i?)?$/i.exec(text)
  if (match === null) return undefined
  const [, whole, fraction = '', unit = ''] = match
  const scaled = BigInt(whole + fraction) * factors[unit.toLowerCase()]
  const divisor = 10n ** BigInt(fraction.length)
  return scaled % divisor === 0n ? scaled / divisor : undefined
}

/** A number that may have a fraction, or a unit. */
export function readReal(text: string): number | undefined {
  if (/^-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return Number(text)
  const match = /^(-?\d+(?:\.\d+)?)([kmgtp]i?)$/i.exec(text)
  return match === null ? undefined : Number(match[1]) * Number(factors[match[2].toLowerCase()])
}

const durationNs: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n,
}

/** `5m`, `1h30m`, `1.5s` in nanoseconds; undefined: it is no duration with units. */
export function readDuration(text: string): bigint | undefined {
  if (!/^(?:\d+(?:\.\d{1,9})?(?:ns|us|ms|s|m|h|d|w))+$/.test(text)) return undefined
  let sum = 0n
  for (const [, whole, fraction = '', unit] of text.matchAll(
    /(\d+)(?:\.(\d+))?(ns|us|ms|s|m|h|d|w)/g,
  )) {
    sum += (BigInt(whole + fraction) * durationNs[unit]) / 10n ** BigInt(fraction.length)
  }
  return sum
}

/** Nanoseconds of the units that the registry has. */
export const unitNs: Readonly<Record<string, bigint>> = {
  seconds: durationNs.s,
  milliseconds: durationNs.ms,
  microseconds: durationNs.us,
  nanoseconds: 1n,
}

/** `80`, `8000-8100` or `8000..8100`; undefined: neither. */
export function readRange(
  text: string,
  read: (text: string) => bigint | undefined,
): BigRange | undefined {
  const one = read(text)
  if (one !== undefined) return [one, one]
  for (const separator of ['..', '-']) {
    for (let at = text.indexOf(separator, 1); at > 0; at = text.indexOf(separator, at + 1)) {
      const low = read(text.slice(0, at))
      const high = read(text.slice(at + separator.length))
      if (low !== undefined && high !== undefined) return [low, high]
    }
  }
  return undefined
}

/** Takes addresses of both versions as ranges. */
export interface AddressTaker {
  readonly v4: Pick<RangeSetBuilder, 'add'>
  readonly v6: Pick<RangeSetBuilder, 'add'>
}

/** Addresses of both versions. */
export interface AddressSet extends AddressTaker {
  readonly v4: RangeSetBuilder
  readonly v6: RangeSetBuilder
}

export function createAddressSet(): AddressSet {
  return {v4: createRangeSetBuilder(1), v6: createRangeSetBuilder(4)}
}

const low = new Uint32Array(4)
const high = new Uint32Array(4)

/**
 * Adds an address, a prefix (`10.0.0.0/8`, `172.16/12`, `2001:db8::/32`) or a range of addresses; false: it is none. Bits
 * behind a prefix's length do not count.
 */
export function addAddress(set: AddressTaker, text: string): boolean {
  if (addPlainIpv4(set.v4, text)) return true
  const slash = text.indexOf('/')
  const bits = slash < 0 ? undefined : text.slice(slash + 1)
  const address = slash < 0 ? text : text.slice(0, slash)
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return false
  if (address.includes(':')) {
    const length = bits === undefined ? 128 : Number(bits)
    if (length > 128 || !readIpv6(address, low)) return addRange(set, text)
    cut(low, high, 4, length)
    set.v6.add(low, high)
    return true
  }
  const short = bits !== undefined && /^\d{1,3}(?:\.\d{1,3}){0,2}$/.test(address)
  const whole = short ? `${address}${'.0'.repeat(3 - address.split('.').length + 1)}` : address
  const length = bits === undefined ? 32 : Number(bits)
  if (length > 32 || !readIpv4(whole, low)) return addRange(set, text)
  cut(low, high, 1, length)
  set.v4.add(low, high)
  return true
}

/** `10.0.0.5-10.0.0.9` */
function addRange(set: AddressTaker, text: string): boolean {
  const [from, to, more] = text.split('-')
  if (to === undefined || more !== undefined) return false
  if (from.includes(':')) {
    if (!readIpv6(from, low) || !readIpv6(to, high)) return false
    set.v6.add(low, high)
    return true
  }
  if (!readIpv4(from, low) || !readIpv4(to, high)) return false
  set.v4.add(low, high)
  return true
}

/** Adds `address` with `mask` (255.255.0.0); false: they are no IPv4 address and no mask. */
export function addMasked(set: AddressSet, address: string, mask: string): boolean {
  if (!readIpv4(mask, high) || !readIpv4(address, low)) return false
  const length = Math.clz32(~high[0])
  if (length < 32 && high[0] << length !== 0) return false
  cut(low, high, 1, length)
  set.v4.add(low, high)
  return true
}

function readIpv4(text: string, into: Uint32Array): boolean {
  try {
    const [a, b, c, d] = ipv4Octets(text)
    into[0] = (a << 24) | (b << 16) | (c << 8) | d
    return true
  } catch {
    return false
  }
}

function readIpv6(text: string, into: Uint32Array): boolean {
  try {
    const octets = ipv6Octets(text)
    const view = new DataView(octets.buffer)
    for (let w = 0; w < 4; w++) into[w] = view.getUint32(4 * w)
    return true
  } catch {
    return false
  }
}

/** Makes `from` and `to` the least and greatest number of the prefix of `length` bits. */
function cut(from: Uint32Array, to: Uint32Array, words: number, length: number): void {
  for (let w = 0; w < words; w++) {
    const bits = Math.min(32, Math.max(0, length - 32 * w))
    const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
    from[w] = (from[w] & mask) >>> 0
    to[w] = (from[w] | ~mask) >>> 0
  }
}

const ONE = new Uint32Array(1)
const TWO = new Uint32Array(1)

/** The common case without any substring: files have a million of them. */
function addPlainIpv4(v4: AddressTaker['v4'], text: string): boolean {
  let value = 0
  let octet = -1
  let dots = 0
  let at = 0
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c >= 48 && c <= 57) {
      if (octet === 0) return false
      octet = octet < 0 ? c - 48 : 10 * octet + c - 48
      if (octet > 255) return false
    } else if (c === 46 && octet >= 0 && dots < 3) {
      value = value * 256 + octet
      octet = -1
      dots++
    } else break
  }
  if (dots !== 3 || octet < 0) return false
  value = value * 256 + octet
  let length = 32
  if (at < text.length) {
    if (text.charCodeAt(at) !== 47 || !/^\d{1,2}$/.test(text.slice(at + 1))) return false
    length = Number(text.slice(at + 1))
    if (length > 32) return false
  }
  ONE[0] = value
  cut(ONE, TWO, 1, length)
  v4.add(ONE, TWO)
  return true
}

/** A MAC address as a number; undefined: it is none. */
export function readMac(text: string): bigint | undefined {
  try {
    return macOctets(text).reduce((value, octet) => (value << 8n) | BigInt(octet), 0n)
  } catch {
    return undefined
  }
}

/** `0x0a0b` or `0a0b…`, pairs of hex digits, as octets. */
export function readOctets(text: string): Uint8Array | undefined {
  const digits = /^0x/i.test(text) ? text.slice(2) : text
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) return undefined
  return Uint8Array.from(digits.match(/../g)!, (pair) => parseInt(pair, 16))
}

/** The entries of a file: one a line, or several with blanks or commas between; a `#` begins a comment. */
export function* entriesOf(octets: Uint8Array): Iterable<string> {
  const text = new TextDecoder().decode(octets)
  let at = 0
  while (at < text.length) {
    const c = text.charCodeAt(at)
    if (c === 35) {
      const newline = text.indexOf('\n', at)
      at = newline < 0 ? text.length : newline
    } else if (c <= 32 || c === 44) at++
    else {
      const start = at
      while (at < text.length && text.charCodeAt(at) > 32 && text.charCodeAt(at) !== 44) at++
      yield text.slice(start, at)
    }
  }
}
