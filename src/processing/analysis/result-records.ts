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

/** Makes records of results, in the order in which they come. */
export interface ResultWriter {
  /**
   * Adds a record; each field has its element's full length. So many as `scopeCount` of the first fields say what the others
   * are about (Options Template, RFC 7011 section 3.4.2).
   */
  add(fields: readonly ResultField[], scopeCount?: number): void
  /** The records since the last `take`. */
  take(): RecordBatch[]
}

export function createResultWriter(message: MessageContext): ResultWriter {
  const builders = new Map<string, RecordBuilder>()
  const batches: RecordBatch[] = []
  let current: RecordBuilder | undefined

  function finish(): void {
    const batch = current?.take(message)
    if (batch !== undefined) batches.push(batch)
  }

  return {
    add(fields, scopeCount = 0) {
      let layout = String(scopeCount)
      for (const [{enterpriseNumber, elementId}] of fields) {
        layout += `,${enterpriseNumber}/${elementId}`
      }
      let builder = builders.get(layout)
      if (builder === undefined) {
        const specifiers = fields.map(([element]) => ({element, length: fullLength(element.type)}))
        builder = createRecordBuilder(
          createTemplate(FIRST_ID + builders.size, specifiers, scopeCount),
        )
        builders.set(layout, builder)
      }
      if (builder !== current) finish()
      current = builder
      builder.add(fields.map(([, value]) => value))
    },
    take() {
      finish()
      return batches.splice(0)
    },
  }
}

/** Template IDs of results; an encoder gives them its own. */
const FIRST_ID = 256
const WINDOW_OCTETS = 16

/** The same records with the window that they are of in front; without a window just the records. */
export function withWindow(batches: RecordBatch[], window: TimeWindow | undefined): RecordBatch[] {
  if (window === undefined) return batches
  const templates = new Map<Template, Template>()
  return batches.map((batch) => {
    let template = templates.get(batch.template)
    if (template === undefined) {
      template = windowTemplate(batch.template)
      templates.set(batch.template, template)
    }
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
  })
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
