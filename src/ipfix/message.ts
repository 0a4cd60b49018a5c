import {DartaError} from '../record/errors.js'

/** Octets of a Message Header. RFC 7011 section 3.1. */
export const MESSAGE_HEADER_OCTETS = 16
/** Octets of a Set Header. RFC 7011 section 3.3.2. */
export const SET_HEADER_OCTETS = 4
/** The version of every IPFIX Message. */
export const IPFIX_VERSION = 10
/** The length field has 16 bits. */
export const MAX_MESSAGE_OCTETS = 65535
/** Set ID of Template Sets. */
export const TEMPLATE_SET_ID = 2
/** Set ID of Options Template Sets. */
export const OPTIONS_TEMPLATE_SET_ID = 3
/** The least Set ID of Data Sets, and the least Template ID. */
export const MIN_DATA_SET_ID = 256

/** RFC 7011 section 3.1 */
export interface MessageHeader {
  /** Octets of the Message with its header, 16..65535. */
  readonly length: number
  /** Seconds since 1970, 0..2^32−1. */
  readonly exportTime: number
  /** Data Records sent before this Message in its Observation Domain, modulo 2^32. */
  readonly sequenceNumber: number
  /** 0..2^32−1; 0 where the Message's records come from no single domain. */
  readonly observationDomainId: number
}

/**
 * Reads the Message Header at `start`. RFC 7011 section 3.1.
 *
 *     0       2        4             8                12                     16
 *     version | length | export time | sequence number | observation domain id
 *
 * Whether the whole Message is there is not looked at.
 *
 * @throws DartaError DARTA_MESSAGE_TRUNCATED, DARTA_MESSAGE_VERSION, DARTA_MESSAGE_LENGTH
 */
export function readMessageHeader(view: DataView, start = 0): MessageHeader {
  if (view.byteLength - start < MESSAGE_HEADER_OCTETS) {
    throw new DartaError('DARTA_MESSAGE_TRUNCATED', 'Message Header is cut short', start)
  }
  const version = view.getUint16(start)
  if (version !== IPFIX_VERSION) {
    throw new DartaError(
      'DARTA_MESSAGE_VERSION',
      `Message Header has version ${version}, not 10`,
      start,
    )
  }
  const length = view.getUint16(start + 2)
  if (length < MESSAGE_HEADER_OCTETS) {
    throw new DartaError(
      'DARTA_MESSAGE_LENGTH',
      `Message says it has ${length} octets, fewer than its header`,
      start + 2,
    )
  }
  return {
    length,
    exportTime: view.getUint32(start + 4),
    sequenceNumber: view.getUint32(start + 8),
    observationDomainId: view.getUint32(start + 12),
  }
}

/** Writes a Message Header at `start`. RFC 7011 section 3.1. */
export function writeMessageHeader(view: DataView, start: number, header: MessageHeader): void {
  view.setUint16(start, IPFIX_VERSION)
  view.setUint16(start + 2, header.length)
  view.setUint32(start + 4, header.exportTime)
  view.setUint32(start + 8, header.sequenceNumber)
  view.setUint32(start + 12, header.observationDomainId)
}

/**
 * Makes a Message of octets whose first 16 were left free for the header and that hold whole Sets
 * behind them; the length is what is there. Changes the octets.
 *
 * @throws DartaError DARTA_MESSAGE_LENGTH if they are more than 65535 octets, or fewer than a header
 */
export function sealMessage(octets: Uint8Array, header: Omit<MessageHeader, 'length'>): void {
  const length = octets.byteLength
  if (length < MESSAGE_HEADER_OCTETS || length > MAX_MESSAGE_OCTETS) {
    throw new DartaError('DARTA_MESSAGE_LENGTH', `no Message can have ${length} octets`)
  }
  const view = new DataView(octets.buffer, octets.byteOffset, MESSAGE_HEADER_OCTETS)
  writeMessageHeader(view, 0, {...header, length})
}

/**
 * Whether the Sets of a Message that lies whole at `start` fill it. RFC 7011 section 3.3.2: a Set is at least its
 * header and ends within its Message. Up to 3 octets behind the last Set can be no Set and are let pass.
 *
 * @returns −1 if they do, else the offset in `view` of the Set that does not fit
 */
export function findBrokenSet(view: DataView, start: number, length: number): number {
  const end = start + length
  let at = start + MESSAGE_HEADER_OCTETS
  while (end - at >= SET_HEADER_OCTETS) {
    const octets = view.getUint16(at + 2)
    if (octets < SET_HEADER_OCTETS || octets > end - at) return at
    at += octets
  }
  return -1
}
