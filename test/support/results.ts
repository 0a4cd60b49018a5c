import type {RecordBatch} from '../../src/record/batch.js'
import {readRecord} from '../../src/record/readers.js'
import {hexText, type Value} from '../../src/record/value.js'

/** Records by element name, for comparing: bigints as numbers where they are exact, octets as hex. */
export type Plain = Record<string, number | bigint | string | boolean>

/** The records of batches in order; those of Options Templates begin with `_scope`. */
export function plainRecords(batches: Iterable<RecordBatch>): Plain[] {
  return [...batches].flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => {
      const {scopeCount} = batch.template
      const record: Plain = scopeCount > 0 ? {_scope: scopeCount} : {}
      for (const [element, value] of readRecord(batch, i)) record[element.name] = plain(value)
      return record
    }),
  )
}

function plain(value: Value): Plain[string] {
  if (value instanceof Uint8Array) return hexText(value)
  if (typeof value === 'object') throw new TypeError('no lists in results')
  return value
}

/** Lines of NDJSON without what says which Message each record was in. */
export function bareLines(octets: Buffer): string[] {
  return octets
    .toString()
    .replace(/,"_ipfix":\{[^}]*\}/g, '')
    .trim()
    .split('\n')
}
