import type {RecordBatch} from '../../record/batch.js'
import {isList, unknownElement, VARIABLE} from '../../record/element.js'
import {MAX_LIST_DEPTH} from '../../record/lists.js'
import type {Reader} from '../../record/readers.js'
import {createTemplate, type Template} from '../../record/template.js'
import type {Expression, Members} from './expression.js'
import {spanReader} from './field-match.js'
import {matchOf, resolve, type Match} from './resolve.js'

type Visit = (members: RecordBatch, index: number) => void

/**
 * Whether a member of the lists in a record meets what is asked. A member is a record of a sub-template list, or
 * an item of a basic list as a record of that one field; members of lists inside members count too. A list that does not fit
 * its octets has no members beyond the damage. RFC 6313.
 */
export function membersReader(members: Members, template: Template): Reader<boolean> {
  const {quantifier, of, list} = members
  const fields = template.fields.flatMap(({element}, field) => {
    const named =
      list === undefined ||
      (element.elementId === list.elementId && element.enterpriseNumber === list.enterpriseNumber)
    return isList(element.type) && named ? [{field, span: spanReader(template, field)}] : []
  })
  const matches = createMatches(of)
  return (batch, index) => {
    let seen = 0
    let met = 0
    const visit: Visit = (inner, i) => {
      seen++
      if (matches(inner.template)(inner, i)) met++
    }
    for (const {field, span} of fields) {
      const {start, length} = span(batch, index)
      walkList(template.fields[field].element.type, batch, start, start + length, 1, visit)
    }
    return quantifier === 'any' ? met > 0 : seen > 0 && met === seen
  }
}

function createMatches(of: Expression): (template: Template) => Match {
  const known = new WeakMap<Template, Match>()
  return (template) => {
    let match = known.get(template)
    if (match === undefined) {
      match = matchOf(resolve(of, template), template)
      known.set(template, match)
    }
    return match
  }
}

/** Templates of one field, for items of basic lists. */
const itemTemplates = new Map<string, Template>()

function walkList(
  type: string,
  batch: RecordBatch,
  start: number,
  end: number,
  depth: number,
  visit: Visit,
): void {
  if (depth > MAX_LIST_DEPTH || end > batch.octets.length) return
  const {view} = batch
  if (type === 'basicList') {
    if (end - start < 5) return
    let id = view.getUint16(start + 1)
    const length = view.getUint16(start + 3)
    let at = start + 5
    let pen = 0
    if (id & 0x8000) {
      if (end - at < 4) return
      id &= 0x7fff
      pen = view.getUint32(at)
      at += 4
    }
    const element = batch.elements?.get(pen, id) ?? unknownElement(pen, id)
    const key = `${pen}/${id}:${length}:${element.type}`
    let template = itemTemplates.get(key)
    if (template === undefined) {
      template = createTemplate(256, [{element, length}])
      if (itemTemplates.size > 4096) itemTemplates.clear()
      itemTemplates.set(key, template)
    }
    if (length > 0) walkRecords(batch, template, at, end, depth, visit)
    return
  }
  if (type === 'subTemplateList') {
    if (end - start < 3) return
    const template = batch.templates?.get(view.getUint16(start + 1))
    if (template !== undefined) walkRecords(batch, template, start + 3, end, depth, visit)
    return
  }
  for (let at = start + 1; end - at >= 4;) {
    const length = view.getUint16(at + 2)
    if (length < 4 || at + length > end) return
    const template = batch.templates?.get(view.getUint16(at))
    if (template !== undefined) walkRecords(batch, template, at + 4, at + length, depth, visit)
    at += length
  }
}

function walkRecords(
  batch: RecordBatch,
  template: Template,
  from: number,
  end: number,
  depth: number,
  visit: Visit,
): void {
  if (template.minimumOctets === 0) return
  const {octets} = batch
  for (let at = from; at < end;) {
    const start = at
    const lists: [type: string, start: number, end: number][] = []
    for (const {element, length: encoded} of template.fields) {
      let length = encoded
      if (length === VARIABLE) {
        if (at >= end) return
        length = octets[at++]
        if (length === 255) {
          if (end - at < 2) return
          length = (octets[at] << 8) | octets[at + 1]
          at += 2
        }
      }
      if (at + length > end) return
      if (isList(element.type)) lists.push([element.type, at, at + length])
      at += length
    }
    const fixed = template.recordOctets > 0
    const offsets = fixed ? undefined : Uint32Array.of(start, at)
    visit({...batch, template, start, count: 1, offsets}, 0)
    for (const [type, a, b] of lists) walkList(type, batch, a, b, depth + 1, visit)
  }
}
