import {DartaError} from './errors.js'

/** Octets of a dotted IPv4 address: four decimal numbers 0..255 without leading zeros. @throws DartaError DARTA_VALUE */
export function ipv4Octets(text: string): Uint8Array {
  const octets = new Uint8Array(4)
  if (!readIpv4(text, octets, 0)) throw notAn('IPv4 address', text)
  return octets
}

/** Octets of an IPv6 address in any of the forms of RFC 4291 section 2.2, without a zone. @throws DartaError DARTA_VALUE */
export function ipv6Octets(text: string): Uint8Array {
  const octets = new Uint8Array(16)
  const halves = text.split('::')
  if (halves.length > 2) throw notAn('IPv6 address', text)
  const head = readGroups(halves[0], halves.length === 1)
  const tail = halves.length === 2 ? readGroups(halves[1], true) : []
  if (head === undefined || tail === undefined) throw notAn('IPv6 address', text)
  const size = head.length + tail.length
  // `::` stands for at least one group of zeros.
  if (halves.length === 1 ? size !== 16 : size > 14) throw notAn('IPv6 address', text)
  octets.set(head, 0)
  octets.set(tail, 16 - tail.length)
  return octets
}

/** Octets of an IPv4 or IPv6 address, of which a zone is left out. @throws DartaError DARTA_VALUE */
export function addressOctets(text: string): Uint8Array {
  const address = text.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, '')
  return address.includes(':') ? ipv6Octets(address) : ipv4Octets(address)
}

/** Octets of six pairs of hex digits with colons or hyphens between. @throws DartaError DARTA_VALUE */
export function macOctets(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(?:([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4})$/i.test(text)) {
    throw notAn('MAC address', text)
  }
  return Uint8Array.from(text.split(/[:-]/), (pair) => parseInt(pair, 16))
}

function notAn(what: string, text: string): DartaError {
  return new DartaError('DARTA_VALUE', `${JSON.stringify(text.slice(0, 64))} is no ${what}`)
}

/** Octets of groups of up to four hex digits, the last of which may be a dotted IPv4 address. */
function readGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const octets: number[] = []
  const groups = text.split(':')
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]
    if (last && i === groups.length - 1 && group.includes('.')) {
      const ipv4 = new Uint8Array(4)
      if (!readIpv4(group, ipv4, 0)) return undefined
      octets.push(...ipv4)
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined
      const value = parseInt(group, 16)
      octets.push(value >> 8, value & 0xff)
    }
  }
  return octets
}

function readIpv4(text: string, octets: Uint8Array, at: number): boolean {
  const parts = text.split('.')
  if (parts.length !== 4) return false
  for (let i = 0; i < 4; i++) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(parts[i])) return false
    const value = Number(parts[i])
    if (value > 255) return false
    octets[at + i] = value
  }
  return true
}
