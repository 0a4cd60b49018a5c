import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder, type Running} from '../support/darta.js'
import {noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../support/needing.js'
import {
  capturing,
  interrupted,
  lab,
  mirror,
  satisfied,
  sendWhileStopped,
  tcpdump,
} from './capturing.js'

const whole = framesOf(lab).length

async function ended(t: ExecutionContext, nodes: readonly Running[]): Promise<void> {
  for (const running of nodes) {
    const {code, stderr} = await interrupted(running)
    t.is(code, 0, stderr)
  }
}

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'four nodes that take packets in turn have each packet once, and as many each, but for one',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const witness = await tcpdump(t, node, port, join(at, 'whole.pcap'))
    const nodes = await Promise.all(
      [1, 2, 3, 4].map((part) =>
        capturing(
          t,
          node,
          ...['-i', port, '--share', `${part}/4`, '--by', 'packets'],
          ...['--emit', 'pcap', '-w', join(at, `${part}.pcap`)],
        ),
      ),
    )
    sendFrames(sender, 'out', lab, 20_000)
    await ended(t, nodes)
    await satisfied(witness)
    const parts = [1, 2, 3, 4].map((part) => framesOf(join(at, `${part}.pcap`)))
    const sizes = parts.map((frames) => frames.length)
    t.true(Math.max(...sizes) - Math.min(...sizes) <= 1, sizes.join())
    const all = framesOf(join(at, 'whole.pcap'))
    t.deepEqual(parts.flat().sort(), all.sort())
    // In turn, and not just in equal numbers.
    t.is(parts[1][7], framesOf(join(at, 'whole.pcap'))[29])
  },
)

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)(
  'packets in turn are counted behind the filter, and from the packet on that --begin names',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const turn = ['-i', port, '--by', 'packets', '--begin', 'ether proto 0x88b5', '-f', 'ip or ip6']
    const begin = join(at, 'begin.pcap')
    const frame = Buffer.alloc(60)
    frame.writeUInt16BE(0x88b5, 12)
    const header = Buffer.alloc(16)
    header.writeUInt32LE(60, 8)
    header.writeUInt32LE(60, 12)
    writeFileSync(begin, Buffer.concat([readFileSync(lab).subarray(0, 24), header, frame]))
    const first = await capturing(t, node, ...turn, '--share', '1/2', '-w', join(at, '1.ipfix'))
    // Nobody knows yet where to count from.
    sendFrames(sender, 'out', lab, 20_000)
    const late = await capturing(t, node, ...turn, '--share', '2/2', '-w', join(at, '2.ipfix'))
    sendFrames(sender, 'out', begin)
    sendFrames(sender, 'out', lab, 20_000)
    const taken: number[] = []
    for (const running of [first, late]) {
      const {code, stderr} = await interrupted(running)
      t.is(code, 0, stderr)
      t.regex(stderr, /packets counted since the last of 1 beginnings/)
      taken.push(Number(/kernel: (\d+) packets in/.exec(stderr)?.[1]))
    }
    const ip = Number(
      /(\d+) out/.exec(
        (await darta(t, ['capture', '-r', lab, '-o', 'null'])).stderr.replace(/^.*ipfix.*$/m, ''),
      )?.[1],
    )
    t.is(taken[0] + taken[1], ip)
    t.true(taken[0] - taken[1] <= 1)
    const {code, stdout, stderr} = await darta(t, [
      'split',
      '--drift',
      '-r',
      join(at, '1.ipfix'),
      '-r',
      join(at, '2.ipfix'),
    ])
    t.is(code, 0, stdout.toString() + stderr)
    t.regex(stdout.toString(), /2 nodes \(1\/2, 2\/2\), \d+ landmarks in common: all count alike/)
  },
)

needing(noNamespaces, noSender)(
  'a node that began later than the others is found to be behind',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const at = folder(t)
    const turn = ['-i', port, '--by', 'packets']
    const early = await capturing(t, node, ...turn, '--share', '1/2', '-w', join(at, '1.ipfix'))
    const one = join(at, 'one.pcap')
    const octets = readFileSync(lab)
    writeFileSync(one, octets.subarray(0, 24 + 16 + octets.readUInt32LE(24 + 8)))
    sendFrames(sender, 'out', one)
    const late = await capturing(t, node, ...turn, '--share', '2/2', '-w', join(at, '2.ipfix'))
    sendFrames(sender, 'out', lab, 20_000)
    await ended(t, [early, late])
    const words = ['split', '--drift', '-r', join(at, '1.ipfix'), '-r', join(at, '2.ipfix')]
    const {code, stdout, stderr} = await darta(t, words)
    t.is(code, 1)
    t.regex(stdout.toString(), /2\.ipfix in +the start +\S+Z +1 behind/)
    t.regex(stderr, /DARTA_DRIFT/)
  },
)

needing(noNamespaces, noSender)('what a full ring drops makes no node lose count', async (t) => {
  const {sender, node, port} = mirror(t)
  const at = folder(t)
  const nodes = await Promise.all(
    [1, 2].map((part) =>
      capturing(
        t,
        node,
        ...['-i', port, '--by', 'packets', '--share', `${part}/2`, '-B', '4Mi', '-s', '65535'],
        ...['-w', join(at, `${part}.ipfix`)],
      ),
    ),
  )
  const sent = sendWhileStopped(nodes[0], sender, 30, 0)
  const said = await Promise.all(nodes.map(interrupted))
  t.regex(said[0].stderr, /lost \d+ \(ring-full/)
  for (const {stderr} of said) t.true(stderr.includes(`${sent} packets counted`), stderr)
  const [a, b] = said.map(({stderr}) => Number(/kernel: (\d+) packets in/.exec(stderr)?.[1]))
  t.is(a + b, sent)
  t.is(sent, 30 * whole)
})

needing(noNamespaces)('packets in turn take one thread and packet sockets', async (t) => {
  for (const words of [
    ['--threads', '2'],
    ['--backend', 'af-xdp'],
  ]) {
    const {code, stderr} = await darta(t, [
      'capture',
      '-i',
      'lo',
      '--share',
      '1/2',
      '--by',
      'packets',
      ...words,
    ])
    t.is(code, 2, stderr)
  }
  const begin = ['capture', '-i', 'lo', '--share', '1/2', '--begin', 'icmp']
  t.is((await darta(t, begin)).code, 2)
})

needing(
  noNamespaces,
  tools('setpriv'),
  openToAll(),
)('without CAP_BPF packets in turn are refused with status 4, and it is named', async (t) => {
  const {node, port} = mirror(t)
  const running = startAt(t, node, [
    ...[...asNobody('net_raw'), bin, 'capture'],
    ...['-i', port, '--share', '1/2', '--by', 'packets', '-o', 'null'],
  ])
  const {code, stderr} = await running.ended
  t.is(code, 4, stderr)
  t.regex(stderr, /CAP_BPF/)
})
