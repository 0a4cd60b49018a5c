import type {Clock} from './engine.js'

/**
 * Tells what has not changed for long, by this process's own clock. While the engine does not answer, nobody can change
 * anything, and that time does not count.
 */
export interface Watch {
  /** The engine has answered. */
  sound(): void
  /** It has not. */
  unsound(): void
  isStale(key: string, revision: number, afterMs: number): boolean
}

export function createWatch(clock: Clock): Watch {
  const watched = new Map<string, {revision: number; since: number}>()
  let soundSince: number | undefined
  return {
    sound() {
      soundSince ??= clock.now()
    },
    unsound() {
      soundSince = undefined
    },
    isStale(key, revision, afterMs) {
      const now = clock.now()
      const known = watched.get(key)
      if (known?.revision !== revision) {
        watched.set(key, {revision, since: now})
        return false
      }
      return now - Math.max(known.since, soundSince ?? now) >= afterMs
    },
  }
}
