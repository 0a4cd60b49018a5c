/** The times of a group's protocol, milliseconds. */
export interface Timing {
  /** A node and its coordinator say at least this often that they are there; a node also when it has exported more. */
  readonly beatMs: number
  /** Who is silent for so long, by the listener's own monotonic clock, is gone. */
  readonly ttlMs: number
  /** A node whose connection broke is given so long to come back. */
  readonly graceMs: number
  /** From a plan until its instant: at least two beats, so that it is everywhere in time. */
  readonly leadMs: number
  /** The same where a node died: nobody gives anything away. */
  readonly lossLeadMs: number
  /** Clocks of nodes differ by less than this. */
  readonly guardMs: number
}

export const TIMING: Timing = {
  beatMs: 200,
  ttlMs: 800,
  graceMs: 200,
  leadMs: 600,
  lossLeadMs: 150,
  guardMs: 50,
}

/** Clocks are read to a few milliseconds: one that moved by less beside the monotonic clock was not set. */
export const LEAST_SET_MS = 10
/** A plan does not begin so much later than now, or than the one after it, ms, unless clocks were set. */
export const VOID_MS = 10_000

/** The times of a group whose time to live and guard band, ms, are these. */
export function timingFor(ttlMs: number, guardMs: number): Timing {
  const leadMs = Math.max(TIMING.leadMs, 2 * guardMs + 2 * TIMING.beatMs)
  return {...TIMING, ttlMs, guardMs, leadMs}
}

/** Both clocks of a host. */
export interface Instant {
  /** Monotonic, ms: for who is alive. */
  readonly mono: number
  /** Ms since 1970, the clock that stamps packets: for when a plan begins. */
  readonly wall: number
}
