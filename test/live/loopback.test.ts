/* What goes over loopback leaves an interface and arrives at the same one: it is one packet all the same. */
import {join} from 'node:path'
import {framesOf} from '../support/captures.js'
import {darta, folder} from '../support/darta.js'
import {cable, host, noNamespaces, noSender, sendFrames} from '../support/namespaces.js'
import {needing, tools} from '../support/needing.js'
import {
  capturing,
  interrupted,
  judge,
  lab,
  noCap,
  octetsOf,
  satisfied,
  sums,
  tcpdump,
} from './capturing.js'

for (const [backend, words, absence] of [
  ['tpacket', [], undefined],
  ['tpacket in two threads', ['--threads', '2'], undefined],
  ['libpcap', ['--backend', 'libpcap'], noCap()],
] as const) {
  needing(
    noNamespaces,
    noSender,
    tools('tcpdump'),
    absence,
  )(`${backend} counts each packet over loopback once, as tcpdump does`, async (t) => {
    const at = folder(t)
    const home = host(t)
    const witness = await tcpdump(t, home, 'lo', join(at, 'witness.pcap'))
    const running = []
    for (const emit of ['pcap', 'flows']) {
      const output = ['--emit', emit, '-w', join(at, emit)]
      running.push(await capturing(t, home, '-i', 'lo', ...words, ...output))
    }
    const sent = sendFrames(home, 'lo', lab, 10_000, 'queue')
    await satisfied(witness)
    for (const {code, stderr} of await Promise.all(running.map(interrupted))) {
      t.is(code, 0, stderr)
      t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out$`, 'm'))
    }
    t.is(framesOf(join(at, 'witness.pcap')).length, sent)
    t.deepEqual(octetsOf(join(at, 'pcap')), octetsOf(join(at, 'witness.pcap')))
    await darta(t, ['capture', '-q', '-r', join(at, 'witness.pcap'), '-w', join(at, 'offline')])
    t.deepEqual(await sums(t, join(at, 'flows')), await sums(t, join(at, 'offline')))
  })
}

needing(noNamespaces, noSender)('af-xdp takes each packet over loopback once', async (t) => {
  const home = host(t)
  const file = join(folder(t), 'taken.pcap')
  const words = ['--backend', 'af-xdp', '--emit', 'pcap', '-w', file]
  const running = await capturing(t, home, '-i', 'lo', ...words)
  const sent = sendFrames(home, 'lo', lab, 10_000, 'queue')
  const {code, stderr} = await interrupted(running)
  t.is(code, 0, stderr)
  t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out$`, 'm'))
  t.deepEqual(octetsOf(file), octetsOf(lab))
})

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)('any has packets over loopback once, and of other interfaces what they send, too', async (t) => {
  const at = folder(t)
  const [home, other] = [host(t), host(t)]
  cable(home, 'out', other, 'in')
  const frames = framesOf(lab).length
  const witness = await tcpdump(t, home, 'any', join(at, 'witness.pcap'), 3 * frames)
  const file = join(at, 'any.pcap')
  const running = await capturing(t, home, '-i', 'any', '--emit', 'pcap', '-w', file)
  sendFrames(home, 'lo', lab, 10_000, 'queue')
  sendFrames(home, 'out', lab, 10_000, 'queue')
  sendFrames(other, 'in', lab, 10_000, 'queue')
  const {code, stderr} = await interrupted(running)
  await satisfied(witness)
  t.is(code, 0, stderr)
  t.regex(stderr, new RegExp(`kernel: ${3 * frames} packets in, ${3 * frames} out$`, 'm'))
  t.deepEqual(octetsOf(file), octetsOf(join(at, 'witness.pcap')))
})

needing(
  noNamespaces,
  noSender,
  tools('tcpdump'),
)('shares and filters on loopback are together what went over it', async (t) => {
  const at = folder(t)
  const home = host(t)
  const filter = 'tcp or udp'
  const parts = [
    ['-f', filter, '--share', '1/3'],
    ['-f', filter, '--share', '2-3/3'],
    ['-f', `not (${filter})`],
    ['--by', 'packets', '--share', '1/2'],
    ['--by', 'packets', '--share', '2/2'],
  ]
  const running = []
  for (const [i, words] of parts.entries()) {
    const output = ['--emit', 'pcap', '-w', join(at, `${i}.pcap`)]
    running.push(await capturing(t, home, '-i', 'lo', ...words, ...output))
  }
  sendFrames(home, 'lo', lab, 10_000, 'queue')
  for (const {code, stderr} of await Promise.all(running.map(interrupted))) t.is(code, 0, stderr)
  const taken = parts.map((_, i) => octetsOf(join(at, `${i}.pcap`)))
  t.true(taken.every((part) => part.length > 0))
  await judge(t, lab, filter, join(at, 'judged.pcap'))
  t.deepEqual([...taken[0], ...taken[1]].sort(), octetsOf(join(at, 'judged.pcap')))
  t.deepEqual(taken.slice(0, 3).flat().sort(), octetsOf(lab))
  t.deepEqual(taken.slice(3).flat().sort(), octetsOf(lab))
})
