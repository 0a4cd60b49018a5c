import {DartaError} from '../record/errors.js'
import type {Decoder} from '../record/format.js'
import {Ledger, StageLedger} from '../record/ledger.js'
import type {Analysis} from '../processing/analysis/app.js'
import {
  createProcessingUnit,
  type ProcessingUnit,
  type Windowing,
} from '../processing/analysis/processing-unit.js'
import {jsonOctets, type Engine} from './engine.js'
import {readEntry, type EntryHeader} from './entry.js'
import {getLarge, putLarge} from './large-values.js'
import {
  either,
  isFlag,
  isName,
  isNumber,
  isOneOf,
  isText,
  isWhole,
  listOf,
  mapOf,
  objectOf,
  readShaped,
} from './shape.js'

/** An application as it is deployed: the same for all its units. */
export interface Deployment {
  readonly app: string
  readonly topic: string
  readonly parts: number
  readonly windowing: Omit<Windowing, 'watermark'> | undefined
  /** Records of keys that are too heavy for a part go to several, each of which then knows some of them. */
  readonly splitHot?: boolean
}

export interface TaskCounters {
  readonly analysed: number
  readonly skipped: number
  readonly late: number
  /** Records that the log did not have any more. */
  readonly lost: number
  /** Entries that came twice. */
  readonly repeated: number
  /** Entries that darta did not write, or that are damaged: what such a one held is lost, and counted so. */
  readonly foreign: number
}

const isCount = isWhole(0)
export const isCounters = objectOf({
  ...{analysed: isCount, skipped: isCount, late: isCount, lost: isCount, repeated: isCount},
  foreign: isCount,
})

export function noCounters(): TaskCounters {
  return {analysed: 0, skipped: 0, late: 0, lost: 0, repeated: 0, foreign: 0}
}

export function addCounters(a: TaskCounters, b: TaskCounters): TaskCounters {
  return {
    analysed: a.analysed + b.analysed,
    skipped: a.skipped + b.skipped,
    late: a.late + b.late,
    lost: a.lost + b.lost,
    repeated: a.repeated + b.repeated,
    foreign: a.foreign + b.foreign,
  }
}

/** What is known of a publisher. */
interface Known {
  /** Its records so far. */
  before: number
  watermark: number
  ended: boolean
  gone: boolean
  /** Number of its last entry that was taken. */
  last: number
}

interface Checkpoint {
  readonly sequence: number
  /** Of the entries that were taken the highest number: `sequence` goes back where entries are read again. */
  readonly highest: number
  readonly publishers: Record<string, Omit<Known, 'watermark'> & {watermark: number | null}>
  /** What is below is closed; null: nothing, or all. */
  readonly watermark: number | null
  readonly ended: boolean
  readonly counters: TaskCounters
  /** Beginnings of the windows of which it told results, without those that were merged long ago. */
  readonly windows: readonly number[]
}

const isCheckpoint = objectOf({
  ...{sequence: isCount, highest: isCount, ended: isFlag, counters: isCounters},
  ...{watermark: either(isNumber, isOneOf(null)), windows: listOf(isNumber)},
  publishers: mapOf(
    objectOf({
      ...{before: isCount, last: isCount, ended: isFlag, gone: isFlag},
      watermark: either(isNumber, isOneOf(null)),
    }),
  ),
})

/** What a part's owner tells all others after each checkpoint. */
export interface Progress {
  /** Revision of the checkpoint: what a former owner tells late has a lower one. */
  readonly fence: number
  /** Up to which moment windows are closed; null: none yet. */
  readonly closedMs: number | 'all' | null
  /** Beginnings of windows that have results of this part. */
  readonly windows: readonly number[]
  /** Number of the first entry that may still be read again. */
  readonly keep: number
  /** Records taken, by publisher. */
  readonly taken: Readonly<Record<string, number>>
  /** Publishers of which this part knows that no more will come. */
  readonly over: readonly string[]
  readonly counters: TaskCounters
}

const isProgress = objectOf({
  ...{fence: isNumber, closedMs: either(isNumber, isOneOf('all', null)), keep: isWhole(0)},
  ...{windows: listOf(isNumber), taken: mapOf(isCount), over: listOf(isText)},
  counters: isCounters,
})

/** What a part's owner told; undefined: it is nothing of the kind. */
export const readProgress = (octets: Uint8Array): Progress | undefined =>
  readShaped(octets, isProgress)

/** The fence: somebody else has taken the part over, and what this task knows is void. */
export class Fenced extends Error {
  constructor(part: number) {
    super(`part ${part} has another owner`)
  }
}

export interface TaskOptions {
  readonly deployment: Deployment
  readonly part: number
  readonly analysis: Analysis
  readonly maxOctets: number
  readonly newDecoder: (ledger: Ledger) => Decoder
  /** Milliseconds between checkpoints. */
  readonly checkpointMs: number
}

/** One part of one application's log, claimed by this process. */
export interface Task {
  readonly part: number
  readonly counters: TaskCounters
  /** Up to which moment windows are closed, and told so to others. */
  readonly closedMs: number
  /** Records that were analysed since it was claimed. */
  readonly analysed: number
  /** Reads some entries; false: there were none. @throws Fenced; DartaError */
  step(): Promise<boolean>
  /** Stores what it knows, so that another can go on. @throws Fenced */
  checkpoint(): Promise<void>
  close(): void
}

/** A publisher says what time it is four times a second: after so long without a word, what it said is asked for again. */
const SILENCE_MS = 2000
/** Entries read at once. */
const READ = 64
/** Before an end is believed, the last part of the log is read so often again, for publishers of which nothing was heard. */
const END_LOOKS = 3
/** How often a hole in the log is read again before its records are lost, and how long that waits. */
const HOLE_TRIES = 25
const HOLE_MS = 200
/** A window's results are known to be merged, at the latest, when so many others were told after it. */
const TOLD_WINDOWS = 4
const AGAIN_MS = 50
/** Of the time, checkpoints take a tenth at most. */
const CHECKPOINT_REST = 9

/** The buckets of an application. */
export const bucketOf = {
  state: (app: string): string => `state/${app}`,
  progress: (app: string): string => `progress/${app}`,
  results: (app: string): string => `results/${app}`,
  final: (app: string): string => `final/${app}`,
}

/** Key of a window's results: the moment at which it begins, then the part; zero-padded, so that keys sort as times. */
export function windowKey(startMs: number): string {
  return String(startMs).padStart(15, '0')
}

/**
 * Claims a part: from now on no other process can store anything for it, and this one goes on where the last checkpoint was.
 *
 * Results go before the checkpoint and are written once for each application, window and part; what is computed again after a
 * takeover is the same, and is refused. So each window's results are there exactly once.
 */
export async function claimTask(engine: Engine, options: TaskOptions): Promise<Task> {
  const {deployment, part, analysis, newDecoder} = options
  const {app, topic} = deployment
  const key = String(part)
  const ledger = new StageLedger(`${app} ${part}`, 'records')
  const unit: ProcessingUnit = createProcessingUnit(analysis, {
    windowing: deployment.windowing && {...deployment.windowing, watermark: 'given'},
    maxOctets: options.maxOctets,
    ledger,
  })
  const publishers = new Map<string, Known>()
  const decoders = new Map<string, Decoder>()
  /** When each publisher's last entry came, by this process's clock. */
  const heard = new Map<string, number>()
  let base = noCounters()
  let lost = 0
  let repeated = 0
  let foreign = 0
  /** Records that came when all had ended. */
  let afterEnd = 0
  let sequence = 0
  let highest = 0
  let looks = 0
  /** Where the last checkpoints were. */
  const reached = [0, 0]
  let watermark = -Infinity
  let ended = false
  let revision = 0
  let progressRevision = 0
  let told = -Infinity
  let windows: number[] = []
  /** What was told last of `keep`. */
  let kept = 0
  let changed = false
  let storedAt = engine.clock.now()
  let storingMs = 0
  let suspected = {sequence: 0, tries: 0}

  function counters(): TaskCounters {
    const sum = (of: Map<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0)
    const late = ledger.lost.get('late') ?? 0
    return {
      analysed: base.analysed + ledger.out,
      skipped: base.skipped + sum(ledger.skipped) + sum(ledger.lost) - late,
      late: base.late + late + afterEnd,
      lost: base.lost + lost,
      repeated: base.repeated + repeated,
      foreign: base.foreign + foreign,
    }
  }

  function closedMs(): number {
    if (ended) return Infinity
    return deployment.windowing === undefined
      ? -Infinity
      : watermark - deployment.windowing.latenessMs
  }

  async function claim(): Promise<void> {
    for (;;) {
      const stored = await engine.get(bucketOf.state(app), key)
      const value = stored && (await getLarge(engine, bucketOf.state(app), stored.value))
      if (stored !== undefined && value === undefined) {
        await engine.clock.sleep(AGAIN_MS)
        continue
      }
      // A new revision with the same value: commits of whoever had it fail from now on.
      const next = await engine.put(
        bucketOf.state(app),
        key,
        stored?.value ?? new Uint8Array(0),
        stored?.revision ?? 0,
      )
      if (next === undefined) continue
      revision = next
      if (value !== undefined && value.length > 0) {
        restore(value)
        // Whoever had it may have gone before it could say.
        await tellProgress()
      }
      return
    }
  }

  function restore(value: Uint8Array): void {
    const length = value.length < 4 ? 0 : new DataView(value.buffer, value.byteOffset).getUint32(0)
    const known = readShaped<Checkpoint>(value.subarray(4, 4 + length), isCheckpoint)
    if (known === undefined) {
      throw new DartaError(
        'DARTA_ENGINE',
        `what is stored as the state of part ${part} of ${app} is no checkpoint; route --remove ${app} lets it begin anew`,
      )
    }
    sequence = known.sequence
    highest = known.highest
    base = known.counters
    windows = [...known.windows]
    ended = known.ended
    watermark = known.watermark ?? -Infinity
    for (const [id, of] of Object.entries(known.publishers)) {
      publishers.set(id, {...of, watermark: of.watermark ?? -Infinity})
    }
    unit.advance(watermark)
    unit.merge(value.subarray(4 + length))
    told = closedMs()
  }

  async function store(): Promise<void> {
    const began = engine.clock.now()
    await forgetMerged()
    const checkpoint: Checkpoint = {
      sequence,
      highest,
      publishers: Object.fromEntries(publishers),
      watermark,
      ended,
      counters: counters(),
      windows,
    }
    const head = jsonOctets(checkpoint)
    const snapshot = unit.snapshot(false)
    const octets = new Uint8Array(4 + head.length + snapshot.length)
    new DataView(octets.buffer).setUint32(0, head.length)
    octets.set(head, 4)
    octets.set(snapshot, 4 + head.length)
    const next = await putLarge(engine, bucketOf.state(app), key, octets, revision)
    if (next === undefined) throw new Fenced(part)
    revision = next
    changed = false
    told = closedMs()
    await tellProgress()
    reached.push(sequence)
    if (reached.length > 2) reached.shift()
    storedAt = engine.clock.now()
    storingMs = storedAt - began
  }

  /** Number of the first entry that may be read again. */
  function keep(): number {
    // What came before the last entries of others may have been skipped, and will be asked for again.
    const needed = [...publishers.values()].filter((of) => !of.gone && !of.ended)
    // Of a publisher that nothing was heard of yet the first ones: hence two checkpoints late.
    return Math.min(reached[0], ...needed.map(({last}) => last)) + 1
  }

  /** Others merge a window when all parts have closed it, and forget entries that no part reads again. */
  async function tellProgress(): Promise<void> {
    kept = keep()
    const progress: Progress = {
      fence: revision,
      closedMs: told === Infinity ? 'all' : told === -Infinity ? null : told,
      windows,
      keep: kept,
      taken: Object.fromEntries([...publishers].map(([id, of]) => [id, of.before])),
      over: [...publishers].flatMap(([id, of]) => (of.gone || of.ended ? [id] : [])),
      counters: counters(),
    }
    const value = jsonOctets(progress)
    const bucket = bucketOf.progress(app)
    for (;;) {
      const next = await engine.put(bucket, key, value, progressRevision)
      if (next !== undefined) {
        progressRevision = next
        return
      }
      const known = await engine.get(bucket, key)
      if (known !== undefined && (readProgress(known.value)?.fence ?? 0) > revision) {
        throw new Fenced(part)
      }
      progressRevision = known?.revision ?? 0
      await engine.clock.sleep(AGAIN_MS)
    }
  }

  /** Windows that are merged need not be told of for ever. */
  async function forgetMerged(): Promise<void> {
    while (windows.length > TOLD_WINDOWS) {
      const merged = await engine.get(bucketOf.final(app), windowKey(windows[0]))
      if (merged === undefined) return
      windows = windows.slice(1)
    }
  }

  /** Results of the windows that are over: a snapshot each, for whoever merges the parts. */
  async function tellResults(closed: ReturnType<ProcessingUnit['finish']>): Promise<void> {
    for (const {window, state, exportTime, close} of closed) {
      await state.finish?.()
      const snapshot = state.snapshot(deployment.splitHot !== true)
      const value = new Uint8Array(4 + snapshot.length)
      new DataView(value.buffer).setUint32(0, exportTime)
      value.set(snapshot, 4)
      const name = `${windowKey(window?.startMs ?? 0)}.${part}`
      // Refused where it was told before a takeover.
      await putLarge(engine, bucketOf.results(app), name, value, 0)
      const startMs = window?.startMs ?? 0
      if (!windows.includes(startMs)) windows = [...windows, startMs]
      close()
    }
  }

  /** Each entry has all Templates that it needs; a decoder that has them already makes nothing anew of them. */
  function decoderOf(publisher: string): Decoder {
    let decoder = decoders.get(publisher)
    if (decoder === undefined) {
      decoder = newDecoder(new Ledger())
      decoders.set(publisher, decoder)
    }
    return decoder
  }

  /** `known`: it came before, and says nothing new. */
  function take(header: EntryHeader, messages: Uint8Array, at: number): 'new' | 'known' | 'hole' {
    let known = publishers.get(header.publisher)
    if (known === undefined) {
      known = {before: 0, watermark: -Infinity, ended: false, gone: false, last: 0}
      publishers.set(header.publisher, known)
    }
    if (header.before > known.before) return 'hole'
    if (header.kind === 'gone') {
      if (known.ended || known.gone) return 'known'
      known.gone = true
      decoders.delete(header.publisher)
      return 'new'
    }
    heard.set(header.publisher, engine.clock.now())
    // Of what is read again nobody comes back.
    if (at > known.last) known.gone = false
    known.last = Math.max(known.last, at)
    if (header.before < known.before) {
      // Not those that this task itself asked for again.
      if (at > highest && header.kind === 'records') repeated++
      return 'known'
    }
    if (header.kind === 'punctuation') {
      const {watermark: before, ended: quiet} = known
      known.watermark = Math.max(before, header.watermark)
      known.ended ||= header.watermark === Infinity
      if (known.ended) decoders.delete(header.publisher)
      return known.watermark > before || known.ended !== quiet ? 'new' : 'known'
    }
    // What describes the stream (RFC 5610) is not of the publisher's count.
    const batches = decoderOf(header.publisher)
      .push(messages)
      .filter(({template}) => template.scopeCount === 0)
    const records = batches.reduce((n, {count}) => n + count, 0)
    if (records !== header.records) {
      lost += Math.max(0, header.records - records)
      // What is left of a Message that was cut short is not the next entry's.
      decoders.delete(header.publisher)
    }
    known.before += header.records
    if (ended) afterEnd += records
    else unit.add(batches)
    return 'new'
  }

  function allEnded(): boolean {
    const there = [...publishers.values()].filter((publisher) => !publisher.gone)
    return there.length > 0 && there.every((publisher) => publisher.ended)
  }

  function advance(): void {
    const there = [...publishers.values()].filter((publisher) => !publisher.gone)
    if (there.length === 0) return
    const reached = Math.min(...there.map((of) => (of.ended ? Infinity : of.watermark)))
    if (reached === Infinity || reached <= watermark) return
    watermark = reached
    unit.advance(watermark)
  }

  /** Goes back to where a publisher fell silent: an engine may have skipped its last entries. */
  function listenAgain(): void {
    const now = engine.clock.now()
    for (const [id, {gone, ended: quiet, last}] of publishers) {
      if (gone || quiet || now - (heard.get(id) ?? now) < SILENCE_MS) continue
      heard.set(id, now)
      sequence = Math.min(sequence, last)
    }
  }

  await claim()
  for (const id of publishers.keys()) heard.set(id, engine.clock.now())
  return {
    part,
    get counters() {
      return counters()
    },
    get closedMs() {
      return told
    },
    get analysed() {
      return ledger.out
    },
    async step() {
      const entries = await engine.read(topic, part, sequence + 1, READ)
      for (const entry of entries) {
        const read = readable(entry.octets)
        if (read === undefined) {
          // Not when this task itself asked for it again.
          if (entry.sequence > highest) foreign++
          changed ||= entry.sequence > highest
          highest = Math.max(highest, entry.sequence)
          sequence = entry.sequence
          continue
        }
        const {header, messages} = read
        let taken = take(header, messages, entry.sequence)
        if (taken === 'hole') {
          const known = publishers.get(header.publisher)!
          if (suspected.sequence !== entry.sequence) {
            suspected = {sequence: entry.sequence, tries: 0}
          }
          if (suspected.tries++ < HOLE_TRIES) {
            // An engine may skip. What it has will come when it is asked again, from the publisher's last entry on: what came
            // of others since then is known.
            sequence = known.last
            await engine.clock.sleep(HOLE_MS)
            break
          }
          lost += header.before - known.before
          known.before = header.before
          taken = take(header, messages, entry.sequence)
        }
        changed ||= taken === 'new' || entry.sequence > highest
        highest = Math.max(highest, entry.sequence)
        sequence = entry.sequence
        advance()
        const over = unit.takeClosed()
        if (over.length > 0) await tellResults(over)
      }
      if (entries.length === 0 && !ended) {
        if (!allEnded()) listenAgain()
        else if (looks++ < END_LOOKS) sequence = Math.min(sequence, reached[0])
        else {
          ended = true
          changed = true
          await tellResults(unit.finish())
        }
      }
      const rest = Math.max(options.checkpointMs, storingMs * CHECKPOINT_REST)
      const due = engine.clock.now() - storedAt >= rest
      // Some more where nothing comes: what was read before them need not be kept, and where the log is full nothing will come.
      const settled = !changed && reached[0] >= sequence && kept === keep()
      if (!settled && (due || closedMs() > told)) await store()
      return entries.length > 0
    },
    checkpoint: store,
    close() {
      for (const window of unit.finish()) window.close()
    },
  }
}

/** Undefined: others write to the log too, or it is damaged. */
function readable(octets: Uint8Array): ReturnType<typeof readEntry> | undefined {
  try {
    return readEntry(octets)
  } catch {
    return undefined
  }
}

/** Refuses names that would be something else in an engine's own language. @throws DartaError DARTA_USAGE */
export function checkName(name: string): string {
  if (isName(name)) return name
  throw new DartaError('DARTA_USAGE', `'${name}': names have letters, digits and hyphens, 1 to 64`)
}
