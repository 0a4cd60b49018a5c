import type {Clock, Engine, Entry, Stored} from './engine.js'

/** What engines of one process share: the log and the registry, gone with the process. */
export interface EmbeddedStore {
  readonly logs: Map<string, {first: number; entries: Uint8Array[]}>
  readonly buckets: Map<string, Map<string, Stored>>
  revision: number
}

export function createEmbeddedStore(): EmbeddedStore {
  return {logs: new Map(), buckets: new Map(), revision: 0}
}

/**
 * An engine inside one process, for trying things out and for tests.
 *
 * @param clock of the process unless said otherwise
 */
export function createEmbeddedEngine(store: EmbeddedStore, clock: Clock): Engine {
  const logOf = (topic: string, part: number): {first: number; entries: Uint8Array[]} => {
    const name = `${topic}/${part}`
    let log = store.logs.get(name)
    if (log === undefined) {
      log = {first: 1, entries: []}
      store.logs.set(name, log)
    }
    return log
  }
  const bucketOf = (name: string): Map<string, Stored> => {
    let bucket = store.buckets.get(name)
    if (bucket === undefined) {
      bucket = new Map()
      store.buckets.set(name, bucket)
    }
    return bucket
  }
  return {
    name: 'embedded',
    clock,
    async declare() {},
    async drop(topic, buckets) {
      for (const name of store.logs.keys()) {
        if (name.startsWith(`${topic}/`)) store.logs.delete(name)
      }
      for (const bucket of buckets) store.buckets.delete(bucket)
    },
    async append(topic, part, octets) {
      const log = logOf(topic, part)
      log.entries.push(octets.slice())
      return log.first + log.entries.length - 1
    },
    async read(topic, part, from, most) {
      const {first, entries} = logOf(topic, part)
      const start = Math.max(0, from - first)
      return entries
        .slice(start, start + most)
        .map((octets, i): Entry => ({sequence: first + start + i, octets}))
    },
    async trim(topic, below) {
      for (const [part, number] of below.entries()) {
        const log = logOf(topic, part)
        const n = Math.min(log.entries.length, Math.max(0, number - log.first))
        log.entries.splice(0, n)
        log.first += n
      }
    },
    async get(bucket, key) {
      return bucketOf(bucket).get(key)
    },
    async put(bucket, key, value, expected) {
      const of = bucketOf(bucket)
      if ((of.get(key)?.revision ?? 0) !== expected) return undefined
      const revision = ++store.revision
      of.set(key, {value: value.slice(), revision})
      return revision
    },
    async delete(bucket, key) {
      bucketOf(bucket).delete(key)
    },
    async keys(bucket) {
      return [...bucketOf(bucket).keys()]
    },
    async close() {},
  }
}
