import {hostname} from 'node:os'
import {randomBytes} from 'node:crypto'
import {setFlagsFromString} from 'node:v8'
import type {DartaCommand} from '../../cli/base-command.js'
import {openRecordSink} from '../../cli/record-output.js'
import {runPipeline} from '../../cli/run-pipeline.js'
import {deployedApp, type DeployedApp} from '../../engine/apps.js'
import type {Engine} from '../../engine/engine.js'
import {followResults} from '../../engine/results.js'
import {runWorker, usualPace} from '../../engine/worker.js'
import {createDecoder} from '../../ipfix/decoder.js'
import {createEncoder} from '../../ipfix/encoder.js'
import type {Analysis} from '../../processing/analysis/app.js'
import {Ledger} from '../../record/ledger.js'
import type {RecordBatch} from '../../record/batch.js'

const newDecoder = (ledger: Ledger) => createDecoder({ledger, source: 'engine'})

function encode(batches: Iterable<RecordBatch>): Uint8Array {
  const encoder = createEncoder({ledger: new Ledger()})
  return Buffer.concat([...encoder.push([...batches]), ...encoder.end()])
}

/**
 * What comes from an engine lies in blocks outside a heap that is small: V8 would mark all of it again after each 8 MB of them, a
 * quarter of a unit's time. So that it does after three times of what is in use, for which a unit has a tenth more memory.
 */
const HEAP_GROWS = '--heap-growing-percent=300'

/** Works as one of an application's Processing Units until it is stopped, or until all records have come. */
export async function runUnit(
  command: DartaCommand,
  engine: Engine,
  app: DeployedApp,
  analysis: Analysis,
  maxOctets: number,
): Promise<void> {
  const id = `${hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 40)}-${process.pid}-${randomBytes(2).toString('hex')}`
  setFlagsFromString(HEAP_GROWS)
  command.note(`${id} works for ${app.app} at ${engine.name}`)
  await runWorker(engine, {
    id,
    weight: 1,
    deployment: app,
    analysis,
    maxOctets,
    newDecoder,
    encode,
    pace: usualPace,
    stopping: command.stopping,
    note: (what) => command.detail(what),
  })
}

/** Writes the results of an application that others work for, each window once. */
export async function writeResults(
  command: DartaCommand,
  engine: Engine,
  name: string,
  output: {readonly output?: string; readonly write?: string; readonly force?: boolean},
): Promise<void> {
  await deployedApp(engine, name)
  const sink = await openRecordSink(command, {
    ...output,
    preferred: {terminal: 'table', other: 'ndjson'},
  })
  const source = followResults(engine, name, newDecoder, command.stopping)
  await runPipeline(command, source, [], sink)
}
