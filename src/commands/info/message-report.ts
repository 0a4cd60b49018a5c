import {createMessageStream} from '../../ipfix/message-stream.js'
import {
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from '../../ipfix/message.js'
import {createSession} from '../../ipfix/session.js'
import {recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import type {Ledger} from '../../record/ledger.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {readerOf, valueReader} from '../../record/readers.js'
import {ie} from '../../registry/lookup.js'
import {fieldSpecifiers} from './field-specifiers.js'
import {createRecordSums} from './record-sums.js'
import {millisecondsText, secondsText, type Window} from './report.js'

/** A Template and what came of it. */
export interface TemplateReport {
  readonly observationDomainId: number
  readonly templateId: number
  /** Information Element Specifiers (RFC 7013 section 10.1). */
  readonly fields: readonly string[]
  /** Its first fields are the scope; 0: no Options Template. */
  readonly scopeFields: number
  readonly announced: number
  readonly withdrawn: number
  records: number
}

/** A break in the sequence numbers. */
export interface SequenceEvent {
  readonly event: 'gap' | 'duplicate' | 'reordered' | 'reset'
  /** Octet of the Message that showed it. */
  readonly octet: number
  readonly observationDomainId: number
  /** Of that Message: the number of its first record. */
  readonly sequenceNumber: number
  /** Records that are missing before it, or that it holds. */
  readonly records: number
}

export interface Damage {
  readonly octet: number
  readonly octets: number
  readonly reason: string
}

/** What is in a stream of Messages. */
export interface MessageReport {
  readonly format: 'ipfix'
  readonly octets: number
  readonly messages: number
  readonly sets: {
    readonly template: number
    readonly optionsTemplate: number
    readonly data: number
  }
  /** Records of Templates, and of Options Templates. */
  readonly records: number
  readonly optionsRecords: number
  readonly templates: readonly TemplateReport[]
  /** Announcements and withdrawals of Templates that are not in `templates`, which has the first 10 000. */
  readonly moreTemplates: number
  /** The first 10 000. */
  readonly observationDomains: readonly number[]
  /** Addresses that records name as their exporter's. */
  readonly exporters: readonly string[]
  readonly exportTime: Window | undefined
  readonly flowTime: Window | undefined
  /** Both null: one of them is beyond 2^64 − 1. */
  readonly octetCount: bigint | null
  readonly packetCount: bigint | null
  readonly missingRecords: number
  readonly sequence: readonly SequenceEvent[]
  /** Events that are not in `sequence`, which has the first 1000. */
  readonly moreSequenceEvents: number
  /** In Data Sets. */
  readonly paddingOctets: number
  readonly damage: readonly Damage[]
  readonly moreDamage: number
}

/** Lists of events end here; what was left out is counted. */
const MOST_LISTED = 1000
/** So many Templates and domains are told apart: a guard against crafted input. */
const MOST_KNOWN = 10_000

const exporterElements = [
  ie.exporterIPv4Address,
  ie.exporterIPv6Address,
  ie.originalExporterIPv4Address,
  ie.originalExporterIPv6Address,
]

type TemplateAccount = TemplateReport & {announced: number; withdrawn: number}

export interface MessageSurvey {
  push(octets: Uint8Array): void
  end(): MessageReport
}

/** Reads Messages as the decoder of all commands does and keeps account of everything in them. */
export function surveyMessages(ledger: Ledger, source: string): MessageSurvey {
  let octetsRead = 0
  let messages = 0
  const sets = {template: 0, optionsTemplate: 0, data: 0}
  let records = 0
  let optionsRecords = 0
  const templates = new Map<string, TemplateAccount>()
  let moreTemplates = 0
  const domains = new Set<number>()
  const exporters = new Set<string>()
  let firstExport = Infinity
  let lastExport = -Infinity
  const sequence: SequenceEvent[] = []
  let moreSequenceEvents = 0
  const damage: Damage[] = []
  let moreDamage = 0
  /** Octets of the bodies of Data Sets, and of the records in them. */
  let bodies = 0
  let read = 0
  /** Octets of the bodies of Data Sets that wait for their Template, by domain and Set ID. */
  const unread = new Map<string, number>()
  const sums = createRecordSums(true)

  /** The account of a Template; undefined if there are too many already. */
  const reportOf = (domainId: number, template: Template): TemplateAccount | undefined => {
    const key = `${domainId} ${template.id} ${template.layout}`
    const known = templates.get(key)
    if (known !== undefined || templates.size >= MOST_KNOWN) return known
    const made = {
      observationDomainId: domainId,
      templateId: template.id,
      fields: fieldSpecifiers(template),
      scopeFields: template.scopeCount,
      announced: 0,
      withdrawn: 0,
      records: 0,
    }
    templates.set(key, made)
    return made
  }

  const session = createSession({
    ledger,
    source,
    reliable: true,
    observer: {
      template(event, template, message) {
        if (message === undefined) return
        const {observationDomainId} = message
        const report = reportOf(observationDomainId, template)
        if (report === undefined) moreTemplates++
        else if (event === 'withdrawn') report.withdrawn++
        else report.announced++
        unread.delete(`${observationDomainId} ${template.id}`)
      },
      unreadSet(setId, octets, {observationDomainId}) {
        const key = `${observationDomainId} ${setId}`
        if (unread.size >= MOST_KNOWN && !unread.has(key)) return
        unread.set(key, (unread.get(key) ?? 0) + octets - SET_HEADER_OCTETS)
      },
    },
  })
  const account = ledger.stages.find(({unit}) => unit === 'records')!

  function list(event: SequenceEvent): void {
    if (sequence.length < MOST_LISTED) sequence.push(event)
    else moreSequenceEvents++
  }

  function take(batches: readonly RecordBatch[]): number {
    const data: RecordBatch[] = []
    let count = 0
    for (const batch of batches) {
      const {template, message} = batch
      const report = reportOf(message.observationDomainId, template)
      if (report !== undefined) report.records += batch.count
      count += batch.count
      read += recordEnd(batch, batch.count - 1) - recordStart(batch, 0)
      if (template.scopeCount === 0) {
        records += batch.count
        data.push(batch)
      } else optionsRecords += batch.count
      if (exporters.size < MOST_LISTED) findExporters(batch)
    }
    sums.add(data)
    return count
  }

  function findExporters(batch: RecordBatch): void {
    for (const element of exporterElements) {
      if (fieldIndex(batch.template, element) < 0) continue
      const address = readerOf(batch.template, element, valueReader)!
      for (let i = 0; i < batch.count && exporters.size < MOST_LISTED; i++) {
        const value = address(batch, i)
        if (typeof value === 'string') exporters.add(value)
      }
    }
  }

  function countSets(view: DataView, start: number, length: number): void {
    for (let at = start + MESSAGE_HEADER_OCTETS; start + length - at >= SET_HEADER_OCTETS;) {
      const id = view.getUint16(at)
      const octets = view.getUint16(at + 2)
      if (id >= MIN_DATA_SET_ID) {
        sets.data++
        bodies += octets - SET_HEADER_OCTETS
      } else if (id === TEMPLATE_SET_ID) sets.template++
      else sets.optionsTemplate++
      at += octets
    }
  }

  const stream = createMessageStream({
    message(octets, view, start, length, offset) {
      const before = {
        messages: messagesRead(),
        gap: account.missing.get('sequence-gap') ?? 0,
        duplicate: account.noted.get('duplicate') ?? 0,
        reordered: account.noted.get('reordered') ?? 0,
        reset: account.noted.get('sequence-reset') ?? 0,
      }
      const batches: RecordBatch[] = []
      session.message(octets, view, start, length, offset, batches)
      if (messagesRead() === before.messages) {
        // Dropped whole; a Set or Template in it is malformed.
        tellDamage({octet: offset, octets: length, reason: 'malformed-message'})
        return
      }
      messages++
      countSets(view, start, length)
      const exportTime = view.getUint32(start + 4)
      firstExport = Math.min(firstExport, exportTime)
      lastExport = Math.max(lastExport, exportTime)
      const observationDomainId = view.getUint32(start + 12)
      if (domains.size < MOST_KNOWN) domains.add(observationDomainId)
      const count = take(batches)
      const sequenceNumber = view.getUint32(start + 8)
      const place = {octet: offset, observationDomainId, sequenceNumber}
      const missing = (account.missing.get('sequence-gap') ?? 0) - before.gap
      if (missing > 0) list({event: 'gap', ...place, records: missing})
      for (const event of ['duplicate', 'reordered', 'reset'] as const) {
        const noted = account.noted.get(event === 'reset' ? 'sequence-reset' : event) ?? 0
        if (noted > before[event]) list({event, ...place, records: count})
      }
    },
    damage(found) {
      const {code, offset, octets} = found
      const reason = code === 'DARTA_MESSAGE_TRUNCATED' ? 'truncated' : 'malformed-message'
      session.damage(found)
      tellDamage({octet: offset, octets, reason})
    },
  })
  const messageAccount = ledger.stages.find(({unit}) => unit === 'messages')!
  const messagesRead = (): number => messageAccount.out

  function tellDamage(one: Damage): void {
    if (damage.length < MOST_LISTED) damage.push(one)
    else moreDamage++
  }

  return {
    push(octets) {
      octetsRead += octets.length
      stream.push(octets)
    },
    end() {
      stream.end()
      session.end()
      const {octets, packets, start, end} = sums.sums()
      sums.close()
      const waiting = [...unread.values()].reduce((a, b) => a + b, 0)
      return {
        format: 'ipfix',
        octets: octetsRead,
        messages,
        sets,
        records,
        optionsRecords,
        templates: [...templates.values()],
        moreTemplates,
        observationDomains: [...domains].sort((a, b) => a - b),
        exporters: [...exporters].sort(),
        exportTime:
          messages === 0
            ? undefined
            : {first: secondsText(firstExport), last: secondsText(lastExport)},
        flowTime:
          start === undefined || end === undefined
            ? undefined
            : {first: millisecondsText(start), last: millisecondsText(end)},
        octetCount: octets ?? null,
        packetCount: packets ?? null,
        missingRecords: account.totalMissing(),
        sequence,
        moreSequenceEvents,
        paddingOctets: Math.max(bodies - read - waiting, 0),
        damage,
        moreDamage,
      }
    },
  }
}
