import {
  VARIABLE,
  fullLength,
  isList,
  unknownElement,
  type AbstractType,
} from '../../record/element.js'
import {MAX_LIST_DEPTH} from '../../record/lists.js'
import {elementByNumber} from '../../registry/lookup.js'
import {putText, reserve, type TextBuffer} from './buffer.js'
import {elementKeys} from './element-keys.js'
import {nestedText, type JsonRecordWriter, type ListContext} from './json-record.js'
import {SCALAR_OCTETS, jsonWriter, putJsonOctets} from './json-values.js'
import {listSemantics} from './list-semantics.js'
import {makesSameList} from './read-lists.js'

/** Whether lists are written as structure; if not, as octets in marked form. */
export type ListForm = 'structure' | 'octets'

let depth = 0

/**
 * Writes a structured data field, RFC 6313:
 *
 *     {"semantic":"allOf","element":"interfaceName","items":["eth0","eth1"]}
 *     {"semantic":"ordered","records":[{…},{…}]}
 *     {"semantic":"allOf","groups":[{"records":[{…}]},…]}
 *
 * The records show their Template, so that its id, which is the session's affair, does not appear. Where there are
 * none, `template` describes it, or if it is not known `templateId` names it.
 *
 * A list is written so only if reading the text makes the same octets again. Any other (octets that do
 * not fit, a Template that is not known, an unusual encoding inside) is written as octets in marked form.
 */
export function putJsonList(
  out: TextBuffer,
  type: AbstractType,
  context: ListContext,
  start: number,
  length: number,
  writer: JsonRecordWriter,
): void {
  const from = out.at - out.begin
  const outermost = depth === 0
  let good = depth < MAX_LIST_DEPTH
  if (good) {
    depth++
    try {
      good = putStructure(out, type, context, start, start + length, writer)
    } finally {
      depth--
    }
  }
  if (good && outermost && writer.hidden) {
    good = makesSameList(out.octets, out.begin + from, out.at, type, context, start, length)
  }
  if (good) return
  out.at = out.begin + from
  putJsonOctets(out, context.octets, start, length)
}

/** False if the octets are no such list; what has been written is void then. */
function putStructure(
  out: TextBuffer,
  type: AbstractType,
  context: ListContext,
  start: number,
  end: number,
  writer: JsonRecordWriter,
): boolean {
  const {octets} = context
  if (start >= end) return false
  const semantic = listSemantics.get(octets[start])
  putText(out, `{"semantic":${semantic === undefined ? octets[start] : `"${semantic}"`},`)
  if (type === 'basicList') return putItems(out, context, start + 1, end, writer)
  if (type === 'subTemplateList') {
    if (end - start < 3) return false
    return putRecords(out, context, uint16(octets, start + 1), start + 3, end, writer)
  }
  putText(out, '"groups":[')
  let at = start + 1
  while (at < end) {
    if (end - at < 4) return false
    const length = uint16(octets, at + 2)
    if (length < 4 || at + length > end) return false
    putText(out, at === start + 1 ? '{' : ',{')
    if (!putRecords(out, context, uint16(octets, at), at + 4, at + length, writer)) return false
    at += length
  }
  putText(out, ']}')
  return true
}

/** The rest of a basicList: element, length, items. */
function putItems(
  out: TextBuffer,
  context: ListContext,
  start: number,
  end: number,
  writer: JsonRecordWriter,
): boolean {
  const {octets} = context
  if (end - start < 4) return false
  const id = uint16(octets, start)
  const length = uint16(octets, start + 2)
  let at = start + 4
  let enterprise = 0
  if (id & 0x8000) {
    if (end - at < 4) return false
    enterprise = uint16(octets, at) * 65536 + uint16(octets, at + 2)
    at += 4
  }
  const elementId = id & 0x7fff
  const element =
    context.elements?.get(enterprise, elementId) ??
    elementByNumber(enterprise, elementId) ??
    unknownElement(enterprise, elementId)
  const {keys, described} = elementKeys([element])
  putText(out, `"element":${JSON.stringify(keys[0])},`)
  const description = described.get(keys[0])
  if (description !== undefined) putText(out, `"type":"${description}",`)
  if (length !== fullLength(element.type)) putText(out, `"length":${length},`)
  putText(out, '"items":[')
  const write = isList(element.type) ? undefined : jsonWriter(element, length, writer.bigint)
  let items = 0
  while (at < end) {
    let n = length
    if (length === VARIABLE) {
      n = octets[at++]
      if (n === 255) {
        if (end - at < 2) return false
        n = uint16(octets, at)
        at += 2
      }
    } else if (n === 0) {
      return false
    }
    if (at + n > end) return false
    reserve(out, SCALAR_OCTETS + 1)
    if (items++ > 0) out.octets[out.at++] = 44
    if (write === undefined) putJsonList(out, element.type, context, at, n, writer)
    else write(out, octets, at, n)
    at += n
  }
  putText(out, ']}')
  return true
}

/** The records of a list or of a group; closes the object. */
function putRecords(
  out: TextBuffer,
  context: ListContext,
  templateId: number,
  start: number,
  end: number,
  writer: JsonRecordWriter,
): boolean {
  const template = context.templates?.get(templateId)
  const plan = template && writer.plan(template)
  if (start >= end) {
    const hint = plan ? `"template":${plan.templateText}` : `"templateId":${templateId}`
    putText(out, `${hint},"records":[]}`)
    return true
  }
  if (plan === undefined || plan.template.minimumOctets === 0) return false
  const ipfix = writer.hidden ? nestedText(plan) : NOTHING
  putText(out, '"records":[')
  let at = start
  while (at < end) {
    if (at > start) {
      reserve(out, 1)
      out.octets[out.at++] = 44
    }
    at = writer.write(out, plan, context, at, end, ipfix, 'structure')
    if (at < 0) return false
  }
  putText(out, ']}')
  return true
}

const NOTHING = new Uint8Array(0)

function uint16(octets: Uint8Array, at: number): number {
  return (octets[at] << 8) | octets[at + 1]
}
