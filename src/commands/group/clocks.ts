import {performance} from 'node:perf_hooks'
import type {Instant} from '../../metering/coordination/timing.js'

/** A process that was stopped between the readings reads again: a difference means that the clock was set. */
const CLOSE_MS = 2
const MOST_READINGS = 20

/** This host's clocks now, read at the same time. */
export function now(): Instant {
  let best: Instant | undefined
  let least = Infinity
  for (let reading = 0; reading < MOST_READINGS && least >= CLOSE_MS; reading++) {
    const mono = performance.now()
    const wall = Date.now()
    const took = performance.now() - mono
    if (best === undefined || took < least) best = {mono, wall}
    least = Math.min(least, took)
  }
  return best!
}
