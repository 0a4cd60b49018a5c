/**
 * Permutes addresses in place with the processor's AES instructions: native/kernel/crypto_pan.cc. The plain twin, which
 * does the same to one address, is src/mediation/anonymization/crypto-pan.ts.
 */
export interface CryptoPanKernel {
  /**
   * Changes fields of octets; the first `words` of `spans` are (octet of the first record, records, octets of each, offset of
   * the field, its length: 4 for IPv4, 16 for IPv6, 6 for MAC addresses) again and again.
   *
   * @throws RangeError a field leaves the octets
   */
  run(octets: Uint8Array, spans: Uint32Array, words: number): void
}

/** Words of a span. */
export const PAN_SPAN = 5

/** @param key 32 octets. Undefined: the processor has no such instructions. */
export type CreateCryptoPanKernel = (key: Uint8Array) => CryptoPanKernel | undefined
