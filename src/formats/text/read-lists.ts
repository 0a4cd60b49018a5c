import {
  VARIABLE,
  fullLength,
  isList,
  type AbstractType,
  type InformationElement,
} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {elementByName} from '../../registry/lookup.js'
import type {ListContext} from './json-record.js'
import {usualLengthOctets} from './json-plan.js'
import {createMembers, scanArray, scanObject, spanText, type Members} from './json-scan.js'
import {listSemantics} from './list-semantics.js'
import {createOctetBuffer, grow, type OctetBuffer} from './octet-buffer.js'
import {
  putLength,
  readHead,
  readIpfixNotes,
  readRecord,
  readVariableValue,
  shapeOf,
  type ListContents,
} from './read-record.js'
import {readMarkedOctets, scalarReader} from './read-values.js'
import {describedElement, notedTemplate} from './record-shape.js'

function fault(message: string, at: number): DartaError {
  return new DartaError('DARTA_VALUE', message, at)
}

/** Where the values of a list's members lie, by name. */
type Spans = ReadonlyMap<string, readonly [start: number, end: number]>

function memberSpans(
  text: Uint8Array,
  start: number,
  end: number,
  names: readonly string[],
): Spans {
  const members = createMembers()
  if (text[start] !== 123) throw fault('a list is an object', start)
  // The depth has been held against the limit when the line was scanned.
  scanObject(text, start, end, 1, members)
  const spans = new Map<string, readonly [number, number]>()
  for (let i = 0; i < members.count; i++) {
    const name = spanText(text, members.keyStart[i], members.keyEnd[i])
    if (!names.includes(name) || spans.has(name)) {
      throw fault(`a list has no member ${JSON.stringify(name)} here`, members.keyStart[i])
    }
    spans.set(name, [members.valueStart[i], members.valueEnd[i]])
  }
  return spans
}

function itemSpans(text: Uint8Array, spans: Spans, name: string, at: number): [number, number][] {
  const span = spans.get(name)
  if (span === undefined || text[span[0]] !== 91)
    throw fault(`${name} is no array`, span?.[0] ?? at)
  const items: Pick<Members, 'itemStart' | 'itemEnd' | 'itemCount'> = {
    itemStart: [],
    itemEnd: [],
    itemCount: 0,
  }
  scanArray(text, span[0], span[1], 1, items)
  return items.itemStart.map((start, i) => [start, items.itemEnd[i]])
}

/** A number of this member, or a fault. */
function integer(
  text: Uint8Array,
  spans: Spans,
  name: string,
  least: number,
  most: number,
  at: number,
): number {
  const span = spans.get(name)
  const value: unknown = span && JSON.parse(spanText(text, ...span))
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most)
    return value
  throw fault(`${name} is not ${least} to ${most}`, span?.[0] ?? at)
}

const semanticNumbers = new Map([...listSemantics].map(([number, name]) => [name, number]))

function semantic(text: Uint8Array, spans: Spans, at: number): number {
  const span = spans.get('semantic')
  const value: unknown = span && JSON.parse(spanText(text, ...span))
  if (typeof value === 'string') {
    const number = semanticNumbers.get(value)
    if (number !== undefined) return number
  }
  return integer(text, spans, 'semantic', 0, 255, at)
}

/**
 * Appends the octets of a list, RFC 6313, from its structure or its marked form. The ids of its records'
 * Templates come from `contents`.
 *
 * @throws DartaError DARTA_VALUE, also if the records of one list have different Templates
 */
export function readList(
  text: Uint8Array,
  start: number,
  end: number,
  type: AbstractType,
  out: OctetBuffer,
  contents: ListContents,
): void {
  if (text[start] === 123 && isMarked(text, start, end)) {
    readMarkedOctets(text, start, end, out)
    return
  }
  grow(out, 12)
  if (type === 'basicList') {
    readBasicList(text, start, end, out, contents)
  } else if (type === 'subTemplateList') {
    const spans = memberSpans(text, start, end, ['semantic', ...recordMembers])
    out.octets[out.at++] = semantic(text, spans, start)
    readRecords(text, start, spans, out, contents)
  } else {
    const spans = memberSpans(text, start, end, ['semantic', 'groups'])
    out.octets[out.at++] = semantic(text, spans, start)
    for (const [from, to] of itemSpans(text, spans, 'groups', start)) {
      const group = memberSpans(text, from, to, recordMembers)
      grow(out, 4)
      const begin = out.at
      // The length stands between the Template id and the records.
      readRecords(text, from, group, out, contents, 2)
      const n = out.at - begin
      if (n > 65535) throw fault('a list is longer than 65535 octets', from)
      out.view.setUint16(begin + 2, n)
    }
  }
}

/** Whether the only member is `octets`: what a list never has. */
function isMarked(text: Uint8Array, start: number, end: number): boolean {
  const members = createMembers()
  scanObject(text, start, end, 1, members)
  return members.count === 1 && spanText(text, members.keyStart[0], members.keyEnd[0]) === 'octets'
}

function readBasicList(
  text: Uint8Array,
  start: number,
  end: number,
  out: OctetBuffer,
  contents: ListContents,
): void {
  const spans = memberSpans(text, start, end, ['semantic', 'element', 'type', 'length', 'items'])
  const element = elementOf(text, spans, start, contents)
  const {type} = element
  const length = spans.has('length')
    ? integer(text, spans, 'length', 0, VARIABLE, start)
    : fullLength(type)
  const {octets, view} = out
  octets[out.at] = semantic(text, spans, start)
  const enterprise = element.enterpriseNumber !== 0
  view.setUint16(out.at + 1, element.elementId | (enterprise ? 0x8000 : 0))
  view.setUint16(out.at + 3, length)
  if (enterprise) view.setUint32(out.at + 5, element.enterpriseNumber)
  out.at += enterprise ? 9 : 5
  const read = isList(type) ? undefined : scalarReader(type)
  for (const [from, to] of itemSpans(text, spans, 'items', start)) {
    if (length === VARIABLE) {
      const begin = out.at
      const room = isList(type) ? 3 : 1
      grow(out, room)
      out.at += room
      const n = readVariableValue(text, from, to, type, undefined, out, contents)
      if (n > 65535) throw fault('a value is longer than 65535 octets', from)
      putLength(out, begin, room, usualLengthOctets(element, n))
    } else if (length === 0) {
      throw fault('items of no length cannot be told apart', from)
    } else if (read !== undefined) {
      read(text, from, to, out, length)
    } else {
      const begin = out.at
      readList(text, from, to, type, out, contents)
      if (out.at - begin !== length) throw fault(`a list of ${length} octets is expected`, from)
    }
  }
}

function elementOf(
  text: Uint8Array,
  spans: Spans,
  at: number,
  contents: ListContents,
): InformationElement {
  const span = spans.get('element')
  const name: unknown = span && JSON.parse(spanText(text, ...span))
  if (typeof name !== 'string') throw fault('element is no key', span?.[0] ?? at)
  const described = spans.get('type')
  if (described !== undefined) {
    const element = describedElement(name, JSON.parse(spanText(text, ...described)), described[0])
    contents.element(element)
    return element
  }
  const element = elementByName(name)
  if (element === undefined) throw fault(`${JSON.stringify(name)} is no element`, at)
  return element
}

const recordMembers = ['template', 'templateId', 'records']

/** Template id, `gap` octets, and the records. */
function readRecords(
  text: Uint8Array,
  at: number,
  spans: Spans,
  out: OctetBuffer,
  contents: ListContents,
  gap = 0,
): void {
  const idAt = out.at
  out.at += 2 + gap
  const items = itemSpans(text, spans, 'records', at)
  let layout: string | undefined
  let id = 0
  const members = createMembers()
  for (const [from, to] of items) {
    if (text[from] !== 123) throw fault('a record is an object', from)
    scanObject(text, from, to, 1, members)
    const head = readHead(text, members)
    const shape = shapeOf(head, 0, from)
    if (shape.foreign > 0) throw fault('a member is no Information Element', from)
    if (layout === undefined) {
      layout = shape.template.layout
      id = contents.idFor(shape.template, 0, idAt)
    } else if (layout !== shape.template.layout) {
      throw fault('the records of a list have different Templates', from)
    }
    readRecord(text, members, shape, head.notes.hidden, out, contents)
  }
  if (layout === undefined) id = idOfNone(text, at, spans, contents, idAt)
  out.view.setUint16(idAt, id)
}

/** The Template id of a list without records. */
function idOfNone(
  text: Uint8Array,
  at: number,
  spans: Spans,
  contents: ListContents,
  idAt: number,
): number {
  const span = spans.get('template')
  if (span === undefined) {
    const given = spans.has('templateId') ? integer(text, spans, 'templateId', 0, 65535, at) : 65535
    return contents.idFor(undefined, given, idAt)
  }
  if (text[span[0]] !== 123) throw fault('template is no object', span[0])
  const {template: notes} = readIpfixNotes(text, ...span)
  const members = createMembers()
  scanObject(text, span[0], span[1], 1, members)
  const {scope} = readHead(text, members)
  return contents.idFor(notedTemplate(0, scope, notes, span[0]), 0, idAt)
}

const check = createOctetBuffer(1024)

/**
 * Whether reading the list in `text` from `from` to `to` makes the `length` octets at `start` again,
 * out of the same Templates.
 */
export function makesSameList(
  text: Uint8Array,
  from: number,
  to: number,
  type: AbstractType,
  context: ListContext,
  start: number,
  length: number,
): boolean {
  let same = true
  const contents: ListContents = {
    // So far the octets are the same, so that the original id stands at the same place.
    idFor(template, given, at) {
      const original = start + at
      const id = (context.octets[original] << 8) | context.octets[original + 1]
      if (template === undefined) return given
      if (context.templates?.get(id)?.layout !== template.layout) same = false
      return id
    },
    element() {},
  }
  check.at = 0
  try {
    // Three deep: a record in the array of the json format.
    scanObject(text, from, to, 3, createMembers())
    readList(text, from, to, type, check, contents)
  } catch (error) {
    if (error instanceof DartaError) return false
    throw error
  }
  if (!same || check.at !== length) return false
  for (let i = 0; i < length; i++) {
    if (check.octets[i] !== context.octets[start + i]) return false
  }
  return true
}
