/** A map of bounded size that forgets what was not asked for longest. */
export interface LruQueue<T> {
  get(key: string): T | undefined
  set(key: string, value: T): void
  delete(key: string): void
  values(): Iterable<T>
  entries(): Iterable<[string, T]>
}

/**
 * Use is marked at most once a round, so that asking for the same thing again and again costs one look.
 *
 * @param gone is told what had to go
 */
export function createQueueOf<T>(most: number, gone: (value: T) => void): LruQueue<T> {
  interface Entry {
    readonly value: T
    used: boolean
  }
  const entries = new Map<string, Entry>()

  function makeRoom(): void {
    // Second chance: what was used since it came to the head goes to the end once more.
    for (const [key, entry] of entries) {
      if (entries.size < most) return
      entries.delete(key)
      if (entry.used && entries.size > 0) {
        entry.used = false
        entries.set(key, entry)
      } else {
        gone(entry.value)
      }
    }
  }

  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entry.used = true
      return entry.value
    },
    set(key, value) {
      if (entries.size >= most) makeRoom()
      entries.set(key, {value, used: false})
    },
    delete: (key) => void entries.delete(key),
    *values() {
      for (const {value} of entries.values()) yield value
    },
    *entries() {
      for (const [key, {value}] of entries) yield [key, value]
    },
  }
}
