import {jainIndex} from '../processing/routing/rendezvous.js'
import {deployedApps, type DeployedApp} from './apps.js'
import type {Engine} from './engine.js'
import {liveBucket, PLAN_KEY, readMembers, readPublishers} from './member.js'
import {readPlan} from './plan.js'
import {bucketOf, noCounters, addCounters, readProgress, type TaskCounters} from './task.js'

/** How an application is that is routed at an engine. */
export interface AppStatus {
  readonly app: string
  readonly words: readonly string[]
  readonly parts: number
  /** Of the plan that says which unit has which part; 0: there is none yet. */
  readonly epoch: number
  /** Publishers that are alive. */
  readonly publishers: number
  /** Records per second that all units analyse. */
  readonly rate: number
  /** Records in the log that no unit has taken, of publishers that are alive. */
  readonly lag: number
  /** Milliseconds since 1970 up to which windows are closed; null: none, or all. */
  readonly closedMs: number | null
  /** Windows whose results are there. */
  readonly results: number
  readonly ended: boolean
  readonly counters: TaskCounters
  /** How evenly the units' parts weigh for what the units can take, by records so far: 1 is quite even. */
  readonly jain: number
  readonly units: readonly UnitStatus[]
}

export interface UnitStatus {
  readonly id: string
  readonly weight: number
  /** Parts that the plan gives it. */
  readonly parts: number
  /** Of all records so far those of its parts, 0..1. */
  readonly share: number
  /** Records per second. */
  readonly rate: number
  /** Records of its parts that wait. */
  readonly lag: number
  /** Of the parts that it has. */
  readonly counters: TaskCounters
}

/** What an engine knows of the applications that are routed there. @throws DartaError DARTA_ENGINE */
export async function readStatus(engine: Engine): Promise<AppStatus[]> {
  const apps: AppStatus[] = []
  for (const app of await deployedApps(engine)) apps.push(await statusOf(engine, app))
  return apps
}

async function statusOf(
  engine: Engine,
  {app: name, words, parts, topic}: DeployedApp,
): Promise<AppStatus> {
  const each = Array.from({length: parts}, (_, part) =>
    engine.get(bucketOf.progress(name), String(part)),
  )
  const [plan, members, publishers, progress, finals] = await Promise.all([
    engine.get(liveBucket(name), PLAN_KEY),
    readMembers(engine, name),
    readPublishers(engine, topic),
    Promise.all(each),
    engine.keys(bucketOf.final(name)),
  ])
  const told = progress.map((one) => one && readProgress(one.value))
  const {owners = [], epoch = 0} = (plan && readPlan(plan.value)) ?? {}
  const analysed = told.map((one) => one?.counters.analysed ?? 0)
  const all = analysed.reduce((a, b) => a + b, 0)
  const waiting = told.map((one, part) =>
    publishers.reduce(
      (sum, {id, sent}) => sum + Math.max(0, (sent[part] ?? 0) - (one?.taken[id] ?? 0)),
      0,
    ),
  )
  const loads: number[] = []
  const units = members.map(({id, weight, rate, counters}): UnitStatus => {
    const own = owners.flatMap((owner, part) => (owner === id ? [part] : []))
    const sum = (of: readonly number[]): number => own.reduce((n, part) => n + of[part], 0)
    loads.push(all === 0 ? own.length : sum(analysed))
    const share = all === 0 ? own.length / parts : sum(analysed) / all
    return {id, weight, parts: own.length, share, rate, lag: sum(waiting), counters}
  })
  const closed = Math.min(
    ...told.map((one) => (one?.closedMs === 'all' ? Infinity : (one?.closedMs ?? -Infinity))),
  )
  return {
    app: name,
    words,
    parts,
    epoch,
    publishers: publishers.length,
    rate: members.reduce((sum, {rate}) => sum + rate, 0),
    lag: waiting.reduce((a, b) => a + b, 0),
    closedMs: Number.isFinite(closed) ? closed : null,
    results: finals.filter((key) => /^\d+$/.test(key)).length,
    ended: finals.includes('end'),
    counters: told.reduce((sum, one) => (one ? addCounters(sum, one.counters) : sum), noCounters()),
    jain: jainIndex(
      loads,
      members.map(({weight}) => weight),
    ),
    units,
  }
}
