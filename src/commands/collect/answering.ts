import {isIP} from 'node:net'
import {parseEndpoint, type Endpoint} from '../../io/endpoint.js'
import {addressOctets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'

/** An endpoint of a protocol in which each record is answered when it is safe. */
export interface AnsweringEndpoint {
  readonly protocol: 'radius' | 'diameter'
  readonly endpoint: Endpoint
  /** What stood behind the question mark. */
  readonly options: ReadonlyMap<string, string>
}

/** Registered ports. RFC 2866 section 3, RFC 6733 section 11.4. */
const schemes = new Map<
  string,
  readonly [AnsweringEndpoint['protocol'], 'udp' | 'tcp' | 'tls', number]
>([
  ['radius', ['radius', 'udp', 1813]],
  ['diameter', ['diameter', 'tcp', 3868]],
  ['diameters', ['diameter', 'tls', 5658]],
  ['diameter+tls', ['diameter', 'tls', 5658]],
])

const optionsOf: Readonly<Record<AnsweringEndpoint['protocol'], readonly string[]>> = {
  radius: ['secret-file'],
  diameter: ['identity', 'realm'],
}

/**
 * Reads `radius://[HOST][:PORT][?secret-file=FILE]`, `diameter://…` or `diameters://…[?identity=NAME&realm=NAME]`; undefined
 * for all other endpoints.
 *
 * @throws DartaError DARTA_USAGE
 */
export function answeringEndpoint(word: string): AnsweringEndpoint | undefined {
  const match = /^([a-z+]+):\/\/([^?]*)(?:\?(.*))?$/s.exec(word)
  const scheme = match === null ? undefined : schemes.get(match[1])
  if (match === null || scheme === undefined) return undefined
  const [, name, place, query] = match
  const [protocol, transport, port] = scheme
  const endpoint = parseEndpoint(`${transport}://${place}`, {
    role: 'listen',
    port,
    transports: [transport],
  })
  const options = new Map<string, string>()
  for (const part of query === undefined || query === '' ? [] : query.split('&')) {
    const at = part.indexOf('=')
    const key = part.slice(0, Math.max(at, 0))
    if (!optionsOf[protocol].includes(key)) {
      const known = optionsOf[protocol].map((one) => `${one}=…`).join(', ')
      // What stands there may be a secret: it is not repeated.
      throw new DartaError('DARTA_USAGE', `${name}://: expected ${known} behind the question mark`)
    }
    options.set(key, decodeURIComponent(part.slice(at + 1)))
  }
  return {
    protocol,
    endpoint: {...endpoint, name: endpoint.name.replace(/^\w+/, name)},
    options,
  }
}

/** Secrets of RADIUS clients. */
export interface RadiusSecrets {
  /** The secret that is shared with this address, of 4 or 16 octets; undefined: it is no client. */
  of(address: Uint8Array): Uint8Array | undefined
}

/**
 * Reads a file of secrets: one for everybody, or lines of an address or prefix and its secret, of which the longest prefix
 * counts. Lines that begin with # are remarks.
 *
 * @param name for people
 * @throws DartaError DARTA_USAGE
 */
export function readSecrets(text: string, name: string): RadiusSecrets {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'))
  if (lines.length === 0) throw new DartaError('DARTA_USAGE', `${name}: there is no secret`)
  const encoder = new TextEncoder()
  if (lines.length === 1 && !/^\S+\s+\S/.test(lines[0])) {
    const secret = encoder.encode(lines[0].trim())
    return {of: () => secret}
  }
  const clients = lines.map((line, i) => {
    const [, place, secret] = /^(\S+)\s+(\S.*?)\s*$/.exec(line) ?? []
    const [address = '', bits] = (place ?? '').split('/')
    const size = isIP(address) === 4 ? 32 : 128
    const length = bits === undefined ? size : /^\d{1,3}$/.test(bits) ? Number(bits) : Infinity
    if (secret === undefined || isIP(address) === 0 || length > size) {
      throw new DartaError('DARTA_USAGE', `${name}: line ${i + 1} is no address and its secret`)
    }
    return {prefix: addressOctets(address), length, secret: encoder.encode(secret)}
  })
  clients.sort((a, b) => b.length - a.length)
  return {
    of: (address) => clients.find(({prefix, length}) => begins(address, prefix, length))?.secret,
  }
}

function begins(address: Uint8Array, prefix: Uint8Array, bits: number): boolean {
  if (address.length !== prefix.length) return false
  for (let i = 0; i < bits; i++) {
    const bit = 0x80 >> (i & 7)
    if ((address[i >> 3] & bit) !== (prefix[i >> 3] & bit)) return false
  }
  return true
}
