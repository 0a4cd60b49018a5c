import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {framesOf} from '../support/captures.js'
import {bin, darta, folder} from '../support/darta.js'
import {host, noNamespaces, noSender, sendFrames, startAt} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {capturing, interrupted, lab, mirror, noCap} from './capturing.js'

/** Octets of an Ethernet header: what a packet socket sends has at least that. */
const LEAST_OCTETS = 14
const MOST_OCTETS = 1514

/** Random numbers below `n` that are the same in every run. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return Math.floor(((Math.imul(state ^ (state >>> 13), 0x297a2d39) >>> 0) / 2 ** 32) * n)
  }
}

/** Frames of the lab's capture with octets set, cut out, put in and left away at the end; and some of noise alone. */
function damagedFrames(count: number, seed: number): Buffer[] {
  const random = generator(seed)
  const whole = framesOf(lab).map((frame) => Buffer.from(frame.split(' ')[1], 'hex'))
  return Array.from({length: count}, (_, i) => {
    if (i % 10 === 0) {
      return Buffer.from(Array.from({length: LEAST_OCTETS + random(200)}, () => random(256)))
    }
    let frame = Buffer.from(whole[random(whole.length)])
    for (let changes = 1 + random(5); changes > 0; changes--) {
      // Headers are where it matters.
      const at = 12 + random(Math.min(frame.length - 12, 70))
      const kind = random(4)
      if (kind === 0) frame[at] = random(256)
      else if (kind === 1)
        frame = Buffer.concat([frame.subarray(0, at), frame.subarray(at + random(20))])
      else if (kind === 2) {
        const noise = Buffer.from(Array.from({length: random(20)}, () => random(256)))
        frame = Buffer.concat([frame.subarray(0, at), noise, frame.subarray(at)])
      } else frame = frame.subarray(0, LEAST_OCTETS + random(frame.length - LEAST_OCTETS + 1))
      if (frame.length <= LEAST_OCTETS) frame = Buffer.concat([frame, Buffer.alloc(LEAST_OCTETS)])
    }
    return frame.subarray(0, MOST_OCTETS)
  })
}

function pcapOf(frames: readonly Buffer[]): Buffer {
  const header = Buffer.from(
    'd4c3b2a1' + '02000400' + '0000000000000000' + '00000400' + '01000000',
    'hex',
  )
  const records = frames.map((frame, i) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(1_700_000_000 + Math.floor(i / 1000), 0)
    record.writeUInt32LE(frame.length, 8)
    record.writeUInt32LE(frame.length, 12)
    return Buffer.concat([record, frame])
  })
  return Buffer.concat([header, ...records])
}

/** What the meter says it did: the account's line of numbers and reasons, without the places in a file. */
function account(stderr: string): string | undefined {
  return /meter: .*/.exec(stderr)?.[0].replaceAll(/ from octet \d+/g, '')
}

for (const [backend, words] of [
  ['tpacket', []],
  ['af-xdp', ['--backend', 'af-xdp']],
] as const) {
  needing(noNamespaces, noSender)(
    `20,000 damaged frames are metered, skipped or lost by ${backend} as they are from a file, tunnels and all`,
    async (t: ExecutionContext) => {
      const {sender, node, port} = mirror(t)
      const at = folder(t)
      const file = join(at, 'damaged.pcap')
      const seed = 20_000
      t.log(`seed ${seed}`)
      writeFileSync(file, pcapOf(damagedFrames(20_000, seed)))
      const options = ['--decap', '--biflow', '--emit', 'flows']
      const offline = await darta(t, ['capture', '-r', file, ...options, '-w', join(at, 'offline')])
      t.is(offline.code, 0, offline.stderr)
      const live = await capturing(
        t,
        node,
        ...['-i', port, '-s', '64Ki', ...words, ...options, '-w', join(at, 'live')],
      )
      const sent = sendFrames(sender, 'out', file, 50_000)
      const {code, stderr} = await interrupted(live)
      t.is(code, 0, stderr)
      t.is(sent, 20_000)
      t.regex(stderr, /kernel: 20000 packets in, 20000 out/)
      t.is(account(stderr), account(offline.stderr))
      t.regex(account(stderr) ?? '', /skipped \d+ .*lost \d+/)
      t.is((await darta(t, ['info', '--check', '-q', '-r', join(at, 'live')])).code, 0)
    },
  )
}

for (const [what, words, status, pattern] of [
  ['an empty name', ['-i', ''], 2, /-i names an interface, or any for all: it is empty/],
  ['any and another one', ['-i', 'any', '-i', 'lo'], 2, /-i any has the packets of lo already/],
  ['a name that is none', ['-i', 'nosuch'], 1, /there is no such interface; darta capture -D/],
  ['a ring without end', ['-i', 'lo', '-B', '1000Ti'], 1, /more than the [\d.]+ GiB .*smaller -B/],
] as const) {
  needing(noNamespaces)(`a capture of ${what} ends at once and says why`, async (t) => {
    for (const backend of ['tpacket', 'af-xdp']) {
      const all = ['capture', ...words, '--backend', backend, '-o', 'null']
      const {code, stderr} = await startAt(t, host(t), [bin, ...all]).ended
      t.is(code, status, stderr)
      t.regex(stderr, pattern)
      t.notRegex(stderr, /capturing on/)
    }
  })
}

needing(
  noNamespaces,
  noSender,
  noCap(),
)(
  'libpcap says that it ends when an interface goes down, and what it had is written',
  async (t) => {
    const {sender, node, port} = mirror(t)
    const file = join(folder(t), 'live.pcap')
    const words = ['-i', port, '--backend', 'libpcap', '--emit', 'pcap', '-w', file]
    const running = await capturing(t, node, ...words)
    const sent = sendFrames(sender, 'out', lab, 10_000)
    node.run('ip', 'link', 'set', port, 'down')
    const {code, stderr} = await running.ended
    t.is(code, 1, stderr)
    t.regex(stderr, /cannot capture on in: the interface went down, and is not taken up again/)
    t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out, noted interface-down 1`))
    t.is(framesOf(file).length, sent)
  },
)

needing(noNamespaces, noSender)('af-xdp says that an interface is down, and waits', async (t) => {
  const {sender, node, port} = mirror(t)
  node.run('ip', 'link', 'set', port, 'down')
  const file = join(folder(t), 'live.pcap')
  const words = ['-i', port, '--backend', 'af-xdp', '--emit', 'pcap', '-w', file]
  const running = await capturing(t, node, ...words)
  node.run('ip', 'link', 'set', port, 'up')
  const sent = sendFrames(sender, 'out', lab, 10_000)
  const {code, stderr} = await interrupted(running)
  t.is(code, 0, stderr)
  t.regex(stderr, /; in is down: capture goes on when it is up/)
  t.regex(stderr, new RegExp(`kernel: ${sent} packets in, ${sent} out`))
})
