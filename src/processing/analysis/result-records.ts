import {recordEnd, recordStart, type MessageContext, type RecordBatch} from '../../record/batch.js'
import {fullLength, type InformationElement} from '../../record/element.js'
import {createRecordBuilder, type RecordBuilder} from '../../record/record-writer.js'
import {createTemplate, type Template} from '../../record/template.js'
import type {Value} from '../../record/value.js'
import {ie} from '../../registry/elements.js'

/** A time window, milliseconds since 1970; its end is not part of it. */
export interface TimeWindow {
  readonly startMs: number
  readonly endMs: number
}

/** One value of a result. */
export type ResultField = readonly [element: InformationElement, value: Value]

/** A record of a result; each field has its element's full length. */
export interface ResultRecord {
  readonly fields: readonly ResultField[]
  /** So many of the first fields say what the others are about (Options Template, RFC 7011 section 3.4.2). */
  readonly scopeCount?: number
}

/** Makes records of results, in the order in which they come; a batch is made when it is asked for. */
export function* resultBatches(
  message: MessageContext,
  records: Iterable<ResultRecord>,
): Iterable<RecordBatch> {
  const kinds = new Map<string, Kind>()
  let current: Kind | undefined
  for (const record of records) {
    const same = current !== undefined && isOfKind(record, current)
    if (current !== undefined && (!same || current.builder.count === BATCH_RECORDS)) {
      yield* taken(current, message)
    }
    if (!same) current = kindOf(record, kinds)
    current!.builder.add(record.fields.map(([, value]) => value))
  }
  if (current !== undefined) yield* taken(current, message)
}

function taken({builder}: Kind, message: MessageContext): RecordBatch[] {
  const batch = builder.take(message)
  return batch === undefined ? [] : [batch]
}

interface Kind {
  readonly elements: readonly InformationElement[]
  readonly scopeCount: number
  readonly builder: RecordBuilder
}

function isOfKind({fields, scopeCount = 0}: ResultRecord, kind: Kind): boolean {
  if (fields.length !== kind.elements.length || scopeCount !== kind.scopeCount) return false
  for (let i = 0; i < fields.length; i++) if (fields[i][0] !== kind.elements[i]) return false
  return true
}

function kindOf({fields, scopeCount = 0}: ResultRecord, kinds: Map<string, Kind>): Kind {
  const elements = fields.map(([element]) => element)
  const specifiers = elements.map((element) => ({element, length: fullLength(element.type)}))
  const template = createTemplate(FIRST_ID + kinds.size, specifiers, scopeCount)
  let kind = kinds.get(template.layout)
  if (kind === undefined) {
    kind = {elements, scopeCount, builder: createRecordBuilder(template)}
    kinds.set(template.layout, kind)
  }
  return kind
}

/** Records that are handed on together. */
const BATCH_RECORDS = 4096

/** Template IDs of results; an encoder gives them its own. */
const FIRST_ID = 256
const WINDOW_OCTETS = 16

/** The same records with the window that they are of in front; without a window just the records. */
export function* withWindow(
  batches: Iterable<RecordBatch>,
  window: TimeWindow | undefined,
): Iterable<RecordBatch> {
  const templates = new Map<Template, Template>()
  for (const batch of batches) {
    if (window === undefined) {
      yield batch
      continue
    }
    let template = templates.get(batch.template)
    if (template === undefined) {
      template = windowTemplate(batch.template)
      templates.set(batch.template, template)
    }
    yield prefixed(batch, template, window)
  }
}

function prefixed(batch: RecordBatch, template: Template, window: TimeWindow): RecordBatch {
  const first = recordStart(batch, 0)
  const size = recordEnd(batch, batch.count - 1) - first + WINDOW_OCTETS * batch.count
  const octets = new Uint8Array(size)
  const view = new DataView(octets.buffer)
  const offsets = new Uint32Array(batch.count + 1)
  let at = 0
  for (let i = 0; i < batch.count; i++) {
    offsets[i] = at
    view.setBigUint64(at, BigInt(window.startMs))
    view.setBigUint64(at + 8, BigInt(window.endMs))
    const record = batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i))
    octets.set(record, at + WINDOW_OCTETS)
    at += WINDOW_OCTETS + record.length
  }
  offsets[batch.count] = at
  const fixed = batch.offsets === undefined
  return {...batch, template, octets, view, start: 0, offsets: fixed ? undefined : offsets}
}

function windowTemplate({id, fields, scopeCount}: Template): Template {
  const window = [ie.dartaWindowStartMilliseconds, ie.dartaWindowEndMilliseconds]
  return createTemplate(
    id,
    [...window.map((element) => ({element, length: 8})), ...fields],
    // What a record is about includes when.
    scopeCount > 0 ? scopeCount + window.length : 0,
  )
}
