import type {BpfInstruction} from './bpf-assembler.js'
import {createEbpfAssembler, R, type EbpfAssembler, type EbpfInstruction} from './ebpf.js'
import type {Share} from './share.js'
import {MIX1, MIX2} from './share-hash.js'

/*
 * Packets in their turn: node I of N takes packets I − 1, I − 1 + N … of those that its socket sees. Classic BPF cannot
 * count, so this is a socket filter of eBPF with a counter in a map. It counts before the ring, so that what a full ring
 * drops makes nobody lose count, and rejected packets are never copied.
 *
 * The map's value, in the byte order of the machine:
 *
 *     0       8        16           24    32
 *     packets | resets | landmarks | last digest (4), 0 (4) | landmark 0: digest (4), 0 (4), packets before it (8), monotonic time in ns (8) | …
 *
 * A landmark is a packet whose digest of 48 octets from the IP header on, or 28 of short ones, ends in eight zero bits: the same packets on
 * all nodes, so that their counts at landmarks tell whether they still count alike.
 */
export const TURN_HEADER_OCTETS = 32
export const LANDMARK_OCTETS = 24
/** Landmarks kept; a power of two. */
export const LANDMARKS = 4096
/** One packet in so many is a landmark, on average. */
const LANDMARK_EVERY = 256
export const TURN_VALUE_OCTETS = TURN_HEADER_OCTETS + LANDMARKS * LANDMARK_OCTETS

/** Enough to tell packets of a Flow apart by their contents, as some have no identification. */
const DIGEST_OCTETS = 48
const SHORT_OCTETS = 28
/** On the stack below the 64 octets of classic programs. */
const DIGEST_AT = -112
const PACKET_OUTGOING = 4
const SKB_LOAD_BYTES_RELATIVE = 68
const KTIME_GET_NS = 5
const FROM_NETWORK_HEADER = 1
/** Places in `struct __sk_buff`. */
const SKB_PACKET_TYPE = 4

export interface TurnOptions {
  readonly share: Share
  /** Only packets that it accepts are counted. */
  readonly filter: readonly BpfInstruction[] | undefined
  /** The first packet that it accepts is number 0, and so is each later one: nothing is taken before. */
  readonly begin: readonly BpfInstruction[] | undefined
  /** What an accepted packet is cut to. */
  readonly snapOctets: number
}

/** The socket filter that takes one node's packets. What this machine itself sends is neither counted nor taken. */
export function turnProgram({share, filter, begin, snapOctets}: TurnOptions): EbpfInstruction[] {
  const b = createEbpfAssembler()
  b.alu('mov', R.packet, {register: R.a1}, true)
  b.load(4, R.result, R.packet, SKB_PACKET_TYPE)
  b.branch('eq', R.result, PACKET_OUTGOING, 'reject')
  if (begin !== undefined) {
    b.classic(begin, 'reset', 'no-reset')
    b.label('reset')
    b.mapValue(R.map)
    b.alu('mov', R.a1, 0, true)
    b.store(8, R.map, 0, R.a1)
    b.alu('mov', R.a1, 1, true)
    b.fetchAdd(R.map, 8, R.a1)
    b.jump('begun')
    b.label('no-reset')
    b.mapValue(R.map)
    b.load(8, R.result, R.map, 8)
    b.branch('eq', R.result, 0, 'reject', true)
    b.label('begun')
  }
  if (filter !== undefined) b.classic(filter, 'count', 'reject')
  b.label('count')
  b.mapValue(R.map)
  b.alu('mov', R.x, 1, true)
  b.fetchAdd(R.map, 0, R.x)
  landmark(b)
  b.label('decide')
  b.alu('mod', R.x, share.parts, true)
  if (share.first > 1) b.branch('lt', R.x, share.first - 1, 'reject', true)
  if (share.last < share.parts) b.branch('gt', R.x, share.last - 1, 'reject', true)
  b.alu('mov', R.result, snapOctets)
  b.exit()
  b.label('reject')
  b.alu('mov', R.result, 0)
  b.exit()
  return b.assemble()
}

/** R7 is the packet's number, R8 the map's value. Packets without 28 octets behind the link header are no landmarks. */
function landmark(b: EbpfAssembler): void {
  loadHead(b, DIGEST_OCTETS)
  b.branch('ne', R.result, 0, 'short', true)
  digest(b, DIGEST_OCTETS)
  b.jump('digested')
  b.label('short')
  loadHead(b, SHORT_OCTETS)
  b.branch('ne', R.result, 0, 'decide', true)
  digest(b, SHORT_OCTETS)
  b.label('digested')
  b.alu('mov', R.kept, {register: R.result})
  b.alu('and', R.result, LANDMARK_EVERY - 1)
  b.branch('ne', R.result, 0, 'decide')
  // Packets that are all alike make one landmark, not as many as they are.
  b.load(4, R.a1, R.map, 24)
  b.store(4, R.map, 24, R.kept)
  b.alu('xor', R.a1, {register: R.kept})
  b.branch('eq', R.a1, 0, 'decide')
  b.alu('mov', R.a1, 1, true)
  b.fetchAdd(R.map, 16, R.a1)
  b.alu('and', R.a1, LANDMARKS - 1, true)
  b.alu('mul', R.a1, LANDMARK_OCTETS, true)
  b.alu('add', R.map, {register: R.a1}, true)
  b.store(4, R.map, TURN_HEADER_OCTETS, R.kept)
  b.store(8, R.map, TURN_HEADER_OCTETS + 8, R.x)
  b.call(KTIME_GET_NS)
  b.store(8, R.map, TURN_HEADER_OCTETS + 16, R.result)
}

/** Puts octets from the IP header on on the stack; R0 is 0 if there are so many. */
function loadHead(b: EbpfAssembler, octets: number): void {
  b.alu('mov', R.a1, {register: R.packet}, true)
  b.alu('mov', R.a2, 0, true)
  b.alu('mov', R.a3, {register: R.stack}, true)
  b.alu('add', R.a3, DIGEST_AT, true)
  b.alu('mov', R.a4, octets, true)
  b.alu('mov', R.a5, FROM_NETWORK_HEADER, true)
  b.call(SKB_LOAD_BYTES_RELATIVE)
}

/** R0, which is 0, becomes the digest of what is on the stack. */
function digest(b: EbpfAssembler, octets: number): void {
  for (let at = 0; at < octets; at += 4) {
    b.load(4, R.a1, R.stack, DIGEST_AT + at)
    b.alu('xor', R.result, {register: R.a1})
    b.alu('mul', R.result, at % 8 === 0 ? MIX1 : MIX2)
    b.alu('mov', R.a1, {register: R.result})
    b.alu('rsh', R.a1, 15)
    b.alu('xor', R.result, {register: R.a1})
  }
}
