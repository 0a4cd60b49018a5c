import type {ExecutionContext} from 'ava'
import {deployedNames, removeApp} from '../../src/engine/apps.js'
import {createEmbeddedEngine, createEmbeddedStore} from '../../src/engine/embedded.js'
import type {Engine} from '../../src/engine/engine.js'
import {connectEngine} from '../../src/engine/engines.js'
import {folder, start, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {administeredKafka} from './kafka-admin.js'
import {optionalPackage, tools} from '../support/needing.js'

/** An engine as the tests have it. */
export interface Served {
  /** As another process would. */
  readonly open: () => Promise<Engine>
  /** Where commands reach it; undefined: it is in this process. */
  readonly url: string
  /** Kills its server, and starts it again with what it has on disk. */
  readonly restart?: () => Promise<void>
}

export interface EngineUnderTest {
  readonly name: string
  /** Why it cannot run here. */
  readonly reasons: readonly (string | undefined)[]
  /** Of its URLs; undefined: commands are not tried. */
  readonly scheme?: string
  readonly serve: (t: ExecutionContext) => Promise<Served>
}

/** A NATS server with JetStream on loopback, ready. */
export async function serveNats(
  t: ExecutionContext,
  port: number,
  store: string,
): Promise<Running> {
  const words = ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', store]
  const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = start(t, 'nats-server', words, {env})
  await server.says(/Server is ready/)
  return server
}

/**
 * The cluster of three brokers that librdkafka has for tests of Kafka's clients, which kcat starts: it speaks the protocol, makes
 * topics of four partitions when they are first named, keeps 5 MiB of each in memory, and neither deletes records nor asks who is there.
 */
export async function mockKafka(
  t: ExecutionContext,
  run = (program: string, words: readonly string[]): Running => start(t, program, words),
  brokers = 3,
): Promise<{url: string; mock: Running}> {
  // It serves for as long as the producer waits for its input.
  const mock = run('kcat', [
    '-b',
    'none',
    '-X',
    `test.mock.num.brokers=${brokers}`,
    '-P',
    '-t',
    'none',
  ])
  await mock.says(/replaced with \S+\n/)
  const [, servers] = /replaced with (\S+)\n/.exec(mock.words())!
  return {url: `kafka://${servers}`, mock}
}

/** Opens engines that are closed when the test ends. */
function opener(t: ExecutionContext, url: string): Served['open'] {
  return async () => {
    // All tests of a file begin at once.
    const engine = await connectEngine({url, maxOctets: 1e9, answerMs: 60_000})
    t.teardown(() => engine.close())
    return engine
  }
}

const {DARTA_KAFKA} = process.env
let turn: Promise<void> = Promise.resolve()

/** Each has the same contract, and the same tests. */
export const engines: readonly EngineUnderTest[] = [
  {
    name: 'embedded',
    reasons: [],
    serve: async () => {
      const store = createEmbeddedStore()
      const clock = {
        now: () => performance.now(),
        sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
      }
      return {url: '', open: async () => createEmbeddedEngine(store, clock)}
    },
  },
  {
    name: 'nats',
    scheme: 'nats',
    reasons: [tools('nats-server'), optionalPackage('nats')],
    serve: async (t) => {
      const [port, store] = [await freePort(), folder(t)]
      const url = `nats://127.0.0.1:${port}`
      let server = await serveNats(t, port, store)
      const restart = async (): Promise<void> => {
        server.child.kill('SIGKILL')
        await server.ended
        server = await serveNats(t, port, store)
      }
      return {url, open: opener(t, url), restart}
    },
  },
  {
    name: 'kafka (mock)',
    scheme: 'kafka',
    reasons: [tools('kcat'), optionalPackage('kafkajs')],
    serve: async (t) => {
      const {url} = await mockKafka(t)
      return {url, open: opener(t, url)}
    },
  },
  {
    // Commands need not know who made the topics.
    name: 'kafka (topics made)',
    reasons: [tools('kcat'), optionalPackage('kafkajs')],
    serve: async (t) => {
      const {url} = await administeredKafka(t)
      return {url, open: opener(t, url)}
    },
  },
  {
    name: 'kafka (server)',
    scheme: 'kafka',
    reasons: [
      DARTA_KAFKA === undefined ? 'DARTA_KAFKA=HOST:PORT names no server' : undefined,
      optionalPackage('kafkajs'),
    ],
    serve: async (t) => {
      const url = `kafka://${DARTA_KAFKA ?? ''}`
      // One test after the other: they have applications of the same name.
      const before = turn
      turn = new Promise((resolve) => t.teardown(resolve))
      await before
      const engine = await connectEngine({url, maxOctets: 1})
      if ((await deployedNames(engine)).includes('top')) await removeApp(engine, 'top')
      await engine.close()
      return {url, open: opener(t, url)}
    },
  },
]
