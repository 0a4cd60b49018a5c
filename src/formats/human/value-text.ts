import type {InformationElement} from '../../record/element.js'
import {hexText, type ListValue, type Value} from '../../record/value.js'
import {protocolName} from '../../registry/protocols.js'
import {flagsText, scaled, timeText, visible, type Presentation} from './presentation.js'

/** First time seen, for `--time relative`: in nanoseconds since 1970. */
export interface Origin {
  ns: bigint | undefined
  /** Records that `%cnt` has counted. */
  records?: number
}

const digitsOf = {
  dateTimeSeconds: 0,
  dateTimeMilliseconds: 3,
  dateTimeMicroseconds: 6,
  dateTimeNanoseconds: 9,
} as const

/** A value as people read it. Absent values are `-`. */
export function valueText(
  element: InformationElement,
  value: Value | undefined,
  presentation: Presentation,
  origin: Origin,
): string {
  if (value === undefined) return '-'
  if (value instanceof Uint8Array) return `0x${hexText(value)}`
  // Zero octets that pad a string of fixed length are no part of it.
  if (typeof value === 'string') return visible(value.replace(/\0+$/, ''))
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (typeof value === 'object') return listText(value, presentation, origin)
  if (element.type in digitsOf) {
    const digits = digitsOf[element.type as keyof typeof digitsOf]
    const units = BigInt(value)
    const scale = 10n ** BigInt(9 - digits)
    origin.ns ??= units * scale
    return timeText(units, digits, presentation.time, origin.ns / scale)
  }
  switch (element.name) {
    case 'protocolIdentifier':
      return (presentation.names ? protocolName(Number(value)) : undefined) ?? String(value)
    case 'tcpControlBits':
    case 'reverseTcpControlBits':
      return flagsText(Number(value))
    default:
  }
  const counts =
    element.units !== '' &&
    (element.semantics === 'deltaCounter' || element.semantics === 'totalCounter')
  if (counts) return scaled(value, presentation.units)
  if (typeof value === 'number' && !Number.isInteger(value))
    return Number(value.toPrecision(6)).toString()
  return String(value)
}

function listText(list: ListValue, presentation: Presentation, origin: Origin): string {
  if (list.kind === 'basicList') {
    return `[${list.items.map((item) => valueText(list.element, item, presentation, origin)).join(', ')}]`
  }
  const groups = list.kind === 'subTemplateList' ? [list] : list.groups
  const records = groups.flatMap((group) =>
    group.records.map(
      (record) =>
        `{${record.map(([element, value]) => `${element.name}=${valueText(element, value, presentation, origin)}`).join(', ')}}`,
    ),
  )
  return `[${records.join(', ')}]`
}
