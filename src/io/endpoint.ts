import {isIP, isIPv6} from 'node:net'
import {DartaError} from '../record/errors.js'

/** What carries octets between two processes. */
export type Transport = 'udp' | 'tcp' | 'tls' | 'unix'

/** One end of a Transport Session over the network. */
export interface InternetEndpoint {
  readonly transport: 'udp' | 'tcp' | 'tls'
  /** A name or an address, IPv6 without brackets; `*` is every address, and empty where nothing was given. */
  readonly host: string
  /** 0..65535; 0, for those who listen: any that is free. */
  readonly port: number
  /** The endpoint in one spelling, as messages show it: `udp://[2001:db8::1]:4739`. */
  readonly name: string
}

/** A Unix stream socket. */
export interface UnixEndpoint {
  readonly transport: 'unix'
  readonly path: string
  readonly name: string
}

export type Endpoint = InternetEndpoint | UnixEndpoint

/** Registered ports of IPFIX. RFC 7011 sections 10.1.1 and 11. */
const IPFIX_PORT = 4739
const IPFIX_SECURE_PORT = 4740

export interface EndpointRules {
  /** Whoever connects needs a host and a port above 0; whoever listens needs neither. */
  readonly role: 'connect' | 'listen'
  /** Port where none is given; that of IPFIX, 4739 or with TLS 4740, unless said otherwise. */
  readonly port?: number
  /** Transports that make sense here; all unless said otherwise. */
  readonly transports?: readonly Transport[]
}

export const transports: readonly Transport[] = ['udp', 'tcp', 'tls', 'unix']

/**
 * Reads `udp://HOST[:PORT]`, `tcp://…`, `tls://…` or `unix:PATH`. An IPv6 address stands in brackets, with its zone if it
 * has one: `udp://[fe80::1%eth0]:4739`. Who listens may leave the host out, or write `*` for every address.
 *
 * @throws DartaError DARTA_USAGE
 */
export function parseEndpoint(input: string, rules: EndpointRules): Endpoint {
  const allowed = rules.transports ?? transports
  const unix = /^unix:(?:\/\/)?(.*)$/s.exec(input)
  if (unix !== null && allowed.includes('unix')) {
    const [, path] = unix
    if (path === '' || path.includes('\0')) throw wrong(input, allowed)
    // sun_path has 108 octets with its final zero.
    if (Buffer.byteLength(path) > 107) {
      throw new DartaError('DARTA_USAGE', `'${input}': a socket's path has at most 107 octets`)
    }
    return {transport: 'unix', path, name: `unix:${path}`}
  }
  const match = /^([a-z]+):\/\/(?:\[([^\]]*)\]|([^:/[\]]*))(?::(\d{1,5}))?\/?$/.exec(input)
  const transport = allowed.find((one) => one !== 'unix' && one === match?.[1])
  if (match === null || transport === undefined || transport === 'unix') throw wrong(input, allowed)
  const [, , literal, plain = '', digits] = match
  if (literal !== undefined && !isIPv6(literal)) {
    throw new DartaError('DARTA_USAGE', `'${input}': there is no IPv6 address '${literal}'`)
  }
  const host = literal ?? plain
  if (literal === undefined && host !== '*' && host !== '' && !isHostName(host)) {
    throw wrong(input, allowed)
  }
  const port =
    digits === undefined
      ? (rules.port ?? (transport === 'tls' ? IPFIX_SECURE_PORT : IPFIX_PORT))
      : Number(digits)
  if (port > 65535 || (port === 0 && rules.role === 'connect')) {
    throw new DartaError('DARTA_USAGE', `'${input}': ports go from 1 to 65535`)
  }
  if (rules.role === 'connect' && (host === '' || host === '*')) {
    throw new DartaError('DARTA_USAGE', `'${input}' names no host to connect to`)
  }
  return {transport, host, port, name: `${transport}://${hostAndPort(host, port)}`}
}

/** `192.0.2.1:4739`, `[2001:db8::1]:4739` */
export function hostAndPort(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Names of RFC 1123, and addresses; underscores are met in practice. */
function isHostName(host: string): boolean {
  if (isIP(host) !== 0) return true
  // What looks like an address and is none would otherwise be asked of the name service.
  if (/^[\d.]+$/.test(host)) return false
  return host.length <= 253 && /^[\w-]{1,63}(\.[\w-]{1,63})*\.?$/.test(host)
}

function wrong(input: string, allowed: readonly Transport[]): DartaError {
  const forms = allowed.map((one) => (one === 'unix' ? 'unix:PATH' : `${one}://HOST[:PORT]`))
  const list = [...forms.slice(0, -2), forms.slice(-2).join(' or ')].join(', ')
  return new DartaError('DARTA_USAGE', `expected ${list}, not '${input}'`)
}
