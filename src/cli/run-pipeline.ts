import type {RecordStage, RecordStream} from '../record/batch.js'
import type {DartaCommand} from './base-command.js'
import type {RecordSink} from './record-output.js'

/**
 * Moves records from `source` through `stages` into `sink` until the source ends: by itself, or
 * because the user or the reader of the output stops it. An output file gets its name only when
 * everything was written.
 */
export async function runPipeline(
  command: DartaCommand,
  source: RecordStream,
  stages: readonly RecordStage[],
  sink: RecordSink,
): Promise<void> {
  let stream = source
  for (const stage of stages) stream = stage(stream, {signal: command.signal})
  command.onFlush(() => void sink.flush().catch(() => {}))
  try {
    for await (const batches of stream) {
      await sink.write(batches)
      if (command.signal.aborted) break
    }
    await sink.end()
  } catch (error) {
    await sink.abort()
    throw error
  }
}
