import type {InternetEndpoint} from '../../io/endpoint.js'
import type {NativeAddon} from '../../io/native.js'
import {pause} from '../../io/pause.js'
import {openUdpSender, type SendFault, type UdpSender} from '../../io/udp-sender.js'
import type {StageLedger} from '../../record/ledger.js'
import {Destination, sum, type Surroundings} from './destination.js'
import type {Slice} from './message-log.js'
import type {Pace} from './pacing.js'
import type {Outgoing, Wire} from './wire.js'

/** What was sent less than so long ago may be among what nobody took, when word comes that nobody is there. */
const DOUBT_MS = 200
/** Between the two announcements of Templates that a session begins with; the second tells whether the first was refused. */
const ANNOUNCE_GAP_MS = 20
/** How often a Collector that is not there is tried again. */
const RETRY_MS = 1000
/** New Templates are repeated after these times, besides at their interval. RFC 7011 section 8.4. */
const EARLY_REFRESH_MS = [1000, 4000, 16_000]

export interface DatagramOptions {
  readonly addon: Pick<NativeAddon, 'udpOpen' | 'udpMtu' | 'udpSend' | 'udpClose'> | undefined
  /** Milliseconds after which all Templates are sent again; 0: never. */
  readonly refreshMs: number
  /** Octets that a datagram may have, whatever the path carries. */
  readonly maxOctets: number | undefined
}

/** A Collector over UDP. RFC 7011 section 10.3. */
export class DatagramDestination extends Destination {
  readonly #endpoint: InternetEndpoint
  readonly #options: DatagramOptions
  #sender: UdpSender | undefined
  /** What the path turned out not to carry. */
  #tooMuch = Infinity
  #octets = 0
  #refreshes: number[] = []
  #complaint = ''
  #begun = false
  #wake: AbortController | undefined

  constructor(
    endpoint: InternetEndpoint,
    account: StageLedger,
    around: Surroundings,
    makeWire: (maxOctets: () => number) => Wire,
    pace: Pace,
    position: number,
    options: DatagramOptions,
  ) {
    super(
      endpoint.name,
      account,
      around,
      makeWire(() => this.maxOctets()),
      pace,
      position,
    )
    this.#endpoint = endpoint
    this.#options = options
  }

  /** Octets that a datagram may have now. */
  maxOctets(): number {
    const most = this.#sender?.maxOctets() ?? 512
    return Math.min(most, this.#options.maxOctets ?? most, this.#tooMuch)
  }

  /** Opens the socket, which tells how long datagrams may be. @throws an error that says why it cannot be */
  async open(): Promise<void> {
    this.#sender ??= await openUdpSender(this.#endpoint, this.#options.addon)
  }

  protected settle(): void {
    this.inFlight.settleTime(performance.now() - DOUBT_MS)
  }

  release(): void {
    this.inFlight.clear()
  }

  hurry(): void {
    this.#wake?.abort()
  }

  async run(): Promise<void> {
    const {signal} = this.around
    while (!signal.aborted) {
      if ((await this.#announce()) && (await this.#send())) {
        this.state = 'done'
        this.moved()
        break
      }
      if (signal.aborted || this.around.ended()) break
      await this.#wait(RETRY_MS)
    }
    this.#sender?.close()
  }

  async #wait(ms: number): Promise<void> {
    this.#wake = new AbortController()
    await pause(ms, AbortSignal.any([this.#wake.signal, this.around.signal]))
    this.#wake = undefined
  }

  /** Sends all Templates that what follows needs, twice. @returns false if nobody is there */
  async #announce(): Promise<boolean> {
    const {signal} = this.around
    try {
      await this.open()
    } catch (error) {
      this.#down((error as Error).message)
      return false
    }
    // Its own Templates, too: what is lost with the Message that brings them can be read all the same.
    const slice = await this.next()
    const position = slice === undefined ? this.cursor : slice.end
    // Afterwards its numbers go on: the Collector may be the same as before.
    if (!this.#begun) this.wire.begin(this.cursor)
    this.#begun = true
    for (const ahead of [this.wire.refresh(position), this.wire.refresh(position)]) {
      if (ahead.ends.length === 0 || signal.aborted) break
      const {fault} = await this.#sender!.send(ahead.octets, ahead.ends, 0, ahead.ends.length)
      if (fault !== undefined) {
        this.#down(fault.message)
        return false
      }
      await pause(ANNOUNCE_GAP_MS, signal)
    }
    await this.#tell('begin')
    if (this.#complaint !== '') this.around.note(`${this.name}: sends again`)
    this.#complaint = ''
    this.state = 'up'
    this.#scheduleRefreshes(true)
    this.moved()
    return !signal.aborted
  }

  /** What is lost of it on the way is told with the next one. */
  async #tell(when: 'begin' | 'due' | 'end'): Promise<void> {
    const report = this.around.signal.aborted ? undefined : this.report(when)
    if (report !== undefined) await this.#sender!.send(report.octets, report.ends, 0, 1)
  }

  #down(why: string): void {
    this.state = 'down'
    this.account.note('refused')
    if (why !== this.#complaint) this.around.note(`${this.name}: cannot send: ${why}`)
    this.#complaint = why
    this.around.gate.open()
  }

  #scheduleRefreshes(early: boolean): void {
    const {refreshMs} = this.#options
    if (refreshMs === 0) return
    const now = performance.now()
    const soon = early ? EARLY_REFRESH_MS.filter((ms) => ms < refreshMs) : []
    this.#refreshes = [...soon, refreshMs].map((ms) => now + ms)
  }

  /** Sends until the log ends (true) or nobody is there (false). */
  async #send(): Promise<boolean> {
    const {signal} = this.around
    while (!signal.aborted) {
      const [due] = this.#refreshes
      // By the timer and not by the clock: a timer may be early by a part of a millisecond.
      let isDue = due !== undefined && performance.now() >= due
      const timer =
        due === undefined
          ? undefined
          : setTimeout(
              () => {
                isDue = true
                this.around.gate.open()
              },
              Math.max(0, due - performance.now()),
            )
      const slice = await this.next(() => isDue)
      clearTimeout(timer)
      if (isDue) {
        const again = this.wire.refresh(this.cursor)
        await this.#sender!.send(again.octets, again.ends, 0, again.ends.length)
        await this.#tell('begin')
        this.account.note('template-refresh')
        this.#refreshes.shift()
        if (this.#refreshes.length === 0) this.#scheduleRefreshes(false)
      }
      if (slice === undefined) {
        // Where it was time for Templates, the log may go on.
        const isOver = this.around.ended() && this.cursor >= this.around.log.end
        if (isOver && !signal.aborted) return this.#finish()
        continue
      }
      await this.pace.wait(sum(slice.counts), signal)
      if (signal.aborted) return false
      if (slice.announces.includes(1)) this.#scheduleRefreshes(true)
      await this.#tell('due')
      const fault = await this.#sendSlice(slice)
      if (fault === undefined) continue
      await this.#rewindTo()
      if (fault.code === 'EMSGSIZE') continue
      this.#down(fault.message)
      return false
    }
    return false
  }

  /** The last datagrams are refused only after they were sent. */
  async #finish(): Promise<boolean> {
    await this.#tell('end')
    await pause(ANNOUNCE_GAP_MS, this.around.signal)
    const again = this.wire.refresh(this.cursor)
    if (again.ends.length > 0 && this.inFlight.first !== undefined) {
      const {fault} = await this.#sender!.send(again.octets, again.ends, 0, 1)
      if (fault !== undefined && fault.code !== 'EMSGSIZE') {
        await this.#rewindTo()
        this.#down(fault.message)
        return false
      }
    }
    this.inFlight.clear()
    this.checkpoint()
    return true
  }

  /** As `rewind`, and the wire's numbers go back with it: the session goes on, and what is sent again is the same. */
  async #rewindTo(): Promise<void> {
    const state = this.inFlight.first?.state
    await this.rewind()
    if (state !== undefined) this.wire.restore(state)
  }

  /** @returns what stopped it before the end */
  async #sendSlice(slice: Slice): Promise<SendFault | undefined> {
    const {signal} = this.around
    const state = this.wire.save()
    const outgoing = this.wire.encode(slice)
    this.settle()
    const from = this.#octets
    this.#octets += outgoing.octets.length
    this.inFlight.add({slice, from, to: this.#octets, at: performance.now(), state})
    this.sent(slice, outgoing)
    let next = 0
    while (next < outgoing.ends.length && !signal.aborted) {
      const {sent, fault} = await this.#sender!.send(
        outgoing.octets,
        outgoing.ends,
        next,
        outgoing.ends.length,
      )
      next += sent
      if (fault !== undefined) {
        if (fault.code === 'EMSGSIZE') this.#shrink(outgoing, next)
        return fault
      }
      if (next < outgoing.ends.length) await pause(1, signal)
    }
    this.moved()
    return undefined
  }

  /** The path carries less than it was known to. */
  #shrink({ends}: Outgoing, refused: number): void {
    const octets = ends[refused] - (refused === 0 ? 0 : ends[refused - 1])
    this.account.note('path-mtu')
    // The system knows by now what it carries; if not, this one is too long in any case.
    if (this.maxOctets() >= octets) this.#tooMuch = 512
  }
}
