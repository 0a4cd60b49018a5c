import {createDecoder} from '../../ipfix/decoder.js'
import {joinMessages, templateMessages, type TemplateTable} from '../../ipfix/template-table.js'
import type {RecordBatch} from '../../record/batch.js'
import type {Decoder} from '../../record/format.js'
import {Ledger, type StageLedger} from '../../record/ledger.js'
import type {Template} from '../../record/template.js'
import type {Wire} from './wire.js'

/** Where an encoder of another protocol says what does not fit it. */
export interface LegacyAccounts {
  readonly records: StageLedger
  /** Fields by the names of their elements, once for each Template that has them. */
  readonly fields: StageLedger
}

/** Makes datagrams of another protocol than IPFIX. */
export interface DatagramEncoder {
  push(batch: RecordBatch): void
  /** Datagrams made since the last time, and how many records each has taken in. */
  flush(): {readonly messages: Uint8Array[]; readonly counts: number[]}
  /** Datagrams that say again what has to be known to read the rest. */
  announce(): Uint8Array[]
  save(): unknown
  restore(state: unknown): void
}

/** Counts the fields of a Template for which the other protocol has no place, by name. */
export function unfitFields(
  template: Template,
  used: ReadonlySet<number>,
  account: StageLedger,
): void {
  for (const [field, {element}] of template.fields.entries()) {
    account.in++
    if (used.has(field)) account.out++
    else account.skip(element.name)
  }
}

/** Another protocol over the same log: its Messages are decoded, and encoded anew. */
export function legacyWire(table: TemplateTable, encoder: DatagramEncoder): Wire {
  let decoder: Decoder | undefined

  function open(position: number): Decoder {
    const fresh = createDecoder({ledger: new Ledger(), source: 'log'})
    fresh.push(templateMessages(table.before(position), 65535, 0).octets)
    return fresh
  }

  return {
    begin(position) {
      decoder = open(position)
      return joinMessages([], new Uint32Array(0))
    },
    encode(slice) {
      decoder ??= open(slice.start)
      for (const batch of decoder.push(slice.octets)) encoder.push(batch)
      const {messages, counts} = encoder.flush()
      return joinMessages(messages, Uint32Array.from(counts))
    },
    refresh() {
      const messages = encoder.announce()
      return joinMessages(messages, new Uint32Array(messages.length))
    },
    insert: () => joinMessages([], new Uint32Array(0)),
    save: () => encoder.save(),
    restore: (state) => encoder.restore(state),
  }
}
