import {littleEndian} from './byte-order.js'
import {DartaError} from '../record/errors.js'

/** What the addon must be able to do. */
export interface NativeCalls {
  netlinkAsk(protocol: number, message: Uint8Array): [answer: Uint8Array, errno: number]
  bpfCall(
    command: number,
    attributes: Uint8Array,
    ...pointers: (number | Uint8Array)[]
  ): [result: number, errno: number]
}

export const NETLINK_SOCK_DIAG = 4
export const NETLINK_GENERIC = 16
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const REQUEST = 1
const DUMP = 0x300
const HEADER_OCTETS = 16
const EPERM = 1
const ENOENT = 2

/** One message of an answer: its body, without the header. */
export interface NetlinkMessage {
  readonly type: number
  readonly body: DataView
}

/**
 * Asks the kernel and gives the messages of its answer.
 *
 * @throws DartaError DARTA_PERMISSION, DARTA_USER_SOURCE
 */
export function netlinkAsk(
  calls: NativeCalls,
  protocol: number,
  type: number,
  body: Uint8Array,
  dump: boolean,
): NetlinkMessage[] {
  const message = new Uint8Array(HEADER_OCTETS + body.length)
  const view = new DataView(message.buffer)
  view.setUint32(0, message.length, littleEndian)
  view.setUint16(4, type, littleEndian)
  view.setUint16(6, REQUEST | (dump ? DUMP : 0), littleEndian)
  view.setUint32(8, 1, littleEndian)
  message.set(body, HEADER_OCTETS)
  const [answer, errno] = calls.netlinkAsk(protocol, message)
  if (errno !== 0) throw netlinkFault(errno)
  return readMessages(answer)
}

/** @throws DartaError as `netlinkAsk`; what is cut short is left out */
function readMessages(answer: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = []
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength)
  for (let at = 0; at + HEADER_OCTETS <= view.byteLength;) {
    const octets = view.getUint32(at, littleEndian)
    const type = view.getUint16(at + 4, littleEndian)
    if (octets < HEADER_OCTETS || at + octets > view.byteLength) break
    const body = new DataView(
      answer.buffer,
      answer.byteOffset + at + HEADER_OCTETS,
      octets - HEADER_OCTETS,
    )
    if ((type === NLMSG_ERROR || type === NLMSG_DONE) && body.byteLength >= 4) {
      const error = body.getInt32(0, littleEndian)
      if (error < 0) throw netlinkFault(-error)
    } else messages.push({type, body})
    at += (octets + 3) & ~3
  }
  return messages
}

function netlinkFault(errno: number): DartaError {
  if (errno === EPERM) {
    return new DartaError('DARTA_PERMISSION', 'the kernel only tells this with CAP_NET_ADMIN')
  }
  return new DartaError('DARTA_USER_SOURCE', `netlink: error ${errno} of the kernel`)
}

/** Attributes by their number: of each the last one. */
export function readAttributes(body: DataView, from: number): Map<number, DataView> {
  const attributes = new Map<number, DataView>()
  for (let at = from; at + 4 <= body.byteLength;) {
    const octets = body.getUint16(at, littleEndian)
    if (octets < 4 || at + octets > body.byteLength) break
    attributes.set(
      body.getUint16(at + 2, littleEndian) & 0x3fff,
      new DataView(body.buffer, body.byteOffset + at + 4, octets - 4),
    )
    at += (octets + 3) & ~3
  }
  return attributes
}

/** A generic netlink command with attributes that are already in octets. */
export function genericBody(command: number, version: number, attributes: Uint8Array): Uint8Array {
  const body = new Uint8Array(4 + attributes.length)
  body[0] = command
  body[1] = version
  body.set(attributes, 4)
  return body
}

/** One attribute: its length, its number, its octets, up to a multiple of 4. */
export function attribute(number: number, value: Uint8Array): Uint8Array {
  const octets = new Uint8Array((4 + value.length + 3) & ~3)
  const view = new DataView(octets.buffer)
  view.setUint16(0, 4 + value.length, littleEndian)
  view.setUint16(2, number, littleEndian)
  octets.set(value, 4)
  return octets
}

const CTRL = 16
const CTRL_GETFAMILY = 3
const CTRL_FAMILY_ID = 1
const CTRL_FAMILY_NAME = 2

/** The number of a generic netlink family; undefined if the kernel has none of that name. */
export function genericFamily(calls: NativeCalls, name: string): number | undefined {
  try {
    const [answer] = netlinkAsk(
      calls,
      NETLINK_GENERIC,
      CTRL,
      genericBody(
        CTRL_GETFAMILY,
        1,
        attribute(CTRL_FAMILY_NAME, new TextEncoder().encode(`${name}\0`)),
      ),
      false,
    )
    return readAttributes(answer.body, 4).get(CTRL_FAMILY_ID)?.getUint16(0, littleEndian)
  } catch (error) {
    if (error instanceof DartaError && error.message.includes(`error ${ENOENT} `)) return undefined
    throw error
  }
}
