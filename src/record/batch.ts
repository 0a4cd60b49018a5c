import {VARIABLE, type InformationElement} from './element.js'
import type {FieldSpecifier, Template} from './template.js'

/** What is known of the Message that records came in; shared by all its batches. RFC 7011 section 3.1. */
export interface MessageContext {
  /** Seconds since 1970, 0..2^32−1. */
  readonly exportTime: number
  /** 0..2^32−1 */
  readonly sequenceNumber: number
  /** 0..2^32−1 */
  readonly observationDomainId: number
  /** Where the Message came from, where that is known: `192.0.2.1:4739`, a file name. */
  readonly exporter?: string
  /** Octet offset of the Message in its stream or file. */
  readonly offset: number
  /** Address that the Message came from, 4 or 16 octets, where it came over a network. */
  readonly exporterAddress?: Uint8Array
  /** When it came, milliseconds since 1970, where that is known. */
  readonly receivedMs?: number
  /** What its header said that has no place in a Message Header of IPFIX. */
  readonly columns?: HeaderColumns
}

/** Values that belong to each record of a Message of another protocol, since its header says them once for all. */
export interface HeaderColumns {
  /** The same array for all Messages with the same columns. */
  readonly specifiers: readonly FieldSpecifier[]
  /** The values, one behind the other. */
  readonly octets: Uint8Array
}

/** Templates of the session at the time the batch was read; only batches with sub-template lists need them. */
export type TemplateLookup = ReadonlyMap<number, Template>

/** How a list inside a record finds the element it names; the session's registry. */
export interface ElementLookup {
  /** Always gives an element; unknown ones are octetArrays named `pen/id`. */
  get(enterpriseNumber: number, elementId: number): InformationElement
}

/**
 * Records of one Template, as octets: normally one Data Set as received. This is what flows between
 * stages. A batch and its octets are never changed after it is made, and may be kept.
 */
export interface RecordBatch {
  readonly template: Template
  /** Holds the records; usually a whole chunk of input shared by many batches. */
  readonly octets: Uint8Array
  /** Over the same octets. */
  readonly view: DataView
  /** Octet where the first record begins. */
  readonly start: number
  readonly count: number
  /** Start of each record and, last, the end of the last one; absent when records have one size. */
  readonly offsets: Uint32Array | undefined
  readonly message: MessageContext
  /** Present when the Template has subTemplateList or subTemplateMultiList fields. */
  readonly templates?: TemplateLookup
  /** Present when the Template has list fields. */
  readonly elements?: ElementLookup
}

/**
 * What stages exchange: arrays of batches, in order, as they came to hand (one per chunk of input),
 * so that the price of waiting is paid per chunk and not per Data Set.
 */
export type RecordStream = AsyncIterable<readonly RecordBatch[]>

/** A step between two streams; it accounts for what it drops in a ledger handed to its maker. */
export type RecordStage = (source: RecordStream, context: {signal: AbortSignal}) => RecordStream

/** Octet where record `index` begins. */
export function recordStart(batch: RecordBatch, index: number): number {
  return batch.offsets === undefined
    ? batch.start + index * batch.template.recordOctets
    : batch.offsets[index]
}

/** Octet behind record `index`. */
export function recordEnd(batch: RecordBatch, index: number): number {
  return batch.offsets === undefined
    ? batch.start + (index + 1) * batch.template.recordOctets
    : batch.offsets[index + 1]
}

/** Where field `field` of record `index` lies: its first octet, length octets not counted. RFC 7011 section 7. */
export function fieldSpan(
  batch: RecordBatch,
  index: number,
  field: number,
): {start: number; length: number} {
  const {fields} = batch.template
  const target = fields[field]
  const begin = recordStart(batch, index)
  if (target.offset >= 0 && target.length !== VARIABLE) {
    return {start: begin + target.offset, length: target.length}
  }
  // From the last field with a fixed place on, lengths have to be read.
  let at = begin
  let i = 0
  if (target.offset >= 0) {
    at = begin + target.offset
    i = field
  }
  for (; ; i++) {
    let length = fields[i].length
    if (length === VARIABLE) {
      length = batch.octets[at++]
      if (length === 255) {
        length = (batch.octets[at] << 8) | batch.octets[at + 1]
        at += 2
      }
    }
    if (i === field) return {start: at, length}
    at += length
  }
}

/** A new batch that holds copies of the records at `indices` of `batch`, in that order. */
export function keepRecords(batch: RecordBatch, indices: ArrayLike<number>): RecordBatch {
  let size = 0
  for (let i = 0; i < indices.length; i++) {
    size += recordEnd(batch, indices[i]) - recordStart(batch, indices[i])
  }
  const octets = new Uint8Array(size)
  const fixed = batch.offsets === undefined
  const offsets = fixed ? undefined : new Uint32Array(indices.length + 1)
  let at = 0
  for (let i = 0; i < indices.length; i++) {
    const from = recordStart(batch, indices[i])
    const to = recordEnd(batch, indices[i])
    octets.set(batch.octets.subarray(from, to), at)
    if (offsets !== undefined) offsets[i] = at
    at += to - from
  }
  if (offsets !== undefined) offsets[indices.length] = at
  return {
    template: batch.template,
    octets,
    view: new DataView(octets.buffer),
    start: 0,
    count: indices.length,
    offsets,
    message: batch.message,
    ...(batch.templates && {templates: batch.templates}),
    ...(batch.elements && {elements: batch.elements}),
  }
}
