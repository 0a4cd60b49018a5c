import {createSessionElements} from '../registry/lookup.js'
import {
  findBrokenSet,
  IPFIX_VERSION,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from './message.js'
import {observeSequence, settleUnread, type UnreadSets} from './sequence.js'
import {
  clearSession,
  createTemplatePool,
  domainOf,
  putTemplate,
  removeTemplate,
  snapshotOf,
  storeTemplate,
  type Domain,
  type SessionTemplates,
  type StoredTemplate,
  type TemplatePool,
} from './template-store.js'
import type {TypeRecordReader} from './type-records.js'
import {countMisfits, measureTemplateRecord, readTemplateRecord} from './template-record.js'
import {createTemplate, type Template} from '../record/template.js'
import type {Damage} from './message-stream.js'
import type {ErrorCode} from '../record/errors.js'
import type {MessageContext, RecordBatch} from '../record/batch.js'
import type {Ledger, StageLedger} from '../record/ledger.js'

/** Octets of Data Sets that a session holds for Templates that have not come yet. */
const MAX_HELD_OCTETS = 65536
/** Seconds of export time after which a held Data Set is given up on UDP. */
const HELD_SECONDS = 30

/** What happened to a Template, for those who report it. */
export type TemplateEvent =
  | 'new'
  /** Announced again unchanged. */
  | 'refreshed'
  /** Another Template under an ID in use. */
  | 'redefined'
  | 'withdrawn'
  /** Forgotten for lack of room. */
  | 'evicted'

/** Told of what does not show in the batches. */
export interface SessionObserver {
  template?(event: TemplateEvent, template: Template, message: MessageContext | undefined): void
  /** A Data Set for which no Template is known (yet); `octets` with its header. */
  unreadSet?(setId: number, octets: number, message: MessageContext): void
  damage?(damage: Damage): void
  /** A Message that was read without fault, before its batches are handed over. */
  message?(message: MessageContext): void
}

export interface SessionOptions {
  readonly ledger: Ledger
  /** Name of the Exporter or file, for `MessageContext.exporter`. */
  readonly source?: string
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
  /** Shared by the sessions of one Collecting Process. */
  readonly pool?: TemplatePool
  readonly observer?: SessionObserver
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
  /** Counts a stretch of octets that is no Message. */
  damage(damage: Damage): void
  /** Nothing more will come: gives up what is held and books what is open. */
  end(): void
}

interface HeldSet {
  readonly domain: Domain
  readonly setId: number
  /** Set with its header. */
  readonly octets: Uint8Array
  readonly message: MessageContext
  readonly unread: UnreadSets
}

/** Finds an account that another input of the same kind opened already. */
function account(ledger: Ledger, name: string, unit: StageLedger['unit']): StageLedger {
  return ledger.stages.find((s) => s.stage === name) ?? ledger.stage(name, unit)
}

/** Starts of the records of the Data Set being walked; grows to the longest seen. */
let walked = new Uint32Array(1024)

/**
 * Finds the records of variable length between `at` and `end`; their starts and the end of the last one are
 * left in `walked`.
 *
 * @returns how many, or −1 if one reaches past `end`
 */
function walkRecords(
  octets: Uint8Array,
  at: number,
  end: number,
  plan: Uint32Array,
  minimum: number,
): number {
  const last = plan.length - 1
  let count = 0
  while (end - at >= minimum) {
    if (count + 2 > walked.length) {
      const larger = new Uint32Array(walked.length * 2)
      larger.set(walked)
      walked = larger
    }
    walked[count++] = at
    for (let i = 0; i < last; i++) {
      at += plan[i]
      if (at >= end) return -1
      let length = octets[at++]
      if (length === 255) {
        if (end - at < 2) return -1
        length = (octets[at] << 8) | octets[at + 1]
        at += 2
      }
      at += length
    }
    at += plan[last]
    if (at > end) return -1
  }
  walked[count] = at
  return count
}

function isZero(octets: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (octets[i] !== 0) return false
  return true
}

function sameOctets(a: Uint8Array, octets: Uint8Array, from: number, to: number): boolean {
  if (a.length !== to - from) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== octets[from + i]) return false
  return true
}

export function createSession(options: SessionOptions): Session {
  const {reliable, observer} = options
  const source = options.source
  const lifetime = reliable ? 0 : (options.templateLifetime ?? 0)
  const pool = options.pool ?? createTemplatePool()
  const messages = account(options.ledger, 'ipfix-messages', 'messages')
  const records = account(options.ledger, 'ipfix', 'records')
  const elements = createSessionElements()
  const templates: SessionTemplates = {
    domains: new Map(),
    order: new Set(),
    evicted: ({template}) => {
      messages.note('template-evicted')
      observer?.template?.('evicted', template, undefined)
    },
    domainEvicted: (domain) => {
      messages.note('domain-evicted')
      if (domain.sequence.unread !== undefined) settleUnread(domain.sequence.unread, records, true)
      if (domain === last) last = undefined
    },
  }
  let held: HeldSet[] = []
  let heldOctets = 0
  let last: Domain | undefined
  /** Undoes the Template changes of the Message at hand, last one first. */
  let undo: (() => void)[] = []
  /** Templates that the Message at hand brought. */
  let arrived: StoredTemplate[] = []
  let unread: UnreadSets | undefined
  /** Records of the Message at hand that lack a direction. */
  let refused = 0

  function withdraw(domain: Domain, id: number, isOptions: boolean, message: MessageContext): void {
    if (!reliable) {
      messages.note('withdrawal-ignored', 1, message.offset)
      return
    }
    const all = id === TEMPLATE_SET_ID || id === OPTIONS_TEMPLATE_SET_ID
    // The all-Templates ID is that of the Set it must stand in. RFC 7011 section 8.1.
    const wrong = all && id !== (isOptions ? OPTIONS_TEMPLATE_SET_ID : TEMPLATE_SET_ID)
    const ids = all && !wrong ? [...domain.templates.keys()] : [id]
    let found = 0
    for (const one of ids) {
      const stored = domain.templates.get(one)
      if (stored === undefined || stored.template.scopeCount > 0 !== isOptions) continue
      removeTemplate(pool, domain, one)
      undo.push(() => putTemplate(pool, stored))
      observer?.template?.('withdrawn', stored.template, message)
      found++
    }
    if (found === 0 && !(all && !wrong)) messages.note('withdrawal-unknown', 1, message.offset)
  }

  function isExpired(stored: StoredTemplate, message: MessageContext): boolean {
    if (((message.exportTime - stored.exportTime) | 0) <= lifetime) return false
    removeTemplate(pool, stored.domain, stored.template.id)
    messages.note('template-expired', 1, message.offset)
    return true
  }

  /** @returns false if the Set is malformed */
  function readTemplateSet(
    octets: Uint8Array,
    view: DataView,
    at: number,
    end: number,
    isOptions: boolean,
    domain: Domain,
    message: MessageContext,
  ): boolean {
    while (end - at >= 4) {
      // Padding: no Template has ID 0.
      if (view.getUint16(at) === 0) break
      const record = measureTemplateRecord(view, at, end, isOptions)
      if (record.fault === 'cut') return false
      if (record.fieldCount === 0) {
        withdraw(domain, record.id, isOptions, message)
      } else if (record.fault !== undefined) {
        messages.note(`template-${record.fault}`, 1, message.offset)
        // What comes under this ID is no longer what the old Template says.
        const old = removeTemplate(pool, domain, record.id)
        if (old !== undefined) undo.push(() => putTemplate(pool, old))
      } else {
        const old = domain.templates.get(record.id)
        if (
          old !== undefined &&
          sameOctets(old.record, octets, at, record.end) &&
          old.template.scopeCount > 0 === isOptions
        ) {
          old.exportTime = message.exportTime
          old.used = true
          observer?.template?.('refreshed', old.template, message)
        } else if (
          old !== undefined &&
          !reliable &&
          ((message.exportTime - old.exportTime) | 0) < 0
        ) {
          // A datagram overtaken by the one that changed the Template. RFC 7011 section 8.2.
          messages.note('template-stale', 1, message.offset)
        } else {
          const template = readTemplateRecord(view, record, elements)
          if (old !== undefined) {
            messages.note('template-redefined', 1, message.offset)
            undo.push(() => putTemplate(pool, old))
          } else {
            undo.push(() => removeTemplate(pool, domain, template.id))
          }
          const misfits = countMisfits(template)
          if (misfits > 0) messages.note('field-length', misfits, message.offset)
          const raw = octets.slice(at, record.end)
          arrived.push(storeTemplate(pool, domain, template, raw, message.exportTime))
          observer?.template?.(old === undefined ? 'new' : 'redefined', template, message)
        }
      }
      at = record.end
    }
    return true
  }

  /**
   * Decodes a Data Set whose body is from `at` to `end`.
   *
   * @returns its records, or −1 if it is malformed
   */
  function readDataSet(
    octets: Uint8Array,
    view: DataView,
    at: number,
    end: number,
    stored: StoredTemplate,
    message: MessageContext,
    out: RecordBatch[],
  ): number {
    const {template, plan} = stored
    stored.used = true
    let count: number
    let tail: number
    let offsets: Uint32Array | undefined
    if (plan === undefined) {
      const size = template.recordOctets
      count = Math.floor((end - at) / size)
      tail = at + count * size
    } else {
      count = walkRecords(octets, at, end, plan, template.minimumOctets)
      if (count < 0) return -1
      tail = walked[count]
      if (count > 0) offsets = walked.slice(0, count + 1)
    }
    if (tail < end && !isZero(octets, tail, end)) {
      messages.note('nonzero-padding', 1, message.offset)
    }
    if (count === 0) return 0
    if (stored.directionless) {
      refused += count
      return count
    }
    const batch: RecordBatch = {
      template,
      octets,
      view,
      start: at,
      count,
      offsets,
      message,
      templates: stored.lists ? snapshotOf(stored.domain) : undefined,
      elements: stored.lists ? elements : undefined,
    }
    out.push(batch)
    if (stored.types !== undefined) learn(batch, stored.types)
    return count
  }

  /** Keeps a Data Set for its Template, or gives it up. */
  function hold(
    octets: Uint8Array,
    at: number,
    end: number,
    domain: Domain,
    setId: number,
    message: MessageContext,
  ): void {
    if (end - at <= SET_HEADER_OCTETS) return
    unread ??= {
      offset: message.offset,
      octets: 0,
      open: 0,
      dropped: 0,
      released: 0,
      claimed: -1,
    }
    unread.octets += end - at - SET_HEADER_OCTETS
    observer?.unreadSet?.(setId, end - at, message)
    const size = end - at
    if (heldOctets + size > MAX_HELD_OCTETS || pool.heldOctets + size > pool.maxHeldOctets) {
      unread.dropped++
      return
    }
    unread.open++
    heldOctets += size
    pool.heldOctets += size
    held.push({domain, setId, octets: octets.slice(at, end), message, unread})
  }

  function letGo(set: HeldSet): void {
    heldOctets -= set.octets.length
    pool.heldOctets -= set.octets.length
    set.unread.open--
  }

  function book(count: number, offset: number): void {
    records.in += count
    records.out += count - refused
    if (refused > 0) {
      records.lose('reverse-without-direction', refused, offset)
      refused = 0
    }
  }

  /** Decodes the Data Sets that waited for the Templates which just came. */
  function release(out: RecordBatch[]): void {
    const waiting: HeldSet[] = []
    for (const set of held) {
      const stored = set.domain.templates.get(set.setId)
      if (stored === undefined || !arrived.includes(stored)) {
        waiting.push(set)
        continue
      }
      letGo(set)
      const {octets} = set
      const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
      const before = out.length
      const count = readDataSet(
        octets,
        view,
        SET_HEADER_OCTETS,
        octets.length,
        stored,
        set.message,
        out,
      )
      if (count < 0) {
        out.length = before
        set.unread.dropped++
      } else {
        set.unread.released += count
        book(count, set.message.offset)
        messages.note('held-set-read')
      }
      settleUnread(set.unread, records)
    }
    held = waiting
  }

  /** Gives up Data Sets that have waited too long. */
  function expire(now: number): void {
    const waiting: HeldSet[] = []
    for (const set of held) {
      if (((now - set.message.exportTime) | 0) <= HELD_SECONDS) {
        waiting.push(set)
        continue
      }
      letGo(set)
      set.unread.dropped++
      settleUnread(set.unread, records)
    }
    held = waiting
  }

  /** Takes in type records; Templates that have the elements they describe are made anew. RFC 5610 section 3. */
  function learn(batch: RecordBatch, types: TypeRecordReader): void {
    let learned = false
    for (let i = 0; i < batch.count; i++) {
      const element = types(batch, i)
      const known =
        element !== undefined &&
        elements.get(element.enterpriseNumber, element.elementId).status !== 'unknown'
      if (element === undefined || !elements.learn(element)) {
        records.note('type-record-ignored', 1, batch.message.offset)
      } else if (!known) {
        learned = true
        undo.push(() => elements.forget(element))
      }
    }
    if (!learned) return
    for (const domain of templates.domains.values()) {
      for (const stored of domain.templates.values()) if (stored.unknowns) describe(stored)
    }
  }

  function describe(stored: StoredTemplate): void {
    const old = stored.template
    const specifiers = old.fields.map(({element, length}) => ({
      element: elements.get(element.enterpriseNumber, element.elementId),
      length,
    }))
    if (specifiers.every(({element}, i) => element === old.fields[i].element)) return
    replace(createTemplate(old.id, specifiers, old.scopeCount))
    undo.push(() => replace(old))

    function replace(template: Template): void {
      stored.template = template
      stored.unknowns = template.fields.some(({element}) => element.status === 'unknown')
      stored.domain.snapshot = undefined
    }
  }

  function message(
    octets: Uint8Array,
    view: DataView,
    start: number,
    length: number,
    offset: number,
    out: RecordBatch[],
  ): void {
    const end = start + length
    const domainId = view.getUint32(start + 12)
    if (last !== undefined && last.id === domainId) last.used = true
    else last = domainOf(pool, templates, domainId)
    const domain = last
    const context: MessageContext = {
      exportTime: view.getUint32(start + 4),
      sequenceNumber: view.getUint32(start + 8),
      observationDomainId: domainId,
      exporter: source,
      offset,
    }
    const first = out.length
    let count = 0
    let at = start + MESSAGE_HEADER_OCTETS
    let fault: ErrorCode | undefined
    while (end - at >= SET_HEADER_OCTETS) {
      const setId = view.getUint16(at)
      const next = at + view.getUint16(at + 2)
      if (setId >= MIN_DATA_SET_ID) {
        let stored = domain.templates.get(setId)
        if (lifetime > 0 && stored !== undefined && isExpired(stored, context)) stored = undefined
        if (stored === undefined) {
          hold(octets, at, next, domain, setId, context)
        } else {
          const n = readDataSet(octets, view, at + SET_HEADER_OCTETS, next, stored, context, out)
          if (n < 0) {
            fault = 'DARTA_RECORD_MALFORMED'
            break
          }
          count += n
        }
      } else if (setId === TEMPLATE_SET_ID || setId === OPTIONS_TEMPLATE_SET_ID) {
        const isOptions = setId === OPTIONS_TEMPLATE_SET_ID
        if (!readTemplateSet(octets, view, at + 4, next, isOptions, domain, context)) {
          fault = 'DARTA_TEMPLATE_MALFORMED'
          break
        }
      } else {
        messages.note('reserved-set', 1, offset)
      }
      at = next
    }
    if (fault !== undefined) {
      drop(out, first, fault, context, length)
      return
    }
    if (at < end) messages.note('trailing-octets', end - at, offset)
    messages.in++
    messages.out++
    observer?.message?.(context)
    if (undo.length > 0 || held.length > 0) {
      afterwards(out, first, context)
    }
    book(count, offset)
    const {sequence} = domain
    observeSequence(
      sequence,
      context.sequenceNumber,
      count,
      context.exportTime,
      offset,
      reliable,
      records,
    )
    if (unread !== undefined) {
      if (sequence.unread !== undefined) {
        // The Message at hand was late: nothing will tell how many records the ones before held.
        sequence.unread.claimed = 0
        settleUnread(sequence.unread, records)
      }
      sequence.unread = unread
      sequence.unsettled = true
      settleUnread(unread, records)
      unread = undefined
    }
  }

  /** What is rare: Templates and held Sets of a Message that was read without fault. */
  function afterwards(out: RecordBatch[], first: number, context: MessageContext): void {
    if (held.length > 0) {
      if (arrived.length > 0) {
        const released: RecordBatch[] = []
        release(released)
        out.splice(first, 0, ...released)
      }
      if (!reliable) expire(context.exportTime)
    }
    arrived = []
    // What type records among the held Sets taught stays, too.
    undo = []
  }

  /** A malformed Message is dropped whole. RFC 7011 section 9.1. */
  function drop(
    out: RecordBatch[],
    first: number,
    code: ErrorCode,
    {offset, observationDomainId}: MessageContext,
    octets: number,
  ): void {
    out.length = first
    refused = 0
    for (let i = undo.length - 1; i >= 0; i--) undo[i]()
    undo = []
    arrived = []
    if (unread !== undefined) {
      const dropped = unread
      held = held.filter((set) => {
        if (set.unread !== dropped) return true
        letGo(set)
        return false
      })
      unread = undefined
    }
    damage({code, offset, octets, observationDomainId})
  }

  function damage(which: Damage): void {
    const {code, offset, octets, observationDomainId: id} = which
    messages.in++
    messages.lose(code === 'DARTA_MESSAGE_TRUNCATED' ? 'truncated' : 'malformed-message', 1, offset)
    observer?.damage?.(which)
    const own = id === undefined ? undefined : templates.domains.get(id)
    for (const domain of own === undefined ? templates.domains.values() : [own]) {
      const {sequence} = domain
      if (sequence.expected < 0) continue
      if (sequence.damagedOctets === 0) sequence.damagedOffset = offset
      sequence.damagedOctets += octets
      sequence.unsettled = true
    }
  }

  return {
    message,
    damage,
    datagram(octets, offset, out) {
      if (octets.constructor !== Uint8Array) {
        octets = new Uint8Array(octets.buffer, octets.byteOffset, octets.byteLength)
      }
      const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
      let at = 0
      do {
        const rest = octets.length - at
        const whole = rest >= MESSAGE_HEADER_OCTETS
        const length = whole ? view.getUint16(at + 2) : rest
        const found = {offset: offset + at, octets: Math.min(length, rest)}
        if (!whole && at > 0) {
          messages.note('trailing-octets', rest, offset + at)
        } else if (!whole) {
          damage({code: 'DARTA_MESSAGE_TRUNCATED', ...found})
        } else if (view.getUint16(at) !== IPFIX_VERSION) {
          damage({code: 'DARTA_MESSAGE_VERSION', ...found, octets: rest})
          return
        } else if (length < MESSAGE_HEADER_OCTETS) {
          damage({code: 'DARTA_MESSAGE_LENGTH', ...found, octets: rest})
          return
        } else {
          const observationDomainId = view.getUint32(at + 12)
          if (length > rest) {
            damage({code: 'DARTA_MESSAGE_TRUNCATED', ...found, observationDomainId})
          } else if (findBrokenSet(view, at, length) >= 0) {
            damage({code: 'DARTA_SET_LENGTH', ...found, observationDomainId})
          } else {
            message(octets, view, at, length, offset + at, out)
          }
        }
        at += length
      } while (at < octets.length)
    },
    end() {
      for (const set of held) {
        letGo(set)
        set.unread.dropped++
        settleUnread(set.unread, records)
      }
      held = []
      for (const {sequence} of templates.domains.values()) {
        if (sequence.unread !== undefined) settleUnread(sequence.unread, records, true)
      }
      clearSession(pool, templates)
      last = undefined
    },
  }
}
