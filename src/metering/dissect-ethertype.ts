import {u16} from './octets.js'
import {MAX_VLANS, type Layers} from './packet.js'

/** Ethertypes looked up in one frame, or in one tunnel. */
const MAX_LOOKUPS = 40
/** Ethertype fields up to here are lengths. IEEE 802.3 clause 3.2.6. */
const MAX_LENGTH_FIELD = 1500

/** Ethertypes that carry no IP, by the kind under which their frames are counted. */
const skippedTypes: Readonly<Record<number, string>> = {
  0x0806: 'arp',
  0x8035: 'rarp',
  0x88cc: 'lldp',
  0x8863: 'pppoe-discovery',
  0x888e: 'eapol',
  0x8809: 'slow-protocols',
  0x88f7: 'ptp',
  0x8902: 'cfm',
  0x9000: 'loopback-test',
}

/** Notes why there is no IP header; −1, as the finders return then. */
export function refuse(layers: Layers, reason: string): number {
  layers.refusal = reason
  return -1
}

/**
 * Follows Ethertypes from `type`, whose payload is `at` to `end`, to an IP header.
 * docs/METERING.md section 2.1.
 *
 * @returns where the IP header begins (`end` if nothing of it was captured), or −1 and `layers.refusal`
 */
export function findByEthertype(
  type: number,
  octets: Uint8Array,
  at: number,
  end: number,
  layers: Layers,
): number {
  for (;;) {
    if (++layers.lookups > MAX_LOOKUPS) return refuse(layers, 'nesting')
    const room = end - at
    switch (type) {
      case 0x0800:
      case 0x86dd:
        return at
      case 0x8100: // VLAN tags: 802.1Q, 802.1ad, and what was used before
      case 0x88a8:
      case 0x9100:
      case 0x9200:
        if (room < 4) return refuse(layers, 'short-frame')
        if (layers.vlanCount < MAX_VLANS) layers.vlans[layers.vlanCount] = u16(octets, at) & 0xfff
        layers.vlanCount++
        type = u16(octets, at + 2)
        at += 4
        break
      case 0x8847:
      case 0x8848:
        return findBelowMpls(octets, at, end, layers)
      case 0x8864: // PPPoE session, RFC 2516
        if (room < 6) return refuse(layers, 'short-frame')
        return findInPpp(octets, at + 6, end, layers)
      case 0x893f: // E-Tag, 802.1BR
        if (room < 8) return refuse(layers, 'short-frame')
        type = u16(octets, at + 6)
        at += 8
        break
      case 0x8926: // VN-Tag
        if (room < 6) return refuse(layers, 'short-frame')
        type = u16(octets, at + 4)
        at += 6
        break
      case 0x88e7: // PBB, 802.1ah: I-TAG and the customer's addresses
        if (room < 18) return refuse(layers, 'short-frame')
        type = u16(octets, at + 16)
        at += 18
        break
      case 0x894f:
        return findBelowNsh(octets, at, end, layers)
      default:
        if (type > MAX_LENGTH_FIELD) return refuse(layers, nameOf(type))
        if (isNovellRaw(octets, at, end)) return at + 3
        if (!checkSnap(octets, at, end, layers)) return -1
        type = u16(octets, at + 6)
        at += 8
    }
  }
}

/** Looks up the type of the Ethernet header at `at`. */
export function findInEthernet(
  octets: Uint8Array,
  at: number,
  end: number,
  layers: Layers,
): number {
  if (end - at < 14) return refuse(layers, 'short-frame')
  return findByEthertype(u16(octets, at + 12), octets, at + 14, end, layers)
}

/** PPP, with or without address and control octets. docs/METERING.md section 2.2. */
export function findInPpp(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  if (end - at >= 2 && u16(octets, at) === 0xff03) at += 2
  if (at >= end) return refuse(layers, 'short-frame')
  let protocol = octets[at]
  if (protocol & 1) at += 1
  else {
    if (end - at < 2) return refuse(layers, 'short-frame')
    protocol = u16(octets, at)
    at += 2
  }
  if (protocol === 0x21 || protocol === 0x57) return at
  if (protocol !== 0x281 && protocol !== 0x283) return refuse(layers, 'ppp-control')
  return findByEthertype(0x8847, octets, at, end, layers)
}

/** LLC and SNAP where they stand alone, as in 802.11. */
export function findInLlc(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  return findByEthertype(0, octets, at, end, layers)
}

function nameOf(type: number): string {
  return skippedTypes[type] ?? `ethertype-0x${type.toString(16).padStart(4, '0')}`
}

/** LLC that announces IP by its own service access point, 06. */
function isNovellRaw(octets: Uint8Array, at: number, end: number): boolean {
  return end - at >= 3 && octets[at] === 6 && octets[at + 1] === 6 && octets[at + 2] === 3
}

/** Whether LLC and SNAP with an Ethertype (organisation 0) stand at `at`. */
function checkSnap(octets: Uint8Array, at: number, end: number, layers: Layers): boolean {
  if (end - at < 3) layers.refusal = 'short-frame'
  else if (octets[at] !== 0xaa || octets[at + 1] !== 0xaa || octets[at + 2] !== 3) {
    layers.refusal = 'llc'
  } else if (end - at < 8) layers.refusal = 'short-frame'
  else if (octets[at + 3] !== 0 || u16(octets, at + 4) !== 0) layers.refusal = 'llc'
  else return true
  return false
}

/** MPLS: labels to the bottom of the stack, then IP or a pseudowire's Ethernet (RFC 4385). */
function findBelowMpls(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  for (let bottom = false; !bottom; at += 4) {
    if (end - at < 4) return refuse(layers, 'short-frame')
    layers.mplsLabel ??= (u16(octets, at) << 8) | octets[at + 2]
    bottom = (octets[at + 2] & 1) === 1
  }
  if (at >= end) return refuse(layers, 'short-frame')
  const nibble = octets[at] >> 4
  if (nibble === 4 || nibble === 6) return at
  const controlWord = nibble === 0 && end - at > 18
  return findInEthernet(octets, controlWord ? at + 4 : at, end, layers)
}

/** Network Service Header, RFC 8300. */
function findBelowNsh(octets: Uint8Array, at: number, end: number, layers: Layers): number {
  if (end - at < 8) return refuse(layers, 'short-frame')
  const length = (octets[at + 1] & 0x3f) * 4
  const next = octets[at + 3]
  if (length < 8 || next < 1 || next > 3) return refuse(layers, 'nsh')
  if (end - at < length) return refuse(layers, 'short-frame')
  return next === 3 ? findInEthernet(octets, at + length, end, layers) : at + length
}
