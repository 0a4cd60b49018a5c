import {randomUUID} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'
import {jsonOctets, readJson, type Engine, type Stored} from '../../engine/engine.js'
import type {Coordinator, Outgoing} from '../../metering/coordination/coordinator.js'
import {statusOf} from '../../metering/coordination/group-status.js'
import {formatMessage, parseMessage, type Message} from '../../metering/coordination/message.js'
import {TIMING, type Instant} from '../../metering/coordination/timing.js'
import {DartaError} from '../../record/errors.js'
import {now} from './clocks.js'
import type {EngineMeeting} from './meeting.js'

/** How often a member looks what is new in the group's registry, ms. */
const ROUND_MS = 50
/** An engine that does not answer is asked again after so long. */
const RETRY_MS = 250
/** An engine that has not answered for so long is connected to anew: it may have lost what it had. */
const ANEW_MS = 5000
const STATUS_MS = 1000
/** A member whose messages have not changed for so long is no member any more. */
const MEMBER_MS = 60_000

/**
 * A group's place in an engine's registry, where every value is changed by compare-and-swap alone:
 *
 * - `members`: ids of the nodes.
 * - `node.ID`: what a node last said to the coordinator, the newest message of each type.
 * - `to.ID`: what the coordinator last said to a node.
 * - `lease`: who coordinates. Its holder renews it every beat; whose lease has not changed for the time to live, by the
 *   observer's own clock, is gone, and who swaps it first coordinates.
 * - `status`: what the coordinator tells for people.
 *
 * A value that is overwritten before it was read is a message that was lost, which the protocol allows for.
 */
export interface AtEngine {
  /** To the coordinator. */
  post(messages: readonly Message[]): void
  /** Says what is still to be said, and gives the lease back. */
  close(): Promise<void>
}

export interface AtEngineOptions {
  readonly meeting: EngineMeeting
  readonly id: string
  /** Of the plan in force. */
  readonly ttlMs: () => number
  /** A coordinator that knows what this member knows. */
  readonly standIn: (now: Instant) => Coordinator
  /** Of a capture node: what the coordinator says. Others only coordinate. */
  readonly receive?: (message: Message) => void
  /** The group's registry can be reached, from now on. Once. */
  readonly reached?: () => void
  /** Words about what goes on while the engine is gone. */
  readonly outage: () => string
  readonly coordinates?: (coordinator: Coordinator | undefined) => void
  readonly note: (text: string) => void
}

/** Messages that wait, the newest of each type. */
type Mail = Map<Message['type'], Message>

export function meetAtEngine(options: AtEngineOptions): AtEngine {
  const {meeting, id, note, receive} = options
  const bucket = groupBucket(meeting.name)
  const token = `${id} ${randomUUID()}`
  let engine: Engine | undefined
  let reached = false
  let closing = false
  /** Since when all rounds were good; undefined: the last one was not. */
  let soundSince: number | undefined
  let failedSince: number | undefined

  const own: Mail = new Map()
  /** Revisions of values that only this member, or the coordinator that it is, writes. */
  const written = new Map<string, number>()
  /** Revisions of values that were read. */
  const read = new Map<string, number>()
  let registered = -Infinity

  let lease: {revision: number; renewed: number} | undefined
  let observed = {revision: 0, since: now().mono}
  /** Who has the lease, as last told. */
  let ahead: string | undefined
  let coordinator: Coordinator | undefined
  const mail = new Map<string, Mail>()
  /** When a member's messages changed last. */
  const changed = new Map<string, number>()
  let toldStatus = -Infinity

  async function round(at: Engine): Promise<void> {
    if (receive !== undefined) {
      await register(at)
      await say(at, `node.${encode(id)}`, own)
      const mine = `to.${encode(id)}`
      const stored = await at.get(bucket, mine)
      // What was said to another life of this node is not for this one.
      if (isNews(mine, stored)) for (const one of messagesOf(stored)) receive(one)
    }
    await keepLease(at)
    if (coordinator !== undefined) await coordinate(at, coordinator)
  }

  /** Whether a value has changed since this member read it first. */
  function isNews(key: string, stored: Stored | undefined): boolean {
    const last = read.get(key)
    const revision = stored?.revision ?? 0
    read.set(key, revision)
    return last !== undefined && last !== revision
  }

  async function say(at: Engine, key: string, list: Mail): Promise<void> {
    if (list.size === 0) return
    const octets = jsonOctets([...list.values()].map(formatMessage))
    list.clear()
    const revision = await at.put(bucket, key, octets, written.get(key) ?? 0)
    if (revision !== undefined) {
      written.set(key, revision)
      return
    }
    // Another life of this node wrote it, or another coordinator.
    const stored = await at.get(bucket, key)
    const second = await at.put(bucket, key, octets, stored?.revision ?? 0)
    if (second !== undefined) written.set(key, second)
  }

  async function members(at: Engine): Promise<{ids: string[]; revision: number}> {
    const stored = await at.get(bucket, 'members')
    const list = stored === undefined ? [] : readJson(stored.value)
    const ids = Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []
    return {ids, revision: stored?.revision ?? 0}
  }

  async function register(at: Engine): Promise<void> {
    const {mono} = now()
    if (mono - registered < STATUS_MS) return
    const {ids, revision} = await members(at)
    const isIn = ids.includes(id)
    if (!isIn) await at.put(bucket, 'members', jsonOctets([...ids, id].sort()), revision)
    // Where somebody else was faster the next round tries again.
    if (isIn) registered = mono
  }

  async function keepLease(at: Engine): Promise<void> {
    const stored = await at.get(bucket, 'lease')
    const {mono} = now()
    const holder = stored === undefined ? undefined : readJson(stored.value)
    if (lease !== undefined) {
      const isMine = holder === token
      if (isMine && mono - lease.renewed < TIMING.beatMs) return
      const revision = isMine ? await putLease(at, stored!.revision) : undefined
      if (revision !== undefined) {
        lease = {revision, renewed: mono}
        return
      }
      lease = undefined
      coordinator = undefined
      options.coordinates?.(undefined)
      note('another node coordinates the group now')
    }
    if (closing) return
    const revision = stored?.revision ?? 0
    if (stored !== undefined && observed.revision !== revision) {
      observed = {revision, since: mono}
      const [name] = typeof holder === 'string' ? holder.split(' ') : []
      if (receive === undefined && name !== undefined && name !== ahead) {
        ahead = name
        note(`${name} coordinates the group; this one does when it is gone`)
      }
      return
    }
    if (stored !== undefined && mono - observed.since <= options.ttlMs()) return
    const taken = await putLease(at, revision)
    if (taken === undefined) return
    lease = {revision: taken, renewed: mono}
    // What was said to the one before is read as old.
    for (const key of read.keys()) if (key.startsWith('node.')) read.delete(key)
    mail.clear()
    changed.clear()
    coordinator = options.standIn(now())
    options.coordinates?.(coordinator)
    note('this node coordinates now')
  }

  const putLease = (at: Engine, expected: number): Promise<number | undefined> =>
    at.put(bucket, 'lease', jsonOctets(token), expected)

  async function coordinate(at: Engine, leader: Coordinator): Promise<void> {
    const {ids, revision} = await members(at)
    const found = await Promise.all(
      ids.map(async (of) => ({of, stored: await at.get(bucket, `node.${encode(of)}`)})),
    )
    const {mono} = now()
    for (const {of, stored} of found) {
      const isNew = isNews(`node.${encode(of)}`, stored)
      if (isNew || !changed.has(of)) changed.set(of, mono)
      for (const message of messagesOf(stored)) {
        // Of what was said before only a farewell still holds.
        if (isNew || message.type === 'leave') queue(leader.receive(message, now()))
      }
    }
    // After an outage all are given the time to come back.
    const isSound = soundSince !== undefined && mono - soundSince > options.ttlMs()
    if (isSound || failedSince === undefined) queue(leader.tick(now()))
    await Promise.all([...mail].map(([to, list]) => say(at, `to.${encode(to)}`, list)))
    mail.clear()
    if (mono - toldStatus < STATUS_MS) return
    toldStatus = mono
    const status: Message = statusOf(meeting.name, id, leader, now())
    await say(at, 'status', new Map([[status.type, status]]))
    const gone = ids.filter((of) => mono - (changed.get(of) ?? mono) > MEMBER_MS)
    if (gone.length === 0) return
    const rest = ids.filter((of) => !gone.includes(of))
    if ((await at.put(bucket, 'members', jsonOctets(rest), revision)) === undefined) return
    for (const of of gone) {
      await at.delete(bucket, `node.${encode(of)}`)
      await at.delete(bucket, `to.${encode(of)}`)
    }
  }

  function queue(list: readonly Outgoing[]): void {
    for (const {to, message} of list) {
      const box: Mail = mail.get(to) ?? new Map<Message['type'], Message>()
      mail.set(to, box.set(message.type, message))
    }
  }

  async function attempt(): Promise<void> {
    engine ??= await meeting.open()
    await round(engine)
    const {mono} = now()
    if (!reached) options.reached?.()
    else if (soundSince === undefined) note(`the engine ${meeting.place} is back`)
    reached = true
    soundSince ??= mono
    if (mono - soundSince > options.ttlMs()) failedSince = undefined
  }

  async function fail(error: unknown): Promise<void> {
    const {mono} = now()
    const why = error instanceof DartaError ? error.message : String(error)
    if (failedSince === undefined || soundSince !== undefined) {
      failedSince = mono
      note(`no word from the engine: ${why}${reached ? `; ${options.outage()}` : ''}`)
    }
    soundSince = undefined
    // What nobody could renew meanwhile has not run out.
    observed = {revision: 0, since: mono}
    if (mono - failedSince > ANEW_MS) {
      failedSince = mono
      written.clear()
      await engine?.close().catch(() => {})
      engine = undefined
    }
    await sleep(RETRY_MS)
  }

  const loop = (async () => {
    while (!closing) {
      try {
        await attempt()
        await sleep(ROUND_MS)
      } catch (error) {
        await fail(error)
      }
    }
    // The last words of a node, and what it answers to itself as the coordinator.
    if (engine === undefined || soundSince === undefined) return
    try {
      await round(engine)
      if (lease !== undefined) await engine.delete(bucket, 'lease')
    } catch {
      // Then the others wait for the time to live.
    }
  })()

  return {
    post(messages) {
      for (const message of messages) own.set(message.type, message)
    },
    async close() {
      closing = true
      await loop
      await engine?.close().catch(() => {})
    },
  }
}

/** The registry of a group. */
export const groupBucket = (name: string): string => `group_${encode(name)}`

/** Names of keys have letters, digits and hyphens. */
function encode(name: string): string {
  return name.replace(
    /[^A-Za-z0-9-]/g,
    (character) => `_${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}

/** Messages of a value; what is none is left out. */
export function messagesOf(stored: Stored | undefined): Message[] {
  const list = stored === undefined ? [] : readJson(stored.value)
  if (!Array.isArray(list)) return []
  return list.flatMap((text) => {
    try {
      return typeof text === 'string' ? [parseMessage(text)] : []
    } catch {
      return []
    }
  })
}
