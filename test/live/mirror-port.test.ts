import type {ExecutionContext} from 'ava'
import {join} from 'node:path'
import {framesOf} from '../support/captures.js'
import {bin, folder} from '../support/darta.js'
import {
  frameSender,
  noNamespaces,
  noSender,
  sendFrames,
  startAt,
  type Host,
} from '../support/namespaces.js'
import {asNobody, needing, openToAll, tools} from '../support/needing.js'
import {locateIp, shareSlot} from '../../src/metering/share-hash.js'
import {ownedSlots, parseShare} from '../../src/metering/share.js'
import flow from '../../src/metering/selectors/flow.js'
import {capturing, interrupted, lab, mirror, octetsOf} from './capturing.js'

const drops = '--mirror-port'

/** What is captured of the lab's traffic, once received and once sent by the capturing host itself. */
async function captured(
  t: ExecutionContext,
  {sender, node, port}: {sender: Host; node: Host; port: string},
  words: readonly string[],
): Promise<string[]> {
  const file = join(folder(t), 'taken.pcap')
  const running = await capturing(t, node, '-i', port, ...words, '--emit', 'pcap', '-w', file)
  sendFrames(sender, 'out', lab, 20_000)
  // Past the queue other programs' taps would not see them.
  node.run(frameSender(), '--if', port, '--no-bypass', '--rate', '20000', lab)
  const {code, stderr} = await interrupted(running)
  t.is(code, 0, stderr)
  return octetsOf(file)
}

for (const by of ['flow', 'ports'] as const) {
  needing(noNamespaces, noSender)(
    `with --mirror-port shares by ${by} are what they are without, of what is received and what is sent`,
    async (t) => {
      const link = mirror(t)
      const parts: string[] = []
      for (const part of [1, 2, 3]) {
        const share = ['--share', `${part}/3`, '--by', by, '--share-seed', '5']
        const plain = await captured(t, link, share)
        t.true(plain.length > 0)
        t.deepEqual(await captured(t, link, [...share, drops]), plain)
        parts.push(...plain)
      }
      t.deepEqual(parts.sort(), [...octetsOf(lab), ...octetsOf(lab)].sort())
    },
  )
}

/** Whether a frame of a link goes on into the kernel of node 1 of 4. */
function goesOn(hex: string): boolean {
  const frame = Buffer.from(hex, 'hex')
  const slot = shareSlot(frame, 1, flow, 0)
  return locateIp(frame, 1) < 0 || ((owned[slot >> 3] >> (slot & 7)) & 1) === 1
}
const owned = ownedSlots(parseShare('1/4'))

for (const backend of ['tpacket', 'af-xdp']) {
  needing(noNamespaces, noSender)(
    `with --mirror-port and ${backend} the kernel does not see what is of other shares, and the program goes with the process`,
    async (t) => {
      const {sender, node, port} = mirror(t)
      const at = folder(t)
      const seen = join(at, 'seen.pcap')
      const witness = await capturing(t, node, '-i', port, '--emit', 'pcap', '-w', seen)
      const words = ['-i', port, '--backend', backend, '--share', '1/4', drops]
      const running = await capturing(t, node, ...words, '-w', join(at, 'live.ipfix'))
      sendFrames(sender, 'out', lab, 20_000)
      t.regex(node.run('ip', '-d', 'link', 'show', port), /darta_capture/)
      const {code, stderr} = await interrupted(running)
      t.is(code, 0)
      t.regex(stderr, /this host's own network stack/)
      t.notRegex(node.run('ip', '-d', 'link', 'show', port), /darta_capture/)
      t.is((await interrupted(witness)).code, 0)
      const frames = framesOf(lab).map((frame) => frame.split(' ')[1])
      // What AF_XDP takes the kernel does not see either.
      const left = backend === 'tpacket' ? frames.filter(goesOn) : []
      t.deepEqual(
        framesOf(seen)
          .map((frame) => frame.split(' ')[1])
          .sort(),
        left.sort(),
      )
    },
  )
}

needing(
  noNamespaces,
  tools('setpriv'),
  openToAll(),
)('--mirror-port says what it lacks and what it does not go with', async (t) => {
  const {node, port} = mirror(t)
  const says = async (words: string[], as: string[] = []): Promise<[number | null, string]> => {
    const running = startAt(t, node, [...as, bin, 'capture', drops, '-o', 'ipfix', ...words])
    const {code, stderr} = await running.ended
    return [code, stderr]
  }
  const share = ['--share', '1/2']
  for (const [words, status, pattern, as] of [
    [['-i', port], 2, /--share/, []],
    [['-i', 'any', ...share], 2, /no any/, []],
    [['-i', port, ...share, '--by', 'packets'], 2, /shares by hash/, []],
    [
      ['-i', port, ...share],
      4,
      /with --mirror-port needs .*lacks CAP_BPF and CAP_NET_ADMIN/,
      asNobody('net_raw'),
    ],
  ] as const) {
    const [code, stderr] = await says([...words], [...as])
    t.is(code, status, stderr)
    t.regex(stderr, pattern)
  }
  const holder = await capturing(t, node, '-i', port, ...share, drops, '-w', '/dev/null')
  const [code, stderr] = await says(['-i', port, ...share])
  t.is(code, 1)
  t.regex(stderr, /with --mirror-port: another XDP program is on the interface/)
  t.is((await interrupted(holder)).code, 0)
})
