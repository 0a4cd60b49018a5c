import {createRequire} from 'node:module'
import {isIP} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {checkServerIdentity} from 'node:tls'
import {DartaError} from '../record/errors.js'
import {EngineFull, type Engine, type EngineOptions, type Entry, type Stored} from './engine.js'
import {connectWhole, sendInPlace} from './nats-transport.js'

/** What is used of the npm package `nats`, which is optional. */
interface NatsModule {
  connect(options: Record<string, unknown>): Promise<Connection>
  headers(): Headers
  readonly nkeys: {fromSeed(seed: Uint8Array): {getPublicKey(): string}}
  nkeyAuthenticator(seed: Uint8Array): unknown
  credsAuthenticator(credentials: Uint8Array): unknown
}
interface Headers {
  set(name: string, value: string): void
  readonly code: number
  readonly description: string
}
interface Connection {
  readonly info?: {readonly version: string; readonly cluster?: string}
  publish(
    subject: string,
    octets: Uint8Array,
    options?: {reply?: string; headers?: Headers | undefined},
  ): void
  subscribe(
    subject: string,
    options: {callback: (error: Error | null, message: Message) => void},
  ): {unsubscribe(): void}
  status(): AsyncIterable<{
    readonly type: string
    readonly permissionContext?: {readonly operation: string; readonly subject: string}
  }>
  reconnect(): Promise<void>
  close(): Promise<void>
}
interface Message {
  readonly subject: string
  readonly data: Uint8Array
  readonly reply?: string
  readonly headers?: Headers
}

/** What JetStream answers, as far as it is read. */
interface Answer {
  readonly error?: {readonly code: number; readonly err_code?: number; readonly description: string}
  readonly seq?: number
  readonly message?: {readonly seq: number; readonly data?: string; readonly hdrs?: string}
  readonly cluster?: {readonly leader?: string}
  readonly config?: {readonly num_replicas: number}
  readonly state?: {readonly bytes: number; readonly subjects?: Readonly<Record<string, number>>}
  readonly total?: number
  readonly offset?: number
  readonly limit?: number
}

/** Why there is none, by the codes that the package uses too. */
class NoAnswer extends Error {
  constructor(code: string) {
    super(code)
    this.code = code
  }
  readonly code: string
}

/** Somebody who waits for an answer. */
interface Asked {
  readonly subject: string
  take(answer: Answer): void
  reject(error: Error): void
}

/** A consumer of one part of a topic. */
interface Reader {
  readonly stream: string
  readonly name: string
  readonly inbox: string
  /** What has come and was not read. */
  readonly queue: Entry[]
  /** Number from which the next read is expected. */
  next: number
  /** Messages that were asked for and have not come. */
  asked: number
  /** When the server last said anything. */
  heard: number
  /** When the last message came, or since when there is the consumer. */
  gave: number
  fault: DartaError | undefined
  wake: () => void
  readonly subscription: {unsubscribe(): void}
}

/** Servers before this have lost acknowledged messages in clusters. */
const LEAST_CLUSTER = [2, 10, 23]
const CONNECT_MS = 3000
const ANSWER_MS = 5000
/** A connection whose server says nothing for three of these is given up: a link that was cut closes none. */
const PING_MS = 1000
/** A server of a cluster through which nothing was answered for so long may be cut off from the others. */
const CUT_OFF_MS = 4000
/** So many failures in this time are too many, too. */
const MOST_FAILURES = 5
const FAILURES_MS = 10_000
/** A consumer that has nothing for so long may be at a server that does not get it: publishers say something four times a second. */
const SILENT_MS = 3000
/** How long a cluster may need before it answers the first time, and how often it is asked. */
const AGREE_MS = 20_000
const RETRY_MS = 250
/** How long another answer is waited for, where the first is that of a server that knows nothing. */
const SECOND_MS = 1000
/** How often publishers look how full a log is, and how often where it is. */
const LOOK_MS = 1000
const FULL_LOOK_MS = 100
/** A log is never as large as its server allows: see findRoom. */
const SPARE_OCTETS = 64e6
const SMALL_OCTETS = 512
/** Copying less costs nothing. */
const LARGE_OCTETS = 8192
/** How long a read waits for entries. */
const READ_MS = 200
/** Entries of a part that come before they are read, at most, and how few ask for more. */
const AHEAD = 24
const FEW = 8
/** A request for entries lives so long, and is known to live by a word as often. */
const PULL_MS = 10_000
const PULL_BEAT_MS = 1000

/** Codes of JetStream. */
const WRONG_REVISION = 10071
const NO_MESSAGE = 10037
const NO_STREAM = 10059
const NO_PEERS = 10005
const NO_CLUSTER = 10074
/** How long servers may take to learn what room the others have. */
const PEERS_MS = 3000
/** Octets of the stream, and of all of the server. */
const FULL = [10077, 10047]

const empty = new Uint8Array(0)
const utf8 = {encoder: new TextEncoder(), decoder: new TextDecoder()}

/**
 * NATS with JetStream; a bucket of the registry is what NATS calls a key-value store. Of JetStream only what servers from
 * 2.9 on have: one subject to a consumer, revisions, discard of new messages when a stream is full, purging of a stream's head, or
 * of a key. What is asked of the registry, its keys included, is answered by the leader of a bucket's copies: others may be behind.
 *
 * @throws DartaError DARTA_ENGINE nobody answers within 3 s, the server has no JetStream, or is one that loses messages
 */
export async function connectNats(options: EngineOptions): Promise<Engine> {
  const nats = loadPackage()
  const {url, answerMs = ANSWER_MS} = options
  const credentials = options.credentials && credentialsOf(options.credentials)
  const inboxPrefix = inboxOf(nats, credentials)
  let connection: Connection
  try {
    const connect =
      connectWhole(createRequire(import.meta.url)) ??
      ((how: Record<string, unknown>) => nats.connect(how))
    connection = (await connect({
      servers: url.split(',').map((server) => server.replace(/^(nats|tls):\/\//, '')),
      timeout: CONNECT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
      pingInterval: PING_MS,
      maxPingOut: 3,
      noAsyncTraces: true,
      name: 'darta',
      ...authentication(nats, credentials),
      ...(url.startsWith('tls:') && {
        tls: {...options.tls, checkServerIdentity: identityCheck(url)},
      }),
    })) as Connection
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
  const replicas = options.replicas ?? (cluster === undefined ? 1 : 3)
  const buckets = new Map<string, Promise<void>>()
  const readers = new Map<string, Reader>()
  /** Octets of topics' logs, as far as is known. */
  const known = new Map<string, {at: number; octets: number; looking: Promise<void> | undefined}>()
  let answeredAt = performance.now()
  let failures: number[] = []
  let names = 0
  const own = Math.random().toString(36).slice(2)
  // The package can ask too, for half as much again as publishing costs.
  const asked = new Map<string, Asked>()
  const answers = `${inboxPrefix}.${own}`
  connection.subscribe(`${answers}.*`, {
    callback: (error, message) => {
      const of = asked.get(message.subject)
      if (error !== null) for (const one of asked.values()) one.reject(error)
      else if (message.headers?.code === 503 && message.data.length === 0) {
        of?.reject(new NoAnswer('503'))
      } else of?.take(JSON.parse(utf8.decoder.decode(message.data)) as Answer)
    },
  })
  void (async () => {
    for await (const {type, permissionContext: refused} of connection.status()) {
      // What was asked of a server that has gone nobody answers.
      if (type === 'disconnect') {
        for (const one of [...asked.values()]) one.reject(new NoAnswer('DISCONNECT'))
      }
      if (type === 'reconnect') for (const reader of readers.values()) reader.asked = 0
      if (refused?.operation !== 'publish') continue
      const of = [...asked.values()].find(({subject}) => subject === refused.subject)
      of?.reject(new NoAnswer('PERMISSIONS_VIOLATION'))
    }
  })()

  function request(subject: string, octets: Uint8Array, headers?: Headers): Promise<Answer> {
    const reply = `${answers}.${names++}`
    return new Promise<Answer>((resolve, reject) => {
      let second: NodeJS.Timeout | undefined
      const timer = setTimeout(() => {
        asked.get(reply)?.reject(new NoAnswer('TIMEOUT'))
      }, answerMs)
      const done = (): void => {
        clearTimeout(timer)
        clearTimeout(second)
        asked.delete(reply)
      }
      asked.set(reply, {
        subject,
        take: (answer) => {
          const take = (): void => {
            done()
            resolve(answer)
          }
          // A server that has lost touch with the others answers too; the one that knows may be slower.
          if (isBlind(answer)) second ??= setTimeout(take, SECOND_MS)
          else take()
        },
        reject: (error) => {
          done()
          reject(error)
        },
      })
      const inPlace =
        headers === undefined &&
        octets.length >= LARGE_OCTETS &&
        sendInPlace(connection, subject, reply, octets)
      if (!inPlace) connection.publish(subject, octets, {reply, headers})
    })
  }

  const streamOf = (topic: string): string => `DARTA_${topic}`
  const subjectOf = (topic: string, part: number): string => `darta.${topic}.${part}`
  const bucketStream = (bucket: string): string => `KV_darta_${bucket.split('/')[0]}`
  const keySubject = (bucket: string, key: string): string =>
    `$KV.darta_${bucket.replace('/', '.')}.${key}`

  /** Asks, and gives what was answered, which may say that it failed. @throws DartaError nothing was answered */
  async function ask(subject: string, octets: Uint8Array, headers?: Headers): Promise<Answer> {
    try {
      const answer = await request(subject, octets, headers)
      // Of its part of a cluster that is cut off a server says that it cannot.
      if (isBlind(answer)) changeServer()
      else answeredAt = performance.now()
      return answer
    } catch (error) {
      changeServer()
      throw engineError(url, error, subject)
    }
  }

  /** A question was not answered, or by a server that knows nothing. */
  function changeServer(): void {
    const now = performance.now()
    failures = [...failures.filter((at) => now - at < FAILURES_MS), now]
    if (cluster === undefined) return
    // A server may also have lost a part of what it should know of the others, and answer the rest.
    if (now - answeredAt < CUT_OFF_MS && failures.length < MOST_FAILURES) return
    answeredAt = now
    failures = []
    void connection.reconnect()
  }

  /** @throws DartaError it failed, unless by one of these codes */
  async function api(name: string, body?: unknown, ...allowed: number[]): Promise<Answer> {
    const octets = body === undefined ? empty : utf8.encoder.encode(JSON.stringify(body))
    const answer = await ask(`$JS.API.${name}`, octets)
    // What it says of the stream may be long past.
    if (name.startsWith('STREAM.INFO.') && answer.error === undefined && isBlind(answer)) {
      throw new DartaError('DARTA_ENGINE', `${url}: nobody leads ${name.slice(12)} now`)
    }
    if (answer.error === undefined || allowed.includes(answer.error.err_code ?? 0)) return answer
    throw refusal(answer)
  }

  function refusal({error}: Answer): DartaError {
    return new DartaError('DARTA_ENGINE', `${url}: ${error?.description ?? 'refused'}`)
  }

  /** Makes a stream where there is none. */
  async function makeStream(config: {readonly name: string}): Promise<void> {
    const {name} = config
    const known = await api(`STREAM.INFO.${name}`, undefined, NO_STREAM)
    if (known.error === undefined) {
      const copies = known.config?.num_replicas
      if (options.replicas === undefined || copies === options.replicas) return
      throw new DartaError(
        'DARTA_USAGE',
        `--replicas ${options.replicas}: ${name} is at ${url} with ${copies ?? 0}`,
      )
    }
    const create = (): Promise<Answer> =>
      api(`STREAM.CREATE.${name}`, {...config, num_replicas: replicas}, NO_PEERS, NO_CLUSTER)
    let made = await create()
    // Servers that have just met each other may say so too.
    for (const since = performance.now(); made.error?.err_code === NO_PEERS;) {
      if (performance.now() - since > PEERS_MS) break
      await sleep(RETRY_MS)
      made = await create()
    }
    if (made.error === undefined) return
    throw new DartaError(
      'DARTA_ENGINE',
      `${url}: there are no ${replicas} servers with room for a copy each (--replicas): ${made.error.description}`,
    )
  }

  function haveBucket(bucketName: string): Promise<void> {
    const [bucket] = bucketName.split('/')
    let made = buckets.get(bucket)
    if (made === undefined) {
      made = makeStream({
        name: bucketStream(bucket),
        ...{subjects: [keySubject(bucket, '>')], max_msgs_per_subject: 1, max_bytes: -1},
        ...{retention: 'limits', discard: 'new', storage: 'file', allow_rollup_hdrs: true},
      })
      // Asked again where it failed.
      made.catch(() => buckets.delete(bucket))
      buckets.set(bucket, made)
    }
    return made
  }

  /**
   * A server whose stream is nearly full may take a small message and forget the oldest for it, though it was told to refuse
   * new ones. So publishers look themselves, now and then, how much there is.
   *
   * @throws EngineFull
   */
  async function findRoom(topic: string, octets: number): Promise<void> {
    // What a publisher says between its records lets units move on, and so the log forget.
    const most = options.maxOctets + (octets < SMALL_OCTETS ? SPARE_OCTETS / 2 : 0)
    let of = known.get(topic)
    const age = performance.now() - (of?.at ?? -Infinity)
    const isFull = of !== undefined && of.octets + octets > most
    if (age > LOOK_MS || isFull) {
      // One look for all parts that ask.
      let looking = of?.looking
      if (looking === undefined && age > FULL_LOOK_MS) {
        looking = api(`STREAM.INFO.${streamOf(topic)}`).then(({state}) => {
          known.set(topic, {at: performance.now(), octets: state?.bytes ?? 0, looking: undefined})
        })
        looking.catch(() => known.delete(topic))
        known.set(topic, {at: of?.at ?? -Infinity, octets: of?.octets ?? 0, looking})
      }
      await looking
      of = known.get(topic)
    }
    if (of === undefined) return
    if (of.octets + octets > most) throw new EngineFull(`${url}: ${topic} is full`)
    of.octets += octets
  }

  function openReader(topic: string, part: number, from: number): Promise<Reader> {
    const stream = streamOf(topic)
    const name = `darta-${own}-${names++}`
    // What others may subscribe to is theirs.
    const inbox = `${inboxPrefix}.${name}`
    const reader: Reader = {
      ...{
        stream,
        name,
        inbox,
        queue: [],
        next: from,
        asked: 0,
        heard: performance.now(),
        gave: performance.now(),
      },
      ...{fault: undefined, wake: () => {}},
      subscription: connection.subscribe(inbox, {
        callback: (error, message) => {
          reader.heard = performance.now()
          if (error !== null) reader.fault = engineError(url, error)
          else take(reader, message)
          reader.wake()
        },
      }),
    }
    readers.set(`${topic}/${part}`, reader)
    const subject = subjectOf(topic, part)
    return api(`CONSUMER.CREATE.${stream}.${name}.${subject}`, {
      stream_name: stream,
      config: {
        ...{name, filter_subject: subject, ack_policy: 'none'},
        ...{deliver_policy: 'by_start_sequence', opt_start_seq: from, replay_policy: 'instant'},
        ...{inactive_threshold: 60_000_000_000, mem_storage: true, num_replicas: 1},
      },
    }).then(
      () => reader,
      (error: unknown) => {
        forget(topic, part)
        throw error
      },
    )
  }

  function take(reader: Reader, {data, headers, reply}: Message): void {
    if (headers !== undefined && headers.code > 0) {
      if (headers.code === 408 || headers.code === 404) reader.asked = 0
      else if (headers.code !== 100) {
        const {code, description} = headers
        reader.fault = new DartaError('DARTA_ENGINE', `${url}: ${description} (${code})`)
      }
      return
    }
    const sequence = sequenceOf(reply ?? '')
    if (sequence === undefined) return
    reader.asked = Math.max(0, reader.asked - 1)
    reader.queue.push({sequence, octets: data})
    reader.gave = performance.now()
  }

  /** Asks for entries before they are needed. */
  function pull(reader: Reader): void {
    if (reader.asked > 0 || reader.queue.length > FEW) return
    reader.asked = AHEAD
    reader.heard = performance.now()
    const [expires, idle_heartbeat] = [PULL_MS * 1e6, PULL_BEAT_MS * 1e6]
    const request = JSON.stringify({batch: AHEAD, expires, idle_heartbeat})
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${reader.stream}.${reader.name}`
    connection.publish(subject, utf8.encoder.encode(request), {reply: reader.inbox})
  }

  function forget(topic: string, part: number): void {
    const key = `${topic}/${part}`
    const reader = readers.get(key)
    if (reader === undefined) return
    readers.delete(key)
    reader.subscription.unsubscribe()
    // A server that does not hear of it forgets it after a while.
    api(`CONSUMER.DELETE.${reader.stream}.${reader.name}`).catch(() => {})
  }

  for (const since = performance.now(); ; await sleep(RETRY_MS)) {
    try {
      await api('INFO')
      break
    } catch (error) {
      // Servers of a cluster that have just met, or lost another, agree first.
      if (cluster !== undefined && performance.now() - since < AGREE_MS) continue
      await connection.close()
      throw error
    }
  }
  return {
    name: url,
    clock: {now: () => performance.now(), sleep: async (ms) => void (await sleep(ms))},
    declare: async (topic, _parts, of) => {
      await makeStream({
        name: streamOf(topic),
        ...{subjects: [`darta.${topic}.*`], retention: 'limits', discard: 'new', storage: 'file'},
        max_bytes: options.maxOctets * 2 + SPARE_OCTETS,
      } as {name: string})
      await Promise.all(of.map(haveBucket))
    },
    drop: async (topic, of) => {
      await api(`STREAM.DELETE.${streamOf(topic)}`, undefined, NO_STREAM)
      for (const bucket of of) {
        const filter = keySubject(bucket, '>')
        await api(`STREAM.PURGE.${bucketStream(bucket)}`, {filter}, NO_STREAM)
      }
    },
    append: async (topic, part, octets) => {
      await findRoom(topic, octets.length)
      const answer = await ask(subjectOf(topic, part), octets)
      if (answer.seq !== undefined) return answer.seq
      const {description = '', err_code: code = 0} = answer.error ?? {}
      if (FULL.includes(code)) throw new EngineFull(`${url}: ${description}`)
      throw refusal(answer)
    },
    read: async (topic, part, from, most) => {
      let reader = readers.get(`${topic}/${part}`)
      if (reader?.next !== from) {
        forget(topic, part)
        reader = await openReader(topic, part, from)
      }
      pull(reader)
      if (reader.queue.length === 0 && reader.fault === undefined) {
        const waiting = reader
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, READ_MS)
          waiting.wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      const entries = reader.queue.splice(0, most)
      if (entries.length > 0) {
        reader.next = entries[entries.length - 1].sequence + 1
        pull(reader)
        return entries
      }
      if (reader.fault !== undefined) {
        forget(topic, part)
        throw reader.fault
      }
      // Nobody answers the request any more: whoever had the consumer has gone, and it with him. Or he has nothing to give.
      const now = performance.now()
      if (now - reader.heard > 3 * PULL_BEAT_MS || now - reader.gave > SILENT_MS) {
        forget(topic, part)
      }
      return entries
    },
    trim: async (topic, below) => {
      // Only the head of a stream is removed: other ways of removing have lost messages in clusters.
      const seq = Math.min(...below)
      if (seq > 1 && Number.isFinite(seq)) await api(`STREAM.PURGE.${streamOf(topic)}`, {seq})
    },
    get: async (bucket, key): Promise<Stored | undefined> => {
      const found = await last(bucket, key)
      return found?.deleted === false ? found : undefined
    },
    put: async (bucket, key, value, expected) => {
      await haveBucket(bucket)
      const answer = await putAt(bucket, key, value, expected)
      if (answer !== undefined || expected !== 0) return answer
      // Servers before keep a mark of what was deleted.
      const found = await last(bucket, key)
      return found?.deleted === true ? putAt(bucket, key, value, found.revision) : undefined
    },
    delete: async (bucket, key) => {
      const filter = keySubject(bucket, key)
      await api(`STREAM.PURGE.${bucketStream(bucket)}`, {filter}, NO_STREAM)
    },
    keys: async (bucket) => {
      const filter = keySubject(bucket, '>')
      const keys: string[] = []
      for (let offset = 0; ;) {
        const answer = await api(
          `STREAM.INFO.${bucketStream(bucket)}`,
          {subjects_filter: filter, offset},
          NO_STREAM,
        )
        const subjects = Object.keys(answer.state?.subjects ?? {})
        for (const subject of subjects) keys.push(subject.slice(filter.length - 1))
        offset += subjects.length
        if (subjects.length === 0 || offset >= (answer.total ?? 0)) return keys
      }
    },
    close: async () => {
      await connection.close()
    },
  }

  async function putAt(
    bucket: string,
    key: string,
    value: Uint8Array,
    expected: number,
  ): Promise<number | undefined> {
    const headers = nats.headers()
    headers.set('Nats-Expected-Last-Subject-Sequence', String(expected))
    const answer = await ask(keySubject(bucket, key), value, headers)
    if (answer.seq !== undefined && answer.error === undefined) return answer.seq
    if (answer.error?.err_code === WRONG_REVISION) return undefined
    throw refusal(answer)
  }

  async function last(
    bucket: string,
    key: string,
  ): Promise<(Stored & {readonly deleted: boolean}) | undefined> {
    const {message} = await api(
      `STREAM.MSG.GET.${bucketStream(bucket)}`,
      {last_by_subj: keySubject(bucket, key)},
      ...[NO_MESSAGE, NO_STREAM],
    )
    if (message === undefined) return undefined
    const marks = Buffer.from(message.hdrs ?? '', 'base64').toString()
    return {
      value: Buffer.from(message.data ?? '', 'base64'),
      revision: message.seq,
      deleted: marks.includes('KV-Operation'),
    }
  }
}

/** Whether the server that answered knows of no leader, and so of nothing new. */
function isBlind({error, cluster}: Answer): boolean {
  return error?.code === 503 || (cluster !== undefined && cluster.leader === undefined)
}

/** Number of a message in its stream, which a server puts into the subject of its acknowledgement. */
function sequenceOf(reply: string): number | undefined {
  const tokens = reply.split('.')
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined
  // Between servers of several domains two tokens more.
  const sequence = Number(tokens[tokens.length === 9 ? 5 : 7])
  return Number.isSafeInteger(sequence) ? sequence : undefined
}

/** The seed of an NKey, or credentials as NATS writes them, a JWT with a seed. */
type Credentials = {readonly kind: 'seed' | 'jwt'; readonly text: string} | undefined

/** @throws DartaError DARTA_USAGE */
function credentialsOf({path, text}: NonNullable<EngineOptions['credentials']>): Credentials {
  if (text.includes('-----BEGIN NATS USER JWT-----')) return {kind: 'jwt', text}
  const [seed] = /^SU[A-Z2-7]{56}$/m.exec(text) ?? []
  if (seed === undefined) {
    throw new DartaError('DARTA_USAGE', `${path} holds neither an NKey's seed nor NATS credentials`)
  }
  return {kind: 'seed', text: seed}
}

function authentication(nats: NatsModule, credentials: Credentials): Record<string, unknown> {
  if (credentials === undefined) return {}
  const octets = utf8.encoder.encode(credentials.text.trim())
  if (credentials.kind === 'jwt') return {authenticator: nats.credsAuthenticator(octets)}
  return {authenticator: nats.nkeyAuthenticator(octets), inboxPrefix: inboxOf(nats, credentials)}
}

/** Where a user's answers go: with an NKey, where nobody else may listen. */
function inboxOf(nats: NatsModule, credentials: Credentials): string {
  if (credentials?.kind !== 'seed') return '_INBOX'
  try {
    const seed = utf8.encoder.encode(credentials.text.trim())
    return `_INBOX.${nats.nkeys.fromSeed(seed).getPublicKey()}`
  } catch (error) {
    throw new DartaError('DARTA_USAGE', 'the credentials hold no seed of an NKey', undefined, error)
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

/** @param subject that was asked */
function engineError(url: string, error: unknown, subject?: string): DartaError {
  if (error instanceof DartaError) return error
  const {message = String(error), code} = error as {message?: string; code?: string}
  let words = message
  if (code === '503') {
    words =
      subject === '$JS.API.INFO'
        ? 'it has no JetStream (nats-server -js)'
        : `nobody has ${subject ?? 'it'} now`
  } else if (code === 'PERMISSIONS_VIOLATION') {
    return new DartaError(
      'DARTA_PERMISSION',
      `${url}: who these credentials are may not use ${subject ?? message}`,
      undefined,
      error,
    )
  } else if (code === 'AUTHORIZATION_VIOLATION') {
    words = 'it asks who connects (--engine-credentials), or does not know these credentials'
  } else if (code === 'DISCONNECT') words = 'the connection was lost'
  else if (code === 'TIMEOUT' && subject !== undefined) words = `no answer about ${subject}`
  return new DartaError('DARTA_ENGINE', `${url}: ${words}`, undefined, error)
}
