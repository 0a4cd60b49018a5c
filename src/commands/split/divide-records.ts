import type {DartaCommand} from '../../cli/base-command.js'
import {formatByName} from '../../cli/find-format.js'
import type {Divider} from '../../metering/divider.js'
import {keepRecords, type RecordBatch, type RecordStream} from '../../record/batch.js'
import type {Encoder} from '../../record/format.js'
import {Ledger, type StageLedger} from '../../record/ledger.js'
import type {Part} from './part.js'

/**
 * Deals records out to parts, each a stream of its own in the given format. Options Records concern all: every part gets
 * them.
 */
export async function divideRecords(
  command: DartaCommand,
  source: RecordStream,
  formatName: string,
  divider: Divider,
  parts: readonly Part[],
  account: StageLedger,
): Promise<void> {
  const {format, argument} = await formatByName(formatName, '-o')
  const encoders: Encoder[] = parts.map(() =>
    format.encoder!({ledger: new Ledger(), options: {}, argument}),
  )
  for await (const batches of source) {
    const dealt: RecordBatch[][] = parts.map(() => [])
    const counts = parts.map(() => 0)
    for (const batch of batches) {
      account.in += batch.count
      if (batch.template.scopeCount > 0) {
        account.skip('options-to-all', batch.count)
        for (const list of dealt) list.push(batch)
        continue
      }
      const indices: number[][] = parts.map(() => [])
      for (let i = 0; i < batch.count; i++) indices[divider.record(batch, i)].push(i)
      for (const [part, list] of indices.entries()) {
        if (list.length === 0) continue
        dealt[part].push(list.length === batch.count ? batch : keepRecords(batch, list))
        counts[part] += list.length
      }
    }
    await Promise.all(
      parts.map(async (part, i) => {
        const chunks = encoders[i].push(dealt[i])
        if (command.live) chunks.push(...encoders[i].flush())
        await put(part, chunks, counts[i], account)
      }),
    )
    if (command.stopping.aborted) break
  }
  await Promise.all(parts.map((part, i) => put(part, encoders[i].end(), 0, account)))
}

async function put(
  part: Part,
  chunks: readonly Uint8Array[],
  records: number,
  account: StageLedger,
): Promise<void> {
  if (await part.write(chunks)) account.out += records
  else if (records > 0) account.lose(`${part.name}-gone`.replace(/ /g, '-'), records)
}
