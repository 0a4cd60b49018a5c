import {carriesType, VARIABLE, type InformationElement} from './element.js'

/** Which object of SNMP a field has the value of. RFC 8038 section 5.3. */
export interface MibObject {
  /** Object identifier of the object's type, in BER with tag and length. */
  readonly identifier: Uint8Array
  /** How many fields before this one those lie that index it, in the order of its INDEX clause; none: a single object. */
  readonly index: readonly number[]
}

/** One field of a Template: an element at an encoded length. RFC 7011 section 3.2. */
export interface Field {
  readonly element: InformationElement
  /** Octets on the wire, or VARIABLE (65535). */
  readonly length: number
  /** Octets from the start of the record; −1 behind a variable-length field. */
  readonly offset: number
  /** Where its element does not say what the value is of, and that is known. */
  readonly mib?: MibObject
}

/** A Template Record or Options Template Record, as received or as made by us. RFC 7011 section 3.4. */
export interface Template {
  /** 256..65535, as on the wire. */
  readonly id: number
  /** 0: Template; n ≥ 1: Options Template whose first n fields are its scope. */
  readonly scopeCount: number
  readonly fields: readonly Field[]
  /** Octets of each record, or 0 if the Template has a variable-length field. */
  readonly recordOctets: number
  /** Octets of the smallest possible record (variable-length fields count 1). */
  readonly minimumOctets: number
  /** Same for two Templates exactly when their records are encoded alike and of the same objects, whatever their ids. */
  readonly layout: string
}

export interface FieldSpecifier {
  readonly element: InformationElement
  readonly length: number
  readonly mib?: MibObject
}

/** Lays out fields and computes the sizes that readers need. */
export function createTemplate(
  id: number,
  specifiers: readonly FieldSpecifier[],
  scopeCount = 0,
): Template {
  const fields: Field[] = []
  let offset = 0
  let minimum = 0
  // Joined at the end: text that is made bit by bit keeps all its bits in memory.
  const layout = [String(scopeCount)]
  for (const {element, length, mib} of specifiers) {
    fields.push(mib === undefined ? {element, length, offset} : {element, length, offset, mib})
    const object = mib === undefined ? '' : `=${mib.identifier.join('.')}[${mib.index.join()}]`
    layout.push(`${element.enterpriseNumber}/${element.elementId}:${length}${object}`)
    minimum += length === VARIABLE ? 1 : length
    if (length === VARIABLE) offset = -1
    else if (offset >= 0) offset += length
  }
  return {
    id,
    scopeCount,
    fields,
    recordOctets: offset < 0 ? 0 : offset,
    minimumOctets: minimum,
    layout: layout.join(','),
  }
}

/**
 * Index of the first field that carries `element`, or −1. Scope fields count; a field whose length cannot carry the
 * element's type does not.
 */
export function fieldIndex(template: Template, element: InformationElement): number {
  const fields = template.fields
  for (let i = 0; i < fields.length; i++) {
    const {element: e, length} = fields[i]
    if (
      e.elementId === element.elementId &&
      e.enterpriseNumber === element.enterpriseNumber &&
      carriesType(e.type, length)
    ) {
      return i
    }
  }
  return -1
}
