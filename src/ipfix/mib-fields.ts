import {VARIABLE} from '../record/element.js'
import {readUnsigned} from '../record/readers.js'
import {fieldSpan, type RecordBatch} from '../record/batch.js'
import {
  createTemplate,
  fieldIndex,
  type Field,
  type MibObject,
  type Template,
} from '../record/template.js'
import type {Value} from '../record/value.js'
import {ie} from '../registry/lookup.js'

/** What an options record says of a field of a Template. RFC 8038 section 5.3.1. */
export interface MibField {
  /** ID of the Template in the session that the record is of. */
  readonly templateId: number
  /** Number of the field in it, from 0. */
  readonly field: number
  readonly object: MibObject
}

/** Reads what record `index` says; undefined if that is not all that is needed. */
export type MibFieldReader = (batch: RecordBatch, index: number) => MibField | undefined

/** Fields that mibIndexIndicator has bits for. */
const INDICATED_FIELDS = 64

/** Whether the element carries the value of an SNMP object: mibObjectValueInteger to mibObjectValueRow. RFC 8038 section 11.2.1. */
export function carriesMibObject({element}: Pick<Field, 'element'>): boolean {
  const {enterpriseNumber, elementId} = element
  return enterpriseNumber === 0 && elementId >= 434 && elementId <= 444
}

/** The Options Template of what darta says of such fields. RFC 8038 section 5.8.5. */
export const mibFieldTemplate = createTemplate(
  256,
  [
    {element: ie.templateId, length: 2},
    {element: ie.informationElementIndex, length: 2},
    {element: ie.mibIndexIndicator, length: 8},
    {element: ie.mibObjectIdentifier, length: VARIABLE},
  ],
  2,
)

/**
 * A reader if the Template is one of MIB Field Options with whole object identifiers. Those with mibSubIdentifier belong to
 * rows in lists, whose Templates nobody looks at here.
 */
export function mibFieldReader(template: Template): MibFieldReader | undefined {
  const place = (element: Field['element']): number => fieldIndex(template, element)
  const named = place(ie.templateId)
  const numbered = place(ie.informationElementIndex)
  const identified = place(ie.mibObjectIdentifier)
  const indexed = place(ie.mibIndexIndicator)
  if (named < 0 || numbered < 0 || identified < 0) return undefined
  if (named >= template.scopeCount || numbered >= template.scopeCount) return undefined
  const number = (batch: RecordBatch, index: number, field: number): number => {
    const {start, length} = fieldSpan(batch, index, field)
    return readUnsigned(batch.octets, start, length)
  }
  return (batch, index) => {
    const field = number(batch, index, numbered)
    const {start, length} = fieldSpan(batch, index, identified)
    if (length < 3) return undefined
    const distances: number[] = []
    if (indexed >= 0) {
      // Reduced size is allowed: the last octet has the first eight fields.
      const bits = fieldSpan(batch, index, indexed)
      for (let bit = 0; bit < Math.min(INDICATED_FIELDS, 8 * bits.length); bit++) {
        const octet = batch.octets[bits.start + bits.length - 1 - (bit >> 3)]
        if (octet & (1 << (bit & 7))) distances.push(field - bit)
      }
    }
    return {
      templateId: number(batch, index, named),
      field,
      object: {identifier: batch.octets.slice(start, start + length), index: distances},
    }
  }
}

/** The values, in the order of `mibFieldTemplate`, of the records that a Template needs which is announced under `id`. */
export function mibFieldValues({fields}: Template, id: number): Value[][] {
  return fields.flatMap(({mib}, field) =>
    mib === undefined ? [] : [[id, field, indicator(mib, field), mib.identifier]],
  )
}

/** Bit n, the least first, stands for field n. RFC 8038 section 11.2.2.3. */
function indicator({index}: MibObject, field: number): bigint {
  let bits = 0n
  for (const distance of index) {
    const place = field - distance
    if (place >= 0 && place < INDICATED_FIELDS) bits |= 1n << BigInt(place)
  }
  return bits
}

/** Whether both name the same object with the same index. */
export function isSameObject(a: MibObject, b: MibObject): boolean {
  return a.identifier.join() === b.identifier.join() && a.index.join() === b.index.join()
}
