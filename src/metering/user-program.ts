import {createEbpfAssembler, R, type EbpfInstruction} from './ebpf.js'

/*
 * The program that counts what the sockets of a cgroup send and receive, for BPF_PROG_TYPE_CGROUP_SKB. The packet begins
 * at its IP header. It runs in the socket's filter, so the owner needs no looking for.
 */

/** Fields of struct __sk_buff, by their offset. */
const SKB = {octets: 0, protocol: 16, segments: 164}
const HELPER = {lookup: 1, update: 2, loadOctets: 26, socketUid: 47}
const NO_EXIST = 1

/** Key of the map: uid (4 octets), IP version, class of protocol, direction, 0. Its value: packets and octets, 8 octets each. */
export const KEY_OCTETS = 8
export const VALUE_OCTETS = 16
/** Stands for users for whom there is no room; no user has it. */
export const OVERFLOW_UID = 0xffffffff

/** Places on the stack, from its end. */
const KEY = -8
const VALUE = -24
const HEADER = -64

export function userProgram(map: number, direction: 'in' | 'out'): EbpfInstruction[] {
  const b = createEbpfAssembler()
  const register = (n: number): {register: number} => ({register: n})
  /** Octets of the packet from the offset in R9 on, to the stack; what is too short is let pass uncounted. */
  const load = (octets: number): void => {
    b.alu('mov', R.a1, register(R.packet), true)
    b.alu('mov', R.a2, register(R.kept))
    b.alu('mov', R.a3, register(R.stack), true)
    b.alu('add', R.a3, HEADER, true)
    b.alu('mov', R.a4, octets)
    b.call(HELPER.loadOctets)
    b.branch('ne', R.result, 0, 'pass', true)
  }
  /** R0 ← the entry of the key on the stack, or 0. */
  const lookup = (): void => {
    b.map(R.a1, map)
    b.alu('mov', R.a2, register(R.stack), true)
    b.alu('add', R.a2, KEY, true)
    b.call(HELPER.lookup)
  }
  b.alu('mov', R.packet, register(R.a1), true)
  b.call(HELPER.socketUid)
  b.store(4, R.stack, KEY, R.result)
  b.alu('mov', R.result, 0)
  b.store(4, R.stack, KEY + 4, R.result)
  b.alu('mov', R.kept, 0)
  load(20)
  b.load(1, R.x, R.stack, HEADER)
  b.alu('rsh', R.x, 4)
  b.store(1, R.stack, KEY + 4, R.x)
  b.branch('eq', R.x, 4, 'v4')
  b.branch('ne', R.x, 6, 'pass')
  // R7 ← the protocol, R9 ← where its header begins.
  b.load(1, R.x, R.stack, HEADER + 6)
  b.alu('mov', R.kept, 40)
  // Kernels put a hop-by-hop header in front of large offloaded packets; more than two others are not looked behind.
  for (let i = 0; i < 3; i++) {
    b.branch('eq', R.x, 0, `extension${i}`)
    b.branch('eq', R.x, 43, `extension${i}`)
    b.branch('eq', R.x, 60, `extension${i}`)
    b.branch('ne', R.x, 44, 'classify')
    b.label(`extension${i}`)
    load(2)
    b.load(1, R.map, R.stack, HEADER + 1)
    // A fragment header has 8 octets and no length.
    b.branch('ne', R.x, 44, `sized${i}`)
    b.alu('mov', R.map, 0)
    b.label(`sized${i}`)
    b.alu('add', R.map, 1)
    b.alu('lsh', R.map, 3)
    b.alu('add', R.kept, register(R.map))
    b.load(1, R.x, R.stack, HEADER)
  }
  b.jump('classify')
  b.label('v4')
  b.load(1, R.kept, R.stack, HEADER)
  b.alu('and', R.kept, 15)
  b.alu('lsh', R.kept, 2)
  b.load(1, R.x, R.stack, HEADER + 9)
  b.label('classify')
  b.alu('mov', R.map, 3)
  for (const [protocol, number] of [
    [6, 0],
    [17, 1],
    [1, 2],
    [58, 2],
  ]) {
    b.branch('ne', R.x, protocol, `not${protocol}`)
    b.alu('mov', R.map, number)
    b.label(`not${protocol}`)
  }
  b.store(1, R.stack, KEY + 5, R.map)
  b.alu('mov', R.map, direction === 'in' ? 0 : 1)
  b.store(1, R.stack, KEY + 6, R.map)
  // R8 ← packets, R9 ← octets. An offloaded packet has its headers once for all segments.
  b.load(4, R.map, R.packet, SKB.segments)
  b.branch('gt', R.map, 1, 'segments')
  b.alu('mov', R.map, 1)
  b.load(4, R.kept, R.packet, SKB.octets)
  b.jump('count')
  b.label('segments')
  b.branch('ne', R.x, 6, 'datagrams')
  b.alu('add', R.kept, 12)
  load(1)
  b.alu('sub', R.kept, 12)
  b.load(1, R.x, R.stack, HEADER)
  b.alu('rsh', R.x, 4)
  b.alu('lsh', R.x, 2)
  b.alu('add', R.kept, register(R.x))
  b.jump('multiply')
  b.label('datagrams')
  b.alu('add', R.kept, 8)
  b.label('multiply')
  b.alu('mov', R.x, register(R.map))
  b.alu('sub', R.x, 1)
  b.alu('mul', R.kept, register(R.x))
  b.load(4, R.x, R.packet, SKB.octets)
  b.alu('add', R.kept, register(R.x))
  b.label('count')
  lookup()
  b.branch('ne', R.result, 0, 'add', true)
  b.alu('mov', R.a1, 0, true)
  b.store(8, R.stack, VALUE, R.a1)
  b.store(8, R.stack, VALUE + 8, R.a1)
  b.map(R.a1, map)
  b.alu('mov', R.a2, register(R.stack), true)
  b.alu('add', R.a2, KEY, true)
  b.alu('mov', R.a3, register(R.stack), true)
  b.alu('add', R.a3, VALUE, true)
  b.alu('mov', R.a4, NO_EXIST)
  b.call(HELPER.update)
  lookup()
  b.branch('ne', R.result, 0, 'add', true)
  b.alu('mov', R.result, -1)
  b.store(4, R.stack, KEY, R.result)
  lookup()
  b.branch('eq', R.result, 0, 'pass', true)
  b.label('add')
  b.fetchAdd(R.result, 0, R.map)
  b.fetchAdd(R.result, 8, R.kept)
  b.label('pass')
  b.alu('mov', R.result, 1)
  b.exit()
  return b.assemble()
}
