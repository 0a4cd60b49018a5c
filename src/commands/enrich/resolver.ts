import {Resolver} from 'node:dns/promises'
import {addressOctets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'

/**
 * How long a server has for its first answer, in milliseconds, and how often it is asked. Of a server that has answered before less time is
 * left to the next answer, so that two questions would be few on a busy machine.
 */
const TIMEOUT_MS = 2000
const TRIES = 4

export interface NameResolver {
  /** Names of an address; rejects with the code ENOTFOUND or ENODATA if it has none. */
  ask(address: string): Promise<string[]>
  /** Gives up all questions. */
  cancel(): void
}

/**
 * Asks the servers for names, or those of the system if there are none.
 *
 * @throws DartaError DARTA_USAGE: a server is no address
 */
export function openResolver(servers: readonly string[]): NameResolver {
  const resolver = new Resolver({timeout: TIMEOUT_MS, tries: TRIES})
  if (servers.length > 0) {
    try {
      resolver.setServers(servers)
    } catch {
      throw new DartaError(
        'DARTA_USAGE',
        `--resolver: expected an address like 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353, not ${servers.join(', ')}`,
      )
    }
  }
  return {
    // Not `reverse`, which takes every failure for an address without a name and asks /etc/hosts first.
    ask: (address) => resolver.resolvePtr(pointerName(address)),
    cancel: () => resolver.cancel(),
  }
}

/** The name that has the PTR of an address. RFC 1035 section 3.5, RFC 3596 section 2.5. */
function pointerName(address: string): string {
  const octets = [...addressOctets(address)].reverse()
  if (octets.length === 4) return `${octets.join('.')}.in-addr.arpa`
  const nibbles = octets.flatMap((octet) => [octet & 15, octet >>> 4])
  return `${nibbles.map((nibble) => nibble.toString(16)).join('.')}.ip6.arpa`
}
