import {performance} from 'node:perf_hooks'
import type {Instant} from '../../metering/coordination/timing.js'

/** This host's clocks now. */
export function now(): Instant {
  return {mono: performance.now(), wall: Date.now()}
}
