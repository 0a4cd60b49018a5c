/** What tells a request from others; `exact` and `timeMs` narrow `key` down where it may come again with another meaning. */
export interface RequestIdentity {
  readonly key: string
  readonly exact?: string
  /** Milliseconds since 1970. */
  readonly timeMs?: number | undefined
}

/** Requests that have been taken, so that one that is sent again is known. */
export interface RecentRequests<T> {
  /** What was kept of a request with this identity. */
  find(identity: RequestIdentity): T | undefined
  /** Keeps a new one; the oldest goes for it where there are very many. */
  add(identity: RequestIdentity, kept: T): void
  /** A request was not taken after all. */
  forget(identity: RequestIdentity): void
  values(): Iterable<readonly [RequestIdentity, T]>
}

/** By how much the times of two repetitions may differ: delays are told in whole seconds. */
const SLACK_MS = 3000

export function createRecentRequests<T>(most: number): RecentRequests<T> {
  const entries = new Map<string, {identity: RequestIdentity; kept: T}>()

  return {
    find(identity) {
      const known = entries.get(identity.key)
      if (known === undefined) return undefined
      const {exact, timeMs} = known.identity
      if (identity.exact === undefined || identity.exact === exact) return known.kept
      if (timeMs === undefined || identity.timeMs === undefined) return undefined
      return Math.abs(timeMs - identity.timeMs) <= SLACK_MS ? known.kept : undefined
    },
    add(identity, kept) {
      entries.delete(identity.key)
      if (entries.size >= most) entries.delete(entries.keys().next().value as string)
      entries.set(identity.key, {identity, kept})
    },
    forget: ({key}) => void entries.delete(key),
    *values() {
      for (const {identity, kept} of entries.values()) yield [identity, kept]
    },
  }
}
