import type {RecordBatch} from '../record/batch.js'
import type {StageLedger} from '../record/ledger.js'
import type {
  DomainLosses,
  Exporter,
  ExportProtocol,
  ProtocolContext,
  ProtocolSession,
} from './protocol.js'
import {createUseQueue, dequeue, enqueue, leastUsed, type Place} from '../ipfix/use-queue.js'
import type {KnownTemplate} from '../ipfix/session.js'

/** A protocol with its name, as the registry has it. */
export interface NamedProtocol {
  readonly name: string
  readonly protocol: ExportProtocol
}

export interface CollectorOptions {
  readonly protocols: readonly NamedProtocol[]
  readonly context: ProtocolContext
  /** Counts datagrams; opened with the first of them. */
  readonly account: () => StageLedger
  /**
   * Exporters, by address and port, that are remembered at once; the one that brought no records for longest goes first.
   * Those that never brought any are a quarter at most.
   */
  readonly maxSessions: number
  /** New ones in a second of their time of receipt; datagrams of others are lost. Default: any number. */
  readonly maxNewPerSecond?: number
  /** Whether this address may send; undefined: any may. Asked once for each Exporter. */
  allows?(address: Uint8Array): boolean
  /** An Exporter was seen for the first time, or again after it was forgotten. */
  opened?(key: string, exporter: Exporter, protocol: string, session: ProtocolSession): void
  /** It is forgotten, with all its sessions. */
  forgetting?(source: Source): void
  /** What becomes of its Templates is up to others. */
  closing?(key: string, exporter: Exporter, protocol: string, session: ProtocolSession): void
}

/** What one Exporter has sent by one protocol, for reports. */
export interface SessionReport {
  readonly key: string
  readonly exporter: Exporter
  readonly protocol: string
  readonly losses: Iterable<DomainLosses>
  readonly templates: Iterable<KnownTemplate>
}

interface NamedSession {
  readonly protocol: string
  readonly session: ProtocolSession
}

/** Where datagrams of one Transport Session go. */
export interface Source {
  /** It was forgotten; ask the collector for it again. */
  readonly gone: boolean
  /** It brought records. */
  used: boolean
  readonly exporter: Exporter
  /** Of the last datagram that was of some protocol. */
  readonly session: ProtocolSession | undefined
  /**
   * @param forced the protocol, where the user names it
   * @param offset octet of the datagram in its input
   */
  datagram(
    octets: Uint8Array,
    receivedMs: number | undefined,
    offset: number,
    out: RecordBatch[],
    forced?: NamedProtocol,
  ): void
}

/** Takes datagrams of any Exporter in any protocol. */
export interface Collector {
  /**
   * @param key tells Transport Sessions apart: addresses and ports of both sides
   * @param exporter is asked for when the session is new
   */
  source(key: string, exporter: () => Exporter): Source
  /** Whether these octets begin as a datagram of some protocol does. */
  detect(octets: Uint8Array): NamedProtocol | undefined
  /** Counts datagrams that were passed on as they are. */
  passed(datagrams: number): void
  reports(): Iterable<SessionReport>
  /** The allow list changed: who is refused is asked about again. */
  reconsider(): void
  end(): void
}

/** Exporters that have brought no records yet and are remembered, however few may be remembered at all. */
const LEAST_FRESH = 1024

/** A protocol's accounts are opened when it first comes. */
export function createCollector(options: CollectorOptions): Collector {
  const {maxSessions, maxNewPerSecond = Infinity} = options
  let account: StageLedger | undefined
  const processes = new Map<string, ReturnType<ExportProtocol['open']>>()
  const open = new Map<string, Open>()
  const queue = createUseQueue<Open>()
  const maxFresh = Math.max(maxSessions / 4, LEAST_FRESH)
  let second = 0
  let newInSecond = 0

  function detect(octets: Uint8Array): NamedProtocol | undefined {
    return options.protocols.find(({protocol}) => protocol.detects(octets))
  }

  function tooMany(receivedMs: number | undefined): boolean {
    const now = Math.floor((receivedMs ?? 0) / 1000)
    if (now !== second) {
      second = now
      newInSecond = 0
    }
    return receivedMs !== undefined && newInSecond >= maxNewPerSecond
  }

  /** A class, because there may be 65,536 of them. */
  class Open implements Source {
    readonly key: string
    readonly exporter: Exporter
    gone = false
    /** The address may not send, nothing is kept of it; undefined: nobody has been asked. */
    refused: boolean | undefined = undefined
    /** By protocol: seldom more than one. */
    sessions: readonly NamedSession[] = []
    /** Of the last datagram. */
    protocol: ExportProtocol | undefined = undefined
    session: ProtocolSession | undefined = undefined
    used = false
    place: Place<Open> | undefined = undefined

    constructor(key: string, exporter: Exporter) {
      this.key = key
      this.exporter = exporter
    }

    datagram(
      octets: Uint8Array,
      receivedMs: number | undefined,
      offset: number,
      out: RecordBatch[],
      forced?: NamedProtocol,
    ): void {
      account ??= options.account()
      account.in++
      if (this.session === undefined || !this.protocol!.detects(octets)) {
        const {address} = this.exporter
        this.refused ??= address !== undefined && options.allows?.(address) === false
        if (this.refused) {
          account.skip('not-allowed')
          return
        }
        const named = forced ?? detect(octets)
        if (named === undefined || !named.protocol.detects(octets)) {
          account.lose('unknown-protocol', 1, offset)
          return
        }
        if (!this.sessions.some(({protocol}) => protocol === named.name)) {
          if (tooMany(receivedMs)) {
            account.lose('new-session-rate', 1, offset)
            return
          }
          newInSecond++
        }
        this.protocol = named.protocol
        this.session = this.sessionOf(named)
        this.enter()
      }
      account.out++
      const batches = out.length
      this.session.datagram(octets, receivedMs, offset, out)
      if (out.length > batches) this.used = true
    }

    enter(): void {
      this.gone = false
      if (open.get(this.key) === this) return
      while (open.size >= maxSessions || queue.fresh.size >= maxFresh) {
        const least = leastUsed(queue)
        if (least === undefined) break
        account?.note('session-evicted')
        least.close()
      }
      open.set(this.key, this)
      this.place = enqueue(queue, this)
    }

    sessionOf(named: NamedProtocol): ProtocolSession {
      const known = this.sessions.find(({protocol}) => protocol === named.name)
      if (known !== undefined) return known.session
      let process = processes.get(named.name)
      if (process === undefined) {
        process = named.protocol.open(options.context)
        processes.set(named.name, process)
      }
      const session = process.session(this.exporter)
      const one = {protocol: named.name, session}
      // An array that is spread has room for sixteen more.
      this.sessions = this.sessions.length === 0 ? [one] : [...this.sessions, one]
      options.opened?.(this.key, this.exporter, named.name, session)
      return session
    }

    close(): void {
      options.forgetting?.(this)
      for (const {protocol, session} of this.sessions) {
        options.closing?.(this.key, this.exporter, protocol, session)
        session.end()
      }
      this.sessions = []
      this.session = undefined
      this.gone = true
      if (this.place === undefined) return
      dequeue(this.place)
      this.place = undefined
      open.delete(this.key)
    }
  }

  return {
    // What sends nothing that is known, or may not, takes no room from those who do.
    source: (key, exporter) => open.get(key) ?? new Open(key, exporter()),
    detect,
    passed(datagrams) {
      account ??= options.account()
      account.in += datagrams
      account.out += datagrams
    },
    *reports() {
      for (const {key, exporter, sessions} of open.values()) {
        for (const {protocol, session} of sessions) {
          yield {key, exporter, protocol, losses: session.losses(), templates: session.templates()}
        }
      }
    },
    reconsider() {
      for (const one of open.values()) {
        one.refused = undefined
        const {address} = one.exporter
        if (address !== undefined && options.allows?.(address) === false) one.close()
      }
    },
    end() {
      for (const one of open.values()) one.close()
    },
  }
}
