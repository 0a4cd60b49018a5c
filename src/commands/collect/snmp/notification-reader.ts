import type {RemoteInfo} from 'node:dgram'
import {fromBindings, fromTrapV1, type Notification} from '../../../mediation/snmp/notification.js'
import {packageUser, type SnmpCredentials} from './credentials.js'
import {createEngineTimes, createOwnEngineTime, type EngineTime} from './engine-time.js'
import {bindingOf, type PackageMessage, type PackagePdu, type SnmpPackage} from './package.js'

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
  /** snmpEngineID, which informs of SNMPv3 are addressed to. */
  readonly engineId: Uint8Array
  read(datagram: Buffer, sender: RemoteInfo): ReadNotification
}

/** Clocks, in milliseconds. */
export interface ReaderClocks {
  /** Since 1970; asked once. */
  readonly now: () => number
  /** Never goes back. */
  readonly steady: () => number
}

type Message = (datagram: Buffer, sender: RemoteInfo) => void

/** usmStats, of which the next octet says which one a Report has. RFC 3414 section 5. */
const USM_STATS = Buffer.from('2b060106030f0101', 'hex')
const NOT_IN_TIME_WINDOWS = 2
const UNKNOWN_ENGINE_IDS = 4
const UNKNOWN_USER_NAMES = 3

/** usmStats as an object. */
const USM_STATS_OID = '1.3.6.1.6.3.15.1.1'

/**
 * Reads datagrams with the receiver of `net-snmp`, which answers informs at once; here its socket is none, so that what it
 * would answer can wait. It does not look at the clocks of engines, so that is done here.
 *
 * @param engineId hexadecimal digits of ours; undefined: one at random
 */
export function createNotificationReader(
  snmp: SnmpPackage,
  {communities, users}: SnmpCredentials,
  engineId?: string,
  {now, steady}: ReaderClocks = {now: () => Date.now(), steady: () => performance.now()},
): NotificationReader {
  let message: Message = () => {}
  /** What the package made of the datagram at hand. */
  let found: {response?: Uint8Array; error?: Error; pdu?: PackagePdu; refused?: Fault} = {}
  const socket = {
    on(event: string, listener: Message) {
      if (event === 'message') message = listener
    },
    bind() {},
    close() {},
    send() {},
  }
  const receiver = snmp.createReceiver(
    {
      port: 1,
      disableAuthorization: false,
      dgramModule: {createSocket: () => socket as never},
      ...(engineId !== undefined && {engineID: engineId}),
    },
    (error, read) => {
      if (error !== null) found.error ??= error
      else if (read !== undefined) found.pdu = read.pdu
    },
  )
  const {engine} = receiver
  receiver.listener.send = (answer) => {
    found.refused = judge(answer)
    found.response = new Uint8Array(answer.toBuffer())
  }
  const engines = createEngineGate(() => {
    snmp.Authentication.authToKeyCache = {}
  })
  const times = createEngineTimes()
  const startedMs = steady()
  const own = createOwnEngineTime(now(), () => steady() - startedMs)
  let outside = 0
  let unknown = 0
  const authorizer = receiver.getAuthorizer()
  for (const community of communities) authorizer.addCommunity(community)
  for (const user of users) authorizer.addUser(packageUser(snmp, user))

  /**
   * Of the answer to an inform of SNMPv3, which is for our engine: makes a Report of it where the inform was for another one,
   * or late. RFC 3414 section 3.2, steps 3 and 7a.
   */
  function judge(answer: PackageMessage): Fault | undefined {
    const said = answer.msgSecurityParameters
    if (answer.pdu.type !== snmp.PduType.GetResponse || said === undefined) return undefined
    const {msgAuthoritativeEngineBoots: boots, msgAuthoritativeEngineTime: time} = said
    const isOurs = engine.engineID.equals(said.msgAuthoritativeEngineID)
    said.msgAuthoritativeEngineID = engine.engineID
    said.msgAuthoritativeEngineBoots = engine.engineBoots
    said.msgAuthoritativeEngineTime = engine.engineTime
    if (!isOurs) {
      makeReport(answer, UNKNOWN_ENGINE_IDS, ++unknown)
      answer.setAuthentication(false)
      answer.user = {name: '', level: snmp.SecurityLevel.noAuthNoPriv}
      said.msgUserName = ''
      return {fault: 'discovery', isLoss: false}
    }
    if (!answer.hasAuthentication() || own.admits({boots, time})) return undefined
    makeReport(answer, NOT_IN_TIME_WINDOWS, ++outside)
    // Who has just learnt of our engine asks for its time so. RFC 3414 section 4.
    const asks = boots === 0 && time === 0
    return asks ? {fault: 'discovery', isLoss: false} : {fault: 'not-in-time-window', isLoss: true}
  }

  function makeReport(answer: PackageMessage, statistic: number, value: number): void {
    const {pdu} = answer
    pdu.type = snmp.PduType.Report
    Object.assign(pdu, {
      varbinds: [{oid: `${USM_STATS_OID}.${statistic}.0`, type: snmp.ObjectType.Counter, value}],
    })
    answer.setPrivacy(false)
  }

  return {
    engineId: engine.engineID,
    read(datagram, sender) {
      found = {}
      const security = securityOf(datagram)
      if (!engines.admits(security?.engine, steady())) {
        return {fault: 'new-engine-rate', isLoss: true, response: undefined}
      }
      ;({boots: engine.engineBoots, time: engine.engineTime} = own.now())
      try {
        message(datagram, sender)
      } catch {
        return {fault: 'malformed', isLoss: true, response: undefined}
      }
      const {response, error, pdu, refused} = found
      if (error !== undefined) return {...faultOf(error), response: undefined}
      if (refused !== undefined) return {...refused, response}
      if (pdu === undefined) return {...reportFault(response), response}
      const notification = notificationOf(snmp, pdu)
      if (notification === undefined) {
        return {fault: 'malformed', isLoss: true, response: undefined}
      }
      if (notification.version !== 3 || notification.kind !== 'trap') {
        return {notification, requestId: pdu.id ?? 0, response}
      }
      // Who sends a trap is the authority on its time.
      if (security === undefined) return {fault: 'malformed', isLoss: true, response: undefined}
      if (security.authentic && !times.admits(security.engine, security, steady())) {
        return {fault: 'not-in-time-window', isLoss: true, response: undefined}
      }
      return {notification, requestId: pdu.id ?? 0, response}
    },
  }
}

interface Fault {
  readonly fault: string
  readonly isLoss: boolean
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
function faultOf({name, message}: Error): Fault {
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
function reportFault(report: Uint8Array | undefined): Fault {
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
  admits: (engine: string | undefined, nowMs: number) => boolean
} {
  const known = new Set<string>()
  let second = 0
  let newInSecond = 0
  return {
    admits(engine, nowMs) {
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

/** What a message of SNMPv3 says of its engine. RFC 3412 section 6, RFC 3414 section 2.4. */
interface Security extends EngineTime {
  /** msgAuthoritativeEngineID, an octet a letter. */
  readonly engine: string
  /** Whether it says that it is authentic. */
  readonly authentic: boolean
}

/** Undefined where nothing is said of an engine. */
function securityOf(datagram: Buffer): Security | undefined {
  let at = 0
  /** Where the contents of the next value are; of a sequence or its like, `at` goes into it. Undefined: it is another. */
  const next = (tag: number): Buffer | undefined => {
    if (at + 2 > datagram.length || datagram[at] !== tag) return undefined
    let length = datagram[at + 1]
    let start = at + 2
    if (length >= 0x80) {
      const octets = length & 0x7f
      if (octets < 1 || octets > 4 || start + octets > datagram.length) return undefined
      length = datagram.readUIntBE(start, octets)
      start += octets
    }
    if (start + length > datagram.length) return undefined
    at = start
    return datagram.subarray(start, start + length)
  }
  const over = (tag: number): Buffer | undefined => {
    const contents = next(tag)
    if (contents !== undefined) at += contents.length
    return contents
  }
  const [sequence, integer, octetString] = [0x30, 0x02, 0x04]
  if (next(sequence) === undefined || numberOf(over(integer)) !== 3) return undefined
  const header = next(sequence)
  if (header === undefined) return undefined
  const behind = at + header.length
  // msgID, msgMaxSize, msgFlags
  if (over(integer) === undefined || over(integer) === undefined) return undefined
  const flags = over(octetString)
  at = behind
  if (flags?.length !== 1 || next(octetString) === undefined || next(sequence) === undefined) {
    return undefined
  }
  const engine = over(octetString)
  const [boots, time] = [numberOf(over(integer)), numberOf(over(integer))]
  if (engine === undefined || engine.length === 0) return undefined
  if (boots === undefined || time === undefined) return undefined
  return {engine: engine.toString('latin1'), authentic: (flags[0] & 1) === 1, boots, time}
}

/** An integer of BER that is not negative, of up to four octets. */
function numberOf(contents: Buffer | undefined): number | undefined {
  if (contents === undefined || contents.length < 1 || contents.length > 4) return undefined
  const value = contents.readIntBE(0, contents.length)
  return value < 0 ? undefined : value
}
