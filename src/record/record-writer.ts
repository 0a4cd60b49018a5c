import {ipv4Octets, ipv6Octets, macOctets} from './address.js'
import {fullLength, isControlBits, isList, VARIABLE, type InformationElement} from './element.js'
import {DartaError} from './errors.js'
import {writeList} from './list-writer.js'
import {append, createOctetWriter, extend, type OctetWriter} from './octet-writer.js'
import {isUtf8} from './utf8.js'
import {toNtp, type Value} from './value.js'
import type {MessageContext, RecordBatch, ElementLookup, TemplateLookup} from './batch.js'
import type {SubTemplates} from './sub-templates.js'
import type {Template} from './template.js'

/** Writes one value of one element. */
export type ValueWriter = (writer: OctetWriter, value: Value) => void

const utf8 = new TextEncoder()

/**
 * A writer of `element` in fields of `length` octets (VARIABLE: with its length octets before it). RFC 7011
 * sections 6 and 7. A Uint8Array is taken as the field's octets as they are, whatever the type.
 *
 * The writer throws DARTA_VALUE for a value of another kind than `Value` says, DARTA_RANGE for one that the type, the
 * length or the registry's range does not hold (RFC 7012: such values are not exported). What it wrote
 * before it threw stays: the record has to be given up.
 *
 * @param subTemplates takes in the Templates that lists need; without it, lists of records are refused
 */
export function valueWriter(
  element: InformationElement,
  length: number,
  subTemplates?: SubTemplates,
): ValueWriter {
  const typed = typedWriter(element, length, subTemplates)
  return (writer, value) => {
    if (value instanceof Uint8Array) writeOctets(writer, element, length, value)
    else typed(writer, value)
  }
}

/** The octets of one value, without length octets in front. Errors as of `valueWriter`. */
export function encodeValue(
  element: InformationElement,
  length: number,
  value: Value,
  subTemplates?: SubTemplates,
): Uint8Array {
  const writer = createOctetWriter(64)
  valueWriter(element, length, subTemplates)(writer, value)
  let from = 0
  if (length === VARIABLE) from = writer.octets[0] === 255 ? 3 : 1
  return writer.octets.slice(from, writer.length)
}

function refuse(element: InformationElement, value: unknown, why: string): DartaError {
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : String(value)
  return new DartaError('DARTA_VALUE', `${element.name}: ${text} ${why}`)
}

function outOfRange(element: InformationElement, value: unknown, why: string): DartaError {
  return new DartaError('DARTA_RANGE', `${element.name}: ${String(value)} ${why}`)
}

/** Length octets of a variable-length field: one, or 255 and two. RFC 7011 section 7. */
export function writeLength(
  writer: OctetWriter,
  length: number,
  element: InformationElement,
): void {
  if (length < 255) {
    const at = extend(writer, 1)
    writer.octets[at] = length
  } else if (length <= 65535) {
    const at = extend(writer, 3)
    writer.octets[at] = 255
    writer.view.setUint16(at + 1, length)
  } else {
    throw outOfRange(element, `${length} octets`, 'are more than a field can hold (65535)')
  }
}

function writeOctets(
  writer: OctetWriter,
  element: InformationElement,
  length: number,
  octets: Uint8Array,
): void {
  if (element.type === 'string' && !isUtf8(octets, 0, octets.length)) {
    throw refuse(element, 'a string', 'that is not well-formed UTF-8 is not exported')
  }
  if (length === VARIABLE) writeLength(writer, octets.length, element)
  else if (octets.length !== length) {
    throw outOfRange(element, `${octets.length} octets`, `do not fit a field of ${length}`)
  }
  append(writer, octets)
}

function typedWriter(
  element: InformationElement,
  length: number,
  subTemplates: SubTemplates | undefined,
): ValueWriter {
  const {type} = element
  switch (type) {
    case 'unsigned8':
    case 'unsigned16':
    case 'unsigned32':
    case 'unsigned64':
    case 'unsigned256':
    case 'signed8':
    case 'signed16':
    case 'signed32':
    case 'signed64':
      return integerWriter(element, length)
    case 'dateTimeSeconds':
    case 'dateTimeMilliseconds':
      return fixedWriter(element, length, integerWriter(element, fullLength(type)))
    case 'dateTimeMicroseconds':
      return fixedWriter(element, length, ntpWriter(element, 1000000n))
    case 'dateTimeNanoseconds':
      return fixedWriter(element, length, ntpWriter(element, 1000000000n))
    case 'float32':
    case 'float64':
      return floatWriter(element, length)
    case 'boolean':
      return fixedWriter(element, length, (writer, value) => {
        if (typeof value !== 'boolean') throw refuse(element, value, 'is no boolean')
        const at = extend(writer, 1)
        writer.octets[at] = value ? 1 : 2
      })
    case 'macAddress':
      return fixedWriter(element, length, addressWriter(element, macOctets))
    case 'ipv4Address':
      return fixedWriter(element, length, addressWriter(element, ipv4Octets))
    case 'ipv6Address':
      return fixedWriter(element, length, addressWriter(element, ipv6Octets))
    case 'string':
      return stringWriter(element, length)
    case 'octetArray':
      return (_writer, value) => {
        throw refuse(element, value, 'is not octets')
      }
    case 'basicList':
    case 'subTemplateList':
    case 'subTemplateMultiList':
      return (writer, value) => {
        if (typeof value !== 'object' || value instanceof Uint8Array || value.kind !== type) {
          throw refuse(element, value, `is no ${type}`)
        }
        const inner = createOctetWriter(256)
        writeList(inner, element, value, subTemplates)
        writeOctets(writer, element, length, inner.octets.subarray(0, inner.length))
      }
  }
}

/** For types whose octets have one length: a field of another length cannot take them. */
function fixedWriter(element: InformationElement, length: number, write: ValueWriter): ValueWriter {
  const full = fullLength(element.type)
  if (length === full) return write
  if (length === VARIABLE) {
    return (writer, value) => {
      writeLength(writer, full, element)
      write(writer, value)
    }
  }
  return (_writer, value) => {
    throw outOfRange(element, value, `does not fit a field of ${length} octets`)
  }
}

function addressWriter(
  element: InformationElement,
  parse: (text: string) => Uint8Array,
): ValueWriter {
  return (writer, value) => {
    if (typeof value !== 'string') throw refuse(element, value, 'is no address')
    try {
      append(writer, parse(value))
    } catch (error) {
      throw error instanceof DartaError
        ? new DartaError(error.code, `${element.name}: ${error.message}`)
        : error
    }
  }
}

function ntpWriter(element: InformationElement, perSecond: 1000000n | 1000000000n): ValueWriter {
  const end = 4294967296n * perSecond
  return (writer, value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) value = BigInt(value)
    if (typeof value !== 'bigint') throw refuse(element, value, 'is no time')
    if (value < 0n || value >= end) throw outOfRange(element, value, 'is not between 1970 and 2106')
    const [seconds, fraction] = toNtp(value, perSecond)
    const at = extend(writer, 8)
    writer.view.setUint32(at, seconds)
    writer.view.setUint32(at + 4, fraction)
  }
}

function floatWriter(element: InformationElement, length: number): ValueWriter {
  const size = length === VARIABLE ? fullLength(element.type) : length
  const fits = size === 4 || (size === 8 && element.type === 'float64')
  return (writer, value) => {
    if (typeof value !== 'number') throw refuse(element, value, 'is no number')
    if (!fits) throw outOfRange(element, value, `does not fit a field of ${length} octets`)
    checkRange(element, value)
    if (size === 4 && Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
      throw outOfRange(element, value, 'is beyond what 4 octets hold')
    }
    if (length === VARIABLE) writeLength(writer, size, element)
    const at = extend(writer, size)
    if (size === 4) writer.view.setFloat32(at, value)
    else writer.view.setFloat64(at, value)
  }
}

function stringWriter(element: InformationElement, length: number): ValueWriter {
  return (writer, value) => {
    if (typeof value !== 'string') throw refuse(element, value, 'is no text')
    // A lone surrogate has no UTF-8. RFC 7011 section 6.1.6.
    if (!value.isWellFormed()) throw refuse(element, value, 'is not well-formed text')
    const octets = utf8.encode(value)
    if (length === VARIABLE) {
      writeLength(writer, octets.length, element)
      append(writer, octets)
      return
    }
    if (octets.length > length) {
      throw outOfRange(element, JSON.stringify(value), `is longer than a field of ${length} octets`)
    }
    // extend() gives octets that may have been written before: the rest is padding.
    const at = extend(writer, length)
    writer.octets.set(octets, at)
    writer.octets.fill(0, at + octets.length, at + length)
  }
}

function checkRange(element: InformationElement, value: number | bigint): void {
  const {range} = element
  if (range !== undefined && (value < range[0] || value > range[1])) {
    throw outOfRange(element, value, `is not in ${range[0]}..${range[1]}`)
  }
}

/**
 * Integers in 1..full octets; reduced-size encoding keeps value and sign or refuses. RFC 7011 section 6.2. In a field longer
 * than the type the value is extended, as readers take it.
 */
function integerWriter(element: InformationElement, length: number): ValueWriter {
  const signed = element.type.startsWith('signed')
  const size = length === VARIABLE ? fullLength(element.type) : length
  const bits = BigInt(8 * Math.min(size, fullLength(element.type)))
  const least = signed ? -(1n << (bits - 1n)) : 0n
  const greatest = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n
  const leastNumber = Math.max(Number(least), Number.MIN_SAFE_INTEGER)
  const greatestNumber = Math.min(Number(greatest), Number.MAX_SAFE_INTEGER)
  const ranged = element.range !== undefined
  // The upper four bits are no flags: sent as 0. RFC 9565 section 3.
  const flags = isControlBits(element)
  return (writer, value) => {
    if (typeof value === 'number') {
      if (!Number.isInteger(value)) throw refuse(element, value, 'is no whole number')
      if (!Number.isSafeInteger(value)) {
        throw outOfRange(element, value, 'is beyond 2^53 − 1; give it as bigint')
      }
      if (value < leastNumber || value > greatestNumber) {
        throw outOfRange(element, value, `does not fit ${element.type} in ${size} octets`)
      }
    } else if (typeof value === 'bigint') {
      if (value < least || value > greatest) {
        throw outOfRange(element, value, `does not fit ${element.type} in ${size} octets`)
      }
    } else {
      throw refuse(element, value, 'is no number')
    }
    if (ranged) checkRange(element, value)
    if (flags) value = Number(value) & 0x0fff
    if (length === VARIABLE) writeLength(writer, size, element)
    const at = extend(writer, size)
    putInteger(writer, at, size, value)
  }
}

function putInteger(writer: OctetWriter, at: number, size: number, value: number | bigint): void {
  const {octets, view} = writer
  if (typeof value === 'bigint') {
    for (let i = at + size - 1; i >= at; i--) {
      octets[i] = Number(value & 0xffn)
      value >>= 8n
    }
    return
  }
  switch (size) {
    case 1:
      octets[at] = value
      return
    case 2:
      view.setUint16(at, value)
      return
    case 4:
      view.setUint32(at, value)
      return
    case 8:
      view.setUint32(at, Math.floor(value / 4294967296))
      view.setUint32(at + 4, value)
      return
  }
  // Division with floor is the arithmetic shift: the sign goes into the upper octets.
  for (let i = at + size - 1; i >= at; i--) {
    octets[i] = value
    value = Math.floor(value / 256)
  }
}

/** Makes batches of one Template out of values. */
export interface RecordBuilder {
  readonly template: Template
  /** Records since the last `take`. */
  readonly count: number
  /** Octets of these records. */
  readonly octets: number
  /**
   * Adds a record; `values` in the order of the Template's fields. One that cannot be written leaves no trace.
   *
   * @throws DartaError DARTA_VALUE, DARTA_RANGE
   */
  add(values: readonly Value[]): void
  /** The records so far as a batch, or undefined if there are none. The builder begins anew. */
  take(message: MessageContext): RecordBatch | undefined
}

export interface RecordBuilderOptions {
  /** Shared by all builders whose lists may use the same Templates. */
  readonly subTemplates?: SubTemplates
  readonly elements?: ElementLookup
}

export function createRecordBuilder(
  template: Template,
  options: RecordBuilderOptions = {},
): RecordBuilder {
  const {subTemplates} = options
  const writers = template.fields.map(({element, length}) =>
    valueWriter(element, length, subTemplates),
  )
  const fixed = template.recordOctets > 0
  const lists = template.fields.some(({element}) => isList(element.type))
  const writer = createOctetWriter()
  let offsets: number[] = []
  let count = 0
  return {
    template,
    get count() {
      return count
    },
    get octets() {
      return writer.length
    },
    add(values) {
      if (values.length !== writers.length) {
        throw new DartaError(
          'DARTA_VALUE',
          `${values.length} values for a Template of ${writers.length} fields`,
        )
      }
      const start = writer.length
      try {
        for (let i = 0; i < writers.length; i++) writers[i](writer, values[i])
      } catch (error) {
        writer.length = start
        throw error
      }
      if (!fixed) offsets.push(start)
      count++
    },
    take(message) {
      if (count === 0) return undefined
      const {length} = writer
      const octets = writer.octets.slice(0, length)
      offsets.push(length)
      const templates: TemplateLookup | undefined = lists ? subTemplates?.snapshot() : undefined
      const batch: RecordBatch = {
        template,
        octets,
        view: new DataView(octets.buffer),
        start: 0,
        count,
        offsets: fixed ? undefined : Uint32Array.from(offsets),
        message,
        templates,
        elements: lists ? options.elements : undefined,
      }
      writer.length = 0
      offsets = []
      count = 0
      return batch
    },
  }
}
