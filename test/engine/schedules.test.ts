import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ExecutionContext} from 'ava'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/lookup.js'
import {random} from '../metering/coordination/simulation.js'
import {bin, darta, folder, type Running} from '../support/darta.js'
import {startAt} from '../support/namespaces.js'
import {needing, optionalPackage, root} from '../support/needing.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {natsCluster, noCluster, type Cluster, type Place, type Server} from './nats-cluster.js'

/**
 * How many, from which seed on and how many events each, `npm run schedules:engine` says. The suite runs two short ones: in one a
 * unit and then a server is killed, in the other a link is cut.
 */
const {DARTA_SCHEDULES, DARTA_SEED = '1', DARTA_EVENTS = '8'} = process.env
const seeds =
  DARTA_SCHEDULES === undefined
    ? []
    : Array.from({length: Number(DARTA_SCHEDULES)}, (_, i) => Number(DARTA_SEED) + i)

/** Records come in blocks, so many a second; each block is a second of event time. */
const BLOCKS = 10
const BLOCK_RECORDS = 50
const WINDOW = '20s'
const APP = 'top -k 0 -s srcip,dstport'

const events = [
  'a unit is killed',
  'a server is killed',
  'a unit joins',
  'a unit leaves',
  'a unit is cut off',
  'a server is cut off',
  'the publisher is cut off',
  'a unit is frozen',
] as const
type Event = (typeof events)[number]

/** Flow Records with times that go on by a second each block, a few seconds out of order. */
function createTraffic(next: () => number): () => Buffer {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationTransportPort,
    ie.octetDeltaCount,
    ie.packetDeltaCount,
    ie.flowStartMilliseconds,
    ie.flowEndMilliseconds,
  ])
  const encoder = createEncoder({ledger: new Ledger()})
  let block = 0
  return () => {
    const start = 1_700_000_000_000 + block * 1000
    const rows = Array.from({length: BLOCK_RECORDS}, () => {
      const end = start + 5000 - Math.floor(next() * 5000)
      const source = address(`10.0.${Math.floor(next() * 4)}.${Math.floor(next() * 16)}`)
      return [source, 1 + Math.floor(next() * 5), 40 + Math.floor(next() * 1400), 1, end - 10, end]
    })
    const batch = batchOf(template, rows, {exportTime: Math.floor(start / 1000) + 10 + block})
    block++
    return Buffer.concat([...encoder.push([batch]), ...encoder.flush()])
  }
}

const quantile = (list: readonly number[], q: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))]

interface Unit {
  readonly place: Place
  readonly running: Running
}

async function runSchedule(
  t: ExecutionContext,
  seed: number,
  wanted: readonly Event[],
): Promise<void> {
  const next = random(seed)
  const among = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]
  const cluster: Cluster = await natsCluster(t)
  const {url, servers} = cluster
  const engine = ['--engine', url]

  // What is sent is written to a file too, for one unit that has it all.
  const block = createTraffic(next)
  const all: Buffer[] = []
  const given: [number, number][] = []
  const publishing = cluster.place()
  const publisher = startAt(t, publishing.host, [
    ...[bin, 'route', '--app', APP, ...engine, '--window', WINDOW, '--lateness', '10s'],
    ...['--parts', '8', '-v'],
  ])
  let over = false
  const early = publisher.ended.then(({stderr}) => {
    if (!over) throw new Error(`the publisher ended early: ${stderr}`)
  })
  early.catch(() => (over = true))
  const drained = (): Promise<unknown> =>
    Promise.race([new Promise((resolve) => publisher.child.stdin.once('drain', resolve)), early])
  const giving = (async () => {
    while (!over) {
      const octets = block()
      all.push(octets)
      given.push([Date.now(), all.length * BLOCK_RECORDS])
      if (!publisher.child.stdin.write(octets)) await drained()
      await sleep(1000 / BLOCKS)
    }
    publisher.child.stdin.end()
  })()

  const units: Unit[] = []
  const spare = [0, 1, 2, 3].map(() => cluster.place())
  const said: Running[] = []
  const join_ = async (): Promise<void> => {
    const place = spare.shift()!
    for (;;) {
      const running = startAt(t, place.host, [bin, 'analyze', 'top', ...engine, '-v'])
      said.push(running)
      const ended = running.ended.then(() => false)
      const works = running.says(/works for top/).then(
        () => true,
        () => false,
      )
      if ((await Promise.race([works, ended, early])) === true) {
        units.push({place, running})
        return
      }
      // Before the publisher has declared it there is no such application.
      if (!/no application|no answer|nobody has/.test(running.words())) t.fail(running.words())
    }
  }
  for (let i = 0; i < 3; i++) await join_()
  const reading = cluster.place()
  const follower = startAt(t, reading.host, [
    ...[bin, 'analyze', 'top', ...engine, '--follow', '-o', 'ndjson'],
  ])
  const taken: [number, number][] = []
  const script = join(root, 'build/test/engine/monitor.js')
  const monitor = startAt(t, reading.host, [process.execPath, script, url, 'top'])
  monitor.child.stdout.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n')) {
      const [at, count] = line.split(' ').map(Number)
      if (count >= 0) taken.push([at, count])
    }
  })
  /** All that was given so far has been taken. */
  const settled = async (): Promise<void> => {
    const count = all.length * BLOCK_RECORDS
    while ((taken.at(-1)?.[1] ?? 0) < count) {
      const told = new Promise((resolve) => monitor.child.stdout.once('data', resolve))
      await Promise.race([told, early])
    }
  }
  await settled()

  const done: {event: Event; at: number}[] = []
  let mending: Promise<void> = Promise.resolve()
  const leave = (): Unit => units.splice(Math.floor(next() * units.length), 1)[0]
  const happen: Record<Event, () => Promise<void>> = {
    'a unit is killed': async () => {
      const {running, place} = leave()
      running.child.kill('SIGKILL')
      spare.push(place)
      await join_()
    },
    'a server is killed': async () => {
      const server: Server = among(servers)
      await server.kill()
      const pause = 1000 + next() * 4000
      mending = sleep(pause).then(() => server.start())
    },
    'a unit joins': async () => {
      if (spare.length > 0) await join_()
    },
    'a unit leaves': async () => {
      if (units.length < 2) return
      const {running, place} = leave()
      running.child.kill('SIGTERM')
      const {code, stderr} = await running.ended
      t.is(code, 0, stderr)
      spare.push(place)
    },
    'a unit is cut off': async () => {
      const {place} = among(units)
      place.cut()
      mending = sleep(3000 + next() * 7000).then(() => place.mend())
      await mending
    },
    'a server is cut off': async () => {
      const server = among(servers)
      server.cut()
      mending = sleep(3000 + next() * 9000).then(() => server.mend())
      await mending
    },
    'the publisher is cut off': async () => {
      publishing.cut()
      mending = sleep(2000 + next() * 6000).then(() => publishing.mend())
      await mending
    },
    'a unit is frozen': async () => {
      const {running} = among(units)
      running.child.kill('SIGSTOP')
      mending = sleep(3000 + next() * 5000).then(() => void running.child.kill('SIGCONT'))
      await mending
    },
  }
  for (const event of wanted) {
    done.push({event, at: Date.now()})
    await happen[event]()
    await mending
    await settled()
  }
  over = true
  await giving
  const published = await publisher.ended
  t.is(published.code, 0, published.stderr)
  const records = all.length * BLOCK_RECORDS
  t.regex(published.stderr, new RegExp(`route top: ${records} records in, ${records} out`))
  const followed = await follower.ended
  t.is(followed.code, 0, followed.stderr)
  const ends = await Promise.all(units.map(({running}) => running.ended))
  t.deepEqual(
    ends.map(({code}) => code),
    ends.map(() => 0),
    ends.map(({stderr}) => stderr).join('\n'),
  )

  const file = join(folder(t), 'all.ipfix')
  writeFileSync(file, Buffer.concat(all))
  const one = await darta(t, [
    ...['analyze', 'top', '-q', '-r', file, '-k', '0', '-s', 'srcip,dstport'],
    ...['--window', WINDOW, '--lateness', '10m', '-o', 'ndjson'],
  ])
  t.is(one.code, 0, one.stderr)
  const plain = (octets: Buffer): string[] =>
    octets
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replace(/,"_ipfix":\{[^}]*\}/, ''))
  const expected = plain(one.stdout)
  t.true(expected.length > 100)
  t.deepEqual(plain(followed.stdout), expected)

  const asked = startAt(t, reading.host, [
    bin,
    'route',
    '-q',
    ...engine,
    '--status',
    '-o',
    'ndjson',
  ])
  const {stdout} = await asked.ended
  const status = JSON.parse(stdout.toString()) as {counters: Record<string, number>}
  t.like(status.counters, {analysed: records, lost: 0, late: 0, skipped: 0})

  // How long after it was given a record was known to be taken, at most, of those given around each event.
  const delays = given.map(([at, count]) => ({
    at,
    ms: (taken.find(([, of]) => of >= count)?.[0] ?? Date.now()) - at,
  }))
  const words = done.map(({event, at}, i) => {
    const until = done[i + 1]?.at ?? Infinity
    const own = delays.filter((of) => of.at >= at - 1000 && of.at < until).map(({ms}) => ms)
    return `${event}: ${Math.max(...own)} ms`
  })
  const usual = quantile(
    delays.map(({ms}) => ms),
    0.5,
  )
  t.log(
    `seed ${seed}: ${records} records, ${new Set(expected.map((line) => line.slice(0, 60))).size} lines`,
  )
  t.log(`usual delay ${usual} ms; the longest after ${words.join('; ')}`)
  if (process.env.DARTA_SCHEDULES_LOG) {
    for (const running of said) t.log(running.words())
  }
}

const real = needing(noCluster, optionalPackage('nats'))

if (DARTA_SCHEDULES === undefined) {
  real(
    'three servers: no window is missing, doubled or wrong though a unit and a server are killed',
    (t) => runSchedule(t, 1, ['a unit is killed', 'a server is killed']),
  )
  real('three servers: the same though a server is cut off and a unit joins', (t) =>
    runSchedule(t, 2, ['a server is cut off', 'a unit joins']),
  )
}

for (const seed of seeds) {
  real(`schedule of seed ${seed}`, (t) => {
    const next = random(seed)
    // Each happens once, as far as there is room, and some again, in any order.
    const wanted = Array.from(
      {length: Number(DARTA_EVENTS)},
      (_, i) =>
        [
          next(),
          i < events.length ? events[i] : events[Math.floor(next() * events.length)],
        ] as const,
    )
    return runSchedule(
      t,
      seed,
      wanted.sort(([a], [b]) => a - b).map(([, event]) => event),
    )
  })
}
