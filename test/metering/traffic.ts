import {hex} from '../hex.js'
import fc from '../support/properties.js'
import {blocks, concat, pcap} from './captures.js'
import {ethernet, ipv4, ipv6, tcp, udp} from './packets.js'

/**
 * Random traffic. A kind of frame is made from a tape of octets, each of which decides something; behind
 * its end all decisions are 0, the plainest choice, so that what fails shrinks to little. A capture has a
 * few kinds and many packets of them, so that packets meet in Flows.
 */
type Tape = Uint8Array

/** What decides about one frame. */
interface Choose {
  /** Decides among n: 0..n−1. */
  (n: number): number
  /** The way back of the same conversation. */
  readonly turned: boolean
  /** TCP control bits. */
  readonly flags: number
}

function reader(tape: Tape, turned: boolean, flags: number): Choose {
  let at = 0
  return Object.assign((n: number) => (at < tape.length ? tape[at++] % n : 0), {turned, flags})
}

function pick<T>(choose: Choose, list: readonly T[]): T {
  return list[choose(list.length)]
}

/** Few ends, so that packets meet in Flows, in both directions. */
const hosts4 = ['0a000001', '0a000002', 'c0a80001']
const hosts6 = [
  '20010db8000000000000000000000001',
  '20010db8000000000000000000000002',
  '00000000000000000000000000000001',
]
const ports = [1000, 2000, 80, 0]
const tcpFlags = [16, 2, 18, 17, 4, 1, 24, 0, 20, 255]

/** Two of a list, the other way round in a turned frame. */
function pickEnds<T>(choose: Choose, list: readonly T[]): [T, T] {
  const one = pick(choose, list)
  const two = pick(choose, [...list.slice(1), list[0]])
  return choose.turned ? [two, one] : [one, two]
}

function randomIp(choose: Choose, depth: number): Uint8Array {
  return choose(3) < 2 ? randomIpv4(choose, depth) : randomIpv6(choose, depth)
}

function randomIpv4(choose: Choose, depth: number): Uint8Array {
  const [src, dst] = pickEnds(choose, hosts4)
  const [protocol, payload] = randomPayload(choose, depth, 4)
  const fragment = pick(choose, [0, 0, 0, 0, 0x4000, 0x2000, 0x2005, 5, 0x8000])
  const id = choose(3)
  const packet = ipv4(
    {
      src,
      dst,
      protocol,
      tos: pick(choose, [0, 0, 0, 0xb8]),
      id,
      fragment,
      ttl: pick(choose, [64, 64, 63, 0]),
    },
    payload,
  )
  switch (choose(24)) {
    case 1:
      return set(packet, 2, 0, 0) // length not written
    case 2:
      return set(packet, 2, 0, choose(40)) // a wrong one
    case 3:
      return set(packet, 0, 0x40 + choose(16)) // another header length
    case 4:
      return hex`46 ${packet.subarray(1, 20)} 01010100 ${packet.subarray(20)}` // options
    default:
      return packet
  }
}

function randomIpv6(choose: Choose, depth: number): Uint8Array {
  const [src, dst] = pickEnds(choose, hosts6)
  const inner = randomPayload(choose, depth, 6)
  let [next, payload] = inner
  for (let i = choose(6); i > 3; i--) {
    const header = pick(choose, [0, 43, 60, 51, 44, 44, 44, 135, 139, 140])
    const nextOctet = next.toString(16).padStart(2, '0')
    if (header === 44) {
      const field = pick(choose, ['0001', '0000', '0010', '0011'])
      payload = hex`${nextOctet}00 ${field} 0000000${String(choose(3))} ${payload}`
    } else {
      const words = choose(8) === 1 ? choose(256) : choose(2)
      const body = new Uint8Array(6 + 8 * Math.min(words, 2))
      payload = concat(hex`${nextOctet}`, Uint8Array.of(words), body, payload)
    }
    next = header
  }
  const packet = ipv6(
    {src, dst, next, classAndLabel: pick(choose, ['0000000', '0000000', 'b800001']), hopLimit: 64},
    payload,
  )
  switch (choose(24)) {
    case 1:
      return set(packet, 4, 0, 0)
    case 2:
      return set(packet, 4, 0, choose(40))
    default:
      return packet
  }
}

/** A protocol and what it carries. */
function randomPayload(choose: Choose, depth: number, version: 4 | 6): [number, Uint8Array] {
  const [sport, dport] = pickEnds(choose, ports)
  switch (choose(depth < 3 ? 12 : 8)) {
    case 0:
    case 1:
    case 2:
      return [6, tcp(sport, dport, choose.flags, choose(3))]
    case 3:
    case 4:
      return [17, udp(sport, dport, new Uint8Array(choose(3)))]
    case 5:
      return [version === 4 ? 1 : 58, Uint8Array.of(pick(choose, [8, 0, 3]), choose(2), 0, 0)]
    case 6:
      return [pick(choose, [132, 33, 136, 1, 58, 59, 0, 51, 50]), udp(sport, dport)]
    case 7:
      return [choose(256), new Uint8Array(choose(9))]
    default:
      return randomTunnel(choose, depth + 1)
  }
}

function randomTunnel(choose: Choose, depth: number): [number, Uint8Array] {
  const inner = randomIp(choose, depth)
  const frame = ethernet(inner, {vlans: choose(4) === 1 ? [7] : []})
  const type = inner[0] >> 4 === 6 ? '86dd' : '0800'
  const gre = (header: Uint8Array, content: Uint8Array): [number, Uint8Array] => [
    47,
    concat(header, content),
  ]
  const inUdp = (port: number, header: Uint8Array, content: Uint8Array): [number, Uint8Array] => [
    17,
    choose(3) === 1
      ? udp(port, pick(choose, ports), concat(header, content))
      : udp(pick(choose, ports), port, concat(header, content)),
  ]
  switch (choose(16)) {
    case 0:
      return [inner[0] >> 4 === 6 ? 41 : 4, inner]
    case 1:
      return gre(hex`0000 ${type}`, inner)
    case 2:
      return gre(hex`b000 ${type} 00000000 00000001 00000002`, inner)
    case 3:
      return gre(hex`0000 6558`, frame)
    case 4:
      return gre(hex`0000 88be`, frame)
    case 5:
      return gre(hex`1000 88be 00000001`, concat(new Uint8Array(8), frame))
    case 6:
      return gre(hex`1000 22eb 00000001`, concat(new Uint8Array(12), frame))
    case 7:
      return gre(hex`3081 880b 0000 0001 00000001 00000002`, concat(hex`ff03 0021`, inner))
    case 8:
      return gre(hex`2000 8847 00000001`, concat(hex`00064140`, inner))
    case 9:
      return inUdp(pick(choose, [4789, 8472]), hex`08000000 00000100`, frame)
    case 10:
      return inUdp(6081, hex`0000 6558 00000100`, frame)
    case 11:
      return inUdp(6081, hex`0100 ${type} 00000100 00000000`, inner)
    case 12:
      return inUdp(2152, hex`30ff 0000 00000001`, inner)
    case 13:
      return inUdp(2152, hex`34ff 0000 00000001 00000085 01000000`, inner)
    case 14:
      return inUdp(3544, hex`0000 1111 22222222`, inner)
    default:
      return inUdp(3544, hex``, inner)
  }
}

function set(octets: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = octets.slice()
  if (at + values.length <= copy.length) copy.set(values, at)
  return copy
}

/** What an Ethertype stands before. */
interface Typed {
  readonly type: string
  readonly octets: Uint8Array
}

const macs = ['020000000002020000000001', '020000000001020000000002', 'a20000000002020000000001']

/** Puts up to three shims before a packet. */
function randomShims(choose: Choose, inner: Typed): Typed {
  let {type, octets} = inner
  for (let i = choose(5); i > 1; i--) {
    const mac = pick(choose, macs)
    const before = hex`${type}`
    switch (choose(14)) {
      case 0:
      case 1:
      case 2:
        octets = concat(hex`0${pick(choose, ['001', '002', '000', 'fff'])}`, before, octets)
        type = pick(choose, ['8100', '88a8', '9100', '9200'])
        break
      case 3:
        octets = concat(hex`00064140`, octets)
        type = pick(choose, ['8847', '8848'])
        break
      case 4:
        octets = concat(hex`00075040 00064140 00000000 ${mac}`, before, octets)
        type = '8847'
        break
      case 5:
        octets = concat(hex`00064140 ${mac}`, before, octets)
        type = '8847'
        break
      case 6:
        octets = concat(
          hex`1100 0001 0000 ${pick(choose, ['0021', '21', 'ff030057', 'c021'])}`,
          octets,
        )
        type = '8864'
        break
      case 7:
        octets = concat(hex`1100 0001 0000 0281 00064140`, octets)
        type = '8864'
        break
      case 8:
        octets = concat(hex`0000 0000 0000`, before, octets)
        type = '893f'
        break
      case 9:
        octets = concat(hex`0000 0000`, before, octets)
        type = '8926'
        break
      case 10:
        octets = concat(hex`00000000 ${mac}`, before, octets)
        type = '88e7'
        break
      case 11:
        octets = concat(hex`0002 01 0${String(choose(5))} 00000000`, octets)
        type = '894f'
        break
      case 12:
        octets = concat(hex`aaaa03 000000`, before, octets)
        type = '0064'
        break
      default:
        type = pick(choose, ['0806', '88cc', '8903', '1234', '05dd', '0000', '9000'])
    }
  }
  return {type, octets}
}

/** Link types with a rule of their own, and one without. */
export const linkTypes = [
  1, 101, 113, 276, 0, 9, 104, 107, 105, 127, 239, 12, 228, 108, 50, 14, 229, 147,
]

function randomFrame(choose: Choose, linkType: number): Uint8Array {
  const packet = randomIp(choose, 0)
  const {type, octets} = randomShims(choose, {
    type: packet[0] >> 4 === 6 ? '86dd' : '0800',
    octets: packet,
  })
  const typed = concat(hex`${type}`, octets)
  switch (linkType) {
    case 1: {
      const mac = pick(choose, macs)
      const frame = concat(hex`${mac}`, typed)
      return choose(12) === 1 ? concat(hex`${mac} 8903 0001`, frame) : frame
    }
    case 113:
      return concat(new Uint8Array(14), typed)
    case 276:
      return concat(hex`${type}`, new Uint8Array(18), octets)
    case 0:
    case 108:
      return concat(hex`02000000`, packet)
    case 9:
    case 50:
      return concat(pick(choose, [hex`0021`, hex`ff030057`, hex`21`, hex`0281 00064140`]), packet)
    case 104:
      return concat(hex`0f00`, typed)
    case 107:
      return concat(pick(choose, [hex`184103cc`, hex`18410800`, hex`18410308`]), packet)
    case 105:
      return wlan(choose, typed)
    case 127:
      return concat(hex`0000 0a00 000000000000`, wlan(choose, typed))
    case 239: {
      const length = Uint8Array.of((packet.length + 4) & 255, (packet.length + 4) >> 8)
      return concat(hex`02000000 0800 0100 00000000`, length, hex`0900`, packet)
    }
    default:
      return packet
  }
}

function wlan(choose: Choose, typed: Uint8Array): Uint8Array {
  const [control, header] = pick<[string, number]>(choose, [
    ['0801', 24],
    ['0803', 30],
    ['8801', 26],
    ['8881', 30],
    ['4801', 24],
    ['0841', 24],
    ['8000', 24],
    ['d400', 24],
  ])
  return concat(hex`${control}`, new Uint8Array(header - 2), hex`aaaa03 000000`, typed)
}

/** Nanoseconds from a packet to the next: little. */
const littleSteps = [0, 0, 0, 1, 1000, 999999, 1e6, 1e6, 2e7, 1e8, 2e8, 3e8, -1, -1e6, -1e8]
/** Past timeouts, to them, and back; rarely by days, and to the ends of time. */
const greatSteps = [
  ...[4e8, 7e8, 999999999, 1e9, 1e9 + 1, 2e9, 2e9 + 1, 5e9, 3.1e10, -1e9, -7e9, -4e10],
  ...[4e12, -4e12, 3e14, 8e18, -8e18],
]

function stepOf(octet: number): bigint {
  const steps = octet < 240 ? littleSteps : greatSteps
  return BigInt(steps[octet % steps.length])
}

interface RandomRecord {
  readonly time: bigint
  readonly octets: Uint8Array
  readonly original: number
  readonly from: number
}

/** Link types and formats of a capture. */
interface Format {
  readonly magic: string
  /** One for pcap, interfaces for pcapng. */
  readonly links: readonly number[]
  /** if_tsresol of pcapng. */
  readonly resolution: string
}

/** A packet: which kind of frame it is, how long after the one before, which way and with which flags. */
type Event = Uint8Array

function randomRecord(
  kinds: readonly Tape[],
  event: Event,
  before: bigint,
  {links}: Format,
): RandomRecord {
  const [kind, step, way] = event
  const choose = reader(
    kinds[kind % kinds.length],
    way >= 128,
    tcpFlags[Math.max(0, (way % 32) - 22)],
  )
  let time = before + stepOf(step)
  if (time < 0n) time = 0n
  const from = choose(links.length)
  let octets = randomFrame(choose, links[from])
  let original = octets.length
  switch (choose(16)) {
    case 1: // cut by a snap length
      octets = octets.subarray(0, choose(256) % (octets.length + 1))
      break
    case 2: // padded
      octets = concat(octets, new Uint8Array(choose(32)))
      original = octets.length
      break
    case 3: // damaged
      for (let i = choose(3); i >= 0; i--) {
        octets = set(octets, choose(256) % (octets.length || 1), choose(256))
      }
      break
    case 4: // larger on the wire than any buffer
      original = 70000
      break
    case 5:
      original = choose(64)
      break
  }
  return {time, octets, original, from}
}

const START = 1700000000n * 1000000000n

function buildCapture(
  kinds: readonly Tape[],
  events: readonly Event[],
  format: Format,
): Uint8Array {
  const records: RandomRecord[] = []
  let time = START
  for (const event of events) {
    const record = randomRecord(kinds, event, time, format)
    records.push(record)
    time = record.time
  }
  const {magic, links, resolution} = format
  if (!magic.startsWith('ng')) return pcap(records, {magic, linkType: links[0]})
  const b = blocks(magic === 'ng-little')
  const unit = resolution === '09' ? 1n : 1000n
  return concat(
    b.section(),
    ...links.map((link) => b.description(link, 0, b.option(9, hex`${resolution}`))),
    ...records.map(({time: t, octets, original, from}, i) => {
      if (octets[0] === 0x99) return b.simple(original, octets)
      return i % 16 === 15
        ? b.obsolete(from, t / unit, octets)
        : b.enhanced(from, t / unit, octets, original)
    }),
  )
}

const link = fc.constantFrom(1, 1, 1, ...linkTypes)
const format: fc.Arbitrary<Format> = fc.oneof(
  fc.record({
    magic: fc.constantFrom('4d3cb2a1', 'd4c3b2a1', 'a1b23c4d', 'a1b2c3d4', '34cdb2a1', 'a1b2cd34'),
    links: link.map((l) => [l]),
    resolution: fc.constant(''),
  }),
  fc.record({
    magic: fc.constantFrom('ng-little', 'ng-big'),
    links: fc.array(link, {minLength: 1, maxLength: 4}),
    resolution: fc.constantFrom('09', '06'),
  }),
)

/** Captures of up to `packets` packets of up to `kinds` kinds. */
export function captures(packets: number, kinds: number): fc.Arbitrary<Uint8Array> {
  const tape = fc.uint8Array({maxLength: 64, size: 'max'})
  const event = fc.uint8Array({minLength: 3, maxLength: 3})
  return fc
    .tuple(
      fc.array(tape, {minLength: 1, maxLength: kinds, size: 'max'}),
      fc.array(event, {maxLength: packets, size: 'max'}),
      format,
    )
    .map(([k, e, f]) => buildCapture(k, e, f))
}
