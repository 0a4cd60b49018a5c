import {globSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {folder} from './darta.js'

const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')

/** Why clocks of processes cannot be set here. */
export const noClock = library === undefined ? 'not installed: libfaketime' : undefined

/**
 * A clock for processes with this environment, which `set` sets ahead of the true one, or back, and `stand` stops at a time,
 * milliseconds since 1970.
 */
export function settableClock(t: ExecutionContext): {
  readonly set: (seconds: number) => void
  readonly stand: (atMs: number) => void
  readonly env: NodeJS.ProcessEnv
} {
  const clock = join(folder(t), 'clock')
  const say = (words: string): void => {
    writeFileSync(`${clock}.new`, `${words}\n`)
    renameSync(`${clock}.new`, clock)
  }
  const set = (seconds: number): void => say(`${seconds < 0 ? '' : '+'}${seconds}`)
  const stand = (atMs: number): void =>
    say(new Date(atMs).toISOString().slice(0, 19).replace('T', ' '))
  set(0)
  const env = {
    ...process.env,
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
    TZ: 'UTC',
  }
  return {set, stand, env}
}
