import type {Engine} from './engine.js'
import {
  either,
  isNumber,
  isOneOf,
  isText,
  isWhole,
  listOf,
  mapOf,
  objectOf,
  readShaped,
} from './shape.js'
import {isCounters, type TaskCounters} from './task.js'

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

const isMember = objectOf({
  ...{id: isText, weight: isNumber, beat: isNumber, epoch: isNumber, rate: isNumber},
  ...{parts: mapOf(isNumber), counters: isCounters},
})
const isPublisher = objectOf({
  ...{patienceMs: isWhole(0), sent: listOf(isWhole(0)), watermark: either(isNumber, isOneOf(null))},
  over: isOneOf(undefined, 'ended', 'gone'),
})

/** What a publisher stored of itself; undefined: it is none. */
export const readPublisher = (octets: Uint8Array): PublisherState | undefined =>
  readShaped(octets, isPublisher)

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
    const state = one && readShaped<MemberState>(one.value, isMember)
    return state === undefined ? [] : [{...state, revision: one!.revision}]
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
    const state = one && readPublisher(one.value)
    return state !== undefined && state.over === undefined ? [{id: keys[i], ...state}] : []
  })
}
