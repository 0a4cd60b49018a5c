import {createCipheriv, createDecipheriv, randomBytes} from 'node:crypto'
import type {SnmpPackage} from './package.js'

/**
 * Node's OpenSSL has DES no more, but has triple DES, which with one key three times is DES: of encrypting, decrypting and
 * encrypting again the first two undo each other. NIST SP 800-67 section 3.
 */
const TRIPLE_DES = 'des-ede3-cbc'
/** Octets of a block, of a key, and of what makes the IV of a salt. */
const BLOCK = 8

/** A protocol whose keys of 56 bits can all be tried. */
export const WEAK_PRIVACY = 'des'

/** What the package calls to hide what is said, and to read it. Both throw where that cannot be. */
export interface PackagePrivacy {
  encryptPdu(
    scopedPdu: Uint8Array,
    protocol: number,
    passphrase: string,
    authentication: number,
    engine: PackageEngine,
  ): {encryptedPdu: Buffer; msgPrivacyParameters: Buffer}
  decryptPdu(
    encryptedPdu: Uint8Array,
    protocol: number,
    salt: Uint8Array,
    passphrase: string,
    authentication: number,
    engine: PackageEngine,
  ): Buffer
}

interface PackageEngine {
  readonly engineID: Uint8Array
  readonly engineBoots: number
}

/** Puts the DES of RFC 3414 section 8 in the place of the package's own, which asks Node for it. */
export function provideDes({PrivProtocols, Authentication, Encryption}: SnmpPackage): void {
  /** Of each message another. */
  let count = randomBytes(4).readUInt32BE()

  function keys(
    authentication: number,
    passphrase: string,
    {engineID}: PackageEngine,
    salt: Uint8Array,
  ): [key: Buffer, iv: Buffer] {
    const localized = Authentication.passwordToKey(authentication, passphrase, engineID)
    const key = localized.subarray(0, BLOCK)
    const iv = Buffer.from(localized.subarray(BLOCK, 2 * BLOCK).map((octet, i) => octet ^ salt[i]))
    return [Buffer.concat([key, key, key]), iv]
  }

  Encryption.algorithms[PrivProtocols[WEAK_PRIVACY]] = {
    encryptPdu(scopedPdu, _, passphrase, authentication, engine) {
      const salt = Buffer.alloc(BLOCK)
      salt.writeUInt32BE(engine.engineBoots)
      salt.writeUInt32BE(count, 4)
      count = (count + 1) >>> 0
      const cipher = createCipheriv(TRIPLE_DES, ...keys(authentication, passphrase, engine, salt))
      cipher.setAutoPadding(false)
      // What fills the last block is of no importance: BER says where the PDU ends.
      const filled = Buffer.alloc(BLOCK * Math.ceil(scopedPdu.length / BLOCK))
      filled.set(scopedPdu)
      const encryptedPdu = Buffer.concat([cipher.update(filled), cipher.final()])
      return {encryptedPdu, msgPrivacyParameters: salt}
    },
    decryptPdu(encryptedPdu, _, salt, passphrase, authentication, engine) {
      if (salt.length !== BLOCK || encryptedPdu.length % BLOCK !== 0) {
        throw new RangeError('this is not what DES makes')
      }
      const decipher = createDecipheriv(
        TRIPLE_DES,
        ...keys(authentication, passphrase, engine, salt),
      )
      decipher.setAutoPadding(false)
      return Buffer.concat([decipher.update(encryptedPdu), decipher.final()])
    },
  }
}
