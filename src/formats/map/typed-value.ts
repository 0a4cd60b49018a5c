import type {AbstractType, InformationElement} from '../../record/element.js'
import type {Value} from '../../record/value.js'
import {fieldValue} from './field-value.js'
import type {MappedField} from './mapping.js'

/** Nanoseconds of one unit of each type of time. */
const units: Partial<Record<AbstractType, bigint>> = {
  dateTimeSeconds: 1_000_000_000n,
  dateTimeMilliseconds: 1_000_000n,
  dateTimeMicroseconds: 1000n,
  dateTimeNanoseconds: 1n,
}

const isWhole = (type: AbstractType): boolean => /^(un)?signed/.test(type)
const isFloat = (type: AbstractType): boolean => type === 'float32' || type === 'float64'
/** What octets of the right length are. */
const lengths: Partial<Record<AbstractType, number>> = {
  ipv4Address: 4,
  ipv6Address: 16,
  macAddress: 6,
}

/** Whether values of type `from` mean something for an element of type `to`; text does, if it is what it should be. */
export function canHold(to: AbstractType, from: AbstractType): boolean {
  if (to === from || from === 'string') return true
  if (to in units) return from in units
  if (isFloat(to)) return isFloat(from) || isWhole(from)
  if (isWhole(to)) return isWhole(from)
  return from === 'octetArray' && to in lengths
}

/** Whether a value of type `from` can be written as one of this element without a look; what `typedValue` gave. */
export function surelyFits({type}: InformationElement, value: Value, from: AbstractType): boolean {
  if (type !== from) return false
  // Three octets a character at most, and 65535 in all.
  if (typeof value === 'string') return value.length <= 21_845
  // A time in NTP's form has an end.
  return type !== 'dateTimeMicroseconds' && type !== 'dateTimeNanoseconds'
}

/** The value that one of type `from` is for an element that can hold it; undefined: it is none. */
export function typedValue(
  mapped: MappedField,
  value: Value,
  from: AbstractType,
): Value | undefined {
  const {element, factor} = mapped
  const to = element.type
  if (from === 'string' && typeof value === 'string') return fieldValue(mapped, value)
  if (value instanceof Uint8Array) {
    return value.length === (lengths[to] ?? value.length) ? value : undefined
  }
  const unit = units[to]
  if (unit !== undefined && to !== from) {
    const time = (BigInt(value as number | bigint) * units[from]!) / unit
    return to === 'dateTimeSeconds' || to === 'dateTimeMilliseconds' ? Number(time) : time
  }
  if (factor !== 1) {
    const scaled = Number(value) * factor
    return isFloat(to) ? scaled : Math.round(scaled)
  }
  return typeof value === 'bigint' && isFloat(to) ? Number(value) : value
}
