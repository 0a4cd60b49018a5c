import {DartaError} from '../../record/errors.js'
import type {GroupColumn} from '../../record/group-spec.js'
import {isUnsigned} from '../../record/group-view.js'
import type {InformationElement} from '../../record/element.js'
import {ie} from '../../registry/elements.js'
import {flowKey, type FlowKey} from '../../registry/flow-keys.js'
import {
  endColumn,
  flowsColumn,
  octetsColumn,
  packetsColumn,
  startColumn,
} from '../../registry/flow-columns.js'
import {elementByName, reverseOf} from '../../registry/lookup.js'
import {describedElement} from './derived.js'
import {DISTINCT_ERROR, QUANTILE_ERROR} from './sketch.js'

/** What is asked of each group besides octets, packets, Flows and times. */
export type Measure = ColumnMeasure | MeanMeasure | DistinctMeasure | QuantileMeasure

interface ColumnMeasure {
  readonly kind: 'sum' | 'min' | 'max'
  readonly column: GroupColumn
  readonly result: InformationElement
}

interface MeanMeasure {
  readonly kind: 'mean'
  readonly sum: GroupColumn
  readonly count: GroupColumn
  readonly result: InformationElement
}

interface DistinctMeasure {
  readonly kind: 'distinct' | 'approximate'
  readonly key: FlowKey
  readonly result: InformationElement
}

interface QuantileMeasure {
  readonly kind: 'quantile'
  readonly element: GroupColumn
  /** 0..1 */
  readonly quantile: number
  readonly result: InformationElement
}

/** Words for counters that are not one element. */
const columns: Readonly<Record<string, GroupColumn>> = {
  octets: octetsColumn,
  bytes: octetsColumn,
  packets: packetsColumn,
  flows: flowsColumn,
  start: startColumn,
  end: endColumn,
}

function columnOf(name: string, kind: GroupColumn['kind'], flag: string): GroupColumn {
  const timed = name === 'start' || name === 'end'
  if (Object.hasOwn(columns, name) && !(timed && (kind === 'sum' || kind === 'count'))) {
    return {...columns[name], kind}
  }
  const element = elementByName(name)
  if (element === undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      `${flag}: nothing is named '${name}'; an element's name, octets, packets or flows`,
    )
  }
  const isTime = element.type.startsWith('dateTime')
  const summed = kind === 'sum' || kind === 'count'
  if (!isUnsigned(element) && !(isTime && !summed)) {
    const what = summed ? 'unsigned numbers' : 'unsigned numbers and times'
    throw new DartaError('DARTA_USAGE', `${flag}: ${name} is ${element.type}; only ${what} do`)
  }
  return {kind, elements: [element], reverse: [reverseOf(element)]}
}

function capital(name: string): string {
  return name[0].toUpperCase() + name.slice(1)
}

/** `--sum`, `--min`, `--max`. @throws DartaError DARTA_USAGE */
export function columnMeasure(kind: 'sum' | 'min' | 'max', name: string): Measure {
  const column = columnOf(name, kind, `--${kind}`)
  const [element] = column.elements
  const word = {sum: 'sum', min: 'minimum', max: 'maximum'}[kind]
  const isTime = element.type.startsWith('dateTime')
  const result = describedElement(
    `${word}Of${capital(name)}`,
    isTime ? 'dateTimeMilliseconds' : 'unsigned64',
    isTime ? 'milliseconds' : element.units,
    `${capital(word)} of ${name} over the original records`,
  )
  return {kind, column, result}
}

/** `--mean`: over the records that have the value. @throws DartaError DARTA_USAGE */
export function meanMeasure(name: string): Measure {
  const sum = columnOf(name, 'sum', '--mean')
  const result = describedElement(
    `meanOf${capital(name)}`,
    'float64',
    sum.elements[0].units,
    `Mean of ${name} over the original records that have it`,
  )
  return {kind: 'mean', sum, count: {...sum, kind: 'count', absent: undefined}, result}
}

/** Elements of RFC 7015 section 7 that carry the number of different addresses. */
const registeredCounts: Readonly<Record<string, InformationElement>> = {
  srcip: ie.distinctCountOfSourceIPAddress,
  dstip: ie.distinctCountOfDestinationIPAddress,
  sourceIPv4Address: ie.distinctCountOfSourceIPv4Address,
  destinationIPv4Address: ie.distinctCountOfDestinationIPv4Address,
  sourceIPv6Address: ie.distinctCountOfSourceIPv6Address,
  destinationIPv6Address: ie.distinctCountOfDestinationIPv6Address,
}

/** `--distinct`, exactly; `--approx-distinct`, within `DISTINCT_ERROR`. @throws DartaError DARTA_USAGE */
export function distinctMeasure(kind: 'distinct' | 'approximate', name: string): Measure {
  const key = flowKey(name)
  const error = `${(100 * DISTINCT_ERROR).toFixed(1)} %`
  const safe = name.replace(/[^A-Za-z0-9]/g, '_')
  const result =
    kind === 'distinct' && Object.hasOwn(registeredCounts, name)
      ? registeredCounts[name]
      : kind === 'distinct'
        ? describedElement(
            `distinctCountOf${capital(safe)}`,
            'unsigned64',
            '',
            `Different values of ${name}`,
          )
        : describedElement(
            `approximateCountOf${capital(safe)}`,
            'unsigned64',
            '',
            `Different values of ${name} with a standard error of ${error}`,
          )
  return {kind, key, result}
}

/** `--quantile NAME:Q`, within `QUANTILE_ERROR`. @throws DartaError DARTA_USAGE */
export function quantileMeasure(text: string): Measure {
  const match = /^(.+):(0?\.\d{1,6}|0|1|p\d{1,2}(?:\.\d{1,4})?)$/.exec(text)
  if (match === null) {
    throw new DartaError('DARTA_USAGE', `--quantile: expected NAME:0.95 or NAME:p95, not '${text}'`)
  }
  const [, name, part] = match
  const quantile = part.startsWith('p') ? Number(part.slice(1)) / 100 : Number(part)
  const element = columnOf(name, 'sum', '--quantile')
  const percent = String(Math.round(quantile * 1e6) / 1e4).replace('.', '_')
  const result = describedElement(
    `percentile${percent}Of${capital(name)}`,
    'unsigned64',
    element.elements[0].units,
    `Value of ${name} that ${percent.replace('_', '.')} % of the original records do not exceed, within ${100 * QUANTILE_ERROR} %`,
  )
  return {kind: 'quantile', element, quantile, result}
}
