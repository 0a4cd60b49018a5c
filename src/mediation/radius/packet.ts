/** Codes of packets. RFC 2866 section 4; RFC 5997 section 3 for Status-Server. */
export const CODE = {accountingRequest: 4, accountingResponse: 5, statusServer: 12} as const

/** Numbers of attributes that have a part in the protocol itself. */
export const ATTRIBUTE = {proxyState: 33, acctDelayTime: 41, messageAuthenticator: 80} as const

export const HEADER_OCTETS = 20
const AUTHENTICATOR = 4
const AUTHENTICATOR_OCTETS = 16
/** RFC 2865 section 3. */
const MOST_OCTETS = 4096

/** A hash function: MD5, which is what RADIUS has. */
export type Md5 = (octets: Uint8Array) => Uint8Array

/** One attribute as it was received. RFC 2865 section 5. */
export interface Attribute {
  readonly type: number
  /** Without type and length. */
  readonly octets: Uint8Array
  /** Octets in front of it in the packet. */
  readonly offset: number
}

/** A packet as it was received, without what may stand behind it in its datagram. */
export interface RadiusPacket {
  readonly code: number
  readonly identifier: number
  /** 16 octets. */
  readonly authenticator: Uint8Array
  readonly attributes: readonly Attribute[]
  readonly octets: Uint8Array
}

/** Why a packet cannot be read, and where. */
export interface PacketFault {
  readonly fault: 'truncated' | 'length' | 'attribute'
  readonly offset: number
}

/**
 * Reads the packet of a datagram.
 *
 *     0      1            2        4               20
 *     code | identifier | length | authenticator | attributes: type, length with these two, value
 */
export function readPacket(datagram: Uint8Array): RadiusPacket | PacketFault {
  if (datagram.length < HEADER_OCTETS) return {fault: 'truncated', offset: datagram.length}
  const length = (datagram[2] << 8) | datagram[3]
  if (length < HEADER_OCTETS || length > MOST_OCTETS) return {fault: 'length', offset: 2}
  if (length > datagram.length) return {fault: 'truncated', offset: datagram.length}
  // What is behind the length is padding. RFC 2865 section 3.
  const octets = datagram.subarray(0, length)
  const attributes: Attribute[] = []
  for (let at = HEADER_OCTETS; at < length;) {
    const size = at + 1 < length ? octets[at + 1] : 0
    if (size < 2 || at + size > length) return {fault: 'attribute', offset: at}
    attributes.push({type: octets[at], octets: octets.subarray(at + 2, at + size), offset: at})
    at += size
  }
  return {
    code: octets[0],
    identifier: octets[1],
    authenticator: octets.subarray(AUTHENTICATOR, HEADER_OCTETS),
    attributes,
    octets,
  }
}

/**
 * Whether an accounting or status request is from somebody who knows the secret. RFC 2866 section 3, and where there is a
 * Message-Authenticator RFC 3579 section 3.2 as well.
 */
export function isAuthentic(packet: RadiusPacket, secret: Uint8Array, md5: Md5): boolean {
  // A copy also where it is a Buffer, whose slices are not.
  const zeroed = new Uint8Array(packet.octets)
  if (packet.code !== CODE.statusServer) {
    zeroed.fill(0, AUTHENTICATOR, HEADER_OCTETS)
    if (!isSame(md5(joined(zeroed, secret)), packet.authenticator)) return false
  }
  const signed = packet.attributes.find(({type}) => type === ATTRIBUTE.messageAuthenticator)
  // Status-Server has nothing else that could tell.
  if (signed === undefined) return packet.code !== CODE.statusServer
  if (signed.octets.length !== AUTHENTICATOR_OCTETS) return false
  zeroed.fill(0, signed.offset + 2, signed.offset + 2 + AUTHENTICATOR_OCTETS)
  return isSame(hmacMd5(zeroed, secret, md5), signed.octets)
}

/** The octets of an Accounting-Response; what proxies put in goes back as it came. RFC 2866 section 4.2. */
export function accountingResponse(
  {identifier, authenticator, attributes}: RadiusPacket,
  secret: Uint8Array,
  md5: Md5,
): Uint8Array {
  const back = attributes.filter(({type}) => type === ATTRIBUTE.proxyState)
  const length = back.reduce((sum, {octets}) => sum + 2 + octets.length, HEADER_OCTETS)
  const packet = new Uint8Array(length)
  packet.set([CODE.accountingResponse, identifier, length >> 8, length & 0xff])
  packet.set(authenticator, AUTHENTICATOR)
  let at = HEADER_OCTETS
  for (const {type, octets} of back) {
    packet.set([type, 2 + octets.length], at)
    packet.set(octets, at + 2)
    at += 2 + octets.length
  }
  packet.set(md5(joined(packet, secret)), AUTHENTICATOR)
  return packet
}

/** HMAC with MD5. RFC 2104 section 2. */
function hmacMd5(octets: Uint8Array, secret: Uint8Array, md5: Md5): Uint8Array {
  const block = new Uint8Array(64)
  block.set(secret.length > 64 ? md5(secret) : secret)
  const inner = md5(
    joined(
      block.map((octet) => octet ^ 0x36),
      octets,
    ),
  )
  return md5(
    joined(
      block.map((octet) => octet ^ 0x5c),
      inner,
    ),
  )
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** Takes the same time wherever they differ. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i]
  return difference === 0
}
