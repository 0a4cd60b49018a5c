import {findByEthertype, findInEthernet, findInPpp} from './dissect-ethertype.js'
import {u16} from './octets.js'
import type {Layers, Packet} from './packet.js'

const TRANSPARENT_ETHERNET = 0x6558
const ERSPAN_II = 0x88be
const ERSPAN_III = 0x22eb
const PPP = 0x880b

const VXLAN_PORT = 4789
/** Linux's before the assignment. */
const VXLAN_OLD_PORT = 8472
const GENEVE_PORT = 6081
const GTP_U_PORT = 2152
const TEREDO_PORT = 3544

/**
 * Looks for an IP header in the payload of `packet`. docs/METERING.md section 2.4.
 *
 * @param layers scratch, as what stands before inner headers is not kept
 * @returns where it begins, or −1
 */
export function findInTunnel(packet: Packet, layers: Layers): number {
  const {octets, payload: at, end} = packet
  if (packet.fragmentOffset !== 0 || at >= end) return -1
  layers.lookups = 0
  switch (packet.protocol) {
    case 4:
    case 41:
      return at
    case 47:
      return findInGre(octets, at, end, layers)
    case 17:
      return findInUdp(packet, at + 8, layers)
    default:
      return -1
  }
}

/** GRE (RFC 2784, 2890) and its enhanced version 1 (RFC 2637). */
function findInGre(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  if (end - at < 4) return -1
  const flags = u16(octets, at)
  const type = u16(octets, at + 2)
  const hasSequence = (flags & 0x1000) !== 0
  let inner = at
  switch (flags & 7) {
    case 0:
      if (flags & 0x4000) return -1 // source routes
      inner += 4 + (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (hasSequence ? 4 : 0)
      break
    case 1:
      inner += 8 + (hasSequence ? 4 : 0) + (flags & 0x80 ? 4 : 0)
      break
    default:
      return -1
  }
  if (inner >= end) return -1
  switch (type) {
    case TRANSPARENT_ETHERNET:
      return findInEthernet(octets, inner, end, layers)
    case ERSPAN_II: // without a sequence number it is type I, which has no header of its own
      return findInEthernet(octets, hasSequence ? inner + 8 : inner, end, layers)
    case ERSPAN_III: {
      if (end - inner < 12) return -1
      const subHeader = (octets[inner + 11] & 1) !== 0
      return findInEthernet(octets, inner + 12 + (subHeader ? 8 : 0), end, layers)
    }
    case PPP:
      return findInPpp(octets, inner, end, layers)
    default:
      return findByEthertype(type, octets, inner, end, layers)
  }
}

/** The first kind whose port is there decides, even if its header is not as it should be. */
function findInUdp(packet: Packet, at: number, layers: Layers): number {
  const {octets, end, destinationPort} = packet
  const room = end - at
  if (hasPort(packet, VXLAN_PORT) || hasPort(packet, VXLAN_OLD_PORT)) {
    // RFC 7348 section 5: without the I bit there is no valid network identifier.
    return room > 8 && octets[at] & 8 ? findInEthernet(octets, at + 8, end, layers) : -1
  }
  if (destinationPort === GENEVE_PORT) return room > 8 ? findInGeneve(octets, at, end, layers) : -1
  if (hasPort(packet, GTP_U_PORT)) return room > 8 ? findInGtpU(octets, at, end) : -1
  return hasPort(packet, TEREDO_PORT) ? findInTeredo(octets, at, end) : -1
}

function hasPort(packet: Packet, port: number): boolean {
  return packet.sourcePort === port || packet.destinationPort === port
}

/** Geneve, RFC 8926 section 3.4. */
function findInGeneve(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  const inner = at + 8 + (octets[at] & 63) * 4
  const type = u16(octets, at + 2)
  return type === TRANSPARENT_ETHERNET
    ? findInEthernet(octets, inner, end, layers)
    : findByEthertype(type, octets, inner, end, layers)
}

/** GTP-U version 1, message G-PDU. 3GPP TS 29.281 section 5. */
function findInGtpU(octets: Uint8Array, at: number, end: number): number {
  if (octets[at] >> 5 !== 1 || octets[at + 1] !== 255) return -1
  if ((octets[at] & 7) === 0) return at + 8
  let inner = at + 12
  if (octets[at] & 4 && end - at > 12) {
    let next = octets[at + 11]
    while (next !== 0 && inner < end && octets[inner] !== 0) {
      inner += 4 * octets[inner]
      next = inner <= end ? octets[inner - 1] : 0
    }
  }
  return inner
}

/** Teredo, RFC 4380 section 5.1.1: authentication and origin may stand before the IPv6 packet. */
function findInTeredo(octets: Uint8Array, at: number, end: number): number {
  if (end - at > 4 && u16(octets, at) === 1) at += 4 + octets[at + 2] + octets[at + 3] + 9
  if (end - at >= 2 && u16(octets, at) === 0) at += 8
  return at < end && octets[at] >> 4 === 6 ? at : -1
}
