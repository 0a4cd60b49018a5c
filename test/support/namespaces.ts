import {execFileSync, spawnSync, type SpawnOptions} from 'node:child_process'
import {existsSync, mkdirSync, renameSync} from 'node:fs'
import type {ExecutionContext} from 'ava'
import {start, type Running} from './darta.js'
import {root, shared, superuser, tools} from './needing.js'

/** Why a test with hosts in network namespaces cannot run here. */
export const noNamespaces = superuser() ?? tools('ip') ?? cannotMake()

let made = 0

/** A host of the test's own: a network namespace. It goes away with the test. */
export interface Host {
  readonly name: string
  /** The words that run a program there: `ip netns exec NAME`. */
  readonly enter: readonly string[]
  run(...words: string[]): string
}

export function host(t: ExecutionContext): Host {
  const name = `darta-${process.pid}-${made++}`
  execFileSync('ip', ['netns', 'add', name])
  t.teardown(() => execFileSync('ip', ['netns', 'del', name]))
  const enter = ['ip', 'netns', 'exec', name]
  const run = (...words: string[]): string =>
    execFileSync(enter[0], [...enter.slice(1), ...words], {encoding: 'utf8'})
  // No router solicitations or duplicate address detection: only the test's own traffic.
  run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
  run('ip', 'link', 'set', 'lo', 'up')
  return {name, enter, run}
}

/** Starts a program on a host, as `start` does here. */
export function startAt(
  t: ExecutionContext,
  at: Host,
  words: readonly string[],
  options?: SpawnOptions,
): Running {
  return start(t, at.enter[0], [...at.enter.slice(1), ...words], options)
}

/** A cable between two hosts: `a` at one end, `b` at the other. */
export function cable(from: Host, a: string, to: Host, b: string): void {
  execFileSync('ip', [
    '-n',
    from.name,
    'link',
    'add',
    'name',
    a,
    'type',
    'veth',
    'peer',
    'name',
    b,
    'netns',
    to.name,
  ])
  for (const [at, port] of [
    [from, a],
    [to, b],
  ] as const) {
    at.run('ip', 'link', 'set', port, 'up', 'multicast', 'off', 'arp', 'off')
  }
}

/** Why frames cannot be sent; `sendFrames` needs what this checks. */
export const noSender = shared('bench/pktsend.c') ?? tools('cc')

/** The path of the frame sender of `../shared/bench`, compiled once. */
export function frameSender(): string {
  const path = `${root}build/test-tools/pktsend`
  if (!existsSync(path)) {
    mkdirSync(`${root}build/test-tools`, {recursive: true})
    // Two test files may compile it at once: each makes its own, and the last one stays.
    const own = `${path}-${process.pid}`
    execFileSync('cc', ['-O2', '-o', own, `${root}../shared/bench/pktsend.c`])
    renameSync(own, path)
  }
  return path
}

/**
 * Puts the frames of a pcap file on an interface; gives how many. They go past its queue, and with it past captures that
 * see what it sends, unless `by` says otherwise.
 */
export function sendFrames(
  from: Host,
  port: string,
  capture: string,
  rate = 0,
  by: 'queue' | 'bypass' = 'bypass',
): number {
  const way = by === 'queue' ? ['--no-bypass'] : []
  const words = from.run(frameSender(), '--if', port, '--rate', String(rate), ...way, capture)
  return (JSON.parse(words) as {packets: number}).packets
}

function cannotMake(): string | undefined {
  const name = `darta-probe-${process.pid}`
  const {status} = spawnSync('ip', ['netns', 'add', name])
  if (status !== 0) return 'network namespaces cannot be made here'
  spawnSync('ip', ['netns', 'del', name])
  return undefined
}
