import {readFileSync, readlinkSync} from 'node:fs'
import {DartaError} from '../record/errors.js'

/** The first descriptor that a service manager hands over. sd_listen_fds(3) */
const FIRST = 3

/** A socket that was bound for us. */
export interface HandedSocket {
  readonly descriptor: number
  /** Of FileDescriptorName= in the socket unit; `unknown` where it has none. */
  readonly name: string
  readonly kind: 'udp' | 'tcp' | 'unix'
}

/** What to look at in place of the process's own; for tests. */
export interface HandedSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  /** What `/proc/self/fd/N` points to: `socket:[12345]`. */
  link(descriptor: number): string
  /** Text of `/proc/self/net/…`, or undefined where there is none. */
  table(name: string): string | undefined
}

const own: HandedSurroundings = {
  env: process.env,
  pid: process.pid,
  link: (descriptor) => readlinkSync(`/proc/self/fd/${descriptor}`),
  table(name) {
    try {
      return readFileSync(`/proc/self/net/${name}`, 'latin1')
    } catch {
      return undefined
    }
  },
}

/** Tables of sockets, and the column in which each has the number of the inode. proc_net(5) */
const tables = [
  ['udp', 'udp', 9],
  ['udp6', 'udp', 9],
  ['tcp', 'tcp', 9],
  ['tcp6', 'tcp', 9],
  ['unix', 'unix', 6],
] as const

/**
 * Sockets that a service manager has bound and hands over, by the protocol of sd_listen_fds(3); none where there is no such
 * thing, or it is meant for another process.
 *
 * @throws DartaError DARTA_LISTEN for something handed over that is no socket to listen on
 */
export function handedSockets(around: HandedSurroundings = own): HandedSocket[] {
  const {LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = ''} = around.env
  const count = Number(LISTEN_FDS)
  if (Number(LISTEN_PID) !== around.pid || !Number.isInteger(count) || count < 1) return []
  const names = LISTEN_FDNAMES.split(':')
  return Array.from({length: Math.min(count, 1024)}, (_, i) => {
    const descriptor = FIRST + i
    const kind = kindOf(descriptor, around)
    if (kind === undefined) {
      const words = `descriptor ${descriptor}, which was handed over, is no UDP, TCP or Unix socket`
      throw new DartaError('DARTA_LISTEN', words)
    }
    return {descriptor, name: names[i] || 'unknown', kind}
  })
}

function kindOf(descriptor: number, around: HandedSurroundings): HandedSocket['kind'] | undefined {
  let inode: string | undefined
  try {
    inode = /^socket:\[(\d+)\]$/.exec(around.link(descriptor))?.[1]
  } catch {
    return undefined
  }
  if (inode === undefined) return undefined
  for (const [name, kind, column] of tables) {
    for (const line of around.table(name)?.split('\n') ?? []) {
      if (line.trim().split(/\s+/)[column] === inode) return kind
    }
  }
  return undefined
}
