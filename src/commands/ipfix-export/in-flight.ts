import type {Slice} from './message-log.js'

/** A slice that was sent, until nobody can ask for it again. */
export interface Sent {
  readonly slice: Slice
  /** Octets of the session before it and with it. */
  readonly from: number
  readonly to: number
  /** When, by `performance.now()`. */
  readonly at: number
  /** Of the wire, before it. */
  readonly state: unknown
}

/** What a session has sent and may have to send again, in order. */
export interface InFlight {
  add(sent: Sent): void
  /** Forgets what nothing has to be sent of again, when the session's first `octets` octets are safe. */
  settleOctets(octets: number): void
  /** As `settleOctets`: what was sent before `time` is safe. */
  settleTime(time: number): void
  /** Data Records of those of its Messages that end at `position` of the log or before, and these Messages. */
  before(position: number): {readonly records: number; readonly messages: Uint8Array[]}
  /** Place in the log from which it would have to be sent again, or `otherwise` if nothing would. */
  position(otherwise: number): number
  /** The first that is left. */
  readonly first: Sent | undefined
  /** Forgets all. */
  clear(): void
}

export function createInFlight(): InFlight {
  let list: Sent[] = []
  /** Octets of the first slice's Messages that are safe. */
  let settled = 0
  return {
    add: (sent) => void list.push(sent),
    settleOctets(octets) {
      let gone = 0
      while (gone < list.length && list[gone].to <= octets) gone++
      if (gone > 0) {
        list = list.slice(gone)
        settled = 0
      }
      const first = list[0]
      if (first === undefined || first.from >= octets) return
      // Whole Messages only: half of one is none.
      const within = octets - first.from
      for (const end of first.slice.ends) if (end <= within) settled = Math.max(settled, end)
    },
    settleTime(time) {
      let gone = 0
      while (gone < list.length && list[gone].at < time) gone++
      if (gone === 0) return
      list = list.slice(gone)
      settled = 0
    },
    before(position) {
      let records = 0
      const messages: Uint8Array[] = []
      for (const [i, {slice}] of list.entries()) {
        let begin = 0
        for (const [k, end] of slice.ends.entries()) {
          if (slice.start + end > position) return {records, messages}
          if (i > 0 || end > settled) {
            records += slice.counts[k]
            messages.push(slice.octets.subarray(begin, end))
          }
          begin = end
        }
      }
      return {records, messages}
    },
    position: (otherwise) => (list.length === 0 ? otherwise : list[0].slice.start + settled),
    get first() {
      return list[0]
    },
    clear() {
      list = []
      settled = 0
    },
  }
}
