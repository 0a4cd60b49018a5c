import {splitMessage} from '../../ipfix/split-message.js'
import {joinMessages, templateMessages, type Messages} from '../../ipfix/template-table.js'
import type {TemplateTable} from '../../ipfix/template-table.js'
import type {Slice} from './message-log.js'

/** What goes on the wire for a slice of the log. */
export interface Outgoing extends Messages {
  /** For each Message or datagram, which Message of the slice it comes from. */
  readonly sources: Uint32Array
  /** Data Records that are in none, by reason. */
  readonly lost?: readonly [reason: string, records: number][]
}

/** Turns the log's Messages into those of one Transport Session. */
export interface Wire {
  /** Begins a session: what has to be sent before that which follows `position` in the log. */
  begin(position: number): Messages
  encode(slice: Slice): Outgoing
  /** What goes out again from time to time where nothing tells whether it arrived; with `position` as of `begin`. */
  refresh(position: number): Messages
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

/**
 * IPFIX: the log's own Messages, with the time at which they leave and the sequence numbers of this session, which count the
 * Data Records sent before in each Observation Domain. RFC 7011 section 3.1.
 */
export function ipfixWire({table, maxOctets, repeat, now}: WireOptions): Wire {
  let sequences = new Map<number, number>()

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

  function announcements(position: number): Messages {
    const messages = templateMessages(table.before(position), maxOctets(), now())
    stamp(messages)
    return messages
  }

  /** Message by Message, where some are too long or have others before them. */
  function rebuild(slice: Slice, most: number): Outgoing {
    const messages: Uint8Array[] = []
    const counts: number[] = []
    const sources: number[] = []
    let tooLong = 0
    let start = 0
    for (const [i, end] of slice.ends.entries()) {
      if (repeat && slice.announces[i] === 1) {
        const position = slice.start + start
        const entries = table.before(position + 1).filter((entry) => entry.position === position)
        const ahead = templateMessages(entries, most, now())
        for (let k = 0, from = 0; k < ahead.ends.length; from = ahead.ends[k++]) {
          messages.push(ahead.octets.subarray(from, ahead.ends[k]))
          counts.push(0)
          sources.push(i)
        }
      }
      if (end - start <= most) {
        messages.push(slice.octets.subarray(start, end))
        counts.push(slice.counts[i])
        sources.push(i)
      } else {
        const split = splitMessage(slice.octets, start, end, most, table)
        messages.push(...split.messages)
        counts.push(...split.counts)
        sources.push(...split.messages.map(() => i))
        tooLong += split.tooLong
      }
      start = end
    }
    const joined = joinMessages(messages, Uint32Array.from(counts))
    return {
      ...joined,
      sources: Uint32Array.from(sources),
      ...(tooLong > 0 && {lost: [['record-too-long', tooLong]] as const}),
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
            octets: slice.octets.slice(),
            ends: slice.ends,
            counts: slice.counts,
            sources: Uint32Array.from(slice.ends.keys()),
          }
        : rebuild(slice, most)
      stamp(outgoing)
      return outgoing
    },
    refresh: announcements,
    save: () => new Map(sequences),
    restore(state) {
      sequences = new Map(state as Map<number, number>)
    },
  }
}
