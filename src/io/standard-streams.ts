import {fstatSync, writeSync} from 'node:fs'
import {Readable, Writable} from 'node:stream'

const wait = new Int32Array(new SharedArrayBuffer(4))

/** Whether `fd` is a terminal; a pipe or file does not cost the loading of node:tty. */
export function isTerminal(fd: number): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false
  } catch {
    return false
  }
  return process.getBuiltinModule('node:tty').isatty(fd)
}

/**
 * Writes all of `octets` before it returns. Where somebody made the descriptor non-blocking and the
 * reader is slow, it waits in steps of 5 ms.
 *
 * @throws what `writeSync` throws: EPIPE when the reader went away, ENOSPC …
 */
export function writeAllSync(fd: number, octets: Uint8Array): void {
  let at = 0
  while (at < octets.length) {
    try {
      at += writeSync(fd, octets, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(wait, 0, 0, 5)
    }
  }
}

/**
 * Replaces `process.stdout` and `process.stderr`, where they are no terminal, by streams that write
 * at once. Node's own ones switch a pipe to non-blocking as soon as anything touches them (and
 * oclif does when it is loaded); the switch holds for every process that shares the pipe, and peers
 * like cat or a shell lose output by it.
 */
export function replaceStandardStreams(): void {
  for (const [name, fd] of [
    ['stdout', 1],
    ['stderr', 2],
  ] as const) {
    if (isTerminal(fd)) continue
    const stream = new Writable({
      decodeStrings: true,
      write(chunk: Buffer, _encoding, done) {
        try {
          writeAllSync(fd, chunk)
          done()
        } catch (error) {
          done(error as Error)
        }
      },
    })
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      value: Object.assign(stream, {fd, isTTY: false}),
    })
  }
  // Ours reads descriptor 0 itself (stdio.ts); a library that only looks whether it is meant must not open it a second time.
  if (!isTerminal(0)) {
    const stream = new Readable({read: () => stream.push(null)})
    Object.defineProperty(process, 'stdin', {
      configurable: true,
      enumerable: true,
      value: Object.assign(stream, {fd: 0, isTTY: false}),
    })
  }
}
