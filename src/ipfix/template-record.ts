import {carriesType, VARIABLE, type InformationElement} from '../record/element.js'
import {createTemplate, type FieldSpecifier, type Template} from '../record/template.js'
import {MIN_DATA_SET_ID} from './message.js'
import type {ElementLookup} from '../record/batch.js'

/** A Template with more fields is refused: no real one comes near, and each field costs memory. */
export const MAX_TEMPLATE_FIELDS = 512

/** Why a Template Record is not used. */
export type TemplateFault =
  /** It ends behind its Set; the rest of the Set cannot be read. */
  | 'cut'
  /** Its ID is below 256. */
  | 'id'
  /** An Options Template without scope fields, or with more of them than fields. RFC 7011 section 3.4.2.2. */
  | 'scope'
  /** More than `MAX_TEMPLATE_FIELDS` fields. */
  | 'fields'
  /** Its records would have no octets. */
  | 'empty'

/** What stands at one place of a Template Set. */
export interface TemplateRecord {
  readonly id: number
  /** 0 withdraws. */
  readonly fieldCount: number
  readonly scopeCount: number
  /** Octet of the first Field Specifier. */
  readonly fields: number
  /** Octet behind the record. */
  readonly end: number
  readonly fault: TemplateFault | undefined
}

/**
 * Measures the Template Record or Options Template Record at `at`; `end` is where its Set ends. RFC 7011 section 3.4.
 *
 *     0             2             4                   6
 *     template id | field count | scope field count | Field Specifiers     (scope field count: options only)
 *
 * A withdrawal (field count 0) is 4 octets in both kinds (RFC 7011 section 8.1).
 */
export function measureTemplateRecord(
  view: DataView,
  at: number,
  end: number,
  options: boolean,
): TemplateRecord {
  const id = view.getUint16(at)
  const fieldCount = view.getUint16(at + 2)
  let next = at + 4
  if (fieldCount === 0) {
    return {id, fieldCount, scopeCount: 0, fields: next, end: next, fault: undefined}
  }
  let scopeCount = 0
  let fault: TemplateFault | undefined
  if (options) {
    if (end - next < 2) return {id, fieldCount, scopeCount, fields: next, end, fault: 'cut'}
    scopeCount = view.getUint16(next)
    next += 2
    if (scopeCount === 0 || scopeCount > fieldCount) fault = 'scope'
  }
  const fields = next
  let size = 0
  for (let i = 0; i < fieldCount; i++) {
    const octets = end - next < 4 ? 4 : view.getUint16(next) & 0x8000 ? 8 : 4
    if (end - next < octets) return {id, fieldCount, scopeCount, fields, end, fault: 'cut'}
    size += view.getUint16(next + 2)
    next += octets
  }
  if (id < MIN_DATA_SET_ID) fault = 'id'
  else if (fieldCount > MAX_TEMPLATE_FIELDS) fault = 'fields'
  else if (size === 0) fault ??= 'empty'
  return {id, fieldCount, scopeCount, fields, end: next, fault}
}

/** The Template of a record that was measured without fault. */
export function readTemplateRecord(
  view: DataView,
  record: TemplateRecord,
  elements: ElementLookup,
): Template {
  const specifiers: FieldSpecifier[] = []
  eachField(view, record, elements, (element, length) => specifiers.push({element, length}))
  return createTemplate(record.id, specifiers, record.scopeCount)
}

/** How many fields have a length that cannot carry their type: they are octets to every reader. */
export function countMisfits(
  view: DataView,
  record: TemplateRecord,
  elements: ElementLookup,
): number {
  let n = 0
  eachField(view, record, elements, (element, length) => {
    if (!carriesType(element.type, length)) n++
  })
  return n
}

function eachField(
  view: DataView,
  {fields, fieldCount}: TemplateRecord,
  elements: ElementLookup,
  take: (element: InformationElement, length: number) => void,
): void {
  let at = fields
  for (let i = 0; i < fieldCount; i++) {
    const number = view.getUint16(at)
    const length = view.getUint16(at + 2)
    at += 4
    if (number & 0x8000) {
      take(elements.get(view.getUint32(at), number & 0x7fff), length)
      at += 4
    } else {
      take(elements.get(0, number), length)
    }
  }
}

/** Octets of the record that announces `template`. */
export function templateRecordOctets(template: Template): number {
  let octets = template.scopeCount > 0 ? 6 : 4
  for (const {element} of template.fields) octets += element.enterpriseNumber === 0 ? 4 : 8
  return octets
}

/** Writes the record that announces `template` under `id` at `at`; returns the octet behind it. RFC 7011 section 3.4. */
export function writeTemplateRecord(
  view: DataView,
  at: number,
  template: Template,
  id = template.id,
): number {
  view.setUint16(at, id)
  view.setUint16(at + 2, template.fields.length)
  at += 4
  if (template.scopeCount > 0) {
    view.setUint16(at, template.scopeCount)
    at += 2
  }
  for (const {element, length} of template.fields) {
    const enterprise = element.enterpriseNumber
    view.setUint16(at, enterprise === 0 ? element.elementId : element.elementId | 0x8000)
    view.setUint16(at + 2, length)
    at += 4
    if (enterprise !== 0) {
      view.setUint32(at, enterprise)
      at += 4
    }
  }
  return at
}

/**
 * How the records of a Template are walked: the octets before each variable-length field, then
 * those behind the last one. Undefined where records have one size.
 */
export function walkPlan(template: Template): Uint32Array | undefined {
  if (template.recordOctets > 0) return undefined
  return planOfLengths(template.fields.map(({length}) => length))
}

/** The same of the lengths that a Template Record gives its fields. */
export function planOfLengths(lengths: Iterable<number>): Uint32Array {
  const plan: number[] = []
  let fixed = 0
  for (const length of lengths) {
    if (length === VARIABLE) {
      plan.push(fixed)
      fixed = 0
    } else {
      fixed += length
    }
  }
  plan.push(fixed)
  return Uint32Array.from(plan)
}
