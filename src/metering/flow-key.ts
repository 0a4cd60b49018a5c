import type {KeyPart} from './meter.js'
import {VLAN_KEY_OCTETS} from './flow.js'
import {MAX_VLANS, type Packet} from './packet.js'

const MAX_KEY_OCTETS = 1 + 16 + 16 + 1 + 2 + 2 + VLAN_KEY_OCTETS + 1 + 4 + 1 + 6 + 6

/** Writes the Flow Key of packets. docs/METERING.md section 3. */
export interface KeyWriter {
  /** The key as text of one character an octet. */
  keyOf(packet: Packet): string
  /** Whether the last key has source and destination swapped, so that both directions write the same. */
  turned(): boolean
}

/** @param biflow both directions of a conversation have the same key */
export function createKeyWriter(parts: readonly KeyPart[], biflow: boolean): KeyWriter {
  const has = (part: KeyPart): boolean => parts.includes(part)
  const src = has('src')
  const dst = has('dst')
  const proto = has('proto')
  const srcport = has('srcport')
  const dstport = has('dstport')
  const vlan = has('vlan')
  const tunnel = has('tunnel')
  const byInterface = has('interface')
  const tos = has('tos')
  const srcmac = has('srcmac')
  const dstmac = has('dstmac')
  const key = Buffer.alloc(MAX_KEY_OCTETS)
  let at = 0
  let turned = false

  function put(value: number, octets: 1 | 2 | 4): void {
    if (octets === 4) {
      key[at++] = value >>> 24
      key[at++] = value >>> 16
    }
    if (octets > 1) key[at++] = value >>> 8
    key[at++] = value
  }

  function copy(octets: Uint8Array, from: number, count: number): void {
    for (let i = 0; i < count; i++) key[at++] = octets[from + i]
  }

  /** Addresses decide which end is written first, then ports, then MAC addresses. */
  function isTurned(packet: Packet): boolean {
    const {octets, macs} = packet
    const addresses = compare(octets, packet.source, packet.destination, packet.addressOctets)
    if (addresses !== 0) return addresses > 0
    const ports = srcport ? packet.sourcePort - packet.destinationPort : 0
    if (ports !== 0) return ports > 0
    return srcmac && macs >= 0 && compare(octets, macs + 6, macs, 6) > 0
  }

  function putMac(packet: Packet, from: number): void {
    if (packet.macs < 0) for (let i = 0; i < 6; i++) key[at++] = 0
    else copy(packet.octets, packet.macs + from, 6)
  }

  return {
    keyOf(packet) {
      const {octets, addressOctets, layers} = packet
      turned = biflow && isTurned(packet)
      at = 0
      put(packet.version, 1)
      if (src) copy(octets, turned ? packet.destination : packet.source, addressOctets)
      if (dst) copy(octets, turned ? packet.source : packet.destination, addressOctets)
      if (proto) put(packet.protocol, 1)
      if (srcport) put(turned ? packet.destinationPort : packet.sourcePort, 2)
      if (dstport) put(turned ? packet.sourcePort : packet.destinationPort, 2)
      if (vlan) {
        put(Math.min(layers.vlanCount, MAX_VLANS), 1)
        for (let i = 0; i < MAX_VLANS; i++) put(layers.vlans[i], 2)
      }
      if (tunnel) put(packet.tunnelDepth, 1)
      if (byInterface) put(packet.interfaceIndex, 4)
      if (tos) put(packet.classOfService, 1)
      if (srcmac) putMac(packet, turned ? 0 : 6)
      if (dstmac) putMac(packet, turned ? 6 : 0)
      return key.toString('latin1', 0, at)
    },
    turned: () => turned,
  }
}

/** Less than, equal to or greater than 0, as `count` octets at `a` are to those at `b`. */
function compare(octets: Uint8Array, a: number, b: number, count: number): number {
  for (let i = 0; i < count; i++) {
    const difference = octets[a + i] - octets[b + i]
    if (difference !== 0) return difference
  }
  return 0
}
