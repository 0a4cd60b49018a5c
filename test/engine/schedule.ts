/** Units and a publisher at an engine, to whom things happen; the results are held against those of one unit that has it all. */
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ExecutionContext} from 'ava'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/lookup.js'
import {bin, darta, folder, type Running} from '../support/darta.js'
import {root} from '../support/needing.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {bareLines} from '../support/results.js'
import type {Look} from './monitor.js'
import type {Place, Site} from './nats-cluster.js'
import type {MessageFaults} from './nats-proxy.js'

/** Records come in blocks, so many a second; each block is a second of event time. */
const BLOCKS = 10
const BLOCK_RECORDS = 50
const WINDOW = '20s'
const APP = 'top -k 0 -s srcip,dstport'

/** What happens at a cluster, and at a single server behind proxies. */
export const clusterEvents = [
  'a unit is killed',
  'a server is killed',
  'a unit joins',
  'a unit leaves',
  'a unit is cut off',
  'a server is cut off',
  'the publisher is cut off',
  'a unit is frozen',
] as const
export const proxyEvents = [
  'the publisher is cut off',
  'a unit is cut off',
  'connections break',
  'connections hang',
  'messages are dropped',
  'messages come twice',
  'messages change places',
] as const
export type Event = (typeof clusterEvents)[number] | (typeof proxyEvents)[number]

export interface Schedule {
  readonly site: Site
  readonly next: () => number
  readonly wanted: readonly Event[]
  readonly units: number
  /** Least time from one event to the next, ms. */
  readonly everyMs?: number
  /** How long a unit is frozen at least, and at most, ms; until others have its parts in any case. */
  readonly freezeMs: readonly [number, number]
}

/** What was seen, times in milliseconds. */
export interface Figures {
  readonly records: number
  readonly windows: number
  /** From a unit's death until others have all its parts. */
  readonly takeovers: readonly number[]
  /** From when a server was there again until the log had more of the publisher. */
  readonly resumed: readonly number[]
  /** Parts that frozen units did not have any more. */
  readonly fenced: number
  /** Messages that proxies dropped, repeated and swapped. */
  readonly messages: string
}

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

export const quantile = (list: readonly number[], q: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))]

interface Unit {
  readonly place: Place
  readonly running: Running
}

/** How long a proxy lets nothing through, and how long it does what it should not. */
const STALL_MS = 10_000
const FAULTS_MS = 4000
const LIKELY = 0.02

export async function runSchedule(t: ExecutionContext, schedule: Schedule): Promise<Figures> {
  const {site, next, wanted, freezeMs} = schedule
  const among = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]
  const engine = (at: Place): string[] => ['--engine', at.url]

  // What is sent is written to a file too, for one unit that has it all.
  const block = createTraffic(next)
  const all: Buffer[] = []
  const given: [number, number][] = []
  const publishing = site.place()
  const publisher = publishing.start([
    ...[bin, 'route', '--app', APP, ...engine(publishing), '--window', WINDOW],
    ...['--lateness', '10s', '--parts', String(site.parts ?? 8), '-v'],
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
  const spare = Array.from({length: schedule.units + 1}, () => site.place())
  const places = [publishing, ...spare]
  const said: Running[] = []
  const join_ = async (): Promise<void> => {
    const place = spare.shift()!
    for (;;) {
      const running = place.start([bin, 'analyze', 'top', ...engine(place), '-v'])
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
  for (let i = 0; i < schedule.units; i++) await join_()
  const reading = site.place()
  places.push(reading)
  const follower = reading.start([
    ...[bin, 'analyze', 'top', ...engine(reading), '--follow', '-o', 'ndjson'],
  ])
  const looks: Look[] = []
  let told = ''
  const script = join(root, 'build/test/engine/monitor.js')
  const monitor = reading.start([process.execPath, script, reading.url, 'top'])
  monitor.child.stdout.on('data', (chunk: Buffer) => {
    const lines = (told + chunk.toString()).split('\n')
    told = lines.pop()!
    for (const line of lines) looks.push(JSON.parse(line) as Look)
  })
  /** The first look from number `from` on for which this holds. */
  const seen = async (holds: (look: Look) => boolean, from = looks.length): Promise<Look> => {
    for (let i = from; ; i++) {
      while (looks.length <= i) {
        const more = new Promise((resolve) => monitor.child.stdout.once('data', resolve))
        await Promise.race([more, early])
        if (over) throw new Error('the publisher ended early')
      }
      if (holds(looks[i])) return looks[i]
    }
  }
  /** All that was given so far has been taken. */
  const settled = async (): Promise<void> => {
    const count = all.length * BLOCK_RECORDS
    await seen(({taken}) => taken >= count, Math.max(0, looks.length - 1))
  }
  await settled()
  // The first connection of whoever follows finds the engine there.
  await Promise.race([follower.gives(1), early])

  const takeovers: number[] = []
  const resumed: number[] = []
  /** How often a unit has said that a part is not its own any more. */
  const lostBy = ({running}: Unit): number =>
    running.words().match(/part \d+(?: has another owner|: )/g)?.length ?? 0
  /** Units that were frozen, and how often they had said so before the first time. */
  const thawed = new Map<Unit, number>()
  const idOf = ({running}: Unit): string => /(\S+) works for top/.exec(running.words())![1]
  const partsOf = (unit: Unit): number[] => {
    const id = idOf(unit)
    return looks.at(-1)!.owners.flatMap((owner, part) => (owner === id ? [part] : []))
  }
  /** Others have claimed all these parts, whose owner does nothing any more. */
  const takenOver = async (parts: readonly number[]): Promise<number> => {
    // One that began after its owner's end.
    await seen(() => true)
    const before = await seen(() => true)
    const {at} = await seen(({fences}) => parts.every((part) => fences[part] > before.fences[part]))
    return at
  }
  let mending: Promise<void> = Promise.resolve()
  const leave = (): Unit => units.splice(Math.floor(next() * units.length), 1)[0]
  const faulty = async (kind: keyof MessageFaults): Promise<void> => {
    const proxies = places.flatMap(({proxy}) => proxy ?? [])
    const count = (): number => proxies.reduce((sum, {done}) => sum + done[kind], 0)
    const before = count()
    for (const proxy of proxies) proxy.faults = {[kind]: LIKELY}
    await sleep(FAULTS_MS)
    // On a slow machine few messages come by.
    while (count() === before) await sleep(100)
    for (const proxy of proxies) proxy.faults = {}
  }
  /** How long a link is cut. */
  const cutMs = (place: Place, least: number, more: number): number =>
    place.proxy === undefined ? least + next() * more : STALL_MS
  const happen: Record<Event, () => Promise<void>> = {
    'a unit is killed': async () => {
      await seen(({steady}) => steady)
      const unit = leave()
      const parts = partsOf(unit)
      unit.running.child.kill('SIGKILL')
      const at = Date.now()
      const taking = takenOver(parts).then((then) => {
        if (parts.length > 0) takeovers.push(then - at)
      })
      spare.push(unit.place)
      await Promise.all([join_(), taking])
    },
    'a server is killed': async () => {
      const server = among(site.servers)
      const before = looks.at(-1)!.sent
      await server.kill()
      const pause = 1000 + next() * 4000
      mending = sleep(pause).then(() => server.start())
      if (site.servers.length > 1) return
      await mending
      const ready = Date.now()
      const {at} = await seen(({sent}) => sent > before)
      resumed.push(at - ready)
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
      mending = sleep(cutMs(place, 3000, 7000)).then(() => place.mend())
      await mending
    },
    'a server is cut off': async () => {
      const server = among(site.servers)
      server.cut()
      mending = sleep(3000 + next() * 9000).then(() => server.mend())
      await mending
    },
    'the publisher is cut off': async () => {
      publishing.cut()
      mending = sleep(cutMs(publishing, 2000, 6000)).then(() => publishing.mend())
      await mending
    },
    'a unit is frozen': async () => {
      await seen(({steady}) => steady)
      const unit = among(units)
      const {child} = unit.running
      const parts = partsOf(unit)
      const before = lostBy(unit)
      if (!thawed.has(unit)) thawed.set(unit, before)
      child.kill('SIGSTOP')
      await Promise.all([
        sleep(freezeMs[0] + next() * (freezeMs[1] - freezeMs[0])),
        takenOver(parts),
      ])
      child.kill('SIGCONT')
      // It finds out, part by part, when it would store something.
      while (parts.length > 0 && lostBy(unit) === before) {
        await Promise.race([new Promise((resolve) => child.stderr.once('data', resolve)), early])
        if (over) throw new Error('the publisher ended early')
      }
    },
    'connections break': async () => {
      for (const {proxy} of places) proxy?.break()
    },
    'connections hang': async () => {
      for (const {proxy} of places) proxy?.strand()
    },
    'messages are dropped': () => faulty('drop'),
    'messages come twice': () => faulty('repeat'),
    'messages change places': () => faulty('swap'),
  }
  const done: {event: Event; at: number}[] = []
  for (const event of wanted) {
    const at = Date.now()
    done.push({event, at})
    await happen[event]()
    await mending
    await settled()
    await sleep(Math.max(0, at + (schedule.everyMs ?? 0) - Date.now()))
  }
  over = true
  await giving
  const published = await publisher.ended
  t.is(published.code, 0, published.stderr)
  const records = all.length * BLOCK_RECORDS
  t.regex(published.stderr, new RegExp(`route top: ${records} records in, ${records} out`))
  const followed = await follower.ended
  t.is(followed.code, 0, followed.stderr)
  const fenced = [...thawed].reduce((n, [unit, before]) => n + lostBy(unit) - before, 0)
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
  const expected = bareLines(one.stdout)
  t.true(expected.length > 100)
  t.deepEqual(bareLines(followed.stdout), expected)

  const asked = reading.start([bin, 'route', '-q', ...engine(reading), '--status', '-o', 'ndjson'])
  const {stdout} = await asked.ended
  const status = JSON.parse(stdout.toString()) as {counters: Record<string, number>}
  t.like(status.counters, {analysed: records, lost: 0, late: 0, skipped: 0})

  // How long after it was given a record was known to be taken, at most, of those given around each event.
  const delays = given.map(([at, count]) => ({
    at,
    ms: (looks.find(({taken}) => taken >= count)?.at ?? Date.now()) - at,
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
  t.log(`usual delay ${usual} ms; the longest after ${words.join('; ')}`)
  if (process.env.DARTA_SCHEDULES_LOG) {
    for (const running of said) t.log(running.words())
  }
  const sum = (kind: 'drop' | 'repeat' | 'swap'): number =>
    places.reduce((n, {proxy}) => n + (proxy?.done[kind] ?? 0), 0)
  return {
    ...{records, takeovers, resumed, fenced},
    windows: new Set(expected.map((line) => line.slice(0, 60))).size,
    messages: `${sum('drop')} dropped, ${sum('repeat')} twice, ${sum('swap')} swapped`,
  }
}
