import * as Flags from '@oclif/core/flags'
import type {TlsCredentials} from '../io/tls-credentials.js'
import {DartaError} from '../record/errors.js'

/** Flags of every command with `tls://` endpoints; `tlsCredentials` reads what they name. */
export const tlsFlags = {
  'tls-cert': Flags.string({
    helpValue: 'FILE',
    helpGroup: 'tls',
    summary: 'Certificate that is shown to the peer, in PEM, with those between it and the CA.',
  }),
  'tls-key': Flags.string({
    helpValue: 'FILE',
    helpGroup: 'tls',
    summary: "The certificate's private key, in PEM; nobody but its owner may read the file.",
  }),
  'tls-ca': Flags.string({
    helpValue: 'FILE',
    helpGroup: 'tls',
    summary: 'Certificates of the authorities that vouch for peers, in PEM; no other is trusted.',
  }),
  'tls-peer': Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'NAME',
    helpGroup: 'tls',
    summary: "Name that the peer's certificate must bear, or one of several. May be repeated.",
  }),
}

export interface TlsFlagValues {
  readonly 'tls-cert'?: string
  readonly 'tls-key'?: string
  readonly 'tls-ca'?: string
  readonly 'tls-peer'?: string[]
}

/**
 * The credentials that the flags name, where an endpoint needs them; undefined where none does. There is no way to go
 * without: both sides are authenticated (RFC 7011 section 11.3).
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION, DARTA_TLS
 */
export async function tlsCredentials(
  flags: TlsFlagValues,
  endpoints: readonly {readonly transport: string; readonly name: string}[],
): Promise<TlsCredentials | undefined> {
  const secure = endpoints.find(({transport}) => transport === 'tls')
  const names = ['tls-cert', 'tls-key', 'tls-ca'] as const
  if (secure === undefined) {
    const given = [...names, 'tls-peer' as const].find((name) => flags[name] !== undefined)
    if (given !== undefined) {
      throw new DartaError('DARTA_USAGE', `--${given} is for tls:// endpoints, and there is none`)
    }
    return undefined
  }
  const missing = names.filter((name) => flags[name] === undefined).map((name) => `--${name}`)
  if (missing.length > 0) {
    throw new DartaError('DARTA_USAGE', `${secure.name} needs ${missing.join(', ')}`)
  }
  // Loaded where it is needed: crypto takes longer than a small file.
  const {loadTlsCredentials} = await import('../io/tls-credentials.js')
  return loadTlsCredentials({
    cert: flags['tls-cert']!,
    key: flags['tls-key']!,
    ca: flags['tls-ca']!,
    peers: flags['tls-peer'],
  })
}
