import {DartaError} from '../../record/errors.js'
import {fullLength, type InformationElement} from '../../record/element.js'
import {createFieldRecords, type FieldRecords} from '../../record/field-records.js'
import type {DecodeContext} from '../../record/format.js'
import {createOctetWriter} from '../../record/octet-writer.js'
import {valueWriter, type ValueWriter} from '../../record/record-writer.js'
import type {Value} from '../../record/value.js'
import {fieldValue} from './field-value.js'
import type {Mapping} from './mapping.js'

/** Fields without an element that are named in the account. */
const MOST_NAMED = 32

/** Records of fields and their texts or values; what becomes of each field is counted. */
export function createTaker(mapping: Mapping, {ledger, source}: DecodeContext, name = 'map') {
  const fields = ledger.stage(`${name} fields`, 'fields')
  const records: FieldRecords = createFieldRecords()
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
  let number = 0
  /** The latest time of a record so far, seconds: the input says nothing of Messages. */
  let latest = 0
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
    add(
      values: Iterable<readonly [string, string | Value]>,
      offset: number,
      line?: number,
    ): boolean {
      const record: [InformationElement, Value][] = []
      const seen = new Set<string>()
      for (const [field, given] of values) {
        fields.in++
        const mapped = mapping.of(field)
        if (mapped === undefined) {
          fields.skip(mapping.named.has(field) ? 'left-out' : 'too-many-names')
          continue
        }
        if (typeof given === 'string' && mapping.absent.has(given)) {
          fields.skip('empty')
          continue
        }
        if (seen.has(field)) {
          fields.lose('repeated', 1, offset, line)
          continue
        }
        seen.add(field)
        const value = typeof given === 'string' ? fieldValue(mapped, given) : given
        if (value === undefined || !fits(mapped.element, value)) {
          fields.lose(`value-of-${field}`, 1, offset, line)
          continue
        }
        if (!mapped.isNamed && unnamed.size < MOST_NAMED && !unnamed.has(field)) {
          unnamed.add(field)
          fields.note(
            `no element for ${field}: ${mapped.element.enterpriseNumber}/${mapped.element.elementId}`,
          )
        }
        fields.out++
        record.push([mapped.element, value])
        latest = Math.max(latest, secondsOf(mapped.element, value))
      }
      if (record.length === 0) return false
      records.add(record)
      number++
      return true
    },
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
