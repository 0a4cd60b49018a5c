import {readPrivateFile} from '../../../io/private-file.js'
import {DartaError} from '../../../record/errors.js'
import {WEAK_PRIVACY} from './des-privacy.js'
import type {PackageUser, SnmpPackage} from './package.js'

/** Where the community is that no file was named for. */
const COMMUNITY_VARIABLE = 'DARTA_SNMP_COMMUNITY'

/** A user of SNMPv3. RFC 3414. */
export interface SnmpUser {
  readonly name: string
  readonly authentication?: {readonly protocol: string; readonly passphrase: string}
  readonly privacy?: {readonly protocol: string; readonly passphrase: string}
}

/** Who asks, or who may tell. */
export interface SnmpCredentials {
  /** Of SNMPv1 and v2c. */
  readonly communities: readonly string[]
  readonly users: readonly SnmpUser[]
}

/** RFC 3414, RFC 7860; names of `net-snmp`. */
const authentications = ['md5', 'sha', 'sha224', 'sha256', 'sha384', 'sha512']
/** RFC 3826; AES of 256 bits with keys lengthened as by Blumenthal or Reeder; RFC 3414. */
const privacies = ['aes', 'aes256b', 'aes256r', WEAK_PRIVACY]
/** RFC 3414 section 11.2. */
const LEAST_PASSPHRASE = 8

/**
 * Of the file that `secret-file` names, which must be its owner's alone, else of the environment.
 *
 * @param name of the endpoint, for people
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION
 */
export function credentialsOf(file: string | undefined, name: string): SnmpCredentials {
  if (file !== undefined) {
    return readCredentials(readPrivateFile(file, 'DARTA_USAGE').toString(), file)
  }
  const community = process.env[COMMUNITY_VARIABLE]
  if (community === undefined || community === '') {
    throw new DartaError(
      'DARTA_USAGE',
      `${name}: name a file of secrets, ?secret-file=FILE, or set ${COMMUNITY_VARIABLE}`,
    )
  }
  return {communities: [community], users: []}
}

/**
 * Reads lines `community WORD` and `user NAME [AUTHENTICATION PASSPHRASE [PRIVACY PASSPHRASE]]`; what has spaces in it stands
 * in double quotes. Lines that begin with # are remarks. No secret is in what is thrown.
 *
 * @param name for people
 * @throws DartaError DARTA_USAGE
 */
export function readCredentials(text: string, name: string): SnmpCredentials {
  const communities: string[] = []
  const users: SnmpUser[] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
    if (words.length === 0 || line.trimStart().startsWith('#')) continue
    const wrong = (why: string): DartaError =>
      new DartaError('DARTA_USAGE', `${name}: line ${i + 1}: ${why}`)
    const [kind, who, ...rest] = words
    if (kind === 'community' && who !== undefined && rest.length === 0) {
      communities.push(who)
      continue
    }
    if (kind !== 'user' || who === undefined || ![0, 2, 4].includes(rest.length)) {
      throw wrong('expected community WORD or user NAME [AUTHENTICATION PASSPHRASE [PRIVACY …]]')
    }
    const [authentication, authenticationPassphrase, privacy, privacyPassphrase] = rest
    users.push({
      name: who,
      ...(authentication !== undefined && {
        authentication: {
          protocol: protocolOf(authentication, authentications, wrong),
          passphrase: passphraseOf(authenticationPassphrase, wrong),
        },
      }),
      ...(privacy !== undefined && {
        privacy: {
          protocol: protocolOf(privacy, privacies, wrong),
          passphrase: passphraseOf(privacyPassphrase, wrong),
        },
      }),
    })
  }
  if (communities.length + users.length === 0) {
    throw new DartaError('DARTA_USAGE', `${name}: there is no community and no user`)
  }
  return {communities, users}
}

/** `SHA-256` is written so by agents. */
function protocolOf(
  word: string,
  known: readonly string[],
  wrong: (why: string) => DartaError,
): string {
  const plain = word.toLowerCase().replaceAll('-', '')
  const found = known.find((one) => one === plain)
  // It may be a passphrase in the wrong place, so it is not repeated.
  if (found === undefined) throw wrong(`expected one of ${known.join(', ')}`)
  return found
}

function passphraseOf(word: string, wrong: (why: string) => DartaError): string {
  if (word.length < LEAST_PASSPHRASE) {
    throw wrong(`a passphrase has at least ${LEAST_PASSPHRASE} letters`)
  }
  return word
}

/** What somebody who trusts in DES should know; undefined: nobody does. */
export function warningOf(users: readonly SnmpUser[]): string | undefined {
  const weak = users.filter(({privacy}) => privacy?.protocol === WEAK_PRIVACY)
  if (weak.length === 0) return undefined
  const names = weak.map(({name}) => name).join(', ')
  return `SNMPv3 by DES (${names}) can be read by whoever tries its keys of 56 bits: use aes where the device has it`
}

/** The same as `net-snmp` wants it. */
export function packageUser(
  {SecurityLevel, AuthProtocols, PrivProtocols}: SnmpPackage,
  {name, authentication, privacy}: SnmpUser,
): PackageUser {
  if (authentication === undefined) return {name, level: SecurityLevel.noAuthNoPriv}
  const authenticated = {
    name,
    authProtocol: AuthProtocols[authentication.protocol],
    authKey: authentication.passphrase,
  }
  if (privacy === undefined) return {...authenticated, level: SecurityLevel.authNoPriv}
  return {
    ...authenticated,
    level: SecurityLevel.authPriv,
    privProtocol: PrivProtocols[privacy.protocol],
    privKey: privacy.passphrase,
  }
}
