import type {Frame} from './capture-file.js'
import {findByEthertype, findInEthernet, findInLlc, findInPpp, refuse} from './dissect-ethertype.js'
import {u16} from './octets.js'
import type {Packet} from './packet.js'

const FABRIC_PATH = 0x8903

/**
 * Finds the outermost IP header of a frame and notes what stands before it in `packet`.
 * docs/METERING.md section 2.
 *
 * @returns where it begins (`packet.end` is where it ends at the latest), or −1 and `packet.layers.refusal`
 */
export function findInFrame(frame: Frame, packet: Packet): number {
  const {octets, start, end} = frame
  const {layers} = packet
  packet.macs = -1
  packet.end = end
  switch (frame.linkType) {
    case 1:
      return findInEthernetFrame(octets, start, end, packet)
    case 12: // raw IP, and IP of one version
    case 14:
    case 101:
    case 228:
    case 229:
      return findRaw(octets, start, end, packet)
    case 113: // Linux cooked, version 1
      if (end - start < 16) return refuse(layers, 'short-frame')
      return findByEthertype(u16(octets, start + 14), octets, start + 16, end, layers)
    case 276: // Linux cooked, version 2
      if (end - start < 20) return refuse(layers, 'short-frame')
      return findByEthertype(u16(octets, start), octets, start + 20, end, layers)
    case 0: // BSD loopback; its address family is in the byte order of the host
    case 108:
      return findRaw(octets, start + 4, end, packet)
    case 9:
    case 50:
      return findInPpp(octets, start, end, layers)
    case 104: // Cisco HDLC
      if (end - start < 4) return refuse(layers, 'short-frame')
      return findByEthertype(u16(octets, start + 2), octets, start + 4, end, layers)
    case 107:
      return findInFrameRelay(octets, start, end, packet)
    case 105:
      return findInWlan(octets, start, end, packet)
    case 127: // radiotap, its length in little-endian order
      if (end - start < 4) return refuse(layers, 'short-frame')
      return findInWlan(octets, start + octets[start + 2] + octets[start + 3] * 256, end, packet)
    case 239:
      return findInNflog(octets, start, end, packet)
    default:
      return refuse(layers, `link-type-${frame.linkType}`)
  }
}

function findInEthernetFrame(
  octets: Uint8Array,
  start: number,
  end: number,
  packet: Packet,
): number {
  if (end - start >= 14 && u16(octets, start + 12) === FABRIC_PATH) start += 16
  if (end - start >= 14) packet.macs = start
  return findInEthernet(octets, start, end, packet.layers)
}

/** IP without anything that announces it. */
function findRaw(octets: Uint8Array, at: number, end: number, {layers}: Packet): number {
  if (at >= end) return refuse(layers, 'short-frame')
  const version = octets[at] >> 4
  return version === 4 || version === 6 ? at : refuse(layers, 'not-ip')
}

/** Address of two octets, then NLPID (RFC 2427) or Cisco's Ethertype. */
function findInFrameRelay(
  octets: Uint8Array,
  start: number,
  end: number,
  {layers}: Packet,
): number {
  if (end - start < 4) return refuse(layers, 'short-frame')
  const type = u16(octets, start + 2)
  return type === 0x03cc || type === 0x0800 ? start + 4 : refuse(layers, 'not-ip')
}

/** IEEE 802.11: only data frames have a packet. IEEE 802.11 section 9.2. */
function findInWlan(octets: Uint8Array, at: number, end: number, {layers}: Packet): number {
  if (end - at < 2) return refuse(layers, 'short-frame')
  const control = octets[at]
  const flags = octets[at + 1]
  const type = (control >> 2) & 3
  if (type === 0) return refuse(layers, 'wlan-management')
  if (type === 1) return refuse(layers, 'wlan-control')
  if (type === 3) return refuse(layers, 'wlan-extension')
  if (control & 0x40) return refuse(layers, 'wlan-null')
  if (flags & 0x40) return refuse(layers, 'wlan-protected')
  const qualityOfService = (control & 0x80) !== 0
  let header = 24
  if ((flags & 3) === 3) header += 6
  if (qualityOfService) header += flags & 0x80 ? 6 : 2
  if (end - at < header) return refuse(layers, 'short-frame')
  return findInLlc(octets, at + header, end, layers)
}

/** Linux netfilter log: attributes of length, type (both in host order: little-endian) and value. */
function findInNflog(octets: Uint8Array, start: number, end: number, packet: Packet): number {
  if (end - start < 4) return refuse(packet.layers, 'short-frame')
  let at = start + 4
  while (at + 4 <= end) {
    const length = octets[at] | (octets[at + 1] << 8)
    const type = octets[at + 2] | (octets[at + 3] << 8)
    if (length < 4) break
    if (type === 9) {
      packet.end = Math.min(end, at + length)
      return findRaw(octets, at + 4, packet.end, packet)
    }
    at += Math.ceil(length / 4) * 4
  }
  return refuse(packet.layers, 'not-ip')
}
