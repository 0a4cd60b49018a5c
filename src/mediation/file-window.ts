import type {RecordBatch} from '../record/batch.js'
import {makeColumnReader} from '../record/group-reader.js'
import {createRecordBuilder} from '../record/record-writer.js'
import {createTemplate, fieldIndex, type Template} from '../record/template.js'
import {endColumn, startColumn} from '../registry/flow-columns.js'
import {ie} from '../registry/lookup.js'

const windowTemplate = createTemplate(
  256,
  [
    {element: ie.sessionScope, length: 1},
    {element: ie.minFlowStartMilliseconds, length: 8},
    {element: ie.maxFlowEndMilliseconds, length: 8},
    {element: ie.minExportSeconds, length: 4},
    {element: ie.maxExportSeconds, length: 4},
  ],
  1,
)

type Read = ((batch: RecordBatch, index: number) => number) | undefined

/** Times finer than the window's: it ends in the millisecond behind. */
const finer = [
  ie.flowEndMicroseconds,
  ie.flowEndNanoseconds,
  ie.flowEndDeltaMicroseconds,
  ie.observationTimeMicroseconds,
  ie.observationTimeNanoseconds,
]

/**
 * The File Time Window of what passes: from the first Flow's start to the last one's end, and the export times. RFC 5655
 * section 8.1.2. Records without times of their own do not count.
 */
export function createFileWindow(): {
  see(batches: readonly RecordBatch[]): void
  /** The Options Record for what was seen since the last one; none if no Flow was. */
  take(): RecordBatch[]
} {
  const readers = new WeakMap<Template, {start: Read; end: Read; over: number}>()
  let first = Infinity
  let last = -Infinity
  let firstExport = Infinity
  let lastExport = -Infinity

  function readersOf(template: Template): {start: Read; end: Read; over: number} {
    let found = readers.get(template)
    if (found === undefined) {
      const start = makeColumnReader(startColumn, template)
      const end = makeColumnReader(endColumn, template)
      const over = finer.some((element) => fieldIndex(template, element) >= 0) ? 1 : 0
      found = {start: start ?? end, end: end ?? start, over}
      readers.set(template, found)
    }
    return found
  }

  return {
    see(batches) {
      for (const batch of batches) {
        if (batch.template.scopeCount > 0) continue
        const {exportTime} = batch.message
        if (exportTime < firstExport) firstExport = exportTime
        if (exportTime > lastExport) lastExport = exportTime
        const {start, end, over} = readersOf(batch.template)
        if (start === undefined || end === undefined) continue
        for (let i = 0; i < batch.count; i++) {
          const from = Math.floor(start(batch, i))
          const to = Math.floor(end(batch, i)) + over
          if (from < first) first = from
          if (to > last && to < 2 ** 53) last = to
        }
      }
    },
    take() {
      if (!(last >= first) || !(first >= 0)) return []
      const builder = createRecordBuilder(windowTemplate)
      builder.add([0, first, last, firstExport, lastExport])
      const exportTime = lastExport
      first = firstExport = Infinity
      last = lastExport = -Infinity
      const message = {exportTime, sequenceNumber: 0, observationDomainId: 0, offset: 0}
      return [builder.take(message)!]
    },
  }
}
