import {readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder, start, type Ended, type Running} from '../support/darta.js'
import {cable, host, noNamespaces, noSender, sendFrames, type Host} from '../support/namespaces.js'
import {needing, openToAll, root, tools} from '../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

/** A mirror port: what is sent at `sender` arrives at `port` of `node`. */
function mirror(t: ExecutionContext): {sender: Host; node: Host; port: string} {
  const sender = host(t)
  const node = host(t)
  cable(sender, 'out', node, 'in')
  return {sender, node, port: 'in'}
}

/** Starts `capture` on a host and waits until it captures. */
async function capturing(t: ExecutionContext, at: Host, ...words: string[]): Promise<Running> {
  const running = start(t, at.enter[0], [...at.enter.slice(1), bin, 'capture', ...words])
  await running.says(/capturing on/)
  return running
}

/** Interrupts a capture and gives how it ended. */
async function interrupted(running: Running): Promise<Ended> {
  running.child.kill('SIGINT')
  return running.ended
}

async function sums(t: ExecutionContext, file: string): Promise<{packets: number; octets: number}> {
  const {stdout} = await darta(t, ['info', '-q', '-r', file, '-o', 'json'])
  const info = JSON.parse(stdout.toString()) as {packetCount: number; octetCount: number}
  return {packets: info.packetCount, octets: info.octetCount}
}

/** tcpdump beside the captures: what a program that knows nothing of ours sees. */
async function tcpdump(
  t: ExecutionContext,
  at: Host,
  port: string,
  file: string,
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
    String(framesOf(lab).length),
    '-B',
    '65536',
    '--time-stamp-precision=nano',
    '-Z',
    'root',
  ]
  const running = start(t, at.enter[0], [...at.enter.slice(1), 'tcpdump', ...options])
  await running.says(/listening on/)
  return running
}

/** Waits until tcpdump has seen all that was sent; one that missed some is ended, and what it has is compared. */
async function satisfied(witness: Running): Promise<void> {
  const timer = setTimeout(() => witness.child.kill('SIGINT'), 10_000)
  await witness.ended
  clearTimeout(timer)
}

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
    const as = [
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      '--inh-caps=+net_raw',
      '--ambient-caps=+net_raw',
    ]
    const running = start(t, node.enter[0], [
      ...node.enter.slice(1),
      ...as,
      ...[bin, 'capture', '-i', port, '-o', 'ipfix'],
    ])
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
    const running = start(t, node.enter[0], [
      ...node.enter.slice(1),
      ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
      ...[bin, 'capture', '-i', port, '-o', 'ipfix'],
    ])
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
    running.child.kill('SIGSTOP')
    let sent = 0
    for (let round = 0; round < 40; round++) sent += sendFrames(sender, 'out', lab, 0)
    running.child.kill('SIGCONT')
    const {code, stderr} = await interrupted(running)
    t.is(code, 0)
    const [, all, kept, dropped] =
      /kernel: (\d+) packets in, (\d+) out, lost (\d+) \(ring-full/.exec(stderr)?.map(Number) ?? []
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
    t.regex(stderr, /cannot capture on in: the interface is down|DARTA_INTERFACE/)
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
    const judged = start(t, 'tcpdump', [
      '-n',
      '-r',
      join(at, 'whole.pcap'),
      '-w',
      join(at, 'judged.pcap'),
      '--time-stamp-precision=nano',
      filter,
    ])
    t.is((await judged.ended).code, 0)
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
