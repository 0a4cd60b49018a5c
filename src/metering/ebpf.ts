import type {BpfInstruction} from './bpf-assembler.js'
import {littleEndian} from './byte-order.js'
import {DartaError} from '../record/errors.js'

/** One instruction of eBPF, `struct bpf_insn`; a 64-bit immediate takes two. */
export interface EbpfInstruction {
  readonly code: number
  readonly to: number
  readonly from: number
  readonly offset: number
  readonly immediate: number
}

/** Registers by what they are used for here. R1 to R5 are lost in calls and packet loads, R6 to R9 are kept. */
export const R = {
  result: 0,
  a1: 1,
  a2: 2,
  a3: 3,
  a4: 4,
  a5: 5,
  packet: 6,
  x: 7,
  map: 8,
  kept: 9,
  stack: 10,
} as const

const CLASS = {
  load: 0x00,
  loadX: 0x01,
  store: 0x02,
  storeX: 0x03,
  alu: 0x04,
  jump: 0x05,
  ret: 0x06,
  misc: 0x07,
}
/** Marks operations and jumps whose second operand is a register. */
const BY_REGISTER = 0x08
/** Widths of memory accesses as eBPF has them. */
const WIDTH = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18} as const
const OP = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
}
const TEST = {eq: 0x10, gt: 0x20, ge: 0x30, set: 0x40, ne: 0x50, lt: 0xa0}
const MAP_DESCRIPTOR = 1
/** Marks the address of a map's value, which the loader fills in. */
const MAP_VALUE = 2

type Operand = number | {readonly register: number}

/** Where a program of classic BPF has its registers, and how it comes at the packet. */
export interface ClassicMachine {
  readonly a: number
  readonly x: number
  /**
   * A ← packet octets at k, or at X + k, in the order of the machine. What reaches past the packet goes to `reject`, or ends
   * the program with 0. X is kept.
   */
  load(b: EbpfAssembler, octets: 1 | 2 | 4, k: number, indexed: boolean, reject: string): void
  /** X ← packet octet at k; A is kept. */
  loadX(b: EbpfAssembler, k: number, reject: string): void
  /** to ← octets of the packet */
  length(b: EbpfAssembler, to: number): void
}

/** For programs that get a `struct __sk_buff`, which is in R6; R0, R7 and R8 are used, and R1 to R5 are lost. */
const socketPacket: ClassicMachine = {
  a: R.result,
  x: R.x,
  load: (b, octets, k, indexed) => b.loadPacket(octets, k, indexed ? R.x : undefined),
  loadX(b, k) {
    b.alu('mov', R.map, {register: R.result})
    b.loadPacket(1, k)
    b.alu('mov', R.x, {register: R.result})
    b.alu('mov', R.result, {register: R.map})
  },
  length: (b, to) => b.load(4, to, R.packet, 0),
}

/** Writes eBPF with named labels. */
export interface EbpfAssembler {
  /** to ← to op from; `wide`: 64 bits, else 32. */
  alu(op: keyof typeof OP, to: number, from: Operand, wide?: boolean): void
  /** to ← number of 64 bits */
  number(to: number, value: bigint): void
  /** Low octets of `to` from network order to that of the machine; the others become 0. */
  toHost(octets: 1 | 2 | 4, to: number): void
  /** to ← memory at from + offset */
  load(octets: keyof typeof WIDTH, to: number, from: number, offset: number): void
  /** memory at to + offset ← from */
  store(octets: keyof typeof WIDTH, to: number, offset: number, from: number): void
  /** from ← what was in the 8 octets at to + offset, to which `from` is added; atomic, Linux 5.12. */
  fetchAdd(to: number, offset: number, from: number): void
  /**
   * R0 ← octets of the packet that R6 stands for, a `struct __sk_buff`, at offset, or at index + offset, in the order of the
   * machine. The program ends with 0 where the packet is too short.
   */
  loadPacket(octets: 1 | 2 | 4, offset: number, index?: number): void
  /** Compares 32 bits, or 64, without sign. */
  branch(
    test: keyof typeof TEST,
    left: number,
    right: Operand,
    target: string,
    wide?: boolean,
  ): void
  jump(target: string): void
  label(name: string): void
  /** Calls a helper of the kernel by its number, bpf-helpers(7). */
  call(helper: number): void
  /** to ← address of the map's value */
  mapValue(to: number): void
  /** to ← the map that the descriptor is open for, as helpers take it; 0 is for the loader to fill in. */
  map(to: number, descriptor: number): void
  exit(): void
  /**
   * Appends a program of classic BPF, which goes on at `accept` or `reject`. It may consist of what the kernel takes, without
   * ancillary loads. The 64 octets at the end of the stack are its scratch memory; without `machine` R6 is the packet, and
   * R0, R7 and R8 are used.
   *
   * @throws DartaError DARTA_USAGE for jumps back, as `protochain` has, or past its end
   */
  classic(
    program: readonly BpfInstruction[],
    accept: string,
    reject: string,
    machine?: ClassicMachine,
  ): void
  /** @throws Error for a label that is not there or too far away */
  assemble(): EbpfInstruction[]
}

type Line = EbpfInstruction & {readonly target?: string}
type Put = (
  code: number,
  to: number,
  from: number,
  offset: number,
  immediate: number,
  target?: string,
) => void
/** The longest jump, in instructions. */
const FARTHEST = 0x7fff

export function createEbpfAssembler(): EbpfAssembler {
  const lines: Line[] = []
  const labels = new Map<string, number>()
  let programs = 0
  const put: Put = (code, to, from, offset, immediate, target) => {
    lines.push({code, to, from, offset, immediate: immediate | 0, target})
  }
  const operate = (code: number, left: number, right: Operand, target?: string): void =>
    typeof right === 'number'
      ? put(code, left, 0, 0, right, target)
      : put(code | BY_REGISTER, left, right.register, 0, 0, target)
  const wide = (to: number, from: number, low: number, high: number): void => {
    put(0x18, to, from, 0, low)
    put(0, 0, 0, 0, high)
  }
  const b: EbpfAssembler = {
    alu: (op, to, from, is64 = false) => operate(OP[op] | (is64 ? 0x07 : 0x04), to, from),
    number: (to, value) =>
      wide(to, 0, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))),
    toHost(octets, to) {
      if (octets > 1) put(0xdc, to, 0, 0, octets * 8)
    },
    load: (octets, to, from, offset) => put(0x61 | WIDTH[octets], to, from, offset, 0),
    store: (octets, to, offset, from) => put(0x63 | WIDTH[octets], to, from, offset, 0),
    fetchAdd: (to, offset, from) => put(0xc3 | WIDTH[8], to, from, offset, 0x01),
    loadPacket: (octets, offset, index) =>
      put((index === undefined ? 0x20 : 0x40) | WIDTH[octets], 0, index ?? 0, 0, offset),
    branch: (test, left, right, target, is64 = false) =>
      operate(TEST[test] | (is64 ? 0x05 : 0x06), left, right, target),
    jump: (target) => put(0x05, 0, 0, 0, 0, target),
    label(name) {
      if (labels.has(name)) throw new Error(`label ${name} is there already`)
      labels.set(name, lines.length)
    },
    call: (helper) => put(0x85, 0, 0, 0, helper),
    mapValue: (to) => wide(to, MAP_VALUE, 0, 0),
    map: (to, descriptor) => wide(to, MAP_DESCRIPTOR, descriptor, 0),
    exit: () => put(0x95, 0, 0, 0, 0),
    classic(program, accept, reject, machine = socketPacket) {
      const name = `classic${programs++}`
      b.alu('mov', machine.a, 0)
      b.alu('mov', machine.x, 0)
      program.forEach((instruction, i) => {
        b.label(`${name}-${i}`)
        const place = (far: number): string => {
          // Jumps back are as unsigned as others.
          if (i + 1 + far >= program.length)
            throw new DartaError('DARTA_USAGE', 'the filter has jumps back or past its end')
          return `${name}-${i + 1 + far}`
        }
        translate(b, put, instruction, place, {accept, reject, machine})
      })
    },
    assemble: () =>
      lines.map(({target, ...line}, i) => {
        if (target === undefined) return line
        const to = labels.get(target)
        if (to === undefined) throw new Error(`no label ${target}`)
        const offset = to - i - 1
        if (offset > FARTHEST) throw new Error('the program is too long for jumps of eBPF')
        return {...line, offset}
      }),
  }
  return b
}

/** One instruction of classic BPF; M[k] is at −4 (k + 1) from the end of the stack. */
function translate(
  b: EbpfAssembler,
  put: Put,
  {code, jt, jf, k}: BpfInstruction,
  place: (far: number) => string,
  {accept, reject, machine}: {accept: string; reject: string; machine: ClassicMachine},
): void {
  const memory = -4 * (k + 1)
  const {a, x} = machine
  const mode = code & 0xe0
  const byX = (code & BY_REGISTER) !== 0
  switch (code & 0x07) {
    case CLASS.load:
      if (mode === 0x20 || mode === 0x40) {
        const octets = (code & 0x18) === 0x00 ? 4 : (code & 0x18) === 0x08 ? 2 : 1
        return machine.load(b, octets, k, mode === 0x40, reject)
      }
      if (mode === 0x80) return machine.length(b, a)
      if (mode === 0x60) return b.load(4, a, R.stack, memory)
      return b.alu('mov', a, k)
    case CLASS.loadX:
      if (mode === 0x80) return machine.length(b, x)
      if (mode === 0x60) return b.load(4, x, R.stack, memory)
      if (mode === 0x00) return b.alu('mov', x, k)
      // 4 × the low half of the octet: the length of an IPv4 header.
      machine.loadX(b, k, reject)
      b.alu('and', x, 15)
      return b.alu('lsh', x, 2)
    case CLASS.store:
      return b.store(4, R.stack, memory, a)
    case CLASS.storeX:
      return b.store(4, R.stack, memory, x)
    case CLASS.alu: {
      const operation = code & 0xf0
      // Classic BPF ends with 0 where eBPF would go on with a quotient of 0.
      if (byX && (operation === 0x30 || operation === 0x90)) b.branch('eq', x, 0, reject)
      return put(code, a, byX ? x : 0, 0, byX ? 0 : k)
    }
    case CLASS.jump:
      if ((code & 0xf0) === 0) return b.jump(place(k))
      put((code & 0xf8) | 0x06, a, byX ? x : 0, 0, byX ? 0 : k, place(jt))
      if (jf > 0) b.jump(place(jf))
      return
    case CLASS.ret:
      if ((code & 0x18) === 0x10) {
        b.branch('eq', a, 0, reject)
        return b.jump(accept)
      }
      return b.jump(k === 0 ? reject : accept)
    default:
      return (code & 0x80) === 0 ? b.alu('mov', x, {register: a}) : b.alu('mov', a, {register: x})
  }
}

/** `struct bpf_insn` after `struct bpf_insn`, in the byte order of the machine. */
export function ebpfOctets(program: readonly EbpfInstruction[]): Uint8Array {
  const octets = new Uint8Array(program.length * 8)
  const view = new DataView(octets.buffer)
  program.forEach(({code, to, from, offset, immediate}, i) => {
    octets[i * 8] = code
    octets[i * 8 + 1] = littleEndian ? to | (from << 4) : (to << 4) | from
    view.setInt16(i * 8 + 2, offset, littleEndian)
    view.setInt32(i * 8 + 4, immediate, littleEndian)
  })
  return octets
}
