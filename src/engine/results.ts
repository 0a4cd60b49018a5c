import type {RecordBatch} from '../record/batch.js'
import type {Decoder} from '../record/format.js'
import {Ledger} from '../record/ledger.js'
import {fieldIndex} from '../record/template.js'
import {ie} from '../registry/elements.js'
import {patiently, type Engine} from './engine.js'
import {getLarge, isPiece} from './large-values.js'
import {bucketOf} from './task.js'

/**
 * Results of the windows that are merged, each once, in the order of their beginnings as far as they are there; ends when all
 * parts have come to their end, or when `stopping` does.
 */
export async function* followResults(
  engine: Engine,
  app: string,
  newDecoder: (ledger: Ledger) => Decoder,
  stopping: AbortSignal,
): AsyncGenerator<readonly RecordBatch[]> {
  const bucket = bucketOf.final(app)
  const seen = new Set<string>()
  while (!stopping.aborted) {
    const all = await patiently(engine, () => engine.keys(bucket), PATIENCE_MS)
    const keys = all.filter((key) => !isPiece(key)).sort()
    let behind = false
    for (const key of keys) {
      if (key === 'end' || seen.has(key)) continue
      const read = async (): Promise<Uint8Array | undefined> => {
        const stored = await engine.get(bucket, key)
        return stored && getLarge(engine, bucket, stored.value)
      }
      const value = await patiently(engine, read, PATIENCE_MS)
      if (value === undefined) {
        behind = true
        continue
      }
      seen.add(key)
      const decoder = newDecoder(new Ledger())
      // Whoever writes them describes their elements again (RFC 5610).
      const batches = [...decoder.push(value), ...decoder.end()].filter(
        ({template}) => fieldIndex(template, ie.informationElementId) < 0,
      )
      if (batches.length > 0) yield batches
    }
    if (keys.includes('end') && !behind) return
    await engine.clock.sleep(FOLLOW_MS)
  }
}

const FOLLOW_MS = 250
/** An engine that is gone for so long is told of. */
const PATIENCE_MS = 60_000
