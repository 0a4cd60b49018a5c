import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {createSocket} from 'node:dgram'
import {mkdirSync, readFileSync, rmdirSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {loadNative} from '../../src/io/native.js'
import ebpf, {cgroupRoot} from '../../src/metering/user-sources/ebpf.js'
import {flowsOf, totalsOf} from '../../src/metering/user-sources/kmod.js'
import sockets from '../../src/metering/user-sources/sockets.js'
import {attributionOf, type UserTotal} from '../../src/metering/user-account.js'
import {expectedSums, packetsOf, type Ownership} from '../kmod/witness.js'
import {connection} from '../support/connection.js'
import {folder, start} from '../support/darta.js'
import {host, noNamespaces, startAt} from '../support/namespaces.js'
import {native} from '../support/native-addon.js'
import {needing, root, superuser, tools} from '../support/needing.js'

const calls = loadNative()
const cgroups = cgroupRoot() === undefined ? 'no cgroup tree of version 2' : undefined

let made = 0

/** A cgroup that goes away with the test. */
function cgroup(t: ExecutionContext): string {
  const path = join(cgroupRoot()!, `darta-test-${process.pid}-${made++}`)
  mkdirSync(path)
  t.teardown(() => rmdirSync(path))
  return path
}

/** Packets and octets by uid and direction. */
function byUser(totals: readonly UserTotal[]): Map<string, [number, number]> {
  const sums = new Map<string, [number, number]>()
  for (const {uid, direction, packets, octets} of totals) {
    const key = `${String(uid)} ${direction}`
    const [p, o] = sums.get(key) ?? [0, 0]
    sums.set(key, [p + packets, o + octets])
  }
  return sums
}

needing(
  native,
  noNamespaces,
  cgroups,
  tools('tcpdump', 'gcc'),
)('programs at a cgroup count what tcpdump sees of each user’s ports', async (t) => {
  t.timeout(120_000)
  const temporary = folder(t)
  const traffic = join(temporary, 'traffic')
  execFileSync('gcc', ['-O1', '-o', traffic, join(root, 'linubia-kmod/test/traffic.c')])
  const home = host(t)
  home.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=0', 'net.ipv6.conf.lo.disable_ipv6=0')
  home.run('ethtool', '-K', 'lo', 'tso', 'off', 'gso', 'off', 'gro', 'off')
  const capture = join(temporary, 'lo.pcap')
  const watching = ['-i', 'lo', '-n', '-U', '-s', '200', '-B', '32768', '-Z', 'root']
  const tcpdump = startAt(t, home, ['tcpdump', ...watching, '-w', capture])
  await tcpdump.says(/listening on/)
  const path = cgroup(t)
  const reader = ebpf.open({calls, cgroup: path})
  t.teardown(() => reader.close())
  // Whoever enters a namespace by ip(8) does not see the cgroups any more.
  const run = start(t, 'sh', [
    '-c',
    `echo $$ >${path}/cgroup.procs && exec ${home.enter.join(' ')} ${traffic} loopback`,
  ])
  const {stdout, code, stderr} = await run.ended
  t.is(code, 0, stderr)
  const owners = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Ownership)
  // The last packet that tcpdump has to have written.
  home.run('ping', '-c', '1', '-q', '-p', '6c696e7562696121', '127.0.0.1')
  while (!readFileSync(capture).includes('linubia!linubia!')) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  tcpdump.child.kill('SIGINT')
  t.regex((await tcpdump.ended).stderr, /^0 packets dropped by kernel$/m)
  const expected = expectedSums('home', packetsOf(capture), owners)
  const counted = byUser(reader.read(false).totals)
  // What still comes and goes after a process has left its socket to the kernel passes no cgroup: the other end's
  // FIN and the answer to it, once in each IP version.
  const closing = new Map<string, [number, number]>([['2010', [2, 52 + 72]]])
  const wanted = [...expected].flatMap(([uid, sums]) =>
    (['in', 'out'] as const).flatMap((way) => {
      const [packets, octets] = closing.get(uid) ?? [0, 0]
      return sums[way][0] === 0
        ? []
        : [`${uid} ${way}: ${sums[way][0] - packets}/${sums[way][1] - octets}`]
    }),
  )
  const got = [...counted]
    .filter(([key]) => !key.startsWith('0 '))
    .map(([key, [packets, octets]]) => `${key}: ${packets}/${octets}`)
  t.true(wanted.length > 40)
  t.deepEqual(got.sort(), wanted.sort())
  // What is read with a reset begins anew.
  reader.read(true)
  t.deepEqual(
    reader.read(true).totals.filter(({packets}) => packets !== 0),
    [],
  )
})

needing(
  native,
  noNamespaces,
  cgroups,
  tools('gcc'),
)(
  'programs at a cgroup name the user and process of every octet of processes that live for a moment',
  async (t) => {
    t.timeout(120_000)
    const traffic = join(folder(t), 'traffic')
    execFileSync('gcc', ['-O1', '-o', traffic, join(root, 'linubia-kmod/test/traffic.c')])
    const home = host(t)
    const path = cgroup(t)
    const reader = ebpf.open({calls, cgroup: path, flows: true})
    t.teardown(() => reader.close())
    const PROCESSES = 1000
    const {ended} = start(t, 'sh', [
      '-c',
      `echo $$ >${path}/cgroup.procs && exec ${home.enter.join(' ')} ${traffic} brief ${PROCESSES}`,
    ])
    const {stdout, code, stderr} = await ended
    t.is(code, 0, stderr)
    const lived = stdout.toString().trim().split('\n')
    t.is(lived.length, PROCESSES)
    const {flows, totals} = reader.read(false)
    const sent = new Map(flows.map((flow) => [flow.localPort, flow]))
    const cgroupId = statSync(path, {bigint: true}).ino
    for (const line of lived) {
      const [port, uid, pid] = line.split(' ').map(Number)
      const flow = sent.get(port)
      t.like(flow, {
        uid,
        pid,
        command: 'traffic',
        cgroup: cgroupId,
        ipVersion: 4,
        protocol: 17,
        local: '127.0.0.1',
        remote: '127.0.0.1',
        remotePort: 40_000,
        outPackets: 1,
        outOctets: 128,
        inPackets: 0,
      })
      t.true(flow!.startMs <= flow!.endMs)
    }
    // Who received them all has one process too.
    const received = flows.filter(({localPort}) => localPort === 40_000)
    t.is(received.length, PROCESSES)
    t.is(new Set(received.map(({pid}) => pid)).size, 1)
    t.true(received[0].pid > 0)
    // No octet of the totals is in no flow.
    const total = (direction: string): number =>
      totals.filter((one) => one.direction === direction).reduce((n, {octets}) => n + octets, 0)
    t.is(
      flows.reduce((n, {outOctets}) => n + outOctets, 0),
      total('out'),
    )
    t.is(
      flows.reduce((n, {inOctets}) => n + inOctets, 0),
      total('in'),
    )
  },
)

needing(
  native,
  noNamespaces,
  cgroups,
  tools('gcc', 'ping'),
)(
  'programs at a cgroup tell flows apart as the module does, and whose socket was accepted',
  async (t) => {
    const home = host(t)
    const path = cgroup(t)
    const reader = ebpf.open({calls, cgroup: path, flows: true})
    t.teardown(() => reader.close())
    const script =
      "const {createServer, connect} = require('node:net');" +
      "createServer((s) => s.end('x'.repeat(1000))).listen(5000, '::1', () => " +
      "connect(5000, '::1').resume().on('close', () => process.exit(0)))"
    home.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=0', 'net.ipv6.conf.lo.disable_ipv6=0')
    home.run('sysctl', '-qw', 'net.ipv4.ping_group_range=0 65535')
    const {ended} = start(t, 'sh', [
      '-c',
      `echo $$ >${path}/cgroup.procs && ${home.enter.join(' ')} ${process.execPath} -e "${script}" && ` +
        `exec ${home.enter.join(' ')} setpriv --reuid=1234 --clear-groups ping -c 3 -i 0.01 -q 127.0.0.1`,
    ])
    const {code, stderr} = await ended
    t.is(code, 0, stderr)
    const {flows} = reader.read(false)
    const tcp = flows.filter(({protocol}) => protocol === 6)
    t.is(tcp.length, 2)
    const [client, server] = tcp.sort((a, b) => b.localPort - a.localPort)
    t.like(server, {ipVersion: 6, local: '::1', remote: '::1', localPort: 5000})
    t.is(client.remotePort, 5000)
    t.is(server.remotePort, client.localPort)
    t.true(server.pid > 0)
    t.is(server.pid, client.pid)
    t.true(server.outOctets > 1000 && client.inOctets > 1000)
    const [echo] = flows.filter(({protocol}) => protocol === 1)
    t.like(echo, {uid: 1234, command: 'ping', remotePort: 0, outPackets: 3, outOctets: 252})
    t.like(echo, {inPackets: 3, inOctets: 252})
    t.true(echo.localPort > 0)
  },
)

needing(
  native,
  cgroups,
  superuser(),
)(
  'a process that only receives, with a socket from before, is found by what it has open, which is told to be a guess',
  async (t) => {
    const path = cgroup(t)
    const receiver = createSocket('udp4')
    t.teardown(() => receiver.close())
    await new Promise<void>((resolve) => receiver.bind(0, '127.0.0.1', resolve))
    const {port} = receiver.address()
    // Whose socket it is was decided when it was made: its cgroup is that of this process then. So the root is watched.
    const reader = ebpf.open({calls, flows: true})
    t.teardown(() => reader.close())
    const came = new Promise((resolve) => receiver.once('message', resolve))
    const sent = start(t, 'sh', [
      '-c',
      `echo $$ >${path}/cgroup.procs && exec bash --norc -c 'echo hello >/dev/udp/127.0.0.1/${port}'`,
    ])
    await came
    await sent.ended
    const {flows} = reader.read(false)
    const flow = flows.find(({localPort}) => localPort === port)
    t.is(flow?.pid, process.pid)
    t.is(attributionOf(flow!), 'open')
    const sender = flows.find(({remotePort}) => remotePort === port)
    t.is(sender?.command, 'bash')
    t.is(attributionOf(sender!), 'used')
    t.is(flow?.command, readFileSync('/proc/self/comm', 'utf8').trimEnd())
    t.is(flow?.inOctets, 20 + 8 + 6)
    // And still when it is looked again.
    t.is(reader.read(false).flows.find(({localPort}) => localPort === port)?.pid, process.pid)
  },
)

needing(native)(
  'a source of sockets sees the connections that exist, with their users',
  async (t) => {
    const {port, localPort, close} = await connection(t, 50_000)
    const reader = sockets.open({calls, flows: true})
    const mine = (): ReturnType<typeof reader.read>['flows'][number] | undefined =>
      reader
        .read(false)
        .flows.find((flow) => flow.remotePort === port && flow.localPort === localPort)
    while ((mine()?.outOctets ?? 0) < 50_000) await new Promise((resolve) => setImmediate(resolve))
    const flow = mine()!
    t.is(flow.uid, process.getuid!())
    // Who has a socket open need not be who used it.
    t.is(flow.pid, process.pid)
    t.is(attributionOf(flow), 'open')
    t.is(attributionOf({...flow, pid: 0}), 'none')
    t.is(flow.local, '127.0.0.1')
    t.true(flow.outOctets < 60_000, String(flow.outOctets))
    const before = reader.read(false).totals
    close()
    // A socket that is gone keeps what it had in the user's total.
    const sum = (totals: readonly UserTotal[]): number =>
      totals.filter(({uid}) => uid === flow.uid).reduce((n, {octets}) => n + octets, 0)
    while (mine() !== undefined) await new Promise((resolve) => setImmediate(resolve))
    t.true(sum(reader.read(false).totals) >= sum(before))
  },
)

test('tables of the module are read by the names of their columns', (t) => {
  const text =
    'uid ns_uid tcp_in_packets tcp_in_octets new_column udp_out_packets udp_out_octets\n' +
    'kernel - 1 40 9 0 0\n1000 0 2 80 9 3 99\n'
  const totals = totalsOf(text, 6).filter(({packets}) => packets > 0)
  t.deepEqual(totals, [
    {row: 'kernel', ipVersion: 6, protocol: 'tcp', direction: 'in', packets: 1, octets: 40},
    {
      row: 'user',
      uid: 1000,
      nsUid: 0,
      ipVersion: 6,
      protocol: 'tcp',
      direction: 'in',
      packets: 2,
      octets: 80,
    },
    {
      row: 'user',
      uid: 1000,
      nsUid: 0,
      ipVersion: 6,
      protocol: 'udp',
      direction: 'out',
      packets: 3,
      octets: 99,
    },
  ])
  const [flow] = flowsOf(
    'family protocol local local_port remote remote_port uid tgid comm first_ns last_ns cookie\n' +
      '6 6 fd00::1 22 fd00::2 4444 5 77 - 1700000000123456789 1700000001000000000 18446744073709551615\n',
  )
  t.is(flow.startMs, 1_700_000_000_123)
  t.is(flow.command, '')
  t.is(flow.cookie, 18446744073709551615n)
})
