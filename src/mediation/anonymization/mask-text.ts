const X = 120

/** What an address in text may be made of. */
function isAddressOctet(c: number): boolean {
  return (
    (c >= 48 && c <= 58) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102) || c === 46 || c === 45
  )
}

const ipv4 = /\d{1,3}(?:[.-]\d{1,3}){3}/
const mac = /^(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|^(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}$/i

/**
 * Replaces the addresses in the text between `from` and `to` by letters x, as many as they had: dotted IPv4 addresses,
 * also with hyphens as names of hosts have them, IPv6 and MAC addresses. @returns whether there was one
 */
export function maskAddresses(octets: Uint8Array, from: number, to: number): boolean {
  let found = false
  for (let at = from; at < to;) {
    if (!isAddressOctet(octets[at])) {
      at++
      continue
    }
    let end = at
    let word = ''
    while (end < to && isAddressOctet(octets[end])) word += String.fromCharCode(octets[end++])
    if (isAddressText(word)) {
      octets.fill(X, at, end)
      found = true
    }
    at = end
  }
  return found
}

function isAddressText(word: string): boolean {
  if (word.length < 3) return false
  if (ipv4.test(word) || mac.test(word)) return true
  // At least two colons: a time of day or `host:port` has fewer, or nothing but two digits between them.
  const groups = word.split(':')
  if (groups.length < 3 || groups.some((group) => group.length > 4)) return false
  return word.includes('::') || groups.length === 8
}
