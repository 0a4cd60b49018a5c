import {createOctetWriter, extend} from '../../record/octet-writer.js'
import {DiameterFault, readAvps, writeAvps, type Avp, type AvpEntry} from './avp.js'
import {RESULT} from './dictionary.js'
import {createSplitter, type MessageSplitter} from '../message-splitter.js'

const VERSION = 1
const HEADER_OCTETS = 20
/** No message of accounting comes near; what says it is longer is not waited for. */
const MOST_OCTETS = 1 << 20

const FLAG = {request: 0x80, proxiable: 0x40, error: 0x20, retransmitted: 0x10} as const

/** The header of a message. RFC 6733 section 3. */
export interface DiameterHeader {
  readonly request: boolean
  readonly proxiable: boolean
  /** Of answers: they say that the message could not be delivered or read. */
  readonly error: boolean
  /** Of requests: T, the receiver may have had it already. */
  readonly retransmitted: boolean
  readonly command: number
  readonly application: number
  /** Joins an answer to its request on one connection. */
  readonly hopByHop: number
  /** The same in each repetition of a request. */
  readonly endToEnd: number
}

/** A message as it was received. */
export interface DiameterMessage extends DiameterHeader {
  readonly avps: readonly Avp[]
  /** All of it. */
  readonly octets: Uint8Array
}

/**
 * Octets of a message.
 *
 *     0       1              4     5            8              12         16         20
 *     version message length flags command code application id hop-by-hop end-to-end AVPs
 */
export function encodeMessage(header: DiameterHeader, avps: readonly AvpEntry[]): Uint8Array {
  const writer = createOctetWriter(512)
  extend(writer, HEADER_OCTETS)
  writeAvps(writer, avps)
  const {view} = writer
  view.setUint32(0, writer.length)
  view.setUint8(0, VERSION)
  view.setUint32(4, header.command)
  view.setUint8(4, flagsOf(header))
  view.setUint32(8, header.application)
  view.setUint32(12, header.hopByHop)
  view.setUint32(16, header.endToEnd)
  return writer.octets.slice(0, writer.length)
}

function flagsOf(header: DiameterHeader): number {
  let flags = 0
  for (const name of ['request', 'proxiable', 'error', 'retransmitted'] as const) {
    if (header[name]) flags |= FLAG[name]
  }
  return flags
}

/** A request as it goes out again: with another hop-by-hop identifier, and T if it may have arrived before. */
export function readdressed(
  octets: Uint8Array,
  hopByHop: number,
  retransmitted: boolean,
): Uint8Array {
  const copy = octets.slice()
  if (retransmitted) copy[4] |= FLAG.retransmitted
  else copy[4] &= ~FLAG.retransmitted
  new DataView(copy.buffer).setUint32(12, hopByHop)
  return copy
}

/** Octets that tell how long a message is. RFC 6733 section 3. */
const LENGTH_OCTETS = 4

/**
 * How long the message is that begins there; undefined if its first 4 octets are not there yet.
 *
 * @throws DiameterFault unsupportedVersion, invalidMessageLength: nobody can tell where the next one begins
 */
export function messageOctets(octets: Uint8Array, start = 0): number | undefined {
  if (octets.length - start < LENGTH_OCTETS) return undefined
  const [version, a, b, c] = octets.subarray(start, start + LENGTH_OCTETS)
  const length = (a << 16) | (b << 8) | c
  if (version !== VERSION) {
    throw new DiameterFault(RESULT.unsupportedVersion, `Diameter version ${version}`, start)
  }
  if (length < HEADER_OCTETS || length > MOST_OCTETS || length % 4 !== 0) {
    throw new DiameterFault(
      RESULT.invalidMessageLength,
      `a message says it has ${length} octets`,
      start,
    )
  }
  return length
}

/** Reads the header of a message that is there whole. */
export function readHeader(octets: Uint8Array): DiameterHeader {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const flags = view.getUint8(4)
  return {
    request: (flags & FLAG.request) !== 0,
    proxiable: (flags & FLAG.proxiable) !== 0,
    error: (flags & FLAG.error) !== 0,
    retransmitted: (flags & FLAG.retransmitted) !== 0,
    command: view.getUint32(4) & 0xffffff,
    application: view.getUint32(8),
    hopByHop: view.getUint32(12),
    endToEnd: view.getUint32(16),
  }
}

/** Reads a message that is there whole. @throws DiameterFault invalidAvpLength */
export function readMessage(octets: Uint8Array): DiameterMessage {
  return {...readHeader(octets), avps: readAvps(octets, HEADER_OCTETS, octets.length), octets}
}

/** Cuts a stream of octets into messages. Throws DiameterFault as `messageOctets`. */
export function createMessageSplitter(): MessageSplitter<Uint8Array> {
  const lengthAt = (octets: Uint8Array, at: number): number => messageOctets(octets, at)!
  return createSplitter(LENGTH_OCTETS, lengthAt, (octets) => octets)
}
