/** Frames for tests of the share hash: made at random with all encapsulations it looks through, or read from captures. */
import {createRequire} from 'node:module'
import {existsSync, readFileSync} from 'node:fs'
import {createCaptureReader} from '../../../src/metering/capture-file.js'
import {bpfOctets, type BpfInstruction} from '../../../src/metering/bpf-assembler.js'
import type {Selector} from '../../../src/metering/selector.js'
import {root} from '../../support/needing.js'

export interface SelectAddon {
  turnsLoad(program: Uint8Array, valueOctets: number): unknown
  turnsDescriptor(turns: unknown): number
  shareSlots(
    octets: Uint8Array,
    offsets: Uint32Array,
    linkType: number,
    addresses: number,
    protocol: number,
    ports: number,
    seed: number,
    slots: Uint16Array,
  ): void
  runSocketFilter(
    program: Uint8Array | number,
    octets: Uint8Array,
    offsets: Uint32Array,
    accepted: Uint8Array,
  ): void
}

const addonPath = `${root}native/build/darta.node`

/** Why the addon cannot judge here; undefined where it can. */
export const noAddon = existsSync(addonPath) ? undefined : 'the native addon is not built'

export function addon(): SelectAddon {
  return createRequire(import.meta.url)(addonPath) as SelectAddon
}

/** Many frames back to back, as the addon takes them. */
export interface Frames {
  readonly linkType: number
  readonly octets: Uint8Array
  readonly offsets: Uint32Array
  readonly count: number
}

export function frameAt(frames: Frames, index: number): Uint8Array {
  return frames.octets.subarray(frames.offsets[index], frames.offsets[index + 1])
}

export function joinFrames(linkType: number, list: readonly Uint8Array[]): Frames {
  const offsets = new Uint32Array(list.length + 1)
  list.forEach((frame, i) => (offsets[i + 1] = offsets[i] + frame.length))
  return {linkType, octets: new Uint8Array(Buffer.concat(list)), offsets, count: list.length}
}

/** Slots of all frames by the C++ hash. */
export function nativeSlots(frames: Frames, selector: Selector, seed: number): Uint16Array {
  const slots = new Uint16Array(frames.count)
  addon().shareSlots(
    frames.octets,
    frames.offsets,
    frames.linkType,
    {both: 0, src: 1, dst: 2}[selector.addresses],
    Number(selector.protocol),
    Number(selector.ports),
    seed,
    slots,
  )
  return slots
}

/** One octet per frame: whether the kernel's own interpreter lets it pass. */
export function kernelAccepts(frames: Frames, program: readonly BpfInstruction[]): Uint8Array {
  const accepted = new Uint8Array(frames.count)
  addon().runSocketFilter(bpfOctets(program), frames.octets, frames.offsets, accepted)
  return accepted
}

/** The frames of a capture by link type. Empty ones are left out: no socket delivers them. */
export function captureFrames(path: string): Frames[] {
  const byLink = new Map<number, Uint8Array[]>()
  const reader = createCaptureReader({
    frame({octets, start, end, linkType}) {
      if (end === start) return
      const list = byLink.get(linkType) ?? []
      list.push(octets.slice(start, end))
      byLink.set(linkType, list)
    },
    lost() {},
    full: () => false,
  })
  reader.push(readFileSync(path))
  reader.finish()
  return [...byLink].map(([linkType, list]) => joinFrames(linkType, list))
}

/** xorshift32: the same numbers in every run. */
export function randomNumbers(seed: number): () => number {
  let x = seed | 0 || 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

/** As many frames of Ethernet, the same for the same seed. */
export function randomFrames(count: number, seed: number): Frames {
  const random = randomNumbers(seed)
  return joinFrames(
    1,
    Array.from({length: count}, () => randomFrame(1, random)),
  )
}

/** Filters that use all of classic BPF but shifts and the negative; each passes some random frames and stops some. */
export const filterTexts: readonly string[] = [
  'tcp port 80 or icmp6 or udp',
  'ip[2:2] > 40 and ip[0] & 15 = 5 and not src net 10.0.0.0/8',
  'vlan and (ip or ip6)',
  'tcp[13] & 7 != 0 and greater 60',
  'len / 7 * 3 - 2 > 21 and (len % 5 = 1 or len ^ 3 > 8) or ip[ip[0] - 40] | 1 > 3',
]

const types = [
  0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x9200, 0x893f, 0x8926, 0x88e7, 0x8847, 0x8848, 0x8864,
  0x8903, 0x0806, 100, 1500,
]
const tagShape: Record<number, readonly [number, number]> = {
  0x893f: [6, 8],
  0x8926: [4, 6],
  0x88e7: [16, 18],
}
const typePlace: Record<number, readonly [type: number, rest: number]> = {
  1: [12, 14],
  104: [2, 4],
  113: [14, 16],
  276: [0, 20],
}

/** A frame of 1..160 octets that a link of this type might carry, cut anywhere. */
export function randomFrame(linkType: number, random: () => number): Uint8Array {
  const b = new Uint8Array(1 + Math.floor(random() * random() * 160))
  for (let i = 0; i < b.length; i++) b[i] = random() < 0.3 ? 0 : random() * 256
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]
  const put16 = (at: number, value: number): void => {
    if (at + 1 < b.length) b.set([value >> 8, value & 255], at)
  }
  const ip = (at: number): void => {
    if (at >= b.length) return
    const v4 = random() < 0.5
    b[at] = v4 ? 0x40 | (random() < 0.8 ? 5 : random() * 16) : 0x60 | (b[at] & 15)
    const protocol = at + (v4 ? 9 : 6)
    if (protocol < b.length) b[protocol] = pick([6, 17, 1, 132, 33, 136, 44, 58, 0])
    if (v4 && random() < 0.7) put16(at + 6, 0x4000)
  }
  const ppp = (start: number): void => {
    let at = start
    if (random() < 0.3) {
      put16(at, 0xff03)
      at += 2
    }
    const protocol = pick([0x21, 0x57])
    if (random() < 0.5) {
      put16(at, protocol)
      ip(at + 2)
    } else if (at < b.length) {
      b[at] = protocol
      ip(at + 1)
    }
  }
  const place = typePlace[linkType]
  if (place === undefined) {
    if (linkType === 9) ppp(0)
    else ip(linkType === 0 ? 4 : 0)
    return b
  }
  let [typeAt, at] = place
  for (let level = 0; level < 6; level++) {
    const type = pick(types)
    put16(typeAt, type)
    if (type === 0x0800 || type === 0x86dd) {
      ip(at)
      break
    }
    if (type === 0x8864) {
      ppp(at + 6)
      break
    }
    if (type === 0x8847 || type === 0x8848) {
      for (let labels = Math.floor(random() * 8); labels > 0; labels--, at += 4) {
        if (at + 2 < b.length) b[at + 2] &= 0xfe
      }
      if (at + 2 < b.length) b[at + 2] |= 1
      ip(at + 4)
      break
    }
    if (type === 0x8903 && level === 0) {
      typeAt = 28
      at = 30
    } else if (type <= 1500) {
      put16(at, 0xaaaa)
      put16(at + 2, 0x0300)
      put16(at + 4, random() < 0.1 ? 1 : 0)
      typeAt = at + 6
      at += 8
    } else {
      const [next, octets] = tagShape[type] ?? [2, 4]
      typeAt = at + next
      at += octets
    }
  }
  return b
}
