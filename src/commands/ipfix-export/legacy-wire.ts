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

/** Datagrams are copied to pieces of memory of this size, which they share: each in its own would be much to collect. */
const KEPT_OCTETS = 1 << 16

/** Makes copies of the first octets of what is written anew each time; nobody may change them. */
export function createKeeper(): (octets: Uint8Array, length: number) => Uint8Array {
  let kept = new Uint8Array(0)
  let at = 0
  return (octets, length) => {
    if (at + length > kept.length) {
      kept = new Uint8Array(Math.max(KEPT_OCTETS, length))
      at = 0
    }
    const copy = kept.subarray(at, at + length)
    copy.set(octets.subarray(0, length))
    at += length
    return copy
  }
}

/**
 * Another protocol over the same log: its Messages are decoded, and encoded anew.
 *
 * @param maxOctets that a datagram may have: asked once for each slice, since the system has to be asked
 */
export function legacyWire(
  table: TemplateTable,
  makeEncoder: (maxOctets: () => number) => DatagramEncoder,
  maxOctets: () => number,
): Wire {
  let most: number | undefined
  const encoder = makeEncoder(() => (most ??= maxOctets()))
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
      most = undefined
      decoder ??= open(slice.start)
      for (const batch of decoder.push(slice.octets)) encoder.push(batch)
      const {messages, counts} = encoder.flush()
      return joinMessages(messages, Uint32Array.from(counts))
    },
    refresh() {
      most = undefined
      const messages = encoder.announce()
      return joinMessages(messages, new Uint32Array(messages.length))
    },
    insert: () => joinMessages([], new Uint32Array(0)),
    save: () => encoder.save(),
    restore: (state) => encoder.restore(state),
  }
}
