import {pause} from '../../io/pause.js'
import {openSocket} from '../../io/stream-connection.js'
import {
  listenForStreams,
  serveConnection,
  type Connection,
  type ConnectionHandlers,
} from '../../io/stream-listener.js'
import {
  createIpdrCollector,
  type CollectorOptions,
  type IpdrCollector,
  type ReceivedRecord,
} from '../../mediation/ipdr/collector.js'
import type {SessionStart} from '../../mediation/ipdr/message.js'
import {identityOf, storedRecord} from '../../mediation/ipdr/stored-record.js'
import {DartaError} from '../../record/errors.js'
import {addressText, hexText} from '../../record/value.js'
import type {JournalEntry} from './accounting-journal.js'
import type {AnsweringEndpoint} from './answering.js'
import type {AnsweringServer, ServerContext} from './answering-protocol.js'
import type {IpdrRecords} from './ipdr-records.js'

/** What stood behind an endpoint's question mark. */
export type IpdrOptions = Pick<CollectorOptions, 'sessions' | 'allFields' | 'keepAliveSeconds'> & {
  /** We connect to the exporter; else it does. */
  readonly connects: boolean
}

const VENDOR = 'darta'
const KEEP_ALIVE_SECONDS = 20
/** Records of an exporter that are on their way to where they are safe. */
const MOST_IN_FLIGHT = 4096
/** Records of an exporter that wait for that, and their octets; then it has to wait. */
const MOST_QUEUED = 1024
const MOST_QUEUED_OCTETS = 1 << 20
/** What an exporter that does not read has not been told. */
const MOST_UNSENT_OCTETS = 1 << 20
/** A record with more fits no Message. */
const MOST_RECORD_OCTETS = 50_000
/** How long what was taken may take until it is safe, when all is stopped. */
const GOODBYE_MS = 10_000
const CONNECT_TIMEOUT_MS = 10_000
/** An exporter that is not there is tried again after so long, and later after longer. */
const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 30_000
/** Documents whose losses are remembered. */
const MOST_DOCUMENTS = 4096
const NO_ADDRESS = Uint8Array.of(0, 0, 0, 0)

/** @throws DartaError DARTA_USAGE */
export function ipdrOptions({endpoint, options}: AnsweringEndpoint): IpdrOptions {
  const wrong = (what: string): DartaError =>
    new DartaError('DARTA_USAGE', `${endpoint.name}: ${what}`)
  const fields = options.get('fields') ?? 'enabled'
  if (fields !== 'enabled' && fields !== 'all') throw wrong('fields are enabled or all')
  const sessions = options.get('sessions')?.split(',').map(Number)
  if (sessions?.some((one) => !Number.isInteger(one) || one < 0 || one > 255) === true) {
    throw wrong('sessions are numbers from 0 to 255, like sessions=1,2')
  }
  const keepAliveSeconds = Number(options.get('keep-alive') ?? KEEP_ALIVE_SECONDS)
  if (!Number.isInteger(keepAliveSeconds) || keepAliveSeconds < 1 || keepAliveSeconds > 86_400) {
    throw wrong('keep-alive is a number of seconds from 1 to 86400')
  }
  return {connects: options.has('connect'), sessions, allFields: fields === 'all', keepAliveSeconds}
}

/** A record that was taken, in the order of its session. */
interface Outstanding {
  readonly document: Uint8Array
  readonly configId: number
  readonly sequence: bigint
  safe: boolean
}

/** A record as a journal has it; its octets are put together only for one. */
class ReceivedEntry implements JournalEntry {
  readonly protocol = 'ipdr'
  readonly identity: JournalEntry['identity']
  readonly sender: JournalEntry['sender']
  readonly receivedMs: number
  readonly #record: ReceivedRecord

  constructor(record: ReceivedRecord, sender: JournalEntry['sender'], receivedMs: number) {
    this.identity = identityOf(record, sender.address ?? sender.name)
    this.sender = sender
    this.receivedMs = receivedMs
    this.#record = record
  }

  get octets(): Uint8Array {
    return storedRecord(this.#record)
  }
}

interface Peer {
  readonly connection: Connection
  readonly collector: IpdrCollector
  timer: NodeJS.Timeout | undefined
  /** Octets that have come. */
  octets: number
  readonly queue: ReceivedRecord[]
  queuedOctets: number
  /** Records whose safety is not known yet. */
  inFlight: number
  isHeld: boolean
  waitsForRoom: boolean
  /** By session, in the order of their numbers; gone when they are acknowledged. */
  readonly outstanding: Map<number, Outstanding[]>
  /** Documents that sessions are at. */
  readonly documents: Map<number, Uint8Array>
  /** Sessions of which something became safe in this turn. */
  readonly settling: Set<number>
  /** As the journal has it. */
  readonly sender: JournalEntry['sender']
  /** When the last octets came. */
  receivedMs: number
}

/**
 * Takes records of IPDR exporters (IPDR/SP 2.3). DATA is acknowledged when its record is safe, in order; what an exporter sends
 * again is known by document and sequence number.
 *
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function serveIpdr(
  at: AnsweringEndpoint,
  options: IpdrOptions,
  records: IpdrRecords,
  context: ServerContext,
): Promise<AnsweringServer> {
  const {account, intake} = context
  const {endpoint} = at
  const peers = new Map<Connection, Peer>()
  /** By exporter, session and document: what it says that it has lost. */
  const dropped = new Map<string, bigint>()
  let changed = (): void => {}

  function arm(peer: Peer): void {
    clearTimeout(peer.timer)
    const {dueMs} = peer.collector
    if (dueMs === Infinity || !peers.has(peer.connection)) return
    peer.timer = setTimeout(
      () => {
        peer.collector.tick(performance.now())
        arm(peer)
      },
      Math.max(1, dueMs - performance.now()),
    )
  }

  function forget(connection: Connection): void {
    const peer = peers.get(connection)
    if (peer === undefined) return
    clearTimeout(peer.timer)
    peers.delete(connection)
    // Nobody was told that these are safe: they come again.
    if (peer.queue.length > 0) account.skip('not-acknowledged', peer.queue.length)
    peer.queue.length = 0
    changed()
  }

  /** Acknowledges all of a session that is safe up to the first that is not, once for all that became safe in one turn. */
  function settle(peer: Peer): void {
    for (const session of peer.settling) {
      const list = peer.outstanding.get(session) ?? []
      const count = list.findIndex(({safe}) => !safe)
      const safe = list.splice(0, count < 0 ? list.length : count)
      // Numbers of a document before mean something else now.
      const last = safe.findLast(
        ({document}) => Buffer.compare(document, peer.documents.get(session) ?? document) === 0,
      )
      if (last === undefined) continue
      peer.collector.acknowledge(session, last.configId, last.sequence, performance.now())
    }
    peer.settling.clear()
    pump(peer)
    arm(peer)
    changed()
  }

  function becameSafe(peer: Peer, session: number, one: Outstanding): void {
    one.safe = true
    if (peer.settling.size === 0) setImmediate(() => settle(peer))
    peer.settling.add(session)
  }

  function take(peer: Peer, record: ReceivedRecord): void {
    const {session, document, configId, sequence, octets} = record
    const one: Outstanding = {document, configId, sequence, safe: false}
    let list = peer.outstanding.get(session)
    if (list === undefined) peer.outstanding.set(session, (list = []))
    list.push(one)
    if (octets.length > MOST_RECORD_OCTETS) {
      account.lose('too-long', 1, peer.octets)
      return becameSafe(peer, session, one)
    }
    peer.inFlight++
    const {sender, receivedMs, octets: offset} = peer
    const taken = intake.take(
      new ReceivedEntry(record, sender, receivedMs),
      () => records.fieldsOf(record, offset),
      () => {
        peer.inFlight--
        becameSafe(peer, session, one)
      },
    )
    // It is not acknowledged, and comes again.
    if (!taken) peer.inFlight--
  }

  /** Takes what may be taken now. */
  function pump(peer: Peer): void {
    const {queue} = peer
    let count = 0
    while (count < queue.length && peer.inFlight < MOST_IN_FLIGHT && !peer.waitsForRoom) {
      peer.waitsForRoom = !intake.whenRoom(() => {
        peer.waitsForRoom = false
        pump(peer)
      })
      if (peer.waitsForRoom) break
      const record = queue[count++]
      peer.queuedOctets -= record.octets.length
      take(peer, record)
    }
    queue.splice(0, count)
    if (peer.isHeld && queue.length === 0 && !isStopping) {
      peer.isHeld = false
      peer.collector.hold(false, performance.now())
      peer.connection.resume()
      arm(peer)
    }
  }

  function started(connection: Connection, peer: Peer, session: number, start: SessionStart): void {
    peer.documents.set(session, start.document)
    context.note(
      `${connection.name}: session ${session} starts document ${hexText(start.document)}` +
        (start.isPrimary ? '' : ', of which another collector is the first'),
    )
    // It is said again with each start of the same document.
    const {address, name} = connection
    const who = address === undefined ? name : addressText(address)
    const key = `${who} ${session} ${hexText(start.document)}`
    const told = dropped.get(key) ?? 0n
    if (start.droppedRecords > told) {
      account.miss('dropped-by-exporter', Number(start.droppedRecords - told))
    }
    dropped.delete(key)
    dropped.set(key, start.droppedRecords)
    if (dropped.size > MOST_DOCUMENTS) dropped.delete(dropped.keys().next().value as string)
  }

  function begin(connection: Connection): void {
    const {name, address, port} = connection
    const collector = createIpdrCollector(
      options.connects ? 'initiator' : 'responder',
      {...options, vendor: VENDOR, address: connection.localAddress ?? NO_ADDRESS, port: 4737},
      {
        send(octets) {
          connection.write(octets)
          if (connection.unsent() > MOST_UNSENT_OCTETS) connection.close()
        },
        opened({vendor}) {
          account.note('exporters')
          context.note(`${connection.name} is ${vendor}`)
        },
        started: (session, start) => started(connection, peer, session, start),
        record(record) {
          account.in++
          peer.queue.push(record)
          peer.queuedOctets += record.octets.length
        },
        refused(reason) {
          account.in++
          account.lose(reason, 1, peer.octets)
        },
        missing: (count) => account.miss('sequence-gap', count, peer.octets),
        note: (words) => context.note(`${connection.name}: ${words}`),
        closed(reason, isFault) {
          if (isFault) account.note('protocol-error')
          context.note(`${connection.name}: ${reason}`)
          connection.end()
          forget(connection)
        },
      },
    )
    const peer: Peer = {
      connection,
      collector,
      timer: undefined,
      octets: 0,
      queue: [],
      queuedOctets: 0,
      inFlight: 0,
      isHeld: false,
      waitsForRoom: false,
      outstanding: new Map(),
      documents: new Map(),
      settling: new Set(),
      sender: {name, port, ...(address !== undefined && {address: hexText(address)})},
      receivedMs: 0,
    }
    peers.set(connection, peer)
    collector.start(performance.now())
    arm(peer)
  }

  const handlers: ConnectionHandlers = {
    accepts(address, name) {
      const allowed = address === undefined || context.allows(address)
      if (allowed && peers.size < context.maxConnections) return true
      account.note(allowed ? 'too-many' : 'not-allowed')
      context.note(`${name} was sent away`)
      return false
    },
    opened: begin,
    data(connection, octets) {
      const peer = peers.get(connection)
      if (peer === undefined) return
      peer.receivedMs = Date.now()
      peer.collector.receive(new Uint8Array(octets), performance.now())
      peer.octets += octets.length
      pump(peer)
      const {queue, queuedOctets} = peer
      if (!peer.isHeld && (queue.length > MOST_QUEUED || queuedOctets > MOST_QUEUED_OCTETS)) {
        peer.isHeld = true
        peer.collector.hold(true, performance.now())
        connection.pause()
      }
      arm(peer)
    },
    closed: forget,
    refused(name, why) {
      account.note('exporter-refused')
      context.note(`${name || 'an exporter'} was refused: ${why}`)
    },
  }

  let isStopping = false
  const quit = new AbortController()
  const opened = options.connects
    ? connectAgain()
    : await listenForStreams(endpoint, context.credentials, handlers)

  /** Connects, and again when the connection has ended. */
  function connectAgain(): {name: string; stop(): void; close(): void} {
    let socketClose = (): void => {}
    const run = async (): Promise<void> => {
      let waitMs = FIRST_RETRY_MS
      let isAbsent = false
      while (!quit.signal.aborted) {
        try {
          const socket = await openSocket(endpoint, {
            credentials: context.credentials,
            timeoutMs: CONNECT_TIMEOUT_MS,
            signal: quit.signal,
          })
          waitMs = FIRST_RETRY_MS
          if (isAbsent) context.say(`${endpoint.name} is there again`)
          isAbsent = false
          socketClose = () => socket.destroy()
          serveConnection(socket, handlers, endpoint.name)
          await new Promise((resolve) => socket.once('close', resolve))
        } catch (error) {
          if (!quit.signal.aborted) {
            account.note('not-connected')
            const words = `${endpoint.name}: cannot connect: ${(error as Error).message}`
            if (isAbsent) context.note(words)
            else context.say(`${words}; it is tried again`)
            isAbsent = true
          }
        }
        if (quit.signal.aborted) return
        await pause(waitMs, quit.signal)
        waitMs = Math.min(2 * waitMs, LAST_RETRY_MS)
      }
    }
    void run()
    return {name: endpoint.name, stop: () => quit.abort(), close: () => socketClose()}
  }

  return {
    name: opened.name.replace(/^[\w+]+/, endpoint.name.replace(/:.*$/s, '')),
    connects: options.connects,
    async stop() {
      isStopping = true
      quit.abort()
      opened.stop()
      for (const {connection} of peers.values()) connection.pause()
      const isBusy = (): boolean =>
        [...peers.values()].some(
          ({queue, inFlight, settling}) => queue.length + inFlight + settling.size > 0,
        )
      let late = false
      const timer = setTimeout(() => {
        late = true
        changed()
      }, GOODBYE_MS)
      while (isBusy() && !late) await new Promise<void>((resolve) => (changed = resolve))
      clearTimeout(timer)
      for (const {collector} of [...peers.values()]) collector.stop()
    },
    close() {
      quit.abort()
      for (const {timer} of peers.values()) clearTimeout(timer)
      peers.clear()
      opened.close()
    },
  }
}
