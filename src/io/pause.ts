import {setTimeout as delay} from 'node:timers/promises'

/** Waits; ends early, without an error, when `signal` is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, {signal})
  } catch {
    // It is the caller who looks at the signal.
  }
}
