import {extend, type OctetWriter} from '../../record/octet-writer.js'
import {type AvpDefinition, RESULT} from './dictionary.js'

const VENDOR = 0x80
const MANDATORY = 0x40
const HEADER_OCTETS = 8
const VENDOR_HEADER_OCTETS = 12
/** Seconds from 1900, where Time begins, to 1970. RFC 5905. */
const SECONDS_TO_1970 = 2_208_988_800
/** The second half of the era of 32 bits, from 1968 to 2036, and what follows it. RFC 6733 section 4.3.1. */
const ERA = 2 ** 32

/** A message that breaks the protocol, and the Result-Code that says how. */
export class DiameterFault extends Error {
  readonly resultCode: number
  /** Octets from the beginning of the message. */
  readonly offset: number

  constructor(resultCode: number, message: string, offset: number) {
    super(message)
    this.resultCode = resultCode
    this.offset = offset
  }
}

/** One Attribute-Value Pair as it was received. RFC 6733 section 4.1. */
export interface Avp {
  readonly code: number
  /** 0: none */
  readonly vendor: number
  readonly mandatory: boolean
  /** Without header and padding. */
  readonly octets: Uint8Array
  /** Octets in front of it in the message. */
  readonly offset: number
}

/**
 * Reads the AVPs between two octets.
 *
 *     0    4     5        8           8 or 12
 *     code flags length   [vendor id] data, padded to a multiple of 4
 *
 * @throws DiameterFault invalidAvpLength
 */
export function readAvps(octets: Uint8Array, start: number, end: number): Avp[] {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const avps: Avp[] = []
  for (let at = start; at < end;) {
    if (end - at < HEADER_OCTETS) throw badLength('an AVP is cut short', at)
    const code = view.getUint32(at)
    const flags = view.getUint8(at + 4)
    const length = view.getUint32(at + 4) & 0xffffff
    const header = (flags & VENDOR) === 0 ? HEADER_OCTETS : VENDOR_HEADER_OCTETS
    // The last one's padding must be there too: Message Lengths are multiples of 4.
    if (length < header || length > end - at) {
      throw badLength(`AVP ${code} says it has ${length} octets`, at)
    }
    avps.push({
      code,
      vendor: header === HEADER_OCTETS ? 0 : view.getUint32(at + HEADER_OCTETS),
      mandatory: (flags & MANDATORY) !== 0,
      octets: octets.subarray(at + header, at + length),
      offset: at,
    })
    at += (length + 3) & ~3
  }
  return avps
}

function badLength(message: string, offset: number): DiameterFault {
  return new DiameterFault(RESULT.invalidAvpLength, message, offset)
}

/** The first AVP of a kind; undefined if there is none. */
export function findAvp(avps: readonly Avp[], {code}: AvpDefinition): Avp | undefined {
  return avps.find((one) => one.code === code && one.vendor === 0)
}

/** Data that has to be so long, as a view. @throws DiameterFault invalidAvpLength */
function fixed({octets, offset}: Avp, length: number, {name}: AvpDefinition): DataView {
  if (octets.length !== length) {
    throw badLength(`${name} has ${octets.length} octets, not ${length}`, offset)
  }
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
}

/** Number of the first AVP of a kind with 32 bits; undefined if there is none. @throws DiameterFault invalidAvpLength */
export function avpNumber(avps: readonly Avp[], definition: AvpDefinition): number | undefined {
  const one = findAvp(avps, definition)
  if (one === undefined) return undefined
  return fixed(one, 4, definition).getUint32(0)
}

/** Number of the first AVP of a kind with 64 bits; undefined if there is none. @throws DiameterFault invalidAvpLength */
export function avpBigNumber(avps: readonly Avp[], definition: AvpDefinition): bigint | undefined {
  const one = findAvp(avps, definition)
  return one === undefined ? undefined : fixed(one, 8, definition).getBigUint64(0)
}

const utf8 = new TextDecoder('utf-8', {fatal: true})

/** Text of the first AVP of a kind; undefined if there is none. @throws DiameterFault invalidAvpValue */
export function avpText(avps: readonly Avp[], definition: AvpDefinition): string | undefined {
  const one = findAvp(avps, definition)
  if (one === undefined) return undefined
  try {
    return utf8.decode(one.octets)
  } catch {
    throw new DiameterFault(RESULT.invalidAvpValue, `${definition.name} is no text`, one.offset)
  }
}

/** Milliseconds since 1970 of the first AVP of a kind; undefined if there is none. @throws DiameterFault invalidAvpLength */
export function avpTime(avps: readonly Avp[], definition: AvpDefinition): number | undefined {
  const seconds = avpNumber(avps, definition)
  if (seconds === undefined) return undefined
  return 1000 * (seconds - SECONDS_TO_1970 + (seconds < ERA / 2 ? ERA : 0))
}

/** Seconds of a Time AVP. */
export function timeSeconds(ms: number): number {
  return (Math.floor(ms / 1000) + SECONDS_TO_1970) % ERA
}

/** Data of an Address AVP: 4 octets of IPv4 or 16 of IPv6. */
export function addressOctets(address: Uint8Array): Uint8Array {
  return Uint8Array.of(0, address.length === 4 ? 1 : 2, ...address)
}

/** What an AVP may be given: a number for those with 32 bits, a bigint for those with 64, AVPs for a group. */
export type AvpValue = number | bigint | string | Uint8Array | readonly AvpEntry[]

/** An AVP to be written. */
export type AvpEntry = readonly [definition: AvpDefinition, value: AvpValue]

const encoder = new TextEncoder()

/** Appends AVPs in their order. */
export function writeAvps(writer: OctetWriter, entries: readonly AvpEntry[]): void {
  for (const [definition, value] of entries) {
    const at = extend(writer, HEADER_OCTETS)
    if (Array.isArray(value)) writeAvps(writer, value as readonly AvpEntry[])
    else writeData(writer, value as Exclude<AvpValue, readonly AvpEntry[]>)
    const length = writer.length - at
    const padding = -length & 3
    // The buffer may have held something else before.
    const end = extend(writer, padding)
    writer.octets.fill(0, end, end + padding)
    writer.view.setUint32(at, definition.code)
    writer.view.setUint32(at + 4, length)
    writer.view.setUint8(at + 4, definition.mandatory ? MANDATORY : 0)
  }
}

function writeData(writer: OctetWriter, value: number | bigint | string | Uint8Array): void {
  if (typeof value === 'number') {
    const at = extend(writer, 4)
    writer.view.setUint32(at, value)
  } else if (typeof value === 'bigint') {
    const at = extend(writer, 8)
    writer.view.setBigUint64(at, value)
  } else {
    const octets = typeof value === 'string' ? encoder.encode(value) : value
    const at = extend(writer, octets.length)
    writer.octets.set(octets, at)
  }
}
