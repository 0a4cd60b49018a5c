import {close, fstatSync, read, readFileSync} from 'node:fs'
import {Socket} from 'node:net'
import {ReadStream} from 'node:tty'
import {readError} from './errors.js'
import {isTerminal} from './standard-streams.js'

/** When reading ends early: an instance of the base command, or two signals of one's own. */
export interface Ending {
  /** Aborted when the user asks to stop: files end at once, pipes are drained of what still comes. */
  readonly stopping: AbortSignal
  /** Aborted when all further work is in vain. */
  readonly signal: AbortSignal
}

/** Octets from a descriptor, in large chunks that are never changed after they are handed out. */
export interface OctetInput {
  /** What the user called it; `-` is standard input. */
  readonly name: string
  /** Octets from where reading began to the end, where that is known (regular files). */
  readonly size: number | undefined
  /** Octets read so far. */
  readonly position: number
  /** Read once. Ends at the end of the input or as `Ending` says; closes the descriptor. */
  readonly chunks: AsyncIterableIterator<Uint8Array>
}

/** What one read of a file asks for. */
const FILE_CHUNK_OCTETS = 1 << 20
/** Reads of pipes fill slabs of this size piece by piece; what has come is handed out as one chunk. */
const SLAB_OCTETS = 1 << 20
/** The least room worth a read: what a pipe holds on Linux. */
const PIPE_OCTETS = 1 << 16
/**
 * When a user stops a pipeline, the signal reaches all of its processes, and those upstream still
 * flush what they hold. So a pipe is read on until it ends, is silent for so long, or has gone on for
 * so long because whoever writes was not told to stop.
 */
interface DrainLimits {
  readonly idleMs: number
  readonly totalMs: number
}

/** A signal to this process alone, or to a service: it should be gone soon. */
const otherwise: DrainLimits = {idleMs: 1000, totalMs: 10_000}
/** Ctrl-C: the writer has got it too, and however long it flushes, nothing is lost. */
const fromTerminal: DrainLimits = {idleMs: 5000, totalMs: 2 ** 31 - 1}

/** Linux tells which process group the terminal's signals go to: proc(5), pgrp and tpgid. */
function drainLimits(): DrainLimits {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1')
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return group === foreground ? fromTerminal : otherwise
  } catch {
    return otherwise
  }
}

/** Takes over `fd`, which is closed when reading ends, except standard input. */
export function readDescriptor(name: string, fd: number, ending: Ending): OctetInput {
  const stat = fstatSync(fd)
  const counter = {name, size: undefined as number | undefined, position: 0}
  let chunks: AsyncIterableIterator<Uint8Array>
  if (stat.isFIFO() || stat.isSocket() || isTerminal(fd)) {
    chunks = readSocket(name, fd, ending, counter)
  } else {
    // Files of /proc say 0 and hold something all the same.
    if (stat.isFile() && stat.size > 0) counter.size = stat.size
    chunks = readFileDescriptor(name, fd, ending, counter)
  }
  return Object.assign(counter, {chunks})
}

async function* readFileDescriptor(
  name: string,
  fd: number,
  {stopping, signal}: Ending,
  counter: {size: number | undefined; position: number},
): AsyncGenerator<Uint8Array, undefined> {
  const next = (): Promise<Uint8Array | Error> => {
    const left = counter.size === undefined ? Infinity : counter.size - counter.position
    // One octet more than is left, so that a small file's end is seen by a short read.
    const room = Math.max(4096, Math.min(FILE_CHUNK_OCTETS, left + 1))
    const octets = Buffer.allocUnsafeSlow(room)
    return new Promise((resolve) => {
      read(fd, octets, 0, room, null, (error, length) =>
        resolve(error ?? octets.subarray(0, length)),
      )
    })
  }
  let ahead = next()
  try {
    for (;;) {
      const octets = await ahead
      if (octets instanceof Error) throw readError(name, octets, counter.position)
      if (octets.length === 0 || stopping.aborted || signal.aborted) return
      counter.position += octets.length
      ahead = next()
      yield octets
    }
  } finally {
    await ahead
    if (fd > 2) close(fd, () => {})
  }
}

async function* readSocket(
  name: string,
  fd: number,
  {stopping, signal}: Ending,
  counter: {position: number},
): AsyncGenerator<Uint8Array, undefined> {
  let slab = Buffer.allocUnsafeSlow(SLAB_OCTETS)
  /** Octets of the slab that are handed out, and that are filled. */
  let given = 0
  let filled = 0
  const full: Uint8Array[] = []
  let paused = false
  let ended = false
  let failure: Error | undefined
  let wake: (() => void) | undefined
  const onread = {
    buffer(): Uint8Array {
      if (SLAB_OCTETS - filled < PIPE_OCTETS) {
        if (filled > given) full.push(slab.subarray(given, filled))
        slab = Buffer.allocUnsafeSlow(SLAB_OCTETS)
        given = filled = 0
      }
      return slab.subarray(filled, filled + PIPE_OCTETS)
    },
    callback(length: number): boolean {
      filled += length
      wake?.()
      paused = full.length > 0
      return !paused
    },
  }
  const socket = isTerminal(fd)
    ? new ReadStream(fd)
    : new Socket({fd, readable: true, writable: false, onread})
  const finish = (error?: Error): void => {
    ended = true
    failure ??= error
    wake?.()
  }
  if (socket instanceof ReadStream) socket.on('data', (octets) => (full.push(octets), wake?.()))
  socket.on('end', () => finish())
  socket.on('error', finish)
  socket.on('close', () => finish())

  let idle: NodeJS.Timeout | undefined
  let total: NodeJS.Timeout | undefined
  const drain = (): void => {
    const {idleMs, totalMs} = drainLimits()
    idle = setTimeout(finish, idleMs)
    total = setTimeout(finish, totalMs)
  }
  const quit = (): void => finish()
  if (signal.aborted) finish()
  else if (stopping.aborted) drain()
  signal.addEventListener('abort', quit)
  stopping.addEventListener('abort', drain)
  try {
    for (;;) {
      if (signal.aborted) return
      let octets = full.shift()
      if (octets === undefined && filled > given) {
        octets = slab.subarray(given, filled)
        given = filled
      }
      if (octets === undefined) {
        if (failure !== undefined) throw readError(name, failure, counter.position)
        if (ended) return
        await new Promise<void>((resolve) => (wake = resolve))
        wake = undefined
        continue
      }
      counter.position += octets.length
      idle?.refresh()
      if (paused && full.length === 0) {
        paused = false
        socket.resume()
      }
      yield octets
    }
  } finally {
    clearTimeout(idle)
    clearTimeout(total)
    signal.removeEventListener('abort', quit)
    stopping.removeEventListener('abort', drain)
    socket.destroy()
  }
}
