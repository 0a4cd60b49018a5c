// An IPDR/SP exporter, written from the specification (IPDR/SP 2.3): what it sends and reads is its own code, and shares none with the
// decoder.
import {once} from 'node:events'
import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import type {ExecutionContext} from 'ava'
import {
  counted,
  encodeValue,
  text,
  TYPE,
  u16,
  u32,
  u64,
  u8,
  type FieldData,
  type TypeName,
} from './ipdr-writer.js'

export const KIND = {
  FLOW_START: 0x01,
  FLOW_STOP: 0x03,
  CONNECT: 0x05,
  CONNECT_RESPONSE: 0x06,
  DISCONNECT: 0x07,
  SESSION_START: 0x08,
  SESSION_STOP: 0x09,
  TEMPLATE_DATA: 0x10,
  FINAL_TEMPLATE_DATA_ACK: 0x13,
  GET_SESSIONS: 0x14,
  GET_SESSIONS_RESPONSE: 0x15,
  GET_TEMPLATES: 0x16,
  GET_TEMPLATES_RESPONSE: 0x17,
  MODIFY_TEMPLATE: 0x1a,
  MODIFY_TEMPLATE_RESPONSE: 0x1b,
  DATA: 0x20,
  DATA_ACK: 0x21,
  ERROR: 0x23,
  REQUEST: 0x30,
  KEEP_ALIVE: 0x40,
} as const

export type Kind = keyof typeof KIND

const kindNames = new Map<number, Kind>(
  Object.entries(KIND).map(([name, id]) => [id, name as Kind]),
)

export function message(kind: Kind, session: number, ...body: readonly Buffer[]): Buffer {
  const octets = Buffer.concat(body)
  return Buffer.concat([
    ...[u8(2), u8(KIND[kind]), u8(session), u8(0), u32(8 + octets.length)],
    octets,
  ])
}

export interface ExportedField {
  readonly name: string
  readonly type: TypeName
  /** A template may have fields that nobody gets unless it asks for them. */
  enabled: boolean
}

export interface ExportedTemplate {
  readonly id: number
  readonly schema: string
  readonly typeName: string
  readonly fields: ExportedField[]
}

export interface ExportedSession {
  readonly id: number
  readonly name: string
  readonly templates: readonly ExportedTemplate[]
  readonly negotiable?: boolean
  /** 32 hexadecimal digits. */
  document: string
  /** Records not acknowledged that there may be. */
  readonly window?: number
  droppedRecords?: number
  readonly primary?: boolean
}

interface Waiting {
  readonly sequence: number
  readonly template: ExportedTemplate
  readonly values: readonly FieldData[]
  sent: boolean
}

interface State {
  readonly session: ExportedSession
  configId: number
  started: boolean
  next: number
  /** Everything that is not acknowledged, in order. */
  readonly waiting: Waiting[]
  onTheWay: number
}

/** A message that came, or went. */
export interface Told {
  readonly kind: Kind | undefined
  readonly session: number
  readonly octets: Buffer
}

export class IpdrExporter {
  readonly received: Told[] = []
  readonly sent: Told[] = []
  /** Sequence numbers that were acknowledged, by session; the latest of each message. */
  readonly acknowledged = new Map<number, number[]>()
  socket: Socket | undefined
  connections = 0
  keepAliveSeconds = 30
  capabilities = 6
  /** Answers nothing any more. */
  deaf = false
  /** Sends SESSION START and DATA only when `begin` is called. */
  readonly #states = new Map<number, State>()
  #waiting: (() => void)[] = []
  #held = Buffer.alloc(0)

  constructor(sessions: readonly ExportedSession[]) {
    for (const session of sessions) {
      const state = {session, configId: 1, started: false, next: 0, waiting: [], onTheWay: 0}
      this.#states.set(session.id, state)
    }
  }

  /** Gives a record to a session; it is sent when the collector may have it. */
  add(session: number, template: number, values: readonly FieldData[]): void {
    const state = this.#states.get(session)!
    const found = state.session.templates.find(({id}) => id === template)!
    state.waiting.push({sequence: state.next++, template: found, values, sent: false})
    this.#flush(state)
  }

  /** Records that the collector has not acknowledged. */
  get unacknowledged(): number {
    return [...this.#states.values()].reduce((sum, {waiting}) => sum + waiting.length, 0)
  }

  countOf(kind: Kind, messages: readonly Told[] = this.received): number {
    return messages.filter((one) => one.kind === kind).length
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Connects to a collector that listens. */
  async connect(port: number): Promise<void> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    this.begin(socket)
  }

  /** Says who it is on a connection that is there. */
  begin(socket: Socket): void {
    this.#attach(socket)
    const id = Buffer.from([127, 0, 0, 1])
    const rest = [u32(this.capabilities), u32(this.keepAliveSeconds), text('peer')]
    this.send('CONNECT', 0, id, u16(0), ...rest)
  }

  /** Waits for collectors that connect; its port. */
  async listen(t: ExecutionContext, port = 0): Promise<number> {
    const server = createServer((socket) => this.#attach(socket))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.close()
      this.socket?.destroy()
    })
    return (server.address() as AddressInfo).port
  }

  send(kind: Kind, session: number, ...body: readonly Buffer[]): void {
    this.sendRaw(message(kind, session, ...body))
  }

  sendRaw(octets: Buffer): void {
    this.sent.push({kind: kindNames.get(octets[1]), session: octets[2], octets})
    this.socket?.write(octets)
  }

  /** Ends a session as at the end of its interval, and begins the next one with another document. */
  nextDocument(id: number, document: string): void {
    const state = this.#states.get(id)!
    this.send('SESSION_STOP', id, u16(0), text('end of the interval'))
    state.session.document = document
    state.session.droppedRecords = 0
    state.next = 0
    this.#start(state)
  }

  #attach(socket: Socket): void {
    this.socket = socket
    this.connections++
    this.#held = Buffer.alloc(0)
    for (const state of this.#states.values()) {
      state.started = false
      state.onTheWay = 0
    }
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.socket === socket) this.socket = undefined
      this.#changed()
    })
    this.#changed()
  }

  #changed(): void {
    for (const fn of this.#waiting.splice(0)) fn()
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk])
    while (this.#held.length >= 8 && this.#held.length >= this.#held.readUInt32BE(4)) {
      const octets = Buffer.from(this.#held.subarray(0, this.#held.readUInt32BE(4)))
      this.#held = this.#held.subarray(octets.length)
      if (octets[0] !== 2) throw new Error(`version ${octets[0]}`)
      const told = {kind: kindNames.get(octets[1]), session: octets[2], octets}
      this.received.push(told)
      if (!this.deaf) this.#answer(told)
    }
    this.#changed()
  }

  #answer({kind, session, octets}: Told): void {
    const state = this.#states.get(session)
    switch (kind) {
      case 'CONNECT':
        this.send(
          'CONNECT_RESPONSE',
          0,
          u32(this.capabilities),
          u32(this.keepAliveSeconds),
          text('peer'),
        )
        break
      case 'GET_SESSIONS':
        if ((this.capabilities & 2) === 0) {
          this.send('ERROR', 0, u32(1_700_000_000), u16(1), text('there is one session'))
          break
        }
        this.send(
          'GET_SESSIONS_RESPONSE',
          0,
          octets.subarray(8, 10),
          u32(this.#states.size),
          ...[...this.#states.values()].flatMap(({session: {id, name, window}}) => [
            ...[u8(id), u8(0), text(name), text(`all of ${name}`), u32(10), u32(window ?? 200)],
          ]),
        )
        break
      case 'FLOW_START':
        if (state === undefined)
          this.send('ERROR', session, u32(0), u16(2), text('no such session'))
        else {
          const flags = u8(state.session.negotiable === true ? 0 : 1)
          this.send('TEMPLATE_DATA', session, u16(state.configId), flags, this.#templates(state))
        }
        break
      case 'GET_TEMPLATES':
        if (state !== undefined) {
          const config = u16(state.configId)
          const id = octets.subarray(8, 10)
          this.send('GET_TEMPLATES_RESPONSE', session, id, config, this.#templates(state))
        }
        break
      case 'MODIFY_TEMPLATE':
        if (state !== undefined) {
          this.#modify(state, octets)
          state.configId++
          const config = u16(state.configId)
          this.send('MODIFY_TEMPLATE_RESPONSE', session, config, u8(0), this.#templates(state))
        }
        break
      case 'FINAL_TEMPLATE_DATA_ACK':
        if (state !== undefined) this.#start(state)
        break
      case 'DATA_ACK':
        if (state !== undefined) this.#acknowledge(state, Number(octets.readBigUInt64BE(10)))
        break
      case 'KEEP_ALIVE':
        this.send('KEEP_ALIVE', 0)
        break
      default:
    }
  }

  #templates({session}: State): Buffer {
    return Buffer.concat([
      u32(session.templates.length),
      ...session.templates.flatMap(({id, schema, typeName, fields}) => [
        ...[u16(id), text(schema), text(typeName), u32(fields.length)],
        ...fields.flatMap(({name, type, enabled}, i) => [
          ...[u32(TYPE[type]), u32(i + 1), text(name), u8(enabled ? 1 : 0)],
        ]),
      ]),
    ])
  }

  /** MODIFY TEMPLATE has the templates as TEMPLATE DATA had them, each field with what is wanted of it. */
  #modify({session}: State, octets: Buffer): void {
    let at = 15
    const skipText = (): void => {
      at += 4 + octets.readUInt32BE(at)
    }
    for (let n = octets.readUInt32BE(11); n > 0; n--) {
      const template = session.templates.find(({id}) => id === octets.readUInt16BE(at))!
      at += 2
      skipText()
      skipText()
      const count = octets.readUInt32BE(at)
      at += 4
      for (let i = 0; i < count; i++) {
        const field = template.fields[octets.readUInt32BE(at + 4) - 1]
        at += 8
        skipText()
        field.enabled = octets[at++] === 1
      }
    }
    if (at !== octets.length) throw new Error(`MODIFY TEMPLATE ends at ${at} of ${octets.length}`)
  }

  #start(state: State): void {
    const {session, waiting} = state
    this.send(
      'SESSION_START',
      session.id,
      ...[u32(1_700_000_000), u64(waiting[0]?.sequence ?? state.next)],
      ...[u64(session.droppedRecords ?? 0), u8(session.primary === false ? 0 : 1)],
      ...[u32(10), u32(session.window ?? 200), Buffer.from(session.document, 'hex')],
    )
    state.started = true
    state.onTheWay = 0
    this.#flush(state)
  }

  #flush(state: State): void {
    const {session, waiting, configId} = state
    if (!state.started || this.socket === undefined) return
    while (state.onTheWay < Math.min(waiting.length, session.window ?? 200)) {
      const one = waiting[state.onTheWay++]
      const {template, values, sequence} = one
      const fields = template.fields.flatMap(({type, enabled}, i) =>
        enabled ? [encodeValue(type, values[i])] : [],
      )
      this.send(
        'DATA',
        session.id,
        ...[u16(template.id), u16(configId), u8(one.sent ? 1 : 0), u64(sequence)],
        counted(Buffer.concat(fields)),
      )
      one.sent = true
    }
  }

  #acknowledge(state: State, sequence: number): void {
    const list = this.acknowledged.get(state.session.id) ?? []
    list.push(sequence)
    this.acknowledged.set(state.session.id, list)
    while (state.waiting.length > 0 && state.waiting[0].sequence <= sequence) {
      state.waiting.shift()
      state.onTheWay = Math.max(0, state.onTheWay - 1)
    }
    this.#flush(state)
  }
}
