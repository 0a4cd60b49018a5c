import {DartaError} from '../../record/errors.js'
import {createPrefixTable, type PrefixTable} from './prefix-table.js'

/** What a rating file says. It is JSON; darta-analyze(1) describes it. */
export interface Rating {
  readonly accounts: PrefixTable<string>
  /** The same as it was written: prefixes and whose they are. */
  readonly prefixes: readonly (readonly [prefix: string, account: string])[]
  /** By the user's name in the record. */
  readonly users: ReadonlyMap<string, string>
  readonly classes: readonly TrafficClass[]
  readonly tariffs: readonly Tariff[]
  readonly prices: readonly Price[]
}

export interface TrafficClass {
  readonly name: string
  readonly protocol: number | undefined
  /** Either port. */
  readonly ports: ReadonlySet<number> | undefined
  readonly dscp: number | undefined
}

export interface Tariff {
  readonly name: string
  /** Minutes of the day, UTC; `to` is not part of it, and before `from` it is the next day's. */
  readonly from: number
  readonly to: number
  /** 0 is Sunday; undefined: every day. */
  readonly days: ReadonlySet<number> | undefined
}

export interface Price {
  readonly account: string | undefined
  readonly trafficClass: string | undefined
  readonly tariff: string | undefined
  /** Least first; each holds for the octets above it: millionths of the unit of currency for 10^9 octets. */
  readonly tiers: readonly {readonly above: bigint; readonly microPerGiga: bigint}[]
}

/** Whatever no tariff or class of the file names. */
export const USUAL = 'standard'
/** Traffic of nobody in the file. */
export const NOBODY = 'unassigned'

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const SCALES: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 1000n,
  M: 10n ** 6n,
  G: 10n ** 9n,
  T: 10n ** 12n,
}

type Json = Record<string, unknown>

/** @throws DartaError DARTA_USAGE with the place in the file */
export function parseRating(text: string): Rating {
  let json: unknown
  try {
    json = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw wrong(`is no JSON: ${(error as Error).message}`)
  }
  const file = objectOf(json, 'the file')
  refuseOthers(file, ['accounts', 'classes', 'tariffs', 'prices'], 'the file')
  const prefixes: [string, string][] = []
  const users = new Map<string, string>()
  for (const [account, of] of Object.entries(objectOf(file.accounts ?? {}, 'accounts'))) {
    for (const entry of listOf(of, `accounts.${account}`)) {
      const word = textOf(entry, `accounts.${account}`)
      if (word.startsWith('user:')) users.set(word.slice(5), account)
      else prefixes.push([word, account])
    }
  }
  return {
    accounts: createPrefixTable(prefixes),
    prefixes,
    users,
    classes: listOf(file.classes ?? [], 'classes').map((entry, i) =>
      classOf(entry, `classes[${i}]`),
    ),
    tariffs: listOf(file.tariffs ?? [], 'tariffs').map((entry, i) =>
      tariffOf(entry, `tariffs[${i}]`),
    ),
    prices: listOf(file.prices ?? [], 'prices').map((entry, i) => priceOf(entry, `prices[${i}]`)),
  }
}

function classOf(entry: unknown, at: string): TrafficClass {
  const of = objectOf(entry, at)
  refuseOthers(of, ['name', 'protocol', 'ports', 'dscp'], at)
  const ports = of.ports === undefined ? undefined : listOf(of.ports, `${at}.ports`)
  return {
    name: textOf(of.name, `${at}.name`),
    protocol: of.protocol === undefined ? undefined : numberOf(of.protocol, 255, `${at}.protocol`),
    ports: ports && new Set(ports.map((port) => numberOf(port, 65535, `${at}.ports`))),
    dscp: of.dscp === undefined ? undefined : numberOf(of.dscp, 63, `${at}.dscp`),
  }
}

function tariffOf(entry: unknown, at: string): Tariff {
  const of = objectOf(entry, at)
  refuseOthers(of, ['name', 'from', 'to', 'days'], at)
  const days = of.days === undefined ? undefined : listOf(of.days, `${at}.days`)
  return {
    name: textOf(of.name, `${at}.name`),
    from: minutesOf(of.from ?? '00:00', `${at}.from`),
    to: minutesOf(of.to ?? '24:00', `${at}.to`),
    days:
      days &&
      new Set(
        days.map((day) => {
          const number = DAYS.indexOf(textOf(day, `${at}.days`))
          if (number < 0) throw wrong(`${at}.days: one of ${DAYS.join(', ')}`)
          return number
        }),
      ),
  }
}

function priceOf(entry: unknown, at: string): Price {
  const of = objectOf(entry, at)
  refuseOthers(of, ['account', 'class', 'tariff', 'perGigaoctet', 'tiers'], at)
  const name = (key: string): string | undefined =>
    of[key] === undefined ? undefined : textOf(of[key], `${at}.${key}`)
  const tiers = listOf(of.tiers ?? [], `${at}.tiers`).map((tier, i) => {
    const own = objectOf(tier, `${at}.tiers[${i}]`)
    return {
      above: octetsOf(own.above, `${at}.tiers[${i}].above`),
      microPerGiga: microOf(own.perGigaoctet, `${at}.tiers[${i}].perGigaoctet`),
    }
  })
  const first = {above: 0n, microPerGiga: microOf(of.perGigaoctet ?? 0, `${at}.perGigaoctet`)}
  const all = [first, ...tiers].sort((a, b) => (a.above < b.above ? -1 : 1))
  return {account: name('account'), trafficClass: name('class'), tariff: name('tariff'), tiers: all}
}

/** The first price that fits; millionths, rounded down once. */
export function amountOf(
  prices: readonly Price[],
  account: string,
  trafficClass: string,
  tariff: string,
  octets: bigint,
): bigint {
  const fits = (wanted: string | undefined, is: string): boolean =>
    wanted === undefined || wanted === is
  const price = prices.find(
    (p) => fits(p.account, account) && fits(p.trafficClass, trafficClass) && fits(p.tariff, tariff),
  )
  if (price === undefined) return 0n
  let sum = 0n
  for (const [i, {above, microPerGiga}] of price.tiers.entries()) {
    const next = price.tiers.at(i + 1)?.above ?? octets
    const upTo = next < octets ? next : octets
    if (upTo > above) sum += (upTo - above) * microPerGiga
  }
  return sum / 1_000_000_000n
}

/** Name of the tariff at a moment, milliseconds since 1970. */
export function tariffAt(tariffs: readonly Tariff[], ms: number): string {
  const minute = Math.floor(ms / 60_000) % 1440
  // 1970 began on a Thursday.
  const day = (Math.floor(ms / 86_400_000) + 4) % 7
  for (const {name, from, to, days} of tariffs) {
    const over = from > to
    const within = over ? minute >= from || minute < to : minute >= from && minute < to
    const began = over && minute < to ? (day + 6) % 7 : day
    if (within && (days === undefined || days.has(began))) return name
  }
  return USUAL
}

function wrong(what: string): DartaError {
  return new DartaError('DARTA_USAGE', `the rating ${what}`)
}

function objectOf(value: unknown, at: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw wrong(`has no object at ${at}`)
}

function listOf(value: unknown, at: string): unknown[] {
  if (Array.isArray(value)) return value
  throw wrong(`has no list at ${at}`)
}

function textOf(value: unknown, at: string): string {
  if (typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value)) return value
  throw wrong(`has no name at ${at}`)
}

function numberOf(value: unknown, most: number, at: string): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most) {
    return value as number
  }
  throw wrong(`has no number from 0 to ${most} at ${at}`)
}

function minutesOf(value: unknown, at: string): number {
  const [, hours, minutes] = /^(\d\d):(\d\d)$/.exec(typeof value === 'string' ? value : '') ?? []
  const all = Number(hours) * 60 + Number(minutes)
  if (all <= 1440 && Number(minutes) < 60) return all
  throw wrong(`has no time like 08:30 at ${at}`)
}

/** `10G`; decimal. */
function octetsOf(value: unknown, at: string): bigint {
  const [, digits, scale] = /^(\d+)([kMGT]?)$/.exec(String(value)) ?? []
  if (digits !== undefined) return BigInt(digits) * SCALES[scale]
  throw wrong(`has no octets like 10G at ${at}`)
}

/** `0.05`: a decimal number, of which six places count. */
function microOf(value: unknown, at: string): bigint {
  const [, whole, part = ''] = /^(\d+)(?:\.(\d{1,6}))?$/.exec(String(value)) ?? []
  if (whole !== undefined) return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, '0'))
  throw wrong(`has no price with at most six decimals at ${at}`)
}

function refuseOthers(of: Json, known: readonly string[], at: string): void {
  const other = Object.keys(of).find((key) => !known.includes(key))
  if (other !== undefined) throw wrong(`does not know '${other}' at ${at}: ${known.join(', ')}`)
}
