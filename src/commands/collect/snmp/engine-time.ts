/** Where the clock of an engine stands: how often it was started, and seconds since. Both up to 2^31 − 1. RFC 3414 section 2.2. */
export interface EngineTime {
  readonly boots: number
  readonly time: number
}

/** Seconds that messages may be late. RFC 3414 section 2.2.3. */
const WINDOW = 150
/** Of boots and time; an engine that was started so often has to get new keys. */
const LAST = 2 ** 31 - 1
/** Engines whose clocks are remembered. */
const MOST_ENGINES = 65536

/**
 * What is known of the clocks of engines that tell something, by what they said and how long ago that was. Only what is authentic
 * may be asked for here.
 */
export interface EngineTimes {
  /**
   * Whether a message of this engine is as young as it has to be; a younger one than all before is believed.
   * RFC 3414 section 3.2, step 7b.
   *
   * @param nowMs of a clock that never goes back
   */
  admits(engine: string, said: EngineTime, nowMs: number): boolean
}

export function createEngineTimes(): EngineTimes {
  const known = new Map<string, {said: EngineTime; atMs: number}>()
  return {
    admits(engine, said, nowMs) {
      let notion = known.get(engine)
      const advances =
        notion === undefined ||
        said.boots > notion.said.boots ||
        (said.boots === notion.said.boots && said.time > notion.said.time)
      if (advances) {
        notion = {said, atMs: nowMs}
        known.delete(engine)
        known.set(engine, notion)
        // The one that has been silent for longest.
        if (known.size > MOST_ENGINES) known.delete(known.keys().next().value!)
      }
      const {boots, time} = later(notion!.said, Math.floor((nowMs - notion!.atMs) / 1000))
      return (
        boots !== LAST &&
        said.boots >= boots &&
        !(said.boots === boots && time - said.time > WINDOW)
      )
    },
  }
}

/** RFC 3414 section 2.2.2: when the time is at its end, the boots are one more. */
function later({boots, time}: EngineTime, seconds: number): EngineTime {
  const sum = time + seconds
  if (sum <= LAST) return {boots, time: sum}
  return {boots: Math.min(LAST, boots + 1), time: sum - LAST - 1}
}

/** The clock of this engine, by which informs are judged. */
export interface OwnEngineTime {
  now(): EngineTime
  /** Whether an inform that says this is neither late nor early. RFC 3414 section 3.2, step 7a. */
  admits(said: EngineTime): boolean
}

/** Since when starts are counted. */
const FIRST_START_MS = Date.UTC(2026, 0, 1)

/**
 * Instead of a number of starts, which would have to be kept, the second of the start: it is greater each time unless the clock was set
 * back, and lasts until 2094.
 *
 * @param startMs since 1970
 * @param elapsedMs since then, by a clock that never goes back
 */
export function createOwnEngineTime(startMs: number, elapsedMs: () => number): OwnEngineTime {
  const seconds = Math.floor((startMs - FIRST_START_MS) / 1000)
  const boots = Math.min(LAST - 1, Math.max(1, seconds))
  const now = (): EngineTime => later({boots, time: 0}, Math.floor(elapsedMs() / 1000))
  return {
    now,
    admits(said) {
      const own = now()
      return said.boots === own.boots && Math.abs(said.time - own.time) <= WINDOW
    },
  }
}
