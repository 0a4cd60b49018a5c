/** A counter as it was read. */
export interface Counter {
  readonly value: bigint
  readonly bits: 32 | 64
  /** The most that it can count in a second, where that is known. */
  readonly mostPerSecond: number | undefined
}

/** Counters of one thing that were read in one answer, and what tells whether they went on since the answer before. */
export interface Reading<Name extends string> {
  /** When it was asked for and when it came, in milliseconds of a clock that only goes forward. */
  readonly askedMs: number
  readonly answeredMs: number
  /** sysUpTime, hundredths of a second, modulo 2^32. */
  readonly upTime: number | undefined
  /** When its counters last began anew, as sysUpTime; 0: not since the device did. RFC 2863, ifCounterDiscontinuityTime. */
  readonly discontinuityTime: number | undefined
  readonly counters: ReadonlyMap<Name, Counter>
}

/**
 * - `first`: there is no reading before;
 * - `continued`;
 * - `wrapped`: some counter passed its greatest value, once;
 * - `restarted`: the device, or its agent, began anew;
 * - `discontinuous`: the counters began anew, or were set back without a word;
 * - `ambiguous`: a counter of 32 bits may have passed its greatest value more often than can be told.
 */
export type Continuity =
  'first' | 'continued' | 'wrapped' | 'restarted' | 'discontinuous' | 'ambiguous'

export interface Deltas<Name extends string> {
  readonly continuity: Continuity
  /** Since the reading before; empty where what was counted between the two is not known. */
  readonly deltas: ReadonlyMap<Name, bigint>
}

const TICK_MS = 10
const TICKS = 2 ** 32
/** By how much clocks may differ, a second and one part in a hundred. */
const SLACK_MS = 1000
const SLACK = 0.01
/** Links fill up a little more than they should where times are not exact. */
const MOST_SLACK = 1.1

/**
 * What was counted between two readings, where that is sound: none of the counters began anew or may have gone round more than
 * once.
 */
export function countDeltas<Name extends string>(
  before: Reading<Name> | undefined,
  now: Reading<Name>,
): Deltas<Name> {
  const none = new Map<Name, bigint>()
  if (before === undefined) return {continuity: 'first', deltas: none}
  if (hasRestarted(before, now)) return {continuity: 'restarted', deltas: none}
  if (before.discontinuityTime !== now.discontinuityTime) {
    return {continuity: 'discontinuous', deltas: none}
  }
  const seconds = (now.answeredMs - before.askedMs) / 1000
  const deltas = new Map<Name, bigint>()
  let wrapped = false
  let ambiguous = false
  for (const [name, {value, bits, mostPerSecond}] of now.counters) {
    const earlier = before.counters.get(name)
    // It is counted in another way now.
    if (earlier === undefined || earlier.bits !== bits) continue
    const most = mostPerSecond === undefined ? undefined : mostPerSecond * seconds * MOST_SLACK
    const round = 2 ** bits
    if (value >= earlier.value) {
      if (bits === 32 && most !== undefined && most >= round) ambiguous = true
      deltas.set(name, value - earlier.value)
      continue
    }
    const delta = value + (1n << BigInt(bits)) - earlier.value
    // Who counts 64 bits does not come round while anybody looks.
    if (bits === 64 || (most !== undefined && Number(delta) > most)) {
      return {continuity: 'discontinuous', deltas: none}
    }
    if (most === undefined || most >= round) ambiguous = true
    wrapped = true
    deltas.set(name, delta)
  }
  if (ambiguous) return {continuity: 'ambiguous', deltas: none}
  return {continuity: wrapped ? 'wrapped' : 'continued', deltas}
}

/** Whether sysUpTime went back, or less far on than time did. It goes round after 497 days. */
function hasRestarted(before: Reading<string>, now: Reading<string>): boolean {
  if (before.upTime === undefined || now.upTime === undefined) return false
  const passed = ((now.upTime - before.upTime + TICKS) % TICKS) * TICK_MS
  const least = now.askedMs - before.answeredMs
  const most = now.answeredMs - before.askedMs
  const slack = SLACK_MS + SLACK * most
  return passed < least - slack || passed > most + slack
}
