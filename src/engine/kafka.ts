import type {Socket} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {DartaError} from '../record/errors.js'
import {
  EngineFull,
  jsonOctets,
  readJson,
  type Engine,
  type EngineOptions,
  type Entry,
} from './engine.js'
import {
  createSocket,
  DEFAULT_PORT,
  engineError,
  faultsOf,
  knows,
  loadPackage,
  partitionsOf,
  saslOf,
  SEED,
  tlsOf,
  typeOf,
  type Cluster,
} from './kafka-client.js'
import {writeProduce} from './kafka-produce.js'
import {createLogRegistry, type LogRegistry, type RegistryRead} from './log-registry.js'

/** A question for the entries of a partition. */
interface Asked {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly resolve: (read: RegistryRead) => void
  readonly reject: (error: unknown) => void
}

/** A part that is read. */
interface Reader {
  readonly queue: Entry[]
  /** Number from which the next read is expected. */
  expected: number
  /** Place from which entries are asked for. */
  next: number
  asking: boolean
  /** Since when a server does not answer. */
  failing: number | undefined
  fault: DartaError | undefined
  usedAt: number
  wake: () => void
}

/** What a publisher knows of how full a topic is. */
interface Fill {
  lookedAt: number
  looking: Promise<void> | undefined
  octets: number
  /** Own entries that are not trimmed, by part: place and octets. */
  own: Map<number, [number, number][]>
  entries: number
  entryOctets: number
}

const CONNECT_MS = 4000
const ANSWER_MS = 4500
/** How long requests that are under way are waited for at the end. */
const GOODBYE_MS = 500
/** A broker is asked for entries that are not there yet for so long; another question waits meanwhile. */
const FETCH_MS = 50
/** Octets of a partition, and of all, that are asked for at once. */
const FETCH_OCTETS = 1024 * 1024
const FETCH_ALL_OCTETS = 8 * 1024 * 1024
/** How long a read waits for entries, and how long one that nobody reads is kept. */
const READ_MS = 200
const UNUSED_MS = 10_000
/** Entries of a part that are asked for before they are read: as long as there are fewer. */
const FEW = 16
/** Partitions of each bucket: keys that are the numbers of parts lie apart. */
const BUCKET_PARTS = 16
/** Where it stands which entries are forgotten: not all brokers forget when they are told. */
const LOGS = 'logs'
const REFRESH_MS = 250
/** How long a topic that was made may need to be known. */
const KNOWN_MS = 10_000
/** How often publishers look how full a log is, and how often where it is. */
const LOOK_MS = 1000
const FULL_LOOK_MS = 100
/** A log holds so much more of what publishers say between their records: it lets units move on, and so the log forget. */
const SPARE_OCTETS = 32e6
const SMALL_OCTETS = 512

/** Numbers of questions that not all servers know. */
const PRODUCE = 0
const CREATE_TOPICS = 19
const DELETE_RECORDS = 21
const DESCRIBE_CONFIGS = 32
const TOPIC = 2
/** Nothing is ever removed by itself: that would be loss. */
const KEEPING = {'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1'}

const recordsOf = (topic: string): string => `darta.records.${topic}`
const bucketTopic = (bucket: string): string => `darta.registry.${bucket.replace('/', '.')}`

/**
 * Kafka: a topic's log is a Kafka topic with a partition for each part, and a bucket of the registry is one too (see
 * log-registry.ts). Nothing of Kafka is used but topics that keep everything, acknowledgements of all replicas, reading from a place and, where a
 * server has it, deletion of a log's head: no groups, no transactions, no compaction.
 *
 * What a publisher takes a log's octets to be, for `maxOctets`, are its own that are not trimmed, and others' entries at the mean of
 * its own.
 *
 * @throws DartaError DARTA_ENGINE nobody answers within 4 s, or the package is not installed; DARTA_USAGE
 */
export async function connectKafka(options: EngineOptions): Promise<Engine> {
  const {url, answerMs = ANSWER_MS} = options
  const connectMs = options.answerMs ?? CONNECT_MS
  const secure = url.startsWith('kafka+tls:')
  const kafka = loadPackage()
  const seeds = url.replace(/^[a-z+]+:\/\//, '').split(',')
  const sasl = options.credentials && saslOf(options.credentials, secure)
  const ssl = secure ? tlsOf(options.tls) : undefined
  const sockets = new Set<Socket>()
  const common = {
    logger: kafka.createLogger({level: 0, logCreator: () => () => {}}),
    socketFactory: createSocket(seeds, sockets),
    // The package parts them at the first colon.
    brokers: seeds.map((_, i) => `${SEED}${i}:${DEFAULT_PORT}`),
    ...{clientId: 'darta', ssl, sasl, isolationLevel: 0, maxInFlightRequests: null},
    ...{connectionTimeout: Math.floor(connectMs / seeds.length) - 100},
    ...{authenticationTimeout: answerMs},
    ...{requestTimeout: answerMs, enforceRequestTimeout: true, metadataMaxAge: 300_000},
    ...{retry: {retries: 0}, allowAutoTopicCreation: false},
  }
  /** A broker answers the questions of a connection in turn: what waits for records must not stop all else. */
  const control = new kafka.Cluster(common)
  const reading = new kafka.Cluster(common)
  const refreshedAt = new Map<Cluster, number>()
  const buckets = new Map<string, Promise<LogRegistry[]>>()
  const readers = new Map<string, Reader>()
  const fills = new Map<string, Fill>()
  let closed = false

  /** Runs what asks a server. @throws DartaError what went wrong, in words */
  async function ask<T>(cluster: Cluster, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof DartaError) throw error
      // Whoever leads a partition may be another now.
      const now = performance.now()
      if (!closed && now - (refreshedAt.get(cluster) ?? -Infinity) > REFRESH_MS) {
        refreshedAt.set(cluster, now)
        cluster.refreshMetadata().catch(() => {})
      }
      throw engineError(url, error)
    }
  }

  /** Whether there is this topic, from now on known. */
  async function isTopic(cluster: Cluster, topic: string): Promise<boolean> {
    try {
      await cluster.addTargetTopic(topic)
      return partitionsOf(cluster, topic).length > 0
    } catch (error) {
      if (typeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return false
      throw engineError(url, error)
    }
  }

  async function leaderOf(cluster: Cluster, topic: string, partition: number): Promise<number> {
    let known = partitionsOf(cluster, topic)
    if (known.length === 0) {
      if (!(await isTopic(cluster, topic))) throw new DartaError('DARTA_ENGINE', noTopic(topic))
      known = partitionsOf(cluster, topic)
    }
    const found = known.find(({partitionId}) => partitionId === partition)
    if (found === undefined) {
      throw new DartaError('DARTA_ENGINE', `${url}: ${topic} has no partition ${partition}`)
    }
    return found.leader
  }

  const noTopic = (topic: string): string => `${url}: there is no topic ${topic}`

  async function produce(topic: string, partition: number, value: Uint8Array): Promise<number> {
    return ask(control, async () => {
      const nodeId = await leaderOf(control, topic, partition)
      const broker = await control.findBroker({nodeId})
      const times = {timeoutMs: answerMs, nowMs: Date.now()}
      const buffer = writeProduce(topic, partition, value, times)
      const encode = async (): Promise<{buf: Buffer; buffer: Buffer}> => ({buf: buffer, buffer})
      const request = {apiKey: PRODUCE, apiVersion: 3, apiName: 'Produce', encode}
      const question = {request, response: kafka.produced}
      const answer = await broker.connectionPool.send(question).catch(async (error: unknown) => {
        if (typeOf(error) === 'KafkaJSConnectionClosedError') await broker.disconnect()
        throw error
      })
      const {topics} = answer as {topics: {partitions: {baseOffset: string}[]}[]}
      return Number(topics[0].partitions[0].baseOffset)
    })
  }

  /** Ends of the first so many partitions of a topic. */
  async function edges(
    cluster: Cluster,
    topic: string,
    partitions: readonly number[],
    fromBeginning: boolean,
  ): Promise<number[]> {
    await leaderOf(cluster, topic, partitions[0])
    const of = partitions.map((partition) => ({partition}))
    const [found] = await cluster.fetchTopicsOffset([{topic, partitions: of, fromBeginning}])
    return partitions.map((partition) =>
      Number(found.partitions.find((one) => one.partition === partition)?.offset ?? 0),
    )
  }

  const fetchNow = createFetcher(control, 0)
  const fetchSoon = createFetcher(reading, FETCH_MS)

  /** Asks a broker for all that is wanted of it at once: one question at a time. */
  function createFetcher(
    cluster: Cluster,
    maxWaitTime: number,
  ): (topic: string, partition: number, from: number) => Promise<RegistryRead> {
    const lanes = new Map<number, {waiting: Asked[]; busy: boolean}>()

    async function work(nodeId: number, lane: {waiting: Asked[]; busy: boolean}): Promise<void> {
      lane.busy = true
      while (lane.waiting.length > 0) {
        // What is asked for in the same moment goes together.
        await new Promise<void>((resolve) => setImmediate(resolve))
        const now = new Map<string, Asked>()
        const later: Asked[] = []
        for (const asked of lane.waiting) {
          const name = `${asked.topic}/${asked.partition}`
          if (now.has(name)) later.push(asked)
          else now.set(name, asked)
        }
        lane.waiting = later
        await answer(nodeId, [...now.values()], maxWaitTime)
      }
      lane.busy = false
    }

    async function answer(nodeId: number, asked: readonly Asked[], waitMs: number): Promise<void> {
      try {
        const broker = await cluster.findBroker({nodeId})
        const {responses} = await broker.fetch({
          ...{maxWaitTime: waitMs, minBytes: 1, maxBytes: FETCH_ALL_OCTETS, isolationLevel: 0},
          topics: asked.map(({topic, partition, from}) => ({
            topic,
            partitions: [{partition, fetchOffset: String(from), maxBytes: FETCH_OCTETS}],
          })),
        })
        for (const {topicName, partitions} of responses) {
          for (const {partition, highWatermark, messages} of partitions) {
            const of = asked.find((one) => one.topic === topicName && one.partition === partition)
            of?.resolve({
              entries: messages.flatMap(({offset, value}) =>
                // A batch of entries comes whole.
                Number(offset) < of.from || value === null
                  ? []
                  : [{at: Number(offset), octets: value}],
              ),
              ...{first: 0, end: Number(highWatermark)},
            })
          }
        }
        for (const one of asked) one.reject(new Error('the server left out a partition'))
      } catch (error) {
        // The package does not say which partition it was.
        if (asked.length > 1) {
          for (const one of asked) await answer(nodeId, [one], 0)
        } else if (typeOf(error) === 'OFFSET_OUT_OF_RANGE') {
          const [{topic, partition, resolve, reject}] = asked
          try {
            const [first] = await edges(cluster, topic, [partition], true)
            const [end] = await edges(cluster, topic, [partition], false)
            resolve({entries: [], first, end})
          } catch (fault) {
            reject(fault)
          }
        } else asked[0].reject(error)
      }
    }

    return (topic, partition, from) =>
      ask(cluster, async () => {
        const nodeId = await leaderOf(cluster, topic, partition)
        return new Promise<RegistryRead>((resolve, reject) => {
          const lane = lanes.get(nodeId) ?? {waiting: [], busy: false}
          lanes.set(nodeId, lane)
          lane.waiting.push({topic, partition, from, resolve, reject})
          if (!lane.busy) void work(nodeId, lane)
        })
      })
  }

  /** Makes topics that are not there. Where a server cannot be asked to, to be asked about one makes it. */
  async function makeTopics(wanted: ReadonlyMap<string, number>): Promise<void> {
    const absent: string[] = []
    for (const topic of wanted.keys()) if (!(await isTopic(control, topic))) absent.push(topic)
    if (absent.length > 0) await ask(control, () => createTopics(absent, wanted))
    for (const since = performance.now(); ;) {
      const unknown: string[] = []
      for (const topic of absent) if (!(await isTopic(control, topic))) unknown.push(topic)
      if (unknown.length === 0) return
      if (performance.now() - since > KNOWN_MS) {
        throw new DartaError('DARTA_ENGINE', noTopic(unknown[0]))
      }
      await sleep(REFRESH_MS)
    }
  }

  async function createTopics(
    names: readonly string[],
    partitions: ReadonlyMap<string, number>,
  ): Promise<void> {
    // Servers are known only with topics, and of darta's there are none yet.
    if (control.getNodeIds().length === 0) await control.refreshMetadata()
    const servers = control.getNodeIds()
    const any = await control.findBroker({nodeId: servers[0]})
    if (!knows(any, CREATE_TOPICS)) return
    const replicationFactor = options.replicas ?? Math.min(3, servers.length)
    // With three copies, one may be gone.
    const config = {
      ...KEEPING,
      ...(replicationFactor >= 3 && {'min.insync.replicas': String(replicationFactor - 1)}),
    }
    const configEntries = Object.entries(config).map(([name, value]) => ({name, value}))
    const controller = await control.findControllerBroker()
    try {
      await controller.createTopics({
        topics: names.map((topic) => {
          return {topic, numPartitions: partitions.get(topic)!, replicationFactor, configEntries}
        }),
        timeout: answerMs,
      })
    } catch (error) {
      // Another was faster.
      if (faultsOf(error).some((one) => typeOf(one) !== 'TOPIC_ALREADY_EXISTS')) throw error
    }
  }

  /** What an administrator made must keep everything too. @throws DartaError DARTA_USAGE */
  async function checkTopic(topic: string, parts: number): Promise<void> {
    const partitions = partitionsOf(control, topic)
    if (partitions.length < parts) {
      throw new DartaError(
        'DARTA_USAGE',
        `${url}: ${topic} has ${partitions.length} partitions, and --parts ${parts} needs as many`,
      )
    }
    const copies = partitions[0].replicas.length
    if (options.replicas !== undefined && options.replicas !== copies) {
      const words = `--replicas ${options.replicas}: ${topic} is at ${url} with ${copies}`
      throw new DartaError('DARTA_USAGE', words)
    }
    let found: readonly {configName: string; configValue: string}[] = []
    try {
      const broker = await control.findBroker({nodeId: partitions[0].leader})
      if (!knows(broker, DESCRIBE_CONFIGS)) return
      const configNames = Object.keys(KEEPING)
      const {resources} = await broker.describeConfigs({
        ...{resources: [{type: TOPIC, name: topic, configNames}], includeSynonyms: false},
      })
      found = resources[0].configEntries
    } catch {
      // Not all may ask.
    }
    for (const {configName: name, configValue} of found) {
      const wanted = KEEPING[name as keyof typeof KEEPING]
      if (wanted === undefined || wanted === configValue) continue
      throw new DartaError(
        'DARTA_USAGE',
        `${url}: ${topic} has ${name}=${configValue}, by which records would be lost; it needs ${wanted}`,
      )
    }
  }

  async function openBucket(bucket: string): Promise<LogRegistry[] | undefined> {
    const known = buckets.get(bucket)
    if (known !== undefined) return known
    const topic = bucketTopic(bucket)
    if (!(await isTopic(control, topic))) return undefined
    const partitions = partitionsOf(control, topic).length
    const registries = Array.from({length: Math.min(BUCKET_PARTS, partitions)}, (_, partition) =>
      createLogRegistry({
        name: `${url}: ${topic}`,
        append: (octets) => produce(topic, partition, octets),
        read: (from) => fetchNow(topic, partition, from),
        trim: (below) => forget(topic, [[partition, below]]),
      }),
    )
    buckets.set(bucket, Promise.resolve(registries))
    return registries
  }

  async function haveBucket(bucket: string): Promise<LogRegistry[]> {
    const known = await openBucket(bucket)
    if (known !== undefined) return known
    await makeTopics(new Map([[bucketTopic(bucket), BUCKET_PARTS]]))
    return (await openBucket(bucket))!
  }

  /** A part's number is spread as the parts are; pieces of a value lie where it does. */
  function shareOf(registries: readonly LogRegistry[], key: string): LogRegistry {
    const [name] = key.split('=')
    if (/^\d{1,9}$/.test(name)) return registries[Number(name) % registries.length]
    let hash = 0x811c9dc5
    for (let i = 0; i < name.length; i++) {
      hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
    }
    return registries[(hash >>> 0) % registries.length]
  }

  /** Deletes heads of logs, where the server does so. */
  async function forget(topic: string, of: readonly (readonly [number, number])[]): Promise<void> {
    const byLeader = new Map<number, {partition: number; offset: string}[]>()
    for (const [partition, below] of of) {
      if (below <= 0) continue
      const leader = await leaderOf(control, topic, partition)
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), {partition, offset: String(below)}])
    }
    for (const [nodeId, partitions] of byLeader) {
      try {
        const broker = await control.findBroker({nodeId})
        if (!knows(broker, DELETE_RECORDS)) return
        await broker.deleteRecords({topics: [{topic, partitions}]})
      } catch {
        // The next time, or never: nobody reads it any more.
      }
    }
  }

  /** Places below which nothing of a topic is there any more. */
  async function floorsOf(topic: string): Promise<readonly number[]> {
    const registries = await openBucket(LOGS)
    const stored = registries && (await shareOf(registries, topic).get(topic))
    return stored === undefined ? [] : (readJson(stored.value) as number[])
  }

  async function raiseFloors(topic: string, to: readonly number[]): Promise<readonly number[]> {
    const registries = await haveBucket(LOGS)
    const share = shareOf(registries, topic)
    for (;;) {
      const stored = await share.get(topic)
      const before = stored === undefined ? [] : (readJson(stored.value) as number[])
      const raised = Array.from({length: Math.max(before.length, to.length)}, (_, part) =>
        Math.max(before[part] ?? 0, Number.isFinite(to[part]) ? to[part] : 0),
      )
      const done = await share.put(topic, jsonOctets(raised), stored?.revision ?? 0)
      if (done !== undefined) return raised
    }
  }

  /** @throws EngineFull */
  async function findRoom(topic: string, octets: number): Promise<void> {
    const most = options.maxOctets + (octets < SMALL_OCTETS ? SPARE_OCTETS : 0)
    let fill = fills.get(topic)
    if (fill === undefined) {
      fill = {
        ...{lookedAt: -Infinity, looking: undefined, octets: 0},
        ...{own: new Map(), entries: 0, entryOctets: octets},
      }
      fills.set(topic, fill)
    }
    const age = performance.now() - fill.lookedAt
    if (age > LOOK_MS || (fill.octets + octets > most && age > FULL_LOOK_MS)) {
      // One look for all parts that ask.
      const of = fill
      of.looking ??= look(topic, of).finally(() => (of.looking = undefined))
      await of.looking
    }
    if (fill.octets + octets > most) throw new EngineFull(`${url}: ${topic} is full`)
    fill.octets += octets
  }

  async function look(topic: string, fill: Fill): Promise<void> {
    const name = recordsOf(topic)
    const forgotten = await floorsOf(topic)
    const [ends, firsts] = await ask(control, async () => {
      await leaderOf(control, name, 0)
      const all = partitionsOf(control, name).map((_, partition) => partition)
      return Promise.all([edges(control, name, all, false), edges(control, name, all, true)])
    })
    let [octets, others] = [0, 0]
    for (const [part, end] of ends.entries()) {
      const floor = Math.max(forgotten[part] ?? 0, firsts[part])
      const own = (fill.own.get(part) ?? []).filter(([at]) => at >= floor)
      fill.own.set(part, own)
      octets += own.reduce((sum, [, size]) => sum + size, 0)
      others += Math.max(0, end - floor - own.length)
    }
    fill.octets = octets + others * (fill.entryOctets / Math.max(1, fill.entries))
    fill.lookedAt = performance.now()
  }

  async function openReader(topic: string, part: number, from: number): Promise<Reader> {
    const reader: Reader = {
      ...{
        queue: [],
        expected: from,
        next: from - 1,
        asking: false,
        failing: undefined,
        fault: undefined,
      },
      ...{usedAt: performance.now(), wake: () => {}},
    }
    readers.set(`${topic}/${part}`, reader)
    const floor = (await floorsOf(topic))[part] ?? 0
    reader.next = Math.max(reader.next, floor)
    return reader
  }

  /** Asks for entries before they are needed. */
  function pull(topic: string, part: number, reader: Reader): void {
    if (reader.asking || closed || reader.queue.length >= FEW) return
    reader.asking = true
    const {next} = reader
    fetchSoon(recordsOf(topic), part, next)
      .then(({entries, first, end}) => {
        for (const {at, octets} of entries) reader.queue.push({sequence: at + 1, octets})
        if (entries.length > 0) reader.next = entries[entries.length - 1].at + 1
        // What is gone the caller misses by itself.
        else if (first > next) reader.next = first
        else if (next > end) {
          const words = `${url}: ${recordsOf(topic)} ends before entry ${next + 1}`
          reader.fault = new DartaError('DARTA_ENGINE', words)
        }
      })
      .then(() => (reader.failing = undefined))
      .catch(async (error: unknown) => {
        reader.failing ??= performance.now()
        // A new leader may be found.
        if (performance.now() - reader.failing > answerMs) reader.fault = engineError(url, error)
        else await sleep(REFRESH_MS)
      })
      .finally(() => {
        reader.asking = false
        reader.wake()
      })
  }

  function dropUnused(): void {
    const now = performance.now()
    for (const [key, {usedAt}] of readers) if (now - usedAt > UNUSED_MS) readers.delete(key)
  }

  await connectAll()
  return {
    name: url,
    clock: {now: () => performance.now(), sleep: async (ms) => void (await sleep(ms))},
    declare: async (topic, parts, of) => {
      const wanted = new Map([[recordsOf(topic), parts]])
      for (const bucket of [...of, LOGS]) wanted.set(bucketTopic(bucket), BUCKET_PARTS)
      await makeTopics(wanted)
      await checkTopic(recordsOf(topic), parts)
    },
    drop: async (topic, of) => {
      const name = recordsOf(topic)
      if (await isTopic(control, name)) {
        const all = partitionsOf(control, name).map((_, partition) => partition)
        const ends = await ask(control, () => edges(control, name, all, false))
        await raiseFloors(topic, ends)
        await forget(name, [...ends.entries()])
      }
      for (const bucket of of) {
        const registries = (await openBucket(bucket)) ?? []
        await Promise.all(registries.map((registry) => registry.clear()))
      }
    },
    append: async (topic, part, octets) => {
      await findRoom(topic, octets.length)
      const at = await produce(recordsOf(topic), part, octets)
      const fill = fills.get(topic)!
      const own = fill.own.get(part)
      if (own === undefined) fill.own.set(part, [[at, octets.length]])
      else own.push([at, octets.length])
      fill.entries++
      fill.entryOctets += octets.length
      return at + 1
    },
    read: async (topic, part, from, most) => {
      const known = readers.get(`${topic}/${part}`)
      const reader = known?.expected === from ? known : await openReader(topic, part, from)
      reader.usedAt = performance.now()
      pull(topic, part, reader)
      if (reader.queue.length === 0 && reader.fault === undefined) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, READ_MS)
          reader.wake = () => {
            if (reader.queue.length === 0 && reader.fault === undefined) {
              pull(topic, part, reader)
              return
            }
            clearTimeout(timer)
            resolve()
          }
        })
        reader.wake = () => {}
      }
      const entries = reader.queue.splice(0, most)
      if (entries.length > 0) {
        reader.expected = entries[entries.length - 1].sequence + 1
        pull(topic, part, reader)
        return entries
      }
      if (reader.fault !== undefined) {
        readers.delete(`${topic}/${part}`)
        throw reader.fault
      }
      dropUnused()
      return entries
    },
    trim: async (topic, below) => {
      const places = below.map((sequence) => sequence - 1)
      const raised = await raiseFloors(topic, places)
      await ask(control, () => forget(recordsOf(topic), [...raised.entries()]))
    },
    get: async (bucket, key) => {
      const registries = await openBucket(bucket)
      return registries && shareOf(registries, key).get(key)
    },
    put: async (bucket, key, value, expected) =>
      shareOf(await haveBucket(bucket), key).put(key, value, expected),
    delete: async (bucket, key) => {
      const registries = await openBucket(bucket)
      if (registries !== undefined) await shareOf(registries, key).delete(key)
    },
    keys: async (bucket) => {
      const registries = (await openBucket(bucket)) ?? []
      return (await Promise.all(registries.map((registry) => registry.keys()))).flat()
    },
    close: async () => {
      await disconnect(GOODBYE_MS)
    },
  }

  async function connectAll(): Promise<void> {
    const connecting = (async () => {
      await connectOne(control)
      // Whoever may not ask is told.
      await isTopic(control, bucketTopic('apps'))
      await connectOne(reading)
    })()
    connecting.catch(() => {})
    const stop = new AbortController()
    try {
      await Promise.race([
        connecting,
        sleep(connectMs, undefined, {signal: stop.signal}).then(() => {
          throw new Error(`no answer within ${connectMs / 1000} s`)
        }),
      ])
    } catch (error) {
      await disconnect(0)
      throw engineError(url, error)
    } finally {
      stop.abort()
    }
  }

  /** Says good-bye to servers that listen, for so long; others are left. */
  async function disconnect(ms: number): Promise<void> {
    closed = true
    const stop = new AbortController()
    const all = Promise.allSettled([control.disconnect(), reading.disconnect()])
    await Promise.race([all, sleep(ms, undefined, {signal: stop.signal}).catch(() => {})])
    stop.abort()
    for (const socket of sockets) socket.destroy()
  }

  /** Tries one server of the URL after the other. */
  async function connectOne(cluster: Cluster): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await cluster.connect()
      } catch (error) {
        if (tries === seeds.length) throw error
      }
    }
  }
}
