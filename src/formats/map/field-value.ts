import type {Value} from '../../record/value.js'
import type {MappedField, TimeForm} from './mapping.js'

/** Nanoseconds of one unit of a time. */
const unitNs: Readonly<Record<Exclude<TimeForm, 'iso'>, number>> = {
  epoch: 9,
  'epoch-ms': 6,
  'epoch-us': 3,
  'epoch-ns': 0,
}

/**
 * The value that the text of a field is for its element, or undefined if it is none. Whether it fits the element's range is
 * for who writes it to say.
 */
export function fieldValue(mapped: MappedField, text: string): Value | undefined {
  const {type} = mapped.element
  switch (type) {
    case 'ipv4Address':
      return /^-?\d+$/.test(text) ? wholeAddress(Number(text)) : text
    case 'string':
    case 'ipv6Address':
    case 'macAddress':
      return text
    case 'boolean':
      return /^(true|yes|1)$/i.test(text)
        ? true
        : /^(false|no|0|2)$/i.test(text)
          ? false
          : undefined
    case 'octetArray':
      return new TextEncoder().encode(text)
    case 'dateTimeSeconds':
    case 'dateTimeMilliseconds':
    case 'dateTimeMicroseconds':
    case 'dateTimeNanoseconds':
      return timeValue(type, mapped.time, text)
    case 'float32':
    case 'float64': {
      const value = text.trim() === '' ? NaN : Number(text)
      return Number.isFinite(value) ? value * mapped.factor : undefined
    }
    case 'basicList':
    case 'subTemplateList':
    case 'subTemplateMultiList':
      return undefined
    default:
      return wholeValue(mapped, text)
  }
}

/** An IPv4 address as its 32 bits make a number, with a sign or without; others are no address. */
function wholeAddress(value: number): string | undefined {
  if (value < -(2 ** 31) || value >= 2 ** 32) return undefined
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.')
}

function wholeValue({names, factor}: MappedField, text: string): number | bigint | undefined {
  const named = names.get(text.toLowerCase())
  if (named !== undefined) return named
  if (factor === 1 && /^[-+]?\d+$|^0x[\da-f]+$/i.test(text)) {
    const value = BigInt(text.replace(/^\+/, ''))
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) return undefined
  // Without a factor only whole numbers are what they say.
  const value = Number(text) * factor
  if (factor === 1 && !Number.isInteger(value)) return undefined
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined
}

function timeValue(type: string, form: TimeForm, text: string): Value | undefined {
  const ns = form === 'iso' ? isoNanoseconds(text) : epochNanoseconds(text, unitNs[form])
  if (ns === undefined || ns < 0n) return undefined
  switch (type) {
    case 'dateTimeSeconds':
      return Number(ns / 1_000_000_000n)
    case 'dateTimeMilliseconds':
      return Number(ns / 1_000_000n)
    case 'dateTimeMicroseconds':
      return ns / 1000n
    default:
      return ns
  }
}

/** A number with or without a fraction; `digits` of it are nanoseconds. */
function epochNanoseconds(text: string, digits: number): bigint | undefined {
  const [, whole, fraction = ''] = /^(\d{1,20})(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  return BigInt(whole + fraction.slice(0, digits).padEnd(digits, '0'))
}

/** RFC 3339, also with a space for the T; without a zone it is UTC. */
function isoNanoseconds(text: string): bigint | undefined {
  const match =
    /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*(Z|[-+]\d\d:?\d\d)?$/i.exec(
      text,
    )
  if (match === null) return undefined
  const [, day, clock, fraction = '', zone = 'Z'] = match
  const seconds = clock.length === 5 ? `${clock}:00` : clock
  const offset = zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone.toUpperCase()
  const ms = Date.parse(`${day}T${seconds}${offset}`)
  if (Number.isNaN(ms)) return undefined
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}
