import type {RecordBatch} from '../record/batch.js'
import type {Decoder} from '../record/format.js'
import type {Ledger} from '../record/ledger.js'
import type {Analysis} from '../processing/analysis/app.js'
import {DartaError} from '../record/errors.js'
import {declarationOf} from './apps.js'
import {EngineFull, jsonOctets, patiently, type Engine} from './engine.js'
import {createLeader} from './leader.js'
import {LEADER_KEY, liveBucket, memberKey, PLAN_KEY, type MemberState} from './member.js'
import {readPlan as readStoredPlan, type Plan} from './plan.js'
import {isText, objectOf, readShaped} from './shape.js'
import {
  addCounters,
  bucketOf,
  claimTask,
  Fenced,
  noCounters,
  type Deployment,
  type Task,
} from './task.js'
import {createWatch} from './watch.js'

/** Times in milliseconds. Nobody compares clocks: each waits by its own. */
export interface Pace {
  /** Between signs of life. */
  readonly beatMs: number
  /** Without a sign of life for so long, a unit or a publisher is dead. */
  readonly deadMs: number
  readonly checkpointMs: number
  /** How long a part without new entries is left alone. */
  readonly idleMs: number
}

export const usualPace: Pace = {beatMs: 500, deadMs: 2000, checkpointMs: 1000, idleMs: 50}

export interface WorkerOptions {
  /** Name that no other process has. */
  readonly id: string
  readonly weight: number
  readonly deployment: Deployment
  readonly analysis: Analysis
  readonly maxOctets: number
  readonly newDecoder: (ledger: Ledger) => Decoder
  /** The octets of a window's results as they are stored and read. */
  readonly encode: (batches: Iterable<RecordBatch>) => Uint8Array
  readonly pace: Pace
  /** Ends the work: what is known is stored, and the parts are free at once. */
  readonly stopping: AbortSignal
  /** Told of what went otherwise than usual: takeovers, fences, faults. */
  readonly note?: (what: string) => void
}

const isLease = objectOf({id: isText})

/** An application that is not declared so often in turn was removed. */
const REMOVED_LOOKS = 4
/** A rate is measured over this time, ms. */
const RATE_MS = 2000

/**
 * A Processing Unit among others: says that it is alive, takes the parts that the plan gives it, and, if it holds the lease,
 * makes the plan, declares publishers dead and merges windows that all parts have closed. Ends when `stopping` does, when all
 * parts have come to their end, or when the application was removed.
 */
export async function runWorker(engine: Engine, options: WorkerOptions): Promise<void> {
  const {id, deployment, pace, stopping} = options
  const {app, parts} = deployment
  const bucket = liveBucket(app)
  const tasks = new Map<number, Task>()
  const running = new Set<Promise<void>>()
  const note = options.note ?? (() => {})
  const watch = createWatch(engine.clock)
  const leader = createLeader(engine, {...options, watch, deadMs: pace.deadMs, note})
  let plan: Plan | undefined
  let planRevision = 0
  let beat = 0
  let done = false
  /** Has the lease, as far as it knows. */
  let leading = false
  let leaderRevision = 0
  let memberRevision = 0
  let fault: DartaError | undefined
  /** The declaration that this unit works for; how often in turn there was none. */
  let declared: number | undefined
  let missed = 0
  let removed = false
  let measured = {at: engine.clock.now(), records: 0, rate: 0}

  const over = (): boolean => stopping.aborted || done || fault !== undefined

  /** Records per second that were analysed here of late. */
  function rateOf(): number {
    const now = engine.clock.now()
    const records = [...tasks.values()].reduce((sum, task) => sum + task.analysed, 0) + retired
    const past = now - measured.at
    if (past >= RATE_MS) {
      measured = {at: now, records, rate: Math.round(((records - measured.records) * 1000) / past)}
    }
    return measured.rate
  }
  /** Records of tasks that this unit has no more. */
  let retired = 0

  async function beats(): Promise<void> {
    const state: MemberState = {
      id,
      weight: options.weight,
      beat: beat++,
      epoch: plan?.epoch ?? 0,
      parts: Object.fromEntries([...tasks].map(([part, task]) => [part, task.counters.analysed])),
      rate: rateOf(),
      counters: [...tasks.values()].map((task) => task.counters).reduce(addCounters, noCounters()),
    }
    const octets = jsonOctets(state)
    let next = await engine.put(bucket, memberKey(id), octets, memberRevision)
    if (next === undefined) {
      // It was taken for dead, or its last word was not acknowledged.
      const known = await engine.get(bucket, memberKey(id))
      next = await engine.put(bucket, memberKey(id), octets, known?.revision ?? 0)
    }
    memberRevision = next ?? 0
  }

  /** Takes or keeps the lease. */
  async function leads(): Promise<boolean> {
    const known = await engine.get(bucket, LEADER_KEY)
    const mine = known !== undefined && known.revision === leaderRevision
    if (known !== undefined && !mine && !watch.isStale(LEADER_KEY, known.revision, pace.deadMs)) {
      return false
    }
    const next = await engine.put(bucket, LEADER_KEY, jsonOctets({id, beat}), known?.revision ?? 0)
    if (next === undefined) return false
    leaderRevision = next
    if (mine) return true
    note('leads')
    // What it took to see that the lease has run out need not pass again.
    const former = known && readShaped<{readonly id: string}>(known.value, isLease)?.id
    if (former !== undefined && former !== id) await leader.bereave(former)
    return true
  }

  async function leave(): Promise<void> {
    await engine.delete(bucket, memberKey(id))
    const lease = await engine.get(bucket, LEADER_KEY)
    if (lease?.revision === leaderRevision) await engine.delete(bucket, LEADER_KEY)
  }

  async function readPlan(): Promise<void> {
    const stored = await engine.get(bucket, PLAN_KEY)
    if (stored === undefined || stored.revision === planRevision) return
    planRevision = stored.revision
    plan = readStoredPlan(stored.value) ?? plan
  }

  async function work(part: number): Promise<void> {
    let task: Task | undefined
    try {
      task = await claimTask(engine, {
        deployment,
        part,
        analysis: options.analysis,
        maxOctets: options.maxOctets,
        newDecoder: options.newDecoder,
        checkpointMs: pace.checkpointMs,
      })
      tasks.set(part, task)
      while (!over() && plan?.owners[part] === id) {
        if (!(await task.step())) await engine.clock.sleep(pace.idleMs)
      }
      // What is known of an application that was removed would be in the way of the next of its name.
      if (!removed) await task.checkpoint()
    } catch (error) {
      if (error instanceof Fenced) note(error.message)
      // Whatever it was: the next try begins at the last checkpoint.
      else note(`part ${part}: ${error instanceof Error ? error.message : String(error)}`)
      await engine.clock.sleep(pace.beatMs)
    } finally {
      tasks.delete(part)
      retired += task?.analysed ?? 0
      task?.close()
    }
  }

  const active = new Set<number>()
  function startTasks(): void {
    for (let part = 0; part < parts; part++) {
      if (plan?.owners[part] !== id || active.has(part)) continue
      active.add(part)
      const run = work(part).finally(() => {
        active.delete(part)
        running.delete(run)
      })
      running.add(run)
    }
  }

  async function isOver(): Promise<boolean> {
    if ((await engine.get(bucketOf.final(app), 'end')) !== undefined) return true
    const declaration = await declarationOf(engine, app)
    declared ??= declaration
    missed = declaration === undefined ? missed + 1 : 0
    // An engine that has just begun may not know yet.
    removed = declaration === undefined ? missed >= REMOVED_LOOKS : declaration !== declared
    if (!removed) return false
    note(`${app} was removed`)
    return true
  }

  /** Says that this unit is alive, keeps the lease, and follows the plan: nothing here may take long. */
  async function live(): Promise<void> {
    while (!over()) {
      try {
        await beats()
        watch.sound()
        leading = await leads()
        if (leading) await leader.plan()
        await readPlan()
        startTasks()
        done = await isOver()
      } catch (error) {
        leading = false
        failed(error)
      }
      if (!over()) await engine.clock.sleep(pace.beatMs / 2)
    }
  }

  /** What takes its time, as many windows do that are merged at once. */
  async function lead(): Promise<void> {
    while (!over()) {
      try {
        if (leading) await leader.bury()
        if (leading) await leader.merge()
      } catch (error) {
        failed(error)
      }
      if (!over()) await engine.clock.sleep(pace.beatMs)
    }
  }

  function failed(error: unknown): void {
    // Whoever has not been heard of may not have been able to say anything.
    if (!(error instanceof EngineFull)) watch.unsound()
    if (error instanceof DartaError && error.code === 'DARTA_PERMISSION') fault = error
    else note(error instanceof Error ? error.message : String(error))
  }

  await Promise.all([live(), lead()])
  await Promise.all(running)
  // Gone now, and not when others have waited for long enough.
  try {
    await patiently(engine, leave, pace.deadMs)
  } catch (error) {
    if (fault === undefined) note(error instanceof Error ? error.message : String(error))
  }
  if (fault !== undefined) throw fault
}
