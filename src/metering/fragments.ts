import type {Packet} from './packet.js'
import {isLater, type Time} from './time.js'

/** First fragments remembered at most. */
const MAX_ENTRIES = 4096
const LIFETIME_MS = 30000

interface FirstFragment {
  readonly expires: Time
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
}

/**
 * Remembers the ports of first fragments, so that later ones, which have none, can be metered with
 * them. docs/METERING.md section 2.3.
 */
export interface FragmentMemory {
  /** Remembers a first fragment; gives a later one the ports (IPv6: and protocol) of its first. */
  meet(packet: Packet): void
}

/** @param clock greatest packet time so far; read at each fragment */
export function createFragmentMemory(clock: Readonly<Time>): FragmentMemory {
  /** Oldest first: a Map keeps the order of insertion. */
  const entries = new Map<string, FirstFragment>()
  const keyOctets = Buffer.alloc(16 + 16 + 4 + 1)

  function keyOf(packet: Packet): string {
    const {octets, source, addressOctets, identification} = packet
    const identificationOctets = packet.version === 4 ? 2 : 4
    let at = 0
    // Source and destination stand side by side in both headers.
    for (let i = 0; i < 2 * addressOctets; i++) keyOctets[at++] = octets[source + i]
    for (let i = 0; i < identificationOctets; i++) keyOctets[at++] = octets[identification + i]
    if (packet.version === 4) keyOctets[at++] = packet.protocol
    return keyOctets.toString('latin1', 0, at)
  }

  function remember(packet: Packet, key: string): void {
    entries.delete(key)
    if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as string)
    entries.set(key, {
      expires: {ms: clock.ms + LIFETIME_MS, ns: clock.ns},
      protocol: packet.protocol,
      sourcePort: packet.sourcePort,
      destinationPort: packet.destinationPort,
    })
  }

  return {
    meet(packet) {
      if (!packet.fragment) return
      const key = keyOf(packet)
      if (packet.fragmentOffset === 0) return remember(packet, key)
      const first = entries.get(key)
      if (first === undefined || isLater(clock, first.expires)) return
      packet.sourcePort = first.sourcePort
      packet.destinationPort = first.destinationPort
      if (packet.version === 6) packet.protocol = first.protocol
    },
  }
}
