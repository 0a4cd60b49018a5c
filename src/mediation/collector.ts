import {createQueueOf, type LruQueue} from './session-queue.js'
import type {RecordBatch} from '../record/batch.js'
import type {StageLedger} from '../record/ledger.js'
import type {
  DomainLosses,
  Exporter,
  ExportProtocol,
  ProtocolContext,
  ProtocolSession,
} from './protocol.js'
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
  /** Exporters, by address and port, that are remembered at once; the one that was silent for longest goes first. */
  readonly maxSessions: number
  /** Whether this address may send; undefined: any may. Asked once for each Exporter. */
  allows?(address: Uint8Array): boolean
  /** An Exporter was seen for the first time, or again after it was forgotten. */
  opened?(exporter: Exporter, protocol: string, session: ProtocolSession): void
}

/** What one Exporter has sent by one protocol, for reports. */
export interface SessionReport {
  readonly exporter: Exporter
  readonly protocol: string
  readonly losses: Iterable<DomainLosses>
  readonly templates: Iterable<KnownTemplate>
}

interface Open {
  readonly exporter: Exporter
  /** The address may not send: nothing is kept of it but this. */
  readonly refused: boolean
  readonly sessions: Map<string, ProtocolSession>
  /** Of the last datagram. */
  protocol: NamedProtocol | undefined
  session: ProtocolSession | undefined
}

/** Takes datagrams of any Exporter in any protocol. */
export interface Collector {
  /**
   * @param key tells Transport Sessions apart: addresses and ports of both sides
   * @param exporter is asked for when the session is new
   * @param forced the protocol, where the user names it
   * @param offset octet of the datagram in its input
   */
  datagram(
    key: string,
    exporter: () => Exporter,
    octets: Uint8Array,
    receivedMs: number | undefined,
    offset: number,
    out: RecordBatch[],
    forced?: NamedProtocol,
  ): void
  /** Whether these octets begin as a datagram of some protocol does. */
  detect(octets: Uint8Array): NamedProtocol | undefined
  reports(): Iterable<SessionReport>
  /** The allow list changed: who is refused is asked about again. */
  reconsider(): void
  end(): void
}

/** A protocol's accounts are opened when it first comes. */
export function createCollector(options: CollectorOptions): Collector {
  const {maxSessions} = options
  let account: StageLedger | undefined
  const processes = new Map<string, ReturnType<ExportProtocol['open']>>()
  const open: LruQueue<Open> = createQueueOf(maxSessions, (gone) => {
    account?.note('session-evicted')
    for (const session of gone.sessions.values()) session.end()
  })

  function detect(octets: Uint8Array): NamedProtocol | undefined {
    return options.protocols.find(({protocol}) => protocol.detects(octets))
  }

  function begin(exporter: Exporter): Open {
    const {address} = exporter
    const refused = address !== undefined && options.allows?.(address) === false
    return {exporter, refused, sessions: new Map(), protocol: undefined, session: undefined}
  }

  function sessionOf(one: Open, named: NamedProtocol): ProtocolSession {
    let session = one.sessions.get(named.name)
    if (session === undefined) {
      let process = processes.get(named.name)
      if (process === undefined) {
        process = named.protocol.open(options.context)
        processes.set(named.name, process)
      }
      session = process.session(one.exporter)
      one.sessions.set(named.name, session)
      options.opened?.(one.exporter, named.name, session)
    }
    return session
  }

  return {
    datagram(key, exporter, octets, receivedMs, offset, out, forced) {
      account ??= options.account()
      account.in++
      let one = open.get(key)
      if (one === undefined) {
        one = begin(exporter())
        // What is refused takes no room from those who are not.
        if (!one.refused) open.set(key, one)
      }
      if (one.refused) {
        account.skip('not-allowed')
        return
      }
      if (one.session === undefined || !one.protocol!.protocol.detects(octets)) {
        const named = forced ?? detect(octets)
        if (named === undefined || !named.protocol.detects(octets)) {
          account.lose('unknown-protocol', 1, offset)
          return
        }
        one.protocol = named
        one.session = sessionOf(one, named)
      }
      account.out++
      one.session.datagram(octets, receivedMs, offset, out)
    },
    detect,
    *reports() {
      for (const {exporter, sessions} of open.values()) {
        for (const [protocol, session] of sessions) {
          yield {exporter, protocol, losses: session.losses(), templates: session.templates()}
        }
      }
    },
    reconsider() {
      for (const [key, one] of open.entries()) {
        const {address} = one.exporter
        if (address === undefined || options.allows?.(address) !== false) continue
        for (const session of one.sessions.values()) session.end()
        open.delete(key)
      }
    },
    end() {
      for (const {sessions} of open.values()) for (const session of sessions.values()) session.end()
    },
  }
}
