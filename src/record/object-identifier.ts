import {DartaError} from './errors.js'
import {compareOctets} from './octets.js'

/** Sub-identifiers are numbers of 32 bits, at most 128 of them. RFC 2578 section 3.5. */
const MOST_SUB_IDENTIFIERS = 128
const MOST = 2 ** 32 - 1

const OBJECT_IDENTIFIER = 0x06

/**
 * The sub-identifiers of `1.3.6.1.2.1`, with or without a dot in front.
 *
 * @throws DartaError DARTA_USAGE
 */
export function subIdentifiers(text: string): number[] {
  const numbers = /^\.?\d+(\.\d+)+$/.test(text)
    ? text.replace(/^\./, '').split('.').map(Number)
    : []
  const [root = 3, second = 0] = numbers
  const legal = root <= 1 ? second < 40 : root === 2
  if (!legal || numbers.length > MOST_SUB_IDENTIFIERS || numbers.some((one) => one > MOST)) {
    throw new DartaError('DARTA_USAGE', `'${text}' is no object identifier like 1.3.6.1.2.1.1`)
  }
  return numbers
}

/** In BER, with tag and length. X.690 section 8.19. @throws DartaError DARTA_USAGE */
export function identifierOctets(text: string): Uint8Array {
  const [root, second, ...others] = subIdentifiers(text)
  const octets: number[] = []
  for (const number of [40 * root + second, ...others]) {
    const groups = [number % 128]
    for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128)) {
      groups.unshift((rest % 128) | 0x80)
    }
    octets.push(...groups)
  }
  // 128 sub-identifiers of 32 bits take 640 octets.
  const length = octets.length
  if (length < 128) return Uint8Array.of(OBJECT_IDENTIFIER, length, ...octets)
  return length < 256
    ? Uint8Array.of(OBJECT_IDENTIFIER, 0x81, length, ...octets)
    : Uint8Array.of(OBJECT_IDENTIFIER, 0x82, length >> 8, length & 0xff, ...octets)
}

/** The dotted text of an identifier in BER; undefined if the octets are none, or others than `identifierOctets` makes of it. */
export function identifierText(octets: Uint8Array): string | undefined {
  const [tag, size = 0] = octets
  const at = size < 0x80 ? 2 : 2 + (size & 0x7f)
  if (tag !== OBJECT_IDENTIFIER || octets.length <= at || octets[octets.length - 1] & 0x80) {
    return undefined
  }
  const numbers: number[] = []
  let number = 0
  for (const octet of octets.subarray(at)) {
    number = number * 128 + (octet & 0x7f)
    if (number > MOST + 80) return undefined
    if (octet & 0x80) continue
    numbers.push(number)
    number = 0
  }
  const [first, ...others] = numbers
  const root = Math.min(Math.floor(first / 40), 2)
  const text = [root, first - 40 * root, ...others].join('.')
  try {
    // Lengths and numbers with zeros in front would not come back.
    const same = identifierOctets(text)
    return compareOctets(same, 0, same.length, octets, 0, octets.length) === 0 ? text : undefined
  } catch {
    return undefined
  }
}

/** What `oid` has behind `base`, both as dotted text; undefined if it does not lie below it. */
export function subIdentifiersBelow(oid: string, base: string): number[] | undefined {
  if (oid === base) return []
  if (!oid.startsWith(`${base}.`)) return undefined
  return oid
    .slice(base.length + 1)
    .split('.')
    .map(Number)
}

/** Whether `next` stands behind `before` in the order of a walk. RFC 3416 section 4.2.2. */
export function follows(next: string, before: string): boolean {
  const a = next.split('.')
  const b = before.split('.')
  for (let i = 0; i < b.length; i++) {
    if (i >= a.length) return false
    const difference = Number(a[i]) - Number(b[i])
    if (difference !== 0) return difference > 0
  }
  return a.length > b.length
}
