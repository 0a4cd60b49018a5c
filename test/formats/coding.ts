import {createRequire} from 'node:module'
import csv from '../../src/formats/csv.js'
import json from '../../src/formats/json.js'
import ndjson from '../../src/formats/ndjson.js'
import tsv from '../../src/formats/tsv.js'
import {loadNative} from '../../src/io/native.js'
import {recordEnd, recordStart, type RecordBatch} from '../../src/record/batch.js'
import type {Format} from '../../src/record/format.js'
import {kernels} from '../../src/record/kernels.js'
import {Ledger, type StageLedger} from '../../src/record/ledger.js'

export const require = createRequire(import.meta.url)
export const formats = {csv, json, ndjson, tsv}

export interface EncodeOptions {
  readonly argument?: string
  readonly options?: Readonly<Record<string, unknown>>
  /** Write with the native kernel. */
  readonly native?: boolean
  /** Batches that are pushed at once; all without it. */
  readonly step?: number
}

/** Text of the batches, and the account of the encoder. */
export function encode(
  format: Format,
  batches: readonly RecordBatch[],
  {argument, options = {}, native = false, step}: EncodeOptions = {},
): {octets: Buffer; text: string; account: StageLedger} {
  const ledger = new Ledger()
  kernels.text = native ? loadNative()!.renderText : undefined
  try {
    const encoder = format.encoder!({ledger, options, argument})
    const chunks: Uint8Array[] = []
    const size = step ?? Math.max(1, batches.length)
    for (let i = 0; i < batches.length; i += size) {
      chunks.push(...encoder.push(batches.slice(i, i + size)))
      if (step !== undefined) chunks.push(...encoder.flush())
    }
    chunks.push(...encoder.end())
    const octets = Buffer.concat(chunks)
    return {octets, text: octets.toString(), account: ledger.stages[0]}
  } finally {
    kernels.text = undefined
  }
}

/** The lines of the batches as NDJSON, without line ends. */
export function lines(batches: readonly RecordBatch[], options?: EncodeOptions): string[] {
  const {text} = encode(ndjson, batches, options)
  return text === '' ? [] : text.slice(0, -1).split('\n')
}

/** Batches of a text that comes `step` octets at a time. */
export function decode(
  format: Format,
  text: string | Uint8Array,
  step?: number,
): {batches: RecordBatch[]; account: StageLedger; foreign: StageLedger; ledger: Ledger} {
  const octets = typeof text === 'string' ? new TextEncoder().encode(text) : new Uint8Array(text)
  const ledger = new Ledger()
  const decoder = format.decoder!({ledger, source: 'test'})
  const batches: RecordBatch[] = []
  const size = step ?? Math.max(1, octets.length)
  for (let at = 0; at < octets.length; at += size) {
    batches.push(...decoder.push(octets.slice(at, at + size)))
  }
  batches.push(...decoder.end())
  return {batches, account: ledger.stages[0], foreign: ledger.stages[1], ledger}
}

/** Each record as its Template's layout and its octets in hex: what must not change. */
export function recordOctets(batches: readonly RecordBatch[]): string[] {
  return batches.flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => {
      const octets = batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i))
      return `${batch.template.layout} ${Buffer.from(octets).toString('hex')}`
    }),
  )
}
