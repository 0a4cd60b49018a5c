import {DartaError} from '../record/errors.js'

/** What parsers of values throw: the flag adds its name. */
function wrong(expected: string, input: string): DartaError {
  return new DartaError('DARTA_USAGE', `expected ${expected}, not '${input}'`)
}

const durationUnits: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** `5m`, `1h30m`, `250ms`, `1.5s`; a plain number is seconds. Returns milliseconds, not negative. */
export function parseDuration(input: string): number {
  const expected = 'a duration like 30, 5m, 1h30m or 250ms'
  if (/^\d+(\.\d+)?$/.test(input)) return Number(input) * 1000
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(input)) throw wrong(expected, input)
  let sum = 0
  for (const [, number, unit] of input.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)) {
    sum += Number(number) * durationUnits[unit]
  }
  return sum
}

const decimal: Record<string, number> = {'': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, p: 1e15}
const binary: Record<string, number> = {
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
}

function scaled(input: string, expected: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgtp]?)(i?)$/i.exec(input)
  if (match === null) throw wrong(expected, input)
  const [, number, unit, i] = match
  const factor = i === '' ? decimal[unit.toLowerCase()] : binary[unit.toLowerCase()]
  const value = Number(number) * (factor ?? NaN)
  if (!Number.isSafeInteger(value)) throw wrong(expected, input)
  return value
}

/** Octets: `64M` is 64 000 000, `64Mi` is 67 108 864; a trailing `B` is allowed. */
export function parseSize(input: string): number {
  return scaled(input.replace(/B$/i, ''), 'a size like 1500, 64M or 64Mi')
}

/** A whole number, not negative: `1000`, `10k`, `1M`. */
export function parseCount(input: string): number {
  return scaled(input, 'a count like 100 or 10k')
}

/** A count that is at least 1. */
export function parsePositive(input: string): number {
  const value = parseCount(input)
  if (value < 1) throw wrong('a count of at least 1', input)
  return value
}

/** From `from` (inclusive) to `to` (exclusive), milliseconds since 1970; either may be open. */
export interface TimeRange {
  readonly from: number | undefined
  readonly to: number | undefined
}

const timeExpected =
  'a time like 2026-08-01T10:00:00Z, 2026/08/01.10:00:00, 1785578400, now or -10m'

/** The period that a time names: a day for `2026/08/01`, one millisecond for a time with `.fff`. */
interface Period {
  readonly start: number
  readonly end: number
}

/** One time, milliseconds since 1970. Without a zone it is UTC; of a period, where it begins. */
export function parseTime(input: string, now = Date.now()): number {
  const period = readTime(input, now)
  if (period === undefined) throw wrong(timeExpected, input)
  return period.start
}

/**
 * `A..B`, `A-B`, `A+2h`, `-1d+2h`, `-10m` (until now), `2026/08/*`, or one time, which stands for
 * the period it names. The end of a range is the end of the period that B names.
 */
export function parseTimeRange(input: string, now = Date.now()): TimeRange {
  const dots = input.indexOf('..')
  if (dots !== -1) {
    return ordered(input, bound(input.slice(0, dots), now), bound(input.slice(dots + 2), now))
  }
  const single = readTime(input, now)
  if (single !== undefined) {
    if (input.startsWith('-')) return {from: single.start, to: now}
    return {from: single.start, to: single.end}
  }
  const plus = /^(.+)\+([\d.a-z]+)$/.exec(input)
  const begin = plus === null ? undefined : readTime(plus[1], now)
  if (plus !== null && begin !== undefined) {
    return {from: begin.start, to: begin.start + parseDuration(plus[2])}
  }
  for (let at = input.indexOf('-', 1); at !== -1; at = input.indexOf('-', at + 1)) {
    const a = readTime(input.slice(0, at), now)
    const b = readTime(input.slice(at + 1), now)
    if (a !== undefined && b !== undefined) return ordered(input, a, b)
  }
  throw wrong(`${timeExpected}, or a range A..B, A-B, A+2h`, input)
}

function bound(input: string, now: number): Period | undefined {
  if (input === '') return undefined
  const period = readTime(input, now)
  if (period === undefined) throw wrong(timeExpected, input)
  return period
}

function ordered(input: string, a: Period | undefined, b: Period | undefined): TimeRange {
  if (a !== undefined && b !== undefined && b.end <= a.start) {
    throw wrong('a range that ends after it begins', input)
  }
  return {from: a?.start, to: b?.end}
}

function readTime(input: string, now: number): Period | undefined {
  if (input === 'now') return {start: now, end: now}
  if (/^-[\d.]+[a-z][\d.a-z]*$/.test(input)) {
    const start = now - parseDuration(input.slice(1))
    return {start, end: start}
  }
  if (/^\d{5,11}(\.\d+)?$/.test(input)) {
    const start = Math.floor(Number(input) * 1000)
    return {start, end: start + (input.includes('.') ? 1 : 1000)}
  }
  return readCalendar(input)
}

const calendar = new RegExp(
  '^(\\d{4})(?:([/-])(\\d\\d)(?:\\2(\\d\\d)(?:[.Tt ](\\d\\d)(?::(\\d\\d)(?::(\\d\\d)(?:\\.(\\d{1,9}))?)?)?)?)?)?' +
    '(Z|z|[+-]\\d\\d:\\d\\d)?$',
)

function readCalendar(input: string): Period | undefined {
  const match = calendar.exec(input.replace(/([/.:-]\*)+$/, ''))
  if (match === null) return undefined
  const [, year, , month, day, hour, minute, second, fraction, zone] = match
  if (zone !== undefined && hour === undefined) return undefined
  const parts = [month, day, hour, minute, second]
  const given = parts.filter((part) => part !== undefined).length
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000)
  const y = Number(year)
  const [mo, d, h, mi, s] = parts.map((part, i) => (part === undefined ? (i < 2 ? 1 : 0) : +part))
  const start = Date.UTC(y, mo - 1, d, h, mi, s, ms)
  const back = new Date(start)
  // Date.UTC carries 2026/02/30 over into March.
  if (back.getUTCMonth() !== mo - 1 || back.getUTCDate() !== d) return undefined
  if (h > 23 || mi > 59 || s > 59) return undefined
  let end = start + 1
  if (fraction === undefined) {
    const next = [y, mo - 1, d, h, mi, s]
    next[given]++
    end = Date.UTC(next[0], next[1], next[2], next[3], next[4], next[5])
  }
  const shift = zone === undefined || /z/i.test(zone) ? 0 : zoneMs(zone)
  return {start: start - shift, end: end - shift}
}

function zoneMs(zone: string): number {
  const sign = zone.startsWith('-') ? -1 : 1
  return sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))) * 60_000
}

/** How times are written: `--time`. */
export interface TimeStyle {
  readonly style: 'rfc3339' | 'epoch' | 'epoch-ms' | 'local' | 'relative' | 'strftime'
  /** Of `strftime:…` */
  readonly pattern?: string
}

export function parseTimeStyle(input: string): TimeStyle {
  if (input.startsWith('strftime:')) return {style: 'strftime', pattern: input.slice(9)}
  const styles = ['rfc3339', 'epoch', 'epoch-ms', 'local', 'relative'] as const
  const style = styles.find((name) => name === input)
  if (style === undefined) throw wrong(`one of ${styles.join(', ')}, strftime:PATTERN`, input)
  return {style}
}

/** `ACTIVE,IDLE` of `-T`, in milliseconds. */
export interface Timeouts {
  readonly activeMs: number
  readonly idleMs: number
}

export function parseTimeouts(input: string): Timeouts {
  const [active, idle, more] = input.split(',')
  if (idle === undefined || more !== undefined) throw wrong('ACTIVE,IDLE like 300,60', input)
  return {activeMs: parseDuration(active), idleMs: parseDuration(idle)}
}

/** What `-z` asks for. */
export interface Compression {
  readonly codec: 'gzip' | 'bzip2' | 'zstd' | 'lz4' | 'none'
  readonly level?: number
}

const levels = {gzip: [1, 9], bzip2: [1, 9], zstd: [1, 19], lz4: [1, 12]} as const

export function parseCompression(input: string): Compression {
  const expected = 'gzip, bzip2, zstd, lz4 or none, with :LEVEL if you like'
  const match = /^(gzip|bzip2|zstd|lz4|none)(?::(\d{1,2}))?$/.exec(input)
  if (match === null) throw wrong(expected, input)
  const codec = match[1] as Compression['codec']
  if (match[2] === undefined) return {codec}
  if (codec === 'none') throw wrong(expected, input)
  const level = Number(match[2])
  const [least, greatest] = levels[codec]
  if (level < least || level > greatest)
    throw wrong(`a level of ${codec}, ${least} to ${greatest}`, input)
  return {codec, level}
}

/**
 * Leading bits of addresses, `24` or `24,64`.
 *
 * @param flag for people
 * @param v6 bits of IPv6 where only those of IPv4 are given
 * @throws DartaError DARTA_USAGE
 */
export function parsePrefixLengths(
  flag: string,
  text: string,
  v6: number,
): [v4: number, v6: number] {
  const match = /^(\d{1,2})(?:,(\d{1,3}))?$/.exec(text)
  const bits: [number, number] = [Number(match?.[1] ?? 99), Number(match?.[2] ?? v6)]
  if (bits[0] <= 32 && bits[1] <= 128) return bits
  throw new DartaError(
    'DARTA_USAGE',
    `${flag}: expected bits of IPv4 and IPv6 like 24,${v6}, not '${text}'`,
  )
}
