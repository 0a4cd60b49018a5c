/**
 * A packet time. Nanoseconds since 1970 do not fit a number, so milliseconds (in which the timeouts
 * are) and the rest are kept apart.
 */
export interface Time {
  /** Whole milliseconds since 1970, 0..9223372036854. */
  ms: number
  /** Nanoseconds beyond, 0..999999. */
  ns: number
}

/** The latest time there is: 2^63 − 1 ns, in the year 2262. */
export const LAST_TIME: Readonly<Time> = {ms: 9223372036854, ns: 775807}

/** Whether `a` is later than `b`. */
export function isLater(a: Readonly<Time>, b: Readonly<Time>): boolean {
  return a.ms > b.ms || (a.ms === b.ms && a.ns > b.ns)
}

/** Makes `target` the same moment as `source`. */
export function setTime(target: Time, source: Readonly<Time>): void {
  target.ms = source.ms
  target.ns = source.ns
}

/** Nanoseconds since 1970. */
export function nanoseconds(time: Readonly<Time>): bigint {
  return BigInt(time.ms) * 1000000n + BigInt(time.ns)
}

/** Sets `target` to `ns` nanoseconds since 1970, cut to what a Time can hold. */
export function setNanoseconds(target: Time, ns: bigint): void {
  if (ns < 0n) {
    target.ms = 0
    target.ns = 0
  } else if (ns >= 2n ** 63n) setTime(target, LAST_TIME)
  else {
    target.ms = Number(ns / 1000000n)
    target.ns = Number(ns % 1000000n)
  }
}
