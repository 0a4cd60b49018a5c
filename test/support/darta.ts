import {spawn, type ChildProcess, type SpawnOptions} from 'node:child_process'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable, Writable} from 'node:stream'
import type {ExecutionContext} from 'ava'
import {root} from './needing.js'

export const bin = join(root, 'bin/darta')

/** How a process ended and what it said. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess & {stdin: Writable; stdout: Readable; stderr: Readable}
  /** What it has said on standard error so far. */
  readonly words: () => string
  /** Resolves when standard error holds `pattern`. */
  readonly says: (pattern: RegExp) => Promise<void>
  /** Resolves when `octets` of standard output have come. */
  readonly gives: (octets: number) => Promise<void>
  readonly ended: Promise<Ended>
}

/** What has not come by then never will, on the slowest machine; a test that waits for it would hold up all others for ever. */
const LONGEST_MS = 8 * 60_000

/** Starts a program with pipes on all three descriptors; it is killed when the test ends. */
export function start(
  t: ExecutionContext,
  program: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Running {
  const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'pipe'], ...options})
  t.teardown(() => child.kill('SIGKILL'))
  const stdout: Buffer[] = []
  let stderr = ''
  let octets = 0
  let look: (() => void)[] = []
  const changed = (): void => {
    const waiting = look
    look = []
    for (const fn of waiting) fn()
  }
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout.push(chunk)
    octets += chunk.length
    changed()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
    changed()
  })
  // A process that ends early closes what we still write to.
  child.stdin?.on('error', () => {})
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({code, signal, stdout: Buffer.concat(stdout), stderr})
      changed()
    })
  })
  const until = async (holds: () => boolean, what: string): Promise<void> => {
    let why: string | undefined
    const stop = (words: string): void => {
      why = words
      changed()
    }
    void ended.then(() => stop('ended before'))
    const limit = setTimeout(() => stop('waited long enough for'), LONGEST_MS)
    try {
      while (!holds()) {
        if (why !== undefined) throw new Error(`${why} ${what}; it said: ${stderr}`)
        await new Promise<void>((resolve) => look.push(resolve))
      }
    } finally {
      clearTimeout(limit)
    }
  }
  return {
    child: child as Running['child'],
    words: () => stderr,
    says: (pattern) => until(() => pattern.test(stderr), String(pattern)),
    gives: (wanted) => until(() => octets >= wanted, `${wanted} octets`),
    ended,
  }
}

/** Runs darta to its end with `input` on standard input. */
export async function darta(
  t: ExecutionContext,
  args: readonly string[],
  input: string | Uint8Array = '',
  options: SpawnOptions = {},
): Promise<Ended> {
  const {child, ended} = start(t, bin, args, options)
  child.stdin.end(input)
  return ended
}

/**
 * Runs a line of bash, in which `darta` is the program under test and `pipefail` is set. Nobody's start-up files are
 * read: bash takes the socket that is its standard input for that of a remote shell, and would.
 */
export async function bash(t: ExecutionContext, line: string): Promise<Ended> {
  const {child, ended} = start(t, 'bash', [
    '--norc',
    '-c',
    `set -o pipefail; darta() { "${bin}" "$@"; }; ${line}`,
  ])
  child.stdin.end()
  return ended
}

/** A new folder that goes away with the test. */
export function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'darta-test-'))
  t.teardown(() => rmSync(path, {recursive: true, force: true}))
  return path
}
