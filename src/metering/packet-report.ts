import {putTime} from './flow-record.js'
import {putUnsigned, type RecordOutput} from './output.js'
import type {Packet} from './packet.js'

/** The one Selection Sequence there is: every packet. RFC 5476 section 6.5.1. */
const SELECTION_SEQUENCE_ID = 1
/** observationTimeNanoseconds, selectionSequenceId and ipTotalLength. */
const FIXED_OCTETS = 24
/** Longest section of which a report still fits a Message, with the three octets of its length. */
const MAX_SECTION_OCTETS = 65535 - 16 - 4 - FIXED_OCTETS - 3

/**
 * Writes the Packet Report of a packet: its time, length and first `sectionOctets` octets. RFC 5476
 * section 6.4.1.
 */
export function reportPacket(output: RecordOutput, packet: Packet, sectionOctets: number): void {
  const captured = packet.end - packet.start
  const section = Math.min(captured, sectionOctets, MAX_SECTION_OCTETS)
  const lengthOctets = section < 255 ? 1 : 3
  const octets = FIXED_OCTETS + lengthOctets + section
  const buffer = output.reserve(0, octets)
  const {view} = buffer
  let {at} = buffer
  putTime(view, at, 'Nanoseconds', packet.time)
  putUnsigned(view, at + 8, 8, SELECTION_SEQUENCE_ID)
  putUnsigned(view, at + 16, 8, packet.ipOctets)
  at += FIXED_OCTETS
  if (lengthOctets === 1) view.setUint8(at, section)
  else {
    view.setUint8(at, 255)
    view.setUint16(at + 1, section)
  }
  at += lengthOctets
  buffer.octets.set(packet.octets.subarray(packet.start, packet.start + section), at)
  buffer.at += octets
}
