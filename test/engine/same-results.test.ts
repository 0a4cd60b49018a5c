import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {deployApp} from '../../src/engine/apps.js'
import {createPublisher} from '../../src/engine/publisher.js'
import {publishStream} from '../../src/engine/publishing.js'
import {followResults} from '../../src/engine/results.js'
import {runWorker, usualPace} from '../../src/engine/worker.js'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {defaultOptions, type AnalysisApp} from '../../src/processing/analysis/app.js'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {Ledger, StageLedger} from '../../src/record/ledger.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {needing, root} from '../support/needing.js'
import {bareLines} from '../support/results.js'
import {engines, type Served} from './served.js'

const APP = 'top -k 0 -s srcip,dstport'
const WINDOW = ['--window', '10s', '--lateness', '10m']
const patienceMs = 60_000
const windowing = {lengthMs: 10_000, slideMs: 10_000, latenessMs: 600_000}

/** NDJSON that a command writes, sorted, without what says which Message a record was in, and what its elements are. */
async function ndjsonOf(t: ExecutionContext, ...words: string[]): Promise<string[]> {
  const {stdout, code, stderr} = await darta(t, [...words, '-q', '-o', 'ndjson'])
  t.is(code, 0, stderr)
  return bareLines(stdout)
    .filter((line) => !line.includes('"informationElementName"'))
    .sort()
}

/** Publisher and units in this process: the engine is there too. */
async function inProcess(t: ExecutionContext, {open}: Served, flows: Buffer): Promise<string[]> {
  const app = (await apps.top()).default as unknown as AnalysisApp
  const options = {...defaultOptions(app), top: 0, statistic: ['srcip,dstport']}
  const analysis = app.prepare(options, toolbox)
  const deployment = {app: 'top', topic: 'top', parts: 4, windowing}
  const engine = await open()
  const declaration = await deployApp(engine, {...deployment, words: APP.split(' '), seed: 1})
  const newDecoder = (ledger: Ledger) => createDecoder({ledger, source: 'engine'})
  const [stop, {signal: stopping}] = [new AbortController(), new AbortController()]
  const unit = async (name: string, until: AbortSignal): Promise<void> =>
    runWorker(await open(), {
      ...{id: name, weight: 1, deployment, analysis, maxOctets: 0, newDecoder, pace: usualPace},
      ...{stopping: until, encode},
    })
  const units = [unit('one', stopping), unit('two', stop.signal)]
  const id = '0123456789abcdef'
  const publisher = createPublisher(engine, {
    ...{topic: 'top', parts: 4, key: analysis.routingKey, needs: [analysis.needs], seed: 1},
    ...{id, splitHot: false, patienceMs, ledger: new StageLedger('route', 'records')},
    newEncoder: (ledger) => createEncoder({ledger}),
  })
  async function* halves(): AsyncGenerator<RecordBatch[]> {
    for (const half of [1, 2]) {
      const decoder = newDecoder(new Ledger())
      yield [...decoder.push(flows), ...decoder.end()]
      if (half === 1) stop.abort()
    }
  }
  const outlets = [{app: 'top', topic: 'top', declaration, publisher}]
  await publishStream(engine, halves(), outlets, {id, patienceMs, stopping})
  await Promise.all(units)
  const results: RecordBatch[] = []
  for await (const batches of followResults(engine, 'top', newDecoder, stopping)) {
    results.push(...batches)
  }
  const file = join(folder(t), 'embedded.ipfix')
  writeFileSync(file, encode(results))
  return ndjsonOf(t, 'print', '-r', file)
}

function encode(batches: Iterable<RecordBatch>): Uint8Array {
  const encoder = createEncoder({ledger: new Ledger()})
  return Buffer.concat([...encoder.push([...batches]), ...encoder.end()])
}

/** Publisher and two units in processes of their own, one of which is killed in the middle. */
async function betweenProcesses(
  t: ExecutionContext,
  {url}: Served,
  flows: Buffer,
): Promise<string[]> {
  const engine = ['--engine', url]
  const publisher = start(t, bin, [
    ...['route', '--app', APP, ...engine, ...WINDOW, '--parts', '4'],
  ])
  const status = async (): Promise<{units: number; analysed: number}> => {
    const {stdout} = await darta(t, ['route', '-q', ...engine, '--status'])
    if (stdout.length === 0) return {units: -1, analysed: 0}
    const {units, counters} = JSON.parse(stdout.toString()) as {
      units: {parts: number}[]
      counters: {analysed: number}
    }
    return {units: units.filter(({parts}) => parts > 0).length, ...counters}
  }
  while ((await status()).units < 0);
  const unit = (): Running => start(t, bin, ['analyze', 'top', ...engine, '-v'])
  const [victim, other] = [unit(), unit()]
  while ((await status()).units < 2);
  publisher.child.stdin.write(flows)
  while ((await status()).analysed === 0);
  victim.child.kill('SIGKILL')
  publisher.child.stdin.end(flows)
  const routed = await publisher.ended
  t.is(routed.code, 0, routed.stderr)
  t.regex(routed.stderr, /route top: 1454 records in, 1448 out/)
  t.is((await other.ended).code, 0)
  return ndjsonOf(t, 'analyze', 'top', ...engine, '--follow')
}

const here = engines.filter(({name, scheme, reasons}) =>
  name === 'kafka (server)'
    ? reasons.every((reason) => reason === undefined)
    : name === 'embedded' || scheme !== undefined,
)

needing(...here.flatMap(({reasons}) => reasons))(
  'embedded, NATS and Kafka give the results of one to the octet, though a unit is killed',
  async (t) => {
    const file = join(folder(t), 'lab.ipfix')
    await darta(t, ['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', file])
    const flows = readFileSync(file)
    const analyze = ['analyze', ...APP.split(' '), '-r', file, '-r', file, ...WINDOW]
    const one = await ndjsonOf(t, ...analyze)
    t.true(one.length > 100)
    for (const {name, scheme, serve} of here) {
      const served = await serve(t)
      const results = await (scheme === undefined ? inProcess : betweenProcesses)(t, served, flows)
      // The whole would be much to read.
      const other = one.findIndex((line, i) => line !== results[i])
      t.is(results[other], one[other], name)
      t.is(results.length, one.length, name)
    }
  },
)
