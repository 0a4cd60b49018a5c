import {mibAnnouncements} from '../../ipfix/mib-announcements.js'
import {splitMessage} from '../../ipfix/split-message.js'
import {optionsMessages, type KeptOption} from '../../ipfix/options-memory.js'
import {
  concatenateMessages,
  joinMessages,
  templateMessages,
  type Messages,
  type TableEntry,
  type TemplateTable,
} from '../../ipfix/template-table.js'
import {typeRecordReader} from '../../ipfix/type-records.js'
import type {Slice} from './message-log.js'

/** What goes on the wire for a slice of the log. */
export interface Outgoing extends Messages {
  /** Data Records that are in none, by reason, each in a Message of its own. */
  readonly lost?: readonly [reason: string, messages: readonly Uint8Array[]][]
}

/** Turns the log's Messages into those of one Transport Session. */
export interface Wire {
  /**
   * Begins a session: what has to be sent before that which follows `position` in the log. That is Templates, and Data Records of
   * options that hold.
   */
  begin(position: number): Messages
  encode(slice: Slice): Outgoing
  /** What goes out again from time to time where nothing tells whether it arrived; with `position` as of `begin`. */
  refresh(position: number): Messages
  /** Messages that are not of the log, with the numbers that they get in this session; what cannot be told so is not. */
  insert(messages: Messages): Messages
  /** What has to be known to go on from here once more, for `restore`. */
  save(): unknown
  restore(state: unknown): void
}

export interface WireOptions {
  readonly table: TemplateTable
  /** Octets that a Message may have; asked for each slice. */
  readonly maxOctets: () => number
  /** Templates go ahead of the Message that uses them first, in one of their own, too: over UDP either may be lost. */
  readonly repeat: boolean
  /** Seconds since 1970: a Message leaves now. */
  readonly now: () => number
}

interface WireState {
  readonly sequences: ReadonlyMap<number, number>
  readonly inserted: ReadonlyMap<number, number>
}

/**
 * IPFIX: the log's own Messages, with the time at which they leave and the sequence numbers of this session, which count the
 * Data Records sent before in each Observation Domain. RFC 7011 section 3.1.
 */
export function ipfixWire({table, maxOctets, repeat, now}: WireOptions): Wire {
  let sequences = new Map<number, number>()
  /** Data Records that are not of the log and have numbers all the same, by domain. */
  const inserted = new Map<number, number>()
  const typeRecords = new WeakMap<TableEntry, boolean>()

  /** Datagrams are sent before the next ones are asked for, so that one copy serves all. */
  let datagrams = new Uint8Array(0)

  function copyOf(octets: Uint8Array): Uint8Array {
    if (!repeat) return octets.slice()
    if (datagrams.length < octets.length) datagrams = new Uint8Array(2 * octets.length)
    datagrams.set(octets)
    return datagrams.subarray(0, octets.length)
  }

  function isTypeRecord({entry}: KeptOption): boolean {
    let is = typeRecords.get(entry)
    if (is === undefined) {
      is = typeRecordReader(table.template(entry)) !== undefined
      typeRecords.set(entry, is)
    }
    return is
  }

  function insert(messages: Messages): Messages {
    stamp(messages)
    let start = 0
    const view = new DataView(messages.octets.buffer, messages.octets.byteOffset)
    for (const [i, end] of messages.ends.entries()) {
      const domain = view.getUint32(start + 12)
      inserted.set(domain, (inserted.get(domain) ?? 0) + messages.counts[i])
      start = end
    }
    return messages
  }

  function stamp({octets, ends, counts}: Messages): void {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const exportTime = now()
    let start = 0
    let domain = -1
    let sequence = 0
    for (let i = 0; i < ends.length; i++) {
      const own = view.getUint32(start + 12)
      if (own !== domain) {
        if (domain >= 0) sequences.set(domain, sequence)
        domain = own
        sequence = sequences.get(own) ?? 0
      }
      view.setUint32(start + 4, exportTime)
      view.setUint32(start + 8, sequence)
      sequence = (sequence + counts[i]) >>> 0
      start = ends[i]
    }
    if (domain >= 0) sequences.set(domain, sequence)
  }

  /**
   * Type records go ahead of Templates with the elements that they describe, other options behind those they may name; what is
   * said of SNMP objects stands in the Message of its Template (RFC 8038 section 5.7).
   */
  function announcements(position: number): Messages {
    const most = maxOctets()
    const time = now()
    const entries = table.before(position)
    const options = table.optionsBefore(position)
    const types = options.filter(isTypeRecord)
    const others = options.filter((option) => !isTypeRecord(option))
    const own = new Set(types.map(({entry}) => entry))
    const mib = mibAnnouncements(table, entries, others, most, time)
    return insert(
      concatenateMessages([
        templateMessages([...own], most, time),
        optionsMessages(types, most, time),
        templateMessages(
          entries.filter((entry) => !own.has(entry) && !mib.entries.has(entry)),
          most,
          time,
        ),
        mib.messages,
        optionsMessages(
          others.filter((option) => !mib.options.has(option)),
          most,
          time,
        ),
      ]),
    )
  }

  /** Message by Message, where some are too long or have others before them. */
  function rebuild(slice: Slice, most: number): Outgoing {
    const messages: Uint8Array[] = []
    const counts: number[] = []
    const tooLong: Uint8Array[] = []
    let start = 0
    for (const [i, end] of slice.ends.entries()) {
      if (repeat && slice.announces[i] === 1) {
        const position = slice.start + start
        const entries = table.before(position + 1).filter((entry) => entry.position === position)
        // Those that need options beside them do not go ahead alone.
        const mib = mibAnnouncements(table, entries, table.optionsBefore(position + 1), most, now())
        const alone = entries.filter((entry) => !mib.entries.has(entry))
        const ahead = templateMessages(alone, most, now())
        for (let k = 0, from = 0; k < ahead.ends.length; from = ahead.ends[k++]) {
          messages.push(ahead.octets.subarray(from, ahead.ends[k]))
          counts.push(0)
        }
      }
      if (end - start <= most) {
        messages.push(slice.octets.subarray(start, end))
        counts.push(slice.counts[i])
      } else {
        const split = splitMessage(slice.octets, start, end, most, table)
        messages.push(...split.messages)
        counts.push(...split.counts)
        tooLong.push(...split.tooLong)
      }
      start = end
    }
    const joined = joinMessages(messages, Uint32Array.from(counts))
    return {
      ...joined,
      ...(tooLong.length > 0 && {lost: [['record-too-long', tooLong]] as const}),
    }
  }

  return {
    begin(position) {
      sequences = new Map()
      return announcements(position)
    },
    encode(slice) {
      const most = maxOctets()
      let start = 0
      let plain = true
      for (let i = 0; i < slice.ends.length && plain; i++) {
        plain = slice.ends[i] - start <= most && !(repeat && slice.announces[i] === 1)
        start = slice.ends[i]
      }
      const outgoing: Outgoing = plain
        ? {
            octets: copyOf(slice.octets),
            ends: slice.ends,
            counts: slice.counts,
          }
        : rebuild(slice, most)
      stamp(outgoing)
      return outgoing
    },
    refresh: announcements,
    insert,
    save: (): WireState => ({sequences: new Map(sequences), inserted: new Map(inserted)}),
    restore(state) {
      const before = state as WireState
      sequences = new Map(before.sequences)
      // What was sent besides is not sent again, and keeps its numbers.
      for (const [domain, count] of inserted) {
        const since = count - (before.inserted.get(domain) ?? 0)
        if (since > 0) sequences.set(domain, ((sequences.get(domain) ?? 0) + since) >>> 0)
      }
    },
  }
}
