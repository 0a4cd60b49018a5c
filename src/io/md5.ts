import {createHash} from 'node:crypto'

/** MD5 (RFC 1321), which RFC 5655 takes to notice damage; against an attacker it is none. */
export function md5Of(octets: Uint8Array): Uint8Array {
  return createHash('md5').update(octets).digest()
}
