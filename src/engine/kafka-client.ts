import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {connect as connectTcp, isIP, type Socket} from 'node:net'
import {connect as connectTls} from 'node:tls'
import {DartaError} from '../record/errors.js'
import type {EngineOptions} from './engine.js'

/** What is used of the npm package `kafkajs`, which is optional. Its consumers can only be had in groups: hence what is beneath. */
export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findBroker(of: {nodeId: string | number}): Promise<Broker>
  findControllerBroker(): Promise<Broker>
  findTopicPartitionMetadata(topic: string): readonly Partition[]
  getNodeIds(): readonly string[]
  fetchTopicsOffset(
    of: readonly {
      topic: string
      partitions: readonly {partition: number}[]
      fromBeginning: boolean
    }[],
  ): Promise<readonly {readonly partitions: readonly {partition: number; offset: string}[]}[]>
}
interface Partition {
  readonly partitionId: number
  readonly leader: number
  readonly replicas: readonly number[]
}
export interface Broker {
  /** By number of the question. */
  readonly versions: Readonly<Record<string, unknown>> | null
  readonly connectionPool: {
    send(question: {
      readonly request: {
        readonly apiKey: number
        readonly apiVersion: number
        readonly apiName: string
        readonly encode: () => Promise<{readonly buf: Buffer; readonly buffer: Buffer}>
      }
      readonly response: object
    }): Promise<unknown>
  }
  disconnect(): Promise<void>
  fetch(of: {
    maxWaitTime: number
    minBytes: number
    maxBytes: number
    isolationLevel: number
    topics: readonly {
      topic: string
      partitions: readonly {partition: number; fetchOffset: string; maxBytes: number}[]
    }[]
  }): Promise<{responses: readonly Fetched[]}>
  createTopics(of: {
    topics: readonly {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: readonly {name: string; value: string}[]
    }[]
    timeout: number
  }): Promise<unknown>
  describeConfigs(of: {
    resources: readonly {type: number; name: string; configNames: readonly string[]}[]
    includeSynonyms: boolean
  }): Promise<{
    resources: readonly {configEntries: readonly {configName: string; configValue: string}[]}[]
  }>
  deleteRecords(of: {
    topics: readonly {
      topic: string
      partitions: readonly {partition: number; offset: string}[]
    }[]
  }): Promise<unknown>
}
interface Fetched {
  readonly topicName: string
  readonly partitions: readonly {
    readonly partition: number
    readonly highWatermark: string
    readonly messages: readonly {readonly offset: string; readonly value: Uint8Array | null}[]
  }[]
}

/** The package's queue of a connection. */
interface Queue {
  readonly throttledUntil: number
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests: (this: Queue) => void
}

interface KafkaPackage {
  readonly Cluster: new (options: Record<string, unknown>) => Cluster
  createLogger(options: {level: number; logCreator: () => () => void}): unknown
  /** How an answer to Produce is read. */
  readonly produced: object
}

/** Where a server is that says nothing of its port. */
export const DEFAULT_PORT = 9092

/** Names that stand for the URL's servers, by their numbers. */
export const SEED = 'darta-seed-'

/** Connects to the URL's servers by what stands there, and to others as they name themselves. */
export function createSocket(
  seeds: readonly string[],
  all: Set<Socket>,
): (of: {
  readonly host: string
  readonly port: number
  readonly ssl: Record<string, unknown> | null | undefined
  readonly onConnect: () => void
}) => Socket {
  return ({host, port, ssl, onConnect}) => {
    const place = host.startsWith(SEED)
      ? placeOf(seeds[Number(host.slice(SEED.length))])
      : {host, port}
    const name = isIP(place.host) === 0 ? {servername: place.host} : {}
    const socket = ssl
      ? connectTls({...place, ...name, ...ssl}, onConnect)
      : connectTcp(place, onConnect)
    all.add(socket)
    socket.once('close', () => all.delete(socket))
    return socket.setKeepAlive(true, KEEP_ALIVE_MS)
  }
}

const KEEP_ALIVE_MS = 60_000

function placeOf(server: string): {host: string; port: number} {
  const [, host, port] = /^(.*?)(?::(\d+))?$/.exec(server) ?? []
  const bare = server.startsWith('[') ? /^\[(.*)\](?::(\d+))?$/.exec(server) : undefined
  return {
    host: bare?.[1] ?? host ?? server,
    port: Number((bare === undefined || bare === null ? port : bare[2]) ?? DEFAULT_PORT),
  }
}

/** @throws DartaError DARTA_FILE_READ */
export function tlsOf({caFile, ca, cert, key}: NonNullable<EngineOptions['tls']> = {}): object {
  let own = ca
  if (caFile !== undefined) {
    try {
      own = readFileSync(caFile, 'utf8')
    } catch (error) {
      throw new DartaError('DARTA_FILE_READ', `${caFile} cannot be read`, undefined, error)
    }
  }
  return {
    ...(own !== undefined && {ca: own}),
    ...(cert !== undefined && {cert}),
    ...(key !== undefined && {key}),
  }
}

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512']

/**
 * Who connects, as librdkafka's clients are told: lines `sasl.mechanism=`, `sasl.username=` and `sasl.password=`.
 *
 * @throws DartaError DARTA_USAGE
 */
export function saslOf(
  {path, text}: NonNullable<EngineOptions['credentials']>,
  secure: boolean,
): Record<string, string> {
  const lines = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, value] =
      /^\s*sasl\.(mechanisms?|username|password)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined) lines.set(name.replace('mechanisms', 'mechanism'), value)
  }
  const [username, password] = [lines.get('username'), lines.get('password')]
  const mechanism = lines.get('mechanism')?.toLowerCase() ?? ''
  if (username === undefined || password === undefined || !MECHANISMS.includes(mechanism)) {
    throw new DartaError(
      'DARTA_USAGE',
      `${path} does not say sasl.mechanism (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512), sasl.username and sasl.password`,
    )
  }
  if (mechanism === 'plain' && !secure) {
    throw new DartaError(
      'DARTA_USAGE',
      `${path}: PLAIN would send the password for all to read; kafka+tls:// does not`,
    )
  }
  return {mechanism, username, password}
}

export function loadPackage(): KafkaPackage {
  const load = createRequire(import.meta.url)
  try {
    quieten(load('kafkajs/src/network/requestQueue') as {prototype: Queue})
    return {
      Cluster: load('kafkajs/src/cluster') as KafkaPackage['Cluster'],
      produced: load('kafkajs/src/protocol/requests/produce/v3/response') as object,
      ...(load('kafkajs/src/loggers') as Pick<KafkaPackage, 'createLogger'>),
    }
  } catch (error) {
    throw new DartaError(
      'DARTA_ENGINE',
      'the npm package kafkajs, which talks to Kafka servers, is not installed',
      undefined,
      error,
    )
  }
}

/** What is known of a topic's partitions; nothing before any topic is known. */
export function partitionsOf(cluster: Cluster, topic: string): readonly Partition[] {
  try {
    return cluster.findTopicPartitionMetadata(topic)
  } catch {
    return []
  }
}

let quiet = false

/**
 * After each answer the package sets a timer to look at its queue again, for a time that is long past unless the server asked it to
 * wait: Node.js tells users so on standard error. Where there is nothing to look at, none is set.
 */
function quieten({prototype}: {readonly prototype: Queue}): void {
  if (quiet) return
  quiet = true
  const {scheduleCheckPendingRequests: schedule} = prototype
  prototype.scheduleCheckPendingRequests = function (this: Queue) {
    if (this.throttledUntil > Date.now() || this.pending.length > 0) schedule.call(this)
  }
}

export const knows = ({versions}: Broker, question: number): boolean =>
  versions !== null && Object.hasOwn(versions, String(question))

/** What the package names an error, or Kafka. */
export function typeOf(error: unknown): string {
  const {type, name, originalError, cause} = error as {
    readonly [of: string]: unknown
    readonly type?: string
    readonly name?: string
  }
  // After its last try, of which there is one, it wraps what failed.
  const inner = originalError ?? cause
  if (type === undefined && inner instanceof Error) return typeOf(inner)
  return type ?? name ?? ''
}

export function faultsOf(error: unknown): readonly unknown[] {
  const {errors} = error as {errors?: readonly unknown[]}
  return errors ?? [error]
}

const NOT_ALLOWED = /AUTHORIZATION_FAILED$/

export function engineError(url: string, error: unknown): DartaError {
  if (error instanceof DartaError) return error
  const [first] = faultsOf(error)
  const type = typeOf(first)
  const {message = String(first)} = first as {message?: string}
  if (NOT_ALLOWED.test(type)) {
    const words = `${url}: who these credentials are may not do this: ${message}`
    return new DartaError('DARTA_PERMISSION', words, undefined, error)
  }
  const words = /SASL/.test(type)
    ? 'it asks who connects (--engine-credentials), or does not know these credentials'
    : message.replace(/darta-seed-\d+:\d+/g, 'it')
  return new DartaError('DARTA_ENGINE', `${url}: ${words}`, undefined, error)
}
