import {detectFormat, formatByName} from '../../cli/find-format.js'
import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Decoder} from '../../record/format.js'
import type {Ledger} from '../../record/ledger.js'

/** One child's records, the next ones first. */
interface Lane {
  readonly batches: AsyncIterator<RecordBatch>
  head: RecordBatch | undefined
}

/**
 * Merges the children's output streams in the order of their Messages' export times: always the earliest of those that
 * come next. Ties go in the order of the children, so that the same outputs give the same stream.
 */
export async function* joinOutputs(
  outputs: readonly AsyncIterable<Uint8Array>[],
  ledger: Ledger,
): AsyncGenerator<readonly RecordBatch[]> {
  const lanes: Lane[] = outputs.map((octets, i) => ({
    batches: decode(octets, `child ${i + 1}`, ledger)[Symbol.asyncIterator](),
    head: undefined,
  }))
  const next = async (lane: Lane): Promise<void> => {
    const result = await lane.batches.next()
    lane.head = result.done === true ? undefined : result.value
  }
  await Promise.all(lanes.map(next))
  for (;;) {
    let first: Lane | undefined
    for (const lane of lanes) {
      if (lane.head === undefined) continue
      if (first?.head === undefined || lane.head.message.exportTime < first.head.message.exportTime)
        first = lane
    }
    if (first?.head === undefined) return
    yield [first.head]
    await next(first)
  }
}

async function* decode(
  octets: AsyncIterable<Uint8Array>,
  name: string,
  ledger: Ledger,
): AsyncGenerator<RecordBatch> {
  let decoder: Decoder | undefined
  for await (const chunk of octets) {
    if (chunk.length === 0) continue
    if (decoder === undefined) {
      const format = await detectFormat(chunk)
      if (format === undefined || format.startsWith('pcap')) {
        throw new DartaError(
          'DARTA_FORMAT_UNKNOWN',
          `${name} writes neither IPFIX nor NDJSON: --join cannot merge it`,
          0,
        )
      }
      decoder = (await formatByName(format, '--join')).format.decoder!({ledger, source: name})
    }
    yield* decoder.push(chunk)
  }
  if (decoder !== undefined) yield* decoder.end()
}
