/** Capture nodes that divide a link between them, in network namespaces with real traffic. */
import {existsSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {bin, darta, type Ended, type Running} from '../support/darta.js'
import {MARKS} from '../../src/metering/coordination/division.js'
import {cable, frameSender, host, startAt, type Host} from '../support/namespaces.js'

/** Octets of the frames that are sent; the packet's number stands at the end. */
const FRAME_OCTETS = 74
const PORT = 4790
/** Where nodes find the coordinator. */
export const CONTROL = '10.99.0.1'

export interface Lab {
  /** Frames sent there reach every node. */
  readonly sender: Host
  readonly folder: string
  readonly node: (id: string) => Host
  /** Where the coordinator is. */
  readonly control: Host
  /** The group's URL, and what else takes part in it has to be given. */
  readonly group: string
  readonly words: readonly string[]
  /** Of nodes. */
  readonly env?: NodeJS.ProcessEnv
}

/**
 * A sender whose frames a bridge floods to all nodes, as a mirror port does, and a second network by which the nodes
 * talk.
 */
export function lab(
  t: ExecutionContext,
  folder: string,
  ids: readonly string[],
  group = `tcp://${CONTROL}:${PORT}/lab`,
  words: readonly string[] = [],
): Lab {
  const bridge = host(t)
  const sender = host(t)
  const control = host(t)
  const nodes = new Map<string, Host>()
  for (const name of ['mirror', 'meet']) {
    // Learns nothing, so that every frame goes to every port.
    bridge.run('ip', 'link', 'add', 'name', name, 'type', 'bridge', 'ageing_time', '0')
    bridge.run('ip', 'link', 'set', name, 'up', 'multicast', 'off')
  }
  const plug = (at: Host, port: string, name: string, into: string): void => {
    cable(at, port, bridge, name)
    bridge.run('ip', 'link', 'set', name, 'master', into)
  }
  plug(sender, 'out', 'sender', 'mirror')
  plug(control, 'talk', 'control', 'meet')
  address(control, 1)
  ids.forEach((id, i) => {
    const node = host(t)
    nodes.set(id, node)
    plug(node, 'in', `l${i}`, 'mirror')
    plug(node, 'talk', `t${i}`, 'meet')
    address(node, 10 + i)
  })
  return {sender, folder, control, group, words, node: (id) => nodes.get(id)!}
}

function address(at: Host, last: number): void {
  at.run('ip', 'link', 'set', 'talk', 'arp', 'on')
  at.run('ip', 'addr', 'add', `10.99.0.${last}/24`, 'dev', 'talk')
}

/** Starts the coordinator and waits until it listens. */
export async function coordinator(
  t: ExecutionContext,
  {control, group, words: common}: Lab,
  ...words: string[]
): Promise<Running> {
  const all = ['split', '--coordinate', group, ...common, ...words]
  const running = startAt(t, control, [bin, ...all])
  await running.says(/coordinating group/)
  return running
}

export interface Node {
  readonly id: string
  readonly running: Running
  readonly output: string
  readonly report: string
}

/** Starts a capture node that writes what it takes to a file as it comes. */
export async function captureNode(
  t: ExecutionContext,
  {node, folder, group, words: common, env}: Lab,
  id: string,
  ...words: string[]
): Promise<Node> {
  let n = 0
  while (existsSync(join(folder, `${id}-${n}.out`))) n++
  const output = join(folder, `${id}-${n}.out`)
  const report = join(folder, `${id}-${n}.report`)
  const joins = ['--group', group, '--node', id, '--report', report, ...common]
  const all = ['capture', '-i', 'in', ...joins, ...words]
  const emit = words.includes('--emit') ? [] : ['--emit', 'packets']
  const shell = `exec "$@" > "${output}"`
  const run = ['sh', '-c', shell, 'sh', bin, ...all, ...emit]
  const running = startAt(t, node(id), run, {env: env ?? process.env})
  await running.says(/capturing on/)
  return {id, running, output, report}
}

/** What the coordinator says when a plan for these nodes, and no others, is in force. */
export function nodesOfPlan(...ids: string[]): RegExp {
  const each = ids.map((id) => `(?=[^\\n;]*[ ,]${id} \\d)`).join('')
  return new RegExp(`epoch \\d+ in force:${each}(?: [^ \\n]+ \\d+,?){${ids.length}}(?:;|\\n)`)
}

/** Resolves when a node has written a good part of what it takes. */
export async function hasWritten({output, running}: Node, octets = 100_000): Promise<void> {
  let over = false
  void running.ended.then(() => (over = true))
  while (!existsSync(output) || statSync(output).size < octets) {
    if (over) throw new Error(`the node ended early; it said: ${running.words()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What `split --status` shows. */
export async function status(
  t: ExecutionContext,
  {control, group, words: common}: Lab,
  ...words: string[]
): Promise<string> {
  const all = ['split', '--status', group, ...common, ...words]
  const running = startAt(t, control, [bin, ...all])
  const {code, stdout, stderr} = await running.ended
  t.is(code, 0, stderr)
  return stdout.toString()
}

/**
 * A capture of `count` frames between random hosts, each with its number, from `first` on, in its last four octets; every
 * `sixth`th is of IPv6.
 */
export function numbered(
  folder: string,
  count: number,
  seed: number,
  first = 0,
  sixth = Infinity,
): string {
  const path = join(folder, `numbered-${seed}-${first}.pcap`)
  const octets = Buffer.alloc(24 + count * (16 + FRAME_OCTETS))
  octets.writeUInt32LE(0xa1b2c3d4, 0)
  octets.writeUInt16LE(2, 4)
  octets.writeUInt16LE(4, 6)
  octets.writeUInt32LE(65535, 16)
  octets.writeUInt32LE(1, 20)
  let state = (seed + first) >>> 0
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8
  for (let i = 0; i < count; i++) {
    const at = 24 + i * (16 + FRAME_OCTETS)
    octets.writeUInt32LE(FRAME_OCTETS, at + 8)
    octets.writeUInt32LE(FRAME_OCTETS, at + 12)
    const frame = octets.subarray(at + 16, at + 16 + FRAME_OCTETS)
    frame.fill(0xff, 0, 6)
    if ((first + i) % sixth === 0) {
      datagram6(frame, next)
      frame.writeUInt32BE(first + i, FRAME_OCTETS - 4)
      continue
    }
    frame.set([2, 0, 0, 0, 0, 1, 8, 0, 0x45], 6)
    frame.writeUInt16BE(FRAME_OCTETS - 14, 16)
    frame[22] = 64
    frame[23] = 17
    frame.writeUInt32BE(0xc6120000 + (next() & 0xffff), 26)
    frame.writeUInt32BE(0xc6130000 + (next() & 0xffff), 30)
    // A bridge may look at it.
    let sum = 0
    for (let j = 14; j < 34; j += 2) sum += frame.readUInt16BE(j)
    sum = (sum & 0xffff) + (sum >> 16)
    frame.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 24)
    frame.writeUInt16BE(1000 + (next() & 1023), 34)
    frame.writeUInt16BE(53, 36)
    frame.writeUInt16BE(FRAME_OCTETS - 34, 38)
    frame.writeUInt32BE(first + i, FRAME_OCTETS - 4)
  }
  writeFileSync(path, octets)
  return path
}

/** UDP over IPv6 between two of a few hundred hosts. */
function datagram6(frame: Buffer, next: () => number): void {
  frame.set([2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60], 6)
  frame.writeUInt16BE(FRAME_OCTETS - 54, 18)
  frame.set([17, 64, 0x20, 0x01, 0x0d, 0xb8], 20)
  frame.set([0x20, 0x01, 0x0d, 0xb8], 38)
  frame.writeUInt16BE(next() & 0xff, 36)
  frame.writeUInt16BE(next() & 0xff, 52)
  frame.writeUInt16BE(1000 + (next() & 63), 54)
  frame.writeUInt16BE(53, 56)
  frame.writeUInt16BE(FRAME_OCTETS - 54, 58)
}

/** Sends a capture at so many packets a second; resolves when all are sent. */
export function sending(
  t: ExecutionContext,
  {sender}: Lab,
  capture: string,
  rate: number,
): Running {
  const options = ['--if', 'out', '--burst', '4', '--rate', String(rate)]
  return startAt(t, sender, [frameSender(), ...options, capture])
}

export async function interrupt(node: Node): Promise<Ended> {
  node.running.child.kill('SIGINT')
  return node.running.ended
}

/** Interrupts all at once, and waits until each has left its group. */
export async function interruptAll(t: ExecutionContext, nodes: readonly Node[]): Promise<void> {
  for (const {code, stderr} of await Promise.all(nodes.map(interrupt))) t.is(code, 0, stderr)
}

/** Numbers and marks of the Packet Reports that a node wrote as NDJSON; a cut line at the end is none. */
export function reportsIn(path: string): {number: number; mark: number}[] {
  const list: {number: number; mark: number}[] = []
  const lines = readFileSync(path, 'utf8').split('\n')
  lines.pop()
  for (const line of lines) {
    const {ipHeaderPacketSection, dartaShareMark} = JSON.parse(line) as Record<string, unknown>
    if (typeof ipHeaderPacketSection !== 'string') continue
    list.push({
      number: parseInt(ipHeaderPacketSection.slice(-8), 16),
      mark: Number(dartaShareMark),
    })
  }
  return list
}

/** Holds what the nodes wrote against what was sent. */
export function tally(
  t: ExecutionContext,
  nodes: readonly Node[],
  sent: number,
): {marked: number; lost: number[]} {
  const unmarked = new Map<number, number>()
  const seen = new Set<number>()
  /** How often each packet was taken around switches. */
  const around = new Map<number, number>()
  const count = (to: Map<number, number>, number: number): unknown =>
    to.set(number, (to.get(number) ?? 0) + 1)
  let marked = 0
  let all = 0
  for (const {output} of nodes) {
    for (const {number, mark} of reportsIn(output)) {
      all++
      seen.add(number)
      if (mark === 0) count(unmarked, number)
      else marked++
      if (mark === MARKS.giving || mark === MARKS.receiving) count(around, number)
    }
  }
  const doubled = [...unmarked].filter(([, n]) => n > 1).map(([number]) => number)
  t.deepEqual(doubled, [], 'no packet twice without a mark')
  const lost = Array.from({length: sent}, (_, i) => i).filter((number) => !seen.has(number))
  t.log(`${sent} sent, ${all} taken, ${marked} with marks, ${lost.length} lost`)
  const twice = [...around.values()].reduce((sum, n) => sum + n - 1, 0)
  const percent = (n: number): string => `${n} (${((n * 100) / sent).toFixed(2)} %)`
  t.log(
    `copies: ${percent(twice)} around switches, ${percent(all - seen.size - twice)} after deaths`,
  )
  return {marked, lost}
}

export async function verified(
  t: ExecutionContext,
  nodes: readonly Node[],
): Promise<{code: number | null; words: string}> {
  const reports = nodes.map(({report}) => report)
  const {code, stdout, stderr} = await darta(t, ['split', '--verify', ...reports])
  t.log(stdout.toString())
  return {code, words: stdout.toString() + stderr}
}

let turn: Promise<unknown> = Promise.resolve()

/** One such test after another: each has a dozen processes. */
export function inTurn(
  test: (t: ExecutionContext) => Promise<void>,
): (t: ExecutionContext) => Promise<void> {
  return (t) => {
    const mine = turn.then(() => test(t))
    turn = mine.catch(() => {})
    return mine
  }
}
