import test from 'ava'
import {deployApp, removeApp} from '../../src/engine/apps.js'
import {createEmbeddedEngine} from '../../src/engine/embedded.js'
import {writeEntry} from '../../src/engine/entry.js'
import {createPublisher} from '../../src/engine/publisher.js'
import {publishStream} from '../../src/engine/publishing.js'
import {bucketOf} from '../../src/engine/task.js'
import {runWorker, type WorkerOptions} from '../../src/engine/worker.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {defaultOptions, type AnalysisApp} from '../../src/processing/analysis/app.js'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {StageLedger} from '../../src/record/ledger.js'
import {newDecoder} from './cluster.js'
import {SimulatedCluster} from './simulation.js'

const deployment = {app: 'app', topic: 'app', parts: 2, windowing: undefined}

/** An application at an engine of one process, and who works for it. */
async function site() {
  const cluster = new SimulatedCluster(1, {})
  const {time} = cluster
  const app = (await apps.top()).default as unknown as AnalysisApp
  const analysis = app.prepare(defaultOptions(app), toolbox)
  const engine = createEmbeddedEngine(cluster.store, time)
  return {
    ...{time, engine},
    deploy: () => deployApp(engine, {...deployment, words: [], seed: 1}),
    /** What a publisher of which the registry knows nothing says in each part. */
    punctuate: (publisher: string, watermark: number) =>
      Promise.all(
        [0, 1].map((part) => {
          const header = {kind: 'punctuation', publisher, before: 0, records: 0, watermark} as const
          return engine.append('app', part, writeEntry(header, []))
        }),
      ),
    /** @returns when it has ended, what the unit told */
    work: async (id: string): Promise<string[]> => {
      const notes: string[] = []
      const options: WorkerOptions = {
        ...{id, weight: 1, deployment, analysis, maxOctets: 0, newDecoder},
        encode: () => new Uint8Array(0),
        pace: {beatMs: 500, deadMs: 2000, checkpointMs: 1000, idleMs: 50},
        stopping: new AbortController().signal,
        note: (what) => notes.push(what),
      }
      await runWorker(cluster.process().engine, options)
      return notes
    },
    /** Publishes nothing for so long, and ends. */
    publish: async (id: string, declaration: number, ms: number): Promise<void> => {
      const publisher = createPublisher(engine, {
        ...{topic: 'app', parts: 2, key: analysis.routingKey, needs: [analysis.needs], seed: 1},
        ...{id, splitHot: false, patienceMs: 60_000, ledger: new StageLedger('route', 'records')},
        newEncoder: (ledger) => createEncoder({ledger}),
      })
      async function* source(): AsyncGenerator<RecordBatch[]> {
        await time.sleep(ms)
        yield []
      }
      await publishStream(engine, source(), [{app: 'app', topic: 'app', declaration, publisher}], {
        ...{id, patienceMs: 60_000, stopping: new AbortController().signal},
      })
    },
    /** The state of all parts, in one text. */
    stored: async (): Promise<string> => {
      const of = bucketOf.state('app')
      const values = (await engine.keys(of)).map(async (key) => (await engine.get(of, key))!.value)
      return Buffer.concat(await Promise.all(values)).toString('latin1')
    },
  }
}

const [OLD, NEW] = ['00000000000000aa', '00000000000000bb']

test('a unit ends when its application is removed and declared anew, and leaves nothing to its heirs', async (t) => {
  const {time, engine, deploy, publish, work, stored} = await site()
  const course = async (): Promise<void> => {
    const publishing = publish(OLD, await deploy(), 1e9)
    publishing.catch(() => {})
    const first = work('first')
    while (!(await stored()).includes(OLD)) await time.sleep(100)
    // Nobody has had time to see that it was gone.
    await removeApp(engine, 'app')
    const declaration = await deploy()
    const notes = await first
    t.true(notes.includes('app was removed'), notes.join('\n'))
    t.false((await stored()).includes(OLD))

    const [told] = await Promise.all([work('second'), publish(NEW, declaration, 1000)])
    t.deepEqual(told.slice(0, 1), ['leads'])
    t.true((await stored()).includes(NEW))
  }
  await time.run(course())
})

test('a publisher ends when its application is removed and declared anew', async (t) => {
  const {time, engine, deploy, publish, work} = await site()
  const course = async (): Promise<void> => {
    const publishing = publish(OLD, await deploy(), 5000)
    // Between two of its words: it publishes once more before it hears of it.
    await time.sleep(1100)
    await removeApp(engine, 'app')
    const declaration = await deploy()
    await t.throwsAsync(publishing, {code: 'DARTA_ENGINE', message: /app was removed/})
    // What it said meanwhile keeps nobody.
    const [told] = await Promise.all([work('unit'), publish(NEW, declaration, 1000)])
    t.deepEqual(told, ['leads', ...[0, 1].map(() => `nothing is known of publisher ${OLD}`)])
  }
  await time.run(course())
})

test('units do not wait for a publisher of which nobody knows', async (t) => {
  const {time, deploy, publish, punctuate, work} = await site()
  const course = async (): Promise<void> => {
    const declaration = await deploy()
    await punctuate(OLD, -Infinity)
    const [told] = await Promise.all([work('unit'), publish(NEW, declaration, 1000)])
    t.deepEqual(told, ['leads', ...[0, 1].map(() => `nothing is known of publisher ${OLD}`)])
  }
  await time.run(course())
})
