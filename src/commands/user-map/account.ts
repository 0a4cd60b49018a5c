import {hostname} from 'node:os'
import type {DartaCommand} from '../../cli/base-command.js'
import {openRecords} from '../../cli/record-input.js'
import {tlsCredentials, type TlsFlagValues} from '../../cli/tls-flags.js'
import {parseEndpoint, type Endpoint} from '../../io/endpoint.js'
import {accountingRequest, createEndToEnd} from '../../mediation/diameter/accounting.js'
import {createUserSessions, type SessionUsage} from '../../mediation/user-sessions.js'
import {DartaError} from '../../record/errors.js'
import {startAccountingClient} from './accounting-client.js'
import {openAccountingSpool} from './accounting-spool.js'

/** Ports of Diameter, without and with TLS. RFC 6733 section 11.4. */
const PORT = 3868
const SECURE_PORT = 5658

export interface AccountOptions extends TlsFlagValues {
  readonly read?: string[]
  readonly spool?: string
  readonly interim: number
  readonly idle: number
  readonly identity: string
  readonly realm?: string
  readonly 'destination-realm'?: string
  readonly reconnect: number
  readonly linger: number
  readonly watchdog: number
}

/** The name of this host as Diameter wants it: with a domain. */
export function defaultIdentity(): string {
  const name = hostname()
  return name.includes('.') ? name : `${name}.localdomain`
}

/** `diameter://HOST[:PORT]` or `diameters://…`. @throws DartaError DARTA_USAGE */
export function accountingEndpoint(url: string | undefined): Endpoint {
  const match = /^diameter(s?):\/\/(.+)$/.exec(url ?? '')
  if (match === null) {
    const given = url === undefined ? 'nothing' : `'${url}'`
    throw new DartaError(
      'DARTA_USAGE',
      `account: expected diameter://HOST[:PORT] or diameters://HOST[:PORT], not ${given}`,
    )
  }
  const [, secure, place] = match
  const transport = secure === '' ? 'tcp' : 'tls'
  const endpoint = parseEndpoint(`${transport}://${place}`, {
    role: 'connect',
    port: secure === '' ? PORT : SECURE_PORT,
    transports: [transport],
  })
  return {...endpoint, name: endpoint.name.replace(/^\w+/, `diameter${secure}`)}
}

/**
 * Reads records of users and accounts for them to a Diameter server, until the records end.
 *
 * @throws DartaError DARTA_UNDELIVERED if the server has not answered all, and there is no spool to keep the rest
 */
export async function account(
  command: DartaCommand,
  endpoint: Endpoint,
  options: AccountOptions,
): Promise<void> {
  const {identity} = options
  const realm = options.realm ?? identity.slice(identity.indexOf('.') + 1)
  if (!isIdentity(identity, realm)) {
    throw new DartaError('DARTA_USAGE', `'${identity}' of '${realm}' is no name in Diameter`)
  }
  const credentials = await tlsCredentials(options, [endpoint])
  const source = await openRecords(command, {read: options.read})
  const sessions = createUserSessions({
    interimMs: options.interim,
    idleMs: options.idle,
    account: command.ledger.stage('sessions', 'records'),
  })
  const spool = openAccountingSpool(options.spool)
  const delivery = command.ledger.stage(`to ${endpoint.name}`, 'records')
  const begun = Math.floor(Date.now() / 1000)
  const nextEndToEnd = createEndToEnd(begun)
  const left = spool.requests.size
  delivery.in += left
  if (left > 0) command.note(`${endpoint.name}: ${left} records from before go first`)
  const client = startAccountingClient({
    endpoint,
    credentials,
    identity,
    realm,
    originStateId: begun,
    reconnectMs: options.reconnect,
    watchdogMs: options.watchdog,
    spool,
    account: delivery,
    note: (text) => command.note(text),
  })
  const parties = {
    originHost: identity,
    originRealm: realm,
    destinationRealm: options['destination-realm'] ?? realm,
    originStateId: begun,
  }
  // Two runs may begin in one second.
  const run = process.pid
  const request = (usage: SessionUsage): {octets: Uint8Array; endToEnd: number} => {
    let endToEnd = nextEndToEnd()
    // What is left in a spool may have the number.
    while (spool.requests.has(endToEnd)) endToEnd = nextEndToEnd()
    const octets = accountingRequest(
      {
        type: usage.type,
        sessionId: `${identity};${begun};${usage.session};${run};${usage.userId}`,
        number: usage.number,
        userName: usage.userName,
        timeMs: usage.timeMs,
        seconds: Math.round((usage.timeMs - usage.startMs) / 1000),
        inputOctets: BigInt(usage.sentOctets),
        inputPackets: BigInt(usage.sentPackets),
        outputOctets: BigInt(usage.receivedOctets),
        outputPackets: BigInt(usage.receivedPackets),
      },
      parties,
      endToEnd,
    )
    return {octets, endToEnd}
  }
  try {
    for await (const batches of source) {
      for (const batch of batches) await client.deliver(sessions.take(batch).map(request))
    }
    await client.deliver(sessions.end().map(request))
  } finally {
    await client.finish(options.linger)
    spool.close()
  }
  const waiting = spool.requests.size
  if (waiting === 0) return
  if (options.spool === undefined) {
    delivery.lose('undelivered', waiting)
    throw new DartaError(
      'DARTA_UNDELIVERED',
      `${endpoint.name} has not answered ${waiting} records; --spool would keep them`,
    )
  }
  delivery.skip('spooled', waiting)
  command.note(`${options.spool}: ${waiting} records wait for ${endpoint.name}`)
}

/** Whether these can be the name of a node, with its domain, and its realm. */
export function isIdentity(identity: string, realm: string): boolean {
  return isName(identity) && identity.includes('.') && isName(realm)
}

/** What may stand in a DiameterIdentity. RFC 6733 section 4.3.1. */
function isName(name: string): boolean {
  return /^[\w-]+(\.[\w-]+)*$/.test(name) && name.length <= 255
}
