import type {ExecutionContext} from 'ava'
import {random} from '../metering/coordination/simulation.js'
import {needing, optionalPackage, tools} from '../support/needing.js'
import {kafkaSite} from './kafka-site.js'
import {natsCluster, noCluster} from './nats-cluster.js'
import {natsServer} from './nats-server.js'
import {
  clusterEvents,
  proxyEvents,
  quantile,
  runSchedule,
  type Event,
  type Figures,
  type Schedule,
} from './schedule.js'

/**
 * How many, from which seed on and how many events each, `npm run schedules:engine` says, or for how long which loop goes on. The suite
 * runs three short ones: in one a unit and then a server is killed, in another a link is cut, in the third all that befalls a
 * single server.
 */
const {
  DARTA_SCHEDULES,
  DARTA_SEED = '1',
  DARTA_EVENTS = '8',
  DARTA_LOOP,
  DARTA_SECONDS,
} = process.env
const seeds =
  DARTA_SCHEDULES === undefined
    ? []
    : Array.from({length: Number(DARTA_SCHEDULES)}, (_, i) => Number(DARTA_SEED) + i)

const FROZEN_MS = [3000, 8000] as const

async function atCluster(
  t: ExecutionContext,
  seed: number,
  wanted: readonly Event[],
): Promise<void> {
  const site = await natsCluster(t)
  const next = random(seed)
  report(t, seed, await runSchedule(t, {site, next, wanted, units: 3, freezeMs: FROZEN_MS}))
}

function report(t: ExecutionContext, seed: number, figures: Figures): void {
  const {records, windows, takeovers, resumed, fenced, messages} = figures
  const times = (list: readonly number[]): string =>
    `${list.length}: median ${quantile(list, 0.5)}, p99 ${quantile(list, 0.99)}, most ${Math.max(...list)} ms`
  t.log(`seed ${seed}: ${records} records, ${windows} windows, none missing, doubled or wrong`)
  if (takeovers.length > 0) t.log(`takeovers ${times(takeovers)}`)
  if (resumed.length > 0) t.log(`server back to records in the log again ${times(resumed)}`)
  if (fenced > 0) t.log(`parts of frozen units fenced: ${fenced}`)
  if (!messages.startsWith('0 dropped, 0 twice, 0')) t.log(`messages: ${messages}`)
}

const real = needing(noCluster, optionalPackage('nats'))
const single = needing(tools('nats-server'), optionalPackage('nats'))

/** Loops at a single server, each made of so many events as there is time for. */
const loops: Readonly<
  Record<string, Pick<Schedule, 'everyMs' | 'freezeMs'> & {readonly events: readonly Event[]}>
> = {
  units: {events: ['a unit is killed'], everyMs: 10_000, freezeMs: FROZEN_MS},
  frozen: {events: ['a unit is frozen'], everyMs: 20_000, freezeMs: [5000, 30_000]},
  server: {events: ['a server is killed'], everyMs: 6000, freezeMs: FROZEN_MS},
  proxy: {events: proxyEvents, everyMs: 8000, freezeMs: FROZEN_MS},
  // Its server stands still, and goes on.
  kafka: {
    events: [
      ...(['a unit is killed', 'a unit is frozen', 'a unit joins'] as const),
      ...(['a server is killed', 'a unit leaves'] as const),
    ],
    ...{everyMs: 10_000, freezeMs: FROZEN_MS},
  },
}

if (DARTA_SCHEDULES === undefined && DARTA_LOOP === undefined) {
  real(
    'three servers: no window is missing, doubled or wrong though a unit and a server are killed',
    (t) => atCluster(t, 1, ['a unit is killed', 'a server is killed']),
  )
  real('three servers: the same though a server is cut off and a unit joins', (t) =>
    atCluster(t, 2, ['a server is cut off', 'a unit joins']),
  )
  single(
    'one server: the same though it and units are killed and frozen, connections break and messages are lost',
    async (t) => {
      const next = random(3)
      const site = await natsServer(t, next)
      const wanted: Event[] = [
        ...(['a unit is killed', 'a server is killed', 'a unit is frozen'] as const),
        ...(['connections break', 'connections hang', 'messages are dropped'] as const),
        'messages change places',
      ]
      const figures = await runSchedule(t, {site, next, wanted, units: 3, freezeMs: [0, 0]})
      t.is(figures.takeovers.length, 1)
      t.is(figures.resumed.length, 1)
      t.true(figures.fenced > 0)
      t.false(figures.messages.startsWith('0 dropped'))
    },
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
          i < clusterEvents.length
            ? clusterEvents[i]
            : clusterEvents[Math.floor(next() * clusterEvents.length)],
        ] as const,
    )
    return atCluster(
      t,
      seed,
      wanted.sort(([a], [b]) => a - b).map(([, event]) => event),
    )
  })
}

for (const name of DARTA_LOOP?.split(',') ?? []) {
  const test = name === 'kafka' ? needing(tools('kcat'), optionalPackage('kafkajs')) : single
  test(`loop: ${name}`, async (t) => {
    const {events, everyMs = 0, freezeMs} = loops[name]
    const seed = Number(DARTA_SEED)
    const next = random(seed)
    const site = await (name === 'kafka' ? kafkaSite(t) : natsServer(t, next))
    const count = Math.max(1, Math.floor((Number(DARTA_SECONDS) * 1000) / everyMs))
    const wanted = Array.from({length: count}, (_, i) => events[i % events.length])
    const units = 3 + Math.floor(next() * 3)
    report(t, seed, await runSchedule(t, {site, next, wanted, units, everyMs, freezeMs}))
  })
}
