import {readJson, type Engine} from './engine.js'
import type {TaskCounters} from './task.js'

/** What a Processing Unit says of itself, again and again: that it says so shows that it is alive. */
export interface MemberState {
  readonly id: string
  readonly weight: number
  /** Counts the beats. */
  readonly beat: number
  readonly epoch: number
  /** Records analysed of each part that it has. */
  readonly parts: Readonly<Record<string, number>>
  /** Records analysed per second, of late. */
  readonly rate: number
  readonly counters: TaskCounters
}

/** What a publisher says of itself. */
export interface PublisherState {
  /** For so long it tries to reach the engine before it gives up: before, its silence means nothing. Milliseconds. */
  readonly patienceMs: number
  /** Records that the log has of it, by part. */
  readonly sent: readonly number[]
  /** Milliseconds since 1970 that its records have reached; null: none, or all. */
  readonly watermark: number | null
  /** No more will come of it: it said so itself, or was taken for dead. Gone from the registry when all parts have heard it. */
  readonly over?: 'ended' | 'gone'
}

export const liveBucket = (app: string): string => `live/${app}`
export const memberKey = (id: string): string => `m_${id}`
export const PLAN_KEY = 'plan'
export const LEADER_KEY = 'leader'
export const publishersOf = (topic: string): string => `publishers/${topic}`

/** Units that say that they are there, by name, and which revision of their state this is. */
export async function readMembers(
  engine: Engine,
  app: string,
): Promise<(MemberState & {readonly revision: number})[]> {
  const bucket = liveBucket(app)
  const keys = (await engine.keys(bucket)).filter((key) => key.startsWith(memberKey(''))).sort()
  const stored = await Promise.all(keys.map((key) => engine.get(bucket, key)))
  return stored.flatMap((one) => {
    if (one === undefined) return []
    return [{...(readJson(one.value) as MemberState), revision: one.revision}]
  })
}

/** Publishers that say that they are there. */
export async function readPublishers(
  engine: Engine,
  topic: string,
): Promise<(PublisherState & {readonly id: string})[]> {
  const bucket = publishersOf(topic)
  const keys = [...(await engine.keys(bucket))].sort()
  const stored = await Promise.all(keys.map((key) => engine.get(bucket, key)))
  return stored.flatMap((one, i) => {
    if (one === undefined) return []
    const state = readJson(one.value) as PublisherState
    return state.over === undefined ? [{id: keys[i], ...state}] : []
  })
}
