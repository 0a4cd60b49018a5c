import {createEbpfAssembler, R, type EbpfInstruction} from './ebpf.js'

/*
 * The program that counts what the sockets of a cgroup send and receive, for BPF_PROG_TYPE_CGROUP_SKB. The packet begins
 * at its IP header. It runs in the socket's filter, so the owner needs no looking for.
 */

/** Fields of struct __sk_buff, bpf_sock and bpf_sock_addr, by their offset. */
const SKB = {octets: 0, segments: 164, socket: 168}
const SOCKET = {type: 8}
const SOCKET_ADDRESS = {socket: 64}
const SOCK_RAW = 3
const HELPER = {
  lookup: 1,
  update: 2,
  monotonicNs: 5,
  process: 14,
  command: 16,
  loadOctets: 26,
  socketCookie: 46,
  socketUid: 47,
  cgroup: 80,
  fullSocket: 95,
  socketStorage: 107,
}
const NO_EXIST = 1
const CREATE = 1

/**
 * Key of the map: uid (4 octets), IP version, class of protocol, direction, and 1 for what is the kernel's, else 0. Its value:
 * packets and octets, 8 octets each.
 */
export const KEY_OCTETS = 8
export const VALUE_OCTETS = 16
/** What is kept of a socket: process (4 octets), 4 octets of 0, name of its command, id of the cgroup, when, each 8. */
export const IDENTITY_OCTETS = 40
/** Key of the map of flows: local and remote address (16 each), ports (2 each, network order), IP version, protocol, 2 of 0. */
export const FLOW_KEY_OCTETS = 40
/**
 * Its value, 8 octets each but where said: packets and octets in, packets and octets out, first and last packet (ns of the
 * monotonic clock), uid and 0 (4 each), cookie of the socket, what is kept of it (40).
 */
export const FLOW_OCTETS = 104
export const FLOW = {first: 32, last: 40, uid: 48, cookie: 56, identity: 64}
/** Stands for users for whom there is no room; no user has it. */
export const OVERFLOW_UID = 0xffffffff

/** Places on the stack, from its end. */
const KEY = -8
const VALUE = -24
const HEADER = -64
const PROTOCOL = -72
const TRANSPORT = -80
const FLOW_KEY = -120
const FLOW_VALUE = FLOW_KEY - FLOW_OCTETS

/** Maps by their descriptors. */
export interface UserMaps {
  readonly users: number
  /** What is kept of sockets. */
  readonly sockets: number
  /** Where flows are to be told. */
  readonly flows: number | undefined
}

export function userProgram(maps: UserMaps, direction: 'in' | 'out'): EbpfInstruction[] {
  const b = createEbpfAssembler()
  const register = (n: number): {register: number} => ({register: n})
  /** Octets of the packet from the offset in R9 on, to the stack; what is too short is let pass uncounted. */
  const load = (octets: number, to = HEADER): void => {
    b.alu('mov', R.a1, register(R.packet), true)
    b.alu('mov', R.a2, register(R.kept))
    b.alu('mov', R.a3, register(R.stack), true)
    b.alu('add', R.a3, to, true)
    b.alu('mov', R.a4, octets)
    b.call(HELPER.loadOctets)
    b.branch('ne', R.result, 0, 'pass', true)
  }
  /** R0 ← the entry of the key on the stack, or 0. */
  const lookup = (map = maps.users, key = KEY): void => {
    b.map(R.a1, map)
    b.alu('mov', R.a2, register(R.stack), true)
    b.alu('add', R.a2, key, true)
    b.call(HELPER.lookup)
  }
  const insert = (map: number, key: number, value: number): void => {
    b.map(R.a1, map)
    b.alu('mov', R.a2, register(R.stack), true)
    b.alu('add', R.a2, key, true)
    b.alu('mov', R.a3, register(R.stack), true)
    b.alu('add', R.a3, value, true)
    b.alu('mov', R.a4, NO_EXIST)
    b.call(HELPER.update)
  }
  /** R7 ← the packet's socket; R0 ← what is kept of it, or 0. Without a socket it goes on at `target`. */
  const identify = (target: string): void => {
    b.load(8, R.a1, R.packet, SKB.socket)
    b.branch('eq', R.a1, 0, target, true)
    b.call(HELPER.fullSocket)
    b.branch('eq', R.result, 0, target, true)
    b.alu('mov', R.x, register(R.result), true)
    b.map(R.a1, maps.sockets)
    b.alu('mov', R.a2, register(R.x), true)
    b.alu('mov', R.a3, 0, true)
    b.alu('mov', R.a4, 0, true)
    b.call(HELPER.socketStorage)
  }
  b.alu('mov', R.packet, register(R.a1), true)
  b.call(HELPER.socketUid)
  b.store(4, R.stack, KEY, R.result)
  b.alu('mov', R.a1, 0)
  b.store(4, R.stack, KEY + 4, R.a1)
  // Of the raw sockets that nobody made by a system call the kernel's own answers come.
  b.branch('ne', R.result, 0, 'owned')
  identify('owned')
  b.branch('ne', R.result, 0, 'owned', true)
  b.load(4, R.x, R.x, SOCKET.type)
  b.branch('ne', R.x, SOCK_RAW, 'owned')
  b.alu('mov', R.x, 1)
  b.store(1, R.stack, KEY + 7, R.x)
  b.label('owned')
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
  if (maps.flows !== undefined) {
    b.store(8, R.stack, PROTOCOL, R.x)
    b.store(8, R.stack, TRANSPORT, R.kept)
  }
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
  insert(maps.users, KEY, VALUE)
  lookup()
  b.branch('ne', R.result, 0, 'add', true)
  b.alu('mov', R.result, -1)
  b.store(4, R.stack, KEY, R.result)
  lookup()
  b.branch('eq', R.result, 0, 'pass', true)
  b.label('add')
  // An addition leaves what was there before in its register.
  if (maps.flows !== undefined) {
    b.store(8, R.stack, VALUE, R.map)
    b.store(8, R.stack, VALUE + 8, R.kept)
  }
  b.fetchAdd(R.result, 0, R.map)
  b.fetchAdd(R.result, 8, R.kept)
  if (maps.flows !== undefined) {
    const out = direction === 'out'
    const zero = (from: number, octets: number): void => {
      b.alu('mov', R.x, 0, true)
      for (let at = 0; at < octets; at += 8) b.store(8, R.stack, from + at, R.x)
    }
    // The kernel's own answers begin no flow.
    b.load(1, R.x, R.stack, KEY + 7)
    b.branch('ne', R.x, 0, 'pass')
    zero(FLOW_KEY, FLOW_KEY_OCTETS)
    // The source's part and the destination's: which of them is local depends on the way.
    const part = (source: boolean, octets: number): number =>
      FLOW_KEY + (source === out ? 0 : octets)
    const addresses = (at: number, octets: number): void => {
      b.alu('mov', R.kept, at)
      load(octets, part(true, 16))
      b.alu('mov', R.kept, at + octets)
      load(octets, part(false, 16))
    }
    b.load(1, R.x, R.stack, KEY + 4)
    b.store(1, R.stack, FLOW_KEY + 36, R.x)
    b.branch('eq', R.x, 6, 'addresses6')
    addresses(12, 4)
    b.jump('ports')
    b.label('addresses6')
    addresses(8, 16)
    b.label('ports')
    b.load(8, R.x, R.stack, PROTOCOL)
    b.store(1, R.stack, FLOW_KEY + 37, R.x)
    b.branch('eq', R.x, 6, 'ported')
    b.branch('eq', R.x, 17, 'ported')
    b.branch('eq', R.x, 1, 'identified')
    b.branch('ne', R.x, 58, 'keyed')
    // The identifier of a request and its answer stands for the port of who asked.
    b.label('identified')
    b.load(8, R.kept, R.stack, TRANSPORT)
    b.alu('add', R.kept, 4)
    load(2, FLOW_KEY + 32)
    b.jump('keyed')
    b.label('ported')
    b.load(8, R.kept, R.stack, TRANSPORT)
    load(2, 32 + part(true, 2))
    b.alu('add', R.kept, 2)
    load(2, 32 + part(false, 2))
    b.label('keyed')
    lookup(maps.flows, FLOW_KEY)
    b.branch('ne', R.result, 0, 'known', true)
    zero(FLOW_VALUE, FLOW_OCTETS)
    b.call(HELPER.monotonicNs)
    b.store(8, R.stack, FLOW_VALUE + FLOW.first, R.result)
    b.load(4, R.x, R.stack, KEY)
    b.store(4, R.stack, FLOW_VALUE + FLOW.uid, R.x)
    b.alu('mov', R.a1, register(R.packet), true)
    b.call(HELPER.socketCookie)
    b.store(8, R.stack, FLOW_VALUE + FLOW.cookie, R.result)
    identify('new')
    b.branch('eq', R.result, 0, 'new', true)
    for (let at = 0; at < IDENTITY_OCTETS; at += 8) {
      b.load(8, R.x, R.result, at)
      b.store(8, R.stack, FLOW_VALUE + FLOW.identity + at, R.x)
    }
    b.label('new')
    insert(maps.flows, FLOW_KEY, FLOW_VALUE)
    lookup(maps.flows, FLOW_KEY)
    b.branch('eq', R.result, 0, 'pass', true)
    b.label('known')
    b.alu('mov', R.x, register(R.result), true)
    b.load(8, R.map, R.stack, VALUE)
    b.load(8, R.kept, R.stack, VALUE + 8)
    b.fetchAdd(R.x, out ? 16 : 0, R.map)
    b.fetchAdd(R.x, out ? 24 : 8, R.kept)
    b.call(HELPER.monotonicNs)
    b.store(8, R.x, FLOW.last, R.result)
  }
  b.label('pass')
  b.alu('mov', R.result, 1)
  b.exit()
  return b.assemble()
}

/**
 * The program that notes which process has a socket: for BPF_PROG_TYPE_CGROUP_SOCK, when it is made, and `used`, for
 * BPF_PROG_TYPE_CGROUP_SOCK_ADDR, when it connects, sends or receives, as it may have been handed on meanwhile.
 */
export function identityProgram(sockets: number, when: 'made' | 'used'): EbpfInstruction[] {
  const b = createEbpfAssembler()
  const register = (n: number): {register: number} => ({register: n})
  if (when === 'made') b.alu('mov', R.a2, register(R.a1), true)
  else b.load(8, R.a2, R.a1, SOCKET_ADDRESS.socket)
  b.branch('eq', R.a2, 0, 'pass', true)
  b.map(R.a1, sockets)
  b.alu('mov', R.a3, 0, true)
  b.alu('mov', R.a4, CREATE, true)
  b.call(HELPER.socketStorage)
  b.branch('eq', R.result, 0, 'pass', true)
  b.alu('mov', R.x, register(R.result), true)
  b.call(HELPER.process)
  b.alu('rsh', R.result, 32, true)
  b.store(4, R.x, 0, R.result)
  b.alu('mov', R.a1, register(R.x), true)
  b.alu('add', R.a1, 8, true)
  b.alu('mov', R.a2, 16)
  b.call(HELPER.command)
  b.call(HELPER.cgroup)
  b.store(8, R.x, 24, R.result)
  b.call(HELPER.monotonicNs)
  b.store(8, R.x, 32, R.result)
  b.label('pass')
  b.alu('mov', R.result, 1)
  b.exit()
  return b.assemble()
}
