import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder, type EncoderOptions} from '../../src/ipfix/encoder.js'
import {Ledger, type StageLedger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import type {RecordBatch} from '../../src/record/batch.js'
import type {SessionObserver} from '../../src/ipfix/session.js'
import type {RecordValue} from '../../src/record/value.js'

/** A Message around Sets; its length is computed. */
export function message(
  sets: Uint8Array,
  {sequence = 0, domain = 1, time = 1_700_000_000}: MessageFields = {},
): Uint8Array {
  const octets = new Uint8Array(16 + sets.length)
  const view = new DataView(octets.buffer)
  view.setUint16(0, 10)
  view.setUint16(2, octets.length)
  view.setUint32(4, time)
  view.setUint32(8, sequence)
  view.setUint32(12, domain)
  octets.set(sets, 16)
  return octets
}

export interface MessageFields {
  readonly sequence?: number
  readonly domain?: number
  readonly time?: number
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const octets = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    octets.set(part, at)
    at += part.length
  }
  return octets
}

export interface Decoded {
  readonly batches: RecordBatch[]
  readonly ledger: Ledger
  /** Accounts of records and of Messages. */
  readonly records: StageLedger
  readonly messages: StageLedger
}

export function accounts(ledger: Ledger): Pick<Decoded, 'ledger' | 'records' | 'messages'> {
  const of = (name: string): StageLedger => {
    const stage = ledger.stages.find((s) => s.stage === name)
    if (stage === undefined) throw new Error(`no account ${name}`)
    return stage
  }
  return {ledger, records: of('ipfix'), messages: of('ipfix-messages')}
}

/** Decodes a stream that comes `step` octets at a time, each chunk in memory of its own. */
export function decode(
  octets: Uint8Array,
  step = octets.length || 1,
  observer?: SessionObserver,
): Decoded {
  const ledger = new Ledger()
  const decoder = createDecoder({ledger, source: 'test', observer})
  const batches: RecordBatch[] = []
  for (let at = 0; at < octets.length; at += step) {
    batches.push(...decoder.push(octets.slice(at, at + step)))
  }
  batches.push(...decoder.end())
  return {batches, ...accounts(ledger)}
}

/** All records, in order. */
export function recordsOf(batches: readonly RecordBatch[]): RecordValue[] {
  return batches.flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => readRecord(batch, i)),
  )
}

/** All records as [name, value] pairs, to compare with literals. */
export function named(batches: readonly RecordBatch[]): [string, unknown][][] {
  return recordsOf(batches).map((record) =>
    record.map(([element, value]) => [element.name, value] as [string, unknown]),
  )
}

/** Encodes batches, all in one push. */
export function encode(
  batches: readonly RecordBatch[],
  options: Omit<EncoderOptions, 'ledger'> = {},
): {octets: Uint8Array; messages: Uint8Array[]; account: StageLedger} {
  const ledger = new Ledger()
  const encoder = createEncoder({ledger, ...options})
  const messages = [...encoder.push(batches), ...encoder.end()]
  return {octets: join(...messages), messages, account: ledger.stages[0]}
}
