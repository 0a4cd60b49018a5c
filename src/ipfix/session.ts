import {createSessionElements, type SessionElements} from '../registry/lookup.js'
import {readDataSet} from './data-set.js'
import {
  expireSets,
  forgetSets,
  giveUpSets,
  holdSet,
  releaseSets,
  type HeldSet,
} from './held-sets.js'
import {
  findBrokenSet,
  IPFIX_VERSION,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from './message.js'
import {isSettled, observeSequence, settleUnread} from './sequence.js'
import type {DomainSequence, SequenceCounts} from './sequence.js'
import {SlotQueue} from './slot-queue.js'
import {readTemplateSet, restoreTemplate} from './template-set.js'
import {
  clearSession,
  createTemplatePool,
  domainOf,
  exportTimeOf,
  removeTemplate,
  storedTemplate,
  templateOf,
  templatesOf,
  type Domain,
  type EvictionListener,
  type StoredTemplate,
  type TemplatePool,
  type TemplateWatcher,
} from './template-store.js'
import type {Damage} from './message-stream.js'
import type {Process, SessionObserver, SessionState} from './session-state.js'
import type {HeaderColumns, MessageContext, RecordBatch} from '../record/batch.js'
import type {ErrorCode} from '../record/errors.js'
import type {Ledger, StageLedger} from '../record/ledger.js'
import type {Template} from '../record/template.js'

export type {SessionObserver, TemplateEvent} from './session-state.js'

export interface ProcessOptions {
  readonly ledger: Ledger
  /**
   * True for files, pipes and TCP: withdrawals count, and another Template under an ID in use is an Exporter's
   * fault. False for UDP: Templates are replaced and withdrawals ignored. RFC 7011 section 8.4.
   */
  readonly reliable: boolean
  /**
   * UDP: seconds of export time after which a Template that was not announced again is forgotten; 0 (default): never.
   * RFC 7011 section 8.4.
   */
  readonly templateLifetime?: number
  /** Limits of its own, or those shared with other Collecting Processes. */
  readonly pool?: TemplatePool
  readonly observer?: SessionObserver
  /** Name of the accounts, `ipfix` unless another protocol's Messages are handed over as IPFIX. */
  readonly name?: string
  /** What sequence numbers count: Data Records (default, RFC 7011), or Messages (RFC 3954). */
  readonly counts?: 'records' | 'messages'
  /** Elements that sessions begin with; default: the registry's. */
  readonly elements?: () => SessionElements
}

export interface SessionOptions extends ProcessOptions {
  /** Name of the Exporter or file, for `MessageContext.exporter`. */
  readonly source?: string
}

/** One Transport Session: what a Collecting Process knows of one Exporter. RFC 7011 section 8. */
export interface Session {
  /**
   * Decodes the Message that lies whole in `octets` from `start`, `length` octets, and whose Sets are known to fill it
   * (`findBrokenSet`); appends its batches to `out`. A Message that turns out malformed is dropped whole and
   * counted.
   *
   * @param view over the same octets
   * @param offset octet of the Message in its stream
   */
  message(
    octets: Uint8Array,
    view: DataView,
    start: number,
    length: number,
    offset: number,
    out: RecordBatch[],
  ): void
  /**
   * Decodes a datagram: one Message, or several back to back. Its octets belong to the batches from now on.
   *
   * @param offset octets in the datagrams before it, or whatever its place is reported as
   */
  datagram(octets: Uint8Array, offset: number, out: RecordBatch[]): void
  /** Says when the next Messages came, and what else their records get; see `MessageContext`. */
  receive(receivedMs: number | undefined, columns?: HeaderColumns): void
  /** What the sequence numbers of each Observation Domain have told so far. */
  losses(): Iterable<readonly [observationDomainId: number, counts: SequenceCounts]>
  /** Takes in a Template that an earlier session of the same Exporter knew. False if it cannot be used. */
  restore(template: KnownTemplate): boolean
  /** All Templates that are known. */
  templates(): Iterable<KnownTemplate>
  /** What its next Messages need to be passed on as they are; undefined if something about them has to be decided. */
  plainDomain(observationDomainId: number): PlainDomain | undefined
  /** Counts a stretch of octets that is no Message. */
  damage(damage: Damage): void
  /** Nothing more will come: gives up what is held and books what is open. */
  end(): void
}

/** An Observation Domain whose next Message needs no decision, if it is the one that is expected and has plain records only. */
export interface PlainDomain {
  readonly id: number
  readonly sequence: DomainSequence
  /** The Template of this ID if its records have one size and name no other Template. */
  template(id: number): Template | undefined
  /** All Templates that `template` gives. */
  plainTemplates(): Iterable<Template>
  /** Whether that is still so: a Message that was read otherwise may have changed it. */
  settled(): boolean
  /** Is told of what becomes of Templates. */
  watch(watcher: TemplateWatcher | undefined): void
  /** A number that changes whenever anything about the protocol's Messages and records is noted, lost or missed. */
  events(): number
  /** The Template of this ID was used. */
  use(id: number): void
  /** Counts Messages that were passed on, with so many records. */
  count(messages: number, records: number): void
}

/** What its sessions share: limits, accounts, and how their Templates are managed. */
export interface CollectingProcess {
  session(source?: string, address?: Uint8Array): Session
}

/** A Template as it came, for those who keep it. */
export interface KnownTemplate {
  readonly observationDomainId: number
  readonly options: boolean
  /** The Template Record. RFC 7011 section 3.4. */
  readonly record: Uint8Array
  /** Export time of the Message that announced it last, seconds since 1970. */
  readonly exportTime: number
}

/** Finds an account that another input of the same kind opened already. */
function account(ledger: Ledger, name: string, unit: StageLedger['unit']): StageLedger {
  return ledger.stages.find((s) => s.stage === name) ?? ledger.stage(name, unit)
}

/** The one session of a file, pipe or connection. */
export function createSession(options: SessionOptions): Session {
  return createCollectingProcess(options).session(options.source)
}

/** Sessions of many Exporters under common limits. RFC 7011 section 9. */
export function createCollectingProcess(options: ProcessOptions): CollectingProcess {
  const {reliable, observer} = options
  const process: Process = {
    pool: options.pool ?? createTemplatePool(),
    messages: account(options.ledger, `${options.name ?? 'ipfix'}-messages`, 'messages'),
    records: account(options.ledger, options.name ?? 'ipfix', 'records'),
    observer,
    reliable,
    templateLifetime: reliable ? 0 : (options.templateLifetime ?? 0),
    work: {undo: [], arrived: [], unread: undefined, refused: 0},
    elements: (options.elements ?? createSessionElements)(),
    counts: options.counts ?? 'records',
  }
  const evictions: EvictionListener = {
    template(domain, slot) {
      process.messages.note('template-evicted')
      if (observer?.template === undefined) return
      observer.template('evicted', storedTemplate(domain, slot).reading.template, undefined)
    },
    domain({sequence}) {
      process.messages.note('domain-evicted')
      if (sequence.unread !== undefined) settleUnread(sequence.unread, process.records, true)
    },
  }
  return {session: (source, address) => new TransportSession(process, evictions, source, address)}
}

/** A class, because a Collecting Process may have 65,536 of them. */
class TransportSession implements Session, SessionState {
  readonly process: Process
  readonly evictions: EvictionListener
  readonly source: string | undefined
  readonly address: Uint8Array | undefined
  receivedMs: number | undefined = undefined
  columns: HeaderColumns | undefined = undefined
  elements: SessionElements
  readonly domains = new Map<number, Domain>()
  readonly queue = new SlotQueue()
  last: Domain | undefined = undefined
  held: HeldSet[] = []
  heldOctets = 0

  constructor(
    process: Process,
    evictions: EvictionListener,
    source: string | undefined,
    address: Uint8Array | undefined,
  ) {
    this.process = process
    this.evictions = evictions
    this.elements = process.elements
    this.source = source
    this.address = address
  }

  get pool(): TemplatePool {
    return this.process.pool
  }

  receive(receivedMs: number | undefined, columns?: HeaderColumns): void {
    this.receivedMs = receivedMs
    this.columns = columns
  }

  *losses(): Generator<readonly [number, SequenceCounts]> {
    for (const {id, sequence} of this.domains.values()) yield [id, sequence.counts]
  }

  restore(known: KnownTemplate): boolean {
    return restoreTemplate(this, known)
  }

  *templates(): Generator<KnownTemplate> {
    const {slots} = this.pool
    for (const domain of this.domains.values()) {
      for (const slot of slots.slotsOf(domain)) {
        yield {
          observationDomainId: domain.id,
          options: slots.options[slot] === 1,
          record: slots.record(slot),
          exportTime: exportTimeOf(domain, slot),
        }
      }
    }
  }

  message(
    octets: Uint8Array,
    view: DataView,
    start: number,
    length: number,
    offset: number,
    out: RecordBatch[],
  ): void {
    readMessage(this, octets, view, start, length, offset, out)
  }

  datagram(octets: Uint8Array, offset: number, out: RecordBatch[]): void {
    readDatagram(this, octets, offset, out)
  }

  plainDomain(id: number): PlainDomain | undefined {
    const domain = this.domains.get(id)
    const {templateLifetime, observer} = this.process
    if (domain === undefined || templateLifetime > 0 || observer !== undefined) return undefined
    const plain = new Plain(this, domain)
    return plain.settled() ? plain : undefined
  }

  damage(damage: Damage): void {
    countDamage(this, damage)
  }

  end(): void {
    endSession(this)
  }
}

class Plain implements PlainDomain {
  readonly id: number
  readonly sequence: DomainSequence
  readonly #session: SessionState
  readonly #domain: Domain

  constructor(session: SessionState, domain: Domain) {
    this.id = domain.id
    this.sequence = domain.sequence
    this.#session = session
    this.#domain = domain
  }

  template(id: number): Template | undefined {
    const reading = templateOf(this.#domain, id)?.reading
    if (reading === undefined || reading.plan !== undefined || reading.lists) return undefined
    if (reading.directionless || reading.types !== undefined) return undefined
    return reading.template
  }

  *plainTemplates(): Generator<Template> {
    for (const {id} of templatesOf(this.#domain)) {
      const template = this.template(id)
      if (template !== undefined) yield template
    }
  }

  settled(): boolean {
    const {held, domains} = this.#session
    return held.length === 0 && domains.get(this.id) === this.#domain && isSettled(this.sequence)
  }

  watch(watcher: TemplateWatcher | undefined): void {
    this.#domain.watcher = watcher
  }

  events(): number {
    const {messages, records} = this.#session.process
    return messages.events + records.events
  }

  use(id: number): void {
    const stored = this.#domain.stored?.get(id)
    if (stored !== undefined) stored.used = true
  }

  count(messages: number, records: number): void {
    const {process} = this.#session
    process.messages.in += messages
    process.messages.out += messages
    process.records.in += records
    process.records.out += records
    this.sequence.counts.messages += messages
    this.sequence.counts.records += records
    this.#domain.used = true
  }
}

function readMessage(
  s: SessionState,
  octets: Uint8Array,
  view: DataView,
  start: number,
  length: number,
  offset: number,
  out: RecordBatch[],
): void {
  const {pool, messages, records, reliable, templateLifetime, observer, work} = s.process
  const end = start + length
  const domain = domainOf(pool, s, view.getUint32(start + 12))
  const message: MessageContext = {
    exportTime: view.getUint32(start + 4),
    sequenceNumber: view.getUint32(start + 8),
    observationDomainId: domain.id,
    exporter: s.source,
    offset,
    exporterAddress: s.address,
    receivedMs: s.receivedMs,
    columns: s.columns,
  }
  const first = out.length
  let count = 0
  let at = start + MESSAGE_HEADER_OCTETS
  let fault: ErrorCode | undefined
  while (end - at >= SET_HEADER_OCTETS) {
    const setId = view.getUint16(at)
    const next = at + view.getUint16(at + 2)
    if (setId >= MIN_DATA_SET_ID) {
      let stored = templateOf(domain, setId)
      if (templateLifetime > 0 && stored !== undefined && expires(s, stored, message)) {
        stored = undefined
      }
      if (stored === undefined) {
        holdSet(s, octets, at, next, domain, setId, message)
      } else {
        const n = readDataSet(s, octets, view, at + SET_HEADER_OCTETS, next, stored, message, out)
        if (n < 0) {
          fault = 'DARTA_RECORD_MALFORMED'
          break
        }
        count += n
      }
    } else if (setId === TEMPLATE_SET_ID || setId === OPTIONS_TEMPLATE_SET_ID) {
      const isOptions = setId === OPTIONS_TEMPLATE_SET_ID
      const body = at + SET_HEADER_OCTETS
      if (!readTemplateSet(s, octets, view, body, next, isOptions, domain, message)) {
        fault = 'DARTA_TEMPLATE_MALFORMED'
        break
      }
    } else {
      messages.note('reserved-set', 1, offset)
    }
    at = next
  }
  if (fault !== undefined) {
    out.length = first
    dropMessage(s, fault, message, length)
    return
  }
  if (at < end) messages.note('trailing-octets', end - at, offset)
  messages.in++
  messages.out++
  domain.sequence.counts.messages++
  domain.sequence.counts.records += count
  observer?.message?.(message)
  if (work.undo.length > 0 || s.held.length > 0) settleSets(s, out, first, message)
  book(s, count, offset)
  const {sequence} = domain
  const {sequenceNumber, exportTime} = message
  if (s.process.counts === 'messages') {
    observeSequence(sequence, sequenceNumber, 1, exportTime, offset, reliable, messages, true)
    if (work.unread !== undefined) {
      // Sequence numbers say nothing of records: only what is seen to be unread is.
      work.unread.claimed = 0
      settleUnread(work.unread, records)
      work.unread = undefined
    }
    return
  }
  observeSequence(sequence, sequenceNumber, count, exportTime, offset, reliable, records)
  if (work.unread !== undefined) {
    if (sequence.unread !== undefined) {
      // The Message at hand was late: nothing will tell how many records the ones before held.
      sequence.unread.claimed = 0
      settleUnread(sequence.unread, records)
    }
    sequence.unread = work.unread
    sequence.unsettled = true
    settleUnread(work.unread, records)
    work.unread = undefined
  }
}

function expires(s: SessionState, stored: StoredTemplate, message: MessageContext): boolean {
  const {templateLifetime, pool, messages} = s.process
  if (((message.exportTime - stored.exportTime) | 0) <= templateLifetime) return false
  removeTemplate(pool, stored.domain, stored.id)
  messages.note('template-expired', 1, message.offset)
  return true
}

/** Counts records that were read, and those of them that are not passed on. */
function book(s: SessionState, count: number, offset: number): void {
  const {records, work} = s.process
  records.in += count
  records.out += count - work.refused
  if (work.refused > 0) {
    records.lose('reverse-without-direction', work.refused, offset)
    work.refused = 0
  }
}

/** What is rare: Templates and held Sets of a Message that was read without fault. */
function settleSets(
  s: SessionState,
  out: RecordBatch[],
  first: number,
  message: MessageContext,
): void {
  const {work, reliable} = s.process
  if (s.held.length > 0) {
    if (work.arrived.length > 0) {
      const released: RecordBatch[] = []
      releaseSets(s, released, book)
      // They came before what is in this Message.
      out.splice(first, 0, ...released)
    }
    if (!reliable) expireSets(s, message.exportTime)
  }
  work.arrived = []
  // What type records among the held Sets taught stays, too.
  work.undo = []
}

/** A malformed Message is dropped whole. RFC 7011 section 9.1. */
function dropMessage(
  s: SessionState,
  code: ErrorCode,
  {offset, observationDomainId}: MessageContext,
  octets: number,
): void {
  const {work} = s.process
  for (let i = work.undo.length - 1; i >= 0; i--) work.undo[i]()
  if (work.unread !== undefined) forgetSets(s, work.unread)
  work.undo = []
  work.arrived = []
  work.unread = undefined
  work.refused = 0
  countDamage(s, {code, offset, octets, observationDomainId})
}

function countDamage(s: SessionState, damage: Damage): void {
  const {messages, observer} = s.process
  const {code, offset, octets, observationDomainId: id} = damage
  messages.in++
  messages.lose(code === 'DARTA_MESSAGE_TRUNCATED' ? 'truncated' : 'malformed-message', 1, offset)
  observer?.damage?.(damage)
  const own = id === undefined ? undefined : s.domains.get(id)
  for (const {sequence} of own === undefined ? s.domains.values() : [own]) {
    if (sequence.expected < 0) continue
    if (sequence.damagedOctets === 0) sequence.damagedOffset = offset
    sequence.damagedOctets += s.process.counts === 'records' ? octets : 1
    sequence.unsettled = true
  }
}

function readDatagram(
  s: SessionState,
  octets: Uint8Array,
  offset: number,
  out: RecordBatch[],
): void {
  if (octets.constructor !== Uint8Array) {
    octets = new Uint8Array(octets.buffer, octets.byteOffset, octets.byteLength)
  }
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  let at = 0
  do {
    const rest = octets.length - at
    const whole = rest >= MESSAGE_HEADER_OCTETS
    if (!whole && at > 0) {
      s.process.messages.note('trailing-octets', rest, offset + at)
      return
    }
    const length = whole ? view.getUint16(at + 2) : 0
    const code = datagramFault(view, at, rest, length)
    if (code === undefined) {
      readMessage(s, octets, view, at, length, offset + at, out)
    } else {
      // Where the length cannot be believed, nothing that follows can.
      const lost = code === 'DARTA_SET_LENGTH' ? length : rest
      const known = code === 'DARTA_SET_LENGTH' || (code === 'DARTA_MESSAGE_TRUNCATED' && whole)
      countDamage(s, {
        code,
        offset: offset + at,
        octets: lost,
        ...(known && {observationDomainId: view.getUint32(at + 12)}),
      })
      if (lost === rest) return
    }
    at += length
  } while (at < octets.length)
}

function datagramFault(
  view: DataView,
  at: number,
  rest: number,
  length: number,
): ErrorCode | undefined {
  if (rest < MESSAGE_HEADER_OCTETS) return 'DARTA_MESSAGE_TRUNCATED'
  if (view.getUint16(at) !== IPFIX_VERSION) return 'DARTA_MESSAGE_VERSION'
  if (length < MESSAGE_HEADER_OCTETS) return 'DARTA_MESSAGE_LENGTH'
  if (length > rest) return 'DARTA_MESSAGE_TRUNCATED'
  return findBrokenSet(view, at, length) >= 0 ? 'DARTA_SET_LENGTH' : undefined
}

function endSession(s: SessionState): void {
  const {records, pool} = s.process
  giveUpSets(s)
  for (const {sequence} of s.domains.values()) {
    if (sequence.unread !== undefined) settleUnread(sequence.unread, records, true)
  }
  clearSession(pool, s)
}
