import type {Frame} from '../../metering/capture-file.js'
import {createDissector} from '../../metering/dissect.js'
import type {ReadSampledHeader, SampledHeader} from '../../mediation/protocol.js'

/** Link types of the header protocols of sFlow that begin with something that a meter knows. */
const linkTypes: Readonly<Record<number, number>> = {1: 1, 7: 9, 11: 101, 12: 101}

/** Reads sampled headers by the meter's own rules, so that a sample is keyed as the packet itself would be. */
export function sampledHeaderReader(): ReadSampledHeader {
  const time = {ms: 0, ns: 0}
  const dissector = createDissector(false, time)
  const frame: Frame = {
    octets: new Uint8Array(0),
    start: 0,
    end: 0,
    originalLength: 0,
    time,
    linkType: 1,
    interfaceIndex: 0,
    offset: 0,
  }
  const header: SampledHeader & {vlans: readonly number[]} = {
    macs: -1,
    vlanCount: 0,
    vlans: [],
    packet: undefined,
  }
  return (octets, start, end, protocol, frameOctets) => {
    const linkType = linkTypes[protocol]
    header.macs = -1
    header.vlanCount = 0
    header.packet = undefined
    if (linkType === undefined) return header
    frame.octets = octets
    frame.start = start
    frame.end = end
    frame.originalLength = frameOctets
    frame.linkType = linkType
    const outcome = dissector.dissect(frame)
    const {packet} = dissector
    if (protocol === 1 && end - start >= 12) header.macs = start
    header.vlanCount = packet.layers.vlanCount
    header.vlans = packet.layers.vlans
    if (outcome === 'metered') header.packet = packet
    return header
  }
}
