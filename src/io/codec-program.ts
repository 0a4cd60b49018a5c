import {spawn} from 'node:child_process'
import type {Readable, Writable} from 'node:stream'
import type {Codec} from './codec.js'
import {isSystemError} from './errors.js'

/** A codec at work: what it is given and what it gives. */
export interface CodecProgram {
  readonly input: Writable
  readonly output: Readable
  /** Resolves when all output was read: with what went wrong, if something did. */
  readonly result: Promise<Error | undefined>
  kill(): void
}

/** Codecs that Node does not have: the program of that name does it. */
export function startCodecProgram(codec: Codec, args: readonly string[]): CodecProgram {
  const child = spawn(codec, args, {stdio: ['pipe', 'pipe', 'pipe']})
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text))
  // It went away, as it does when it finds damage; `result` says why.
  child.stdin.on('error', () => {})
  const result = new Promise<Error | undefined>((resolve) => {
    child.on('error', (error) => {
      const missing = isSystemError(error) && error.code === 'ENOENT'
      resolve(missing ? new Error(`the program ${codec} is not installed`) : error)
    })
    child.on('close', (status) => {
      if (status === 0) return resolve(undefined)
      const [line] = words.trim().split('\n')
      resolve(new Error(line || `${codec} ended with ${status ?? 'a signal'}`))
    })
  })
  return {input: child.stdin, output: child.stdout, result, kill: () => child.kill('SIGKILL')}
}
