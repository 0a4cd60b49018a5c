import {ipv4Octets, ipv6Octets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'
import {octetText} from './findings.js'

/** Finds what the longest prefix of an address that is in the table stands for. */
export interface PrefixTable<T> {
  v4(address: number): T | undefined
  v6(octets: Uint8Array, at: number): T | undefined
}

export interface Prefix {
  /** Of the whole address, 4 or 16. */
  readonly octets: Uint8Array<ArrayBuffer>
  readonly bits: number
}

/** @throws DartaError DARTA_USAGE a prefix cannot be read */
export function createPrefixTable<T>(entries: Iterable<readonly [string, T]>): PrefixTable<T> {
  const four: Map<number, T>[] = []
  const six: Map<string, T>[] = []
  for (const [text, value] of entries) {
    const {octets, bits} = parsePrefix(text)
    if (octets.length === 4) {
      const address = new DataView(octets.buffer).getUint32(0)
      ;(four[bits] ??= new Map()).set(masked(address, bits), value)
    } else (six[bits] ??= new Map()).set(masked6(octets, 0, bits), value)
  }
  // Longest first.
  const lengths = (tables: readonly unknown[]): number[] =>
    Object.keys(tables).map(Number).reverse()
  const fours = lengths(four)
  const sixes = lengths(six)
  return {
    v4(address) {
      for (const bits of fours) {
        const found = four[bits].get(masked(address, bits))
        if (found !== undefined) return found
      }
      return undefined
    },
    v6(octets, at) {
      for (const bits of sixes) {
        const found = six[bits].get(masked6(octets, at, bits))
        if (found !== undefined) return found
      }
      return undefined
    },
  }
}

function masked(address: number, bits: number): number {
  return bits === 0 ? 0 : (address & (-1 << (32 - bits))) >>> 0
}

function masked6(octets: Uint8Array, at: number, bits: number): string {
  const whole = bits >> 3
  const text = octetText(octets.subarray(at, at + whole))
  const rest = bits & 7
  return rest === 0 ? text : text + String.fromCharCode(octets[at + whole] & (0xff00 >> rest))
}

export function parsePrefix(text: string): Prefix {
  const [address, length] = text.split('/')
  let octets: Uint8Array
  try {
    octets = address.includes(':') ? ipv6Octets(address) : ipv4Octets(address)
  } catch (error) {
    throw new DartaError('DARTA_USAGE', `'${text}' is no prefix`, undefined, error)
  }
  const most = octets.length * 8
  const bits = length === undefined ? most : Number(length)
  if (!Number.isInteger(bits) || bits < 0 || bits > most) {
    throw new DartaError('DARTA_USAGE', `'${text}': a prefix has 0 to ${most} bits`)
  }
  return {octets: octets.slice(), bits}
}
