import {eventTimeReader, type EventTimeReader} from '../../processing/analysis/event-time.js'
import {recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import {compareOctets} from '../../record/octets.js'
import type {Template} from '../../record/template.js'

/** Records that go into one batch at most. */
const BATCH_RECORDS = 1024

/**
 * The records of all batches in the order of their event time, those of one moment in the order of their Observation Domain,
 * layout and octets: the same records are the same stream, however they came. All are of the latest of their export times.
 */
export function* recordsInOrder(batches: readonly RecordBatch[]): Iterable<RecordBatch[]> {
  const count = batches.reduce((n, batch) => n + batch.count, 0)
  const exportTime = batches.reduce((n, {message}) => Math.max(n, message.exportTime), 0)
  const readers = new Map<Template, EventTimeReader>()
  const times = new Float64Array(count)
  const of = new Uint32Array(count)
  const at = new Uint32Array(count)
  let n = 0
  for (const [b, batch] of batches.entries()) {
    let read = readers.get(batch.template)
    if (read === undefined) {
      read = eventTimeReader(batch.template)
      readers.set(batch.template, read)
    }
    for (let i = 0; i < batch.count; i++) {
      times[n] = read(batch, i)
      of[n] = b
      at[n++] = i
    }
  }
  const order = Uint32Array.from({length: count}, (_, i) => i).sort((x, y) => {
    if (times[x] !== times[y]) return times[x] - times[y]
    return compareRecords(batches[of[x]], at[x], batches[of[y]], at[y])
  })
  for (let from = 0; from < count; from += BATCH_RECORDS) {
    const chunk = order.subarray(from, Math.min(count, from + BATCH_RECORDS))
    const made: RecordBatch[] = []
    for (let begin = 0, end = 0; begin < chunk.length; begin = end) {
      const first = batches[of[chunk[begin]]]
      do end++
      while (end < chunk.length && isAlike(batches[of[chunk[end]]], first))
      const run = chunk.subarray(begin, end)
      made.push(
        gather(
          first,
          Array.from(run, (i) => [batches[of[i]], at[i]]),
          exportTime,
        ),
      )
    }
    yield made
  }
}

/** Whether records of both can be in one batch. */
function isAlike(a: RecordBatch, b: RecordBatch): boolean {
  return (
    a.template === b.template &&
    a.message.observationDomainId === b.message.observationDomainId &&
    a.message.exporter === b.message.exporter &&
    a.templates === b.templates &&
    a.elements === b.elements
  )
}

function compareRecords(a: RecordBatch, i: number, b: RecordBatch, j: number): number {
  const domains = a.message.observationDomainId - b.message.observationDomainId
  if (domains !== 0) return domains
  if (a.template.layout !== b.template.layout) return a.template.layout < b.template.layout ? -1 : 1
  const [from, to] = [recordStart(a, i), recordStart(b, j)]
  return compareOctets(a.octets, from, recordEnd(a, i) - from, b.octets, to, recordEnd(b, j) - to)
}

function gather(
  first: RecordBatch,
  records: readonly (readonly [RecordBatch, number])[],
  exportTime: number,
): RecordBatch {
  const spans = records.map(([batch, i]) =>
    batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i)),
  )
  const octets = new Uint8Array(spans.reduce((n, {length}) => n + length, 0))
  const offsets = new Uint32Array(spans.length + 1)
  let end = 0
  for (const [i, span] of spans.entries()) {
    octets.set(span, end)
    end += span.length
    offsets[i + 1] = end
  }
  return {
    ...first,
    octets,
    view: new DataView(octets.buffer),
    start: 0,
    count: spans.length,
    offsets: first.offsets === undefined ? undefined : offsets,
    message: {...first.message, exportTime},
  }
}
