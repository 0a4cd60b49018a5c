import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {fullLength, VARIABLE, type InformationElement} from '../../record/element.js'
import {createTemplate, type Template} from '../../record/template.js'

/** Elements of records that are written octet by octet; made once, since it is compared by identity. */
export interface ResultKind {
  readonly template: Template
  /** Octets of fields whose length does not vary. */
  readonly octets: number
}

export function resultKind(id: number, elements: readonly InformationElement[]): ResultKind {
  const fields = elements.map((element) => ({element, length: fullLength(element.type)}))
  const fixed = fields.map(({length}) => (length === VARIABLE ? 0 : length))
  return {template: createTemplate(id, fields), octets: fixed.reduce((a, b) => a + b, 0)}
}

/**
 * Writes results of which there may be millions without an object for each. Every field of the kind has to be written, in
 * order and in its full length; of texts that vary the length comes first.
 */
export interface ResultWriter {
  /**
   * Begins a record, `texts` octets of which at most are those of texts with their lengths. Returns a batch of the records before it if there
   * are enough of them or they are of another kind.
   */
  begin(kind: ResultKind, texts?: number): RecordBatch | undefined
  octet(value: number): void
  port(value: number): void
  /** An unsigned32. */
  word(value: number): void
  /** Two words of an unsigned64. */
  long(low: number, high: number): void
  copy(from: Uint8Array, start: number, length: number): void
  /** UTF-8 of a field that varies, below 65536 octets, with its length before it. RFC 7011 section 7. */
  text(octets: Uint8Array): void
  end(): RecordBatch | undefined
}

/** Records that are handed on together. */
const BATCH_RECORDS = 1024
const BLOCK_OCTETS = 1 << 16

export function createResultWriter(message: MessageContext): ResultWriter {
  let octets = new Uint8Array(0)
  let view = new DataView(octets.buffer)
  let offsets = new Uint32Array(BATCH_RECORDS + 1)
  let at = 0
  let start = 0
  let count = 0
  let kind: ResultKind | undefined

  function take(): RecordBatch | undefined {
    if (count === 0) return undefined
    const {template} = kind!
    let ends: Uint32Array | undefined
    if (template.recordOctets === 0) {
      offsets[count] = at
      ends = offsets.subarray(0, count + 1)
      offsets = new Uint32Array(BATCH_RECORDS + 1)
    }
    const batch = {template, octets, view, start, count, offsets: ends, message}
    start = at
    count = 0
    return batch
  }

  const writer: ResultWriter = {
    begin(next, texts = 0) {
      const full = at + next.octets + texts > octets.length
      let batch: RecordBatch | undefined
      if (full || count === BATCH_RECORDS || next !== kind) batch = take()
      if (full) {
        octets = new Uint8Array(Math.max(BLOCK_OCTETS, next.octets + texts))
        view = new DataView(octets.buffer)
        at = 0
        start = 0
      }
      kind = next
      offsets[count++] = at
      return batch
    },
    octet(value) {
      octets[at++] = value
    },
    port(value) {
      octets[at] = value >>> 8
      octets[at + 1] = value
      at += 2
    },
    word(value) {
      view.setUint32(at, value)
      at += 4
    },
    long(low, high) {
      view.setUint32(at, high)
      view.setUint32(at + 4, low)
      at += 8
    },
    copy(from, begin, length) {
      for (let i = 0; i < length; i++) octets[at + i] = from[begin + i]
      at += length
    },
    text(from) {
      if (from.length < 255) writer.octet(from.length)
      else {
        writer.octet(255)
        writer.port(from.length)
      }
      writer.copy(from, 0, from.length)
    },
    end: take,
  }
  return writer
}
