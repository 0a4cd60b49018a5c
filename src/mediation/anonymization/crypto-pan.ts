import {DartaError} from '../../record/errors.js'
import type {CryptoPanKernel} from '../../record/crypto-pan-kernel.js'
import {kernels} from '../../record/kernels.js'
import {createAes} from './aes.js'

/** Octets of a key: 16 for AES, 16 for the padding. */
export const KEY_OCTETS = 32

/**
 * Prefix-preserving permutation of addresses: two that agree in their first n bits agree in the first n bits of what they
 * become, and in no more. Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", 2002; of RFC 6235 section
 * 4.1.3 it is a structured permutation.
 */
export interface CryptoPan {
  /** An IPv4 address as a number. */
  ipv4(address: number): number
  /** Changes the 16 octets at `at`. */
  ipv6(view: DataView, at: number): void
  /** Changes the 6 octets at `at`: the same over 48 bits. */
  mac(view: DataView, at: number): void
  /** Does the same to many, where the addon and the processor can. */
  readonly kernel: CryptoPanKernel | undefined
}

/** Places of the cache of whole addresses. */
const CACHE = 1 << 17
const CACHE6 = 1 << 15

/** @param key 32 octets. @throws DartaError DARTA_USAGE */
export function createCryptoPan(key: Uint8Array): CryptoPan {
  if (key.length !== KEY_OCTETS) {
    throw new DartaError('DARTA_USAGE', `a key has ${KEY_OCTETS} octets, not ${key.length}`)
  }
  const aes = createAes(key.subarray(0, 16))
  const padding = new DataView(aes.encrypt(key.subarray(16)).buffer)
  const pad = Array.from({length: 4}, (_, i) => padding.getUint32(4 * i))

  // What is xored to the first 16 bits, by these bits: they are shared by many.
  const upper = new Uint16Array(65536)
  const known = new Uint8Array(65536)
  const keys = new Uint32Array(CACHE)
  const values = new Uint32Array(CACHE)
  const used = new Uint8Array(CACHE)

  /** Bits `from` to `to` (of 32) of what is xored to an IPv4 address. */
  function flips4(address: number, from: number, to: number): number {
    let flips = 0
    for (let n = from; n < to; n++) {
      const mask = n === 0 ? 0 : (-1 << (32 - n)) >>> 0
      const word = (address & mask) | (pad[0] & ~mask)
      flips |= aes.firstBit(word, pad[1], pad[2], pad[3]) << (31 - n)
    }
    return flips
  }

  function ipv4(address: number): number {
    const slot = Math.imul(address ^ (address >>> 15), 0x2c1b3c6d) >>> 15
    if (used[slot] === 1 && keys[slot] === address) return values[slot]
    const top = address >>> 16
    if (known[top] === 0) {
      upper[top] = flips4(address, 0, 16) >>> 16
      known[top] = 1
    }
    const value = (address ^ (upper[top] << 16) ^ flips4(address, 16, 32)) >>> 0
    used[slot] = 1
    keys[slot] = address
    values[slot] = value
    return value
  }

  const input = new Uint32Array(4)
  const flips = new Uint32Array(4)
  const block = new Uint32Array(4)

  /** Fills bits `from` to `to` of `flips` for the words of `input`. */
  function flipsOf(from: number, to: number): void {
    for (let n = from; n < to; n++) {
      const w = n >>> 5
      const mask = (n & 31) === 0 ? 0 : (-1 << (32 - (n & 31))) >>> 0
      for (let i = 0; i < 4; i++) {
        block[i] = i < w ? input[i] : i > w ? pad[i] : (input[i] & mask) | (pad[i] & ~mask)
      }
      const bit = aes.firstBit(block[0], block[1], block[2], block[3])
      flips[w] |= bit << (31 - (n & 31))
    }
  }

  const keys6 = new Uint32Array(4 * CACHE6)
  const values6 = new Uint32Array(4 * CACHE6)
  const used6 = new Uint8Array(CACHE6)
  // The first 64 bits of an address, its network, are shared by many.
  const networks = new Map<string, readonly [number, number]>()

  function ipv6(view: DataView, at: number): void {
    let hash = 0x811c9dc5
    for (let i = 0; i < 4; i++) {
      input[i] = view.getUint32(at + 4 * i)
      hash = Math.imul(hash ^ input[i], 0x01000193)
      hash ^= hash >>> 13
    }
    const slot = hash & (CACHE6 - 1)
    const place = 4 * slot
    const hit =
      used6[slot] === 1 &&
      keys6[place] === input[0] &&
      keys6[place + 1] === input[1] &&
      keys6[place + 2] === input[2] &&
      keys6[place + 3] === input[3]
    if (!hit) {
      flips.fill(0)
      const name = `${input[0]},${input[1]}`
      let network = networks.get(name)
      if (network === undefined) {
        flipsOf(0, 64)
        network = [flips[0], flips[1]]
        if (networks.size > 65536) networks.clear()
        networks.set(name, network)
      }
      flips[0] = network[0]
      flips[1] = network[1]
      flipsOf(64, 128)
      used6[slot] = 1
      for (let i = 0; i < 4; i++) {
        keys6[place + i] = input[i]
        values6[place + i] = input[i] ^ flips[i]
      }
    }
    for (let i = 0; i < 4; i++) view.setUint32(at + 4 * i, values6[place + i])
  }

  const macs = new Map<number, number>()

  function mac(view: DataView, at: number): void {
    const high = view.getUint32(at)
    const low = view.getUint16(at + 4)
    const name = high * 65536 + low
    let value = macs.get(name)
    if (value === undefined) {
      flips.fill(0)
      input.set([high, low << 16, 0, 0])
      flipsOf(0, 48)
      value = ((high ^ flips[0]) >>> 0) * 65536 + (low ^ (flips[1] >>> 16))
      if (macs.size > 65536) macs.clear()
      macs.set(name, value)
    }
    view.setUint32(at, Math.floor(value / 65536))
    view.setUint16(at + 4, value % 65536)
  }

  return {ipv4, ipv6, mac, kernel: kernels.cryptoPan?.(key)}
}
