import type {Endpoint} from '../../io/endpoint.js'
import {connectStream, type StreamConnection} from '../../io/stream-connection.js'
import type {NativeAddon} from '../../io/native.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import type {StageLedger} from '../../record/ledger.js'
import {Destination, sum, type Surroundings} from './destination.js'
import type {Pace} from './pacing.js'
import type {Wire} from './wire.js'

/** How long a peer has to answer. */
const CONNECT_TIMEOUT_MS = 10_000

export interface StreamOptions {
  readonly credentials: TlsCredentials | undefined
  /** Least time from one attempt to connect to the next. RFC 7011 section 10.4.4. */
  readonly reconnectMs: number
  readonly addon: Pick<NativeAddon, 'streamState'> | undefined
}

/** A Collector over TCP, TLS or a Unix socket. RFC 7011 section 10.4. */
export class StreamDestination extends Destination {
  readonly #endpoint: Endpoint
  readonly #options: StreamOptions
  #connection: StreamConnection | undefined
  #wake: (() => void) | undefined
  #complaint = ''

  constructor(
    endpoint: Endpoint,
    account: StageLedger,
    around: Surroundings,
    wire: Wire,
    pace: Pace,
    position: number,
    options: StreamOptions,
  ) {
    super(endpoint.name, account, around, wire, pace, position)
    this.#endpoint = endpoint
    this.#options = options
  }

  protected settle(): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.inFlight.settleOctets(connection.delivered())
    // A peer that takes what is in the sockets comes further, though nothing new was given.
    this.progressAt = Math.max(this.progressAt, connection.progressAt)
  }

  release(): void {
    if (this.#connection === undefined) return
    this.inFlight.settleOctets(this.#connection.acknowledged())
  }

  /** What is in buffers may still be stuck: the connection knows. */
  protected override idle(): void {
    this.settle()
  }

  hurry(): void {
    this.#wake?.()
  }

  async run(): Promise<void> {
    const {signal} = this.around
    for (let attempt = 0; !signal.aborted; attempt++) {
      const triedAt = performance.now()
      const connection = await this.#connect(attempt)
      if (connection !== undefined) {
        if (await this.#send(connection)) {
          this.state = 'done'
          this.moved()
          return
        }
        this.state = 'down'
        await this.rewind()
        this.checkpoint()
        this.moved()
      }
      const wait = triedAt + this.#options.reconnectMs - performance.now()
      // Without another attempt before the end there is nothing to wait for.
      if (signal.aborted || (this.around.ended() && wait > this.around.lingerMs)) return
      await this.#waitUntilNext(wait)
    }
  }

  /** Until the time has come, somebody is in a hurry, or the end of the log leaves no time for another attempt. */
  async #waitUntilNext(ms: number): Promise<void> {
    const {gate, signal, lingerMs} = this.around
    const end = performance.now() + ms
    let due = false
    this.#wake = () => {
      due = true
      gate.open()
    }
    const timer = setTimeout(
      () => {
        due = true
        gate.open()
      },
      Math.max(ms, 0),
    )
    for (;;) {
      if (due || signal.aborted) break
      if (this.around.ended() && end - performance.now() > lingerMs) break
      await gate.wait()
    }
    clearTimeout(timer)
    this.#wake = undefined
  }

  async #connect(attempt: number): Promise<StreamConnection | undefined> {
    const {note, signal} = this.around
    const {credentials, addon} = this.#options
    try {
      const connection = await connectStream(this.#endpoint, {
        credentials,
        addon,
        signal,
        timeoutMs: CONNECT_TIMEOUT_MS,
      })
      this.account.note('connections')
      if (attempt > 0 || this.#complaint !== '') note(`${this.name}: connected`)
      this.#complaint = ''
      return connection
    } catch (error) {
      this.state = 'down'
      this.around.gate.open()
      if (signal.aborted) return undefined
      this.account.note('refused')
      const {message} = error as Error
      // The same each time says nothing new.
      if (message !== this.#complaint) {
        const every = `${this.#options.reconnectMs / 1000} s`
        note(`${this.name}: cannot connect: ${message}; tries again every ${every}`)
      }
      this.#complaint = message
      return undefined
    }
  }

  /** Sends all that follows on this connection. @returns whether the log has ended and all of it has arrived */
  async #send(connection: StreamConnection): Promise<boolean> {
    const {signal, note, lingerMs} = this.around
    this.#connection = connection
    this.state = 'up'
    this.moved()
    let over = false
    void connection.ended.then(() => {
      over = true
      this.around.gate.open()
    })
    const giveUp = (): void => connection.destroy()
    signal.addEventListener('abort', giveUp, {once: true})
    const before = this.wire.begin(this.cursor)
    if (before.octets.length > 0) await connection.write(before.octets)
    const tell = async (when: 'begin' | 'due' | 'end'): Promise<void> => {
      const report = over || signal.aborted ? undefined : this.report(when)
      if (report !== undefined) await connection.write(report.octets)
    }
    await tell('begin')
    while (!over && !signal.aborted) {
      await tell('due')
      const slice = await this.next(() => over)
      if (slice === undefined) break
      await this.pace.wait(sum(slice.counts), signal)
      if (over || signal.aborted) break
      const state = this.wire.save()
      const outgoing = this.wire.encode(slice)
      const from = connection.written
      const at = performance.now()
      this.inFlight.add({slice, from, to: from + outgoing.octets.length, at, state})
      this.sent(slice, outgoing)
      await connection.write(outgoing.octets)
      // That there is room in our own buffers is no progress: what the peer has acknowledged is.
      this.around.gate.open()
    }
    await tell('end')
    const arrived = !over && !signal.aborted && (await connection.end(lingerMs))
    signal.removeEventListener('abort', giveUp)
    if (arrived) {
      this.inFlight.clear()
      this.#connection = undefined
      this.checkpoint()
      return true
    }
    // Time is up: what its system has is delivered, and nothing else.
    if (signal.aborted && !this.around.keeps) this.release()
    connection.destroy()
    const {kind, reason} = await connection.ended
    if (signal.aborted && !this.around.keeps) this.release()
    else this.settle()
    this.#connection = undefined
    if (!signal.aborted) {
      this.account.note(kind === 'closed' ? 'closed' : 'broken')
      note(`${this.name}: ${reason}`)
    }
    return false
  }
}
