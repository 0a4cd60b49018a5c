import type {BpfInstruction} from './bpf-assembler.js'

/** Octets of a frame that a program accepts; 0: it rejects the frame. */
export type BpfTest = (octets: Uint8Array, originalLength: number) => number

/**
 * Runs a classic BPF program as the kernel does, bpf(4): arithmetic modulo 2^32, and what reaches past the captured octets,
 * divides by 0 or asks for what only the kernel knows, rejects. `len` is the length on the wire.
 */
export function bpfTest(program: readonly BpfInstruction[]): BpfTest {
  const codes = Uint16Array.from(program, ({code}) => code)
  const ks = Uint32Array.from(program, ({k}) => k)
  const jts = Uint8Array.from(program, ({jt}) => jt)
  const jfs = Uint8Array.from(program, ({jf}) => jf)
  const memory = new Uint32Array(16)
  return (octets, originalLength) => {
    let a = 0
    let x = 0
    memory.fill(0)
    for (let pc = 0; pc < codes.length; pc++) {
      const code = codes[pc]
      const k = ks[pc]
      switch (code & 0x07) {
        case 0x00: {
          const mode = code & 0xe0
          if (mode === 0x00) a = k
          else if (mode === 0x60) a = memory[k & 15]
          else if (mode === 0x80) a = originalLength
          else {
            const at = mode === 0x40 ? k + x : k
            const size = (code & 0x18) === 0x00 ? 4 : (code & 0x18) === 0x08 ? 2 : 1
            if (at + size > octets.length) return 0
            a = octets[at]
            for (let i = 1; i < size; i++) a = ((a << 8) | octets[at + i]) >>> 0
          }
          break
        }
        case 0x01: {
          const mode = code & 0xe0
          if (mode === 0x00) x = k
          else if (mode === 0x60) x = memory[k & 15]
          else if (mode === 0x80) x = originalLength
          else {
            if (k >= octets.length) return 0
            x = (octets[k] & 15) << 2
          }
          break
        }
        case 0x02:
          memory[k & 15] = a
          break
        case 0x03:
          memory[k & 15] = x
          break
        case 0x04: {
          const b = (code & 0x08) === 0 ? k : x
          const result = calculate(code & 0xf0, a, b)
          if (result === undefined) return 0
          a = result
          break
        }
        case 0x05: {
          const b = (code & 0x08) === 0 ? k : x
          const test = code & 0xf0
          if (test === 0x00) {
            pc += k
            break
          }
          const holds =
            test === 0x10 ? a === b : test === 0x20 ? a > b : test === 0x30 ? a >= b : (a & b) !== 0
          pc += holds ? jts[pc] : jfs[pc]
          break
        }
        case 0x06:
          return (code & 0x18) === 0x10 ? a : k
        default:
          if ((code & 0x80) === 0) x = a
          else a = x
      }
    }
    return 0
  }
}

function calculate(operation: number, a: number, b: number): number | undefined {
  switch (operation) {
    case 0x00:
      return (a + b) >>> 0
    case 0x10:
      return (a - b) >>> 0
    case 0x20:
      return Math.imul(a, b) >>> 0
    case 0x30:
      return b === 0 ? undefined : Math.floor(a / b)
    case 0x40:
      return (a | b) >>> 0
    case 0x50:
      return (a & b) >>> 0
    case 0x60:
      return b > 31 ? 0 : (a << b) >>> 0
    case 0x70:
      return b > 31 ? 0 : a >>> b
    case 0x80:
      return -a >>> 0
    case 0x90:
      return b === 0 ? undefined : a % b
    default:
      return (a ^ b) >>> 0
  }
}
