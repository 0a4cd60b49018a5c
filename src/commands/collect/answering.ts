import {isIP} from 'node:net'
import {parseEndpoint, transports, type Endpoint} from '../../io/endpoint.js'
import {addressOctets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'
import {sharePrefix} from '../../record/octets.js'
import {answering as table} from './answering/index.js'
import type {AnsweringProtocol} from './answering-protocol.js'

const registry: Readonly<Record<string, () => Promise<{default: AnsweringProtocol}>>> = table

/** An endpoint of a protocol in which each record is answered when it is safe. */
export interface AnsweringEndpoint {
  /** Name of a protocol of `answering`. */
  readonly protocol: string
  readonly endpoint: Endpoint
  /** What stood behind the question mark. */
  readonly options: ReadonlyMap<string, string>
}

/** All protocols that there are, by name. */
export async function answeringProtocols(): Promise<Map<string, AnsweringProtocol>> {
  return new Map(
    await Promise.all(
      Object.entries(registry).map(async ([name, load]) => [name, (await load()).default] as const),
    ),
  )
}

/**
 * Takes those endpoints from `words` in whose protocols records are answered.
 *
 * @throws DartaError DARTA_USAGE
 */
export async function answeringEndpoints(words: readonly string[]): Promise<{
  answering: AnsweringEndpoint[]
  others: string[]
}> {
  // Most commands name none of these protocols, and do without their modules.
  const isPlain = (word: string): boolean =>
    !/^[a-z+]+:\/\//.test(word) || transports.some((transport) => word.startsWith(`${transport}:`))
  if (words.every(isPlain)) return {answering: [], others: [...words]}
  const protocols = await answeringProtocols()
  const others: string[] = []
  const answering = words.flatMap((word) => {
    const found = answeringEndpoint(word, protocols)
    if (found === undefined) others.push(word)
    return found ?? []
  })
  return {answering, others}
}

/** Reads `SCHEME://[HOST][:PORT][?KEY=VALUE&…]`; undefined for all other endpoints. @throws DartaError DARTA_USAGE */
function answeringEndpoint(
  word: string,
  protocols: ReadonlyMap<string, AnsweringProtocol>,
): AnsweringEndpoint | undefined {
  const match = /^([a-z+]+):\/\/([^?]*)(?:\?(.*))?$/s.exec(word)
  if (match === null) return undefined
  const [, scheme, place, query] = match
  const found = [...protocols].find(([, {schemes}]) => Object.hasOwn(schemes, scheme))
  if (found === undefined) return undefined
  const [protocol, {schemes, options: known}] = found
  const [transport, port] = schemes[scheme]
  const options = new Map<string, string>()
  for (const part of query === undefined || query === '' ? [] : query.split('&')) {
    const at = part.indexOf('=')
    const key = at < 0 ? part : part.slice(0, at)
    if (!Object.hasOwn(known, key) || (known[key] === 'value') !== at >= 0) {
      const list = Object.entries(known).map(([one, how]) => (how === 'value' ? `${one}=…` : one))
      // What stands there may be a secret: it is not repeated.
      throw new DartaError(
        'DARTA_USAGE',
        `${scheme}://: expected ${list.join(', ')} behind the question mark`,
      )
    }
    options.set(key, at < 0 ? '' : decodeURIComponent(part.slice(at + 1)))
  }
  const endpoint = parseEndpoint(`${transport}://${place}`, {
    role: options.has('connect') ? 'connect' : 'listen',
    port,
    transports: [transport],
  })
  return {protocol, endpoint: {...endpoint, name: endpoint.name.replace(/^\w+/, scheme)}, options}
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
    of: (address) =>
      clients.find(({prefix, length}) => sharePrefix(address, prefix, length))?.secret,
  }
}
