import {strftime} from '../formats/human/presentation.js'
import {DartaError} from '../record/errors.js'

/** When a series of files goes on to its next one: `-G`, `-C`, `-W`. */
export interface Rotation {
  /** Length of a period in milliseconds; periods are whole multiples of it since 1970, UTC. */
  readonly periodMs?: number
  /** Octets of a file, before compression. */
  readonly octets?: number
  /** Files of a series: after the last one the first is written anew. */
  readonly files?: number
}

/** Which file of which series. */
export interface Place {
  /** Number of the series, from 1; undefined where there is only one. */
  readonly part?: number
  /** Number of the file in its series, from 1. */
  readonly file: number
  /** Where its period begins, milliseconds since 1970. */
  readonly startMs?: number
}

/** Gaps of more empty periods than these get no files: a wrong clock would make millions. */
export const MOST_EMPTY_PERIODS = 288

/** Where the period of a time begins. */
export function periodStart(ms: number, periodMs: number): number {
  return Math.floor(ms / periodMs) * periodMs
}

/**
 * The starts of the periods after the one that begins at `from`, up to the one of `ms`. Of a gap of more than
 * MOST_EMPTY_PERIODS only the last is given.
 */
export function periodsUntil(from: number, ms: number, periodMs: number): number[] {
  const last = periodStart(ms, periodMs)
  const count = Math.round((last - from) / periodMs)
  if (count > MOST_EMPTY_PERIODS) return [last]
  return Array.from({length: Math.max(count, 0)}, (_, i) => from + (i + 1) * periodMs)
}

/**
 * The name that a pattern gives a file. `%i` is the number of the part, `%n` that of the file in its series (`%03n` pads
 * with zeros), `%%` a percent sign. With periods all letters of strftime(3) mean the start of the period, UTC;
 * without, `%d` is the same as `%i`. Where there is one series only, its files are the parts, so that `%i` is `%n`.
 *
 * A ring's and a sequence's files whose pattern has no number get one behind the name, as tcpdump(1) does: none for
 * the first, then 1, 2, 3 …; in a ring 0, 1, … with as many zeros in front as the last one needs.
 */
export function placeName(pattern: string, place: Place, rotation: Rotation = {}): string {
  const {periodMs, octets, files} = rotation
  const file = files === undefined ? place.file : ((place.file - 1) % files) + 1
  const part = place.part ?? file
  const numbers: Record<string, number> = {i: part, n: file}
  if (periodMs === undefined) numbers.d = part
  const named = pattern.replace(
    /%(0\d)?([a-zA-Z%])/g,
    (all, width: string | undefined, letter: string) => {
      const pad = Number(width ?? 0)
      if (Object.hasOwn(numbers, letter)) return String(numbers[letter]).padStart(pad, '0')
      if (width !== undefined) return all
      if (letter === '%') return '%'
      if (periodMs === undefined) return all
      return strftime(new Date(place.startMs ?? 0), `%${letter}`, '')
    },
  )
  const numbered =
    /%(0\d)?n/.test(pattern) || (place.part === undefined && /%(0\d)?i/.test(pattern))
  const alsoByDay = place.part === undefined && periodMs === undefined && /%(0\d)?d/.test(pattern)
  if (octets === undefined || numbered || alsoByDay) return named
  if (files !== undefined) return named + String(file - 1).padStart(String(files - 1).length, '0')
  return file === 1 ? named : `${named}${file - 1}`
}

/**
 * Refuses a pattern that names two files alike that are not the same.
 *
 * @param parts series there are; 0: one without a number
 * @throws DartaError DARTA_USAGE
 */
export function checkPattern(pattern: string, parts: number, rotation: Rotation): void {
  const {periodMs, octets, files} = rotation
  if (files !== undefined && octets === undefined) {
    throw new DartaError('DARTA_USAGE', '-W makes a ring of files that -C has filled: give -C too')
  }
  if (files !== undefined && periodMs !== undefined) {
    throw new DartaError('DARTA_USAGE', '-W makes a ring of files by size, which -G cannot be in')
  }
  const startMs = 0
  const part = parts === 0 ? undefined : 1
  const first = placeName(pattern, {part, file: 1, startMs}, rotation)
  const same = (place: Place): boolean => placeName(pattern, place, rotation) === first
  if (parts > 1 && same({part: 2, file: 1, startMs})) {
    const number = periodMs === undefined ? '%d' : '%i'
    throw new DartaError('DARTA_USAGE', `-w ${pattern} names all parts alike; put ${number} in it`)
  }
  if (periodMs !== undefined && same({part, file: 2, startMs: periodMs})) {
    throw new DartaError(
      'DARTA_USAGE',
      `-w ${pattern} names the files of two periods alike; put a time in it, as in %Y%m%d-%H%M`,
    )
  }
}
