import type {DecodeContext, Decoder} from '../../record/format.js'
import {addressText, hexText, macText} from '../../record/value.js'
import {createXdrReader, XdrFault, type XdrReader} from '../../record/xdr-reader.js'
import {createTaker, type TypedField} from '../map/taker.js'
import {ipdrMapping, localName} from './fields.js'
import {ipdrType, readField, type IpdrType} from './types.js'

/** Octets that a header, a descriptor or a record has at most. */
const MOST_ELEMENT = 1 << 20
const MOST_TEXT = 65535
/** Namespaces and service definitions that a header names, descriptors of a document, fields of a record. */
const MOST_NAMED = 1024
/** How deep structures may lie in each other. */
const MOST_DEPTH = 16
/** Elements of an array. */
const MOST_ITEMS = 65536
/** In the place of a length: it ends where it ends. */
const INDEFINITE = 0xffffffff

/** What stands in front of each element of a document. */
const KIND = {descriptor: 1, record: 2, end: 3} as const
const END_OCTETS = 16
const UUID_OCTETS = 16

/** Flags of a field's type. IPDR/XDR Encoding Format 3.5.1 section 4.3.1.2. */
const ARRAY = 0x40000000
const STRUCTURE = 0x80000000

/** A field of a record; members, if it is a structure. */
interface Attribute {
  readonly name: string
  readonly type: IpdrType | undefined
  readonly members: readonly Attribute[]
  readonly isArray: boolean
}

interface Descriptor {
  readonly typeName: string
  readonly attributes: readonly Attribute[]
}

interface Header {
  /** Version 3: what is of variable length is padded to multiples of four octets, and types are one digit. */
  readonly old: boolean
  /** Elements that follow; undefined: until one says that it is the last. */
  readonly elements: number | undefined
}

/**
 * The header of a document.
 *
 *     version | recorder | start time | default namespace | other namespaces | service definitions | document ID | elements
 *
 * @throws XdrFault
 */
function readHeader(octets: Uint8Array): Header & {
  readonly octets: number
  readonly document: Uint8Array
} {
  const version = createXdrReader(octets).unsigned32()
  if (version !== 3 && version !== 4) throw new XdrFault('value', 0)
  const old = version === 3
  const reader = createXdrReader(octets, 0, octets.length, old)
  reader.at = 4
  reader.opaque(MOST_TEXT)
  reader.unsigned64()
  reader.opaque(MOST_TEXT)
  for (let n = countOf(reader, MOST_NAMED); n > 0; n--) {
    reader.opaque(MOST_TEXT)
    reader.opaque(MOST_TEXT)
  }
  for (let n = countOf(reader, MOST_NAMED); n > 0; n--) reader.opaque(MOST_TEXT)
  const document = reader.opaque(UUID_OCTETS)
  const count = reader.unsigned32()
  const elements = count === INDEFINITE ? undefined : count
  return {old, elements, document, octets: reader.at}
}

/** Whether octets begin with the whole header of an IPDR document in XDR, whose name is a UUID. */
export function isXdrDocument(head: Uint8Array): boolean {
  if (head.length < 4 || head[0] !== 0 || head[1] !== 0 || head[2] !== 0) return false
  try {
    return readHeader(head).document.length === UUID_OCTETS
  } catch (error) {
    if (error instanceof XdrFault) return false
    throw error
  }
}

const isKind = (kind: number): boolean => kind >= KIND.descriptor && kind <= KIND.end

function countOf(reader: XdrReader, most: number): number {
  const {at} = reader
  const count = reader.unsigned32()
  if (count <= most) return count
  reader.at = at
  throw new XdrFault('value', at)
}

function readAttributes(reader: XdrReader, count: number, old: boolean, depth = 0): Attribute[] {
  const attributes: Attribute[] = []
  for (let n = count; n > 0; n--) {
    const name = localName(reader.text(MOST_TEXT))
    const {at} = reader
    const number = reader.unsigned32()
    const isArray = (number & ARRAY) !== 0
    let type: IpdrType | undefined
    let members: readonly Attribute[] = []
    const isStructure = number >= STRUCTURE
    const memberCount = isStructure ? countOf(reader, MOST_NAMED) : 0
    // How many an array has at most: each record says how many it has.
    if (isArray) reader.unsigned32()
    if (isStructure) {
      if (depth >= MOST_DEPTH) throw new XdrFault('value', at)
      members = readAttributes(reader, memberCount, old, depth + 1)
    } else {
      type = ipdrType(number & ~ARRAY, old)
      if (type === undefined) throw new XdrFault('value', at)
    }
    attributes.push({name, type, members, isArray})
  }
  return attributes
}

/** Fields of a record; those of structures have a dot between, arrays are JSON. */
function readFields(
  reader: XdrReader,
  attributes: readonly Attribute[],
  prefix: string,
  out: TypedField[],
): void {
  for (const {name, type, members, isArray} of attributes) {
    const field = prefix + name
    if (isArray) {
      const items: unknown[] = []
      for (let n = countOf(reader, MOST_ITEMS); n > 0; n--) {
        if (type === undefined) items.push(structureOf(reader, members))
        else items.push(jsonValue(readField(reader, name, type)))
      }
      out.push([field, items.length === 0 ? '' : JSON.stringify(items), 'string'])
    } else if (type === undefined) {
      readFields(reader, members, `${field}.`, out)
    } else {
      out.push(readField(reader, field, type))
    }
  }
}

function structureOf(reader: XdrReader, members: readonly Attribute[]): Record<string, unknown> {
  const fields: TypedField[] = []
  readFields(reader, members, '', fields)
  return Object.fromEntries(fields.map((field) => [field[0], jsonValue(field)]))
}

function jsonValue([, value, type]: TypedField): unknown {
  if (typeof value === 'bigint') return String(value)
  if (!(value instanceof Uint8Array)) return value
  if (type === 'macAddress') return macText(value, 0)
  const isAddress = type === 'ipv4Address' || type === 'ipv6Address'
  return isAddress && (value.length === 4 || value.length === 16)
    ? addressText(value)
    : hexText(value)
}

/**
 * Documents in XDR, versions 3 and 4: each record becomes one, with the name of its type as the field `type`. Nothing says
 * where an element ends but the element itself, so that behind one that cannot be read only the count at the very end is.
 */
export function createXdrDecoder(context: DecodeContext): Decoder {
  const account = context.ledger.stage('ipdr', 'records')
  const taker = createTaker(ipdrMapping(), context, 'ipdr')
  const descriptors = new Map<number, Descriptor>()
  let held: Uint8Array = new Uint8Array(0)
  /** Octets in front of `held`. */
  let before = 0
  /** Octets that `held` must have before it makes sense to read on. */
  let needed = 0
  let header: Header | undefined
  /** Elements of the document so far, and records among them. */
  let elements = 0
  let count = 0
  /** Whether there is an indefinite length in front of a record's fields; undefined: nobody has looked yet. */
  let marked: boolean | undefined
  let broken = false
  /** Nothing more comes. */
  let ended = false
  /** The last octets of all that came, once the document is broken. */
  let tail: Uint8Array = new Uint8Array(0)

  function endDocument(told: number | undefined): void {
    if (told !== undefined && told > count) account.miss('document-count', told - count)
    else if (told !== undefined && told < count) account.note('more-than-told', count - told)
    header = undefined
    descriptors.clear()
    elements = 0
    count = 0
    marked = undefined
  }

  function readDescriptor(reader: XdrReader, old: boolean): void {
    const {at} = reader
    const id = reader.unsigned32()
    const typeName = reader.text(MOST_TEXT)
    const attributes = readAttributes(reader, countOf(reader, MOST_NAMED), old)
    if (descriptors.size >= MOST_NAMED && !descriptors.has(id)) throw new XdrFault('value', at)
    descriptors.set(id, {typeName, attributes})
  }

  /** The fields of a record that begins there, if they end where another element can begin. */
  function fieldsOf(reader: XdrReader, descriptor: Descriptor, mark: boolean): TypedField[] {
    const {at} = reader
    if (mark && reader.unsigned32() !== INDEFINITE) throw new XdrFault('value', at)
    const fields: TypedField[] = [['type', descriptor.typeName, 'string']]
    readFields(reader, descriptor.attributes, '', fields)
    return fields
  }

  /** Whether what follows can be an element, as far as it is there. */
  function continues({at}: XdrReader): boolean {
    const rest = held.length - at
    if (rest < 4 && !ended) throw new XdrFault('truncated', at)
    return rest < 4 || isKind(createXdrReader(held, at).unsigned32())
  }

  function readRecord(reader: XdrReader, start: number): TypedField[] {
    const {at} = reader
    const descriptor = descriptors.get(reader.unsigned32())
    if (descriptor === undefined) throw new XdrFault('value', at)
    if (marked !== undefined) return fieldsOf(reader, descriptor, marked)
    const from = reader.at
    // Versions of the specification differ in whether there is one. With a mark the record must also fit.
    try {
      const fields = fieldsOf(reader, descriptor, true)
      if (continues(reader)) {
        marked = true
        return fields
      }
    } catch (error) {
      if (!(error instanceof XdrFault)) throw error
      if (error.kind === 'truncated') {
        if (ended) throw error
        throw new XdrFault('truncated', error.offset, Math.max(error.needed, reader.at + 4 - start))
      }
    }
    reader.at = from
    const fields = fieldsOf(reader, descriptor, false)
    marked = false
    return fields
  }

  /** Reads one element, or the header; how many octets it has. */
  function readNext(start: number): number {
    if (header === undefined) {
      const read = readHeader(held.subarray(start))
      header = read
      return read.octets
    }
    const reader = createXdrReader(held, start, held.length, header.old)
    const kind = reader.unsigned32()
    if (kind === KIND.descriptor) {
      readDescriptor(reader, header.old)
    } else if (kind === KIND.record) {
      const fields = readRecord(reader, start)
      count++
      account.in++
      if (taker.addTyped(fields, before + start)) account.out++
      else account.lose('no-field', 1, before + start)
    } else if (kind === KIND.end) {
      const told = reader.unsigned32()
      reader.unsigned64()
      endDocument(told)
      return reader.at - start
    } else {
      throw new XdrFault('value', start)
    }
    elements++
    if (elements === header.elements) endDocument(undefined)
    return reader.at - start
  }

  function breakOff(reason: string, at: number): void {
    account.in++
    account.lose(reason, 1, before + at)
    count++
    broken = true
    keepTail(held.subarray(at))
    held = new Uint8Array(0)
  }

  function keepTail(octets: Uint8Array): void {
    tail = joined(tail, octets).slice(-END_OCTETS)
  }

  function read(): void {
    let at = 0
    needed = 0
    while (at < held.length && !broken) {
      try {
        at += readNext(at)
      } catch (error) {
        if (!(error instanceof XdrFault)) throw error
        if (error.kind === 'value') return breakOff('syntax', at)
        if (held.length - at > MOST_ELEMENT) return breakOff('too-long', at)
        needed = error.needed
        break
      }
    }
    held = held.slice(at)
    before += at
  }

  return {
    push(octets) {
      const at = before
      if (broken) keepTail(octets)
      else {
        held = joined(held, octets)
        if (held.length >= needed) read()
      }
      return taker.take(at)
    },
    end() {
      ended = true
      if (held.length > 0) read()
      if (broken) {
        const end = createXdrReader(tail)
        if (tail.length === END_OCTETS && end.unsigned32() === KIND.end) {
          endDocument(end.unsigned32())
        }
      } else if (held.length > 0) {
        account.in++
        account.lose('truncated', 1, before)
      } else if (header !== undefined && header.elements === undefined) {
        account.note('no-end', 1, before)
      } else if (header?.elements !== undefined) {
        account.miss('document-elements', header.elements - elements, before)
      }
      return taker.take(before)
    },
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const all = new Uint8Array(a.length + b.length)
  all.set(a)
  all.set(b, a.length)
  return all
}
