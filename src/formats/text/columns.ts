import type {InformationElement} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import type {Template} from '../../record/template.js'
import {elementByName} from '../../registry/lookup.js'
import {kinds} from './kinds.js'

/** What fills a column: a field of the record, or something of the Message it came in. */
type Source =
  | {readonly element: InformationElement; readonly occurrence: number}
  | {readonly message: MessageColumn}

export type MessageColumn =
  | typeof kinds.exportTime
  | typeof kinds.observationDomainId
  | typeof kinds.sequenceNumber
  | 'exporter'

const messageColumns = new Map<string, MessageColumn>([
  ['_ipfix.exportTime', kinds.exportTime],
  ['_ipfix.observationDomainId', kinds.observationDomainId],
  ['_ipfix.sequenceNumber', kinds.sequenceNumber],
  ['_ipfix.exporter', 'exporter'],
])

export interface Column {
  readonly title: string
  /** The first that a record has fills the column. */
  readonly sources: readonly Source[]
}

/**
 * Reads a list of columns, `sourceIPv4Address,octetDeltaCount`. A column is a name (`pen/id` too), `name.2` for the
 * second of equal elements, alternatives `a|b` of which a record has one, with a title if wanted
 * (`address=a|b`). `_ipfix.exportTime`, `_ipfix.observationDomainId`, `_ipfix.sequenceNumber` and
 * `_ipfix.exporter` are of the Message.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseColumns(text: string, flag: string): Column[] {
  return text.split(',').map((word) => {
    const equals = word.indexOf('=')
    const names = word.slice(equals + 1).trim()
    const title = equals < 0 ? names : word.slice(0, equals).trim()
    return {title, sources: names.split('|').map((name) => parseSource(name.trim(), flag))}
  })
}

function parseSource(name: string, flag: string): Source {
  const message = messageColumns.get(name)
  if (message !== undefined) return {message}
  const numbered = /^(.+)\.([1-9]\d{0,4})$/.exec(name)
  const element = elementByName(numbered === null ? name : numbered[1])
  if (element === undefined) {
    throw new DartaError('DARTA_USAGE', `${flag}: no Information Element '${name}'; see darta ie`)
  }
  return {element, occurrence: numbered === null ? 0 : Number(numbered[2]) - 1}
}

/**
 * Columns for all fields of a Template, in its order. Next to an element of one IP version stands its
 * twin of the other, so that records of both fit.
 */
export function templateColumns({fields}: Template): Column[] {
  const counts = new Map<string, number>()
  const columns: Column[] = []
  const add = (element: InformationElement): void => {
    const number = `${element.enterpriseNumber}/${element.elementId}`
    const occurrence = counts.get(number) ?? 0
    counts.set(number, occurrence + 1)
    const title = occurrence === 0 ? element.name : `${element.name}.${occurrence + 1}`
    columns.push({title, sources: [{element, occurrence}]})
  }
  const has = (element: InformationElement): boolean =>
    fields.some(({element: own}) => own.name === element.name)
  for (const {element} of fields) {
    const twin = twinOf(element)
    if (twin === undefined || has(twin)) {
      add(element)
    } else if (element.name.includes('IPv4')) {
      add(element)
      add(twin)
    } else {
      add(twin)
      add(element)
    }
  }
  return columns
}

/** The element of the other IP version: sourceIPv6Address for sourceIPv4Address. */
function twinOf({name}: InformationElement): InformationElement | undefined {
  if (name.includes('IPv4')) return elementByName(name.replace('IPv4', 'IPv6'))
  if (name.includes('IPv6')) return elementByName(name.replace('IPv6', 'IPv4'))
  return undefined
}

/** What fills each column in records of one Template: an index of a field, something of the Message, or nothing. */
export type Filling = {readonly field: number} | {readonly message: MessageColumn} | undefined

export function fillColumns(columns: readonly Column[], {fields}: Template): Filling[] {
  return columns.map(({sources}) => {
    for (const source of sources) {
      if ('message' in source) return source
      let left = source.occurrence
      const {elementId, enterpriseNumber} = source.element
      const field = fields.findIndex(
        ({element}) =>
          element.elementId === elementId &&
          element.enterpriseNumber === enterpriseNumber &&
          left-- === 0,
      )
      if (field >= 0) return {field}
    }
    return undefined
  })
}
