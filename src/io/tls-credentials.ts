import {readFileSync} from 'node:fs'
import {
  checkServerIdentity,
  createSecureContext,
  DEFAULT_CIPHERS,
  type PeerCertificate,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls'
import {DartaError} from '../record/errors.js'
import {readError} from './errors.js'
import {readPrivateFile} from './private-file.js'

/** What one side of a mutually authenticated connection has and asks for. RFC 7011 section 11. */
export interface TlsCredentials {
  /** PEM: our certificate, followed by those between it and the authority. */
  readonly cert: Buffer
  /** PEM, without a passphrase. */
  readonly key: Buffer
  /** PEM: authorities that the peer's certificate may come from. Nobody else is trusted. */
  readonly ca: Buffer
  /** Names one of which the peer's certificate has to bear; empty: see `peerFault`. */
  readonly peers: readonly string[]
}

export interface TlsFiles {
  readonly cert: string
  readonly key: string
  readonly ca: string
  readonly peers?: readonly string[]
}

/**
 * Reads certificate, key and authorities. The key's file must be its owner's alone.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, DARTA_TLS
 */
export function loadTlsCredentials({cert, key, ca, peers = []}: TlsFiles): TlsCredentials {
  const secret = readPrivateFile(key, 'DARTA_TLS')
  const credentials = {cert: read(cert), key: secret, ca: read(ca), peers}
  for (const [what, path, options] of [
    ['certificate', cert, {cert: credentials.cert}],
    ['list of authorities', ca, {ca: credentials.ca}],
    ['key', key, {key: credentials.key}],
    ['key of that certificate', key, {cert: credentials.cert, key: credentials.key}],
  ] as const) {
    try {
      createSecureContext(options)
    } catch (error) {
      // OpenSSL's words never hold what the file does.
      const {message} = error as Error
      throw new DartaError('DARTA_TLS', `${path} holds no usable ${what}: ${words(message)}`)
    }
  }
  // What OpenSSL finds no certificate in it takes for an empty list.
  if (!credentials.ca.includes('-----BEGIN ')) {
    throw new DartaError('DARTA_TLS', `${ca} holds no certificate of an authority`)
  }
  return credentials
}

function read(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw readError(path, error)
  }
}

/** `error:0480006C:PEM routines::no start line` is `no start line`. */
function words(message: string): string {
  return message.replace(/^error:[0-9A-F]+:[^:]*:[^:]*:/i, '')
}

/**
 * Options of `tls.connect` and `tls.createServer` alike: both sides show a certificate and look at the other's; TLS 1.2 or
 * later; no cipher without encryption or authentication. RFC 7011 section 11.2.
 */
export function tlsOptions(credentials: TlsCredentials): SecureContextOptions & {
  readonly requestCert: true
  readonly rejectUnauthorized: true
} {
  const {cert, key, ca} = credentials
  return {
    cert,
    key,
    ca,
    minVersion: 'TLSv1.2',
    ciphers: `${DEFAULT_CIPHERS}:!aNULL:!eNULL`,
    requestCert: true,
    rejectUnauthorized: true,
  }
}

/**
 * Why the peer of a connection whose handshake is done must not be talked to; undefined if it may. Its certificate comes
 * from one of our authorities and, where names are given, bears one of them. RFC 7011 section 11.3.
 *
 * Who connects gives the name it connected to where the user gave none; who listens and has no names takes all whom its
 * authorities vouch for.
 */
export function peerFault(
  socket: Pick<TLSSocket, 'authorized' | 'authorizationError' | 'getPeerCertificate'>,
  names: readonly string[],
): string | undefined {
  const certificate = socket.getPeerCertificate()
  if (certificate === null || Object.keys(certificate).length === 0) return 'it has no certificate'
  if (!socket.authorized) return String(socket.authorizationError)
  return nameFault(certificate, names)
}

/** Why the certificate bears none of these names; undefined if it does, or if there are none. RFC 6125. */
export function nameFault(
  certificate: PeerCertificate,
  names: readonly string[],
): string | undefined {
  if (names.length === 0) return undefined
  if (names.some((name) => checkServerIdentity(name, certificate) === undefined)) return undefined
  const borne = certificate.subjectaltname ?? `CN=${String(certificate.subject?.CN ?? '')}`
  return `its certificate is for ${printable(borne)}, not ${names.join(' or ')}`
}

/** What comes from a certificate may hold anything. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 256)
}

/**
 * Why a handshake failed, for the log: the arguments of a server's `tlsClientError` event. Node itself only says
 * 'socket hang up' of a certificate that it refused.
 */
export function handshakeFault(
  error: Error,
  socket?: Pick<TLSSocket, 'authorizationError'>,
): string {
  // Node's types say that it is an Error; it is a code.
  const refused = socket?.authorizationError as Error | string | null | undefined
  if (refused) return refused instanceof Error ? refused.message : refused
  const {reason} = error as Error & {reason?: unknown}
  return typeof reason === 'string' ? reason : words(error.message)
}
