import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {framesOf} from '../support/captures.js'
import {bin, folder} from '../support/darta.js'
import {noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../support/needing.js'
import {
  capturing,
  interrupted,
  judge,
  lab,
  mirror,
  octetsOf,
  sendWhileStopped,
  sums,
  tcpdump,
  throughRing,
} from './capturing.js'

const xdp = ['--backend', 'af-xdp']

/** Why an ordinary user cannot have frame memory of 4 MiB here, which is locked. */
function littleLocked(): string | undefined {
  const soft = /^Max locked memory\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return Number(soft) < 5 << 20 ? `only ${String(soft)} octets of memory may be locked` : undefined
}

/** What `ip link` says of the program on an interface. */
const programOn = (words: string): string | undefined => /name (darta_\w+)/.exec(words)?.[1]

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'af-xdp takes every packet as it was sent, and says that the host sees none of them',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const witness = await tcpdump(t, node, port, join(at, 'witness.pcap'))
    const file = join(at, 'taken.pcap')
    const running = await capturing(t, node, '-i', port, ...xdp, '--emit', 'pcap', '-w', file)
    const before = BigInt(Date.now()) * 1_000_000n
    const sent = sendFrames(sender, 'out', lab, 20_000)
    const {code, stderr} = await interrupted(running)
    const after = BigInt(Date.now() + 1) * 1_000_000n
    t.is(code, 0, stderr)
    t.regex(stderr, /takes all of it away from this host's own network stack/)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
    t.deepEqual(octetsOf(file), octetsOf(lab))
    const times = framesOf(file).map((frame) => BigInt(frame.split(' ')[0]))
    t.true(times.every((time, i) => time >= (times[i - 1] ?? before) && time <= after))
    t.true(new Set(times).size > sent / 2, 'each packet has its own time')
    witness.child.kill('SIGINT')
    await witness.ended
    t.is(framesOf(join(at, 'witness.pcap')).length, 0)
  },
)

for (const by of ['flow', 'src', 'ports']) {
  needing(
    noNamespaces,
    noSender,
    tools('tcpdump'),
  )(
    `a share by ${by} that af-xdp takes and what it leaves to the kernel are the whole, and the share is that of the ring`,
    async (t) => {
      const {sender, node, port} = mirror(t)
      const at = folder(t)
      const share = ['--share', '1/3', '--by', by, '--share-seed', '5', '--emit', 'pcap']
      const ring = await capturing(t, node, '-i', port, ...share, '-w', join(at, 'ring.pcap'))
      sendFrames(sender, 'out', lab, 20_000)
      t.is((await interrupted(ring)).code, 0)
      const running = await capturing(
        t,
        node,
        ...['-i', port, ...xdp, ...share, '-w', join(at, 'taken.pcap')],
      )
      const left = await capturing(
        t,
        node,
        ...['-i', port, '--emit', 'pcap', '-w', join(at, 'left.pcap')],
      )
      sendFrames(sender, 'out', lab, 20_000)
      for (const one of [running, left]) t.is((await interrupted(one)).code, 0)
      const [taken, rest] = ['taken', 'left'].map((name) => octetsOf(join(at, `${name}.pcap`)))
      t.true(taken.length > 0 && rest.length > 0)
      t.deepEqual(taken, octetsOf(join(at, 'ring.pcap')))
      t.deepEqual([...taken, ...rest].sort(), octetsOf(lab))
    },
  )
}

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'af-xdp takes what a filter of tcpdump lets through, alone and joined with a share',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const filter = 'tcp port 80 or icmp6 or udp'
    await judge(t, lab, filter, join(at, 'judged.pcap'))
    const wanted = octetsOf(join(at, 'judged.pcap'))
    t.true(wanted.length > 0)
    const parts: string[][] = []
    for (const share of [[], ['--share', '1/2'], ['--share', '2/2']]) {
      const file = join(at, `${share.at(-1)?.[0] ?? 0}.pcap`)
      const words = ['-i', port, ...xdp, '-f', filter, ...share, '--emit', 'pcap', '-w', file]
      const running = await capturing(t, node, ...words)
      sendFrames(sender, 'out', lab, 20_000)
      t.is((await interrupted(running)).code, 0)
      parts.push(octetsOf(file))
    }
    t.deepEqual(parts[0], wanted)
    t.deepEqual([...parts[1], ...parts[2]].sort(), wanted)
  },
)

needing(noNamespaces)(
  'the program of af-xdp leaves the interface with the process, however that ends',
  async (t) => {
    const {node, port} = mirror(t)
    const words = (): string => node.run('ip', '-d', 'link', 'show', port)
    const show = folder(t)
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const file = join(show, `${signal}.ipfix`)
      const running = await capturing(t, node, '-i', port, ...xdp, '-w', file)
      t.is(programOn(words()), 'darta_capture')
      // A second one is told why it cannot.
      const second = startAt(t, node, [bin, 'capture', '-i', port, ...xdp, '-o', 'ipfix'])
      const {code, stderr} = await second.ended
      t.is(code, 1)
      t.regex(stderr, /another (XDP program is on the interface|program has a socket)/)
      t.is(programOn(words()), 'darta_capture')
      running.child.kill(signal)
      await running.ended
      t.is(programOn(words()), undefined)
    }
    const none = join(show, 'none', 'x.ipfix')
    const refused = startAt(t, node, [bin, 'capture', '-i', port, ...xdp, '-w', none])
    t.not((await refused.ended).code, 0)
    t.is(programOn(words()), undefined)
  },
)

for (const [have, lacks] of [
  [['net_raw'], 'CAP_BPF and CAP_NET_ADMIN'],
  [['net_raw', 'net_admin'], 'CAP_BPF'],
  [['net_raw', 'bpf'], 'CAP_NET_ADMIN'],
  [['bpf', 'net_admin'], 'CAP_NET_RAW'],
] as const) {
  needing(
    noNamespaces,
    tools('setpriv'),
    openToAll(),
  )(`with ${have.join()} alone af-xdp says that it lacks ${lacks}`, async (t) => {
    const {node, port} = mirror(t)
    const words = [bin, 'capture', '-i', port, ...xdp, '-o', 'ipfix']
    const running = startAt(t, node, [...asNobody(...have), ...words])
    const {code, stderr} = await running.ended
    t.is(code, 4)
    t.regex(stderr, new RegExp(`this process lacks ${lacks} \\(`))
  })
}

needing(
  noNamespaces,
  noSender,
  tools('setpriv'),
  littleLocked(),
  openToAll(),
)(
  'an ordinary user with three capabilities takes the same share by af-xdp as root does, and has none of them left',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const share = ['--share', '2/3', '--by', 'ports', '--emit', 'pcap']
    const root = await capturing(t, node, '-i', port, ...xdp, ...share, '-w', join(at, 'root.pcap'))
    sendFrames(sender, 'out', lab, 20_000)
    t.is((await interrupted(root)).code, 0)
    const ordinary = startAt(t, node, [
      ...asNobody('net_raw', 'bpf', 'net_admin'),
      ...[bin, 'capture', '-i', port, ...xdp, '-B', '4Mi', ...share, '-w', '-'],
    ])
    await ordinary.says(/capturing on/)
    const status = readFileSync(`/proc/${String(ordinary.child.pid)}/status`, 'utf8')
    for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) {
      t.regex(status, new RegExp(`^${set}:\\t0+$`, 'm'))
    }
    sendFrames(sender, 'out', lab, 20_000)
    const {code, stdout, stderr} = await interrupted(ordinary)
    t.is(code, 0, stderr)
    writeFileSync(join(at, 'ordinary.pcap'), stdout)
    t.true(octetsOf(join(at, 'root.pcap')).length > 0)
    t.deepEqual(octetsOf(join(at, 'ordinary.pcap')), octetsOf(join(at, 'root.pcap')))
  },
)

needing(noNamespaces, noSender)(
  'what af-xdp has no room for while the process stands still is counted: received + dropped = sent',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, ...xdp, '-B', '2Mi', '-w', file)
    const sent = sendWhileStopped(running, sender, 4, 20_000)
    const {code, stderr} = await interrupted(running)
    t.is(code, 0)
    const {all, kept, dropped} = throughRing(stderr)
    t.is(all, sent)
    t.is(kept + dropped, sent)
    t.true(dropped > 0)
  },
)

needing(noNamespaces, noSender)(
  'af-xdp puts frames together that the kernel keeps in several pieces',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    sender.run('ip', 'link', 'set', 'out', 'mtu', '9000')
    node.run('ip', 'link', 'set', port, 'mtu', '9000')
    const sizes = [60, 1700, 1792, 1793, 2048, 3000, 5000, 9014]
    writeFileSync(join(at, 'long.pcap'), pcapOf(sizes))
    const file = join(at, 'taken.pcap')
    const running = await capturing(t, node, '-i', port, ...xdp, '--emit', 'pcap', '-w', file)
    sendFrames(sender, 'out', join(at, 'long.pcap'))
    const cut = join(at, 'cut.pcap')
    t.is((await interrupted(running)).code, 0)
    t.deepEqual(octetsOf(file), octetsOf(join(at, 'long.pcap')))
    const words = ['-i', port, ...xdp, '-s', '1900', '--emit', 'pcap', '-w', cut]
    const short = await capturing(t, node, ...words)
    sendFrames(sender, 'out', join(at, 'long.pcap'))
    t.is((await interrupted(short)).code, 0)
    t.deepEqual(
      framesOf(cut).map((frame) => frame.split(' ')[1]),
      framesOf(join(at, 'long.pcap')).map((frame) => frame.split(' ')[1].slice(0, 3800)),
    )
  },
)

needing(noNamespaces, noSender)(
  'an interface that goes away ends af-xdp with status 1, and what was metered is written',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, ...xdp, '-w', file)
    const sent = sendFrames(sender, 'out', lab, 20_000)
    node.run('ip', 'link', 'del', port)
    const {code, stderr} = await running.ended
    t.is(code, 1)
    t.regex(stderr, /the interface went away/)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
    t.true((await sums(t, file)).packets > 0)
  },
)

needing(noNamespaces, noSender)('af-xdp goes on when the interface was down', async (t) => {
  const {sender, node, port} = mirror(t)
  const file = join(folder(t), 'live.ipfix')
  const running = await capturing(t, node, '-i', port, ...xdp, '-w', file)
  let sent = sendFrames(sender, 'out', lab, 20_000)
  node.run('ip', 'link', 'set', port, 'down')
  node.run('ip', 'link', 'set', port, 'up')
  sent += sendFrames(sender, 'out', lab, 20_000)
  const {code, stderr} = await interrupted(running)
  t.is(code, 0)
  t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
})

/** A pcap file of Ethernet frames of these sizes: UDP in IPv4, each octet of the payload another. */
function pcapOf(sizes: readonly number[]): Buffer {
  const header = Buffer.from('d4c3b2a1020004000000000000000000' + '0000040001000000', 'hex')
  const frames = sizes.map((size, i) => {
    const frame = Buffer.from(Array.from({length: size}, (_, at) => (at * 7 + i) & 255))
    Buffer.from('0200000000020200000000010800450000000000400040110000c0000201c6336401', 'hex').copy(
      frame,
    )
    frame.writeUInt16BE(size - 14, 16)
    const record = Buffer.alloc(16)
    record.writeUInt32LE(i, 0)
    record.writeUInt32LE(size, 8)
    record.writeUInt32LE(size, 12)
    return Buffer.concat([record, frame])
  })
  return Buffer.concat([header, ...frames])
}
