import type {RecordBatch} from '../record/batch.js'
import type {Decoder} from '../record/format.js'
import type {Ledger} from '../record/ledger.js'
import type {Analysis} from '../processing/analysis/app.js'
import {withWindow} from '../processing/analysis/result-records.js'
import {jsonOctets, readJson, type Engine} from './engine.js'
import {writeEntry} from './entry.js'
import {deleteLarge, getLarge, isPiece, putLarge} from './large-values.js'
import {makePlan, type Plan} from './plan.js'
import {
  bucketOf,
  claimTask,
  Fenced,
  windowKey,
  type Deployment,
  type Task,
  type TaskCounters,
} from './task.js'

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

export interface MemberState {
  readonly id: string
  readonly weight: number
  /** Counts the beats. */
  readonly beat: number
  readonly epoch: number
  /** Entries read of each part that it has. */
  readonly parts: Readonly<Record<string, number>>
  readonly counters: TaskCounters
}

export const liveBucket = (app: string): string => `live_${app}`
export const PLAN_KEY = 'plan'
const LEADER_KEY = 'leader'
const memberKey = (id: string): string => `m_${id}`
export const publisherKey = (topic: string, id: string): string => `p_${topic}_${id}`
export const PUBLISHERS = 'publishers'

interface Watched {
  revision: number
  since: number
}

/**
 * A Processing Unit among others: says that it is alive, takes the parts that the plan gives it, and, if it holds the lease,
 * makes the plan, declares publishers dead and merges windows that all parts have closed. Ends when `stopping` does, or when all
 * parts have come to their end.
 */
export async function runWorker(engine: Engine, options: WorkerOptions): Promise<void> {
  const {id, deployment, pace, stopping} = options
  const {app, topic, parts} = deployment
  const bucket = liveBucket(app)
  const tasks = new Map<number, Task>()
  const running = new Set<Promise<void>>()
  const watched = new Map<string, Watched>()
  const note = options.note ?? (() => {})
  let plan: Plan | undefined
  let planRevision = 0
  let beat = 0
  let done = false
  let leaderRevision = 0

  const over = (): boolean => stopping.aborted || done

  /** Whether a key has not changed for so long that whoever should change it is dead. */
  function isStale(key: string, revision: number): boolean {
    const known = watched.get(key)
    if (known?.revision !== revision) {
      watched.set(key, {revision, since: engine.clock.now()})
      return false
    }
    return engine.clock.now() - known.since >= pace.deadMs
  }

  async function live(): Promise<void> {
    const state: MemberState = {
      id,
      weight: options.weight,
      beat: beat++,
      epoch: plan?.epoch ?? 0,
      parts: Object.fromEntries([...tasks].map(([part, task]) => [part, task.sequence])),
      counters: [...tasks.values()].map((task) => task.counters).reduce(addCounters, noCounters()),
    }
    const known = await engine.get(bucket, memberKey(id))
    await engine.put(bucket, memberKey(id), jsonOctets(state), known?.revision ?? 0)
  }

  /** Takes or keeps the lease. */
  async function leads(): Promise<boolean> {
    const known = await engine.get(bucket, LEADER_KEY)
    const mine = known !== undefined && known.revision === leaderRevision
    if (known !== undefined && !mine && !isStale(LEADER_KEY, known.revision)) return false
    const next = await engine.put(bucket, LEADER_KEY, jsonOctets({id, beat}), known?.revision ?? 0)
    if (next === undefined) return false
    if (!mine) note('leads')
    leaderRevision = next
    return true
  }

  async function members(): Promise<MemberState[]> {
    const found: MemberState[] = []
    for (const key of await engine.keys(bucket)) {
      if (!key.startsWith('m_')) continue
      const stored = await engine.get(bucket, key)
      if (stored === undefined) continue
      if (isStale(`${bucket}/${key}`, stored.revision)) {
        await engine.delete(bucket, key)
        note(`${key.slice(2)} is dead`)
      } else found.push(readJson(stored.value) as MemberState)
    }
    return found
  }

  async function readPlan(): Promise<void> {
    const stored = await engine.get(bucket, PLAN_KEY)
    if (stored === undefined || stored.revision === planRevision) return
    planRevision = stored.revision
    plan = readJson(stored.value) as Plan
  }

  async function makeNextPlan(): Promise<void> {
    const known = await engine.get(bucket, PLAN_KEY)
    const before = known && (readJson(known.value) as Plan)
    const all = await members()
    if (all.length === 0) return
    const loads = Array.from({length: parts}, (_, part) =>
      Math.max(0, ...all.map((member) => member.parts[part] ?? 0)),
    )
    const even = loads.every((load) => load === 0)
    // What was measured changes all the time; parts move when units come and go, or when somebody has far too much.
    const same =
      before !== undefined &&
      before.owners.every((owner) => all.some((member) => member.id === owner)) &&
      all.every((member) => member.weight === 0 || before.owners.includes(member.id))
    if (same) return
    const next = makePlan(before, all, even ? loads.map(() => 1) : loads)
    if (next.epoch === before?.epoch) return
    await engine.put(bucket, PLAN_KEY, jsonOctets(next), known?.revision ?? 0)
  }

  /** Says in each part that a publisher has gone which gives no more signs of life and did not end. */
  async function buryPublishers(): Promise<void> {
    for (const key of await engine.keys(PUBLISHERS)) {
      if (!key.startsWith(`p_${topic}_`)) continue
      const stored = await engine.get(PUBLISHERS, key)
      if (stored === undefined || !isStale(key, stored.revision)) continue
      const header = {
        kind: 'gone',
        publisher: key.slice(`p_${topic}_`.length),
        before: 0,
        records: 0,
        watermark: NaN,
      } as const
      for (let part = 0; part < parts; part++) {
        await engine.append(topic, part, writeEntry(header, []))
      }
      await engine.delete(PUBLISHERS, key)
      note(`publisher ${header.publisher} is dead`)
    }
  }

  /** Merges the windows that every part has closed. */
  async function mergeWindows(): Promise<void> {
    let closed = Infinity
    let told = 0
    for (const key of await engine.keys(bucketOf.progress)) {
      if (!key.startsWith(`${app}_`)) continue
      const stored = await engine.get(bucketOf.progress, key)
      if (stored === undefined) continue
      const {closedMs} = readJson(stored.value) as {closedMs: number | 'all' | null}
      closed = Math.min(closed, closedMs === 'all' ? Infinity : (closedMs ?? -Infinity))
      told++
    }
    if (told < parts) return
    const windows = Map.groupBy(
      (await engine.keys(bucketOf.results(app))).filter((key) => !isPiece(key)),
      (key) => key.split('.')[0],
    )
    const lengthMs = deployment.windowing?.lengthMs ?? 0
    for (const [name, keys] of [...windows].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const startMs = Number(name)
      if (deployment.windowing === undefined ? closed !== Infinity : startMs + lengthMs > closed) {
        continue
      }
      await mergeWindow(startMs, keys)
    }
    if (closed === Infinity) {
      await engine.put(bucketOf.final(app), 'end', jsonOctets({}), 0)
    }
  }

  async function mergeWindow(startMs: number, keys: readonly string[]): Promise<void> {
    const results = bucketOf.results(app)
    const name = windowKey(startMs)
    if ((await engine.get(bucketOf.final(app), name)) === undefined) {
      const state = options.analysis.createState({maxOctets: options.maxOctets})
      let exportTime = 0
      for (const key of [...keys].sort()) {
        const stored = await engine.get(results, key)
        const value = stored && (await getLarge(engine, results, stored.value))
        // Another leader is at it, and has deleted it because it is done.
        if (value === undefined) return state.close()
        exportTime = Math.max(exportTime, new DataView(value.buffer, value.byteOffset).getUint32(0))
        state.merge(value.subarray(4))
      }
      const window = deployment.windowing && {
        startMs,
        endMs: startMs + deployment.windowing.lengthMs,
      }
      const message = {exportTime, sequenceNumber: 0, observationDomainId: 0, offset: 0}
      await state.finish?.()
      const octets = options.encode(withWindow(state.results(message), window))
      state.close()
      await putLarge(engine, bucketOf.final(app), name, octets, 0)
    }
    for (const key of keys) await deleteLarge(engine, results, key)
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
      await task.checkpoint()
    } catch (error) {
      if (error instanceof Fenced) note(error.message)
      // Whatever it was: the next try begins at the last checkpoint.
      else note(`part ${part}: ${error instanceof Error ? error.message : String(error)}`)
      await engine.clock.sleep(pace.beatMs)
    } finally {
      tasks.delete(part)
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
    return (await engine.get(bucketOf.final(app), 'end')) !== undefined
  }

  while (!over()) {
    try {
      await live()
      if (await leads()) {
        await makeNextPlan()
        await buryPublishers()
        await mergeWindows()
      }
      await readPlan()
      startTasks()
      done = await isOver()
    } catch (error) {
      note(error instanceof Error ? error.message : String(error))
    }
    if (!over()) await engine.clock.sleep(pace.beatMs / 2)
  }
  await Promise.all(running)
  // Gone now, and not when others have waited for long enough.
  await engine.delete(bucket, memberKey(id))
}

export function noCounters(): TaskCounters {
  return {analysed: 0, skipped: 0, late: 0, lost: 0, repeated: 0}
}

export function addCounters(a: TaskCounters, b: TaskCounters): TaskCounters {
  return {
    analysed: a.analysed + b.analysed,
    skipped: a.skipped + b.skipped,
    late: a.late + b.late,
    lost: a.lost + b.lost,
    repeated: a.repeated + b.repeated,
  }
}
