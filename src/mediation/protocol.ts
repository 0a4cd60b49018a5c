import {MESSAGE_HEADER_OCTETS} from '../ipfix/message.js'
import {readUnsigned} from '../record/readers.js'
import type {RecordBatch} from '../record/batch.js'
import type {Ledger} from '../record/ledger.js'
import type {
  CollectingProcess,
  KnownTemplate,
  PlainDomain,
  Session,
  SessionObserver,
} from '../ipfix/session.js'
import type {SequenceCounts} from '../ipfix/sequence.js'
import type {TemplatePool} from '../ipfix/template-store.js'
import type {FieldSpecifier} from '../record/template.js'

/** What all protocols of one Collecting Process share. */
export interface ProtocolContext {
  readonly ledger: Ledger
  /** Room for Templates, one for all protocols. */
  readonly pool: TemplatePool
  /** Seconds of export time after which a Template that was not announced again is forgotten; 0: never. */
  readonly templateLifetime: number
  readonly observer?: SessionObserver
  /** Dissects packets; it is a meter's work, and handed in. */
  readonly readHeader: ReadSampledHeader
}

/** Who sends. */
export interface Exporter {
  /** `192.0.2.1:4739`, a file name: for people. */
  readonly name: string
  /** 4 or 16 octets; undefined where it is not known. */
  readonly address: Uint8Array | undefined
  readonly port?: number
}

/** What one Exporter's Observation Domain, engine or agent has sent and what of it is missing. */
export interface DomainLosses {
  readonly observationDomainId: number
  /** What sequence numbers count. */
  readonly counts: 'records' | 'messages'
  readonly sums: SequenceCounts
}

/** One Exporter that speaks one protocol over datagrams. */
export interface ProtocolSession {
  /**
   * Decodes one datagram, which is of this protocol as `detects` says. Its octets are the session's from now on, and may be
   * changed. What is damaged is counted and skipped.
   *
   * @param receivedMs milliseconds since 1970, where that is known
   * @param offset octet of the datagram in its input
   */
  datagram(
    octets: Uint8Array,
    receivedMs: number | undefined,
    offset: number,
    out: RecordBatch[],
  ): void
  losses(): Iterable<DomainLosses>
  /** Templates that are known, for those protocols that have any. */
  templates(): Iterable<KnownTemplate>
  restore(template: KnownTemplate): boolean
  /** What further datagrams like this one, which was just read, need to be passed on as they are; undefined if they cannot. */
  plain?(octets: Uint8Array): PlainSource | undefined
  /** Nothing more will come: gives up what is held and books what is open. */
  end(): void
}

/** Datagrams of one Observation Domain or engine, in order and with plain records only. */
export interface PlainSource extends Omit<PlainDomain, 'plainTemplates'> {
  /** Version number. */
  readonly protocol: 5 | 9 | 10
  /** What all of them have in the 4 octets where their header names the domain. */
  readonly word: number
  /** Where Sets begin; undefined: all records are of Template 0. */
  readonly setsAt: number | undefined
  /** What their header says, in each record. */
  readonly columns: readonly FieldSpecifier[] | undefined
  /** Sampling interval of all records, where their header says it; 0: unknown. */
  readonly samplingInterval: number
}

/** A protocol by which flow records come: default export of each file of `protocols`, whose name is the protocol's. */
export interface ExportProtocol {
  /** One line for the manual. */
  readonly summary: string
  /** Port that is usual for it. */
  readonly port: number
  /** Whether a datagram that begins so can be of this protocol. */
  detects(octets: Uint8Array): boolean
  /** Whether a datagram that `detects` takes fits its octets to the end, so that it is no accident that it begins so. */
  isWhole(octets: Uint8Array): boolean
  /** Opens the accounts. */
  open(context: ProtocolContext): {session(exporter: Exporter): ProtocolSession}
}

/** A protocol whose Messages can be handed over as IPFIX. */
export interface MessageProtocol {
  readonly counts: DomainLosses['counts']
  readonly header: PlainHeader
  /** As `datagram` of `ProtocolSession`. */
  read(session: Session, ...rest: Parameters<ProtocolSession['datagram']>): void
}

/** A class, because there may be 65,536 of them. */
class MessageSession implements ProtocolSession {
  readonly #protocol: MessageProtocol
  readonly #session: Session

  constructor(protocol: MessageProtocol, session: Session) {
    this.#protocol = protocol
    this.#session = session
  }

  datagram(...rest: Parameters<ProtocolSession['datagram']>): void {
    this.#protocol.read(this.#session, ...rest)
  }

  *losses(): Generator<DomainLosses> {
    const {counts} = this.#protocol
    for (const [observationDomainId, sums] of this.#session.losses()) {
      yield {observationDomainId, counts, sums}
    }
  }

  templates(): Iterable<KnownTemplate> {
    return this.#session.templates()
  }

  restore(template: KnownTemplate): boolean {
    return this.#session.restore(template)
  }

  plain(octets: Uint8Array): PlainSource | undefined {
    return plainSource(this.#session, this.#protocol.header, octets)
  }

  end(): void {
    this.#session.end()
  }
}

/** The session of an Exporter by such a protocol. */
export function messageSession(
  process: CollectingProcess,
  {name, address}: Exporter,
  protocol: MessageProtocol,
): ProtocolSession {
  return new MessageSession(protocol, process.session(name, address))
}

/** What a header has to say of datagrams that can be passed on: see `PlainSource`. */
export type PlainHeader = Pick<PlainSource, 'protocol' | 'columns'> & {
  readonly domainAt: number
  readonly setsAt: number
}

/** Of IPFIX. */
export const messageHeader: PlainHeader = {
  protocol: 10,
  columns: undefined,
  domainAt: 12,
  setsAt: MESSAGE_HEADER_OCTETS,
}

/** @param octets of a datagram or Message that the session has just read */
export function plainSource(
  session: Session,
  {protocol, columns, domainAt, setsAt}: PlainHeader,
  octets: Uint8Array,
): PlainSource | undefined {
  if (octets.length < setsAt) return undefined
  const word = readUnsigned(octets, domainAt, 4)
  const domain = session.plainDomain(word)
  return domain && Object.assign(domain, {protocol, word, setsAt, columns, samplingInterval: 0})
}

/** The IP packet that a sampled header begins with; positions are octets of what was read. */
export interface SampledPacket {
  readonly version: 4 | 6
  /** Where the addresses begin. */
  readonly source: number
  readonly destination: number
  readonly protocol: number
  readonly classOfService: number
  readonly ttl: number
  /** IP total length. */
  readonly ipOctets: number
  readonly sourcePort: number
  readonly destinationPort: number
  readonly tcpBits: number
  readonly icmpTypeCode: number
}

/** What stands in front of it. The same object serves every header. */
export interface SampledHeader {
  /** Where the Ethernet header begins, which is destination and source address; −1: there is none. */
  macs: number
  /** VLAN tags, of which the first ones' IDs are in `vlans`. */
  vlanCount: number
  readonly vlans: readonly number[]
  /** Undefined if there is no IP packet, or one that cannot be read. */
  packet: SampledPacket | undefined
}

/**
 * Reads a header that begins at `start`, of which `end − start` octets were sampled from a frame of `frameOctets`.
 *
 * @param protocol as sFlow numbers them: 1 Ethernet, 11 IPv4, 12 IPv6
 */
export type ReadSampledHeader = (
  octets: Uint8Array,
  start: number,
  end: number,
  protocol: number,
  frameOctets: number,
) => SampledHeader
