import {fstatSync, writev} from 'node:fs'
import type {Socket} from 'node:net'
import {writeWithRoom, type FullDisk} from './full-disk.js'
import {isClosedPipe, OutputClosed, writeError} from './errors.js'

/** Where octets go: a pipe, a terminal, a file. */
export interface OctetSink {
  /** What the user called it; `-` is standard output. */
  readonly name: string
  /** Octets that were written. */
  readonly octets: number
  /**
   * Takes the chunks, which nobody may change any more, and resolves when there is room for more:
   * one write is under way while the caller makes the next chunks.
   *
   * @throws DartaError DARTA_FILE_WRITE, DARTA_PERMISSION; OutputClosed when the reader went away
   */
  write(chunks: readonly Uint8Array[]): Promise<void>
  /** Passes on what is held for want of more (a compressor's block). */
  flush?(): Promise<void>
  /** Resolves when everything given so far was written, as far as this process can do it. */
  settle?(): Promise<void>
  /** Resolves when all octets are where they belong. */
  end(): Promise<void>
  /** Gives up: no output appears where it would not be whole. Never throws. */
  abort(): Promise<void>
}

/** Most buffers that one writev(2) takes (IOV_MAX on Linux). */
const MOST_BUFFERS = 1024
/**
 * What one writev(2) takes of several buffers. From 2 MiB on Linux looks for huge pages for its cache, which in a virtual
 * machine the host may have to find first: up to ten times the processor time of smaller writes.
 */
const WRITE_OCTETS = 1 << 20

/**
 * Writes to a descriptor that blocks, in the thread pool, so that signals and timers are served
 * while a reader is slow. A descriptor that another process made non-blocking is written through a
 * socket from the first EAGAIN on.
 */
export class DescriptorSink implements OctetSink {
  readonly name: string
  octets = 0
  protected readonly fd: number
  readonly #closed: (() => void) | undefined
  readonly #full: FullDisk | undefined
  #underWay: Promise<void> | undefined
  #socket: Socket | undefined

  /**
   * @param closed is called as soon as a write finds that the reader went away
   * @param full what to do on a full disk; undefined: give up
   */
  constructor(name: string, fd: number, closed?: () => void, full?: FullDisk) {
    this.name = name
    this.fd = fd
    this.#closed = closed
    this.#full = full
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    if (chunks.length === 0) return
    await this.#underWay
    this.#underWay = this.#writeAll(chunks)
    // Whoever writes next, or ends, gets the error; until then it is nobody's.
    this.#underWay.catch(() => {})
  }

  /** Resolves when everything given so far was written. */
  async settle(): Promise<void> {
    await this.#underWay
  }

  async end(): Promise<void> {
    await this.settle()
    const socket = this.#socket
    if (socket !== undefined) await new Promise<void>((resolve) => socket.end(resolve))
  }

  async abort(): Promise<void> {
    this.#socket?.destroy()
    // A write that is under way ends by itself or with the process.
  }

  async #writeAll(chunks: readonly Uint8Array[]): Promise<void> {
    try {
      let at = 0
      let cut = 0
      while (at < chunks.length) {
        const buffers = chunks.slice(at, endOfWrite(chunks, at))
        if (cut > 0) buffers[0] = buffers[0].subarray(cut)
        const write = (): Promise<number> => this.#writeSome(buffers)
        let written =
          this.#full === undefined
            ? await write()
            : await writeWithRoom(this.name, () => sum(chunks, at) - cut, this.#full, write)
        this.octets += written
        written += cut
        while (at < chunks.length && written >= chunks[at].length) written -= chunks[at++].length
        cut = written
      }
    } catch (error) {
      if (!isClosedPipe(error)) throw writeError(this.name, error, this.octets)
      this.#closed?.()
      throw new OutputClosed()
    }
  }

  /** Octets written: all, or fewer where the system took no more. */
  async #writeSome(buffers: readonly Uint8Array[]): Promise<number> {
    if (this.#socket === undefined) {
      const result = await new Promise<number | NodeJS.ErrnoException>((resolve) => {
        writev(this.fd, buffers, (error, written) => resolve(error ?? written))
      })
      if (typeof result === 'number') return result
      if (result.code !== 'EAGAIN') throw result
      const stat = fstatSync(this.fd)
      if (!stat.isFIFO() && !stat.isSocket()) {
        // A terminal: it takes more in a moment.
        await new Promise((resolve) => setTimeout(resolve, 5))
        return 0
      }
      const {Socket} = await import('node:net')
      this.#socket = new Socket({fd: this.fd, readable: false, writable: true})
      this.#socket.on('error', () => {})
    }
    const socket = this.#socket
    let octets = 0
    for (const buffer of buffers) octets += buffer.length
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve())
      socket.cork()
      buffers.forEach((buffer, i) =>
        socket.write(buffer, i === buffers.length - 1 ? done : undefined),
      )
      socket.uncork()
    })
    return octets
  }
}

/** Behind the last chunk that goes out in one write from this one on. */
function endOfWrite(chunks: readonly Uint8Array[], from: number): number {
  const most = Math.min(chunks.length, from + MOST_BUFFERS)
  let octets = chunks[from].length
  let to = from + 1
  while (to < most && octets + chunks[to].length <= WRITE_OCTETS) octets += chunks[to++].length
  return to
}

/** Octets of the chunks from this one on. */
function sum(chunks: readonly Uint8Array[], from: number): number {
  let octets = 0
  for (let i = from; i < chunks.length; i++) octets += chunks[i].length
  return octets
}
