import type {RemoteInfo} from 'node:dgram'
import {hostAndPort} from '../../../io/endpoint.js'
import {md5Of} from '../../../io/md5.js'
import {notificationFields, type Notification} from '../../../mediation/snmp/notification.js'
import {addressOctets} from '../../../record/address.js'
import {DartaError} from '../../../record/errors.js'
import type {FieldValue} from '../../../record/field-records.js'
import {addressText, hexText} from '../../../record/value.js'
import type {JournalEntry} from '../accounting-journal.js'
import type {AnsweringEndpoint} from '../answering.js'
import type {AnsweringServer, ServerContext} from '../answering-protocol.js'
import {answeringOn, bindSocket} from '../answering-socket.js'
import type {SnmpCredentials} from './credentials.js'
import {createNotificationReader} from './notification-reader.js'
import type {SnmpPackage} from './package.js'

/**
 * Takes traps and informs of SNMPv1, v2c and v3. An inform is answered when its record is safe; one that comes again is known
 * by its sender, number and content, a trap by its octets, which have a number (RFC 3416 section 4.1) and in SNMPv3 a time.
 *
 * @param engineId hexadecimal digits of our engine, which informs of SNMPv3 are for; undefined: one at random
 * @throws DartaError DARTA_LISTEN, DARTA_PERMISSION
 */
export async function serveNotifications(
  {endpoint}: AnsweringEndpoint,
  credentials: SnmpCredentials,
  snmp: SnmpPackage,
  engineId: string | undefined,
  {account, intake, bufferOctets, ...context}: ServerContext,
): Promise<AnsweringServer> {
  if (endpoint.transport === 'unix') throw new TypeError('SNMP is spoken over UDP')
  const reader = createNotificationReader(snmp, credentials, engineId)
  const socket = await bindSocket(endpoint.host, endpoint.port, endpoint.name, bufferOctets)
  let seen = 0
  let traps = 0

  function send(octets: Uint8Array, {address, port}: RemoteInfo): void {
    socket.send(octets, port, address, (error) => {
      if (error !== null) account.note('answer-not-sent')
    })
  }

  function take(datagram: Buffer, sender: RemoteInfo): void {
    const offset = seen
    seen += datagram.length
    account.in++
    const address = addressOctets(sender.address)
    if (!context.allows(address)) {
      account.skip('not-allowed')
      return
    }
    const read = reader.read(datagram, sender)
    if ('fault' in read) {
      if (read.isLoss) account.lose(read.fault, 1, offset)
      else account.skip(read.fault)
      if (read.response !== undefined) send(read.response, sender)
      return
    }
    const {notification, response, requestId} = read
    const receivedMs = Date.now()
    let fields: readonly FieldValue[]
    try {
      fields = notificationFields(notification, receivedMs)
    } catch (error) {
      if (!(error instanceof DartaError)) throw error
      account.lose('malformed', 1, offset)
      return
    }
    const who = addressText(address)
    const octets = journalled(notification)
    const isInform = notification.kind === 'inform'
    const key = isInform
      ? `${requestId} ${hexText(md5Of(octets))}`
      : notification.version === 1
        ? // Nothing in it is its own: one more trap of the same moment may be meant.
          `${receivedMs}.${traps++}`
        : hexText(md5Of(datagram))
    const taken = intake.take(
      {
        protocol: 'snmptrap',
        identity: {key: `snmp ${notification.kind} ${who} ${key}`},
        sender: {
          name: hostAndPort(who, sender.port),
          address: hexText(address),
          port: sender.port,
        },
        receivedMs,
        octets,
      },
      fields,
      () => {
        if (isInform && response !== undefined) send(response, sender)
      },
    )
    if (!taken) account.note(isInform ? 'inform-not-taken' : 'trap-not-taken')
  }

  return answeringOn(socket, 'snmptrap', account, take)
}

/** The record of a notification that stands in a journal. */
export function notificationFieldsOf({
  octets,
  receivedMs,
}: JournalEntry): readonly FieldValue[] | undefined {
  try {
    const text = new TextDecoder().decode(octets)
    return notificationFields(JSON.parse(text, revive) as Notification, receivedMs)
  } catch {
    return undefined
  }
}

/** What is said, without the secret that proved it. */
function journalled(notification: Notification): Uint8Array {
  const text = JSON.stringify(notification, (_, value: unknown) => {
    if (typeof value === 'bigint') return {bigint: value.toString()}
    return value instanceof Uint8Array ? {hex: hexText(value)} : value
  })
  return new TextEncoder().encode(text)
}

function revive(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const {bigint, hex} = value as {bigint?: unknown; hex?: unknown}
  if (typeof bigint === 'string') return BigInt(bigint)
  return typeof hex === 'string' ? new Uint8Array(Buffer.from(hex, 'hex')) : value
}
