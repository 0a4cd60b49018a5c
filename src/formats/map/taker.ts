import {MAX_TEMPLATE_FIELDS} from '../../ipfix/template-record.js'
import {DartaError} from '../../record/errors.js'
import {fullLength, type AbstractType, type InformationElement} from '../../record/element.js'
import {createFieldRecords, type FieldRecords} from '../../record/field-records.js'
import type {DecodeContext} from '../../record/format.js'
import type {Ledger} from '../../record/ledger.js'
import {createOctetWriter} from '../../record/octet-writer.js'
import {valueWriter, type ValueWriter} from '../../record/record-writer.js'
import type {RecordValue, Value} from '../../record/value.js'
import {fieldValue} from './field-value.js'
import type {MappedField, Mapping} from './mapping.js'
import {surelyFits, typedValue} from './typed-value.js'

/** Fields without an element that are named in the account. */
const MOST_NAMED = 32

/** Fields of a record: a Template with more is not read, and origin and the like come behind them. */
export const MOST_RECORD_FIELDS = MAX_TEMPLATE_FIELDS - 32

/** A field, its value, and what type that is of; undefined: there is one, and it cannot be. */
export type TypedField = readonly [field: string, value: Value | undefined, type: AbstractType]

/** Makes elements and values of fields; what becomes of each is counted. */
export interface FieldReader {
  /** Fields with their texts, or with values of the element that they have. */
  read(
    values: Iterable<readonly [string, string | Value]>,
    offset: number,
    line?: number,
  ): RecordValue
  /** Fields of formats that say of which type they are. */
  readTyped(values: Iterable<TypedField>, offset: number): RecordValue
}

export function createFieldReader(mapping: Mapping, ledger: Ledger, name: string): FieldReader {
  const fields = ledger.stage(`${name} fields`, 'fields')
  const unnamed = new Set<string>()
  const writers = new Map<InformationElement, ValueWriter>()
  const scratch = createOctetWriter(256)

  /** Whether a record can hold it: a value that cannot be written must not take its record with it. */
  function fits(element: InformationElement, value: Value): boolean {
    let write = writers.get(element)
    if (write === undefined) {
      write = valueWriter(element, fullLength(element.type))
      writers.set(element, write)
    }
    scratch.length = 0
    try {
      write(scratch, value)
      return true
    } catch (error) {
      if (error instanceof DartaError) return false
      throw error
    }
  }

  /** Takes one field; `valueOf` says what its value is for the element that it gets. */
  function take(
    record: [InformationElement, Value][],
    seen: Set<string>,
    field: string,
    mapped: MappedField | undefined,
    isEmpty: boolean,
    valueOf: (mapped: MappedField) => Value | undefined,
    from: AbstractType | undefined,
    offset: number,
    line: number | undefined,
  ): void {
    fields.in++
    if (mapped === undefined) {
      fields.skip(mapping.named.has(field) ? 'left-out' : 'too-many-names')
      return
    }
    if (isEmpty) {
      fields.skip('empty')
      return
    }
    if (seen.has(field)) {
      fields.lose('repeated', 1, offset, line)
      return
    }
    if (record.length >= MOST_RECORD_FIELDS) {
      fields.lose('too-many-fields', 1, offset, line)
      return
    }
    seen.add(field)
    const value = valueOf(mapped)
    const {element} = mapped
    const isFit =
      value !== undefined &&
      ((from !== undefined && surelyFits(element, value, from)) || fits(element, value))
    if (!isFit) {
      fields.lose(`value-of-${field}`, 1, offset, line)
      return
    }
    if (!mapped.isNamed && unnamed.size < MOST_NAMED && !unnamed.has(field)) {
      unnamed.add(field)
      fields.note(
        `no element for ${field}: ${mapped.element.enterpriseNumber}/${mapped.element.elementId}`,
      )
    }
    fields.out++
    record.push([mapped.element, value])
  }

  return {
    read(values, offset, line) {
      const record: [InformationElement, Value][] = []
      const seen = new Set<string>()
      for (const [field, given] of values) {
        const isEmpty = typeof given === 'string' && mapping.absent.has(given)
        const valueOf = (mapped: MappedField): Value | undefined =>
          typeof given === 'string' ? fieldValue(mapped, given) : given
        take(record, seen, field, mapping.of(field), isEmpty, valueOf, undefined, offset, line)
      }
      return record
    },
    readTyped(values, offset) {
      const record: [InformationElement, Value][] = []
      const seen = new Set<string>()
      for (const [field, given, type] of values) {
        const isEmpty =
          typeof given === 'string'
            ? mapping.absent.has(given)
            : given instanceof Uint8Array && given.length === 0
        const valueOf = (mapped: MappedField): Value | undefined =>
          given === undefined ? undefined : typedValue(mapped, given, type)
        const mapped = mapping.of(field, type)
        take(record, seen, field, mapped, isEmpty, valueOf, type, offset, undefined)
      }
      return record
    },
  }
}

/** Records of fields and their texts or values; what becomes of each field is counted. */
export function createTaker(mapping: Mapping, {ledger, source}: DecodeContext, name = 'map') {
  const reader = createFieldReader(mapping, ledger, name)
  const records: FieldRecords = createFieldRecords()
  let number = 0
  /** The latest time of a record so far, seconds: the input says nothing of Messages. */
  let latest = 0

  function add(record: RecordValue): boolean {
    if (record.length === 0) return false
    for (const [element, value] of record) latest = Math.max(latest, secondsOf(element, value))
    records.add(record)
    number++
    return true
  }

  return {
    take: (offset: number) =>
      records.take({
        exportTime: latest,
        sequenceNumber: number,
        observationDomainId: 0,
        exporter: source,
        offset,
      }),
    /** Whether there is a record now. */
    add: (...given: Parameters<FieldReader['read']>): boolean => add(reader.read(...given)),
    /** The same with fields whose types are known. */
    addTyped: (...given: Parameters<FieldReader['readTyped']>): boolean =>
      add(reader.readTyped(...given)),
  }
}

/** A time in seconds; 0 for all else, and for what a Message Header cannot hold. */
function secondsOf({type}: InformationElement, value: Value): number {
  const seconds =
    type === 'dateTimeSeconds'
      ? Number(value)
      : type === 'dateTimeMilliseconds'
        ? Math.floor(Number(value) / 1000)
        : 0
  return seconds < 2 ** 32 ? seconds : 0
}
