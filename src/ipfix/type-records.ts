import {
  abstractTypes,
  semanticsNames,
  VARIABLE,
  type InformationElement,
} from '../record/element.js'
import {readRecord} from '../record/readers.js'
import {createTemplate, fieldIndex, type Template} from '../record/template.js'
import {elementByName, ie} from '../registry/lookup.js'
import type {RecordBatch} from '../record/batch.js'
import type {Value} from '../record/value.js'

/** The index is the number of informationElementUnits (IANA registry of RFC 5610). */
const unitNames = [
  '',
  'bits',
  'octets',
  'packets',
  'flows',
  'seconds',
  'milliseconds',
  'microseconds',
  'nanoseconds',
  '4-octet words',
  'messages',
  'hops',
  'entries',
  'frames',
  'ports',
  'inferred',
]

/** Gives the element that record `index` describes, or undefined if the record is not to be used. */
export type TypeRecordReader = (batch: RecordBatch, index: number) => InformationElement | undefined

/**
 * A reader if the Template is one of type records: scope is privateEnterpriseNumber and informationElementId, and
 * type and name are given. RFC 5610 section 3.
 */
export function typeRecordReader(template: Template): TypeRecordReader | undefined {
  const scoped = (element: InformationElement): boolean => {
    const field = fieldIndex(template, element)
    return field >= 0 && field < template.scopeCount
  }
  if (!scoped(ie.privateEnterpriseNumber) || !scoped(ie.informationElementId)) return undefined
  if (fieldIndex(template, ie.informationElementDataType) < 0) return undefined
  if (fieldIndex(template, ie.informationElementName) < 0) return undefined
  return (batch, index) => {
    const values = new Map<InformationElement, Value>(readRecord(batch, index))
    const pen = values.get(ie.privateEnterpriseNumber)
    const id = values.get(ie.informationElementId)
    const type = values.get(ie.informationElementDataType)
    const name = values.get(ie.informationElementName)
    if (typeof pen !== 'number' || typeof id !== 'number' || typeof type !== 'number')
      return undefined
    const elementId = id & 0x7fff
    if (pen === 0 || elementId === 0 || type >= abstractTypes.length) return undefined
    if (typeof name !== 'string' || !usableName(name, pen, elementId)) return undefined
    const description = values.get(ie.informationElementDescription)
    // Section 3.9: a record with a NUL in its text is ignored.
    if (typeof description === 'string' && description.includes('\0')) return undefined
    const semantics = values.get(ie.informationElementSemantics)
    const units = values.get(ie.informationElementUnits)
    const begin = values.get(ie.informationElementRangeBegin)
    const end = values.get(ie.informationElementRangeEnd)
    // Begin and end of 0 say that there is no range.
    const ranged = typeof begin === 'number' && typeof end === 'number' && end > begin
    return {
      name,
      enterpriseNumber: pen,
      elementId,
      type: abstractTypes[type],
      semantics:
        typeof semantics === 'number' ? (semanticsNames[semantics] ?? 'default') : 'default',
      units: typeof units === 'number' ? (unitNames[units] ?? '') : '',
      status: 'current',
      description: typeof description === 'string' ? description : '',
      ...(ranged && {range: [begin, end] as const}),
    }
  }
}

/**
 * Names go into NDJSON keys and filters: letters, digits and `_.-`, beginning with a letter, and not the name of
 * another element that the registry has.
 */
function usableName(name: string, enterpriseNumber: number, elementId: number): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,254}$/.test(name)) return false
  const known = elementByName(name)
  return (
    known === undefined ||
    (known.enterpriseNumber === enterpriseNumber && known.elementId === elementId)
  )
}

/** The Options Template of the type records that darta sends. */
export const typeTemplate = createTemplate(
  256,
  [
    {element: ie.privateEnterpriseNumber, length: 4},
    {element: ie.informationElementId, length: 2},
    {element: ie.informationElementDataType, length: 1},
    {element: ie.informationElementSemantics, length: 1},
    {element: ie.informationElementUnits, length: 2},
    {element: ie.informationElementRangeBegin, length: 8},
    {element: ie.informationElementRangeEnd, length: 8},
    {element: ie.informationElementName, length: VARIABLE},
    {element: ie.informationElementDescription, length: VARIABLE},
  ],
  2,
)

/** The values of the type record that describes `element`, in the order of `typeTemplate`. */
export function typeRecordValues(element: InformationElement): Value[] {
  const [begin, end] = element.range ?? [0, 0]
  return [
    element.enterpriseNumber,
    element.elementId,
    abstractTypes.indexOf(element.type),
    semanticsNames.indexOf(element.semantics),
    Math.max(unitNames.indexOf(element.units), 0),
    begin,
    end,
    element.name,
    element.description,
  ]
}
