import {DartaError} from './errors.js'
import {MAX_LIST_DEPTH} from './lists.js'
import {extend, type OctetWriter} from './octet-writer.js'
import {valueWriter, type ValueWriter} from './record-writer.js'
import type {InformationElement} from './element.js'
import type {SubTemplates} from './sub-templates.js'
import type {Template} from './template.js'
import type {BasicListValue, ListValue, RecordValue} from './value.js'

let depth = 0

/**
 * Appends the octets of a structured data field. RFC 6313 section 4.5. The Template of the records in a list is
 * made from their elements and taken in by `subTemplates`; what an empty list names is known to nobody.
 *
 * @param element of the field, for errors
 * @throws DartaError DARTA_VALUE, DARTA_RANGE
 */
export function writeList(
  writer: OctetWriter,
  element: InformationElement,
  list: ListValue,
  subTemplates: SubTemplates | undefined,
): void {
  if (depth >= MAX_LIST_DEPTH) {
    throw new DartaError(
      'DARTA_RANGE',
      `${element.name}: lists are nested more than ${MAX_LIST_DEPTH} deep`,
    )
  }
  const {semantic} = list
  if (!Number.isInteger(semantic) || semantic < 0 || semantic > 255) {
    throw new DartaError(
      'DARTA_RANGE',
      `${element.name}: list semantic ${semantic} is not in 0..255`,
    )
  }
  depth++
  try {
    const at = extend(writer, 1)
    writer.octets[at] = semantic
    if (list.kind === 'basicList') {
      writeBasicList(writer, list, subTemplates)
    } else if (list.kind === 'subTemplateList') {
      const idAt = extend(writer, 2)
      const id = writeRecords(writer, element, list.templateId, list.records, subTemplates)
      writer.view.setUint16(idAt, id)
    } else {
      for (const {templateId, records} of list.groups) {
        const start = extend(writer, 4)
        const id = writeRecords(writer, element, templateId, records, subTemplates)
        const length = writer.length - start
        if (length > 65535) {
          throw new DartaError(
            'DARTA_RANGE',
            `${element.name}: ${length} octets are more than a list can hold`,
          )
        }
        writer.view.setUint16(start, id)
        writer.view.setUint16(start + 2, length)
      }
    }
  } finally {
    depth--
  }
}

function writeBasicList(
  writer: OctetWriter,
  list: BasicListValue,
  subTemplates: SubTemplates | undefined,
): void {
  const {elementId, enterpriseNumber} = list.element
  const at = extend(writer, enterpriseNumber === 0 ? 4 : 8)
  writer.view.setUint16(at, enterpriseNumber === 0 ? elementId : elementId | 0x8000)
  writer.view.setUint16(at + 2, list.length)
  if (enterpriseNumber !== 0) writer.view.setUint32(at + 4, enterpriseNumber)
  if (list.items.length === 0) return
  if (list.length === 0) {
    throw new DartaError(
      'DARTA_RANGE',
      `${list.element.name}: items of no octets cannot be counted`,
    )
  }
  const write = valueWriter(list.element, list.length, subTemplates)
  for (const item of list.items) write(writer, item)
}

/** @returns the ID of the records' Template */
function writeRecords(
  writer: OctetWriter,
  element: InformationElement,
  templateId: number,
  records: readonly RecordValue[],
  subTemplates: SubTemplates | undefined,
): number {
  if (records.length === 0) return subTemplates?.ofNothing(templateId) ?? templateId
  if (subTemplates === undefined) {
    throw new DartaError('DARTA_VALUE', `${element.name}: no Templates for records in lists`)
  }
  let template: Template | undefined
  let writers: ValueWriter[] = []
  for (const record of records) {
    const own = subTemplates.ofRecord(record)
    if (template === undefined) {
      template = own
      writers = own.fields.map((f) => valueWriter(f.element, f.length, subTemplates))
    } else if (own !== template) {
      throw new DartaError(
        'DARTA_VALUE',
        `${element.name}: records of one list have different elements`,
      )
    }
    if (own.fields.length === 0) {
      throw new DartaError('DARTA_VALUE', `${element.name}: a record in a list has no elements`)
    }
    record.forEach(([, value], i) => writers[i](writer, value))
  }
  return template?.id ?? templateId
}
