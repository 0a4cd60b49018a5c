import type {RecordBatch, RecordStage} from '../record/batch.js'

/** Passes the first `most` records and then ends the source: `-c`. */
export function limitRecords(most: number): RecordStage {
  return async function* (source) {
    let left = most
    for await (const batches of source) {
      const passed: RecordBatch[] = []
      for (const batch of batches) {
        if (left === 0) break
        const kept = batch.count <= left ? batch : firstRecords(batch, left)
        left -= kept.count
        passed.push(kept)
      }
      if (passed.length > 0) yield passed
      if (left === 0) return
    }
  }
}

/** The first `count` records of a batch, over the same octets. */
export function firstRecords(batch: RecordBatch, count: number): RecordBatch {
  return {...batch, count, offsets: batch.offsets?.subarray(0, count + 1)}
}
