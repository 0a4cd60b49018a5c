import type {RemoteInfo} from 'node:dgram'
import {fromBindings, fromTrapV1, type Notification} from '../../../mediation/snmp/notification.js'
import {packageUser, type SnmpCredentials} from './credentials.js'
import {bindingOf, type PackagePdu, type SnmpPackage} from './package.js'

/** What a datagram says. */
export type ReadNotification =
  | {
      readonly notification: Notification
      /** Of an inform. */
      readonly requestId: number
      /** What an inform is to be answered. */
      readonly response: Uint8Array | undefined
    }
  | {
      readonly fault: string
      /** Somebody meant to tell something. */
      readonly isLoss: boolean
      /** What is to be answered all the same: a Report of SNMPv3. */
      readonly response: Uint8Array | undefined
    }

export interface NotificationReader {
  read(datagram: Buffer, sender: RemoteInfo): ReadNotification
}

type Message = (datagram: Buffer, sender: RemoteInfo) => void

/** usmStats, of which the next octet says which one a Report has. RFC 3414 section 5. */
const USM_STATS = Buffer.from('2b060106030f0101', 'hex')
const UNKNOWN_ENGINE_IDS = 4
const UNKNOWN_USER_NAMES = 3

/**
 * Reads datagrams with the receiver of `net-snmp`, which answers informs at once; here its socket is none, so that what it
 * would answer can wait.
 */
export function createNotificationReader(
  snmp: SnmpPackage,
  {communities, users}: SnmpCredentials,
): NotificationReader {
  let message: Message = () => {}
  /** What the package made of the datagram at hand. */
  let found: {response?: Uint8Array; error?: Error; pdu?: PackagePdu} = {}
  const socket = {
    on(event: string, listener: Message) {
      if (event === 'message') message = listener
    },
    bind() {},
    close() {},
    send(octets: Uint8Array, from: number, length: number) {
      found.response = octets.slice(from, from + length)
    },
  }
  const receiver = snmp.createReceiver(
    {
      port: 1,
      disableAuthorization: false,
      dgramModule: {createSocket: () => socket as never},
    },
    (error, read) => {
      if (error !== null) found.error ??= error
      else if (read !== undefined) found.pdu = read.pdu
    },
  )
  const engines = createEngineGate(() => {
    if (snmp.Authentication !== undefined) snmp.Authentication.authToKeyCache = {}
  })
  const authorizer = receiver.getAuthorizer()
  for (const community of communities) authorizer.addCommunity(community)
  for (const user of users) authorizer.addUser(packageUser(snmp, user))

  return {
    read(datagram, sender) {
      found = {}
      if (!engines.admits(datagram, performance.now())) {
        return {fault: 'new-engine-rate', isLoss: true, response: undefined}
      }
      try {
        message(datagram, sender)
      } catch {
        return {fault: 'malformed', isLoss: true, response: undefined}
      }
      const {response, error, pdu} = found
      if (error !== undefined) return {...faultOf(error), response: undefined}
      if (pdu === undefined) return {...reportFault(response), response}
      const notification = notificationOf(snmp, pdu)
      if (notification === undefined) {
        return {fault: 'malformed', isLoss: true, response: undefined}
      }
      return {notification, requestId: pdu.id ?? 0, response}
    },
  }
}

function notificationOf(snmp: SnmpPackage, pdu: PackagePdu): Notification | undefined {
  const bindings = pdu.varbinds.map((one) => bindingOf(snmp, one))
  if (pdu.type === snmp.PduType.Trap) {
    return fromTrapV1({
      enterprise: pdu.enterprise!,
      agentAddress: pdu.agentAddr!,
      generic: pdu.generic!,
      specific: pdu.specific!,
      upTime: pdu.upTime!,
      bindings: bindings.filter((one) => one !== undefined),
    })
  }
  const kind = pdu.type === snmp.PduType.InformRequest ? 'inform' : 'trap'
  const notification = fromBindings(kind, pdu.scoped === true ? 3 : 2, bindings)
  if (notification === undefined || pdu.scoped !== true) return notification
  const {contextEngineID = '', contextName = ''} = pdu
  return {
    ...notification,
    context: {
      engineId: new Uint8Array(Buffer.from(contextEngineID, 'hex')),
      name: contextName,
    },
  }
}

/** The package has no codes for these; nothing of its words is passed on, since a community may be in them. */
function faultOf({name, message}: Error): {fault: string; isLoss: boolean} {
  switch (name) {
    case 'RequestFailedError':
      return {fault: 'unknown-sender', isLoss: true}
    case 'ResponseInvalidError':
      return {fault: /unknown pdu/i.test(message) ? 'malformed' : 'authentication', isLoss: true}
    case 'RequestInvalidError':
      return {fault: 'no-notification', isLoss: false}
    default:
      return {fault: 'malformed', isLoss: true}
  }
}

/** Of who asks for our engine first, or is not who he says. RFC 3414 section 4. */
function reportFault(report: Uint8Array | undefined): {fault: string; isLoss: boolean} {
  const octets = Buffer.from(report ?? [])
  const at = octets.indexOf(USM_STATS)
  const statistic = at < 0 ? 0 : octets[at + USM_STATS.length]
  if (statistic === UNKNOWN_ENGINE_IDS) return {fault: 'discovery', isLoss: false}
  const fault = statistic === UNKNOWN_USER_NAMES ? 'unknown-sender' : 'authentication'
  return {fault, isLoss: true}
}

/** Engines whose keys are kept, and new ones in a second: a key takes the hash of a million octets (RFC 3414 section A.2). */
const MOST_ENGINES = 65536
const MOST_NEW_ENGINES = 20

/**
 * Keeps who makes up names of engines from taking all of the time and memory.
 *
 * @param forget lets go of all keys
 */
function createEngineGate(forget: () => void): {
  admits: (datagram: Buffer, nowMs: number) => boolean
} {
  const known = new Set<string>()
  let second = 0
  let newInSecond = 0
  return {
    admits(datagram, nowMs) {
      const engine = engineOf(datagram)
      if (engine === undefined || known.has(engine)) return true
      const now = Math.floor(nowMs / 1000)
      if (now !== second) newInSecond = 0
      second = now
      if (newInSecond >= MOST_NEW_ENGINES) return false
      newInSecond++
      if (known.size >= MOST_ENGINES) {
        known.clear()
        forget()
      }
      known.add(engine)
      return true
    },
  }
}

/** msgAuthoritativeEngineID of a message of SNMPv3; undefined where there is none. RFC 3412 section 6, RFC 3414 section 2.4. */
function engineOf(datagram: Buffer): string | undefined {
  let at = 0
  let end = datagram.length
  /** Goes into the next value, or over it. */
  const next = (tag: number, into: boolean): boolean => {
    if (at + 2 > end || datagram[at] !== tag) return false
    let length = datagram[at + 1]
    at += 2
    if (length >= 0x80) {
      const octets = length & 0x7f
      if (octets < 1 || octets > 3 || at + octets > end) return false
      length = datagram.readUIntBE(at, octets)
      at += octets
    }
    if (at + length > end) return false
    if (into) end = at + length
    else at += length
    return true
  }
  const [sequence, integer, octetString] = [0x30, 0x02, 0x04]
  if (!next(sequence, true) || !next(integer, false) || datagram[at - 1] !== 3) return undefined
  if (!next(sequence, false) || !next(octetString, true) || !next(sequence, true)) return undefined
  const isThere = next(octetString, true)
  return isThere && end > at ? datagram.toString('latin1', at, end) : undefined
}
