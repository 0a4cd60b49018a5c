import {
  listenForStreams,
  type Connection,
  type ConnectionHandlers,
} from '../../io/stream-listener.js'
import {accountingAnswer, readAccountingRequest} from '../../mediation/diameter/accounting.js'
import {accountingFields, identityOf} from '../../mediation/diameter/accounting-fields.js'
import {DiameterFault} from '../../mediation/diameter/avp.js'
import {APPLICATION, RESULT} from '../../mediation/diameter/dictionary.js'
import {readMessage, type DiameterMessage} from '../../mediation/diameter/message.js'
import {createPeer, type Peer, type PeerEvents} from '../../mediation/diameter/peer.js'
import {DartaError} from '../../record/errors.js'
import {hexText, type RecordValue} from '../../record/value.js'
import {defaultIdentity, isIdentity} from '../user-map/account.js'
import type {JournalEntry} from './accounting-journal.js'
import type {AnsweringEndpoint} from './answering.js'
import type {AnsweringServer, ServerContext} from './answering-protocol.js'

/** Applications whose accounting is taken: that of RFC 6733 and that of network access (RFC 7155). */
const APPLICATIONS = [APPLICATION.accounting, 1]
/** RFC 3539 section 3.4.1. */
const WATCHDOG_MS = 30_000
/** How long peers have for their goodbyes. */
const GOODBYE_MS = 2000
const NO_ADDRESS = Uint8Array.of(127, 0, 0, 1)

/**
 * Takes accounting of Diameter peers (RFC 6733 section 9).
 *
 * @throws DartaError DARTA_USAGE, DARTA_LISTEN, DARTA_PERMISSION
 */
export async function serveDiameter(
  {endpoint, options: given}: AnsweringEndpoint,
  options: ServerContext,
): Promise<AnsweringServer> {
  const {account, intake} = options
  const identity = given.get('identity') ?? defaultIdentity()
  const realm = given.get('realm') ?? identity.slice(identity.indexOf('.') + 1)
  if (!isIdentity(identity, realm)) {
    throw new DartaError('DARTA_USAGE', `'${identity}' of '${realm}' is no name in Diameter`)
  }
  const originStateId = Math.floor(Date.now() / 1000)
  const open = new Map<Connection, {peer: Peer; timer: NodeJS.Timeout | undefined}>()
  let changed = (): void => {}

  function requested(
    connection: Connection,
    request: DiameterMessage,
  ): ReturnType<PeerEvents['requested']> {
    account.in++
    const receivedMs = Date.now()
    try {
      const record = readAccountingRequest(request)
      const {name, address, port} = connection
      const answer = (): void => {
        open.get(connection)?.peer.answer(request, RESULT.success, accountingAnswer(record))
      }
      const entry: JournalEntry = {
        protocol: 'diameter',
        identity: identityOf(request, record),
        sender: {name, port, ...(address !== undefined && {address: hexText(address)})},
        receivedMs,
        octets: new Uint8Array(request.octets),
      }
      if (intake.take(entry, accountingFields(request, receivedMs), answer)) return undefined
      return {resultCode: RESULT.tooBusy, avps: accountingAnswer(record)}
    } catch (error) {
      // Whoever asked is told by its Result-Code.
      if (error instanceof DiameterFault) account.lose(`refused-${error.resultCode}`)
      throw error
    }
  }

  function arm(connection: Connection): void {
    const one = open.get(connection)
    if (one === undefined) return
    clearTimeout(one.timer)
    const {dueMs} = one.peer
    if (dueMs === Infinity) return
    one.timer = setTimeout(
      () => {
        one.peer.tick(performance.now())
        arm(connection)
      },
      Math.max(1, dueMs - performance.now()),
    )
  }

  function forget(connection: Connection): void {
    clearTimeout(open.get(connection)?.timer)
    open.delete(connection)
    changed()
  }

  const handlers: ConnectionHandlers = {
    accepts(address, name) {
      const allowed = address === undefined || options.allows(address)
      if (allowed && open.size < options.maxConnections) return true
      account.note(allowed ? 'too-many' : 'not-allowed')
      options.note(`${name} was sent away`)
      return false
    },
    opened(connection) {
      const peer = createPeer(
        'responder',
        {
          identity,
          realm,
          addresses: [connection.localAddress ?? NO_ADDRESS],
          originStateId,
          applications: APPLICATIONS,
          watchdogMs: WATCHDOG_MS,
        },
        {
          send: (octets) => connection.write(octets),
          opened(other) {
            account.note('peers')
            options.note(`${connection.name} is ${other.identity}`)
          },
          answered: () => {},
          requested: (request) => requested(connection, request),
          closed(reason) {
            options.note(`${connection.name}: ${reason}`)
            connection.end()
            forget(connection)
          },
        },
      )
      open.set(connection, {peer, timer: undefined})
      peer.start(performance.now())
      arm(connection)
    },
    data(connection, octets) {
      open.get(connection)?.peer.receive(new Uint8Array(octets), performance.now())
      arm(connection)
    },
    closed(connection) {
      forget(connection)
    },
    refused(name, why) {
      account.note('peer-refused')
      options.note(`${name || 'a peer'} was refused: ${why}`)
    },
  }
  const listener = await listenForStreams(endpoint, options.credentials, handlers)
  return {
    name: listener.name.replace(/^\w+/, endpoint.transport === 'tls' ? 'diameters' : 'diameter'),
    async stop() {
      listener.stop()
      for (const {peer} of [...open.values()]) peer.disconnect(performance.now())
      for (const connection of open.keys()) arm(connection)
      const late = setTimeout(() => {
        for (const connection of [...open.keys()]) {
          connection.close()
          forget(connection)
        }
      }, GOODBYE_MS)
      while (open.size > 0) await new Promise<void>((resolve) => (changed = resolve))
      clearTimeout(late)
    },
    close() {
      for (const {timer} of open.values()) clearTimeout(timer)
      open.clear()
      listener.close()
    },
  }
}

/** The record of a request that stands in a journal. */
export function diameterFields({octets, receivedMs}: JournalEntry): RecordValue | undefined {
  try {
    return accountingFields(readMessage(octets), receivedMs)
  } catch (error) {
    if (error instanceof DiameterFault) return undefined
    throw error
  }
}
