import {closeSync, constants, openSync, readFileSync} from 'node:fs'
import {DartaError} from '../../record/errors.js'
import {littleEndian} from '../byte-order.js'
import {ipv4Text, ipv6Text} from '../../record/value.js'
import {createProcessFinder} from '../socket-processes.js'
import {ebpfOctets, type EbpfInstruction} from '../ebpf.js'
import {
  totalKey,
  totalsSince,
  type ProtocolClass,
  type UserFlow,
  type UserReader,
  type UserReading,
  type UserSource,
  type UserTotal,
} from '../user-account.js'
import type {NativeCalls} from '../user-netlink.js'
import {
  FLOW,
  FLOW_KEY_OCTETS,
  FLOW_OCTETS,
  IDENTITY_OCTETS,
  identityProgram,
  KEY_OCTETS,
  OVERFLOW_UID,
  userProgram,
  VALUE_OCTETS,
  type UserMaps,
} from '../user-program.js'

/** Commands of bpf(2). */
const BPF = {
  mapCreate: 0,
  lookup: 1,
  update: 2,
  nextKey: 4,
  load: 5,
  btfLoad: 18,
  lookupBatch: 24,
  linkCreate: 28,
}
const MAP_TYPE = {hash: 1, lruHash: 9, socketStorage: 24}
const NO_PREALLOC = 1
/** Sockets that are accepted have what the listening one has. */
const CLONE = 1 << 9
const PROGRAM_TYPE = {cgroupPacket: 8, cgroupSocket: 9, cgroupAddress: 18}
const ATTACH = {in: 0, out: 1} as const
const ATTACH_SOCKET_MADE = 2
/** Of IPv4 and IPv6: connect, and send and receive of datagrams. */
const ATTACH_SOCKET_USED = [10, 11, 14, 15, 19, 20]
const ATTRIBUTE_OCTETS = 120
/** Rows of users, IP version, protocol and direction. */
const MAX_ROWS = 262_144
/** Flows that are known at once; of more, those that were silent longest are forgotten. */
const MAX_FLOWS = 65_536
const FLOWS_AT_ONCE = 4096
const LOAD_ATTEMPTS = 20
const EPERM = 1
const ENOENT = 2
const EAGAIN = 11
const ENOSPC = 28

const protocols: readonly ProtocolClass[] = ['tcp', 'udp', 'icmp', 'other']

/** Where version 2 of the cgroup tree is mounted; undefined if it is not. proc_pid_mountinfo(5). */
export function cgroupRoot(
  mounts = readFileSync('/proc/self/mountinfo', 'utf8'),
): string | undefined {
  const MOUNT_POINT = 4
  return mounts
    .split('\n')
    .find((line) => line.includes(' - cgroup2 '))
    ?.split(' ')[MOUNT_POINT]
}

function fault(what: string, errno: number): DartaError {
  return errno === EPERM
    ? new DartaError('DARTA_PERMISSION', `${what}: needs CAP_BPF and CAP_NET_ADMIN`)
    : new DartaError('DARTA_USER_SOURCE', `${what}: error ${errno} of the kernel`)
}

const ebpf: UserSource = {
  summary:
    'programs of ours at a cgroup: every packet of its sockets, where no module can be loaded',
  absence({calls}) {
    if (calls === undefined) return 'the native addon is not built'
    return cgroupRoot() === undefined ? 'no cgroup tree of version 2' : undefined
  },
  open({calls, cgroup, flows = false}): UserReader {
    if (calls === undefined) throw new DartaError('DARTA_USER_SOURCE', 'needs the native addon')
    const descriptors: number[] = []
    const close = (): void => {
      for (const one of descriptors.splice(0)) closeSync(one)
    }
    try {
      const path = cgroup ?? cgroupRoot() ?? '/sys/fs/cgroup'
      const {maps, began} = attach(calls, path, flows, descriptors)
      const finder = createProcessFinder(calls)
      let base = new Map<string, UserTotal>()
      return {
        hasFlows: true,
        beganMs: began,
        close,
        read(reset): UserReading {
          const now = readTotals(calls, maps.users)
          const totals = reset ? totalsSince(base, now) : now
          if (reset) base = new Map(now.map((total) => [totalKey(total), total]))
          return {
            timeMs: Date.now(),
            totals,
            flows: maps.flows === undefined ? [] : finder.name(readFlows(calls, maps.flows)),
            statistics: new Map([
              ['began', began],
              ['rows', now.length],
            ]),
          }
        },
      }
    } catch (error) {
      close()
      throw error
    }
  },
}

/** Makes the maps, loads the programs and ties them to the cgroup. What is opened goes to `descriptors`. */
function attach(
  calls: NativeCalls,
  path: string,
  withFlows: boolean,
  descriptors: number[],
): {maps: UserMaps; began: number} {
  const attributes = (...words: number[]): Uint8Array => {
    const octets = new Uint8Array(ATTRIBUTE_OCTETS)
    const view = new DataView(octets.buffer)
    words.forEach((word, i) => view.setUint32(4 * i, word, littleEndian))
    return octets
  }
  const opened = (what: string, [result, errno]: [number, number]): number => {
    if (errno !== 0) throw fault(what, errno)
    descriptors.push(result)
    return result
  }
  let cgroup: number
  try {
    cgroup = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    throw new DartaError('DARTA_USER_SOURCE', `cgroup ${path} cannot be opened`, undefined, error)
  }
  descriptors.push(cgroup)
  const users = opened(
    'the map of users',
    calls.bpfCall(
      BPF.mapCreate,
      attributes(MAP_TYPE.hash, KEY_OCTETS, VALUE_OCTETS, MAX_ROWS, NO_PREALLOC),
    ),
  )
  const types = storageTypes()
  const described = new Uint8Array(ATTRIBUTE_OCTETS)
  new DataView(described.buffer).setUint32(16, types.length, littleEndian)
  const btf = opened('types of maps', calls.bpfCall(BPF.btfLoad, described, 0, types))
  const storage = attributes(MAP_TYPE.socketStorage, 4, IDENTITY_OCTETS, 0, NO_PREALLOC | CLONE)
  const storageView = new DataView(storage.buffer)
  ;[btf, 1, 2].forEach((word, i) => storageView.setUint32(48 + 4 * i, word, littleEndian))
  const sockets = opened('the map of sockets', calls.bpfCall(BPF.mapCreate, storage))
  const flows = withFlows
    ? opened(
        'the map of flows',
        calls.bpfCall(
          BPF.mapCreate,
          attributes(MAP_TYPE.lruHash, FLOW_KEY_OCTETS, FLOW_OCTETS, MAX_FLOWS),
        ),
      )
    : undefined
  const maps = {users, sockets, flows}
  // Rows for those who find no room must be there before the room is gone.
  for (const version of [4, 6]) {
    for (let protocol = 0; protocol < protocols.length; protocol++) {
      for (const direction of [0, 1]) {
        const key = new Uint8Array(KEY_OCTETS)
        new DataView(key.buffer).setUint32(0, OVERFLOW_UID, littleEndian)
        key.set([version, protocol, direction], 4)
        const [, errno] = calls.bpfCall(
          BPF.update,
          attributes(users),
          8,
          key,
          16,
          new Uint8Array(VALUE_OCTETS),
        )
        if (errno !== 0) throw fault('the map of users', errno)
      }
    }
  }
  const tie = (what: string, type: number, to: number, code: readonly EbpfInstruction[]): void => {
    const instructions = ebpfOctets(code)
    const load = attributes(type, instructions.length / 8)
    new DataView(load.buffer).setUint32(68, to, littleEndian)
    const license = new TextEncoder().encode('GPL\0')
    // A signal that comes while the kernel looks a program through makes it stop; it has been taken when the call is back.
    let loaded = calls.bpfCall(BPF.load, load, 8, instructions, 16, license)
    for (let n = 1; n < LOAD_ATTEMPTS && loaded[1] === EAGAIN; n++) {
      loaded = calls.bpfCall(BPF.load, load, 8, instructions, 16, license)
    }
    const program = opened(what, loaded)
    opened(`the cgroup ${path}`, calls.bpfCall(BPF.linkCreate, attributes(program, cgroup, to, 0)))
  }
  // First: what is counted has a process then.
  const {cgroupSocket, cgroupAddress, cgroupPacket} = PROGRAM_TYPE
  const made = identityProgram(sockets, 'made')
  tie('the program for new sockets', cgroupSocket, ATTACH_SOCKET_MADE, made)
  if (withFlows) {
    const used = identityProgram(sockets, 'used')
    for (const to of ATTACH_SOCKET_USED) {
      tie('the program for sockets in use', cgroupAddress, to, used)
    }
  }
  for (const direction of ['in', 'out'] as const) {
    const code = userProgram(maps, direction)
    tie('the counting program', cgroupPacket, ATTACH[direction], code)
  }
  return {maps, began: Date.now()}
}

/** The types of keys and values of a map of sockets, without which kernels make none: a number, and an array of ten. BTF. */
function storageTypes(): Uint8Array {
  const NUMBER = 1 << 24
  const ARRAY = 3 << 24
  const words = [
    ...[1, NUMBER, 4, 32],
    // Of elements of type 1, by indices of type 1.
    ...[0, ARRAY, 0, 1, 1, IDENTITY_OCTETS / 4],
  ]
  const names = new TextEncoder().encode('\0u32\0')
  const HEADER_OCTETS = 24
  const typeOctets = 4 * words.length
  const octets = new Uint8Array(HEADER_OCTETS + typeOctets + names.length)
  const view = new DataView(octets.buffer)
  view.setUint16(0, 0xeb9f, littleEndian)
  view.setUint8(2, 1)
  const header = [HEADER_OCTETS, 0, typeOctets, typeOctets, names.length]
  for (const [i, word] of [...header, ...words].entries()) {
    view.setUint32(4 + 4 * i, word, littleEndian)
  }
  octets.set(names, HEADER_OCTETS + typeOctets)
  return octets
}

function readFlows(calls: NativeCalls, map: number): UserFlow[] {
  const flows: UserFlow[] = []
  // What the monotonic clock said in 1970.
  const monotonicMs = Number(process.hrtime.bigint()) / 1e6
  const originMs = Date.now() - monotonicMs
  let at: Uint8Array | undefined
  for (let capacity = FLOWS_AT_ONCE; ;) {
    const keys = new Uint8Array(capacity * FLOW_KEY_OCTETS)
    const values = new Uint8Array(capacity * FLOW_OCTETS)
    const next = new Uint8Array(8)
    const attributes = new Uint8Array(ATTRIBUTE_OCTETS)
    const view = new DataView(attributes.buffer)
    view.setUint32(32, capacity, littleEndian)
    view.setUint32(36, map, littleEndian)
    const from = at === undefined ? [] : [0, at]
    const pointers = [...from, 8, next, 16, keys, 24, values]
    const [, errno] = calls.bpfCall(BPF.lookupBatch, attributes, ...pointers)
    if (errno === ENOSPC && capacity < MAX_FLOWS) {
      // More in one bucket than there was room for.
      capacity *= 2
      continue
    }
    if (errno !== 0 && errno !== ENOENT) throw fault('the map of flows', errno)
    const count = view.getUint32(32, littleEndian)
    for (let i = 0; i < count; i++) {
      flows.push(
        readFlow(
          keys.subarray(i * FLOW_KEY_OCTETS, (i + 1) * FLOW_KEY_OCTETS),
          new DataView(values.buffer, i * FLOW_OCTETS, FLOW_OCTETS),
          originMs,
        ),
      )
    }
    if (errno === ENOENT) return flows
    at = next
  }
}

function readFlow(key: Uint8Array, value: DataView, originMs: number): UserFlow {
  const number = (at: number): number => Number(value.getBigUint64(at, littleEndian))
  const text = (at: number): string => (key[36] === 6 ? ipv6Text(key, at) : ipv4Text(key, at))
  const command = new Uint8Array(value.buffer, value.byteOffset + FLOW.identity + 8, 16)
  const end = command.indexOf(0)
  return {
    ipVersion: key[36] === 6 ? 6 : 4,
    protocol: key[37],
    local: text(0),
    localPort: (key[32] << 8) | key[33],
    remote: text(16),
    remotePort: (key[34] << 8) | key[35],
    uid: value.getUint32(FLOW.uid, littleEndian),
    pid: value.getUint32(FLOW.identity, littleEndian),
    command: Buffer.from(command.subarray(0, end === -1 ? 16 : end)).toString(),
    cgroup: value.getBigUint64(FLOW.identity + 24, littleEndian),
    cookie: value.getBigUint64(FLOW.cookie, littleEndian),
    ifindex: 0,
    startMs: Math.floor(originMs + number(FLOW.first) / 1e6),
    endMs: Math.ceil(originMs + number(FLOW.last) / 1e6),
    inPackets: number(0),
    inOctets: number(8),
    outPackets: number(16),
    outOctets: number(24),
  }
}

function readTotals(calls: NativeCalls, map: number): UserTotal[] {
  const totals: UserTotal[] = []
  const attributes = new Uint8Array(ATTRIBUTE_OCTETS)
  const view = new DataView(attributes.buffer)
  const value = new Uint8Array(VALUE_OCTETS)
  const numbers = new DataView(value.buffer)
  let key: Uint8Array | undefined
  for (let n = 0; n < MAX_ROWS; n++) {
    const next = new Uint8Array(KEY_OCTETS)
    attributes.fill(0)
    view.setUint32(0, map, littleEndian)
    const pointers = key === undefined ? [16, next] : [8, key, 16, next]
    const [, errno] = calls.bpfCall(BPF.nextKey, attributes, ...pointers)
    if (errno === ENOENT) break
    if (errno !== 0) throw fault('the map of users', errno)
    attributes.fill(0)
    view.setUint32(0, map, littleEndian)
    const [, gone] = calls.bpfCall(BPF.lookup, attributes, 8, next, 16, value)
    if (gone === 0) {
      const uid = new DataView(next.buffer).getUint32(0, littleEndian)
      const packets = Number(numbers.getBigUint64(0, littleEndian))
      if (uid !== OVERFLOW_UID || packets > 0) {
        totals.push({
          ...(uid === OVERFLOW_UID
            ? {row: 'overflow' as const}
            : next[7] === 1
              ? {row: 'kernel' as const}
              : {row: 'user' as const, uid}),
          ipVersion: next[4] === 6 ? 6 : 4,
          protocol: protocols[next[5]] ?? 'other',
          direction: next[6] === 0 ? 'in' : 'out',
          packets,
          octets: Number(numbers.getBigUint64(8, littleEndian)),
        })
      }
    }
    key = next
  }
  return totals
}

export default ebpf
