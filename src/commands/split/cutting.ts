import {periodsUntil, periodStart, type Place, type Rotation} from '../../cli/rotation.js'

/** Says when parts go on to their next files. All have the same periods; by size each has files of its own. */
export interface Cutting {
  /** Places at which all parts begin, in order, before what is of this time is written. Time never goes back. */
  at(ms: number): readonly number[]
  /** How many files a part has had. */
  place(part: number, startMs: number | undefined): Place
}

/** @param parts how many have numbers; 0: there is one, without */
export function createCutting(rotation: Rotation, parts: number): Cutting {
  const {periodMs} = rotation
  const files = new Map<number, number>()
  let now: number | undefined
  return {
    at(ms) {
      if (periodMs === undefined) return []
      if (now === undefined) {
        now = periodStart(ms, periodMs)
        return [now]
      }
      if (ms < now + periodMs) return []
      const starts = periodsUntil(now, ms, periodMs)
      now = starts.at(-1)!
      return starts
    },
    place(part, startMs) {
      const file = (files.get(part) ?? 0) + 1
      files.set(part, file)
      return {part: parts === 0 ? undefined : part + 1, file, startMs}
    },
  }
}
