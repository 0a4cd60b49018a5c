import {pause} from '../../io/pause.js'

/** Behind its time by so much, a sender does not try to make up for it: that would be a burst. */
const MOST_BEHIND_MS = 50

/** Holds a sender to a number of records a second, evenly. */
export interface Pace {
  /** About how many octets to send at once. */
  readonly octets: number
  /** Resolves when so many records may go. */
  wait(records: number, signal: AbortSignal): Promise<void>
}

/** @param rate records a second; undefined: as fast as they are taken */
export function createPace(rate: number | undefined, burstOctets: number): Pace {
  if (rate === undefined) return {octets: burstOctets, wait: async () => {}}
  // Steps of some milliseconds, of records of 70 octets: what timers can do.
  const octets = Math.max(1, Math.min(burstOctets, Math.round(rate * 0.005 * 70)))
  let dueAt = 0
  return {
    octets,
    async wait(records, signal) {
      const now = performance.now()
      dueAt = Math.max(dueAt, now - MOST_BEHIND_MS)
      const ahead = dueAt - now
      dueAt += (records / rate) * 1000
      if (ahead > 1) await pause(ahead, signal)
    },
  }
}

/**
 * Where in the log each second of export time begins, so that Messages can be sent again as they were spaced: those of one
 * second evenly over it, as their headers say no more.
 */
export interface Timeline {
  /** Takes in that the Messages from `position` on have this export time. */
  enter(position: number, exportTime: number): void
  /** Milliseconds since the first Message of the log at which the one at `position` is due. */
  due(position: number): number
  trim(position: number): void
}

export function createTimeline(): Timeline {
  let seconds: [position: number, exportTime: number][] = []
  let first: number | undefined
  return {
    enter(position, exportTime) {
      first ??= exportTime
      const last = seconds.at(-1)
      // Of files joined in any order, what is older than what went before goes at once.
      if (last === undefined || exportTime > last[1]) seconds.push([position, exportTime])
    },
    due(position) {
      let at = 0
      while (at + 1 < seconds.length && seconds[at + 1][0] <= position) at++
      const second = seconds[at]
      if (second === undefined || first === undefined) return 0
      const [start, exportTime] = second
      const next = seconds[at + 1]?.[0]
      // The last second known may still go on.
      const part = next === undefined ? 0 : (position - start) / Math.max(next - start, 1)
      return (exportTime - first + Math.min(part, 1)) * 1000
    },
    trim(position) {
      let gone = 0
      while (gone + 1 < seconds.length && seconds[gone + 1][0] <= position) gone++
      if (gone > 0) seconds = seconds.slice(gone)
    },
  }
}
