import {pause} from '../../io/pause.js'
import type {Cursor} from '../../io/spill-folder.js'
import type {RecordBatch} from '../../record/batch.js'
import type {StageLedger} from '../../record/ledger.js'
import type {Gate} from './gate.js'
import {createInFlight, type InFlight} from './in-flight.js'
import type {MessageLog, Slice} from './message-log.js'
import {createNotSent, type NotSent} from './not-sent.js'
import type {Pace, Timeline} from './pacing.js'
import type {Outgoing, Wire} from './wire.js'
import type {Messages} from '../../ipfix/template-table.js'

/** What all destinations share. */
export interface Surroundings {
  readonly log: MessageLog
  /** Opened whenever the log grew or ended, a destination came further, or time is up. */
  readonly gate: Gate
  readonly timeline: Timeline
  /** How often the time of the original runs; undefined: not followed. */
  readonly replay: number | undefined
  /** Milliseconds that an end of the input leaves to who cannot be reached. */
  readonly lingerMs: number
  /** What is not delivered waits on disk for the next time. */
  readonly keeps: boolean
  /** Least milliseconds from one report of what was not sent to the next; 0: there is none. */
  readonly reportMs: number
  /** Nothing more will be appended. */
  ended(): boolean
  /** Aborted when all work is in vain or time is up. */
  readonly signal: AbortSignal
  /** A line for people. */
  readonly note: (text: string) => void
  /** Keeps where a destination is; a no-op without `--spill`. */
  checkpoint(cursor: Cursor): void
}

/** How soon a wait sees that it is in vain. */
const LOOK_MS = 200
/** What is read at once of Messages that are given up. */
const GIVE_UP_OCTETS = 1 << 20

export type State = 'connecting' | 'up' | 'down' | 'done'

/** One Collector and how far it has come. */
export abstract class Destination {
  readonly name: string
  readonly account: StageLedger
  state: State = 'connecting'
  /** When it last came further, by `performance.now()`. */
  progressAt = performance.now()
  /** Where the next slice is taken from. */
  protected cursor: number
  protected readonly inFlight: InFlight = createInFlight()
  protected readonly around: Surroundings
  protected readonly wire: Wire
  protected readonly pace: Pace
  readonly #notSent: NotSent
  /** When that was last told, by `performance.now()`. */
  #reportedAt = -Infinity
  /** Before this place there was no room to keep anything, for that reason. */
  #floor = 0
  #floorReason = ''
  /** Records before this place that the wire cannot carry are accounted for. */
  #lostUpTo = 0
  /** Where the slice begins that was taken and is not yet in flight; Infinity: there is none. */
  #taken = Infinity
  /** When the first Message of the log was sent, where its times are followed. */
  static #begun: number | undefined

  constructor(
    name: string,
    account: StageLedger,
    around: Surroundings,
    wire: Wire,
    pace: Pace,
    position: number,
  ) {
    this.name = name
    this.account = account
    this.around = around
    this.wire = wire
    this.pace = pace
    this.cursor = position
    this.#notSent = createNotSent(around.log.table, process.pid)
  }

  /** Sends until the log has ended and all is sent, or `signal` is aborted. Never throws for what the network does. */
  abstract run(): Promise<void>

  /** Tries at once instead of at its time. */
  abstract hurry(): void

  /** Brings `safe` up to date. */
  protected abstract settle(): void

  /** Room is short: what the peer's system has is taken for delivered. */
  abstract release(): void

  /** Nothing before this place is needed any more. */
  get safe(): number {
    this.settle()
    return Math.max(this.inFlight.position(this.cursor), this.#floor)
  }

  /** Octets of the log before this place are not read any more, whatever is safe. */
  get read(): number {
    return Math.min(this.inFlight.position(this.cursor), this.#taken)
  }

  /** Whether all that was appended has arrived, as far as that can be known. */
  get finished(): boolean {
    return this.state === 'done'
  }

  /** Records appended, which it has to get. */
  owe(records: number): void {
    this.account.in += records
  }

  /** Records that came and are in no Message of the log. */
  missed(batch: RecordBatch, from: number, to: number): void {
    this.#notSent.addRecords(batch, from, to)
  }

  /** Gives up what lies before `position`: there is no room to keep it. */
  async drop(position: number, reason: string): Promise<void> {
    this.#floor = Math.max(this.#floor, position)
    this.#floorReason = reason
    if (position <= this.cursor) return
    const {cursor} = this
    this.cursor = position
    const records = await this.around.log.count(cursor, position)
    if (records === 0) return
    this.account.lose(reason, records)
    await this.#giveUpMessages(cursor, position)
  }

  /** Messages between two places of the log will never be sent. */
  async #giveUpMessages(from: number, to: number): Promise<void> {
    if (this.around.reportMs === 0) return
    const {log} = this.around
    while (from < to) {
      const slice = await log.take(from, GIVE_UP_OCTETS)
      if (slice === undefined) return
      const end = Math.min(slice.end, to)
      this.#notSent.add([slice.octets.subarray(0, end - slice.start)], end)
      from = slice.end
    }
  }

  /**
   * What this Collector was not sent, where that is to be told now: in a new session, at its end, and when the time has
   * come. RFC 7011 section 4.3.
   */
  protected report(when: 'begin' | 'due' | 'end'): Messages | undefined {
    const {reportMs} = this.around
    const {flows, news} = this.#notSent
    if (flows === 0 || reportMs === 0 || (when !== 'begin' && !news)) return undefined
    const now = performance.now()
    if (when === 'due' && now - this.#reportedAt < reportMs) return undefined
    this.#reportedAt = now
    const report = this.wire.insert(this.#notSent.report(Math.floor(Date.now() / 1000)))
    return report.ends.length === 0 ? undefined : report
  }

  /**
   * Nothing more will be sent.
   *
   * @param reason why what was not sent is lost; undefined: it is kept
   * @returns records that were not sent, or may not have arrived
   */
  async giveUp(reason: string | undefined): Promise<number> {
    await this.rewind()
    const records = await this.around.log.count(this.cursor, this.around.log.end)
    if (reason !== undefined && records > 0) this.account.lose(reason, records)
    this.checkpoint()
    return records
  }

  /** Its account is complete and about to be told. */
  settled(): void {
    this.checkpoint(0)
  }

  /** What failed is sent again: what was sent and is not known to have arrived. */
  protected async rewind(): Promise<void> {
    const {log} = this.around
    // What there was no room to keep cannot be sent again.
    const {records: gone, messages} = this.inFlight.before(log.start)
    if (gone > 0) {
      this.account.out -= gone
      this.account.lose(this.#floorReason, gone)
      if (this.around.reportMs > 0) this.#notSent.add(messages, log.start)
    }
    const sent = this.cursor
    const position = Math.max(this.inFlight.position(sent), log.start)
    // Both at once, since others ask meanwhile for what they may forget.
    this.cursor = Math.min(position, sent)
    this.inFlight.clear()
    const records = await log.count(this.cursor, sent)
    if (records === 0) return
    this.account.out -= records
    this.account.note('in-doubt', records)
  }

  /**
   * The next Messages, once there are some and their time has come; undefined at the end of the log, or when `over` says
   * so. Who makes `over` true opens the gate.
   */
  protected async next(over: () => boolean = () => false): Promise<Slice | undefined> {
    const {log, gate, signal} = this.around
    this.#taken = Infinity
    while (!signal.aborted && !over()) {
      const changed = gate.wait()
      // Asked first: what is appended while the log is looked at is not seen.
      const ended = this.around.ended()
      const slice = await log.take(this.cursor, this.pace.octets)
      if (slice !== undefined) {
        this.#taken = slice.start
        return this.inTime(slice, over)
      }
      this.idle()
      if (ended) return undefined
      await changed
    }
    return undefined
  }

  /** Waits until the first Message of the slice is due and cuts off those that are not. */
  private async inTime(slice: Slice, over: () => boolean): Promise<Slice | undefined> {
    const {replay, timeline, signal} = this.around
    if (replay === undefined) return slice
    Destination.#begun ??= performance.now()
    const begun = Destination.#begun
    const due = (position: number): number => begun + timeline.due(position) / replay
    for (;;) {
      const wait = due(slice.start) - performance.now()
      if (wait <= 1) break
      await pause(Math.min(wait, LOOK_MS), signal)
      if (signal.aborted || over()) return undefined
      this.progressAt = performance.now()
    }
    const now = performance.now()
    let last = 1
    while (last < slice.ends.length && due(slice.start + slice.ends[last - 1]) <= now + 1) last++
    if (last === slice.ends.length) return slice
    const to = slice.ends[last - 1]
    return {
      octets: slice.octets.subarray(0, to),
      ends: slice.ends.subarray(0, last),
      counts: slice.counts.subarray(0, last),
      announces: slice.announces.subarray(0, last),
      start: slice.start,
      end: slice.start + to,
    }
  }

  /** Accounts for a slice that is sent, for the first time or again. */
  protected sent(slice: Slice, {lost = []}: Outgoing): void {
    this.account.out += sum(slice.counts)
    for (const [reason, messages] of lost) {
      this.account.out -= messages.length
      if (slice.start < this.#lostUpTo) continue
      this.account.lose(reason, messages.length)
      if (this.around.reportMs > 0) this.#notSent.add(messages, slice.end)
    }
    this.cursor = slice.end
    this.#taken = Infinity
    this.#lostUpTo = Math.max(this.#lostUpTo, slice.end)
    this.checkpoint()
  }

  /** There is nothing to send just now: who has nothing to do is not stuck. */
  protected idle(): void {
    this.progressAt = performance.now()
  }

  protected moved(): void {
    this.progressAt = performance.now()
    this.around.gate.open()
  }

  /** @param doubtful what the next process has to tell of, should this one be killed before it does */
  protected checkpoint(doubtful = this.account.noted.get('in-doubt') ?? 0): void {
    const {name, safe, cursor: sent} = this
    this.around.checkpoint({name, safe, sent, doubtful})
  }
}

export function sum(counts: Uint32Array): number {
  let n = 0
  for (const count of counts) n += count
  return n
}
