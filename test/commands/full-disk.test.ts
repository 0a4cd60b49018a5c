/* What those do who write for long when the disk is full: wait, count, go on; and stop when they are told to. */
import type {ExecutionContext} from 'ava'
import {spawn, spawnSync} from 'node:child_process'
import {createSocket, type Socket} from 'node:dgram'
import {once} from 'node:events'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {netflow5} from '../mediation/collecting.js'
import {decoded} from '../support/collector.js'
import {bin, folder, start, type Running} from '../support/darta.js'
import {needing, superuser, tools} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'

interface SmallDisk {
  /** As processes within see it, and as this one does. */
  readonly place: string
  readonly outside: string
  run(...words: string[]): Running
  resize(octets: string): void
}

/** A disk of its own, which goes with the process that holds its mount namespace. */
async function smallDisk(t: ExecutionContext, octets: string): Promise<SmallDisk> {
  const place = folder(t)
  const line = `mount -t tmpfs -o size=${octets} none ${place} && echo ready && exec cat`
  const holder = spawn('unshare', ['-m', 'sh', '-c', line], {stdio: ['pipe', 'pipe', 'inherit']})
  t.teardown(() => holder.stdin.end())
  await once(holder.stdout, 'data')
  const enter = ['-t', String(holder.pid), '-m']
  return {
    place,
    outside: join('/proc', String(holder.pid), 'root', place),
    run: (...words) => start(t, 'nsenter', [...enter, ...words]),
    resize(size) {
      const mount = ['mount', '-o', `remount,size=${size}`, place]
      t.is(spawnSync('nsenter', [...enter, ...mount]).status, 0)
    },
  }
}

const test = needing(superuser(), tools('unshare', 'nsenter'))

/** Sends numbered records one by one until the collector says that there is no room. */
async function fill(collector: Running, socket: Socket, port: number): Promise<number> {
  let sent = 0
  while (!collector.words().includes('no space left')) {
    const octets = netflow5({sequence: sent, records: 30})
    sent += 30
    await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve))
    if (sent % 600 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return sent
}

async function collecting(disk: SmallDisk): Promise<Running & {port: number}> {
  const pattern = join(disk.place, 'flows-%Y.ipfix')
  const running = disk.run(bin, 'collect', 'udp://127.0.0.1:0', '-w', pattern, '-G', '365d')
  await running.says(/listening on \S+:\d+\n/)
  return {...running, port: Number(/listening on \S+:(\d+)\n/.exec(running.words())![1])}
}

/** Flow records in all its files; what is told of losses is none. */
function flowsIn(disk: SmallDisk): number {
  return readdirSync(disk.outside)
    .flatMap((name) => decoded(readFileSync(join(disk.outside, name))).records)
    .filter((one) => 'octetDeltaCount' in one).length
}

test('a collector whose disk is full waits for room and loses nothing that the kernel can hold', async (t) => {
  const disk = await smallDisk(t, '256k')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const collector = await collecting(disk)
  const sent = await fill(collector, socket, collector.port)
  disk.resize('64m')
  await collector.says(/there is room on the disk again/)
  collector.child.kill('SIGTERM')
  const {code, stderr} = await collector.ended
  t.is(code, 0, stderr)
  t.regex(stderr, new RegExp(`: netflow5: ${sent} records in, ${sent} out\\n`))
  t.is(flowsIn(disk), sent)
})

test('a collector that has to stop while its disk is full says what it left, and the next one finishes the file', async (t) => {
  const disk = await smallDisk(t, '256k')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const collector = await collecting(disk)
  await fill(collector, socket, collector.port)
  collector.child.kill('SIGTERM')
  const {code, stderr} = await collector.ended
  t.is(code, 1, stderr)
  t.regex(stderr, /cannot write \S+ after \d+ octets: no space left on device/)
  const [, received, unread] =
    /sockets: (\d+) packets in, \d+ out(?:, lost \d+ \(.*unread (\d+)\))?/.exec(stderr) ?? []
  t.regex(stderr, new RegExp(`datagrams: ${Number(received) - Number(unread ?? 0)} packets in`))
  disk.resize('64m')
  const next = await collecting(disk)
  await next.says(/is what a collector that was killed left: \d+ octets/)
  next.child.kill('SIGTERM')
  t.is((await next.ended).code, 0)
  t.true(flowsIn(disk) > 1000)
})

test('an Exporter whose spill folder has no room stops when it is told to, and counts what it could not keep', async (t) => {
  const disk = await smallDisk(t, '256k')
  const spool = join(disk.place, 'spool')
  const running = disk.run(bin, 'ipfix-export', '--spill', spool, 'tcp://127.0.0.1:9')
  running.child.stdin.on('error', () => {})
  running.child.stdin.end(numberedRecords(20_000))
  await running.says(/no space left on device; \d+ octets wait for room/)
  running.child.kill('SIGTERM')
  const {code, stderr} = await running.ended
  t.is(code, 1, stderr)
  const [, records, lost] =
    /: to tcp:\S+: (\d+) records in, 0 out, lost \d+ \(not-spilled (\d+)\)/.exec(stderr) ?? []
  t.regex(stderr, new RegExp(`ipfix: ${records} records in, ${records} out`))
  t.regex(stderr, new RegExp(`: ${Number(records) - Number(lost)} records are kept`))
})
