import type {BpfInstruction} from './bpf-assembler.js'
import {
  createEbpfAssembler,
  ebpfOctets,
  R,
  type ClassicMachine,
  type EbpfAssembler,
} from './ebpf.js'

/** Kernel functions of eBPF, by their numbers in linux/bpf.h. */
const CALL = {
  ktimeGetNs: 5,
  redirectMap: 51,
  xdpAdjustMeta: 54,
  xdpGetBuffLen: 188,
  xdpLoadBytes: 189,
} as const
const XDP = {drop: 1, pass: 2} as const
/** Where struct xdp_md has them. */
const MD = {data: 0, dataEnd: 4, dataMeta: 8, queue: 16} as const
/** Written before each frame with the time, so that the reader knows that there is one. */
const TIME_MARK = 0x64617274612d7473n

/** Registers: A and X of classic BPF, two that any step may use, and what calls keep. */
const X = {a: 2, x: 3, t: 4, u: 5, context: 6, data: 7, end: 8, length: 9} as const
/** The verifier follows packet offsets to here; no frame in one piece is longer. */
const MAX_OFFSET = 0x7fff

/** How indexed loads are done: by a pointer into the packet, or by a kernel function, which needs fewer rights. */
export type IndexedLoads = 'direct' | 'call'

/**
 * An XDP program that decides as a classic BPF program does and hands what that accepts to the AF_XDP socket of the
 * frame's receive queue. All other frames go on into the kernel as if nothing had been there (XDP_PASS), unless they are to
 * be dropped, and so do those of a queue without a socket. What is handed over gets the kernel's monotonic time in front.
 *
 * Frames are seen as they are on the wire; those that the driver keeps in several pieces only as far as the first one.
 *
 * @param filter what classic BPF programs of the kernel may consist of, without ancillary loads
 * @returns struct bpf_insn after struct bpf_insn; the map of sockets is a BPF_PSEUDO_MAP_FD without descriptor
 */
export function xdpProgram(
  filter: readonly BpfInstruction[],
  loads: IndexedLoads,
  others: keyof typeof XDP = 'pass',
): Uint8Array {
  const b = createEbpfAssembler()
  decide(b, filter, frame(loads))
  b.label('take')
  handOver(b)
  b.label('leave')
  leave(b, others)
  return ebpfOctets(b.assemble())
}

/**
 * An XDP program that drops what a classic BPF program rejects, before the kernel makes a packet of it; all else goes on,
 * also frames whose piece in sight is too short to decide.
 */
export function earlyProgram(filter: readonly BpfInstruction[], loads: IndexedLoads): Uint8Array {
  const b = createEbpfAssembler()
  const machine = frame(loads)
  decide(b, filter, {
    ...machine,
    load: (to, octets, k, indexed) => machine.load(to, octets, k, indexed, 'take'),
    loadX: (to, k) => machine.loadX(to, k, 'take'),
  })
  b.label('take')
  leave(b, 'pass')
  b.label('leave')
  leave(b, 'drop')
  return ebpfOctets(b.assemble())
}

function leave(b: EbpfAssembler, how: keyof typeof XDP): void {
  b.alu('mov', R.result, XDP[how], true)
  b.exit()
}

/** Goes on at `take` or `leave`. */
function decide(
  b: EbpfAssembler,
  filter: readonly BpfInstruction[],
  machine: ClassicMachine,
): void {
  b.alu('mov', X.context, {register: R.a1}, true)
  b.load(4, X.data, X.context, MD.data)
  b.load(4, X.end, X.context, MD.dataEnd)
  b.call(CALL.xdpGetBuffLen)
  b.alu('mov', X.length, {register: R.result}, true)
  // The verifier wants both ends to be reachable, whatever the filter is: no frame is empty or longer than any.
  b.branch('eq', X.length, 0, 'leave')
  b.branch('gt', X.length, -1, 'take')
  b.classic(filter, 'take', 'leave', machine)
}

/** Places on the stack below the scratch memory: A, X and the octets of a call. */
const SAVED_A = -72
const SAVED_X = -76
const LOADED = -80

function handOver(b: EbpfAssembler): void {
  // The time goes into 16 octets in front of the frame. Drivers that have no room there leave it to the reader.
  b.alu('mov', R.a1, {register: X.context}, true)
  b.alu('mov', R.a2, -16, true)
  b.call(CALL.xdpAdjustMeta)
  b.branch('ne', R.result, 0, 'without time', true)
  b.call(CALL.ktimeGetNs)
  b.load(4, R.a1, X.context, MD.dataMeta)
  b.load(4, R.a2, X.context, MD.data)
  b.alu('mov', R.a3, {register: R.a1}, true)
  b.alu('add', R.a3, 16, true)
  b.branch('gt', R.a3, {register: R.a2}, 'without time', true)
  b.number(R.a3, TIME_MARK)
  b.store(8, R.a1, 0, R.a3)
  b.store(8, R.a1, 8, R.result)
  b.label('without time')
  b.map(R.a1, 0)
  b.load(4, R.a2, X.context, MD.queue)
  b.alu('mov', R.a3, XDP.pass, true)
  b.call(CALL.redirectMap)
  b.exit()
}

/** What reaches past the frame is rejected, as the kernel does with classic BPF. */
function frame(loads: IndexedLoads): ClassicMachine {
  return {
    a: X.a,
    x: X.x,
    load(b, octets, k, indexed, reject) {
      if (k > MAX_OFFSET) never(b, reject)
      else if (!indexed) absolute(b, octets, k, X.a, reject)
      else {
        b.branch('gt', X.x, MAX_OFFSET, reject)
        if (loads === 'direct') direct(b, octets, k, reject)
        else called(b, octets, k, reject)
      }
    },
    loadX(b, k, reject) {
      if (k > MAX_OFFSET) never(b, reject)
      else absolute(b, 1, k, X.x, reject)
    },
    length: (b, to) => b.alu('mov', to, {register: X.length}),
  }
}

/** No packet is that long. What follows must look reachable all the same. */
function never(b: EbpfAssembler, reject: string): void {
  b.branch('ge', X.length, 0, reject)
}

/** to ← packet octets at k */
function absolute(b: EbpfAssembler, octets: 1 | 2 | 4, k: number, to: number, reject: string) {
  b.alu('mov', X.t, {register: X.data}, true)
  b.alu('add', X.t, k + octets, true)
  b.branch('gt', X.t, {register: X.end}, reject, true)
  b.load(octets, to, X.data, k)
  b.toHost(octets, to)
}

/** A ← packet octets at X + k, by a pointer */
function direct(b: EbpfAssembler, octets: 1 | 2 | 4, k: number, reject: string): void {
  b.alu('mov', X.u, {register: X.data}, true)
  b.alu('add', X.u, {register: X.x}, true)
  b.alu('mov', X.t, {register: X.u}, true)
  b.alu('add', X.t, k + octets, true)
  b.branch('gt', X.t, {register: X.end}, reject, true)
  b.load(octets, X.a, X.u, k)
  b.toHost(octets, X.a)
}

/** The same by the kernel's function, which takes any offset. A and X are kept on the stack meanwhile. */
function called(b: EbpfAssembler, octets: 1 | 2 | 4, k: number, reject: string): void {
  b.store(4, R.stack, SAVED_A, X.a)
  b.store(4, R.stack, SAVED_X, X.x)
  b.alu('mov', R.a1, {register: X.context}, true)
  b.alu('mov', R.a2, {register: X.x})
  b.alu('add', R.a2, k)
  b.alu('mov', R.a3, {register: R.stack}, true)
  b.alu('add', R.a3, LOADED, true)
  b.alu('mov', R.a4, octets, true)
  b.call(CALL.xdpLoadBytes)
  b.load(4, X.a, R.stack, SAVED_A)
  b.load(4, X.x, R.stack, SAVED_X)
  b.branch('ne', R.result, 0, reject)
  b.load(octets, X.a, R.stack, LOADED)
  b.toHost(octets, X.a)
}
