import {ie} from '../registry/lookup.js'
import {scopeElements, VENDOR_PEN} from './netflow9-elements.js'
import {isZero} from '../record/zero-octets.js'

export const PACKET_HEADER_OCTETS = 20
const HEADER_DIFFERENCE = 4
const SET_HEADER_OCTETS = 4

/** Told what is odd but harmless: reason, octet of the packet, how many. */
export type PacketFaults = (reason: string, octet: number, n?: number) => void

/**
 * The IPFIX Message that says what the NetFlow 9 packet in `octets` says. Data FlowSets stay where they are, and a packet
 * without Templates is made a Message in its own octets; they are changed in any case.
 *
 *     0       2       4               8              12                16          20
 *     9     | count | uptime        | seconds      | sequence        | source id |
 *                     10 | length   | export time  | sequence number | domain id |   (Message Header)
 *
 * RFC 3954 section 5.1, RFC 7011 section 3.1.
 *
 * @returns undefined if a FlowSet does not fit
 */
export function messageOfPacket(
  octets: Uint8Array,
  view: DataView,
  faults: PacketFaults,
): Uint8Array | undefined {
  const end = endOfSets(octets, view)
  if (end < 0) return undefined
  if (end < octets.length) faults('zero-filled-octets', end, octets.length - end)
  let templates = false
  for (let at = PACKET_HEADER_OCTETS; end - at >= SET_HEADER_OCTETS; at += view.getUint16(at + 2)) {
    if (view.getUint16(at) < 2) templates = true
  }
  if (end - HEADER_DIFFERENCE > 65535) return undefined
  const seconds = view.getUint32(8)
  const sequence = view.getUint32(12)
  const domain = view.getUint32(16)
  const message = templates ? withTemplates(octets, view, end, faults) : octets.subarray(4, end)
  const header = new DataView(message.buffer, message.byteOffset, 16)
  header.setUint16(0, 10)
  header.setUint16(2, message.length)
  header.setUint32(4, seconds)
  header.setUint32(8, sequence)
  header.setUint32(12, domain)
  return message
}

/** Octet behind the last FlowSet, what a packet is filled up with left out; −1 if one does not fit. */
export function endOfSets(octets: Uint8Array, view: DataView): number {
  const end = octets.length
  let at = PACKET_HEADER_OCTETS
  while (end - at >= SET_HEADER_OCTETS) {
    const length = view.getUint16(at + 2)
    if (length < SET_HEADER_OCTETS || length > end - at) {
      const filled = view.getUint16(at) === 0 && length === 0 && isZero(octets, at, end)
      return filled ? at : -1
    }
    at += length
  }
  return end
}

/** A copy with room for a Message Header in front, in which Templates are IPFIX's. */
function withTemplates(
  octets: Uint8Array,
  view: DataView,
  end: number,
  faults: PacketFaults,
): Uint8Array {
  // A field grows by 4 octets at most, and an Options Template by a scope field with its enterprise number.
  const out = new Uint8Array(65535)
  const write = new DataView(out.buffer)
  let to = 16
  let at = PACKET_HEADER_OCTETS
  while (end - at >= SET_HEADER_OCTETS) {
    const id = view.getUint16(at)
    const next = at + view.getUint16(at + 2)
    if (id > 1) {
      if (to + next - at > out.length) break
      out.set(octets.subarray(at, next), to)
      to += next - at
    } else {
      const set = to
      to += SET_HEADER_OCTETS
      at += SET_HEADER_OCTETS
      while (next - at >= 4 && to >= 0) {
        const record = at
        if (id === 0) {
          const count = view.getUint16(at + 2)
          if (view.getUint16(at) === 0 && count === 0) break
          if (count === 0 || next - at - 4 < 4 * count) {
            faults('template-cut', record)
            break
          }
          if (to + 4 + 8 * count > out.length) break
          write.setUint32(to, view.getUint32(at))
          to = writeFields(view, at + 4, count, write, to + 4)
          at += 4 + 4 * count
        } else {
          if (next - at < 6 || view.getUint16(at) < 256) break
          const scopes = view.getUint16(at + 2)
          const options = view.getUint16(at + 4)
          if (scopes + options > next - at - 6 || (scopes | options) % 4 !== 0) {
            faults('template-cut', record)
            break
          }
          const scopeCount = scopes / 4
          const optionCount = options / 4
          if (to + 14 + 8 * (scopeCount + optionCount) > out.length) break
          write.setUint16(to, view.getUint16(at))
          // IPFIX wants a scope: the whole system, which needs no octet, is meant where there is none.
          write.setUint16(to + 2, Math.max(scopeCount, 1) + optionCount)
          write.setUint16(to + 4, Math.max(scopeCount, 1))
          to += 6
          at += 6
          if (scopeCount === 0) to = writeScope(write, to, 1, 0)
          for (let i = 0; i < scopeCount; i++, at += 4) {
            to = writeScope(write, to, view.getUint16(at), view.getUint16(at + 2))
          }
          to = writeFields(view, at, optionCount, write, to)
          at += options
        }
      }
      at = next
      if (to - set > SET_HEADER_OCTETS) {
        write.setUint16(set, id + 2)
        write.setUint16(set + 2, to - set)
      } else {
        to = set
      }
    }
    at = next
  }
  return out.slice(0, to)
}

function writeFields(
  view: DataView,
  at: number,
  count: number,
  write: DataView,
  to: number,
): number {
  for (let i = 0; i < count; i++, at += 4) {
    const type = view.getUint16(at)
    write.setUint32(to, view.getUint32(at))
    to += 4
    // The upper bit, which says in IPFIX that an enterprise number follows, is part of the type here.
    if (type >= 0x8000) {
      write.setUint32(to, VENDOR_PEN)
      to += 4
    }
  }
  return to
}

function writeScope(write: DataView, to: number, type: number, length: number): number {
  const {enterpriseNumber, elementId} = scopeElements[type] ?? ie.netflow9ScopeOther
  write.setUint16(to, enterpriseNumber === 0 ? elementId : elementId | 0x8000)
  write.setUint16(to + 2, length)
  if (enterpriseNumber === 0) return to + 4
  write.setUint32(to + 4, enterpriseNumber)
  return to + 8
}
