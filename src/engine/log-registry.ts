import {setTimeout as sleep} from 'node:timers/promises'
import {DartaError} from '../record/errors.js'
import {jsonOctets, readJson, type Stored} from './engine.js'

/** A log of one part, of an engine that has logs and no compare-and-swap. Places in it count up from 0. */
export interface RegistryLog {
  readonly name: string
  /** Gives the entry's place. @throws DartaError DARTA_ENGINE it may be in the log all the same */
  append(octets: Uint8Array): Promise<number>
  /** Entries from place `from` on, as many as come at once. */
  read(from: number): Promise<RegistryRead>
  /** Forgets what is before a place, if the engine can. */
  trim(below: number): Promise<void>
}

export interface RegistryRead {
  readonly entries: readonly {readonly at: number; readonly octets: Uint8Array}[]
  /** Where the log begins. */
  readonly first: number
  /** Where it ended at some moment after the question. */
  readonly end: number
}

/** One bucket, or a share of one; its methods are those of Engine. */
export interface LogRegistry {
  get(key: string): Promise<Stored | undefined>
  put(key: string, value: Uint8Array, expected: number): Promise<number | undefined>
  delete(key: string): Promise<void>
  keys(): Promise<string[]>
  /** Deletes all keys, also those that others put meanwhile. */
  clear(): Promise<void>
}

interface Header {
  readonly kind: 'put' | 'delete' | 'clear' | 'snapshot'
  /** Process that wrote it. */
  readonly by: string
  /** Place up to which the last snapshot stands for the log that its author knew of; 0: none does. */
  readonly base: number
  readonly key?: string
  /** The key's revision, or the entry does nothing; of `clear`: the highest revision that goes. */
  readonly expected?: number
  /** Of a snapshot: what all its pieces have in common, how many there are, and the keys of this one. */
  readonly id?: string
  readonly from?: number
  readonly pieces?: number
  readonly items?: readonly {key: string; revision: number; octets: number}[]
}

/** Below so many octets of log no snapshot is worth while. */
const LEAST_OCTETS = 256 * 1024
/** Octets of values that a piece of a snapshot has, unless one alone has more. */
const PIECE_OCTETS = 256 * 1024
/** A log of more entries is looked at from its end first. */
const LONG = 256
/** What an entry takes besides its value, about. */
const OVERHEAD_OCTETS = 96
/** An entry that was acknowledged can be read a little later, where the log has a new leader. */
const SETTLE_MS = 20
const SETTLED_MS = 5000

/**
 * A registry with compare-and-swap that is kept in a log: every process reads all entries in their order and applies them by the same
 * rule. An entry that puts takes effect only if its key has the revision that its author expected, and is then the new revision;
 * the author learns the outcome when it reads its own entry. So all agree, without transactions, and an entry that is
 * appended late, or again, does nothing.
 *
 * A process that starts need not read a log of years: when it has grown, whose entry made it so writes a snapshot, in entries of the
 * same log, of what stands before place `from`. What is before it may then be forgotten. Compaction by key would not do: it
 * would keep the last attempt of a key instead of the last that took effect.
 */
export function createLogRegistry(log: RegistryLog, leastOctets = LEAST_OCTETS): LogRegistry {
  const author = Math.random().toString(36).slice(2)
  let values = new Map<string, Stored>()
  /** Octets of all values. */
  let held = 0
  let next = 0
  let opened = false
  /** Where reading began, and what came since: nothing is known before a snapshot that stands for more than that. */
  let unknown:
    {readonly first: number; readonly entries: [number, Header, Uint8Array][]} | undefined
  const snapshots = new Map<string, {from: number; pieces: [Header, Uint8Array][]}>()
  let base = 0
  /** Places and octets of entries since then. */
  let grown: {readonly at: number; readonly octets: number}[] = []
  let grownOctets = 0
  /** Whether own entries took effect, by their place. */
  const outcomes = new Map<number, boolean>()
  let due = false
  let writing = false
  let running: Promise<void> | undefined
  let following: Promise<void> | undefined

  /** All that the log had when it was called is known when it resolves. */
  function sync(): Promise<void> {
    if (running === undefined) {
      running = catchUp().finally(() => (running = undefined))
      return running
    }
    // What is under way may have asked already.
    following ??= running
      .catch(() => {})
      .then(() => {
        following = undefined
        return sync()
      })
    return following
  }

  async function catchUp(): Promise<void> {
    if (!opened) await open()
    let until = Infinity
    for (let idle = 0; next < until;) {
      const before = next
      const {entries, first, end} = await log.read(next)
      if (first > next) {
        startAt(first)
        // The snapshot that stands for what is gone was written first, but maybe after what was asked for.
        until = Infinity
      } else until = Math.min(until, end)
      for (const {at, octets} of entries) {
        if (at < next) continue
        next = at + 1
        take(at, octets)
      }
      idle = next === before ? idle + 1 : 0
      if (idle > 0 && next < until) {
        if (idle * SETTLE_MS > SETTLED_MS) throw fault(`nothing is at place ${next}`)
        await sleep(SETTLE_MS)
      }
    }
    if (unknown !== undefined) {
      opened = false
      throw fault(
        'its head is gone, and no snapshot stands for it: topics need unlimited retention',
      )
    }
    if (due) void writeSnapshot()
  }

  async function open(): Promise<void> {
    const {first, end} = await log.read(0)
    let start = first
    if (end - first > LONG) {
      const [last] = (await log.read(end - 1)).entries
      // The author of the last entry had read a whole snapshot that stands for what is before.
      if (last !== undefined) start = Math.max(first, readRecord(last.octets)?.header.base ?? 0)
    }
    startAt(start)
    opened = true
  }

  function startAt(first: number): void {
    values = new Map()
    held = 0
    next = first
    snapshots.clear()
    unknown = first > 0 ? {first, entries: []} : undefined
    grown = []
    grownOctets = 0
  }

  function take(at: number, octets: Uint8Array): void {
    const record = readRecord(octets)
    // What others wrote there means nothing.
    if (record === undefined) return
    const {header, value} = record
    if (header.kind === 'snapshot') gather(header, value)
    else if (unknown === undefined) apply(at, header, value)
    else unknown.entries.push([at, header, value])
  }

  function gather(header: Header, value: Uint8Array): void {
    const {id = '', from = 0, pieces = 1} = header
    const snapshot = snapshots.get(id) ?? {from, pieces: []}
    snapshots.set(id, snapshot)
    snapshot.pieces.push([header, value])
    if (snapshot.pieces.length < pieces) return
    snapshots.delete(id)
    if (unknown === undefined) settle(from)
    // Entries between it and where reading began are not there.
    else if (from >= unknown.first) restore(snapshot)
  }

  function restore({from, pieces}: {from: number; pieces: readonly [Header, Uint8Array][]}): void {
    const since = unknown?.entries ?? []
    unknown = undefined
    for (const [{items = []}, octets] of pieces) {
      let start = 0
      for (const {key, revision, octets: size} of items) {
        set(key, {value: octets.subarray(start, start + size), revision})
        start += size
      }
    }
    for (const [at, header, value] of since) if (at >= from) apply(at, header, value)
    settle(from)
  }

  /** A snapshot is whole. */
  function settle(from: number): void {
    if (from <= base) return
    base = from
    for (const [id, other] of snapshots) if (other.from < from) snapshots.delete(id)
    grown = grown.filter(({at}) => at >= from)
    grownOctets = grown.reduce((sum, {octets}) => sum + octets, 0)
  }

  function apply(at: number, header: Header, value: Uint8Array): void {
    const {kind, key = '', expected = 0, by} = header
    let effective = true
    if (kind === 'clear') {
      for (const [name, {revision}] of values) if (revision <= expected) remove(name)
    } else if ((values.get(key)?.revision ?? 0) !== expected) effective = false
    else if (kind === 'put') set(key, {value, revision: at + 1})
    else remove(key)
    if (by === author) outcomes.set(at, effective)
    grow(at, value.length + OVERHEAD_OCTETS, by === author)
  }

  /** Each time the log has grown by as much, somebody writes a snapshot: whoever wrote before may have died. */
  function grow(at: number, octets: number, own: boolean): void {
    const worth = Math.max(leastOctets, 2 * held)
    const times = Math.floor(grownOctets / worth)
    grown.push({at, octets})
    grownOctets += octets
    if (own && Math.floor(grownOctets / worth) > times) due = true
  }

  function set(key: string, stored: Stored): void {
    remove(key)
    // Its own octets: what was read with it need not stay.
    values.set(key, {...stored, value: stored.value.slice()})
    held += stored.value.length + OVERHEAD_OCTETS
  }

  function remove(key: string): void {
    const stored = values.get(key)
    if (stored === undefined) return
    values.delete(key)
    held -= stored.value.length + OVERHEAD_OCTETS
  }

  /** Stands for all entries before the next one. What fails is tried again when the log has grown more. */
  async function writeSnapshot(): Promise<void> {
    due = false
    if (writing) return
    writing = true
    const from = next
    const known = base
    try {
      const pieces = inPieces([...values])
      const id = `${author}.${from}`
      for (const piece of pieces) {
        const items = piece.map(([key, {value, revision}]) => {
          return {key, revision, octets: value.length}
        })
        const header: Header = {
          ...{kind: 'snapshot', by: author, base: known, id, from},
          ...{pieces: pieces.length, items},
        }
        await log.append(
          writeRecord(
            header,
            piece.map(([, {value}]) => value),
          ),
        )
      }
      // All its pieces are there: what it stands for is not needed any more.
      await log.trim(from)
    } catch {
      // It is not needed for anything but room.
    } finally {
      writing = false
    }
  }

  /** Appends, and waits until it is known what came of it. */
  async function change(
    header: Pick<Header, 'kind' | 'key' | 'expected'>,
    value: Uint8Array = new Uint8Array(0),
  ): Promise<number | undefined> {
    const octets = writeRecord({...header, by: author, base}, [value])
    const at = await log.append(octets)
    // Nothing is before it that is not known: it need not be read to know what came of it.
    if (opened && unknown === undefined && next === at) {
      next = at + 1
      take(at, octets)
      if (due) void writeSnapshot()
    }
    for (let waited = 0; next <= at; waited += SETTLE_MS) {
      if (waited > 0) await sleep(SETTLE_MS)
      if (waited > SETTLED_MS) throw fault('an entry that was acknowledged cannot be read')
      await sync()
    }
    const effective = outcomes.get(at)
    outcomes.delete(at)
    // Those of entries of which it was not known that they were appended.
    if (outcomes.size > MOST_OUTCOMES) outcomes.clear()
    if (effective !== undefined) return effective ? at + 1 : undefined
    // It was read as part of a snapshot.
    if (values.get(header.key ?? '')?.revision === at + 1) return at + 1
    throw fault('it is not known whether a value was stored')
  }

  const fault = (words: string): DartaError =>
    new DartaError('DARTA_ENGINE', `${log.name}: ${words}`)
  const revisionOf = (key: string): number => values.get(key)?.revision ?? 0

  return {
    async get(key) {
      await sync()
      return values.get(key)
    },
    async put(key, value, expected) {
      // What is bound to fail leaves no entry.
      if (!opened || revisionOf(key) !== expected) await sync()
      if (revisionOf(key) !== expected) return undefined
      return change({kind: 'put', key, expected}, value)
    },
    async delete(key) {
      await sync()
      // A revision that was read cannot come again: an entry that arrives late deletes nothing newer.
      while (values.has(key)) await change({kind: 'delete', key, expected: revisionOf(key)})
    },
    async keys() {
      await sync()
      return [...values.keys()]
    },
    async clear() {
      await sync()
      // A revision that is put while the entry is on its way is newer than what goes.
      while (values.size > 0) await change({kind: 'clear', expected: next})
    },
  }
}

const MOST_OUTCOMES = 10_000

function inPieces(items: readonly [string, Stored][]): [string, Stored][][] {
  const pieces: [string, Stored][][] = [[]]
  let octets = 0
  for (const item of items) {
    octets += item[1].value.length + OVERHEAD_OCTETS
    if (octets > PIECE_OCTETS && pieces[pieces.length - 1].length > 0) {
      pieces.push([])
      octets = item[1].value.length + OVERHEAD_OCTETS
    }
    pieces[pieces.length - 1].push(item)
  }
  return pieces
}

/** An entry: 'D', version, 0, 0, octets of the header (4); the header as JSON; values. Network byte order. */
const MAGIC = 0x44
const VERSION = 1
const START_OCTETS = 8

function writeRecord(header: Header, values: readonly Uint8Array[]): Uint8Array {
  const json = jsonOctets(header)
  const size = values.reduce((sum, {length}) => sum + length, START_OCTETS + json.length)
  const octets = new Uint8Array(size)
  octets[0] = MAGIC
  octets[1] = VERSION
  new DataView(octets.buffer).setUint32(4, json.length)
  octets.set(json, START_OCTETS)
  let at = START_OCTETS + json.length
  for (const value of values) {
    octets.set(value, at)
    at += value.length
  }
  return octets
}

function readRecord(octets: Uint8Array): {header: Header; value: Uint8Array} | undefined {
  if (octets.length < START_OCTETS || octets[0] !== MAGIC || octets[1] !== VERSION) return undefined
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const end = START_OCTETS + view.getUint32(4)
  if (end > octets.length) return undefined
  const header = readJson(octets.subarray(START_OCTETS, end))
  if (typeof header !== 'object' || header === null || !('kind' in header)) return undefined
  return {header: header as Header, value: octets.subarray(end)}
}
