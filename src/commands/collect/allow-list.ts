import {readFileSync} from 'node:fs'
import {readError} from '../../io/errors.js'
import {ipv4Octets, ipv6Octets} from '../../record/address.js'
import {DartaError} from '../../record/errors.js'

/** Who may send. */
export interface AllowList {
  allows(address: Uint8Array): boolean
  /** Reads its files again. @throws as of `readAllowList`; the list stays as it was then */
  reload(): void
}

interface Prefix {
  readonly octets: Uint8Array
  readonly bits: number
}

/**
 * Addresses and prefixes `192.0.2.0/24`, with commas between, or `@FILE` with one a line and comments behind `#`.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION
 */
export function readAllowList(words: readonly string[]): AllowList {
  let prefixes = prefixesOf(words)
  return {
    allows: (address) => prefixes.some((prefix) => isWithin(address, prefix)),
    reload() {
      prefixes = prefixesOf(words)
    },
  }
}

function prefixesOf(words: readonly string[]): Prefix[] {
  return words
    .flatMap((word) => (word.startsWith('@') ? linesOf(word.slice(1)) : word.split(',')))
    .map((one) => prefixOf(one.trim()))
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.replace(/#.*/, '').trim())
      .filter((line) => line !== '')
  } catch (error) {
    throw readError(path, error)
  }
}

function prefixOf(text: string): Prefix {
  const [address, length, more] = text.split('/')
  try {
    const octets = address.includes(':') ? ipv6Octets(address) : ipv4Octets(address)
    const most = octets.length * 8
    const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : NaN
    if (more === undefined && bits <= most) return {octets, bits}
  } catch {
    // Told below.
  }
  throw new DartaError(
    'DARTA_USAGE',
    `--allow: expected addresses and prefixes like 192.0.2.0/24, not '${text}'`,
  )
}

function isWithin(address: Uint8Array, {octets, bits}: Prefix): boolean {
  if (address.length !== octets.length) return false
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (address[i] !== octets[i]) return false
  const rest = bits & 7
  return rest === 0 || (address[whole] ^ octets[whole]) >> (8 - rest) === 0
}
