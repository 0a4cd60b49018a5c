import {readFileSync} from 'node:fs'
import {Socket} from 'node:net'
import {ReadStream} from 'node:tty'
import {readError} from './errors.js'
import type {Ending} from './read-descriptor.js'
import {isTerminal} from './standard-streams.js'

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

/** A signal to this process alone, or to a service: it should be gone within 5 s. */
const otherwise: DrainLimits = {idleMs: 1000, totalMs: 4000}
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

/** Octets of a pipe, socket or terminal; `counter.position` tells how many have come. */
export async function* readSocket(
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
