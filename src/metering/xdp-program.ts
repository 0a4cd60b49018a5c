import type {BpfInstruction} from './bpf-assembler.js'

/** Kernel functions of eBPF, by their numbers in linux/bpf.h. */
const CALL = {
  ktimeGetNs: 5,
  redirectMap: 51,
  xdpAdjustMeta: 54,
  xdpGetBuffLen: 188,
  xdpLoadBytes: 189,
} as const
const XDP_PASS = 2
/** Where struct xdp_md has them. */
const MD = {data: 0, dataEnd: 4, dataMeta: 8, queue: 16} as const
/** Written before each frame with the time, so that the reader knows that there is one. */
export const TIME_MARK = 0x64617274612d7473n

/** Registers: A and X of classic BPF, what helpers keep, and two that any step may use. */
const R = {a: 2, x: 3, t: 4, u: 5, ctx: 6, data: 7, end: 8, len: 9, frame: 10} as const
/** The verifier follows packet offsets to here; no frame in one piece is longer. */
const MAX_OFFSET = 0x7fff

type Target = number | 'pass' | 'take'

interface Step {
  code: number
  dst: number
  src: number
  imm: number
  /** Where a jump goes: a line of the classic program or one of the two ends. */
  to?: Target
  off?: number
}

/** How indexed loads are done: by a pointer into the packet, or by a kernel function, which needs fewer rights. */
export type IndexedLoads = 'direct' | 'call'

/**
 * An XDP program that decides as a classic BPF program does and hands what that accepts to the AF_XDP socket of the
 * frame's receive queue. All other frames go on into the kernel as if nothing had been there (XDP_PASS), and so do
 * those of a queue without a socket. What is handed over gets the kernel's monotonic time in front.
 *
 * Frames are seen as they are on the wire; those that the driver keeps in several pieces only as far as the first one.
 *
 * @param filter what classic BPF programs of the kernel may consist of, without ancillary loads
 * @returns struct bpf_insn after struct bpf_insn; the map of sockets is a BPF_PSEUDO_MAP_FD without descriptor
 */
export function xdpProgram(filter: readonly BpfInstruction[], loads: IndexedLoads): Uint8Array {
  const steps: Step[] = []
  const starts: number[] = []
  const e = emitter(steps)
  e.alu64('mov', R.ctx, {reg: 1})
  e.load(4, R.data, R.ctx, MD.data)
  e.load(4, R.end, R.ctx, MD.dataEnd)
  e.call(CALL.xdpGetBuffLen)
  e.alu64('mov', R.len, {reg: 0})
  e.alu32('mov', R.a, {imm: 0})
  e.alu32('mov', R.x, {imm: 0})
  // The verifier wants both ends to be reachable, whatever the filter is: no frame is empty or longer than any.
  e.branch32(0x10, R.len, {imm: 0}, 'pass')
  e.branch32(0x20, R.len, {imm: -1}, 'take')
  filter.forEach((instruction, i) => {
    starts.push(steps.length)
    translate(e, instruction, i, loads)
  })
  const take = steps.length
  handOver(e)
  const pass = steps.length
  e.alu64('mov', 0, {imm: XDP_PASS})
  e.exit()
  return encode(steps, (to) => (to === 'take' ? take : to === 'pass' ? pass : starts[to]))
}

/** Scratch memory M[slot] lies on the stack; below it A, X and the octets of a call. */
const stackOf = (slot: number): number => -4 * (slot + 1)
const SAVED_A = -72
const SAVED_X = -76
const LOADED = -80

function handOver(e: Emitter): void {
  // The time goes into 16 octets in front of the frame. Drivers that have no room there leave it to the reader.
  e.alu64('mov', 1, {reg: R.ctx})
  e.alu64('mov', 2, {imm: -16})
  e.call(CALL.xdpAdjustMeta)
  const without: Step[] = [e.skipIf('ne', 0, 0)]
  e.call(CALL.ktimeGetNs)
  e.load(4, 1, R.ctx, MD.dataMeta)
  e.load(4, 2, R.ctx, MD.data)
  e.alu64('mov', 3, {reg: 1})
  e.alu64('add', 3, {imm: 16})
  without.push(e.skipIfPointer('gt', 3, 2))
  e.number64(3, TIME_MARK)
  e.store(8, 1, 0, 3)
  e.store(8, 1, 8, 0)
  for (const step of without) e.land(step)
  e.mapPointer(1)
  e.load(4, 2, R.ctx, MD.queue)
  e.alu64('mov', 3, {imm: XDP_PASS})
  e.call(CALL.redirectMap)
  e.exit()
}

function translate(
  e: Emitter,
  {code, jt, jf, k}: BpfInstruction,
  i: number,
  loads: IndexedLoads,
): void {
  switch (code & 7) {
    case 0: // LD
      loadA(e, code, k, loads)
      return
    case 1: // LDX
      if ((code & 0xe0) === 0x00) e.alu32('mov', R.x, {imm: k})
      else if ((code & 0xe0) === 0x60) e.load(4, R.x, R.frame, stackOf(k))
      else if ((code & 0xe0) === 0x80) e.alu32('mov', R.x, {reg: R.len})
      else {
        // 4 * (octet & 15): the length of an IPv4 header.
        absolute(e, 1, k, R.x)
        e.alu32('and', R.x, {imm: 15})
        e.alu32('lsh', R.x, {imm: 2})
      }
      return
    case 2:
      e.store(4, R.frame, stackOf(k), R.a)
      return
    case 3:
      e.store(4, R.frame, stackOf(k), R.x)
      return
    case 4:
      calculate(e, code, k)
      return
    case 5: // JMP
      if ((code & 0xf0) === 0) e.jump(i + 1 + k)
      else {
        const operand = (code & 8) === 0 ? {imm: k} : {reg: R.x}
        e.branch32(code & 0xf0, R.a, operand, i + 1 + jt)
        if (jf > 0) e.jump(i + 1 + jf)
      }
      return
    case 6: // RET
      if ((code & 0x18) === 0x10) {
        e.branch32(0x10, R.a, {imm: 0}, 'pass')
        e.jump('take')
      } else e.jump(k === 0 ? 'pass' : 'take')
      return
    default: // MISC
      if (code === 0x07) e.alu32('mov', R.x, {reg: R.a})
      else e.alu32('mov', R.a, {reg: R.x})
  }
}

function loadA(e: Emitter, code: number, k: number, loads: IndexedLoads): void {
  const octets = (code & 0x18) === 0x00 ? 4 : (code & 0x18) === 0x08 ? 2 : 1
  switch (code & 0xe0) {
    case 0x00:
      e.alu32('mov', R.a, {imm: k})
      return
    case 0x20:
      absolute(e, octets, k, R.a)
      return
    case 0x40:
      if (loads === 'direct') indexed(e, octets, k)
      else called(e, octets, k)
      return
    case 0x60:
      e.load(4, R.a, R.frame, stackOf(k))
      return
    default:
      e.alu32('mov', R.a, {reg: R.len})
  }
}

/** No packet is that long. What follows must look reachable all the same. */
function never(e: Emitter): void {
  e.branch32(0x30, R.len, {imm: 0}, 'pass')
}

/** register ← packet octets at k; what reaches past the packet is rejected, as the kernel does with classic BPF. */
function absolute(e: Emitter, octets: 1 | 2 | 4, k: number, register: number): void {
  if (k > MAX_OFFSET) {
    never(e)
    return
  }
  e.alu64('mov', R.t, {reg: R.data})
  e.alu64('add', R.t, {imm: k + octets})
  e.branchPointer('gt', R.t, R.end, 'pass')
  e.load(octets, register, R.data, k)
  e.toHost(octets, register)
}

/** A ← packet octets at X + k */
function indexed(e: Emitter, octets: 1 | 2 | 4, k: number): void {
  if (k > MAX_OFFSET) {
    never(e)
    return
  }
  e.branch32(0x20, R.x, {imm: MAX_OFFSET}, 'pass')
  e.alu64('mov', R.u, {reg: R.data})
  e.alu64('add', R.u, {reg: R.x})
  e.alu64('mov', R.t, {reg: R.u})
  e.alu64('add', R.t, {imm: k + octets})
  e.branchPointer('gt', R.t, R.end, 'pass')
  e.load(octets, R.a, R.u, k)
  e.toHost(octets, R.a)
}

/** The same by the kernel's function, which takes any offset. A and X are kept on the stack meanwhile. */
function called(e: Emitter, octets: 1 | 2 | 4, k: number): void {
  if (k > MAX_OFFSET) {
    never(e)
    return
  }
  e.branch32(0x20, R.x, {imm: MAX_OFFSET}, 'pass')
  e.store(4, R.frame, SAVED_A, R.a)
  e.store(4, R.frame, SAVED_X, R.x)
  e.alu64('mov', 1, {reg: R.ctx})
  e.alu32('mov', 2, {reg: R.x})
  e.alu32('add', 2, {imm: k})
  e.alu64('mov', 3, {reg: R.frame})
  e.alu64('add', 3, {imm: LOADED})
  e.alu64('mov', 4, {imm: octets})
  e.call(CALL.xdpLoadBytes)
  e.load(4, R.a, R.frame, SAVED_A)
  e.load(4, R.x, R.frame, SAVED_X)
  e.branch32(0x50, 0, {imm: 0}, 'pass')
  e.load(octets, R.a, R.frame, LOADED)
  e.toHost(octets, R.a)
}

function calculate(e: Emitter, code: number, k: number): void {
  const operation = code & 0xf0
  const operand = (code & 8) === 0 ? {imm: k} : {reg: R.x}
  // Division by nothing rejects the packet.
  if ((operation === 0x30 || operation === 0x90) && (code & 8) !== 0) {
    e.branch32(0x10, R.x, {imm: 0}, 'pass')
  }
  e.raw(0x04 | operation | (code & 8), R.a, operand)
}

const OPERATION = {add: 0x00, and: 0x50, lsh: 0x60, mov: 0xb0} as const
type Operation = keyof typeof OPERATION
type Operand = {readonly imm: number} | {readonly reg: number}

interface Emitter {
  raw(code: number, dst: number, operand: Operand): void
  alu32(operation: Operation, dst: number, operand: Operand): void
  alu64(operation: Operation, dst: number, operand: Operand): void
  load(octets: 1 | 2 | 4 | 8, dst: number, src: number, off: number): void
  store(octets: 4 | 8, dst: number, off: number, src: number): void
  /** Network order to that of the machine, and cut to the size. */
  toHost(octets: 1 | 2 | 4, dst: number): void
  /** `operation`: 0x10 equal, 0x20 greater, 0x30 greater or equal, 0x40 a common bit, 0x50 not equal */
  branch32(operation: number, dst: number, operand: Operand, to: Target): void
  branchPointer(test: 'gt', dst: number, src: number, to: Target): void
  jump(to: Target): void
  /** A jump over the steps until `land`. */
  skipIf(test: 'ne', dst: number, imm: number): Step
  skipIfPointer(test: 'gt', dst: number, src: number): Step
  land(step: Step): void
  number64(dst: number, value: bigint): void
  mapPointer(dst: number): void
  call(number: number): void
  exit(): void
}

function emitter(steps: Step[]): Emitter {
  const add = (
    code: number,
    dst: number,
    src: number,
    imm: number,
    rest: Partial<Step> = {},
  ): Step => {
    const step = {code, dst, src, imm, ...rest}
    steps.push(step)
    return step
  }
  const operate = (code: number, dst: number, operand: Operand, rest?: Partial<Step>): Step =>
    'imm' in operand
      ? add(code, dst, 0, operand.imm, rest)
      : add(code | 8, dst, operand.reg, 0, rest)
  const sizes = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18} as const
  const wide = (dst: number, src: number, low: number, high: number): void => {
    add(0x18, dst, src, low)
    add(0x00, 0, 0, high)
  }
  return {
    raw: (code, dst, operand) => void operate(code & ~8, dst, operand),
    alu32: (operation, dst, operand) => void operate(0x04 | OPERATION[operation], dst, operand),
    alu64: (operation, dst, operand) => void operate(0x07 | OPERATION[operation], dst, operand),
    load: (octets, dst, src, off) => void add(0x61 | sizes[octets], dst, src, 0, {off}),
    store: (octets, dst, off, src) => void add(0x63 | sizes[octets], dst, src, 0, {off}),
    toHost(octets, dst) {
      if (octets > 1) add(0xdc, dst, 0, octets * 8)
    },
    branch32: (operation, dst, operand, to) => void operate(0x06 | operation, dst, operand, {to}),
    branchPointer: (_, dst, src, to) => void add(0x2d, dst, src, 0, {to}),
    jump: (to) => void add(0x05, 0, 0, 0, {to}),
    skipIf: (_, dst, imm) => add(0x55, dst, 0, imm, {off: steps.length}),
    skipIfPointer: (_, dst, src) => add(0x2d, dst, src, 0, {off: steps.length}),
    land(step) {
      step.off = steps.length - (step.off ?? 0) - 1
    },
    number64: (dst, value) =>
      wide(dst, 0, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))),
    mapPointer: (dst) => wide(dst, 1, 0, 0),
    call: (number) => void add(0x85, 0, 0, number),
    exit: () => void add(0x95, 0, 0, 0),
  }
}

function encode(steps: readonly Step[], place: (to: Target) => number): Uint8Array {
  const octets = new Uint8Array(steps.length * 8)
  const view = new DataView(octets.buffer)
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
  steps.forEach(({code, dst, src, imm, to, off = 0}, i) => {
    const distance = to === undefined ? off : place(to) - i - 1
    if (distance > 32767) throw new Error('the filter is too long for an XDP program')
    view.setUint8(i * 8, code)
    // Two bit fields, which lie as the machine lays them.
    view.setUint8(i * 8 + 1, little ? dst | (src << 4) : (dst << 4) | src)
    view.setInt16(i * 8 + 2, distance, little)
    view.setInt32(i * 8 + 4, imm | 0, little)
  })
  return octets
}
