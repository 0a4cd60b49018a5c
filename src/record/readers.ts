import {fieldSpan, recordStart, type RecordBatch} from './batch.js'
import {isControlBits, VARIABLE} from './element.js'
import {DartaError} from './errors.js'
import {readList} from './lists.js'
import {fieldIndex, type Template} from './template.js'
import type {InformationElement} from './element.js'
import {fromNtp, ipv4Text, ipv6Text, macText, type RecordValue, type Value} from './value.js'

/**
 * Reads one field of record `index`. A reader is made once per Template and field, then used on
 * every batch of that Template (or of any other with the same layout).
 */
export type Reader<T> = (batch: RecordBatch, index: number) => T

/**
 * Reader of an unsigned integer of 1..8 octets, also of dateTimeSeconds and dateTimeMilliseconds.
 * Beyond 2^53 − 1 it throws DARTA_RANGE: ask for `bigintReader` then.
 */
export function numberReader(template: Template, field: number): Reader<number> {
  const {offset, length} = template.fields[field]
  if (offset < 0 || length === VARIABLE || template.recordOctets === 0) {
    const bits = isControlBits(template.fields[field].element)
    return (batch, index) => {
      const span = fieldSpan(batch, index, field)
      const value = readUnsigned(batch.octets, span.start, span.length)
      return bits ? value & 0x0fff : value
    }
  }
  const size = template.recordOctets
  // One closure per size, so that each stays monomorphic and is inlined in the caller's loop.
  switch (length) {
    case 1:
      return (batch, index) => batch.octets[batch.start + index * size + offset]
    case 2:
      if (isControlBits(template.fields[field].element)) {
        return (batch, index) => batch.view.getUint16(batch.start + index * size + offset) & 0x0fff
      }
      return (batch, index) => batch.view.getUint16(batch.start + index * size + offset)
    case 4:
      return (batch, index) => batch.view.getUint32(batch.start + index * size + offset)
    case 8:
      return (batch, index) => {
        const at = batch.start + index * size + offset
        const high = batch.view.getUint32(at)
        if (high > 0x1fffff) throw outOfRange(at)
        return high * 4294967296 + batch.view.getUint32(at + 4)
      }
    default:
      return (batch, index) =>
        readUnsigned(batch.octets, batch.start + index * size + offset, length)
  }
}

/** Reader of an unsigned integer of any length as bigint. */
export function bigintReader(_template: Template, field: number): Reader<bigint> {
  return (batch, index) => {
    const span = fieldSpan(batch, index, field)
    return readBigUnsigned(batch.octets, span.start, span.length)
  }
}

/** Reader of the field's octets: a view, not a copy. */
export function octetsReader(template: Template, field: number): Reader<Uint8Array> {
  const {offset, length} = template.fields[field]
  if (offset >= 0 && length !== VARIABLE) {
    return (batch, index) => {
      const at = recordStart(batch, index) + offset
      return batch.octets.subarray(at, at + length)
    }
  }
  return (batch, index) => {
    const span = fieldSpan(batch, index, field)
    return batch.octets.subarray(span.start, span.start + span.length)
  }
}

/** Reader of the field as a `Value`; octets that do not fit the abstract type come as Uint8Array. */
export function valueReader(template: Template, field: number): Reader<Value> {
  const {element} = template.fields[field]
  return (batch, index) => {
    const span = fieldSpan(batch, index, field)
    return readValue(element, batch, span.start, span.length)
  }
}

/** The reader made by `make` for the first field carrying `element`; undefined if the Template has none. */
export function readerOf<T>(
  template: Template,
  element: InformationElement,
  make: (template: Template, field: number) => Reader<T>,
): Reader<T> | undefined {
  const field = fieldIndex(template, element)
  return field < 0 ? undefined : make(template, field)
}

/** All fields of record `index`, in the order of the Template. For the human edge only. */
export function readRecord(batch: RecordBatch, index: number): RecordValue {
  let at = recordStart(batch, index)
  return batch.template.fields.map(({element, length}) => {
    let n = length
    if (n === VARIABLE) {
      n = batch.octets[at++]
      if (n === 255) {
        n = (batch.octets[at] << 8) | batch.octets[at + 1]
        at += 2
      }
    }
    const value = readValue(element, batch, at, n)
    at += n
    return [element, value] as const
  })
}

const utf8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})

/** Decodes `length` octets at `at` as `element`'s abstract type. RFC 7011 section 6. */
export function readValue(
  element: InformationElement,
  batch: Pick<RecordBatch, 'octets' | 'view' | 'templates' | 'elements'>,
  at: number,
  length: number,
): Value {
  const {octets, view} = batch
  const raw = (): Uint8Array => octets.subarray(at, at + length)
  switch (element.type) {
    case 'unsigned8':
    case 'unsigned16':
    case 'unsigned32':
    case 'unsigned64':
      if (length < 1 || length > 8) return raw()
      // The upper four bits of tcpControlBits are ignored.
      if (length === 2 && isControlBits(element)) return view.getUint16(at) & 0x0fff
      return readInteger(octets, at, length)
    case 'unsigned256':
      return length < 1 || length > 32 ? raw() : readInteger(octets, at, length)
    case 'signed8':
    case 'signed16':
    case 'signed32':
    case 'signed64': {
      if (length < 1 || length > 8) return raw()
      const value = BigInt.asIntN(length * 8, readBigUnsigned(octets, at, length))
      return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))
        ? Number(value)
        : value
    }
    case 'float32':
      return length === 4 ? view.getFloat32(at) : raw()
    case 'float64':
      if (length === 4) return view.getFloat32(at)
      return length === 8 ? view.getFloat64(at) : raw()
    case 'boolean':
      if (length !== 1 || (octets[at] !== 1 && octets[at] !== 2)) return raw()
      return octets[at] === 1
    case 'macAddress':
      return length === 6 ? macText(octets, at) : raw()
    case 'ipv4Address':
      return length === 4 ? ipv4Text(octets, at) : raw()
    case 'ipv6Address':
      return length === 16 ? ipv6Text(octets, at) : raw()
    case 'dateTimeSeconds':
      return length === 4 ? view.getUint32(at) : raw()
    case 'dateTimeMilliseconds':
      return length === 8 ? readInteger(octets, at, 8) : raw()
    case 'dateTimeMicroseconds':
      return length === 8 ? fromNtp(view.getUint32(at), view.getUint32(at + 4), 1000000n) : raw()
    case 'dateTimeNanoseconds':
      return length === 8 ? fromNtp(view.getUint32(at), view.getUint32(at + 4), 1000000000n) : raw()
    case 'string':
      try {
        return utf8.decode(raw())
      } catch {
        return raw()
      }
    case 'basicList':
    case 'subTemplateList':
    case 'subTemplateMultiList':
      return readList(element.type, batch, at, length)
    case 'octetArray':
      return raw()
  }
}

function readInteger(octets: Uint8Array, at: number, length: number): number | bigint {
  if (length <= 6) return readUnsigned(octets, at, length)
  if (length <= 8) {
    const high = readUnsigned(octets, at, length - 4)
    // Below 2^53 numbers are exact, and much cheaper than bigints.
    if (high <= 0x1fffff) return high * 4294967296 + readUnsigned(octets, at + length - 4, 4)
  }
  const value = readBigUnsigned(octets, at, length)
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

/** Unsigned integer of 1..8 octets, network byte order. @throws DartaError DARTA_RANGE beyond 2^53 − 1 */
export function readUnsigned(octets: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let i = 0; i < length; i++) value = value * 256 + octets[at + i]
  if (value > Number.MAX_SAFE_INTEGER) throw outOfRange(at)
  return value
}

/** Unsigned integer of any length, network byte order. */
export function readBigUnsigned(octets: Uint8Array, at: number, length: number): bigint {
  let value = 0n
  for (let i = 0; i < length; i++) value = (value << 8n) | BigInt(octets[at + i])
  return value
}

function outOfRange(offset: number): DartaError {
  return new DartaError('DARTA_RANGE', 'the counter is beyond 2^53 − 1; read it as bigint', offset)
}
