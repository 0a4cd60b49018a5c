import {
  bareMessage,
  CAPABILITY,
  connectMessage,
  connectResponse,
  createMessageSplitter,
  dataAck,
  ERROR,
  errorMessage,
  FLAG_FIXED,
  flowStop,
  getMessage,
  IpdrFault,
  MESSAGE,
  modifyTemplate,
  readConnect,
  readData,
  readReason,
  readSessions,
  readSessionStart,
  readTemplates,
  type Connect,
  type Data,
  type IpdrMessage,
  type SessionStart,
  type TemplateBlock,
  type TemplateSet,
} from './message.js'

/** Who we are, and what we want of an exporter. */
export interface CollectorOptions {
  readonly vendor: string
  /** Ours on this connection: 4 or 16 octets. */
  readonly address: Uint8Array
  readonly port: number
  /** Seconds in which an exporter has to say something. */
  readonly keepAliveSeconds: number
  /** Sessions that are wanted; undefined: all that the exporter names. */
  readonly sessions: readonly number[] | undefined
  /** Ask for fields that the exporter leaves out, where it lets us. */
  readonly allFields: boolean
}

/** A record as it was received. */
export interface ReceivedRecord {
  readonly session: number
  /** 16 octets. */
  readonly document: Uint8Array
  readonly sequence: bigint
  readonly templateId: number
  readonly configId: number
  /** The exporter may have sent it before, here or elsewhere. */
  readonly isDuplicate: boolean
  /** Undefined: nobody has told what its fields are. */
  readonly template: TemplateBlock | undefined
  /** Its fields, where they lie. */
  readonly octets: Uint8Array
}

/** What a collector has others do. */
export interface CollectorEvents {
  /** Octets for the connection. */
  send(octets: Uint8Array): void
  opened(exporter: Connect): void
  started(session: number, start: SessionStart): void
  /** A record; it is the caller's to say when it is safe. */
  record(record: ReceivedRecord): void
  /** DATA that belongs to no session. */
  refused(reason: string): void
  /** Records that sequence numbers know of and that did not come. */
  missing(count: number): void
  /** Something that a person may want to know. */
  note(words: string): void
  /** The connection has to be closed now; nothing is sent any more. `isFault`: the exporter did what it may not. */
  closed(reason: string, isFault: boolean): void
}

export type CollectorState = 'waiting' | 'open' | 'closed'

/**
 * The collector's side of a connection with an IPDR exporter, without the connection: what it is told comes from a socket and
 * a clock, and what it says goes there. IPDR/SP 2.3 section 3.
 */
export interface IpdrCollector {
  readonly state: CollectorState
  /** The connection is there: who connected says who he is. */
  start(nowMs: number): void
  receive(octets: Uint8Array, nowMs: number): void
  /** Whether octets of the exporter's wait, so that its silence means nothing. */
  hold(isHeld: boolean, nowMs: number): void
  /** Records of a session up to this one are safe. */
  acknowledge(session: number, configId: number, sequence: bigint, nowMs: number): void
  /** When `tick` must be called next, in the time of `nowMs`. */
  readonly dueMs: number
  tick(nowMs: number): void
  /** Says goodbye; `closed` is called. */
  stop(): void
}

/** How long CONNECT and its answer may take. */
const EXCHANGE_MS = 10_000
/** How long an exporter may take to say what its templates are. */
const TEMPLATES_MS = 5000
/** An exporter without sessions is asked again so often. */
const ASK_AGAIN_MS = 60_000
/** Records of an exporter that wait until it is known what they consist of. */
const MOST_WAITING = 1024
const MOST_WAITING_OCTETS = 1 << 20
/** Configurations of a session that an exporter is asked about, until it starts again. */
const MOST_ASKED = 16
/** Configurations of a session whose templates are kept. */
const MOST_CONFIGS = 4
/** Octets of all templates of an exporter. */
const MOST_TEMPLATE_OCTETS = 1 << 18

/** Normal process termination. */
const STOP = {code: 0, words: 'the collector stops'}

type Templates = ReadonlyMap<number, TemplateBlock>

interface Session {
  readonly id: number
  /** By configuration, the newest last. */
  readonly configs: Map<number, Templates>
  /** The newest templates wait for FINAL TEMPLATE DATA ACK. */
  negotiating: boolean
  start: SessionStart | undefined
  /** The next sequence number. */
  expected: bigint
  /** Records that wait for their template, since `waitingSinceMs`. */
  readonly waiting: Data[]
  waitingSinceMs: number
  /** Configurations that the exporter was asked about. */
  readonly asked: Set<number>
}

export function createIpdrCollector(
  role: 'initiator' | 'responder',
  options: CollectorOptions,
  events: CollectorEvents,
): IpdrCollector {
  const splitter = createMessageSplitter()
  const sessions = new Map<number, Session>()
  let state: CollectorState = 'waiting'
  let exporter: Connect | undefined
  let startedMs = 0
  let heardMs = 0
  let saidMs = 0
  let held = false
  let requestId = 0
  let askAgainMs = Infinity
  let templateOctets = 0
  /** Records of all sessions that wait for their template, and their octets. */
  let waitingCount = 0
  let waitingOctets = 0
  /** The time of what is being done. */
  let now = 0

  const say = (octets: Uint8Array): void => {
    saidMs = now
    events.send(octets)
  }
  const close = (reason: string, isFault = false): void => {
    if (state === 'closed') return
    // What waits for a template is kept as it came.
    for (const session of sessions.values()) release(session)
    state = 'closed'
    events.closed(reason, isFault)
  }
  const ourselves = (): Connect => ({
    capabilities: CAPABILITY.multisession | CAPABILITY.templates,
    keepAliveSeconds: options.keepAliveSeconds,
    vendor: options.vendor,
  })
  const nextRequest = (): number => (requestId = (requestId + 1) & 0xffff)
  const can = (capability: number): boolean => ((exporter?.capabilities ?? 0) & capability) !== 0

  function open(connect: Connect): void {
    exporter = connect
    state = 'open'
    events.opened(connect)
    if (options.sessions !== undefined) options.sessions.forEach(startFlow)
    else askForSessions()
  }

  function askForSessions(): void {
    say(getMessage(MESSAGE.getSessions, 0, nextRequest()))
    askAgainMs = now + ASK_AGAIN_MS
  }

  function startFlow(id: number): void {
    if (sessions.has(id)) return
    sessions.set(id, {
      id,
      configs: new Map(),
      negotiating: false,
      start: undefined,
      expected: 0n,
      waiting: [],
      waitingSinceMs: 0,
      asked: new Set(),
    })
    say(bareMessage(MESSAGE.flowStart, id))
  }

  function sessionOf({session}: IpdrMessage): Session {
    const found = sessions.get(session)
    if (found === undefined) {
      throw new IpdrFault(ERROR.state, `nobody has started the flow of session ${session}`)
    }
    return found
  }

  function keepTemplates(session: Session, set: TemplateSet): void {
    const {configs} = session
    const old = configs.get(set.configId)
    const sizeOf = (templates: Templates | undefined): number =>
      [...(templates?.values() ?? [])].reduce((sum, {octets}) => sum + octets.length, 0)
    const templates = new Map(set.templates.map((one) => [one.templateId, one]))
    configs.delete(set.configId)
    configs.set(set.configId, templates)
    templateOctets += sizeOf(templates) - sizeOf(old)
    if (configs.size > MOST_CONFIGS) {
      const [[first, gone]] = configs
      configs.delete(first)
      templateOctets -= sizeOf(gone)
    }
    if (templateOctets > MOST_TEMPLATE_OCTETS) {
      throw new IpdrFault(ERROR.decode, 'more templates than there is room for')
    }
  }

  function takeTemplates(session: Session, set: TemplateSet): void {
    keepTemplates(session, set)
    release(session)
    const wants =
      options.allFields &&
      can(CAPABILITY.templates) &&
      (set.flags & FLAG_FIXED) === 0 &&
      set.templates.some(({fields}) => fields.some(({isEnabled}) => !isEnabled))
    if (wants && !session.negotiating) {
      session.negotiating = true
      say(modifyTemplate(session.id, set))
      return
    }
    session.negotiating = false
    say(bareMessage(MESSAGE.finalTemplateDataAck, session.id))
  }

  function give(session: Session, start: SessionStart, data: Data): void {
    events.record({
      session: session.id,
      document: start.document,
      sequence: data.sequence,
      templateId: data.templateId,
      configId: data.configId,
      isDuplicate: data.isDuplicate,
      template: session.configs.get(data.configId)?.get(data.templateId),
      octets: data.record,
    })
  }

  /** Records of a session go on, whether their template is known by now or not. */
  function release(session: Session): void {
    const {start} = session
    if (start === undefined) return
    for (const data of session.waiting.splice(0)) {
      waitingCount--
      waitingOctets -= data.record.length
      give(session, start, data)
    }
  }

  function takeData(message: IpdrMessage): void {
    const data = readData(message)
    const session = sessions.get(message.session)
    if (session?.start === undefined) {
      events.refused('no-session')
      throw new IpdrFault(ERROR.state, `DATA of session ${message.session}, which has not started`)
    }
    const {start} = session
    const {sequence} = data
    if (sequence > session.expected) events.missing(Number(sequence - session.expected))
    if (sequence >= session.expected) session.expected = sequence + 1n
    const isKnown = session.configs.get(data.configId)?.has(data.templateId) === true
    if (session.waiting.length === 0) {
      const {asked} = session
      if (isKnown || asked.has(data.configId) || asked.size >= MOST_ASKED) {
        return give(session, start, data)
      }
      asked.add(data.configId)
      session.waitingSinceMs = now
      say(getMessage(MESSAGE.getTemplates, session.id, nextRequest()))
    }
    session.waiting.push(data)
    waitingCount++
    waitingOctets += data.record.length
    if (waitingCount >= MOST_WAITING || waitingOctets >= MOST_WAITING_OCTETS) {
      for (const one of sessions.values()) release(one)
    }
  }

  function takeStart(message: IpdrMessage): void {
    const session = sessionOf(message)
    const start = readSessionStart(message)
    release(session)
    session.start = start
    session.expected = start.firstSequence
    session.asked.clear()
    events.started(session.id, start)
  }

  function takeError(message: IpdrMessage): void {
    const {code, words} = readReason(message)
    events.note(`it says error ${code}: ${words}`)
    if (code === ERROR.keepAlive || code === ERROR.decode || code === ERROR.terminating) {
      return close(`it ended the connection: ${words}`)
    }
    // Who has one session only may not know the question; its number is 0.
    if (state === 'open' && sessions.size === 0 && options.sessions === undefined) startFlow(0)
  }

  function takeOpen(message: IpdrMessage): void {
    switch (message.kind) {
      case MESSAGE.data:
        return takeData(message)
      case MESSAGE.getSessionsResponse: {
        const found = readSessions(message)
        askAgainMs = found.length === 0 ? now + ASK_AGAIN_MS : Infinity
        if (found.length === 0) events.note('it has no sessions')
        // Who was asked for some sessions is not asked for others.
        if (options.sessions === undefined) for (const {session} of found) startFlow(session)
        return
      }
      case MESSAGE.templateData:
        return takeTemplates(sessionOf(message), readTemplates(message))
      case MESSAGE.modifyTemplateResponse: {
        const session = sessionOf(message)
        session.negotiating = true
        return takeTemplates(session, readTemplates(message))
      }
      case MESSAGE.getTemplatesResponse: {
        const session = sessionOf(message)
        keepTemplates(session, readTemplates(message))
        return release(session)
      }
      case MESSAGE.sessionStart:
        return takeStart(message)
      case MESSAGE.sessionStop: {
        const session = sessionOf(message)
        const {code, words} = readReason(message)
        release(session)
        session.start = undefined
        return events.note(`session ${session.id} stopped (${code}): ${words}`)
      }
      case MESSAGE.startNegotiationReject:
        return events.note('it does not negotiate')
      case MESSAGE.request:
      case MESSAGE.response:
        // We did not say that we could.
        say(errorMessage({code: ERROR.capabilities, words: 'no requests here'}, seconds()))
        return
      case MESSAGE.connect:
      case MESSAGE.connectResponse:
        throw new IpdrFault(ERROR.state, 'the connection is open')
      default:
        events.note(`a message of kind ${message.kind}`)
        say(errorMessage({code: ERROR.decode, words: `kind ${message.kind}`}, seconds()))
    }
  }

  function take(message: IpdrMessage): void {
    if (message.kind === MESSAGE.keepAlive) return
    if (message.kind === MESSAGE.error) return takeError(message)
    if (message.kind === MESSAGE.disconnect) return close('it said goodbye')
    if (state === 'open') return takeOpen(message)
    if (role === 'responder' && message.kind === MESSAGE.connect) {
      const connect = readConnect(message)
      say(connectResponse(ourselves()))
      return open(connect)
    }
    if (role === 'initiator' && message.kind === MESSAGE.connectResponse) {
      return open(readConnect(message))
    }
    throw new IpdrFault(ERROR.state, 'it spoke before both had said who they are')
  }

  /** What the exporter did wrong it is told; then nobody knows what it means by the rest. */
  function fail(error: unknown): void {
    if (!(error instanceof IpdrFault)) throw error
    say(errorMessage({code: error.code, words: error.message}, seconds()))
    close(error.message, true)
  }

  const seconds = (): number => Math.floor(Date.now() / 1000)
  /** What an exporter may say late. */
  const silenceMs = (): number => options.keepAliveSeconds * 1500
  const keepAliveMs = (): number => {
    const wanted = exporter?.keepAliveSeconds ?? 0
    return wanted === 0 ? Infinity : wanted * 500
  }
  const isWaiting = ({waiting}: Session): boolean => waiting.length > 0

  return {
    get state() {
      return state
    },
    get dueMs() {
      if (state === 'closed') return Infinity
      if (state === 'waiting') return startedMs + EXCHANGE_MS
      let due = Math.min(heardMs + silenceMs(), saidMs + keepAliveMs())
      if (sessions.size === 0) due = Math.min(due, askAgainMs)
      for (const session of sessions.values()) {
        if (isWaiting(session)) due = Math.min(due, session.waitingSinceMs + TEMPLATES_MS)
      }
      return due
    },
    start(nowMs) {
      now = startedMs = heardMs = saidMs = nowMs
      if (role === 'initiator') say(connectMessage(ourselves(), options.address, options.port))
    },
    receive(octets, nowMs) {
      if (state === 'closed') return
      now = heardMs = nowMs
      try {
        for (const message of splitter.push(octets)) {
          take(message)
          // What a message may have changed.
          if ((state as CollectorState) === 'closed') return
        }
      } catch (error) {
        fail(error)
      }
    },
    hold(isHeld, nowMs) {
      held = isHeld
      heardMs = nowMs
    },
    acknowledge(session, configId, sequence, nowMs) {
      if (state === 'closed') return
      now = nowMs
      say(dataAck(session, configId, sequence))
    },
    tick(nowMs) {
      if (state === 'closed') return
      now = nowMs
      if (state === 'waiting') {
        if (nowMs >= startedMs + EXCHANGE_MS) close('it does not say who it is', true)
        return
      }
      if (held) heardMs = nowMs
      if (nowMs >= heardMs + silenceMs()) {
        say(errorMessage({code: ERROR.keepAlive, words: 'nothing was heard'}, seconds()))
        return close('it does not say that it lives', true)
      }
      if (sessions.size === 0 && nowMs >= askAgainMs) askForSessions()
      for (const session of sessions.values()) {
        if (isWaiting(session) && nowMs >= session.waitingSinceMs + TEMPLATES_MS) release(session)
      }
      if (nowMs >= saidMs + keepAliveMs()) say(bareMessage(MESSAGE.keepAlive))
    },
    stop() {
      if (state === 'open') {
        for (const {id} of sessions.values()) say(flowStop(id, STOP))
        say(bareMessage(MESSAGE.disconnect))
      }
      close('stopped')
    },
  }
}
