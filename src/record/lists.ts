import {VARIABLE, unknownElement, type InformationElement} from './element.js'
import {readValue} from './readers.js'
import type {RecordBatch} from './batch.js'
import type {Template} from './template.js'
import type {ListValue, RecordValue, Value} from './value.js'

type ListType = ListValue['kind']
type ListOctets = Pick<RecordBatch, 'octets' | 'view' | 'templates' | 'elements'>

/** Lists inside lists deeper than this stay octets: a guard against crafted input. */
export const MAX_LIST_DEPTH = 8

let depth = 0

/**
 * Decodes a structured data field. RFC 6313 section 4.5. A list that does not fit its octets, is nested too
 * deeply, or needs a Template that is not known comes as its octets.
 */
export function readList(
  type: ListType,
  batch: ListOctets,
  at: number,
  length: number,
): ListValue | Uint8Array {
  const raw = batch.octets.subarray(at, at + length)
  if (depth >= MAX_LIST_DEPTH) return raw
  depth++
  try {
    const end = at + length
    if (type === 'basicList') return readBasicList(batch, at, end) ?? raw
    if (type === 'subTemplateList') return readSubTemplateList(batch, at, end) ?? raw
    return readSubTemplateMultiList(batch, at, end) ?? raw
  } finally {
    depth--
  }
}

/** semantic 1, element 2 (enterprise bit), length 2, [enterprise number 4], items */
function readBasicList(batch: ListOctets, start: number, end: number): ListValue | undefined {
  const {octets, view} = batch
  if (end - start < 5) return undefined
  const semantic = octets[start]
  let id = view.getUint16(start + 1)
  const length = view.getUint16(start + 3)
  let at = start + 5
  let enterprise = 0
  if (id & 0x8000) {
    if (end - at < 4) return undefined
    id &= 0x7fff
    enterprise = view.getUint32(at)
    at += 4
  }
  const element: InformationElement =
    batch.elements?.get(enterprise, id) ?? unknownElement(enterprise, id)
  const items: Value[] = []
  while (at < end) {
    const span = fieldLength(octets, at, end, length)
    if (span === undefined || (span.length === 0 && length !== VARIABLE)) return undefined
    items.push(readValue(element, batch, span.at, span.length))
    at = span.at + span.length
  }
  return {kind: 'basicList', semantic, element, length, items}
}

/** semantic 1, template 2, records */
function readSubTemplateList(batch: ListOctets, start: number, end: number): ListValue | undefined {
  if (end - start < 3) return undefined
  const templateId = batch.view.getUint16(start + 1)
  const records = readRecords(batch, templateId, start + 3, end)
  return records && {kind: 'subTemplateList', semantic: batch.octets[start], templateId, records}
}

/** semantic 1, then template 2, length 2 (with these four octets), records; and again */
function readSubTemplateMultiList(
  batch: ListOctets,
  start: number,
  end: number,
): ListValue | undefined {
  if (end - start < 1) return undefined
  const groups: {templateId: number; records: RecordValue[]}[] = []
  let at = start + 1
  while (at < end) {
    if (end - at < 4) return undefined
    const templateId = batch.view.getUint16(at)
    const length = batch.view.getUint16(at + 2)
    if (length < 4 || at + length > end) return undefined
    const records = readRecords(batch, templateId, at + 4, at + length)
    if (records === undefined) return undefined
    groups.push({templateId, records})
    at += length
  }
  return {kind: 'subTemplateMultiList', semantic: batch.octets[start], groups}
}

function readRecords(
  batch: ListOctets,
  templateId: number,
  start: number,
  end: number,
): RecordValue[] | undefined {
  if (start === end) return []
  const template: Template | undefined = batch.templates?.get(templateId)
  if (template === undefined || template.minimumOctets === 0) return undefined
  const records: RecordValue[] = []
  let at = start
  while (at < end) {
    const record: (readonly [InformationElement, Value])[] = []
    for (const field of template.fields) {
      const span = fieldLength(batch.octets, at, end, field.length)
      if (span === undefined) return undefined
      record.push([field.element, readValue(field.element, batch, span.at, span.length)])
      at = span.at + span.length
    }
    records.push(record)
  }
  return records
}

function fieldLength(
  octets: Uint8Array,
  at: number,
  end: number,
  encoded: number,
): {at: number; length: number} | undefined {
  let length = encoded
  if (length === VARIABLE) {
    if (at >= end) return undefined
    length = octets[at++]
    if (length === 255) {
      if (end - at < 2) return undefined
      length = (octets[at] << 8) | octets[at + 1]
      at += 2
    }
  }
  return at + length > end ? undefined : {at, length}
}
