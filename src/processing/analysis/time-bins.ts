import {keepRecords, type RecordBatch} from '../../record/batch.js'
import type {Template} from '../../record/template.js'
import {eventTimeReader, type EventTimeReader} from './event-time.js'

/** Sorts records into stretches of event time, each `binMs` long and named by its number since 1970. */
export function createTimeBins(
  binMs: number,
): (batches: readonly RecordBatch[]) => Map<number, RecordBatch[]> {
  const readers = new WeakMap<Template, EventTimeReader>()
  return (batches) => {
    const bins = new Map<number, RecordBatch[]>()
    const put = (bin: number, batch: RecordBatch): void => {
      const list = bins.get(bin)
      if (list === undefined) bins.set(bin, [batch])
      else list.push(batch)
    }
    for (const batch of batches) {
      if (batch.count === 0) continue
      let read = readers.get(batch.template)
      if (read === undefined) {
        read = eventTimeReader(batch.template)
        readers.set(batch.template, read)
      }
      const first = Math.floor(read(batch, 0) / binMs)
      const own = new Map<number, number[]>()
      let alike = true
      for (let i = 0; i < batch.count; i++) {
        const bin = Math.floor(read(batch, i) / binMs)
        if (alike && bin === first) continue
        if (alike) {
          alike = false
          own.set(
            first,
            Array.from({length: i}, (_, n) => n),
          )
        }
        const list = own.get(bin)
        if (list === undefined) own.set(bin, [i])
        else list.push(i)
      }
      if (alike) put(first, batch)
      else for (const [bin, indices] of own) put(bin, keepRecords(batch, indices))
    }
    return bins
  }
}
