import {closeSync, constants, openSync, readFileSync} from 'node:fs'
import {DartaError} from '../../record/errors.js'
import {littleEndian} from '../byte-order.js'
import {ebpfOctets} from '../ebpf.js'
import {
  totalKey,
  totalsSince,
  type ProtocolClass,
  type UserReader,
  type UserReading,
  type UserSource,
  type UserTotal,
} from '../user-account.js'
import type {NativeCalls} from '../user-netlink.js'
import {KEY_OCTETS, OVERFLOW_UID, userProgram, VALUE_OCTETS} from '../user-program.js'

/** Commands of bpf(2). */
const BPF = {mapCreate: 0, lookup: 1, update: 2, nextKey: 4, load: 5, linkCreate: 28}
const MAP_TYPE_HASH = 1
const NO_PREALLOC = 1
const PROGRAM_TYPE_CGROUP_SKB = 8
const ATTACH = {in: 0, out: 1} as const
const ATTRIBUTE_OCTETS = 120
/** Rows of users, IP version, protocol and direction. */
const MAX_ROWS = 262_144
const EPERM = 1
const ENOENT = 2

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
  open({calls, cgroup}): UserReader {
    if (calls === undefined) throw new DartaError('DARTA_USER_SOURCE', 'needs the native addon')
    const descriptors: number[] = []
    const close = (): void => {
      for (const one of descriptors.splice(0)) closeSync(one)
    }
    try {
      const {map, began} = attach(calls, cgroup ?? cgroupRoot() ?? '/sys/fs/cgroup', descriptors)
      let base = new Map<string, UserTotal>()
      return {
        hasFlows: false,
        beganMs: began,
        close,
        read(reset): UserReading {
          const now = readTotals(calls, map)
          const totals = reset ? totalsSince(base, now) : now
          if (reset) base = new Map(now.map((total) => [totalKey(total), total]))
          return {
            timeMs: Date.now(),
            totals,
            flows: [],
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

/** Makes the map, loads both programs and ties them to the cgroup. What is opened goes to `descriptors`. */
function attach(
  calls: NativeCalls,
  path: string,
  descriptors: number[],
): {map: number; began: number} {
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
  const map = opened(
    'the map of users',
    calls.bpfCall(
      BPF.mapCreate,
      attributes(MAP_TYPE_HASH, KEY_OCTETS, VALUE_OCTETS, MAX_ROWS, NO_PREALLOC),
    ),
  )
  // Rows for those who find no room must be there before the room is gone.
  for (const version of [4, 6]) {
    for (let protocol = 0; protocol < protocols.length; protocol++) {
      for (const direction of [0, 1]) {
        const key = new Uint8Array(KEY_OCTETS)
        new DataView(key.buffer).setUint32(0, OVERFLOW_UID, littleEndian)
        key.set([version, protocol, direction], 4)
        const [, errno] = calls.bpfCall(
          BPF.update,
          attributes(map),
          8,
          key,
          16,
          new Uint8Array(VALUE_OCTETS),
        )
        if (errno !== 0) throw fault('the map of users', errno)
      }
    }
  }
  for (const direction of ['in', 'out'] as const) {
    const instructions = ebpfOctets(userProgram(map, direction))
    const load = attributes(PROGRAM_TYPE_CGROUP_SKB, instructions.length / 8)
    new DataView(load.buffer).setUint32(68, ATTACH[direction], littleEndian)
    const license = new TextEncoder().encode('GPL\0')
    const program = opened(
      'the counting program',
      calls.bpfCall(BPF.load, load, 8, instructions, 16, license),
    )
    opened(
      `the cgroup ${path}`,
      calls.bpfCall(BPF.linkCreate, attributes(program, cgroup, ATTACH[direction], 0)),
    )
  }
  return {map, began: Date.now()}
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
          ...(uid === OVERFLOW_UID ? {row: 'overflow' as const} : {row: 'user' as const, uid}),
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
