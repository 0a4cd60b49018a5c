import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import {once} from 'node:events'
import type {ExecutionContext} from 'ava'
import {mockKafka} from './served.js'
import {
  answerTo,
  int16,
  int32,
  KNOWN,
  questions,
  Reader,
  string,
  type Question,
} from './kafka-wire.js'

/** What a server was asked to make. */
export interface MadeTopic {
  readonly partitions: number
  readonly copies: number
  readonly config: Readonly<Record<string, string>>
}

export interface Administered {
  readonly url: string
  /** The broker itself. */
  readonly behind: string
  readonly made: Map<string, MadeTopic>
  /** By topic and partition: what is before was deleted. */
  readonly deleted: Map<string, number>
}

const METADATA = 3
const API_VERSIONS = 18
const CREATE_TOPICS = 19
const DELETE_RECORDS = 21
const DESCRIBE_CONFIGS = 32
const ADMIN = [CREATE_TOPICS, DELETE_RECORDS, DESCRIBE_CONFIGS]
const NO_SUCH_TOPIC = 3
const EXISTS = 36
/** kcat's topics have no more. */
const MOST_PARTITIONS = 4

const list = (parts: readonly Buffer[]): Buffer[] => [int32(parts.length), ...parts]

/**
 * Before one of kcat's brokers, what a server of Kafka does besides: topics are there when they were made, and not because somebody
 * named them; their settings can be asked for; records are deleted, of which this keeps only the account.
 */
export async function administeredKafka(t: ExecutionContext): Promise<Administered> {
  const {url: behind} = await mockKafka(t, undefined, 1)
  const [host, port] = behind.replace('kafka://', '').split(':')
  const made = new Map<string, MadeTopic>()
  const deleted = new Map<string, number>()
  const dial = (): Socket => connect({host, port: Number(port)})

  /** The broker makes a topic when it is asked of it. */
  async function name(topic: string): Promise<void> {
    const socket = dial()
    const body = Buffer.concat([int32(1), string(topic)])
    const head = Buffer.concat([int16(METADATA), int16(1), int32(1), string('test')])
    socket.write(Buffer.concat([int32(head.length + body.length), head, body]))
    await once(socket, 'data')
    socket.destroy()
  }

  async function answer(socket: Socket, question: Question): Promise<void> {
    const {key, version} = question
    const read = new Reader(question.body)
    if (key === API_VERSIONS) {
      const all = [...KNOWN, ...ADMIN.map((one) => [one, 0, 0])]
      const versions = list(all.map((one) => Buffer.concat(one.map(int16))))
      answerTo(socket, question, int16(0), ...versions, ...(version > 0 ? [int32(0)] : []))
    } else if (key === METADATA) {
      const asked = read.list(() => read.string())
      const topics = (asked.length > 0 ? asked : [...made.keys()]).map((topic) => {
        const of = made.get(topic)
        const partitions = Array.from(
          {length: Math.min(MOST_PARTITIONS, of?.partitions ?? 0)},
          (_, i) =>
            Buffer.concat([int16(0), int32(i), int32(1), ...list([int32(1)]), ...list([int32(1)])]),
        )
        const error = int16(of === undefined ? NO_SUCH_TOPIC : 0)
        return Buffer.concat([error, string(topic), Buffer.of(0), ...list(partitions)])
      })
      const broker = Buffer.concat([int32(1), string('127.0.0.1'), int32(own.port), int16(-1)])
      answerTo(socket, question, ...list([broker]), string('test'), int32(1), ...list(topics))
    } else if (key === CREATE_TOPICS) {
      const errors: Buffer[] = []
      const wanted = read.list(() => {
        const [topic, partitions, copies] = [read.string(), read.int32(), read.int16()]
        read.list(() => read.list(() => read.int32()))
        const config = Object.fromEntries(read.list(() => [read.string(), read.string()]))
        return {topic, of: {partitions, copies, config}}
      })
      for (const {topic, of} of wanted) {
        errors.push(Buffer.concat([string(topic), int16(made.has(topic) ? EXISTS : 0)]))
        await name(topic)
        if (!made.has(topic)) made.set(topic, of)
      }
      answerTo(socket, question, ...list(errors))
    } else if (key === DELETE_RECORDS) {
      const topics = read.list(() => {
        const topic = read.string()
        const partitions = read.list(() => {
          const [partition, below] = [read.int32(), read.int64()]
          deleted.set(`${topic}/${partition}`, below)
          return Buffer.concat([int32(partition), Buffer.alloc(8), int16(0)])
        })
        return Buffer.concat([string(topic), ...list(partitions)])
      })
      answerTo(socket, question, int32(0), ...list(topics))
    } else if (key === DESCRIBE_CONFIGS) {
      const resources = read.list(() => {
        const [type, topic] = [read.int8(), read.string()]
        const entries = read
          .list(() => read.string())
          .map((name) =>
            Buffer.concat([
              string(name),
              string(made.get(topic)?.config[name] ?? ''),
              Buffer.alloc(3),
            ]),
          )
        return Buffer.concat([
          int16(0),
          int16(-1),
          Buffer.of(type),
          string(topic),
          ...list(entries),
        ])
      })
      answerTo(socket, question, int32(0), ...list(resources))
    }
  }

  const server = createServer((socket) => {
    const broker = dial()
    const rest = {octets: Buffer.alloc(0)}
    socket.on('data', (chunk: Buffer) => {
      rest.octets = Buffer.concat([rest.octets, chunk])
      for (const question of questions(rest)) {
        if ([METADATA, API_VERSIONS, ...ADMIN].includes(question.key)) void answer(socket, question)
        else broker.write(question.whole)
      }
    })
    broker.on('data', (chunk) => socket.write(chunk))
    for (const one of [socket, broker]) {
      one
        .on('error', () => {})
        .on('close', () => {
          socket.destroy()
          broker.destroy()
        })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const own = server.address() as AddressInfo
  return {url: `kafka://127.0.0.1:${own.port}`, behind, made, deleted}
}
