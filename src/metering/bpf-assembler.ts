import {littleEndian} from './byte-order.js'

/** One instruction of classic BPF, as `struct sock_filter` and `tcpdump -ddd` have it. */
export interface BpfInstruction {
  readonly code: number
  readonly jt: number
  readonly jf: number
  readonly k: number
}

/** The most instructions the kernel takes (BPF_MAXINSNS). */
export const MAX_BPF_INSTRUCTIONS = 4096

const ALU = {add: 0x00, sub: 0x10, mul: 0x20, or: 0x40, and: 0x50, lsh: 0x60, rsh: 0x70, xor: 0xa0}
const JUMP = {eq: 0x15, gt: 0x25, ge: 0x35, set: 0x45}

type Line =
  | {readonly kind: 'plain'; readonly code: number; readonly k: number}
  | {readonly kind: 'goto'; readonly target: string}
  | {
      readonly kind: 'if'
      readonly code: number
      readonly k: number
      readonly yes: string
      readonly no: string
    }

/** Writes classic BPF with named labels. Jumps only go forward; far ones are bridged by unconditional jumps. */
export interface BpfAssembler {
  /** A ← packet word, half word or octet at `offset`, or at X + offset. */
  load(octets: 1 | 2 | 4, offset: number, indexed?: boolean): void
  /** A ← number */
  loadNumber(k: number): void
  /** A ← packet length */
  loadLength(): void
  /** A ← scratch memory M[slot] */
  loadMemory(slot: number): void
  /** M[slot] ← A */
  storeMemory(slot: number): void
  /** X ← number */
  loadXNumber(k: number): void
  loadXMemory(slot: number): void
  /** X ← A */
  tax(): void
  /** A ← X */
  txa(): void
  /** A ← A op k, or A op X */
  alu(op: keyof typeof ALU, k: number | 'X'): void
  /** Go to `yes` or `no` by comparing A with k; `next` is the following instruction. */
  branch(test: keyof typeof JUMP, k: number, yes: string, no: string): void
  jump(target: string): void
  label(name: string): void
  /** Ends the program with k octets accepted. */
  accept(k: number): void
  /** Ends the program with A octets accepted. */
  acceptA(): void
  assemble(): BpfInstruction[]
}

export function createBpfAssembler(): BpfAssembler {
  const lines: Line[] = []
  const labels = new Map<string, number>()
  const plain = (code: number, k = 0): void => {
    lines.push({kind: 'plain', code, k: k >>> 0})
  }
  return {
    load(octets, offset, indexed = false) {
      const size = octets === 4 ? 0x00 : octets === 2 ? 0x08 : 0x10
      plain((indexed ? 0x40 : 0x20) | size, offset)
    },
    loadNumber: (k) => plain(0x00, k),
    loadLength: () => plain(0x80),
    loadMemory: (slot) => plain(0x60, slot),
    storeMemory: (slot) => plain(0x02, slot),
    loadXNumber: (k) => plain(0x01, k),
    loadXMemory: (slot) => plain(0x61, slot),
    tax: () => plain(0x07),
    txa: () => plain(0x87),
    alu: (op, k) => (k === 'X' ? plain(0x0c | ALU[op]) : plain(0x04 | ALU[op], k)),
    branch: (test, k, yes, no) => {
      lines.push({kind: 'if', code: JUMP[test], k: k >>> 0, yes, no})
    },
    jump: (target) => {
      lines.push({kind: 'goto', target})
    },
    label: (name) => {
      if (labels.has(name)) throw new Error(`label ${name} is there already`)
      labels.set(name, lines.length)
    },
    accept: (k) => plain(0x06, k),
    acceptA: () => plain(0x16),
    assemble: () => assemble(lines, labels),
  }
}

/**
 * Conditional jumps reach 255 instructions; a farther one goes to an unconditional jump put right behind it.
 * Whether one is needed depends on the others, so widths only grow until nothing changes.
 */
function assemble(lines: readonly Line[], labels: ReadonlyMap<string, number>): BpfInstruction[] {
  const wide = new Set<string>()
  for (;;) {
    const starts: number[] = []
    let size = 0
    lines.forEach((line, i) => {
      starts.push(size)
      size += 1
      if (line.kind === 'if') size += Number(wide.has(`${i}y`)) + Number(wide.has(`${i}n`))
    })
    starts.push(size)
    const place = (name: string, from: number): number => {
      if (name === 'next') return starts[from + 1]
      const line = labels.get(name)
      if (line === undefined || line <= from) throw new Error(`no label ${name} ahead`)
      return starts[line]
    }
    let grown = false
    const out: BpfInstruction[] = []
    lines.forEach((line, i) => {
      const at = starts[i]
      if (line.kind === 'plain') out.push({code: line.code, jt: 0, jf: 0, k: line.k})
      else if (line.kind === 'goto') {
        out.push({code: 0x05, jt: 0, jf: 0, k: place(line.target, i) - at - 1})
      } else {
        const bridges: BpfInstruction[] = []
        const reach = (target: string, side: 'y' | 'n'): number => {
          const to = place(target, i)
          if (!wide.has(`${i}${side}`)) {
            if (to - at - 1 > 255) {
              wide.add(`${i}${side}`)
              grown = true
            }
            return to - at - 1
          }
          bridges.push({code: 0x05, jt: 0, jf: 0, k: to - (at + 1 + bridges.length) - 1})
          return bridges.length - 1
        }
        const jt = reach(line.yes, 'y')
        const jf = reach(line.no, 'n')
        out.push({code: line.code, jt, jf, k: line.k}, ...bridges)
      }
    })
    if (!grown) {
      if (out.length > MAX_BPF_INSTRUCTIONS)
        throw new Error(`${out.length} instructions are too many for BPF`)
      return out
    }
  }
}

/** `struct sock_filter` after `struct sock_filter`, in the byte order of the machine. */
export function bpfOctets(program: readonly BpfInstruction[]): Uint8Array {
  const octets = new Uint8Array(program.length * 8)
  const view = new DataView(octets.buffer)
  program.forEach(({code, jt, jf, k}, i) => {
    view.setUint16(i * 8, code, littleEndian)
    octets[i * 8 + 2] = jt
    octets[i * 8 + 3] = jf
    view.setUint32(i * 8 + 4, k, littleEndian)
  })
  return octets
}

/** Reads what `tcpdump -ddd` prints: the number of instructions, then `code jt jf k` in decimal, a line each. */
export function parseBpfText(text: string): BpfInstruction[] {
  return text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(' ').map(Number))
    .map(([code, jt, jf, k]) => ({code, jt, jf, k}))
}

const RETURN = 0x06
const RETURN_A = 0x16
const JUMP_ALWAYS = 0x05

/**
 * A program that accepts what both accept, with the snap length of `second`, which must not count on what A, X and M
 * hold at its start: it begins where `first` accepted.
 */
export function bothPrograms(
  first: readonly BpfInstruction[],
  second: readonly BpfInstruction[],
): BpfInstruction[] {
  return goingOn(first, second, (snapLength) => snapLength !== 0)
}

/** A program that does what `second` does with what `first` refuses. `second` as in `bothPrograms`. */
export function eitherProgram(
  first: readonly BpfInstruction[],
  second: readonly BpfInstruction[],
): BpfInstruction[] {
  return goingOn(first, second, (snapLength) => snapLength === 0)
}

/** `first`, which goes on at the beginning of `second` where it would return what `goesOn` names. */
function goingOn(
  first: readonly BpfInstruction[],
  second: readonly BpfInstruction[],
  goesOn: (snapLength: number) => boolean,
): BpfInstruction[] {
  if (first.some(({code}) => code === RETURN_A))
    throw new Error('a filter that returns A cannot be joined')
  const joined = first.map((instruction, i) =>
    instruction.code === RETURN && goesOn(instruction.k)
      ? {code: JUMP_ALWAYS, jt: 0, jf: 0, k: first.length - i - 1}
      : instruction,
  )
  return [...joined, ...second]
}
