import type {RecordBatch} from '../record/batch.js'
import type {Analysis} from '../processing/analysis/app.js'
import {withWindow} from '../processing/analysis/result-records.js'
import {jsonOctets, type Engine} from './engine.js'
import {writeEntry, type EntryHeader} from './entry.js'
import {deleteLarge, getLarge, isPiece, putLarge} from './large-values.js'
import {
  liveBucket,
  memberKey,
  PLAN_KEY,
  publishersOf,
  readMembers,
  readPublisher,
  type MemberState,
  type PublisherState,
} from './member.js'
import {makePlan, readPlan} from './plan.js'
import {bucketOf, readProgress, windowKey, type Deployment, type Progress} from './task.js'
import type {Watch} from './watch.js'

export interface LeaderOptions {
  readonly deployment: Deployment
  readonly analysis: Analysis
  readonly maxOctets: number
  /** The octets of a window's results as they are stored and read. */
  readonly encode: (batches: Iterable<RecordBatch>) => Uint8Array
  readonly watch: Watch
  /** Without a sign of life for so long a unit is dead, ms. */
  readonly deadMs: number
  readonly note: (what: string) => void
}

/** What the unit that holds the lease does for all. That two do it at once harms nothing: all is compare-and-swap. */
export interface Leader {
  /** Gives parts to the units that are alive. */
  plan(): Promise<void>
  /** Whose lease has run out says nothing any more: he is dead, as far as it takes for others to go on. */
  bereave(id: string): Promise<void>
  /**
   * Says in each part that a publisher has gone which gives no more signs of life and did not end, or of which nothing is known
   * but entries; and says again, in parts that do not know it, that no more will come of it.
   */
  bury(): Promise<void>
  /** Merges the windows that every part has closed, and lets the log forget what all have read. */
  merge(): Promise<void>
}

/** Least time between two times that the log forgets, ms. */
const TRIM_MS = 2000

export function createLeader(engine: Engine, options: LeaderOptions): Leader {
  const {deployment, watch, note} = options
  const {app, topic, parts} = deployment
  const bucket = liveBucket(app)
  /** Keys of windows that are known to be merged. */
  const merged = new Set<string>()
  /** When it was said last in a part that no more will come of a publisher. */
  const repeatedAt = new Map<string, number>()
  let trimmed = 0
  let trimmedAt = -Infinity

  async function members(): Promise<MemberState[]> {
    const found: MemberState[] = []
    for (const member of await readMembers(engine, app)) {
      const key = memberKey(member.id)
      if (watch.isStale(`${bucket}/${key}`, member.revision, options.deadMs)) {
        await engine.delete(bucket, key)
        note(`${member.id} is dead`)
      } else found.push(member)
    }
    return found
  }

  async function progress(): Promise<(Progress | undefined)[]> {
    const of = bucketOf.progress(app)
    const each = Array.from({length: parts}, (_, part) => engine.get(of, String(part)))
    return (await Promise.all(each)).map((one) => one && readProgress(one.value))
  }

  /** That no more comes of a publisher, and how much there is of it in the part. */
  async function sayOver(
    publisher: string,
    part: number,
    before: number,
    over: PublisherState['over'],
  ): Promise<void> {
    const header = {publisher, before, records: 0}
    const entry: EntryHeader =
      over === 'ended'
        ? {...header, kind: 'punctuation', watermark: Infinity}
        : {...header, kind: 'gone', watermark: NaN}
    await engine.append(topic, part, writeEntry(entry, []))
  }

  /** Not again before it can have been heard. */
  function isDue(key: string): boolean {
    const now = engine.clock.now()
    if (now - (repeatedAt.get(key) ?? -Infinity) < options.deadMs) return false
    repeatedAt.set(key, now)
    return true
  }

  /**
   * An engine may have lost it. Whoever has a part that does not know of it is given time while he stores something: it may be
   * among what he has not read yet.
   *
   * @returns whether all parts know
   */
  async function repeatOver(publisher: string, state: PublisherState): Promise<boolean> {
    let all = true
    for (const [part, told] of (await progress()).entries()) {
      if (told?.over.includes(publisher) === true) continue
      all = false
      const key = `${publisher}.${part}`
      if (!watch.isStale(key, told?.fence ?? 0, options.deadMs)) continue
      if (isDue(key)) await sayOver(publisher, part, state.sent[part] ?? 0, state.over)
    }
    return all
  }

  /**
   * What was on its way when an application was removed can arrive in the log of the next of its name, and its publisher is nobody
   * there: a publisher says that it is there before it publishes, and is forgotten when all parts have heard that it is over.
   */
  async function buryStrays(): Promise<void> {
    const told = await progress()
    const registered = new Set(await engine.keys(publishersOf(topic)))
    for (const [part, of] of told.entries()) {
      for (const [id, before] of Object.entries(of?.taken ?? {})) {
        if (of!.over.includes(id)) continue
        const key = `stray ${id}.${part}`
        const isThere = registered.has(id) ? 1 : 0
        if (!watch.isStale(key, isThere, options.deadMs) || isThere === 1) continue
        if (!isDue(key)) continue
        await sayOver(id, part, before, 'gone')
        note(`nothing is known of publisher ${id}`)
      }
    }
  }

  async function trim(below: readonly number[]): Promise<void> {
    const least = Math.min(...below)
    const now = engine.clock.now()
    if (least <= trimmed || now - trimmedAt < TRIM_MS) return
    trimmedAt = now
    await engine.trim(topic, below)
    trimmed = least
  }

  /** Whether the window's results are there, and what they were merged from is not any more. */
  async function mergeWindow(startMs: number, keys: ReadonlySet<string>): Promise<boolean> {
    const results = bucketOf.results(app)
    const final = bucketOf.final(app)
    const name = windowKey(startMs)
    if (!merged.has(name) && (await engine.get(final, name)) === undefined) {
      const state = options.analysis.createState({maxOctets: options.maxOctets})
      let exportTime = 0
      for (const key of [...keys].sort()) {
        const stored = await engine.get(results, key)
        const value = stored && (await getLarge(engine, results, stored.value))
        // Not here yet, or another leader is at it and has deleted it because it is done.
        if (value === undefined) {
          state.close()
          return false
        }
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
      await putLarge(engine, final, name, octets, 0)
    }
    merged.add(name)
    return true
  }

  return {
    async plan() {
      const known = await engine.get(bucket, PLAN_KEY)
      const before = known && readPlan(known.value)
      const all = await members()
      if (all.length === 0) return
      const loads = Array.from({length: parts}, (_, part) =>
        Math.max(0, ...all.map((member) => member.parts[part] ?? 0)),
      )
      const even = loads.every((load) => load === 0)
      // What was measured changes all the time; parts move when units come and go.
      const same =
        before !== undefined &&
        before.owners.every((owner) => all.some((member) => member.id === owner)) &&
        all.every((member) => member.weight === 0 || before.owners.includes(member.id))
      if (same) return
      const next = makePlan(before, all, even ? loads.map(() => 1) : loads)
      if (next.epoch === before?.epoch) return
      await engine.put(bucket, PLAN_KEY, jsonOctets(next), known?.revision ?? 0)
    },
    bereave: async (id) => engine.delete(bucket, memberKey(id)),
    async bury() {
      const publishers = publishersOf(topic)
      for (const id of await engine.keys(publishers)) {
        const stored = await engine.get(publishers, id)
        if (stored === undefined) continue
        const state = readPublisher(stored.value)
        if (state === undefined) continue
        if (state.over !== undefined) {
          if (await repeatOver(id, state)) await engine.delete(publishers, id)
          continue
        }
        if (!watch.isStale(id, stored.revision, state.patienceMs + options.deadMs)) continue
        const gone: PublisherState = {...state, over: 'gone'}
        // Whoever has said something meanwhile lives: for how long this process itself did not run nobody knows.
        if ((await engine.put(publishers, id, jsonOctets(gone), stored.revision)) === undefined) {
          continue
        }
        for (let part = 0; part < parts; part++)
          await sayOver(id, part, gone.sent[part] ?? 0, 'gone')
        note(`publisher ${id} is dead`)
      }
      await buryStrays()
    },
    async merge() {
      const told = await progress()
      const all = told.flatMap((one) => one ?? [])
      if (all.length < parts) return
      await trim(all.map(({keep}) => keep))
      const closed = Math.min(
        ...all.map(({closedMs}) => (closedMs === 'all' ? Infinity : (closedMs ?? -Infinity))),
      )
      const results = bucketOf.results(app)
      const windows = new Map<number, Set<string>>()
      const listed = new Map<number, string[]>()
      const add = (startMs: number, key: string): void => {
        windows.set(startMs, (windows.get(startMs) ?? new Set()).add(key))
      }
      // What the parts say they have told counts, whatever a list of keys says.
      for (const [part, one] of all.entries()) {
        for (const startMs of one.windows) add(startMs, `${windowKey(startMs)}.${part}`)
      }
      for (const key of await engine.keys(results)) {
        if (isPiece(key)) continue
        const startMs = Number(key.split('.')[0])
        add(startMs, key)
        listed.set(startMs, [...(listed.get(startMs) ?? []), key])
      }
      const lengthMs = deployment.windowing?.lengthMs ?? 0
      let whole = true
      for (const [startMs, keys] of [...windows].sort(([a], [b]) => a - b)) {
        if (
          deployment.windowing === undefined ? closed !== Infinity : startMs + lengthMs > closed
        ) {
          continue
        }
        if (!(await mergeWindow(startMs, keys))) whole = false
        else {
          const done = listed.get(startMs) ?? []
          await Promise.all(done.map((key) => deleteLarge(engine, results, key)))
        }
      }
      if (closed === Infinity && whole) {
        await engine.put(bucketOf.final(app), 'end', jsonOctets({}), 0)
      }
    },
  }
}
