import {createBpfAssembler, type BpfAssembler, type BpfInstruction} from './bpf-assembler.js'
import type {Selector} from './selector.js'
import {
  FOLD,
  MAX_LABELS,
  MAX_TAGS,
  MIX1,
  MIX2,
  ONE_SIDE,
  PORT,
  PORT_PROTOCOLS,
  PROTOCOL,
  SLOTS,
  TAGS,
} from './share-hash.js'

/** Scratch memory: where the IP header begins, the two endpoints, the hash's term. */
const M = {ip: 0, s: 1, d: 2, term: 3, at: 4, slot: 5} as const

/** What becomes of frames in which no IP header is found: they go by their MAC addresses, or all of them are accepted. */
type WithoutIp = 'decided' | 'accepted'

/**
 * The classic BPF program that accepts exactly the frames whose slot (share-hash.ts) is in `owned`.
 * A socket filter with it decides in the kernel, before anything is copied.
 *
 * @param linkType LINKTYPE_ number; packet sockets on Ethernet interfaces give 1
 * @param owned one bit per slot, SLOTS / 8 octets, slot 0 is bit 0 of octet 0
 * @param acceptOctets what an accepted frame is cut to (the snap length)
 * @param withoutIp `accepted` for a program in front of another one that decides
 */
export function shareProgram(
  linkType: number,
  selector: Selector,
  seed: number,
  owned: Uint8Array,
  acceptOctets = 0x40000,
  withoutIp: WithoutIp = 'decided',
): BpfInstruction[] {
  const b = createBpfAssembler()
  slotOf(b, linkType, selector, seed, withoutIp)
  ownedTest(b, owned, acceptOctets)
  return b.assemble()
}

/**
 * The program that gives a frame's slot as its result: what PACKET_FANOUT_CBPF deals frames out by. There they
 * begin at layer 3, so the link type is 101 (raw IP).
 */
export function slotProgram(linkType: number, selector: Selector, seed: number): BpfInstruction[] {
  const b = createBpfAssembler()
  slotOf(b, linkType, selector, seed)
  b.acceptA()
  return b.assemble()
}

/** A ← slot */
function slotOf(
  b: BpfAssembler,
  linkType: number,
  selector: Selector,
  seed: number,
  withoutIp: WithoutIp = 'decided',
): void {
  if (linkType === 1) plainFrames(b, selector)
  locate(b, linkType)
  b.label('other')
  if (withoutIp === 'accepted') b.jump('accept')
  else {
    otherTerm(b, linkType)
    b.jump('finish')
  }
  b.label('ip4')
  ipTerm(b, selector, 4)
  b.label('ip6')
  ipTerm(b, selector, 6)
  b.label('finish')
  // A is the term
  b.alu('add', seed)
  b.alu('mul', MIX1)
  b.tax()
  b.alu('rsh', 15)
  b.alu('xor', 'X')
  b.alu('mul', MIX2)
  b.alu('rsh', 20)
}

/**
 * Most frames have their IP header right behind that of Ethernet. The kernel's compiler makes loads at fixed places in
 * the program itself, and calls a function for each one that is relative to X, so these frames have a way of their own.
 * What is not as it should be there goes the long way, `slow`.
 */
function plainFrames(b: BpfAssembler, selector: Selector): void {
  const ip = 14
  const need = (octets: number): void => {
    b.loadLength()
    b.branch('ge', octets, 'next', 'slow')
  }
  // Nothing is loaded before it is known to be there: a load past the end would reject the frame.
  need(ip + 20 + (selector.ports ? 4 : 0))
  b.load(2, 12)
  b.branch('eq', 0x0800, 'next', 'plain-6')
  b.load(1, ip)
  if (selector.ports) {
    b.branch('eq', 0x45, 'next', 'slow')
    b.load(2, ip + 6)
    b.branch('set', 0x3fff, 'slow', 'next')
  } else {
    b.alu('and', 0xf0)
    b.branch('eq', 0x40, 'next', 'slow')
  }
  plainTerm(b, selector, {s: ip + 12, d: ip + 16, protocol: ip + 9, ports: ip + 20, words: 1})
  b.jump('finish')
  b.label('plain-6')
  b.branch('eq', 0x86dd, 'next', 'slow')
  need(ip + 40 + (selector.ports ? 4 : 0))
  b.load(1, ip)
  b.alu('and', 0xf0)
  b.branch('eq', 0x60, 'next', 'slow')
  plainTerm(b, selector, {s: ip + 8, d: ip + 24, protocol: ip + 6, ports: ip + 40, words: 4})
  b.jump('finish')
  b.label('slow')
}

/** Where a frame has what the hash is made of; `words` of 32 bits in an address. */
interface Places {
  readonly s: number
  readonly d: number
  readonly protocol: number
  readonly ports: number
  readonly words: 1 | 4
}

/** A ← the term, by loads at fixed places */
function plainTerm(b: BpfAssembler, selector: Selector, places: Places): void {
  const {addresses, ports, protocol} = selector
  const v4 = places.words === 1
  const endpoint = (at: number, slot: number): void => {
    for (let i = 0; i < places.words; i++) {
      b.load(4, at + 4 * i)
      if (!v4) b.alu('mul', FOLD[i])
      if (i > 0) {
        b.loadXMemory(slot)
        b.alu('add', 'X')
      }
      b.storeMemory(slot)
    }
  }
  if (addresses !== 'dst') endpoint(places.s, M.s)
  if (addresses !== 'src') endpoint(places.d, M.d)
  if (ports) {
    const ported = `plain-ported-${places.words}`
    const portless = `plain-portless-${places.words}`
    b.load(1, places.protocol)
    for (const number of PORT_PROTOCOLS) b.branch('eq', number, ported, 'next')
    b.jump(portless)
    b.label(ported)
    for (const [at, slot] of [
      [places.ports, M.s],
      [places.ports + 2, M.d],
    ]) {
      b.load(2, at)
      b.alu('mul', PORT)
      b.loadXMemory(slot)
      b.alu('add', 'X')
      b.storeMemory(slot)
    }
    b.label(portless)
  }
  if (addresses !== 'both') {
    odd(b, addresses === 'src' ? M.s : M.d)
    b.alu('mul', ONE_SIDE)
    return
  }
  pair(b)
  if (!v4 || !protocol) return
  b.storeMemory(M.term)
  b.load(1, places.protocol)
  b.alu('mul', PROTOCOL)
  b.loadXMemory(M.term)
  b.alu('add', 'X')
}

/** Jumps unless `octets` are left from X on. X is kept; A is lost. */
function need(b: BpfAssembler, octets: number): void {
  b.loadLength()
  b.alu('sub', 'X')
  b.branch('ge', octets, 'next', 'other')
}

/** X ← X + octets */
function advance(b: BpfAssembler, octets: number): void {
  b.txa()
  b.alu('add', octets)
  b.tax()
}

function locate(b: BpfAssembler, linkType: number): void {
  b.loadXNumber(0)
  const typed = (head: number, type: number): void => {
    need(b, head)
    b.load(2, type)
    b.loadXNumber(head)
    byType(b)
  }
  switch (linkType) {
    case 1:
      need(b, 14)
      b.load(2, 12)
      b.branch('eq', 0x8903, 'next', 'plain')
      need(b, 30)
      b.load(2, 28)
      b.loadXNumber(30)
      b.jump('type')
      b.label('plain')
      b.loadXNumber(14)
      b.label('type')
      byType(b)
      break
    case 113:
      typed(16, 14)
      break
    case 276:
      typed(20, 0)
      break
    case 104:
      typed(4, 2)
      break
    case 0:
    case 108:
      b.loadXNumber(4)
      // A frame of under four octets has no X + 0: len − X would wrap around.
      b.loadLength()
      b.branch('ge', 4, 'version', 'other')
      version(b)
      break
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      version(b)
      break
    case 9:
    case 50:
      ppp(b)
      version(b)
      break
    default:
      b.jump('other')
  }
}

/** A is a type, X stands behind it. */
function byType(b: BpfAssembler): void {
  for (let level = 0; level <= MAX_TAGS; level++) {
    const n = `${level}`
    const last = level === MAX_TAGS
    b.branch('eq', 0x0800, 'version', 'next')
    b.branch('eq', 0x86dd, 'version', 'next')
    b.branch('eq', 0x8864, 'pppoe', 'next')
    b.branch('eq', 0x8847, 'mpls', 'next')
    b.branch('eq', 0x8848, 'mpls', 'next')
    if (last) {
      b.jump('other')
      break
    }
    const shapes = new Map<string, number[]>()
    for (const tag of TAGS) {
      const shape = `${tag.next}+${tag.octets}`
      shapes.set(shape, [...(shapes.get(shape) ?? []), tag.type])
    }
    for (const [shape, types] of shapes) {
      for (const type of types) b.branch('eq', type, `${shape}-${n}`, 'next')
    }
    b.branch('gt', 1500, 'other', 'next')
    need(b, 8)
    b.load(4, 0, true)
    b.branch('eq', 0xaaaa0300, 'next', 'other')
    b.load(2, 4, true)
    b.branch('eq', 0, 'next', 'other')
    b.load(2, 6, true)
    b.storeMemory(M.at)
    advance(b, 8)
    b.jump(`level-${n}`)
    for (const shape of shapes.keys()) {
      const [next, octets] = shape.split('+').map(Number)
      b.label(`${shape}-${n}`)
      need(b, octets)
      b.load(2, next, true)
      b.storeMemory(M.at)
      advance(b, octets)
      b.jump(`level-${n}`)
    }
    b.label(`level-${n}`)
    b.loadMemory(M.at)
  }
  b.label('mpls')
  for (let label = 0; label < MAX_LABELS; label++) {
    need(b, 4)
    b.load(1, 2, true)
    b.storeMemory(M.at)
    advance(b, 4)
    b.loadMemory(M.at)
    b.branch('set', 1, 'version', 'next')
  }
  b.jump('other')
  b.label('pppoe')
  need(b, 6)
  advance(b, 6)
  ppp(b)
  version(b)
}

/** X stands at a PPP header; goes on behind it at an IP header. */
function ppp(b: BpfAssembler): void {
  need(b, 2)
  b.load(2, 0, true)
  b.branch('eq', 0xff03, 'next', 'ppp-protocol')
  advance(b, 2)
  b.label('ppp-protocol')
  need(b, 2)
  b.load(2, 0, true)
  b.branch('set', 0x0100, 'ppp-short', 'next')
  b.branch('eq', 0x0021, 'ppp-2', 'next')
  b.branch('eq', 0x0057, 'ppp-2', 'other')
  b.label('ppp-2')
  advance(b, 2)
  b.jump('version')
  b.label('ppp-short')
  b.load(1, 0, true)
  b.branch('eq', 0x21, 'ppp-1', 'next')
  b.branch('eq', 0x57, 'ppp-1', 'other')
  b.label('ppp-1')
  advance(b, 1)
}

function version(b: BpfAssembler): void {
  b.label('version')
  need(b, 20)
  b.load(1, 0, true)
  b.alu('and', 0xf0)
  b.branch('eq', 0x40, 'ip4', 'next')
  b.branch('eq', 0x60, 'next', 'other')
  need(b, 40)
  b.jump('ip6')
}

function otherTerm(b: BpfAssembler, linkType: number): void {
  if (linkType === 1) {
    b.loadLength()
    b.branch('ge', 14, 'next', 'other-none')
    b.load(4, 2)
    b.storeMemory(M.s)
    b.load(4, 8)
    b.storeMemory(M.d)
    pair(b)
    b.jump('finish')
    b.label('other-none')
  }
  b.loadNumber(0)
}

/** A ← (2 M[s] + 1) (2 M[d] + 1) */
function pair(b: BpfAssembler): void {
  odd(b, M.d)
  b.tax()
  odd(b, M.s)
  b.alu('mul', 'X')
}

/** A ← 2 M[slot] + 1 */
function odd(b: BpfAssembler, slot: number): void {
  b.loadMemory(slot)
  b.alu('lsh', 1)
  b.alu('or', 1)
}

/** X stands at the IP header; leaves the term in A and goes to `finish`. */
function ipTerm(b: BpfAssembler, selector: Selector, family: 4 | 6): void {
  const wanted = selector.addresses
  if (wanted !== 'dst') address(b, family, family === 4 ? 12 : 8, M.s)
  if (wanted !== 'src') address(b, family, family === 4 ? 16 : 24, M.d)
  if (selector.ports) addPorts(b, family)
  if (wanted !== 'both') {
    odd(b, wanted === 'src' ? M.s : M.d)
    b.alu('mul', ONE_SIDE)
  } else if (family === 4 && selector.protocol) {
    b.load(1, 9, true)
    b.alu('mul', PROTOCOL)
    b.storeMemory(M.term)
    pair(b)
    b.tax()
    b.loadMemory(M.term)
    b.alu('add', 'X')
  } else pair(b)
  if (family === 4) b.jump('finish')
}

function address(b: BpfAssembler, family: 4 | 6, offset: number, slot: number): void {
  if (family === 4) {
    b.load(4, offset, true)
    b.storeMemory(slot)
    return
  }
  b.txa()
  b.storeMemory(M.ip)
  for (let i = 0; i < 4; i++) {
    b.load(4, offset + 4 * i, true)
    b.alu('mul', FOLD[i])
    if (i > 0) {
      b.loadXMemory(M.term)
      b.alu('add', 'X')
    }
    b.storeMemory(i === 3 ? slot : M.term)
    b.loadXMemory(M.ip)
  }
}

/** Adds port × PORT to both endpoints where there are ports; keeps X at the IP header. */
function addPorts(b: BpfAssembler, family: 4 | 6): void {
  const f = `${family}`
  b.load(1, family === 4 ? 9 : 6, true)
  for (const protocol of PORT_PROTOCOLS) b.branch('eq', protocol, `ported-${f}`, 'next')
  b.jump(`portless-${f}`)
  b.label(`ported-${f}`)
  b.txa()
  b.storeMemory(M.ip)
  if (family === 4) {
    b.load(2, 6, true)
    b.branch('set', 0x3fff, `portless-${f}`, 'next')
    b.load(1, 0, true)
    b.alu('and', 15)
    b.alu('lsh', 2)
    b.alu('add', 'X')
    b.tax()
  } else advance(b, 40)
  // The header length may point behind the frame, where len − X would wrap around.
  b.loadLength()
  b.alu('sub', 4)
  b.storeMemory(M.at)
  b.txa()
  b.storeMemory(M.term)
  b.loadXMemory(M.term)
  b.loadMemory(M.at)
  b.alu('sub', 'X')
  b.branch('set', 0x80000000, `unported-${f}`, 'next')
  for (const [offset, slot] of [
    [0, M.s],
    [2, M.d],
  ] as const) {
    b.load(2, offset, true)
    b.alu('mul', PORT)
    b.loadXMemory(slot)
    b.alu('add', 'X')
    b.storeMemory(slot)
    b.loadXMemory(M.term)
  }
  b.label(`unported-${f}`)
  b.loadXMemory(M.ip)
  b.label(`portless-${f}`)
}

/** A is the slot: accepts if `owned` has its bit. Ranges are compared, many of them looked up in a tree of words. */
function ownedTest(b: BpfAssembler, owned: Uint8Array, acceptOctets: number): void {
  const ranges: [number, number][] = []
  for (let slot = 0; slot < SLOTS; slot++) {
    if (((owned[slot >> 3] >> (slot & 7)) & 1) === 0) continue
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === slot) last[1] = slot + 1
    else ranges.push([slot, slot + 1])
  }
  if (ranges.length <= 32) {
    ranges.forEach(([from, to], i) => {
      b.branch('ge', from, 'next', 'reject')
      b.branch('ge', to, i === ranges.length - 1 ? 'reject' : 'next', 'accept')
    })
    if (ranges.length === 0) b.jump('reject')
  } else {
    b.storeMemory(M.slot)
    wordTree(b, owned, 0, SLOTS / 32)
    b.label('word')
    // X is the slot, A its word: bit (slot mod 32)
    b.storeMemory(M.term)
    b.loadMemory(M.slot)
    b.alu('and', 31)
    b.tax()
    b.loadMemory(M.term)
    b.alu('rsh', 'X')
    b.branch('set', 1, 'accept', 'reject')
  }
  b.label('accept')
  b.accept(acceptOctets)
  b.label('reject')
  b.accept(0)
}

function wordTree(b: BpfAssembler, owned: Uint8Array, from: number, to: number): void {
  if (to - from === 1) {
    const at = from * 4
    b.loadNumber(owned[at] | (owned[at + 1] << 8) | (owned[at + 2] << 16) | (owned[at + 3] << 24))
    b.jump('word')
    return
  }
  const middle = (from + to) >> 1
  b.branch('ge', middle * 32, `from-${middle}`, 'next')
  wordTree(b, owned, from, middle)
  b.label(`from-${middle}`)
  wordTree(b, owned, middle, to)
}
