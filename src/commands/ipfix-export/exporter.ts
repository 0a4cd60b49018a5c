import type {DartaCommand} from '../../cli/base-command.js'
import {createAbsoluteTimes} from '../../ipfix/absolute-times.js'
import {createEncoder, type IpfixEncoder} from '../../ipfix/encoder.js'
import {pause} from '../../io/pause.js'
import type {RecordBatch, RecordStream} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {createBlockLoan} from './block-loan.js'
import type {Destination} from './destination.js'
import type {Gate} from './gate.js'
import {measureMessages, type MessageLog} from './message-log.js'
import type {Timeline} from './pacing.js'

/** How often what all have done with is forgotten, while nothing is appended. */
const TRIM_MS = 200
/** How long records may wait for a Message to fill. */
const IDLE_FLUSH_MS = 200
/** What a signal to stop leaves for the rest. */
const STOP_MS = 4000

export interface ExporterOptions {
  readonly log: MessageLog
  readonly gate: Gate
  readonly timeline: Timeline
  readonly destinations: readonly Destination[]
  /** Octets that the log may hold. */
  readonly maxOctets: number
  /** Of the reason for which records are lost when it holds more. */
  readonly fullReason: string
  /** Octets that Messages may have. */
  readonly maxMessageOctets: number
  readonly lingerMs: number
  /** A Collector that takes nothing for so long holds up nobody any more. */
  readonly stallMs: number
  /** What is not delivered stays, and is no loss. */
  readonly keeps: boolean
  /** Messages have to go into the log at once. */
  readonly durable: boolean
  /** Opened when all has ended, so that destinations give up what they wait for. */
  readonly quit: AbortController
}

/** The Exporting Process: records into the log, and every destination reads on in it. */
export class Exporter {
  readonly #command: DartaCommand
  readonly #options: ExporterOptions
  readonly #encoder: IpfixEncoder
  readonly #absolute = createAbsoluteTimes()
  /** Appends happen one after another, also when a timer comes between. */
  #last: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #ended = false
  readonly #blocks = createBlockLoan()

  constructor(command: DartaCommand, options: ExporterOptions) {
    this.#command = command
    this.#options = options
    const {table} = options.log
    this.#encoder = createEncoder({
      ledger: command.ledger,
      maxMessageOctets: options.maxMessageOctets,
      newBlock: this.#blocks.newBlock,
      leaveBlock: this.#blocks.leave,
      lost: (batch, from, to) => {
        for (const destination of options.destinations) destination.missed(batch, from, to)
      },
      announced: table.before(Infinity).map((entry) => ({
        observationDomainId: entry.observationDomainId,
        id: entry.id,
        template: table.template(entry),
      })),
    })
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Takes all records of the source and delivers them as far as that can be done. */
  async run(source: RecordStream): Promise<void> {
    const {destinations, gate, log, quit} = this.#options
    const {signal} = quit
    signal.addEventListener('abort', () => gate.open(), {once: true})
    const running = destinations.map((destination) => destination.run())
    const trimming = setInterval(() => void this.#trim(), TRIM_MS)
    this.#command.onFlush(() => void this.#flush())
    try {
      for await (const batches of source) {
        await this.#add(batches)
        if (this.#command.signal.aborted) break
      }
      clearTimeout(this.#timer)
      await this.#append(this.#encoder.end())
      this.#ended = true
      gate.open()
      await this.#drain()
    } finally {
      clearInterval(trimming)
      clearTimeout(this.#timer)
      this.#ended = true
      quit.abort()
      await Promise.all(running)
      await this.#settle()
      await log.close()
    }
  }

  async #add(batches: readonly RecordBatch[]): Promise<void> {
    const chunks = this.#encoder.push(batches.map(this.#absolute))
    if (this.#options.durable) chunks.push(...this.#encoder.flush())
    else if (this.#command.live) {
      this.#timer ??= setTimeout(() => void this.#flush(), IDLE_FLUSH_MS)
    }
    await this.#append(chunks)
    await this.#makeRoom()
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#ended) await this.#append(this.#encoder.flush()).catch(() => {})
  }

  #append(chunks: readonly Uint8Array[]): Promise<void> {
    if (chunks.length === 0) return this.#last
    const lend = this.#blocks.left()
    this.#last = this.#last.then(async () => {
      const {destinations, gate, log, timeline} = this.#options
      for (const [i, chunk] of chunks.entries()) {
        enterTimes(timeline, chunk, log.end)
        let records
        try {
          records = await log.append([chunk])
        } catch (error) {
          let never = 0
          for (const rest of chunks.slice(i)) {
            never += measureMessages(rest, log.end, log.table).records
          }
          for (const {account} of destinations) {
            account.in += never
            account.lose('not-spilled', never)
          }
          throw error
        }
        for (const destination of destinations) destination.owe(records)
      }
      lend(log.end)
      gate.open()
    })
    // A flush by the timer has nobody who waits; the next append reports its failure.
    this.#last.catch(() => {})
    return this.#last
  }

  async #trim(): Promise<void> {
    const {destinations, gate, log, timeline} = this.#options
    const safe = Math.min(...destinations.map((destination) => destination.safe))
    this.#blocks.giveBack(Math.min(safe, ...destinations.map(({read}) => read)))
    if (safe > log.start) {
      await log.trim(safe)
      timeline.trim(safe)
      gate.open()
    }
  }

  /**
   * Waits while the log is full and the slowest destination comes further. One that is not there, or takes nothing, loses
   * what there is no room for: it stalls no other.
   */
  async #makeRoom(): Promise<void> {
    const {destinations, fullReason, gate, log, maxOctets, stallMs} = this.#options
    while (log.octets > maxOctets && !this.#command.stopping.aborted) {
      await this.#trim()
      if (log.octets <= maxOctets) return
      for (const destination of destinations) destination.release()
      await this.#trim()
      if (log.octets <= maxOctets) return
      const slow = destinations.filter(({safe}) => safe <= log.start)
      const now = performance.now()
      const alive = slow.some(
        ({state, progressAt}) =>
          state === 'connecting' || (state === 'up' && now - progressAt < stallMs),
      )
      if (alive) {
        await Promise.race([gate.wait(), pause(TRIM_MS / 8, this.#command.stopping)])
        continue
      }
      const position = await log.boundary(log.end - maxOctets)
      for (const destination of slow) await destination.drop(position, fullReason)
    }
  }

  /** Until all have got all, or what is left cannot be delivered. */
  async #drain(): Promise<void> {
    const {destinations, gate, lingerMs, quit, stallMs} = this.#options
    const begun = performance.now()
    let stoppedAt: number | undefined
    const look = setInterval(() => gate.open(), TRIM_MS)
    try {
      for (;;) {
        const changed = gate.wait()
        const now = performance.now()
        if (this.#command.stopping.aborted) stoppedAt ??= now
        if (stoppedAt !== undefined && now - stoppedAt > STOP_MS) return
        const open = destinations.filter(({finished}) => !finished)
        const hopeless = open.every(({state, progressAt}) => {
          // The first attempt comes to an end by itself.
          if (state === 'connecting') return false
          if (state === 'up') return now - progressAt > Math.max(lingerMs, stallMs)
          return now - Math.max(begun, progressAt) > lingerMs
        })
        if (hopeless || quit.signal.aborted) return
        await changed
      }
    } finally {
      clearInterval(look)
    }
  }

  /** What was not delivered. */
  async #settle(): Promise<void> {
    const {destinations, keeps, log} = this.#options
    for (const destination of destinations) {
      if (destination.finished) {
        destination.settled()
        continue
      }
      const records = await destination.giveUp(keeps ? undefined : 'undelivered')
      destination.settled()
      if (records === 0 && log.end > 0) continue
      if (keeps) {
        if (records > 0) this.#command.note(`${destination.name}: ${records} records are kept`)
      } else {
        const words = `${destination.name}: ${records} records could not be delivered`
        this.#command.report(new DartaError('DARTA_UNDELIVERED', words))
      }
    }
  }
}

export function enterTimes(timeline: Timeline, octets: Uint8Array, position: number): void {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  for (let at = 0; octets.length - at >= 16; at += view.getUint16(at + 2)) {
    timeline.enter(position + at, view.getUint32(at + 4))
  }
}
