import type {Frame} from './capture-file.js'
import {readIpHeader} from './dissect-ip.js'
import {findInFrame} from './dissect-link.js'
import {findInTunnel} from './dissect-tunnel.js'
import {createFragmentMemory} from './fragments.js'
import {clearLayers, createLayers, createPacket, type Packet} from './packet.js'
import type {Time} from './time.js'

const MAX_TUNNELS = 8

/** Finds in each frame the IP packet that is to be metered. docs/METERING.md section 2. */
export interface Dissector {
  /** What the last frame held; the same object for every frame. */
  readonly packet: Packet
  /** Reads a frame into `packet`. `skipped`, `lost`: there is none, for the reason in `refusal`. */
  dissect(frame: Frame): 'metered' | 'skipped' | 'lost'
  /** Why the last frame was not metered. */
  refusal(): string
}

/**
 * @param decap meter the innermost IP header of tunnels
 * @param clock greatest packet time so far, by which fragments are forgotten
 */
export function createDissector(decap: boolean, clock: Readonly<Time>): Dissector {
  const packet = createPacket()
  const {layers} = packet
  const tunnelLayers = createLayers()
  const fragments = createFragmentMemory(clock)

  function enterTunnels(): void {
    while (packet.tunnelDepth < MAX_TUNNELS) {
      const at = findInTunnel(packet, tunnelLayers)
      if (at < 0) return
      const wireOctets = packet.ipOctets - (at - packet.start)
      if (readIpHeader(packet.octets, at, packet.end, wireOctets, packet) !== '') return
      packet.tunnelDepth++
      fragments.meet(packet)
    }
  }

  return {
    packet,
    dissect(frame) {
      clearLayers(layers)
      packet.time = frame.time
      packet.interfaceIndex = frame.interfaceIndex
      packet.tunnelDepth = 0
      const at = findInFrame(frame, packet)
      if (at < 0) return 'skipped'
      const wireOctets = frame.originalLength - (at - frame.start)
      const fault = readIpHeader(frame.octets, at, packet.end, wireOctets, packet)
      if (fault !== '') {
        layers.refusal = fault
        return 'lost'
      }
      fragments.meet(packet)
      if (decap) enterTunnels()
      return 'metered'
    },
    refusal: () => layers.refusal,
  }
}
