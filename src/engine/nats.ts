import {createRequire} from 'node:module'
import {isIP} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {checkServerIdentity} from 'node:tls'
import {DartaError} from '../record/errors.js'
import type {Engine, Entry, Stored} from './engine.js'

/** What is used of the npm package `nats`, which is optional. */
interface NatsModule {
  connect(options: Record<string, unknown>): Promise<Connection>
}
interface Connection {
  readonly info?: {readonly version: string; readonly cluster?: string}
  jetstream(options?: Record<string, unknown>): JetStream
  jetstreamManager(options?: Record<string, unknown>): Promise<Manager>
  drain(): Promise<void>
  close(): Promise<void>
}
interface JetStream {
  publish(
    subject: string,
    octets: Uint8Array,
    options: Record<string, unknown>,
  ): Promise<{readonly seq: number}>
  readonly consumers: {get(stream: string, name: string): Promise<Consumer>}
  readonly views: {kv(bucket: string, options: Record<string, unknown>): Promise<Kv>}
}
interface Manager {
  readonly streams: {
    add(config: Record<string, unknown>): Promise<unknown>
    info(name: string): Promise<unknown>
    purge(name: string, options: {seq: number}): Promise<unknown>
  }
  readonly consumers: {
    add(stream: string, config: Record<string, unknown>): Promise<{readonly name: string}>
    delete(stream: string, name: string): Promise<unknown>
  }
}
interface Consumer {
  fetch(options: Record<string, unknown>): Promise<AsyncIterable<Message>>
}
/** A consumer of one part of a topic, and the sequence number that it gives next. */
interface Reader {
  readonly consumer: Consumer
  readonly name: string
  next: number
}
interface Message {
  readonly seq: number
  readonly data: Uint8Array
}
interface KvEntry {
  readonly value: Uint8Array
  readonly revision: number
  readonly operation: string
}
interface Kv {
  get(key: string): Promise<KvEntry | null>
  create(key: string, value: Uint8Array): Promise<number>
  update(key: string, value: Uint8Array, revision: number): Promise<number>
  delete(key: string): Promise<void>
  keys(): Promise<AsyncIterable<string>>
}

export interface NatsOptions {
  /** `nats://HOST[:PORT]`, several with commas; `tls://` asks for TLS and verifies the server. */
  readonly url: string
  /** Copies of everything; 3 in a cluster. */
  readonly replicas: number
  /** Octets of each topic's log; a full log blocks its publishers. */
  readonly maxOctets: number
  readonly tls?: {
    readonly caFile?: string
    /** The same, and what the server asks for, as PEM. */
    readonly ca?: string | undefined
    readonly cert?: string | undefined
    readonly key?: string | undefined
  }
  /** How long an answer is waited for, ms; 5000 unless said otherwise. */
  readonly answerMs?: number
  /** Also clusters of servers that are known to lose acknowledged messages. */
  readonly allowOldServer?: boolean
}

/** Servers before this have lost acknowledged messages in clusters. */
const LEAST_CLUSTER = [2, 10, 23]
const CONNECT_MS = 4000
const ANSWER_MS = 5000
/** How long a read waits for entries. */
const READ_MS = 200
/** Code of JetStream: the revision is another one. */
const WRONG_REVISION = 10071

/**
 * NATS with JetStream and its key-value store. Of JetStream only what servers from 2.9 on have: one subject to a consumer, revisions,
 * discard of new messages when a stream is full, purging of a stream's head.
 *
 * @throws DartaError DARTA_ENGINE nobody answers within 4 s, the server has no JetStream, or is one that loses messages
 */
export async function connectNats(options: NatsOptions): Promise<Engine> {
  const nats = loadPackage()
  const {url, replicas, answerMs = ANSWER_MS} = options
  let connection: Connection
  let manager: Manager
  try {
    connection = await nats.connect({
      servers: url.split(',').map((server) => server.replace(/^(nats|tls):\/\//, '')),
      timeout: CONNECT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      name: 'darta',
      ...(url.startsWith('tls:') && {
        tls: {...options.tls, checkServerIdentity: identityCheck(url)},
      }),
    })
    manager = await connection.jetstreamManager({timeout: answerMs})
  } catch (error) {
    throw engineError(url, error)
  }
  const {version = '0', cluster} = connection.info ?? {}
  if (cluster !== undefined && isOlder(version) && options.allowOldServer !== true) {
    await connection.close()
    const least = LEAST_CLUSTER.join('.')
    throw new DartaError(
      'DARTA_ENGINE',
      `${url} is a cluster of NATS ${version}, which can lose acknowledged messages; ${least} does not`,
    )
  }
  const js = connection.jetstream({timeout: answerMs})
  const buckets = new Map<string, Promise<Kv>>()
  const readers = new Map<string, Reader>()
  const declared = new Map<string, number>()

  const streamOf = (topic: string): string => `DARTA_${topic}`
  const subjectOf = (topic: string, part: number): string => `darta.${topic}.${part}`

  async function guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw engineError(url, error)
    }
  }

  function kvOf(bucket: string): Promise<Kv> {
    let kv = buckets.get(bucket)
    if (kv === undefined) {
      kv = js.views.kv(`darta_${bucket}`, {history: 1, replicas, timeout: answerMs})
      // Asked again where it failed.
      kv.catch(() => buckets.delete(bucket))
      buckets.set(bucket, kv)
    }
    return kv
  }

  async function readerOf(topic: string, part: number, from: number): Promise<Reader> {
    const key = `${topic}/${part}`
    const known = readers.get(key)
    if (known?.next === from) return known
    if (known !== undefined) await forget(topic, key, known.name)
    const stream = streamOf(topic)
    const {name} = await manager.consumers.add(stream, {
      filter_subject: subjectOf(topic, part),
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      inactive_threshold: 60_000_000_000,
      mem_storage: true,
      num_replicas: 1,
    })
    const reader = {consumer: await js.consumers.get(stream, name), name, next: from}
    readers.set(key, reader)
    return reader
  }

  async function forget(topic: string, key: string, name: string): Promise<void> {
    readers.delete(key)
    await manager.consumers.delete(streamOf(topic), name).catch(() => {})
  }

  return {
    name: url,
    clock: {now: () => performance.now(), sleep: async (ms) => void (await sleep(ms))},
    declare: (topic, parts) =>
      guarded(async () => {
        declared.set(topic, parts)
        await manager.streams.add({
          name: streamOf(topic),
          subjects: [`darta.${topic}.*`],
          retention: 'limits',
          discard: 'new',
          storage: 'file',
          max_bytes: options.maxOctets,
          num_replicas: replicas,
        })
      }),
    append: (topic, part, octets) =>
      guarded(async () => {
        const {seq} = await js.publish(subjectOf(topic, part), octets, {timeout: answerMs})
        return seq
      }),
    read: (topic, part, from, most) =>
      guarded(async () => {
        const reader = await readerOf(topic, part, from)
        const entries: Entry[] = []
        try {
          const found = await reader.consumer.fetch({max_messages: most, expires: 1000 + READ_MS})
          for await (const {seq, data} of found) {
            entries.push({sequence: seq, octets: data})
            reader.next = seq + 1
            if (entries.length === most) break
          }
        } catch (error) {
          await forget(topic, `${topic}/${part}`, reader.name)
          throw error
        }
        return entries
      }),
    trim: (topic, part, below) =>
      guarded(async () => {
        const kv = await kvOf('trim')
        const own = new TextEncoder().encode(String(below))
        const key = (of: number): string => `${topic}_${of}`
        const known = await kv.get(key(part))
        if (known === null) await kv.create(key(part), own).catch(() => 0)
        else await kv.update(key(part), own, known.revision).catch(() => 0)
        // Only the head of a stream is removed, and only by one: other ways of removing have lost messages in clusters.
        const parts = declared.get(topic)
        if (part !== 0 || parts === undefined) return
        let least = below
        for (let other = 1; other < parts; other++) {
          const stored = await kv.get(key(other))
          if (stored === null) return
          least = Math.min(least, Number(new TextDecoder().decode(stored.value)))
        }
        if (least > 1) await manager.streams.purge(streamOf(topic), {seq: least})
      }),
    get: (bucket, key) =>
      guarded(async (): Promise<Stored | undefined> => {
        const entry = await (await kvOf(bucket)).get(key)
        if (entry === null || entry.operation !== 'PUT') return undefined
        return {value: entry.value, revision: entry.revision}
      }),
    put: (bucket, key, value, expected) =>
      guarded(async () => {
        const kv = await kvOf(bucket)
        try {
          return await (expected === 0 ? kv.create(key, value) : kv.update(key, value, expected))
        } catch (error) {
          const {api_error: api} = error as {api_error?: {err_code?: number}}
          if (api?.err_code === WRONG_REVISION) return undefined
          throw error
        }
      }),
    delete: (bucket, key) => guarded(async () => (await kvOf(bucket)).delete(key)),
    keys: (bucket) =>
      guarded(async () => {
        const keys: string[] = []
        for await (const key of await (await kvOf(bucket)).keys()) keys.push(key)
        return keys
      }),
    close: async () => {
      await connection.close()
    },
  }
}

/** The package knows no name of a server that is given by its address; its certificate has to bear that. */
function identityCheck(url: string): typeof checkServerIdentity {
  const addresses = url
    .replace(/^tls:\/\//, '')
    .split(',')
    .map((server) => server.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
    .filter((host) => isIP(host) !== 0)
  return (host, certificate) => {
    const fault = checkServerIdentity(host, certificate)
    if (fault === undefined || host !== 'localhost') return fault
    const faults = addresses.map((address) => checkServerIdentity(address, certificate))
    return faults.includes(undefined) ? undefined : (faults[0] ?? fault)
  }
}

function loadPackage(): NatsModule {
  try {
    return createRequire(import.meta.url)('nats') as NatsModule
  } catch (error) {
    throw new DartaError(
      'DARTA_ENGINE',
      'the npm package nats, which talks to NATS servers, is not installed',
      undefined,
      error,
    )
  }
}

function isOlder(version: string): boolean {
  const numbers = version.split('.').map((part) => parseInt(part, 10))
  for (const [i, least] of LEAST_CLUSTER.entries()) {
    if ((numbers[i] ?? 0) !== least) return (numbers[i] ?? 0) < least
  }
  return false
}

function engineError(url: string, error: unknown): DartaError {
  if (error instanceof DartaError) return error
  const {message, code} = error as {message?: string; code?: string}
  const words =
    code === '503' ? 'it has no JetStream (nats-server -js)' : (message ?? String(error))
  return new DartaError('DARTA_ENGINE', `${url}: ${words}`, undefined, error)
}
