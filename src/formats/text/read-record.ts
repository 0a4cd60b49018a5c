import {
  VARIABLE,
  fullLength,
  isList,
  type AbstractType,
  type InformationElement,
} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import type {Template} from '../../record/template.js'
import {NULL, spanText, type Members} from './json-scan.js'
import {usualLengthOctets} from './json-plan.js'
import {grow, type OctetBuffer} from './octet-buffer.js'
import {readList} from './read-lists.js'
import {readHex, readMarkedOctets, readString, scalarReader} from './read-values.js'
import {
  MAX_RECORD_OCTETS,
  NOT_AN_ARRAY,
  recordShape,
  type KeyCount,
  type RecordShape,
  type ShapeStep,
  type TemplateNotes,
} from './record-shape.js'
import {ntpMicroseconds, ntpNanoseconds} from './scalars.js'

/** What the Message says, where a line has it. RFC 7011 section 3.1. */
export interface MessageNotes {
  /** Seconds since 1970. */
  readonly exportTime: number | undefined
  readonly observationDomainId: number
  readonly sequenceNumber: number
  readonly exporter: string | undefined
  /** 256..65535, or 0 for none given. */
  readonly templateId: number
}

type ByKey = Readonly<Record<string, number | readonly number[]>>

/** What a record's octets say beyond its values; the members of `_ipfix` of these names. */
export interface HiddenNotes {
  readonly lengthOctets?: ByKey
  readonly sizes?: ByKey
  readonly fractions?: ByKey
}

/** `_ipfix`, read. */
export interface IpfixNotes {
  readonly message: MessageNotes
  readonly template: TemplateNotes
  /** Same for notes that say the same of the Template. */
  readonly templateText: string
  readonly hidden: HiddenNotes | undefined
}

/** Takes in what lists bring with them that readers of the record will need. */
export interface ListContents {
  /**
   * The id of a Template that is written at octet `at` of the output.
   *
   * @param given the id that the text has, where the Template is not known; then `template` is undefined
   */
  idFor(template: Template | undefined, given: number, at: number): number
  /** An element that is not registered. */
  element(element: InformationElement): void
}

function fault(message: string, at: number): DartaError {
  return new DartaError('DARTA_VALUE', message, at)
}

const NO_MESSAGE: MessageNotes = {
  exportTime: undefined,
  observationDomainId: 0,
  sequenceNumber: 0,
  exporter: undefined,
  templateId: 0,
}

export const NO_NOTES: IpfixNotes = {
  message: NO_MESSAGE,
  template: {},
  templateText: '',
  hidden: undefined,
}

/** Reads `_ipfix`; members of other names are left alone. @throws DartaError DARTA_VALUE */
export function readIpfixNotes(text: Uint8Array, start: number, end: number): IpfixNotes {
  const value: unknown = JSON.parse(spanText(text, start, end))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fault('_ipfix is no object', start)
  }
  const own = new Map(Object.entries(value))
  const integer = (name: string, most: number): number => {
    const n: unknown = own.get(name) ?? 0
    if (typeof n === 'number' && Number.isInteger(n) && n >= 0 && n <= most) return n
    throw fault(`${name} is not 0 to ${most}`, start)
  }
  const object = <T>(name: string): T | undefined => {
    const found: unknown = own.get(name)
    if (found === undefined) return undefined
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found as T
    throw fault(`${name} is no object`, start)
  }
  const fields: unknown = own.get('fields')
  if (fields !== undefined && !isStringArray(fields))
    throw fault('fields is no list of keys', start)
  const exporter: unknown = own.get('exporter')
  if (exporter !== undefined && typeof exporter !== 'string') {
    throw fault('exporter is no string', start)
  }
  const lengths = object<ByKey>('lengths')
  const elements = object<Record<string, string>>('elements')
  const hidden: HiddenNotes = {
    lengthOctets: object('lengthOctets'),
    sizes: object('sizes'),
    fractions: object('fractions'),
  }
  const objects = object<Record<string, unknown>>('objects')
  const template: TemplateNotes = {lengths, fields, elements, objects}
  return {
    message: {
      exportTime: exportTime(own.get('exportTime'), start),
      observationDomainId: integer('observationDomainId', 0xffffffff),
      sequenceNumber: integer('sequenceNumber', 0xffffffff),
      exporter,
      templateId: templateId(integer('templateId', 65535), start),
    },
    template,
    templateText: JSON.stringify(template),
    hidden: Object.values(hidden).some((notes) => notes !== undefined) ? hidden : undefined,
  }
}

function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

const readExportTime = scalarReader('dateTimeSeconds')

function exportTime(value: unknown, at: number): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value.length > 64) throw fault('exportTime is no time', at)
  const text = new TextEncoder().encode(`"${value}"`)
  const octets = new Uint8Array(4)
  const out: OctetBuffer = {octets, view: new DataView(octets.buffer), at: 0}
  try {
    readExportTime(text, 0, text.length, out, 4)
  } catch (error) {
    throw new DartaError('DARTA_VALUE', 'exportTime is no time', at, error)
  }
  return out.view.getUint32(0)
}

function templateId(id: number, at: number): number {
  if (id !== 0 && id < 256) throw fault('templateId is not 256 to 65535', at)
  return id
}

/** The text of a member name; most have no escapes. */
function keyText(text: Uint8Array, start: number, end: number): string {
  const source = spanText(text, start, end)
  return source.includes('\\') ? (JSON.parse(`"${source}"`) as string) : source
}

/** Shapes that were seen, by what they depend on. */
const shapes = new Map<string, RecordShape>()

/** Keys, scope and notes of an object: all that its shape depends on. */
export interface ObjectHead {
  readonly keys: readonly KeyCount[]
  readonly scope: readonly string[]
  readonly notes: IpfixNotes
}

/** Reads the head of the object that `members` describe. @throws DartaError DARTA_VALUE */
export function readHead(text: Uint8Array, members: Members): ObjectHead {
  const keys: KeyCount[] = []
  let scope: readonly string[] = []
  let notes = NO_NOTES
  for (let i = 0; i < members.count; i++) {
    const key = keyText(text, members.keyStart[i], members.keyEnd[i])
    if (key === '_ipfix') {
      if (notes !== NO_NOTES) throw fault('two members are _ipfix', members.keyStart[i])
      notes = readIpfixNotes(text, members.valueStart[i], members.valueEnd[i])
    } else if (key === '_scope') {
      const value: unknown = JSON.parse(spanText(text, members.valueStart[i], members.valueEnd[i]))
      if (!isStringArray(value) || value.length === 0) {
        throw fault('_scope is no list of keys', members.valueStart[i])
      }
      scope = value
    }
    const items = members.items[i]
    keys.push({key, count: items === NULL ? 0 : items >= 0 ? items : NOT_AN_ARRAY})
  }
  return {keys, scope, notes}
}

/** The shape of objects with this head. @throws DartaError DARTA_VALUE */
export function shapeOf(head: ObjectHead, id: number, at: number, relaxed = false): RecordShape {
  const {keys, scope, notes} = head
  const template = relaxed ? {...notes.template, lengths: undefined} : notes.template
  const signature = JSON.stringify([
    id,
    keys.map(({key, count}) => [key, count]),
    scope,
    relaxed ? JSON.stringify(template) : notes.templateText,
  ])
  let shape = shapes.get(signature)
  if (shape === undefined) {
    shape = recordShape(id, keys, scope, template, at)
    // A flood of keys must not fill the memory.
    if (shapes.size >= 4096) shapes.clear()
    shapes.set(signature, shape)
  }
  return shape
}

/**
 * Appends the octets of the record whose object `members` describe. `contents` takes in what its
 * lists use.
 *
 * @throws DartaError DARTA_VALUE
 */
export function readRecord(
  text: Uint8Array,
  members: Members,
  shape: RecordShape,
  hidden: HiddenNotes | undefined,
  out: OctetBuffer,
  contents: ListContents,
): void {
  const begin = out.at
  for (const step of shape.steps) {
    const {member, item, read, length} = step
    const entry = item < 0 ? member : members.firstItem[member] + item
    const start = item < 0 ? members.valueStart[entry] : members.itemStart[entry]
    const end = item < 0 ? members.valueEnd[entry] : members.itemEnd[entry]
    const {at} = out
    if (length === VARIABLE) {
      readVariable(text, start, end, step, hidden, out, contents)
    } else if (read !== undefined) {
      read(text, start, end, out, length)
    } else {
      const n = readListOctets(text, start, end, step.element.type, out, contents)
      if (n !== length) throw fault(`a list of ${length} octets is expected`, start)
    }
    if (hidden?.fractions !== undefined && out.at - at >= 8) {
      restoreFraction(step, hidden.fractions, out)
    }
  }
  if (out.at - begin > MAX_RECORD_OCTETS) {
    throw fault('the record is longer than a Message', members.keyStart[0])
  }
}

/** A value with its length octets. RFC 7011 section 7. */
function readVariable(
  text: Uint8Array,
  start: number,
  end: number,
  step: ShapeStep,
  hidden: HiddenNotes | undefined,
  out: OctetBuffer,
  contents: ListContents,
): void {
  const {element} = step
  const {type} = element
  const asked = hidden && noted(hidden.lengthOctets, step)
  const begin = out.at
  const room = isList(type) || asked === 3 ? 3 : 1
  grow(out, 3)
  out.at += room
  const size = hidden && noted(hidden.sizes, step)
  const n = readVariableValue(text, start, end, type, size, out, contents)
  if (n > 65535) throw fault('a value is longer than 65535 octets', start)
  putLength(
    out,
    begin,
    room,
    asked === 1 && n < 255 ? 1 : n >= 255 || asked === 3 ? 3 : usualLengthOctets(element, n),
  )
}

/** Puts the length of the value that ends at `out.at` before it, moving it if need be. */
export function putLength(
  out: OctetBuffer,
  begin: number,
  room: number,
  lengthOctets: 1 | 3,
): void {
  const n = out.at - begin - room
  if (room !== lengthOctets) {
    grow(out, 2)
    out.octets.copyWithin(begin + lengthOctets, begin + room, out.at)
    out.at += lengthOctets - room
  }
  if (lengthOctets === 1) {
    out.octets[begin] = n
  } else {
    out.octets[begin] = 255
    out.octets[begin + 1] = n >> 8
    out.octets[begin + 2] = n & 255
  }
}

const readers = new Map<AbstractType, ReturnType<typeof scalarReader>>()

/** Appends a value of any length; returns how many octets it has. */
export function readVariableValue(
  text: Uint8Array,
  start: number,
  end: number,
  type: AbstractType,
  size: number | undefined,
  out: OctetBuffer,
  contents: ListContents,
): number {
  if (isList(type)) return readListOctets(text, start, end, type, out, contents)
  if (text[start] === 123) return readMarkedOctets(text, start, end, out)
  if (type === 'string') return readString(text, start, end, out)
  if (type === 'octetArray') return readHex(text, start, end, out)
  let read = readers.get(type)
  if (read === undefined) readers.set(type, (read = scalarReader(type)))
  const n = size ?? fullLength(type)
  read(text, start, end, out, n)
  return n
}

/** A list as structure or in marked form. */
function readListOctets(
  text: Uint8Array,
  start: number,
  end: number,
  type: AbstractType,
  out: OctetBuffer,
  contents: ListContents,
): number {
  const begin = out.at
  readList(text, start, end, type, out, contents)
  return out.at - begin
}

/** The note of this field, if it is a number as it must be. */
function noted(notes: ByKey | undefined, {key, occurrence}: ShapeStep): number | undefined {
  if (notes === undefined || !Object.hasOwn(notes, key)) return undefined
  const value = notes[key]
  const n: unknown = typeof value === 'object' && value !== null ? value[occurrence] : value
  return typeof n === 'number' && Number.isInteger(n) && n >= 0 && n <= 0xffffffff ? n : undefined
}

/** Gives a time its own NTP fraction back, unless the time has been changed since. */
function restoreFraction(step: ShapeStep, fractions: ByKey, out: OctetBuffer): void {
  const fraction = noted(fractions, step)
  const {type} = step.element
  if (fraction === undefined) return
  const read = type === 'dateTimeNanoseconds' ? ntpNanoseconds : ntpMicroseconds
  if (type !== 'dateTimeNanoseconds' && type !== 'dateTimeMicroseconds') return
  const at = out.at - 4
  if (read(fraction) === read(out.view.getUint32(at))) out.view.setUint32(at, fraction)
}
