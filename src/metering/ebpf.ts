import type {BpfInstruction} from './bpf-assembler.js'

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
export const MAP_VALUE = 2

/** Writes eBPF with named labels. */
export interface EbpfAssembler {
  /** to ← to op from; `wide`: 64 bits, else 32. */
  alu(
    op: keyof typeof OP,
    to: number,
    from: number | {readonly register: number},
    wide?: boolean,
  ): void
  /** to ← memory at from + offset */
  load(octets: keyof typeof WIDTH, to: number, from: number, offset: number): void
  /** memory at to + offset ← from */
  store(octets: keyof typeof WIDTH, to: number, offset: number, from: number): void
  /** from ← what was in the 8 octets at to + offset, to which `from` is added; atomic, Linux 5.12. */
  fetchAdd(to: number, offset: number, from: number): void
  /** Compares 32 bits, or 64, without sign. */
  branch(test: keyof typeof TEST, left: number, right: number, target: string, wide?: boolean): void
  jump(target: string): void
  label(name: string): void
  /** Calls a helper of the kernel by its number, bpf-helpers(7). */
  call(helper: number): void
  /** to ← address of the map's value */
  mapValue(to: number): void
  /** to ← the map that the descriptor is open for, as helpers take it */
  map(to: number, descriptor: number): void
  exit(): void
  /**
   * Appends a program of classic BPF, which goes on at `accept` or `reject`. R6 is the packet; R0, R7, R8 and 64 octets of
   * the stack are used.
   */
  classic(program: readonly BpfInstruction[], accept: string, reject: string): void
  assemble(): EbpfInstruction[]
}

type Line = EbpfInstruction & {readonly target?: string}

export function createEbpfAssembler(): EbpfAssembler {
  const lines: Line[] = []
  const labels = new Map<string, number>()
  let programs = 0
  const put = (
    code: number,
    to: number,
    from: number,
    offset: number,
    immediate: number,
    target?: string,
  ): void => {
    lines.push({code, to, from, offset, immediate: immediate | 0, target})
  }
  const b: EbpfAssembler = {
    alu(op, to, from, wide = false) {
      const code = OP[op] | (wide ? 0x07 : 0x04)
      if (typeof from === 'number') put(code, to, 0, 0, from)
      else put(code | 0x08, to, from.register, 0, 0)
    },
    load: (octets, to, from, offset) => put(0x61 | WIDTH[octets], to, from, offset, 0),
    store: (octets, to, offset, from) => put(0x63 | WIDTH[octets], to, from, offset, 0),
    fetchAdd: (to, offset, from) => put(0xc3 | WIDTH[8], to, from, offset, 0x01),
    branch: (test, left, right, target, wide = false) =>
      put(TEST[test] | (wide ? 0x05 : 0x06), left, 0, 0, right, target),
    jump: (target) => put(0x05, 0, 0, 0, 0, target),
    label(name) {
      if (labels.has(name)) throw new Error(`label ${name} is there already`)
      labels.set(name, lines.length)
    },
    call: (helper) => put(0x85, 0, 0, 0, helper),
    mapValue(to) {
      put(0x18, to, MAP_VALUE, 0, 0)
      put(0, 0, 0, 0, 0)
    },
    map(to, descriptor) {
      put(0x18, to, MAP_DESCRIPTOR, 0, descriptor)
      put(0, 0, 0, 0, 0)
    },
    exit: () => put(0x95, 0, 0, 0, 0),
    classic(program, accept, reject) {
      const name = `classic${programs++}`
      b.alu('mov', R.result, 0)
      b.alu('mov', R.x, 0)
      program.forEach((instruction, i) => {
        b.label(`${name}-${i}`)
        translate(b, put, instruction, (far) => `${name}-${i + 1 + far}`, accept, reject)
      })
    },
    assemble: () =>
      lines.map(({target, ...line}, i) => {
        if (target === undefined) return line
        const to = labels.get(target)
        if (to === undefined) throw new Error(`no label ${target}`)
        return {...line, offset: to - i - 1}
      }),
  }
  return b
}

/**
 * One instruction of classic BPF: A is R0, X is R7, M lies on the stack. Loads of the packet are the same in both and end
 * the program with 0, too, where the packet is too short.
 */
function translate(
  b: EbpfAssembler,
  put: (
    code: number,
    to: number,
    from: number,
    offset: number,
    immediate: number,
    target?: string,
  ) => void,
  {code, jt, jf, k}: BpfInstruction,
  place: (far: number) => string,
  accept: string,
  reject: string,
): void {
  const memory = -4 * (k + 1)
  const [A, X] = [R.result, R.x]
  const mode = code & 0xe0
  switch (code & 0x07) {
    case CLASS.load:
      if (mode === 0x20) return put(code, 0, 0, 0, k)
      if (mode === 0x40) return put(code, 0, X, 0, k)
      if (mode === 0x80) return b.load(4, A, R.packet, 0)
      if (mode === 0x60) return b.load(4, A, R.stack, memory)
      return b.alu('mov', A, k)
    case CLASS.loadX:
      if (mode === 0x80) return b.load(4, X, R.packet, 0)
      if (mode === 0x60) return b.load(4, X, R.stack, memory)
      if (mode === 0x00) return b.alu('mov', X, k)
      // X ← 4 × (low half of the octet at k)
      b.alu('mov', R.map, {register: A})
      put(0x30, 0, 0, 0, k)
      b.alu('and', A, 15)
      b.alu('lsh', A, 2)
      b.alu('mov', X, {register: A})
      return b.alu('mov', A, {register: R.map})
    case CLASS.store:
      return b.store(4, R.stack, memory, A)
    case CLASS.storeX:
      return b.store(4, R.stack, memory, X)
    case CLASS.alu:
      // Classic BPF ends with 0 where eBPF would go on with a quotient of 0.
      if ((code & 0x08) !== 0 && [0x30, 0x90].includes(code & 0xf0)) b.branch('eq', X, 0, reject)
      return put(code, A, (code & 0x08) !== 0 && (code & 0xf0) !== 0x80 ? X : 0, 0, k)
    case CLASS.jump:
      if ((code & 0xf0) === 0) return b.jump(place(k))
      put(
        (code & 0xf8) | 0x06,
        A,
        (code & 0x08) === 0 ? 0 : X,
        0,
        (code & 0x08) === 0 ? k : 0,
        place(jt),
      )
      return b.jump(place(jf))
    case CLASS.ret:
      if ((code & 0x18) === 0x10) {
        b.branch('eq', A, 0, reject)
        return b.jump(accept)
      }
      return b.jump(k === 0 ? reject : accept)
    default:
      return (code & 0x80) === 0 ? b.alu('mov', X, {register: A}) : b.alu('mov', A, {register: X})
  }
}

/** `struct bpf_insn` after `struct bpf_insn`, in the byte order of the machine. */
export function ebpfOctets(program: readonly EbpfInstruction[]): Uint8Array {
  const octets = new Uint8Array(program.length * 8)
  const view = new DataView(octets.buffer)
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
  program.forEach(({code, to, from, offset, immediate}, i) => {
    octets[i * 8] = code
    octets[i * 8 + 1] = little ? to | (from << 4) : (to << 4) | from
    view.setInt16(i * 8 + 2, offset, little)
    view.setInt32(i * 8 + 4, immediate, little)
  })
  return octets
}
