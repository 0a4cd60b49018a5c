import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {framesOf} from '../support/captures.js'
import {darta, folder} from '../support/darta.js'
import {noNamespaces, noSender, sendFrames} from '../support/namespaces.js'
import {needing} from '../support/needing.js'
import {capturing, interrupted, lab, mirror} from './capturing.js'

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
