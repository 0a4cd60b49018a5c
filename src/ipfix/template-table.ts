import {
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
  writeMessageHeader,
} from './message.js'
import {createOptionsMemory, type KeptOption} from './options-memory.js'
import {measureTemplateRecord, planOfLengths, readTemplateRecord} from './template-record.js'
import {createSessionElements} from '../registry/lookup.js'
import type {Template} from '../record/template.js'

/** A Template as it stands in a stream of our own Messages. */
export interface TableEntry {
  readonly observationDomainId: number
  readonly id: number
  readonly isOptions: boolean
  /** Octets of its Template Record. */
  readonly record: Uint8Array
  /** Octets of each of its Data Records; 0 where they vary. */
  readonly recordOctets: number
  /** Octets before each field of variable length, and behind the last. */
  readonly plan: Uint32Array | undefined
  /** Where in the stream the Message that announced it first begins; −1 if that was before what was observed. */
  readonly position: number
}

/** What one Message holds. */
export interface MessageContent {
  readonly records: number
  /** It announces a Template for the first time. */
  readonly announces: boolean
}

/**
 * The Templates of a stream of Messages that an encoder of ours made: an ID means the same from its first announcement on
 * (`createEncoder`). Who joins the stream later, a new Transport Session or one over UDP that repeats them, is told
 * by it what came before.
 */
export interface TemplateTable {
  /** Takes in the Message from `start` to `end`, whose Sets are known to fill it. */
  observe(
    octets: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    position: number,
  ): MessageContent
  /** Those announced before `position`, in the order of their announcement. */
  before(position: number): TableEntry[]
  /** Data Records of Options Templates that hold at `position`, as far as they are remembered. */
  optionsBefore(position: number): KeptOption[]
  /** The Template of an entry. */
  template(entry: TableEntry): Template
  /** The entry that a domain's Data Sets of this ID refer to. */
  find(observationDomainId: number, id: number): TableEntry | undefined
}

type KnownEntry = {-readonly [P in keyof TableEntry]: TableEntry[P]}

export function createTemplateTable(): TemplateTable {
  const domains = new Map<number, Map<number, KnownEntry>>()
  const all: KnownEntry[] = []
  const elements = createSessionElements()
  const options = createOptionsMemory()
  let lastId = -1
  let last = new Map<number, KnownEntry>()

  function domainOf(id: number): Map<number, KnownEntry> {
    if (id === lastId) return last
    let domain = domains.get(id)
    if (domain === undefined) {
      domain = new Map()
      domains.set(id, domain)
    }
    lastId = id
    last = domain
    return domain
  }

  function takeIn(
    octets: Uint8Array,
    view: DataView,
    at: number,
    end: number,
    isOptions: boolean,
    observationDomainId: number,
    domain: Map<number, KnownEntry>,
    position: number,
  ): boolean {
    let news = false
    while (end - at >= 4 && view.getUint16(at) !== 0) {
      const record = measureTemplateRecord(view, at, end, isOptions)
      if (record.fault === 'cut') break
      const known = domain.get(record.id)
      if (known !== undefined) {
        // Read back from where it was kept, and now met where it stands.
        if (known.position < 0) known.position = position
        if (known.position === position) news = true
      } else if (record.fault === undefined && record.fieldCount > 0) {
        const plan = planOfLengths(fieldLengths(view, record.fields, record.fieldCount))
        const entry: KnownEntry = {
          observationDomainId,
          id: record.id,
          isOptions,
          record: octets.slice(at, record.end),
          recordOctets: plan.length === 1 ? plan[0] : 0,
          plan: plan.length === 1 ? undefined : plan,
          position,
        }
        domain.set(record.id, entry)
        all.push(entry)
        news ||= position >= 0
      }
      at = record.end
    }
    return news
  }

  return {
    observe(octets, view, start, end, position) {
      const observationDomainId = view.getUint32(start + 12)
      const domain = domainOf(observationDomainId)
      let records = 0
      let announces = false
      let at = start + MESSAGE_HEADER_OCTETS
      while (end - at >= SET_HEADER_OCTETS) {
        const id = view.getUint16(at)
        const next = at + view.getUint16(at + 2)
        const body = at + SET_HEADER_OCTETS
        if (id >= MIN_DATA_SET_ID) {
          const entry = domain.get(id)
          if (entry?.isOptions) records += options.keep(octets, body, next, entry, position)
          else if (entry !== undefined) records += countRecords(octets, body, next, entry)
        } else if (id === TEMPLATE_SET_ID || id === OPTIONS_TEMPLATE_SET_ID) {
          const isOptions = id === OPTIONS_TEMPLATE_SET_ID
          if (takeIn(octets, view, body, next, isOptions, observationDomainId, domain, position)) {
            announces = true
          }
        }
        at = next
      }
      return {records, announces}
    },
    before: (position) => all.filter((entry) => entry.position < position),
    optionsBefore: (position) => options.before(position),
    template({record, isOptions}) {
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
      const measured = measureTemplateRecord(view, 0, record.length, isOptions)
      return readTemplateRecord(view, measured, elements)
    },
    find: (observationDomainId, id) => domains.get(observationDomainId)?.get(id),
  }
}

/** Lengths of the Field Specifiers at `at`. */
export function* fieldLengths(view: DataView, at: number, fieldCount: number): Iterable<number> {
  for (let i = 0; i < fieldCount; i++) {
    yield view.getUint16(at + 2)
    at += view.getUint16(at) & 0x8000 ? 8 : 4
  }
}

/** Data Records between `at` and `end`; those behind the first that does not fit are not counted. */
function countRecords(octets: Uint8Array, at: number, end: number, entry: TableEntry): number {
  if (entry.recordOctets > 0) return Math.floor((end - at) / entry.recordOctets)
  let count = 0
  for (at = recordEnd(octets, at, end, entry); at > 0; at = recordEnd(octets, at, end, entry)) {
    count++
  }
  return count
}

/** Octet behind the Data Record at `at`; 0 if there is no whole one before `end`. */
export function recordEnd(
  octets: Uint8Array,
  at: number,
  end: number,
  {recordOctets, plan}: Pick<TableEntry, 'recordOctets' | 'plan'>,
): number {
  if (at >= end) return 0
  if (plan === undefined) return at + recordOctets <= end ? at + recordOctets : 0
  const last = plan.length - 1
  for (let i = 0; i < last; i++) {
    at += plan[i]
    if (at >= end) return 0
    let length = octets[at++]
    if (length === 255) {
      if (end - at < 2) return 0
      length = (octets[at] << 8) | octets[at + 1]
      at += 2
    }
    at += length
  }
  at += plan[last]
  return at <= end ? at : 0
}

/** Messages, one behind the other. */
export interface Messages {
  readonly octets: Uint8Array
  /** Octet behind each of them. */
  readonly ends: Uint32Array
  /** Data Records in each of them. */
  readonly counts: Uint32Array
}

/**
 * Messages of at most `maxOctets` octets that announce the entries, domain by domain; their sequence numbers are left 0.
 * One whose record does not fit any is left out: no encoder that keeps to the limit announces such.
 */
export function templateMessages(
  entries: readonly TableEntry[],
  maxOctets: number,
  exportTime: number,
): Messages {
  const groups = new Map<number, TableEntry[]>()
  for (const entry of entries) {
    const group = groups.get(entry.observationDomainId)
    if (group === undefined) groups.set(entry.observationDomainId, [entry])
    else group.push(entry)
  }
  const messages: Uint8Array[] = []
  const message = new Uint8Array(Math.min(maxOctets, 65535))
  const view = new DataView(message.buffer)
  for (const [observationDomainId, group] of groups) {
    let at = MESSAGE_HEADER_OCTETS
    let set = -1
    const closeSet = (): void => {
      if (set >= 0) view.setUint16(set + 2, at - set)
      set = -1
    }
    const close = (): void => {
      closeSet()
      if (at > MESSAGE_HEADER_OCTETS) {
        const header = {length: at, exportTime, sequenceNumber: 0, observationDomainId}
        writeMessageHeader(view, 0, header)
        messages.push(message.slice(0, at))
      }
      at = MESSAGE_HEADER_OCTETS
    }
    for (const {isOptions, record} of group) {
      const id = isOptions ? OPTIONS_TEMPLATE_SET_ID : TEMPLATE_SET_ID
      if (MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS + record.length > message.length) continue
      if (at + SET_HEADER_OCTETS + record.length > message.length) close()
      if (set < 0 || view.getUint16(set) !== id) {
        closeSet()
        set = at
        view.setUint16(at, id)
        at += SET_HEADER_OCTETS
      }
      message.set(record, at)
      at += record.length
    }
    close()
  }
  return joinMessages(messages, new Uint32Array(messages.length))
}

/** Runs of Messages as one. */
export function concatenateMessages(runs: readonly Messages[]): Messages {
  const messages: Uint8Array[] = []
  const counts: number[] = []
  for (const run of runs) {
    let at = 0
    for (const end of run.ends) {
      messages.push(run.octets.subarray(at, end))
      at = end
    }
    counts.push(...run.counts)
  }
  return joinMessages(messages, Uint32Array.from(counts))
}

/** Single Messages as one run of octets. */
export function joinMessages(messages: readonly Uint8Array[], counts: Uint32Array): Messages {
  let size = 0
  for (const {length} of messages) size += length
  const octets = new Uint8Array(size)
  const ends = new Uint32Array(messages.length)
  let at = 0
  for (const [i, message] of messages.entries()) {
    octets.set(message, at)
    at += message.length
    ends[i] = at
  }
  return {octets, ends, counts}
}
