import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {readdirSync} from 'node:fs'
import {createDissector} from '../../../src/metering/dissect.js'
import {createCaptureReader} from '../../../src/metering/capture-file.js'
import dst from '../../../src/metering/selectors/dst.js'
import {parseBpfText} from '../../../src/metering/bpf-assembler.js'
import type {Selector} from '../../../src/metering/selector.js'
import flow from '../../../src/metering/selectors/flow.js'
import hosts from '../../../src/metering/selectors/hosts.js'
import ports from '../../../src/metering/selectors/ports.js'
import src from '../../../src/metering/selectors/src.js'
import {shareProgram} from '../../../src/metering/share-bpf.js'
import {shareExpression} from '../../../src/metering/share-expression.js'
import {locateIp, shareSlot, SLOTS} from '../../../src/metering/share-hash.js'
import {ownedSlots, parseShare, partOf} from '../../../src/metering/share.js'
import {needing, root, shared, tools} from '../../support/needing.js'
import {
  captureFrames,
  frameAt,
  joinFrames,
  kernelAccepts,
  nativeSlots,
  noAddon,
  randomFrame,
  randomNumbers,
  type Frames,
} from './frames.js'
import {readFileSync} from 'node:fs'

const selectors = {flow, hosts, src, dst, ports}
const captures = `${root}../shared/fixtures/captures/`
const noCaptures = shared('fixtures/captures')
const captureNames = noCaptures === undefined ? readdirSync(captures) : []

const owns = (owned: Uint8Array, slot: number): number => (owned[slot >> 3] >> (slot & 7)) & 1

/** TypeScript, C++ and the kernel say the same of every frame. */
function agree(
  t: ExecutionContext,
  frames: Frames,
  seed: number,
  owned: Uint8Array,
  by: Readonly<Record<string, Selector>> = selectors,
): void {
  for (const [name, selector] of Object.entries(by)) {
    const native = nativeSlots(frames, selector, seed)
    const accepted = kernelAccepts(frames, shareProgram(frames.linkType, selector, seed, owned))
    for (let i = 0; i < frames.count; i++) {
      const frame = frameAt(frames, i)
      const slot = shareSlot(frame, frames.linkType, selector, seed)
      if (slot !== native[i] || accepted[i] !== owns(owned, slot)) {
        t.fail(
          `${name}, link type ${frames.linkType}, seed ${seed}: slot ${slot}, C++ ${native[i]}, ` +
            `kernel ${accepted[i]}: ${Buffer.from(frame).toString('hex')}`,
        )
        return
      }
    }
  }
  t.pass()
}

for (const linkType of [1, 113, 276, 104, 0, 9, 101, 127]) {
  // 8 link types × 125,000 frames: a million packets, of which each selector has its fifth.
  needing(noAddon)(
    `the share hash is one in TypeScript, C++ and the kernel's BPF on random frames of link type ${linkType}`,
    (t) => {
      const random = randomNumbers(linkType + 1)
      for (const [name, selector] of Object.entries(selectors)) {
        const list = Array.from({length: 25_000}, () => randomFrame(linkType, random))
        const scattered = Uint8Array.from({length: SLOTS / 8}, () => random() * 256)
        const seed = Math.floor(random() * 2 ** 32)
        agree(t, joinFrames(linkType, list), seed, scattered, {[name]: selector})
      }
    },
  )
}

/** The frame as a packet socket sees it: without an outer tag of IEEE 802.1Q or 802.1ad, which the kernel takes off. */
function withoutOuterTag(frame: Uint8Array): Uint8Array {
  const type = frame.length < 18 ? 0 : (frame[12] << 8) | frame[13]
  if (type !== 0x8100 && type !== 0x88a8) return frame
  return Buffer.concat([frame.subarray(0, 12), frame.subarray(16)])
}

needing(noAddon)(
  'a program in front of the socket rejects what the socket would reject, with or without the outer tag, and nothing without IP',
  (t) => {
    const random = randomNumbers(77)
    const list = Array.from({length: 40_000}, () => randomFrame(1, random))
    const owned = ownedSlots(parseShare('1/3'))
    const frames = joinFrames(1, list)
    let [rejected, untagged] = [0, 0]
    for (const selector of [flow, ports]) {
      const early = shareProgram(1, selector, 5, owned, 0x40000, 'accepted')
      const accepted = kernelAccepts(frames, early)
      list.forEach((frame, i) => {
        const seen = withoutOuterTag(frame)
        const mine = owns(owned, shareSlot(frame, 1, selector, 5))
        if (locateIp(frame, 1) < 0) {
          if (accepted[i] !== 1) t.fail(Buffer.from(frame).toString('hex'))
          return
        }
        const socket = owns(owned, shareSlot(seen, 1, selector, 5))
        if (accepted[i] !== mine || (accepted[i] === 0 && socket === 1)) {
          t.fail(Buffer.from(frame).toString('hex'))
        }
        if (accepted[i] === 0) {
          rejected++
          if (seen !== frame) untagged++
        }
      })
    }
    t.true(
      rejected > 1000 && untagged > 100,
      `${rejected} rejected, ${untagged} of them with a tag`,
    )
  },
)

needing(noAddon, noCaptures)(
  'the share hash is one in TypeScript, C++ and the kernel’s BPF on every frame of every capture',
  (t) => {
    for (const name of captureNames) {
      for (const frames of captureFrames(captures + name)) {
        agree(t, frames, 7, ownedSlots(parseShare('2-3/5')))
      }
    }
  },
)

needing(noAddon, noCaptures)(
  'for N = 1..16 the kernel gives every frame of every capture to exactly one of N shares',
  (t) => {
    for (const name of captureNames) {
      for (const frames of captureFrames(captures + name)) {
        for (let parts = 1; parts <= 16; parts++) {
          // Large captures are judged for some N only: the programs differ in two numbers.
          if (frames.count > 2000 && parts !== 4 && parts !== 16) continue
          const taken = new Uint8Array(frames.count)
          for (let part = 1; part <= parts; part++) {
            const owned = ownedSlots(parseShare(`${part}/${parts}`))
            const accepted = kernelAccepts(frames, shareProgram(frames.linkType, flow, 1, owned))
            for (let i = 0; i < frames.count; i++) taken[i] += accepted[i]
          }
          if (!taken.every((n) => n === 1))
            return t.fail(`${name}, ${parts} shares: ${taken.join()}`)
        }
      }
    }
    t.pass()
  },
)

needing(noCaptures)(
  'both directions and all fragments of a Flow are in one slot, on every capture',
  (t) => {
    for (const name of captureNames) {
      const dissector = createDissector(false, {ms: 0, ns: 0})
      const slots = new Map<string, number>()
      const reader = createCaptureReader({
        frame(frame) {
          // 802.11, Frame Relay and NFLOG have one slot for all; pseudowires go by the outer MAC addresses.
          if (dissector.dissect(frame) !== 'metered' || dissector.packet.layers.mplsLabel) return
          const {packet} = dissector
          const address = (at: number): string =>
            Buffer.from(packet.octets.subarray(at, at + packet.addressOctets)).toString('hex')
          const pair = [address(packet.source), address(packet.destination)].sort().join(' ')
          const key = packet.version === 4 ? `${pair} ${packet.octets[packet.start + 9]}` : pair
          const slot = shareSlot(
            frame.octets.subarray(frame.start, frame.end),
            frame.linkType,
            flow,
            99,
          )
          const known = slots.get(key) ?? slot
          slots.set(key, known)
          if (known !== slot)
            t.fail(`${name}, octet ${frame.offset}: ${key} in ${known} and ${slot}`)
        },
        lost() {},
        full: () => false,
      })
      reader.push(readFileSync(captures + name))
      reader.finish()
    }
    t.pass()
  },
)

needing(noAddon, tools('tcpdump'))(
  'the pcap-filter expression of a share decides as the program does, with up to two VLAN tags',
  (t) => {
    const random = randomNumbers(11)
    for (const [name, selector] of Object.entries(selectors)) {
      const share = parseShare('2/3')
      const seed = Math.floor(random() * 2 ** 32)
      const text = execFileSync(
        'tcpdump',
        ['-y', 'EN10MB', '-ddd', shareExpression(share, selector, seed)],
        {
          encoding: 'utf8',
        },
      )
      const program = parseBpfText(text)
      const list = Array.from({length: 3000}, () => taggedFrame(random))
      const frames = joinFrames(1, list)
      const accepted = kernelAccepts(frames, program)
      const owned = ownedSlots(share)
      list.forEach((frame, i) => {
        if (accepted[i] !== owns(owned, shareSlot(frame, 1, selector, seed))) {
          t.fail(`${name}: ${Buffer.from(frame).toString('hex')}`)
        }
      })
    }
    t.pass()
  },
)

/** A whole frame of 80 octets: IPv4, IPv6 or ARP behind no, one or two VLAN tags. */
function taggedFrame(random: () => number): Uint8Array {
  const b = Uint8Array.from({length: 80}, () => random() * 256)
  let at = 12
  for (let tags = Math.floor(random() * 3); tags > 0; tags--, at += 4) {
    b.set(random() < 0.5 ? [0x81, 0x00] : [0x88, 0xa8], at)
  }
  const kind = random()
  if (kind < 0.4) {
    b.set([0x08, 0x00, random() < 0.2 ? 0x46 : 0x45], at)
    b[at + 11] = [6, 17, 1][Math.floor(random() * 3)]
    if (random() < 0.7) b.set([0x40, 0x00], at + 8)
  } else if (kind < 0.8) {
    b.set([0x86, 0xdd, 0x60], at)
    b[at + 8] = [6, 17, 58, 44][Math.floor(random() * 4)]
  } else b.set([0x08, 0x06], at)
  return b
}

test('10,000 Flows spread over N nodes within 1.15 of the mean, and 1.25 with strides', (t) => {
  const random = randomNumbers(3)
  const frame = new Uint8Array(54)
  const view = new DataView(frame.buffer)
  frame.set([0x08, 0x00, 0x45], 12)
  frame[23] = 6
  const anywhere = (): number => Math.floor(random() * 2 ** 32)
  const worst = (parts: number, next: (i: number) => [number, number]): number => {
    const counts = new Uint32Array(parts)
    const seed = anywhere()
    for (let i = 0; i < 10_000; i++) {
      const [s, d] = next(i)
      view.setUint32(26, s)
      view.setUint32(30, d)
      counts[partOf(shareSlot(frame, 1, flow, seed), parts) - 1]++
    }
    return (Math.max(...counts) * parts) / 10_000
  }
  for (const parts of [2, 3, 4, 8, 16]) {
    const plain = worst(parts, () => [anywhere(), anywhere()])
    t.true(plain <= 1.15, `random addresses, ${parts} nodes: ${plain}`)
    for (let stride = 2; stride <= 256; stride *= 2) {
      const [a, b] = [anywhere(), anywhere()]
      const plans: Record<string, (i: number) => [number, number]> = {
        source: (i) => [a + i * stride, b],
        destination: (i) => [a, b + i * stride],
        both: (i) => [a + i * stride, b + i * stride],
        opposite: (i) => [a + i * stride, b - i * stride],
        grid: (i) => [a + (i % 100) * stride, b + Math.floor(i / 100) * stride],
      }
      for (const [name, plan] of Object.entries(plans)) {
        const ratio = worst(parts, plan)
        t.true(ratio <= 1.25, `${name} stride ${stride}, ${parts} nodes: ${ratio}`)
      }
    }
  }
})

test('a share is I/N or I-J/N, and nothing else', (t) => {
  t.deepEqual(parseShare('2/4'), {first: 2, last: 2, parts: 4})
  t.deepEqual(parseShare('3-4/8'), {first: 3, last: 4, parts: 8})
  for (const wrong of ['', '0/4', '5/4', '3-2/4', '1/5000', '1', '1/4/2', '-1/4', '1.5/4']) {
    t.throws(() => parseShare(wrong), {code: 'DARTA_USAGE'}, wrong)
  }
})

test('shares of one division own every slot exactly once', (t) => {
  const equal = (n: number): string[] => Array.from({length: n}, (_, i) => `${i + 1}/${n}`)
  const numbers = Array.from({length: 64}, (_, i) => i + 1)
  for (const division of [...numbers.map(equal), ['1-2/8', '3/8', '4-8/8']]) {
    const owners = new Uint8Array(SLOTS)
    for (const text of division) {
      const owned = ownedSlots(parseShare(text))
      for (let slot = 0; slot < SLOTS; slot++) owners[slot] += owns(owned, slot)
    }
    t.true(
      owners.every((n) => n === 1),
      division.join(' '),
    )
  }
})
