import {deployApp} from '../../src/engine/apps.js'
import {createPublisher, type PublisherOptions} from '../../src/engine/publisher.js'
import {publishStream} from '../../src/engine/publishing.js'
import type {Deployment} from '../../src/engine/task.js'
import {liveBucket, PLAN_KEY} from '../../src/engine/member.js'
import type {Plan} from '../../src/engine/plan.js'
import {runWorker, type Pace} from '../../src/engine/worker.js'
import {bucketOf} from '../../src/engine/task.js'
import {getLarge} from '../../src/engine/large-values.js'
import {createEmbeddedEngine} from '../../src/engine/embedded.js'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import type {Analysis} from '../../src/processing/analysis/app.js'
import {
  createProcessingUnit,
  type Windowing,
} from '../../src/processing/analysis/processing-unit.js'
import {keepRecords, type RecordBatch} from '../../src/record/batch.js'
import {Ledger, StageLedger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/lookup.js'
import {templateOf} from '../support/records.js'
import {SimulatedCluster, type Faults, type SimulatedProcess} from './simulation.js'

const pace: Pace = {beatMs: 500, deadMs: 2000, checkpointMs: 1000, idleMs: 50}

/** Of publishers; longer than any stall. */
const PATIENCE_MS = 60_000

function encodeResults(batches: Iterable<RecordBatch>): Uint8Array {
  const encoder = createEncoder({ledger: new Ledger()})
  const chunks = [...encoder.push([...batches]), ...encoder.end()]
  return Buffer.concat(chunks)
}

const newEncoder: PublisherOptions['newEncoder'] = (ledger, newBlock) =>
  createEncoder({ledger, newBlock})
/** Flows of a source: what the applications of the tests need, and no more. */
export const sourceFlow = templateOf([
  ie.sourceIPv4Address,
  ie.octetDeltaCount,
  ie.packetDeltaCount,
  ie.flowStartMilliseconds,
  ie.flowEndMilliseconds,
])

export const newDecoder = (ledger: Ledger) => createDecoder({ledger, source: 'log'})

/** Records that IPFIX can carry: reverse elements need a direction (RFC 5103). */
export function isSendable(batch: RecordBatch): boolean {
  const ledger = new Ledger()
  const encoder = createEncoder({ledger})
  encoder.push([batch])
  return batch.count > 0 && ledger.totalLost() === 0
}

/** What one unit makes of all records, window by window, by the octets of their results. */
export function resultsOfOne(
  analysis: Analysis,
  windowing: Omit<Windowing, 'watermark'> | undefined,
  batches: readonly RecordBatch[],
): Map<string, string> {
  const ledger = new StageLedger('one', 'records')
  const unit = createProcessingUnit(analysis, {
    windowing: windowing && {...windowing, watermark: 'records'},
    maxOctets: 0,
    ledger,
  })
  unit.add(batches)
  return new Map(
    unit
      .finish()
      .map(({window, results}) => [
        String(window?.startMs ?? 0).padStart(15, '0'),
        Buffer.from(encodeResults(results())).toString('hex'),
      ]),
  )
}

export interface Course {
  readonly seed: number
  readonly units: number
  readonly parts: number
  readonly publishers: number
  readonly windowing: Omit<Windowing, 'watermark'> | undefined
  /** What happens meanwhile, at most so often each. */
  readonly crashes: number
  readonly freezes: number
  readonly joins: number
  readonly leaves: number
  /** The first publisher is killed before it ends. */
  readonly publisherDies?: boolean
  readonly splitHot?: boolean
  /** Records are published as fast as the engine takes them. */
  readonly hurried?: boolean
  readonly faults: Faults
}

export interface Outcome {
  /** By window, as octets in hex. */
  readonly results: Map<string, string>
  readonly analysed: number
  readonly lost: number
  readonly late: number
  readonly notes: readonly string[]
  readonly virtualMs: number
  readonly faults: number
  /** Entries of others that units saw, and that there were. */
  readonly foreign: number
  readonly written: number
  /** Records by unit, as parts are owned at the end. */
  readonly burden: readonly number[]
  /** Entries that were acknowledged and that the log does not have, and those that it took. */
  readonly dropped: readonly Uint8Array[]
  readonly log: readonly {readonly part: number; readonly octets: Uint8Array}[]
}

/** Runs records through a cluster in which units come, go, freeze and crash, and gives the final results. */
export async function runCluster(
  analysis: Analysis,
  batches: readonly RecordBatch[],
  course: Course,
): Promise<Outcome> {
  const cluster = new SimulatedCluster(course.seed, course.faults)
  const {random, time} = cluster
  const deployment: Deployment = {
    app: 'app',
    topic: 'app',
    parts: course.parts,
    windowing: course.windowing,
    ...(course.splitHot && {splitHot: true}),
  }
  const declaring = createEmbeddedEngine(cluster.store, time)
  const declaration = await deployApp(declaring, {...deployment, words: [], seed: 1})
  const notes: string[] = []
  const units: {process: SimulatedProcess; stop: AbortController; gone: boolean}[] = []
  let finished: () => void
  const over = new Promise<void>((resolve) => (finished = resolve))

  function join(): void {
    const process = cluster.process()
    const stop = new AbortController()
    const unit = {process, stop, gone: false}
    const id = `unit-${units.push(unit)}`
    void runWorker(process.engine, {
      id,
      weight: 1,
      deployment,
      analysis,
      maxOctets: 0,
      newDecoder,
      encode: encodeResults,
      pace,
      stopping: stop.signal,
      note: (what) => notes.push(`${id}: ${what}`),
    }).then(() => {
      if (!stop.signal.aborted) finished()
    })
  }

  for (let i = 0; i < course.units; i++) join()

  /** Everything that is to happen, each at some moment of the first minute. */
  const events: [number, () => void][] = []
  const when = (): number => random() * 60_000
  const someUnit = (): (typeof units)[number] | undefined => {
    const there = units.filter((unit) => !unit.gone)
    return there[Math.floor(random() * there.length)]
  }
  for (let i = 0; i < course.joins; i++) events.push([when(), join])
  for (let i = 0; i < course.crashes; i++) {
    events.push([
      when(),
      () => {
        const unit = someUnit()
        if (unit === undefined) return
        unit.gone = true
        unit.process.crash()
        // As whoever supervises them would.
        join()
      },
    ])
  }
  for (let i = 0; i < course.freezes; i++) {
    events.push([when(), () => someUnit()?.process.freeze(1000 + random() * 15_000)])
  }
  for (let i = 0; i < course.leaves; i++) {
    events.push([
      when(),
      () => {
        const unit = someUnit()
        if (unit === undefined || units.filter(({gone}) => !gone).length < 2) return
        unit.gone = true
        unit.stop.abort()
      },
    ])
  }
  for (const [at, happen] of events) void time.sleep(at).then(happen)

  // Records of a batch may take different ways in.
  const ways = batches.map((batch) => {
    const of = Array.from({length: course.publishers}, (): number[] => [])
    for (let i = 0; i < batch.count; i++) of[Math.floor(random() * of.length)].push(i)
    return of
  })
  let waiting = course.publishers
  let allThere: () => void
  const there = new Promise<void>((resolve) => (allThere = resolve))
  async function* source(way: number): AsyncGenerator<RecordBatch[]> {
    if (--waiting === 0) allThere()
    await there
    for (const [i, batch] of batches.entries()) {
      const own = ways[i][way]
      if (own.length > 0) yield [keepRecords(batch, own)]
      if (course.hurried !== true) await time.sleep(random() * 4000)
    }
    await time.sleep(Math.max(0, 60_000 - time.now()))
  }
  const ledgers: StageLedger[] = []
  const publishing = Array.from({length: course.publishers}, (_, i) => {
    const process = cluster.process()
    const id = String(i + 1).padStart(16, '0')
    const ledger = new StageLedger('publish', 'records')
    ledgers.push(ledger)
    const publisher = createPublisher(process.engine, {
      topic: deployment.topic,
      parts: deployment.parts,
      key: analysis.routingKey,
      needs: [analysis.needs],
      seed: 1,
      splitHot: course.splitHot === true,
      id,
      newEncoder,
      ledger,
      patienceMs: PATIENCE_MS,
    })
    const {app, topic} = deployment
    const outlets = [{app, topic, declaration, publisher}]
    const publishes = publishStream(process.engine, source(i), outlets, {
      ...{id, patienceMs: PATIENCE_MS, stopping: new AbortController().signal},
      pace: {punctuationMs: 1000, aliveMs: 1000},
    })
    const dies = course.publisherDies === true && i === 0
    if (!dies) return publishes
    void time.sleep(10_000 + random() * 40_000).then(() => process.crash())
    return undefined
  })
  const all = Promise.all([over, ...publishing])
  all.catch(() => {})
  await time.run(all)

  const engine = createEmbeddedEngine(cluster.store, time)
  const results = new Map<string, string>()
  for (const key of await engine.keys(bucketOf.final('app'))) {
    if (key === 'end' || key.includes('=')) continue
    const stored = await engine.get(bucketOf.final('app'), key)
    const value = await getLarge(engine, bucketOf.final('app'), stored!.value)
    results.set(key, Buffer.from(value!).toString('hex'))
  }
  let [analysed, lost, late, foreign] = [0, 0, 0, 0]
  const plan = await engine.get(liveBucket('app'), PLAN_KEY)
  const {owners} = JSON.parse(Buffer.from(plan!.value).toString()) as Plan
  const burden = new Map<string, number>()
  for (const key of await engine.keys(bucketOf.progress('app'))) {
    const stored = await engine.get(bucketOf.progress('app'), key)
    const {counters} = JSON.parse(Buffer.from(stored!.value).toString()) as {
      counters: {analysed: number; lost: number; late: number; foreign: number}
    }
    const owner = owners[Number(key)]
    burden.set(owner, (burden.get(owner) ?? 0) + counters.analysed)
    analysed += counters.analysed
    lost += counters.lost
    late += counters.late
    foreign += counters.foreign
  }
  return {
    ...{results, analysed, lost, late, notes, virtualMs: time.now(), faults: cluster.made},
    ...{dropped: cluster.lost, log: cluster.taken, burden: [...burden.values()]},
    ...{foreign, written: cluster.foreign},
  }
}
