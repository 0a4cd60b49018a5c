import {
  isControlBits,
  isList,
  VARIABLE,
  type AbstractType,
  type InformationElement,
} from '../record/element.js'
import {MAX_LIST_DEPTH} from '../record/lists.js'
import type {ElementLookup, TemplateLookup} from '../record/batch.js'
import type {Template} from '../record/template.js'

/** Whether values of this element are Template IDs of the session: templateId, scope of options about Templates. */
export function namesTemplate(element: InformationElement): boolean {
  return element.enterpriseNumber === 0 && element.elementId === 145
}

/** What a walk through the lists of a record needs. */
export interface ListWalk {
  readonly octets: Uint8Array
  readonly view: DataView
  readonly templates: TemplateLookup | undefined
  readonly elements: ElementLookup | undefined
  /** Told of each Template ID in the lists: its octet, and the Template if it is known. */
  readonly found: (at: number, template: Template | undefined) => void
  /** Told of each string and tcpControlBits field. */
  readonly checked: (element: InformationElement, at: number, length: number) => void
}

/** Whether a walk has anything to do with fields of this element. */
function concerns(element: InformationElement): boolean {
  return (
    isList(element.type) ||
    namesTemplate(element) ||
    element.type === 'string' ||
    isControlBits(element)
  )
}

/**
 * Finds every Template ID in a structured data field and in the lists inside it. RFC 6313 section 4.5. Where octets do
 * not fit, what lies behind them in the field is left alone.
 */
export function walkList(
  walk: ListWalk,
  type: AbstractType,
  at: number,
  end: number,
  depth = 0,
): void {
  if (depth >= MAX_LIST_DEPTH) return
  const {view} = walk
  if (type === 'basicList') {
    if (end - at < 5) return
    const id = view.getUint16(at + 1)
    const length = view.getUint16(at + 3)
    at += 5
    let enterprise = 0
    if (id & 0x8000) {
      if (end - at < 4) return
      enterprise = view.getUint32(at)
      at += 4
    }
    const element = walk.elements?.get(enterprise, id & 0x7fff)
    if (element === undefined || !concerns(element)) return
    while (at < end) {
      const next = walkField(walk, element, length, at, end, depth + 1)
      if (next <= at) return
      at = next
    }
  } else if (type === 'subTemplateList') {
    if (end - at < 3) return
    walkRecords(walk, at + 1, at + 3, end, depth)
  } else {
    at++
    while (end - at >= 4) {
      const next = at + view.getUint16(at + 2)
      if (next < at + 4 || next > end) return
      walkRecords(walk, at, at + 4, next, depth)
      at = next
    }
  }
}

function walkRecords(walk: ListWalk, idAt: number, at: number, end: number, depth: number): void {
  const template = walk.templates?.get(walk.view.getUint16(idAt))
  walk.found(idAt, template)
  if (template === undefined) return
  if (!template.fields.some(({element}) => concerns(element))) return
  while (at < end) {
    const start = at
    for (const {element, length} of template.fields) {
      at = walkField(walk, element, length, at, end, depth + 1)
      if (at < 0) return
    }
    if (at === start) return
  }
}

/** Walks one field; returns the octet behind it, −1 if it does not fit. */
export function walkField(
  walk: ListWalk,
  element: InformationElement,
  encoded: number,
  at: number,
  end: number,
  depth = 0,
): number {
  let length = encoded
  if (length === VARIABLE) {
    if (at >= end) return -1
    length = walk.octets[at++]
    if (length === 255) {
      if (end - at < 2) return -1
      length = walk.view.getUint16(at)
      at += 2
    }
  }
  if (at + length > end) return -1
  if (isList(element.type)) {
    walkList(walk, element.type, at, at + length, depth)
  } else if (length === 2 && namesTemplate(element)) {
    walk.found(at, walk.templates?.get(walk.view.getUint16(at)))
  } else if (concerns(element)) {
    walk.checked(element, at, length)
  }
  return at + length
}
