import {readFileSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder} from '../support/darta.js'
import {
  cable,
  frameSender,
  noNamespaces,
  noSender,
  sendFrames,
  startAt,
} from '../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../support/needing.js'
import {
  capturing,
  interrupted,
  judge,
  lab,
  mirror,
  octetsOf,
  satisfied,
  sendWhileStopped,
  sums,
  tcpdump,
  throughRing,
} from './capturing.js'

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)('a live capture meters every packet that tcpdump sees beside it', async (t) => {
  const {sender, node, port} = mirror(t)
  const at = folder(t)
  const witness = await tcpdump(t, node, port, join(at, 'witness.pcap'))
  const running = await capturing(t, node, '-i', port, '-w', join(at, 'live.ipfix'))
  const sent = sendFrames(sender, 'out', lab, 20_000)
  const {code, stderr} = await interrupted(running)
  await satisfied(witness)
  t.is(code, 0, stderr)
  t.is(framesOf(join(at, 'witness.pcap')).length, sent)
  t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
  await darta(t, ['capture', '-q', '-r', join(at, 'witness.pcap'), '-w', join(at, 'offline.ipfix')])
  t.deepEqual(await sums(t, join(at, 'live.ipfix')), await sums(t, join(at, 'offline.ipfix')))
})

needing(noNamespaces)(
  'a live capture of nothing is a capture without packets, for whoever reads it',
  async (t) => {
    const {node, port} = mirror(t)
    const at = folder(t)
    for (const name of [port, 'any']) {
      const file = join(at, `${name}.pcap`)
      const words = ['-i', name, '-f', 'udp port 9', '--emit', 'pcap', '-w', file]
      const {code, stderr} = await interrupted(await capturing(t, node, ...words))
      t.is(code, 0, stderr)
      const header = readFileSync(file)
      t.is(header.length, 24)
      t.is(header.readUInt32LE(20), name === 'any' ? 276 : 1)
    }
  },
)

/** Frames of UDP in IPv4: untagged, with VLAN 5, with VLAN 6, and with VLAN 5 inside a provider's 9; in turns. */
function taggedFrames(count: number): Buffer {
  const tags = ['', '81000005', '81000006', '88a8000981000005']
  const frames = Array.from({length: count}, (_, i) => {
    const octets = Buffer.from(
      `020000000001020000000002${tags[i % tags.length]}0800` +
        `4500001c${hex4(i)}00004011${'0000'}0a00${hex4(i)}c0000201` +
        `${hex4(1024 + i)}003500080000${'00'.repeat(20)}`,
      'hex',
    )
    const record = Buffer.alloc(16)
    record.writeUInt32LE(octets.length, 8)
    record.writeUInt32LE(octets.length, 12)
    return Buffer.concat([record, octets])
  })
  const header = 'd4c3b2a1020004000000000000000000' + '0000040001000000'
  return Buffer.concat([Buffer.from(header, 'hex'), ...frames])
}
const hex4 = (n: number): string => n.toString(16).padStart(4, '0')

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'a filter of VLAN tags lets through what it says, though the kernel takes the outer tag off',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const all = join(at, 'all.pcap')
    writeFileSync(all, taggedFrames(80))
    for (const filter of ['vlan 5', 'vlan', 'not vlan', 'vlan 9 and vlan 5']) {
      const files: string[][] = []
      for (const backend of ['tpacket', 'af-xdp']) {
        const file = join(at, `${backend}.pcap`)
        const words = ['-i', port, '--backend', backend, '-f', filter, '--emit', 'pcap']
        const running = await capturing(t, node, ...words, '-w', file, '--force')
        sendFrames(sender, 'out', all, 5000)
        t.is((await interrupted(running)).code, 0)
        files.push(octetsOf(file))
      }
      await judge(t, all, filter, join(at, 'judged.pcap'))
      const [byRing, byXdp] = files
      t.deepEqual(byRing, octetsOf(join(at, 'judged.pcap')), filter)
      t.deepEqual(byXdp, byRing, filter)
    }
  },
)

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)('threads write one capture together, and stop at a limit together', async (t) => {
  const {sender, node, port} = mirror(t)
  const at = folder(t)
  const threads = ['-i', port, '--threads', '3', '--emit', 'pcap']
  const whole = await capturing(t, node, ...threads, '-w', join(at, 'whole.pcap'))
  const ten = await capturing(t, node, ...threads, '-c', '10', '-w', join(at, 'ten.pcap'))
  sendFrames(sender, 'out', lab, 20_000)
  t.is((await ten.ended).code, 0)
  t.is((await interrupted(whole)).code, 0)
  t.deepEqual(octetsOf(join(at, 'whole.pcap')), octetsOf(lab))
  t.is(framesOf(join(at, 'ten.pcap')).length, 10)
})

/** How often the threads of a process, but for its first one, have gone to sleep. */
function sleeps(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => thread !== String(pid))
  const counts = threads.map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)![1])
  })
  return counts.reduce((a, b) => a + b, 0)
}

needing(noNamespaces, noSender)(
  'a capture of a thousand packets a second does not wake for each few of them, and all are there at once when it is told to end',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, '-w', file)
    // The first frames find threads that have begun to wait.
    sendFrames(sender, 'out', lab)
    const before = sleeps(running.child.pid!)
    const sent = sendFrames(sender, 'out', lab, 1000)
    const woken = sleeps(running.child.pid!) - before
    const {stderr} = await interrupted(running)
    t.true(woken < sent / 60, `${woken} times for ${sent} packets`)
    t.regex(stderr, new RegExp(`kernel: ${2 * sent} packets in, ${2 * sent} out`))
  },
)

for (const by of ['flow', 'hosts', 'src', 'dst', 'ports']) {
  needing(
    noNamespaces,
    noSender,
    tools('tcpdump'),
  )(
    `four shares by ${by} together are the undivided capture, octet for octet, times included`,
    async (t) => {
      const {sender, node, port} = mirror(t)
      const at = folder(t)
      const witness = await tcpdump(t, node, port, join(at, 'whole.pcap'))
      const nodes = await Promise.all(
        [1, 2, 3, 4].map((part) =>
          capturing(
            t,
            node,
            ...['-i', port, '--share', `${part}/4`, '--by', by, '--share-seed', '5'],
            ...['--emit', 'pcap', '-w', join(at, `part-${part}.pcap`)],
          ),
        ),
      )
      sendFrames(sender, 'out', lab, 20_000)
      for (const running of nodes) t.is((await interrupted(running)).code, 0)
      await satisfied(witness)
      const parts = [1, 2, 3, 4].map((part) => framesOf(join(at, `part-${part}.pcap`)))
      t.true(
        parts.every((frames) => frames.length > 0),
        'every share has some',
      )
      t.deepEqual(parts.flat().sort(), framesOf(join(at, 'whole.pcap')).sort())
    },
  )
}

needing(
  noNamespaces,
  noSender,
  tools('setpriv'),
  openToAll(),
)(
  'an ordinary user with CAP_NET_RAW captures, and has no capability left when packets come',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const words = [bin, 'capture', '-i', port, '-o', 'ipfix']
    const running = startAt(t, node, [...asNobody('net_raw'), ...words])
    await running.says(/capturing on/)
    const threads = `/proc/${String(running.child.pid)}/task`
    for (const thread of readdirSync(threads)) {
      const status = readFileSync(join(threads, thread, 'status'), 'utf8')
      t.regex(status, /^CapEff:\t0+$/m)
      t.regex(status, /^CapPrm:\t0+$/m)
      t.regex(status, /^NoNewPrivs:\t1$/m)
      t.regex(status, /^Uid:\t65534\t/m)
    }
    const sent = sendFrames(sender, 'out', lab, 20_000)
    const {code, stderr} = await interrupted(running)
    t.is(code, 0)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
  },
)

needing(
  noNamespaces,
  tools('setpriv'),
  openToAll(),
)(
  'without CAP_NET_RAW capture says that this capability is missing, and ends with status 4',
  async (t) => {
    const {node, port} = mirror(t)
    const words = [bin, 'capture', '-i', port, '-o', 'ipfix']
    const running = startAt(t, node, [...asNobody(), ...words])
    const {code, stderr} = await running.ended
    t.is(code, 4)
    t.regex(stderr, /CAP_NET_RAW/)
  },
)

needing(noNamespaces, noSender)(
  'what the ring cannot hold while the process stands still is counted: received + dropped = sent',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const file = join(at, 'live.ipfix')
    const running = await capturing(t, node, '-i', port, '-B', '4Mi', '-w', file)
    const sent = sendWhileStopped(running, sender, 40, 0)
    const {code, stderr} = await interrupted(running)
    t.is(code, 0)
    const {all, kept, dropped} = throughRing(stderr)
    t.is(all, sent)
    t.is(kept + dropped, sent)
    t.true(dropped > 0)
    t.regex(stderr, /the ring of in was full \d+ times/)
    // Whoever reads the file learns it from the record of RFC 7011 section 4.2.
    const {stdout} = await darta(t, ['info', '-q', '-r', file, '--templates'])
    t.regex(stdout.toString(), /ignoredPacketTotalCount/)
  },
)

needing(noNamespaces, noSender)(
  'an interface that goes away ends the capture with status 1, and what was metered is written',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, '-w', file)
    const sent = sendFrames(sender, 'out', lab, 20_000)
    await running.says(/capturing/)
    node.run('ip', 'link', 'del', port)
    const {code, stderr} = await running.ended
    t.is(code, 1)
    t.regex(stderr, /cannot capture on in: the interface went away \(DARTA_INTERFACE\)/)
    const [, seen] = /kernel: (\d+) packets in/.exec(stderr)?.map(Number) ?? []
    t.is(seen, sent)
    t.true((await sums(t, file)).packets > 0)
  },
)

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'a filter in the kernel lets through what tcpdump lets through, alone and joined with a share',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const filter = 'tcp port 80 or icmp6 or udp'
    const witness = await tcpdump(t, node, port, join(at, 'whole.pcap'))
    const nodes = await Promise.all(
      [[], ['--share', '1/2'], ['--share', '2/2']].map((share, i) =>
        capturing(
          t,
          node,
          ...['-i', port, '-f', filter, ...share, '--emit', 'pcap', '-w', join(at, `${i}.pcap`)],
        ),
      ),
    )
    sendFrames(sender, 'out', lab, 20_000)
    for (const running of nodes) t.is((await interrupted(running)).code, 0)
    await satisfied(witness)
    await judge(t, join(at, 'whole.pcap'), filter, join(at, 'judged.pcap'))
    const [alone, first, second] = [0, 1, 2].map((i) => framesOf(join(at, `${i}.pcap`)))
    const wanted = framesOf(join(at, 'judged.pcap')).sort()
    t.true(wanted.length > 0)
    t.deepEqual(alone.sort(), wanted)
    t.deepEqual([...first, ...second].sort(), wanted)
  },
)

needing(noNamespaces, noSender)(
  'two threads divide the Flows of an interface, and any captures all interfaces',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const threads = await capturing(
      t,
      node,
      '-i',
      port,
      '--threads',
      '2',
      '-w',
      join(at, 'threads.ipfix'),
    )
    const any = await capturing(t, node, '-i', 'any', '-w', join(at, 'any.ipfix'))
    const one = await capturing(t, node, '-i', port, '-w', join(at, 'one.ipfix'))
    const sent = sendFrames(sender, 'out', lab, 20_000)
    for (const running of [threads, any, one]) {
      const {code, stderr} = await interrupted(running)
      t.is(code, 0)
      t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
    }
    const expected = await sums(t, join(at, 'one.ipfix'))
    t.deepEqual(await sums(t, join(at, 'threads.ipfix')), expected)
    t.deepEqual(await sums(t, join(at, 'any.ipfix')), expected)
  },
)

needing(noNamespaces, noSender)(
  'an interface that goes down is waited for, and captured again when it is up',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const ring = await capturing(t, node, '-i', port, '-w', join(at, 'ring.ipfix'))
    let sent = sendFrames(sender, 'out', lab, 20_000)
    node.run('ip', 'link', 'set', port, 'down')
    await ring.says(/in is down; capture goes on when it is up again/)
    // One that is started meanwhile waits as well.
    const late = await capturing(t, node, '-i', port, '-w', join(at, 'late.ipfix'))
    await late.says(/in is down; capture goes on when it is up again/)
    node.run('ip', 'link', 'set', port, 'up')
    const again = sendFrames(sender, 'out', lab, 20_000)
    sent += again
    const {code, stderr} = await interrupted(ring)
    t.is(code, 0)
    t.regex(
      stderr,
      new RegExp(`kernel: ${sent} packets in, ${sent} out, noted interface-down 1\\n`),
    )
    t.regex((await interrupted(late)).stderr, new RegExp(`kernel: ${again} packets in`))
  },
)

needing(noNamespaces, noSender)(
  'of two interfaces the one that is left goes on, and the status tells that one went away',
  async (t) => {
    const {sender, node, port} = mirror(t)
    cable(sender, 'out2', node, 'in2')
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, '-i', 'in2', '-w', file)
    let sent = sendFrames(sender, 'out', lab, 20_000)
    node.run('ip', 'link', 'del', port)
    await running.says(/cannot capture on in: the interface went away/)
    sent += sendFrames(sender, 'out2', lab, 20_000)
    const {code, stderr} = await interrupted(running)
    t.is(code, 1)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
    t.true((await sums(t, file)).packets > 0)
  },
)

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'tcpdump with the printed filter of a share captures live what the share is, also one in the middle',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const printed = await darta(t, ['split', '--print-filter', '2/3'])
    const expression = printed.stdout.toString().trim()
    await judge(t, lab, expression, join(at, 'judged.pcap'))
    const wanted = octetsOf(join(at, 'judged.pcap'))
    // A signal would let what the kernel still holds go unread.
    const witness = ['-n', '-U', '-Z', 'root', '-B', '65536', '-c', String(wanted.length)]
    const theirs = startAt(t, node, [
      ...['tcpdump', '-i', port, ...witness, '-w', join(at, 'theirs.pcap'), expression],
    ])
    await theirs.says(/listening on/)
    const ours = await capturing(
      t,
      node,
      ...['-i', port, '--share', '2/3', '--emit', 'pcap', '-w', join(at, 'ours.pcap')],
    )
    sendFrames(sender, 'out', lab, 10_000)
    t.is((await interrupted(ours)).code, 0)
    await satisfied(theirs)
    t.deepEqual(octetsOf(join(at, 'ours.pcap')), wanted)
    t.true(wanted.length > 0)
    t.deepEqual(octetsOf(join(at, 'theirs.pcap')), wanted)
  },
)

needing(noNamespaces, noSender)(
  'a live capture ends without a word when its reader goes away',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const running = await capturing(t, node, '-i', port, '--emit', 'packets', '-o', 'ndjson')
    running.child.stdout.destroy()
    sendFrames(sender, 'out', lab, 20_000)
    const {code, stderr} = await running.ended
    t.is(code, 141)
    t.regex(stderr, /^darta capture: capturing on in by tpacket\n$/)
  },
)

needing(noNamespaces, noSender)(
  'a live capture that is told to end while packets come without a pause does, and balances',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.ipfix')
    const running = await capturing(t, node, '-i', port, '-w', file)
    const words = ['--if', 'out', '--loops', '1000000', lab]
    const flood = startAt(t, sender, [frameSender(), ...words])
    const packets = `/sys/class/net/${port}/statistics/rx_packets`
    while (Number(node.run('cat', packets)) < 20_000);
    const {code, stderr} = await interrupted(running)
    t.is(flood.child.exitCode, null, 'packets still come')
    flood.child.kill('SIGKILL')
    t.is(code, 0, stderr)
    const [, all, out] = /kernel: (\d+) packets in, (\d+) out/.exec(stderr)!.map(Number)
    const dropped = Number(/lost (\d+) \(ring-full/.exec(stderr)?.[1] ?? 0)
    const left = Number(/after-the-end (\d+)/.exec(stderr)?.[1] ?? 0)
    t.is(out + dropped + left, all)
    t.regex(stderr, new RegExp(`meter: ${out} packets in`))
    t.true((await sums(t, file)).packets > 0)
  },
)
