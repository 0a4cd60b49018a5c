import type {RecordBatch} from '../record/batch.js'
import type {Decoder} from '../record/format.js'
import {Ledger} from '../record/ledger.js'
import {fieldIndex} from '../record/template.js'
import {ie} from '../registry/elements.js'
import type {Engine} from './engine.js'
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
    const keys = (await engine.keys(bucket)).filter((key) => !isPiece(key)).sort()
    for (const key of keys) {
      if (key === 'end' || seen.has(key)) continue
      const stored = await engine.get(bucket, key)
      const value = stored && (await getLarge(engine, bucket, stored.value))
      if (value === undefined) continue
      seen.add(key)
      const decoder = newDecoder(new Ledger())
      // Whoever writes them describes their elements again (RFC 5610).
      const batches = [...decoder.push(value), ...decoder.end()].filter(
        ({template}) => fieldIndex(template, ie.informationElementId) < 0,
      )
      if (batches.length > 0) yield batches
    }
    if (keys.includes('end')) return
    await engine.clock.sleep(FOLLOW_MS)
  }
}

const FOLLOW_MS = 250
