import {readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {littleEndian} from './byte-order.js'
import type {UserFlow} from './user-account.js'
import {NETLINK_SOCK_DIAG, netlinkAsk, type NativeCalls} from './user-netlink.js'

/** From linux/sock_diag.h and linux/inet_diag.h. */
const SOCK_DIAG_BY_FAMILY = 20
const AF_INET = 2
const AF_INET6 = 10
const PROTOCOLS = [6, 17]
const REQUEST_OCTETS = 56
const MESSAGE_OCTETS = 72
const ALL_STATES = 0xffffffff
const PLACE = {cookie: 44, inode: 68}

/** A process that has a socket open. */
interface Process {
  readonly pid: number
  readonly command: string
}

/** Names the processes of flows that the kernel does not. */
export interface ProcessFinder {
  /**
   * The same flows; those without a process have that which has their socket open now, if one has, and say that it is a
   * guess. Of several it is the one with the lowest number.
   */
  name(flows: readonly UserFlow[]): UserFlow[]
}

/**
 * The kernel notes a process when it sends. One that only receives, or had its socket before it was looked, is found by what
 * it has open, as ss -p finds it; so not if it is gone, and for others' processes only with the right to trace them.
 */
export function createProcessFinder(calls: NativeCalls): ProcessFinder {
  /** By cookie; undefined: was looked for and not found. */
  let known = new Map<bigint, Process | undefined>()
  return {
    name(flows) {
      const wanted = new Set<bigint>()
      let isNew = false
      for (const {pid, cookie} of flows) {
        if (pid !== 0 || cookie === 0n) continue
        wanted.add(cookie)
        isNew ||= !known.has(cookie)
      }
      // Sockets that are gone are forgotten.
      known = new Map([...known].filter(([cookie]) => wanted.has(cookie)))
      if (isNew) {
        const processes = processesOf(calls, wanted)
        for (const cookie of wanted) {
          if (!known.has(cookie)) known.set(cookie, processes.get(cookie))
        }
      }
      return flows.map((flow) => {
        const found = flow.pid === 0 ? known.get(flow.cookie) : undefined
        return found === undefined ? flow : {...flow, ...found, isProcessGuessed: true}
      })
    },
  }
}

function processesOf(calls: NativeCalls, wanted: ReadonlySet<bigint>): Map<bigint, Process> {
  const cookies = new Map<number, bigint>()
  for (const family of [AF_INET, AF_INET6]) {
    for (const protocol of PROTOCOLS) {
      for (const [inode, cookie] of socketsOf(calls, family, protocol)) {
        if (inode !== 0 && wanted.has(cookie)) cookies.set(inode, cookie)
      }
    }
  }
  const processes = new Map<bigint, Process>()
  if (cookies.size === 0) return processes
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)
    .sort((a, b) => a - b)
  for (const pid of pids) {
    for (const inode of openSockets(pid)) {
      const cookie = cookies.get(inode)
      if (cookie !== undefined && !processes.has(cookie)) {
        processes.set(cookie, {pid, command: commandOf(pid)})
      }
    }
    if (processes.size === cookies.size) break
  }
  return processes
}

function* socketsOf(
  calls: NativeCalls,
  family: number,
  protocol: number,
): Iterable<[inode: number, cookie: bigint]> {
  const request = new Uint8Array(REQUEST_OCTETS)
  request[0] = family
  request[1] = protocol
  new DataView(request.buffer).setUint32(4, ALL_STATES, littleEndian)
  let answers
  try {
    answers = netlinkAsk(calls, NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request, true)
  } catch {
    // A kernel without a part for this protocol.
    return
  }
  for (const {type, body} of answers) {
    if (type !== SOCK_DIAG_BY_FAMILY || body.byteLength < MESSAGE_OCTETS) continue
    const cookie = body.getBigUint64(PLACE.cookie, littleEndian)
    yield [body.getUint32(PLACE.inode, littleEndian), cookie]
  }
}

/** Numbers of the sockets that a process has open; none of one that is gone or may not be looked at. */
function* openSockets(pid: number): Iterable<number> {
  let names: string[]
  try {
    names = readdirSync(`/proc/${pid}/fd`)
  } catch {
    return
  }
  for (const name of names) {
    try {
      const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))
      if (match !== null) yield Number(match[1])
    } catch {
      // Closed meanwhile.
    }
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return ''
  }
}
