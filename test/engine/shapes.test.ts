/* What others stored at an engine is data: it is taken as what it is, and nothing that it says loads or ends anything. */
import test from 'ava'
import {mkdirSync, existsSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {deployApp, deployedApp, deployedApps, type DeployedApp} from '../../src/engine/apps.js'
import {createEmbeddedEngine, createEmbeddedStore} from '../../src/engine/embedded.js'
import {jsonOctets, type Engine} from '../../src/engine/engine.js'
import {connectEngine} from '../../src/engine/engines.js'
import {liveBucket, PLAN_KEY, publishersOf} from '../../src/engine/member.js'
import {readStatus} from '../../src/engine/status.js'
import {bucketOf} from '../../src/engine/task.js'
import {DartaError} from '../../src/record/errors.js'
import {darta, folder} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, optionalPackage, tools} from '../support/needing.js'
import fc from '../support/properties.js'
import {serveNats} from './served.js'

const sound: DeployedApp = {
  ...{app: 'top', topic: 'top', parts: 4, words: ['top', '-k', '3'], seed: 7},
  windowing: {lengthMs: 60_000, slideMs: 60_000, latenessMs: 0},
}

const clock = {now: () => 0, sleep: async () => {}}

/** Any value; often a sound one of which a member is another value, or missing. */
const mutant = (value: Record<string, unknown>): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({maxLength: 64}),
    fc.jsonValue().map(jsonOctets),
    fc
      .tuple(
        fc.constantFrom(...Object.keys(value), '__proto__', 'constructor', 'then'),
        fc.option(fc.jsonValue({maxDepth: 3})),
      )
      .map(([key, other]) => {
        const text = JSON.stringify({...value, [key]: undefined})
        const member = other === null ? '' : `,${JSON.stringify(key)}:${JSON.stringify(other)}`
        return new TextEncoder().encode(`${text.slice(0, -1)}${member}}`)
      }),
  )

const counters = {analysed: 1, skipped: 0, late: 0, lost: 0, repeated: 0, foreign: 0}
const others: readonly [bucket: string, key: string, value: Record<string, unknown>][] = [
  [liveBucket('top'), PLAN_KEY, {epoch: 1, owners: ['u', 'u', '', 'u']}],
  [
    liveBucket('top'),
    'm_u',
    {id: 'u', weight: 1, beat: 1, epoch: 1, parts: {0: 1}, rate: 1, counters},
  ],
  [publishersOf('top'), 'p', {patienceMs: 1000, sent: [1, 2, 3, 4], watermark: 5}],
  [
    bucketOf.progress('top'),
    '0',
    {fence: 1, closedMs: null, windows: [0], keep: 1, taken: {p: 1}, over: [], counters},
  ],
]

async function stored(engine: Engine, bucket: string, key: string, octets: Uint8Array) {
  const before = await engine.get(bucket, key)
  await engine.put(bucket, key, octets, before?.revision ?? 0)
}

test('a declaration that is none is said to be none, and hides no other', async (t) => {
  const engine = createEmbeddedEngine(createEmbeddedStore(), clock)
  await deployApp(engine, {...sound, app: 'matrix', topic: 'matrix', words: ['matrix']})
  let none = 0
  await fc.assert(
    fc.asyncProperty(mutant({...sound}), async (octets) => {
      await stored(engine, 'apps', 'top', octets)
      const names = (await deployedApps(engine)).map(({app}) => app)
      t.true(names.includes('matrix'))
      try {
        const {parts, windowing} = await deployedApp(engine, 'top')
        t.true(Number.isInteger(parts) && parts >= 1 && parts <= 4096)
        if (windowing !== undefined) t.true(windowing.slideMs >= 1)
        t.true(names.includes('top'))
      } catch (error) {
        t.true(error instanceof DartaError && error.code === 'DARTA_ENGINE', String(error))
        t.false(names.includes('top'))
        none++
      }
      t.true((await readStatus(engine)).some(({app}) => app === 'matrix'))
    }),
    {numRuns: 1000, seed: 41},
  )
  t.true(none > 500)
  t.is(({} as {polluted?: unknown}).polluted, undefined)
})

test('what units and publishers say of themselves is left out where it is something else', async (t) => {
  for (const [bucket, key, value] of others) {
    const engine = createEmbeddedEngine(createEmbeddedStore(), clock)
    await deployApp(engine, sound)
    for (const [where, name, usual] of others) await stored(engine, where, name, jsonOctets(usual))
    const [usual] = await readStatus(engine)
    t.like(usual, {epoch: 1, publishers: 1, counters: {analysed: 1}, lag: 9})
    t.is(usual.units.length, 1)
    await fc.assert(
      fc.asyncProperty(mutant(value), async (octets) => {
        await stored(engine, bucket, key, octets)
        const [status] = await readStatus(engine)
        t.is(status.parts, 4)
        for (const number of [status.lag, status.epoch, status.publishers, status.rate]) {
          t.is(typeof number, 'number')
        }
      }),
      {numRuns: 300, seed: 42},
    )
  }
})

needing(tools('nats-server'), optionalPackage('nats'))(
  'a unit runs nothing that a declaration names',
  async (t) => {
    const place = folder(t)
    const port = await freePort()
    await serveNats(t, port, join(place, 'store'))
    const url = `nats://127.0.0.1:${port}`
    const engine = await connectEngine({url, maxOctets: 1e9})
    t.teardown(() => engine.close())
    await deployApp(engine, sound)
    const marker = join(place, 'marker')
    const module = join(place, 'evil.js')
    writeFileSync(
      module,
      `import {writeFileSync} from 'node:fs'; writeFileSync(${JSON.stringify(marker)}, '')`,
    )
    mkdirSync(join(place, 'cwd'))
    for (const words of [
      [module],
      ['top', '--exec', `touch ${marker}`],
      ['top', '--filter', `@${module}`, '--exec', `touch ${marker}`],
      ['--key', 'srcip', '--exec', `touch ${marker}`],
      ['top', '-x', `touch ${marker}`],
      ['top', '$(touch marker)', '`touch marker`'],
    ]) {
      await stored(engine, 'apps', 'top', jsonOctets({...sound, words}))
      const started = await darta(t, ['analyze', 'top', '--engine', url], '', {
        cwd: join(place, 'cwd'),
        timeout: 3000,
      })
      // The name is that of the user's own command line: what it means is not for others to say.
      t.true(started.code !== 0 || words[0] === module, `${words.join(' ')}: ${started.stderr}`)
      t.false(existsSync(marker) || existsSync(join(place, 'cwd', 'marker')), words.join(' '))
    }
  },
)
