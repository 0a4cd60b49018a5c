import {createHash} from 'node:crypto'
import {createRequire} from 'node:module'
import type {ExecutionContext} from 'ava'
import {framesOf} from '../support/captures.js'
import {bin, darta, start, type Ended, type Running} from '../support/darta.js'
import {cable, host, sendFrames, startAt, type Host} from '../support/namespaces.js'
import {root} from '../support/needing.js'

/** Traffic of our own with everything in it. */
export const lab = `${root}test/fixtures/lab.pcap`

/** Why the backend libpcap cannot be tested here. */
export function noCap(): string | undefined {
  try {
    createRequire(import.meta.url)('cap')
    return undefined
  } catch {
    return 'the npm package cap is not built'
  }
}

/** A mirror port: what is sent at `sender` arrives at `port` of `node`. */
export function mirror(t: ExecutionContext): {sender: Host; node: Host; port: string} {
  const sender = host(t)
  const node = host(t)
  cable(sender, 'out', node, 'in')
  return {sender, node, port: 'in'}
}

/** Starts `capture` on a host and waits until it captures. */
export async function capturing(
  t: ExecutionContext,
  at: Host,
  ...words: string[]
): Promise<Running> {
  const running = startAt(t, at, [bin, 'capture', ...words])
  await running.says(/capturing on/)
  return running
}

/** Interrupts a capture and gives how it ended. */
export async function interrupted(running: Running): Promise<Ended> {
  running.child.kill('SIGINT')
  return running.ended
}

/** Sends the lab's traffic so often while a capture stands still; gives how many packets those are. */
export function sendWhileStopped(
  running: Running,
  sender: Host,
  rounds: number,
  rate: number,
): number {
  running.child.kill('SIGSTOP')
  let sent = 0
  for (let round = 0; round < rounds; round++) sent += sendFrames(sender, 'out', lab, rate)
  running.child.kill('SIGCONT')
  return sent
}

/** What a capture says that came to it, went on, and found no room: packets. */
export function throughRing(stderr: string): {all: number; kept: number; dropped: number} {
  const [, all, kept, dropped] =
    /kernel: (\d+) packets in, (\d+) out, lost (\d+) \(ring-full/.exec(stderr)?.map(Number) ?? []
  return {all, kept, dropped}
}

/** What of a capture tcpdump's filter lets through, written to `file`. */
export async function judge(
  t: ExecutionContext,
  capture: string,
  filter: string,
  file: string,
): Promise<void> {
  const words = ['-n', '-r', capture, '-w', file, '--time-stamp-precision=nano', filter]
  t.is((await start(t, 'tcpdump', words).ended).code, 0)
}

/** What `info` counts in the records of a file. */
export async function sums(
  t: ExecutionContext,
  file: string,
): Promise<{packets: number; octets: number}> {
  const {stdout} = await darta(t, ['info', '-q', '-r', file, '-o', 'json'])
  const info = JSON.parse(stdout.toString()) as {packetCount: number; octetCount: number}
  return {packets: info.packetCount, octets: info.octetCount}
}

/** tcpdump beside the captures: what a program that knows nothing of ours sees, of so many packets. */
export async function tcpdump(
  t: ExecutionContext,
  at: Host,
  port: string,
  file: string,
  packets = framesOf(lab).length,
): Promise<Running> {
  const options = [
    '-i',
    port,
    '-w',
    file,
    '-n',
    '-U',
    // A signal would let what the kernel still holds go unread.
    '-c',
    String(packets),
    '-B',
    '65536',
    '--time-stamp-precision=nano',
    '-Z',
    'root',
  ]
  const running = startAt(t, at, ['tcpdump', ...options])
  await running.says(/listening on/)
  return running
}

/** Waits until tcpdump has seen all that was sent; one that missed some is ended, and what it has is compared. */
export async function satisfied(witness: Running): Promise<void> {
  const timer = setTimeout(() => witness.child.kill('SIGINT'), 10_000)
  await witness.ended
  clearTimeout(timer)
}

/** The frames of a capture without their times, in an order that does not depend on when they came. */
export const octetsOf = (path: string): string[] =>
  framesOf(path)
    .map((frame) => frame.split(' ')[1])
    .map((hex) => `${hex.length / 2} ${createHash('sha1').update(hex).digest('hex')}`)
    .sort()
