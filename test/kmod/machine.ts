import {spawn, spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {root} from '../support/needing.js'

/** What a run on one kernel gave: see scripts/kmod/run.mjs. */
export interface KernelRun {
  readonly version: string
  readonly status?: number
  readonly said: string
  readonly console: string
  readonly warnings: readonly string[]
  readonly overhead?: {readonly none: number; readonly users: number; readonly flows: number}
}

const script = join(root, 'scripts/kmod/run.mjs')

/** Why a kernel cannot be had or booted here; undefined where it can. */
export function kernelAbsence(flavour: string): string | undefined {
  const {status, stderr} = spawnSync(process.execPath, [script, 'provide', flavour], {
    encoding: 'utf8',
  })
  if (status === 0) return undefined
  return `Linux ${flavour}: ${stderr.trim().split('\n')[0]}`
}

/** Where the results of a run lie. */
export const resultsOf = (what: string, flavour: string): string =>
  join(root, 'build/kmod', `${what}-${flavour}`)

let running: Promise<unknown> = Promise.resolve()

/** Runs one machine after the other: each takes all the processors that it gets. */
export function runKernel(
  what: 'cases' | 'overhead',
  flavour: string,
  ...options: string[]
): Promise<KernelRun> {
  const turn = running.then(() => start(what, flavour, options))
  running = turn.catch(() => {})
  return turn
}

/** With DARTA_KMOD_KEEP=1 what the last run left is looked at again. */
function start(what: string, flavour: string, options: string[]): Promise<KernelRun> {
  const kept = join(resultsOf(what, flavour), 'run.json')
  if (process.env.DARTA_KMOD_KEEP === '1' && existsSync(kept)) {
    return Promise.resolve(JSON.parse(readFileSync(kept, 'utf8')) as KernelRun)
  }
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [script, what, flavour, resultsOf(what, flavour), ...options],
      {stdio: ['ignore', 'pipe', 'pipe']},
    )
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) reject(new Error(`run.mjs ended with ${String(code)}: ${stderr}`))
      else resolve(JSON.parse(stdout.trim().split('\n').at(-1)!) as KernelRun)
    })
  })
}

/** Packets and octets, in and out. */
export interface Sums {
  in: [packets: number, octets: number]
  out: [packets: number, octets: number]
}

/** A text file of the module: one object a line, by the names of its first line. */
export function readRows(path: string): Record<string, string>[] {
  const [names, ...lines] = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '))
  return lines.map((words) => Object.fromEntries(words.map((word, i) => [names[i], word])))
}

/** Sums of each row of users4 and users6, by uid or name, over protocols or of one. */
export function readUsers(folder: string, name: string, protocol = '\\w+'): Map<string, Sums> {
  const sums = new Map<string, Sums>()
  for (const file of ['users4', 'users6']) {
    for (const row of readRows(join(folder, `${name}.${file}`))) {
      const sum = sums.get(row.uid) ?? {in: [0, 0], out: [0, 0]}
      sums.set(row.uid, sum)
      for (const [key, value] of Object.entries(row)) {
        const of = new RegExp(`^${protocol}_(in|out)_(packets|octets)$`).exec(key)
        if (of !== null) sum[of[1] as 'in' | 'out'][of[2] === 'packets' ? 0 : 1] += Number(value)
      }
    }
  }
  return sums
}

/** What came to each row between two readings; rows without change are left out. */
export function difference(before: Map<string, Sums>, after: Map<string, Sums>): Map<string, Sums> {
  const changed = new Map<string, Sums>()
  for (const [uid, now] of after) {
    const then = before.get(uid) ?? {in: [0, 0], out: [0, 0]}
    const change: Sums = {
      in: [now.in[0] - then.in[0], now.in[1] - then.in[1]],
      out: [now.out[0] - then.out[0], now.out[1] - then.out[1]],
    }
    if ([...change.in, ...change.out].some((n) => n !== 0)) changed.set(uid, change)
  }
  return changed
}
