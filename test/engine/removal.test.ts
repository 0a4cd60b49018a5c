import test from 'ava'
import {deployApp, removeApp} from '../../src/engine/apps.js'
import {createEmbeddedEngine} from '../../src/engine/embedded.js'
import {writeEntry} from '../../src/engine/entry.js'
import {bucketOf} from '../../src/engine/task.js'
import {runWorker, type WorkerOptions} from '../../src/engine/worker.js'
import {defaultOptions, type AnalysisApp} from '../../src/processing/analysis/app.js'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import {newDecoder} from './cluster.js'
import {SimulatedCluster} from './simulation.js'

test('a unit ends when its application is removed and declared anew, and leaves nothing to its heirs', async (t) => {
  const cluster = new SimulatedCluster(1, {})
  const {time} = cluster
  const app = (await apps.top()).default as unknown as AnalysisApp
  const analysis = app.prepare(defaultOptions(app), toolbox)
  const deployment = {app: 'app', topic: 'app', parts: 2, windowing: undefined}
  const engine = createEmbeddedEngine(cluster.store, time)
  const publishes = (publisher: string, watermark: number): Promise<unknown> =>
    Promise.all(
      [0, 1].map((part) => {
        const header = {kind: 'punctuation', publisher, before: 0, records: 0, watermark} as const
        return engine.append('app', part, writeEntry(header, []))
      }),
    )
  const deploy = (): Promise<void> => deployApp(engine, {...deployment, words: [], seed: 1})
  const work = async (id: string): Promise<string[]> => {
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
  }
  const stored = async (): Promise<string> => {
    const of = bucketOf.state('app')
    const values = (await engine.keys(of)).map(async (key) => (await engine.get(of, key))!.value)
    return Buffer.concat(await Promise.all(values)).toString('latin1')
  }
  const course = async (): Promise<void> => {
    await deploy()
    await publishes('00000000000000aa', 0)
    const first = work('first')
    while (!(await stored()).includes('00000000000000aa')) await time.sleep(100)
    // Nobody has had time to see that it was gone.
    await removeApp(engine, 'app')
    await deploy()
    const notes = await first
    t.true(notes.includes('app was removed'), notes.join('\n'))
    t.false((await stored()).includes('00000000000000aa'))

    await publishes('00000000000000bb', Infinity)
    t.deepEqual(await work('second'), ['leads'])
    t.true((await stored()).includes('00000000000000bb'))
  }
  await time.run(course())
})
