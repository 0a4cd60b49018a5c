import type {InformationElement} from '../../record/element.js'
import {isUtf8} from '../../record/utf8.js'
import {addressText, hexText, type RecordValue, type Value} from '../../record/value.js'
import {ie} from '../../registry/lookup.js'
import {present, sessionFields} from '../accounting-record.js'
import type {RequestIdentity} from '../recent-requests.js'
import {ATTRIBUTE, HEADER_OCTETS, type Attribute, type Md5, type RadiusPacket} from './packet.js'

/** Attributes with a part of their own in the record. RFC 2866 section 5; gigawords of RFC 2869 section 5. */
const ACCT = {
  statusType: 40,
  delayTime: ATTRIBUTE.acctDelayTime,
  inputOctets: 42,
  outputOctets: 43,
  sessionId: 44,
  sessionTime: 46,
  inputPackets: 47,
  outputPackets: 48,
  inputGigawords: 52,
  outputGigawords: 53,
  eventTimestamp: 55,
} as const

/** Values of Acct-Status-Type; others are shown as numbers. */
const statusNames: Readonly<Record<number, string>> = {
  1: 'start',
  2: 'stop',
  3: 'interim',
  7: 'on',
  8: 'off',
}

type Kind = 'text' | 'octets' | 'number' | 'ipv4' | 'ipv6'

/** Attributes whose value is that of an element. */
const plain = new Map<number, readonly [InformationElement, Kind]>([
  [ACCT.sessionId, [ie.dartaSourceSessionId, 'text']],
  [50, [ie.dartaAccountingMultiSessionId, 'text']],
  [1, [ie.userName, 'text']],
  [8, [ie.sourceIPv4Address, 'ipv4']],
  [168, [ie.sourceIPv6Address, 'ipv6']],
  [32, [ie.dartaNasIdentifier, 'text']],
  [4, [ie.dartaNasIPv4Address, 'ipv4']],
  [95, [ie.dartaNasIPv6Address, 'ipv6']],
  [5, [ie.dartaNasPort, 'number']],
  [87, [ie.dartaNasPortName, 'text']],
  [61, [ie.dartaNasPortType, 'number']],
  [30, [ie.dartaCalledStation, 'text']],
  [31, [ie.dartaCallingStation, 'text']],
  [6, [ie.dartaServiceType, 'number']],
  [7, [ie.dartaFramedProtocol, 'number']],
  [25, [ie.dartaAccountingClass, 'octets']],
  [45, [ie.dartaAccountingAuthentic, 'number']],
  [49, [ie.dartaTerminateCause, 'number']],
  [ACCT.delayTime, [ie.dartaAccountingDelaySeconds, 'number']],
])

/** Attributes of prefixes: reserved, length, as many octets as it takes. RFC 3162 section 2.3, RFC 4818 section 3. */
const prefixes = new Map<number, readonly [InformationElement, InformationElement]>([
  [97, [ie.sourceIPv6Prefix, ie.sourceIPv6PrefixLength]],
  [123, [ie.dartaDelegatedIPv6Prefix, ie.dartaDelegatedIPv6PrefixLength]],
])

const structural = new Set<number>([
  ...Object.values(ACCT).filter((type) => !plain.has(type)),
  ATTRIBUTE.proxyState,
  ATTRIBUTE.messageAuthenticator,
])

/** Why a request is none of accounting. */
export interface AccountingFault {
  readonly fault: 'no-status-type' | 'no-session'
  readonly offset: number
}

/**
 * The fields of the record that an Accounting-Request makes. Attributes without an element, repeated ones and those whose
 * value is not as it should be are kept as octets, so that nothing is lost.
 *
 * @param receivedMs milliseconds since 1970, where that is known: the time of requests that have no Event-Timestamp
 */
export function accountingFields(
  {attributes, octets}: RadiusPacket,
  receivedMs: number | undefined,
): RecordValue | AccountingFault {
  const numbers = new Map<number, number>()
  const values: [InformationElement, Value][] = []
  const taken = new Set<number>()
  const rest: Uint8Array[] = []
  for (const attribute of attributes) {
    const {type} = attribute
    if (type === ATTRIBUTE.proxyState || type === ATTRIBUTE.messageAuthenticator) continue
    const read = taken.has(type) ? undefined : readAttribute(attribute, numbers)
    if (read === undefined) {
      rest.push(octets.subarray(attribute.offset, attribute.offset + 2 + attribute.octets.length))
      continue
    }
    taken.add(type)
    values.push(...read)
  }
  const status = numbers.get(ACCT.statusType)
  if (status === undefined) return {fault: 'no-status-type', offset: HEADER_OCTETS}
  if (!taken.has(ACCT.sessionId)) return {fault: 'no-session', offset: HEADER_OCTETS}
  const timeMs = eventMs(numbers, receivedMs)
  return [
    [ie.dartaAccountingRecordType, statusNames[status] ?? String(status)],
    ...values,
    ...sessionFields({
      inputOctets: wide(numbers, ACCT.inputOctets, ACCT.inputGigawords),
      inputPackets: wide(numbers, ACCT.inputPackets),
      outputOctets: wide(numbers, ACCT.outputOctets, ACCT.outputGigawords),
      outputPackets: wide(numbers, ACCT.outputPackets),
      seconds: numbers.get(ACCT.sessionTime),
      timeMs,
    }),
    ...present([[ie.dartaRadiusAttributes, rest.length === 0 ? undefined : joined(rest)]]),
  ]
}

/**
 * The fields of an attribute that RADIUS and Diameter number alike (RFC 7155 section 4); undefined if there is no element for
 * it, or its value is not as it should be.
 */
export function attributeFields(type: number, octets: Uint8Array): RecordValue | undefined {
  return structural.has(type) || type === ACCT.sessionId
    ? undefined
    : readAttribute({type, octets, offset: 0}, new Map())
}

/** The fields of one attribute; a structural one's value goes to `numbers`. Undefined: it is kept as octets. */
function readAttribute(
  {type, octets}: Attribute,
  numbers: Map<number, number>,
): [InformationElement, Value][] | undefined {
  if (structural.has(type)) {
    if (octets.length !== 4) return undefined
    numbers.set(type, numberOf(octets))
    return []
  }
  const prefix = prefixes.get(type)
  if (prefix !== undefined) {
    if (octets.length < 2 || octets.length > 18 || octets[1] > 128) return undefined
    const address = new Uint8Array(16)
    address.set(octets.subarray(2))
    return [
      [prefix[0], addressText(address)],
      [prefix[1], octets[1]],
    ]
  }
  const known = plain.get(type)
  if (known === undefined) return undefined
  const [element, kind] = known
  const value = valueOf(kind, octets)
  if (value === undefined) return undefined
  if (type === ACCT.delayTime) numbers.set(type, value as number)
  return [[element, value]]
}

const utf8 = new TextDecoder()

function valueOf(kind: Kind, octets: Uint8Array): Value | undefined {
  switch (kind) {
    case 'octets':
      return octets
    case 'text':
      return isUtf8(octets, 0, octets.length) ? utf8.decode(octets) : undefined
    case 'number':
      return octets.length === 4 ? numberOf(octets) : undefined
    case 'ipv4':
      // 255.255.255.255 and ...254 ask the server for an address. RFC 2865 section 5.8.
      return octets.length === 4 ? addressText(octets) : undefined
    case 'ipv6':
      return octets.length === 16 ? addressText(octets) : undefined
  }
}

function numberOf(octets: Uint8Array): number {
  return new DataView(octets.buffer, octets.byteOffset, 4).getUint32(0)
}

/** A counter of 32 bits, with those above where there is an attribute for them. RFC 2869 sections 5.1 and 5.2. */
function wide(
  numbers: ReadonlyMap<number, number>,
  low: number,
  high?: number,
): bigint | undefined {
  const value = numbers.get(low)
  const above = high === undefined ? undefined : numbers.get(high)
  if (value === undefined && above === undefined) return undefined
  return (BigInt(above ?? 0) << 32n) | BigInt(value ?? 0)
}

function eventMs(
  numbers: ReadonlyMap<number, number>,
  receivedMs: number | undefined,
): number | undefined {
  const stamp = numbers.get(ACCT.eventTimestamp)
  if (stamp !== undefined) return 1000 * stamp
  if (receivedMs === undefined) return undefined
  return Math.max(0, receivedMs - 1000 * (numbers.get(ACCT.delayTime) ?? 0))
}

/**
 * A repetition with another Acct-Delay-Time is another packet (RFC 2866 section 5.2), but all else in it is the same, and so
 * is the time at which it was true.
 *
 * @param sender who sent it
 */
export function identityOf(
  packet: RadiusPacket,
  sender: string,
  receivedMs: number | undefined,
  md5: Md5,
): RequestIdentity {
  const numbers = new Map<number, number>()
  const same: Uint8Array[] = []
  for (const attribute of packet.attributes) {
    const {type, offset, octets} = attribute
    if (type === ACCT.delayTime || type === ACCT.eventTimestamp) readAttribute(attribute, numbers)
    if (type === ACCT.delayTime || type === ATTRIBUTE.proxyState) continue
    if (type === ATTRIBUTE.messageAuthenticator) continue
    same.push(packet.octets.subarray(offset, offset + 2 + octets.length))
  }
  return {
    key: `${sender} ${hexText(md5(joined(same)))}`,
    exact: `${packet.identifier} ${hexText(packet.authenticator)}`,
    timeMs: eventMs(numbers, receivedMs),
  }
}

/** Octets one behind the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, {length}) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
