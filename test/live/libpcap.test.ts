import {join} from 'node:path'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder} from '../support/darta.js'
import {cable, noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../support/needing.js'
import {
  capturing,
  interrupted,
  judge,
  lab,
  mirror,
  noCap,
  octetsOf,
  satisfied,
  sums,
  tcpdump,
} from './capturing.js'

const by = ['--backend', 'libpcap']

for (const native of ['1', '0']) {
  needing(
    noNamespaces,
    noSender,
    noCap(),
    tools('tcpdump'),
  )(
    `libpcap captures the same packets as tcpdump at 10,000 a second, metered in ${native === '1' ? 'C++' : 'TypeScript'}`,
    async (t) => {
      const {sender, node, port} = mirror(t)
      const at = folder(t)
      const witness = await tcpdump(t, node, port, join(at, 'witness.pcap'))
      const env = {...process.env, DARTA_NATIVE: native}
      const running = ['pcap', 'flows'].map((emit) =>
        startAt(
          t,
          node,
          [bin, 'capture', '-i', port, ...by, '--emit', emit, '-w', join(at, emit)],
          {env},
        ),
      )
      for (const one of running) await one.says(/capturing on/)
      const before = BigInt(Date.now()) * 1_000_000n
      const sent = sendFrames(sender, 'out', lab, 10_000)
      await satisfied(witness)
      const [pcap, flows] = await Promise.all(running.map(interrupted))
      const after = BigInt(Date.now() + 1) * 1_000_000n
      t.is(pcap.code, 0, pcap.stderr)
      t.is(flows.code, 0, flows.stderr)
      t.regex(pcap.stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
      t.is(pcap.stderr.match(/packets may be lost unseen/g)?.length, 1, 'limits are told once')
      t.deepEqual(octetsOf(join(at, 'pcap')), octetsOf(join(at, 'witness.pcap')))
      const times = framesOf(join(at, 'pcap')).map((frame) => BigInt(frame.split(' ')[0]))
      t.true(times.every((time) => time >= before && time <= after))
      const words = ['capture', '-q', '-r', join(at, 'witness.pcap'), '-w', join(at, 'offline')]
      await darta(t, words)
      t.deepEqual(await sums(t, join(at, 'flows')), await sums(t, join(at, 'offline')))
    },
  )
}

needing(
  noNamespaces,
  noSender,
  noCap(),
  tools('tcpdump'),
)(
  'shares by libpcap, joined with a filter, are together what the filter lets through',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const filter = 'tcp or udp'
    const nodes = await Promise.all(
      [1, 2, 3].map((part) =>
        capturing(
          t,
          node,
          ...['-i', port, ...by, '-f', filter, '--share', `${part}/3`, '--emit', 'pcap'],
          ...['-w', join(at, `${part}.pcap`)],
        ),
      ),
    )
    sendFrames(sender, 'out', lab, 10_000)
    for (const running of nodes) t.is((await interrupted(running)).code, 0)
    await judge(t, lab, filter, join(at, 'judged.pcap'))
    const parts = [1, 2, 3].map((part) => octetsOf(join(at, `${part}.pcap`)))
    t.true(parts.every((part) => part.length > 0))
    t.deepEqual(parts.flat().sort(), octetsOf(join(at, 'judged.pcap')))
  },
)

needing(
  noNamespaces,
  noSender,
  noCap(),
)(
  'libpcap takes from several interfaces, stops after -c, cuts to -s, and goes on when one goes away',
  async (t) => {
    const {sender, node, port} = mirror(t)
    cable(sender, 'out2', node, 'in2')
    const at = folder(t)
    const limited = await capturing(
      t,
      node,
      ...['-i', port, ...by, '-c', '7', '-s', '60', '--emit', 'pcap', '-w', join(at, 'seven.pcap')],
    )
    const two = await capturing(t, node, '-i', port, '-i', 'in2', ...by, '-w', join(at, 'two'))
    let sent = sendFrames(sender, 'out', lab, 10_000)
    t.is((await limited.ended).code, 0)
    const seven = framesOf(join(at, 'seven.pcap')).map((frame) => frame.split(' ')[1])
    t.is(seven.length, 7)
    t.true(seven.every((octets) => octets.length <= 120))
    node.run('ip', 'link', 'del', port)
    await two.says(/cannot capture on in: the interface went away/)
    sent += sendFrames(sender, 'out2', lab, 10_000)
    const {code, stderr} = await interrupted(two)
    t.is(code, 1)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
  },
)

needing(
  noNamespaces,
  noCap(),
  tools('setpriv'),
  openToAll(),
)('libpcap says what is wrong: no capability, no interface, a filter, an option', async (t) => {
  const {node, port} = mirror(t)
  const says = async (words: string[], as: string[] = []): Promise<[number | null, string]> => {
    const running = startAt(t, node, [...as, bin, 'capture', ...by, '-o', 'ipfix', ...words])
    const {code, stderr} = await running.ended
    return [code, stderr]
  }
  for (const [words, status, pattern, as] of [
    [['-i', port], 4, /CAP_NET_RAW/, asNobody()],
    [['-i', 'none0'], 1, /cannot capture on none0: there is no such interface/, []],
    [['-i', port, '-f', 'tcp prt'], 2, /-f 'tcp prt': .*syntax error/, []],
    [['-i', port, '--threads', '2'], 2, /one thread/, []],
    [['-i', port, '--share', '1/2', '--by', 'packets'], 2, /--backend tpacket/, []],
    [['-i', port, '--share', '1/2', '--mirror-port'], 2, /a program in the kernel/, []],
  ] as const) {
    const [code, stderr] = await says([...words], [...as])
    t.is(code, status, stderr)
    t.regex(stderr, pattern)
  }
})
