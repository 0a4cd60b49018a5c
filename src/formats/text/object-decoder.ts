import {namesTemplate} from '../../ipfix/list-templates.js'
import type {ElementLookup, MessageContext, RecordBatch} from '../../record/batch.js'
import {isList, unknownElement, type InformationElement} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import type {DecodeContext} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import type {Template} from '../../record/template.js'
import {elementByNumber} from '../../registry/lookup.js'
import {createMembers, scanObject, skipSpace, type Members} from './json-scan.js'
import {gapsOf, readAlike, type Gaps} from './read-alike.js'
import {createOctetBuffer, type OctetBuffer} from './octet-buffer.js'
import {
  readHead,
  readRecord,
  shapeOf,
  type IpfixNotes,
  type ListContents,
  type ObjectHead,
} from './read-record.js'
import {latest} from './read-values.js'
import type {RecordShape} from './record-shape.js'

/** Octets of a line, at most; longer ones are not kept. */
export const MAX_LINE_OCTETS = 1048576

/** Turns JSON objects, one record each, into batches. */
export interface ObjectDecoder {
  /**
   * Reads the object in `text` from `start` to `end`, white space around it allowed. A fault is counted
   * and the object left out.
   *
   * @param offset of `text` in the input
   * @param line from 1, or undefined where the input has no lines
   * @param last whether the input ends behind it without a sign that the object is whole
   */
  object(
    text: Uint8Array,
    start: number,
    end: number,
    offset: number,
    line?: number,
    last?: boolean,
  ): void
  /** The batches of the records read since the last call. */
  take(): RecordBatch[]
}

const NOTHING: Uint8Array = new Uint8Array(0)

/** An object whose head was seen: what of the next one is the same need not be read again. */
interface SeenHead {
  /** Keys, one after another, with the octet where each ends. */
  readonly keys: Uint8Array
  readonly keyEnds: readonly number[]
  readonly items: readonly number[]
  readonly scope: Uint8Array
  ipfix: Uint8Array
  readonly ipfixMember: number
  readonly scopeMember: number
  head: ObjectHead
  shape: RecordShape
  /** Undefined where lines have to be read in full. */
  gaps: Gaps | undefined
}

/** Records that will be one batch. */
interface OpenBatch {
  readonly template: Template
  readonly message: MessageContext
  readonly templates: Map<number, Template>
  readonly elements: Map<string, InformationElement>
  readonly starts: number[]
  /** Whether the Message's time has to be taken from the records. */
  readonly derived: boolean
}

export function createObjectDecoder(
  {source}: DecodeContext,
  account: StageLedger,
  foreignAccount: StageLedger,
): ObjectDecoder {
  const members = createMembers()
  const recent: SeenHead[] = []
  const templates = new Map<string, Template>()
  let out: OctetBuffer = createOctetBuffer(65536)
  let viewed: Uint8Array = NOTHING
  let view = new DataView(NOTHING.buffer)
  let open: OpenBatch | undefined
  let closed: Omit<RecordBatch, 'octets' | 'view'>[] = []
  let exportTime = 0
  /** Templates under the IDs that lines told, by Observation Domain. */
  const given = new Map<number, Map<number, Template>>()

  function object(
    text: Uint8Array,
    start: number,
    end: number,
    offset: number,
    line?: number,
    last = false,
  ): void {
    const begin = out.at
    const from = skipSpace(text, start, end)
    account.in++
    latest.second = 0
    used.clear()
    described.clear()
    const alike = findAlike(text, from, end)
    if (alike !== undefined) {
      append(alike.shape, alike.head.notes, begin, offset + start)
      account.out++
      return
    }
    try {
      const behind = scanObject(text, from, end, 1, members)
      const rest = skipSpace(text, behind, end)
      if (rest < end) {
        throw new DartaError('DARTA_NDJSON_SYNTAX', 'something follows the object', rest)
      }
      const seen = find(text) ?? learn(text, from)
      const shape = readWith(text, seen, from)
      const {hidden} = seen.head.notes
      const simple = hidden === undefined && shape.foreign === 0 && shape === seen.shape
      seen.gaps = simple ? gapsOf(text, from, behind, members, shape) : undefined
      if (shape.foreign > 0) {
        foreignAccount.in += shape.foreign
        foreignAccount.lose('no-element', shape.foreign, offset + from)
      }
      append(shape, seen.head.notes, begin, offset + start)
      account.out++
    } catch (error) {
      if (!(error instanceof DartaError)) throw error
      out.at = begin
      account.lose(reasonOf(error, last), 1, offset + (error.offset ?? from), line)
    }
  }

  /** Appends the record of a line that differs from one before in its values alone; says from which. */
  function findAlike(text: Uint8Array, start: number, end: number): SeenHead | undefined {
    if (text !== viewed) {
      viewed = text
      view = new DataView(text.buffer, text.byteOffset, text.byteLength)
    }
    const begin = out.at
    for (let i = 0; i < recent.length; i++) {
      const seen = recent[i]
      if (seen.gaps === undefined) continue
      const behind = readAlike(text, view, start, end, seen.gaps, seen.shape, out)
      if (behind >= 0 && skipSpace(text, behind, end) === end) {
        toFront(i)
        return seen
      }
      out.at = begin
    }
    return undefined
  }

  function toFront(i: number): void {
    if (i > 0) recent.unshift(...recent.splice(i, 1))
  }

  /** A head that was seen and is the same, but perhaps for what `_ipfix` says. */
  function find(text: Uint8Array): SeenHead | undefined {
    for (let i = 0; i < recent.length; i++) {
      const seen = recent[i]
      if (!isSame(seen, text, members)) continue
      const m = seen.ipfixMember
      if (m >= 0 && !isSpan(seen.ipfix, 0, text, members.valueStart[m], members.valueEnd[m])) {
        renew(seen, text, m)
      }
      toFront(i)
      return seen
    }
    return undefined
  }

  /** Takes in another `_ipfix` under the same keys. */
  function renew(seen: SeenHead, text: Uint8Array, member: number): void {
    const head = readHead(text, members)
    const before = seen.head.notes
    const same =
      head.notes.templateText === before.templateText &&
      head.notes.message.templateId === before.message.templateId
    if (!same) seen.shape = shapeFor(head, members.keyStart[0])
    seen.head = head
    seen.ipfix = text.slice(members.valueStart[member], members.valueEnd[member])
  }

  function learn(text: Uint8Array, at: number): SeenHead {
    const head = readHead(text, members)
    const indexOf = (name: string): number => head.keys.findIndex(({key}) => key === name)
    const span = (member: number): Uint8Array =>
      member < 0 ? NOTHING : text.slice(members.valueStart[member], members.valueEnd[member])
    const {count} = members
    const lengths = Array.from({length: count}, (_, i) => members.keyEnd[i] - members.keyStart[i])
    const keys = new Uint8Array(lengths.reduce((a, b) => a + b, 0))
    let end = 0
    const keyEnds = lengths.map((n, i) => {
      keys.set(text.subarray(members.keyStart[i], members.keyEnd[i]), end)
      return (end += n)
    })
    const seen: SeenHead = {
      keys,
      keyEnds,
      items: members.items.slice(0, count),
      scope: span(indexOf('_scope')),
      ipfix: span(indexOf('_ipfix')),
      ipfixMember: indexOf('_ipfix'),
      scopeMember: indexOf('_scope'),
      head,
      shape: shapeFor(head, at),
      gaps: undefined,
    }
    recent.unshift(seen)
    if (recent.length > 8) recent.pop()
    return seen
  }

  function shapeFor(head: ObjectHead, at: number): RecordShape {
    const {templateId} = head.notes.message
    return shapeOf(head, templateId || automatic(shapeOf(head, 0, at).template).id, at)
  }

  /** The Template under an id of our own, one for each layout: from above, away from those in use elsewhere. */
  function automatic(template: Template): Template {
    let known = templates.get(template.layout)
    if (known === undefined) {
      if (templates.size >= 65280) templates.clear()
      known = {...template, id: 65535 - templates.size}
      templates.set(template.layout, known)
    }
    return known
  }

  /** Templates of the lists of the record in hand, and elements that are not registered. */
  const used = new Map<number, Template>()
  const described = new Map<string, InformationElement>()
  const listContents: ListContents = {
    idFor(template, given) {
      if (template === undefined) return given
      const known = automatic(template)
      used.set(known.id, known)
      return known.id
    },
    element(element) {
      described.set(`${element.enterpriseNumber}/${element.elementId}`, element)
    },
  }

  /** Appends the record; where its encoded lengths do not hold its values any more, in full lengths. */
  function readWith(text: Uint8Array, {head, shape}: SeenHead, at: number): RecordShape {
    const {hidden, template} = head.notes
    const begin = out.at
    try {
      readRecord(text, members, shape, hidden, out, listContents)
      return shape
    } catch (error) {
      if (!(error instanceof DartaError)) throw error
      if (hidden === undefined && template.lengths === undefined) throw error
      out.at = begin
      used.clear()
      described.clear()
      try {
        const full = shapeOf(head, shape.template.id, at, true)
        readRecord(text, members, full, undefined, out, listContents)
        return full
      } catch {
        throw error
      }
    }
  }

  function append(shape: RecordShape, notes: IpfixNotes, begin: number, offset: number): void {
    const {template} = shape
    if (notes.message.templateId !== 0) {
      remember(notes.message.observationDomainId, template)
    }
    if (open === undefined || open.template !== template || !belongs(open, notes)) {
      close(begin)
      const {message} = notes
      open = {
        template,
        message: {
          exportTime: message.exportTime ?? 0,
          sequenceNumber: message.sequenceNumber,
          observationDomainId: message.observationDomainId,
          exporter: message.exporter ?? source,
          offset,
        },
        templates: new Map(used),
        elements: new Map(described),
        starts: [],
        derived: message.exportTime === undefined,
      }
    } else {
      for (const [id, inner] of used) open.templates.set(id, inner)
      for (const [number, element] of described) open.elements.set(number, element)
    }
    open.starts.push(begin)
    if (open.derived) exportTime = Math.max(exportTime, Math.min(latest.second, 0xffffffff))
  }

  /** Keeps the last Template of each ID that lines told. */
  function remember(domainId: number, template: Template): void {
    let own = given.get(domainId)
    if (own?.get(template.id) === template) return
    if (own === undefined) {
      // What comes in decides the number of domains, and of IDs in them there are 65280.
      if (given.size >= 256) given.clear()
      given.set(domainId, (own = new Map<number, Template>()))
    }
    own.set(template.id, template)
  }

  function belongs(batch: OpenBatch, notes: IpfixNotes): boolean {
    const {message, derived} = batch
    const {message: other} = notes
    if (
      derived !== (other.exportTime === undefined) ||
      (!derived && message.exportTime !== other.exportTime) ||
      message.observationDomainId !== other.observationDomainId ||
      message.sequenceNumber !== other.sequenceNumber ||
      message.exporter !== (other.exporter ?? source)
    ) {
      return false
    }
    for (const [id, template] of used) {
      const known = batch.templates.get(id)
      if (known !== undefined && known.layout !== template.layout) return false
    }
    for (const [number, element] of described) {
      const known = batch.elements.get(number)
      if (known !== undefined && known !== element) return false
    }
    return true
  }

  /** Ends the open batch at octet `end`. */
  function close(end: number): void {
    if (open === undefined) return
    const {template, starts, derived} = open
    const {observationDomainId} = open.message
    const lists = template.fields.some(({element}) => isList(element.type))
    const names = template.fields.some(({element}) => namesTemplate(element))
    const inner = names
      ? new Map([...(given.get(observationDomainId) ?? []), ...open.templates])
      : open.templates
    closed.push({
      template,
      start: starts[0],
      count: starts.length,
      offsets: template.recordOctets > 0 ? undefined : Uint32Array.of(...starts, end),
      message: derived ? {...open.message, exportTime} : open.message,
      ...((lists || names) && {templates: inner, elements: lookup(open.elements)}),
    })
    open = undefined
  }

  return {
    object,
    take() {
      close(out.at)
      if (closed.length === 0) return []
      const octets = out.octets.subarray(0, out.at)
      const {view} = out
      const batches = closed.map((batch) => ({...batch, octets, view}))
      closed = []
      out = createOctetBuffer(Math.max(4096, Math.min(out.at * 2, 1048576)))
      return batches
    },
  }
}

/** The registry, and what the lines of a batch described. */
function lookup(described: ReadonlyMap<string, InformationElement>): ElementLookup {
  return {
    get: (enterpriseNumber, elementId) =>
      elementByNumber(enterpriseNumber, elementId) ??
      described.get(`${enterpriseNumber}/${elementId}`) ??
      unknownElement(enterpriseNumber, elementId),
  }
}

function reasonOf({code, message}: DartaError, last: boolean): string {
  if (code === 'DARTA_NDJSON_LIMIT') return 'nesting'
  if (code !== 'DARTA_NDJSON_SYNTAX') return 'value'
  if (last) return 'cut-short'
  return message === 'not UTF-8' ? 'not-utf8' : 'not-json'
}

function isSame(seen: SeenHead, text: Uint8Array, members: Members): boolean {
  const {count, keyStart, keyEnd, items} = members
  const {keyEnds} = seen
  if (count !== keyEnds.length) return false
  let begin = 0
  for (let i = 0; i < count; i++) {
    const end = keyEnds[i]
    if (end - begin !== keyEnd[i] - keyStart[i] || items[i] !== seen.items[i]) return false
    for (let a = begin, b = keyStart[i]; a < end; a++, b++) {
      if (seen.keys[a] !== text[b]) return false
    }
    begin = end
  }
  const s = seen.scopeMember
  return s < 0 || isSpan(seen.scope, 0, text, members.valueStart[s], members.valueEnd[s])
}

function isSpan(a: Uint8Array, at: number, text: Uint8Array, start: number, end: number): boolean {
  if (a.length !== end - start) return false
  for (let i = at, j = start; j < end; i++, j++) if (a[i] !== text[j]) return false
  return true
}
