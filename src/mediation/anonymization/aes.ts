/** AES-128 (FIPS 197), as far as Crypto-PAn needs it: the first bit of an encrypted block. */
export interface Aes {
  /** The first bit, 0 or 1, of what the block of these four words becomes. */
  firstBit(a: number, b: number, c: number, d: number): number
  /** Encrypts a block of 16 octets. */
  encrypt(block: Uint8Array): Uint8Array
}

const sbox = makeSbox()
/** MixColumns of SubBytes, for each place of an octet in its column. */
const tables = makeTables()

function makeSbox(): Uint8Array {
  const box = new Uint8Array(256)
  // 3 generates the field: its powers and their inverses.
  let p = 1
  let q = 1
  do {
    p = (p ^ (p << 1) ^ (p & 0x80 ? 0x11b : 0)) & 255
    q ^= q << 1
    q ^= q << 2
    q ^= q << 4
    q &= 255
    if (q & 0x80) q ^= 0x09
    const x = q ^ rotate8(q, 1) ^ rotate8(q, 2) ^ rotate8(q, 3) ^ rotate8(q, 4)
    box[p] = x ^ 0x63
  } while (p !== 1)
  box[0] = 0x63
  return box
}

function rotate8(x: number, n: number): number {
  return ((x << n) | (x >> (8 - n))) & 255
}

function double(x: number): number {
  return ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 255
}

function makeTables(): readonly Uint32Array[] {
  const out = [0, 1, 2, 3].map(() => new Uint32Array(256))
  for (let x = 0; x < 256; x++) {
    const s = sbox[x]
    const word = ((double(s) << 24) | (s << 16) | (s << 8) | (double(s) ^ s)) >>> 0
    for (let i = 0; i < 4; i++) out[i][x] = ((word >>> (8 * i)) | (word << (32 - 8 * i))) >>> 0
  }
  return out
}

const ROUNDS = 10

function expandKey(key: Uint8Array): Uint32Array {
  const words = new Uint32Array(4 * (ROUNDS + 1))
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  for (let i = 0; i < 4; i++) words[i] = view.getUint32(4 * i)
  let constant = 1
  for (let i = 4; i < words.length; i++) {
    let word = words[i - 1]
    if (i % 4 === 0) {
      word = substitute((word << 8) | (word >>> 24)) ^ (constant << 24)
      constant = double(constant)
    }
    words[i] = words[i - 4] ^ word
  }
  return words
}

function substitute(word: number): number {
  return (
    (sbox[word >>> 24] << 24) |
    (sbox[(word >>> 16) & 255] << 16) |
    (sbox[(word >>> 8) & 255] << 8) |
    sbox[word & 255]
  )
}

/** @param key 16 octets */
export function createAes(key: Uint8Array): Aes {
  const k = expandKey(key)
  const [t0, t1, t2, t3] = tables
  const state = new Uint32Array(4)

  /** All rounds but the last, on the words of `state`. */
  function rounds(): void {
    let a = state[0] ^ k[0]
    let b = state[1] ^ k[1]
    let c = state[2] ^ k[2]
    let d = state[3] ^ k[3]
    for (let r = 1; r < ROUNDS; r++) {
      const i = 4 * r
      const w = t0[a >>> 24] ^ t1[(b >>> 16) & 255] ^ t2[(c >>> 8) & 255] ^ t3[d & 255] ^ k[i]
      const x = t0[b >>> 24] ^ t1[(c >>> 16) & 255] ^ t2[(d >>> 8) & 255] ^ t3[a & 255] ^ k[i + 1]
      const y = t0[c >>> 24] ^ t1[(d >>> 16) & 255] ^ t2[(a >>> 8) & 255] ^ t3[b & 255] ^ k[i + 2]
      const z = t0[d >>> 24] ^ t1[(a >>> 16) & 255] ^ t2[(b >>> 8) & 255] ^ t3[c & 255] ^ k[i + 3]
      a = w
      b = x
      c = y
      d = z
    }
    state[0] = a
    state[1] = b
    state[2] = c
    state[3] = d
  }

  return {
    firstBit(a0, b0, c0, d0) {
      let a = a0 ^ k[0]
      let b = b0 ^ k[1]
      let c = c0 ^ k[2]
      let d = d0 ^ k[3]
      for (let i = 4; i < 36; i += 4) {
        const w = t0[a >>> 24] ^ t1[(b >>> 16) & 255] ^ t2[(c >>> 8) & 255] ^ t3[d & 255] ^ k[i]
        const x = t0[b >>> 24] ^ t1[(c >>> 16) & 255] ^ t2[(d >>> 8) & 255] ^ t3[a & 255] ^ k[i + 1]
        const y = t0[c >>> 24] ^ t1[(d >>> 16) & 255] ^ t2[(a >>> 8) & 255] ^ t3[b & 255] ^ k[i + 2]
        const z = t0[d >>> 24] ^ t1[(a >>> 16) & 255] ^ t2[(b >>> 8) & 255] ^ t3[c & 255] ^ k[i + 3]
        a = w
        b = x
        c = y
        d = z
      }
      // The first octet of the last round hangs on one word of the ninth.
      const w = t0[a >>> 24] ^ t1[(b >>> 16) & 255] ^ t2[(c >>> 8) & 255] ^ t3[d & 255] ^ k[36]
      return ((sbox[w >>> 24] << 24) ^ k[40]) >>> 31
    },
    encrypt(block) {
      const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
      for (let i = 0; i < 4; i++) state[i] = view.getUint32(4 * i)
      rounds()
      const out = new Uint8Array(16)
      const words = new DataView(out.buffer)
      for (let i = 0; i < 4; i++) {
        const word =
          (sbox[state[i] >>> 24] << 24) |
          (sbox[(state[(i + 1) % 4] >>> 16) & 255] << 16) |
          (sbox[(state[(i + 2) % 4] >>> 8) & 255] << 8) |
          sbox[state[(i + 3) % 4] & 255]
        words.setUint32(4 * i, word ^ k[4 * ROUNDS + i])
      }
      return out
    },
  }
}
