import type {Selector} from './selector.js'

/**
 * The hash that divides a link. Three implementations agree bit for bit: this one, native/select/share_hash.h and
 * the classic BPF program of share-bpf.ts; test/metering/selectors/share.test.ts holds them together.
 *
 * Everything is arithmetic modulo 2^32, and no more of it than a BPF program or a pcap-filter expression can do:
 *
 *     s, d = endpoints (address, and port × PORT if ports count)
 *     p    = (2s + 1) (2d + 1) [+ protocol × PROTOCOL] + seed      symmetric, and not linear in s and d
 *     p    = (2s + 1) × ONE_SIDE + seed                            for one address only
 *     x    = p × MIX1;  x = x xor (x >> 15);  slot = (x × MIX2) >> 20
 *
 * A sum of addresses instead of the product would send all packets of an address plan with strides to few nodes.
 */
export const SLOTS = 4096
export const PORT = 0x9e3779b1
export const PROTOCOL = 0x85ebca6b
export const ONE_SIDE = 0xc2b2ae35
export const MIX1 = 0x7feb352d
export const MIX2 = 0x846ca68b
/** IPv6 addresses are folded to one word by these odd factors. */
export const FOLD = [0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5] as const

/** Ethertypes that only wrap another one, with where the next type stands and what is left behind it. */
export const TAGS: readonly {
  readonly type: number
  readonly next: number
  readonly octets: number
}[] = [
  {type: 0x8100, next: 2, octets: 4},
  {type: 0x88a8, next: 2, octets: 4},
  {type: 0x9100, next: 2, octets: 4},
  {type: 0x9200, next: 2, octets: 4},
  {type: 0x893f, next: 6, octets: 8},
  {type: 0x8926, next: 4, octets: 6},
  {type: 0x88e7, next: 16, octets: 18},
]
/** How many tags, and how many MPLS labels, are looked through. */
export const MAX_TAGS = 4
export const MAX_LABELS = 6
/** Protocols whose first four octets are ports. */
export const PORT_PROTOCOLS = [6, 17, 132, 33, 136] as const

/**
 * Hash slot, 0..4095, of one frame.
 * @param frame as captured: the frame is never read beyond its end
 * @param linkType LINKTYPE_ number of the capture; `Infinity`-like unknown ones have one slot
 */
export function shareSlot(
  frame: Uint8Array,
  linkType: number,
  selector: Selector,
  seed: number,
): number {
  const at = locateIp(frame, linkType)
  return slotOfTerm(at < 0 ? otherTerm(frame, linkType) : ipTerm(frame, at, selector), seed)
}

const u16 = (b: Uint8Array, at: number): number => (b[at] << 8) | b[at + 1]
const u32 = (b: Uint8Array, at: number): number =>
  (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]
const pair = (s: number, d: number): number => Math.imul((s << 1) | 1, (d << 1) | 1)

/** Frames without IP: by their MAC addresses where they have them, else all alike. */
function otherTerm(frame: Uint8Array, linkType: number): number {
  return linkType === 1 && frame.length >= 14 ? pair(u32(frame, 2), u32(frame, 8)) : 0
}

/** What the hash is made of: terms of both ends, and the protocol of IPv4. */
export interface Endpoints {
  source: number
  destination: number
  readonly protocol: number | undefined
}

/** The term of an address at `at`: an IPv4 address itself, an IPv6 address folded to one word. */
export function addressTerm(b: Uint8Array, at: number, v4: boolean): number {
  if (v4) return u32(b, at)
  let sum = 0
  for (let i = 0; i < 4; i++) sum = (sum + Math.imul(u32(b, at + 4 * i), FOLD[i])) | 0
  return sum
}

/** What a port adds to the term of its address. */
export function portTerm(b: Uint8Array, at: number): number {
  return Math.imul(u16(b, at), PORT)
}

/** Both ends as one term, alike in both directions if both addresses count. */
export function endpointsTerm(
  {source, destination, protocol}: Endpoints,
  selector: Selector,
): number {
  if (selector.addresses !== 'both') {
    return Math.imul(((selector.addresses === 'src' ? source : destination) << 1) | 1, ONE_SIDE)
  }
  const term = pair(source, destination)
  return protocol !== undefined && selector.protocol
    ? (term + Math.imul(protocol, PROTOCOL)) | 0
    : term
}

/** The slot, 0..4095, of a term. */
export function slotOfTerm(term: number, seed: number): number {
  let x = Math.imul((term + seed) | 0, MIX1)
  x ^= x >>> 15
  return Math.imul(x, MIX2) >>> 20
}

function ipTerm(b: Uint8Array, at: number, selector: Selector): number {
  const v4 = b[at] >> 4 === 4
  const endpoints: Endpoints = {
    source: addressTerm(b, at + (v4 ? 12 : 8), v4),
    destination: addressTerm(b, at + (v4 ? 16 : 24), v4),
    protocol: v4 ? b[at + 9] : undefined,
  }
  const ports = selector.ports ? locatePorts(b, at, v4) : -1
  if (ports >= 0) {
    endpoints.source = (endpoints.source + portTerm(b, ports)) | 0
    endpoints.destination = (endpoints.destination + portTerm(b, ports + 2)) | 0
  }
  return endpointsTerm(endpoints, selector)
}

/** Octet where the ports stand, −1 for fragments and protocols without. */
function locatePorts(b: Uint8Array, at: number, v4: boolean): number {
  const protocol = v4 ? b[at + 9] : b[at + 6]
  if (!(PORT_PROTOCOLS as readonly number[]).includes(protocol)) return -1
  if (v4 && (u16(b, at + 6) & 0x3fff) !== 0) return -1
  const ports = at + (v4 ? (b[at] & 15) * 4 : 40)
  return b.length - ports >= 4 ? ports : -1
}

/** Octet where the outermost IP header begins, as far as the BPF program can find it; −1 if there is none. */
export function locateIp(b: Uint8Array, linkType: number): number {
  switch (linkType) {
    case 1:
      if (b.length < 14) return -1
      return u16(b, 12) === 0x8903 ? fabricPath(b) : byType(b, u16(b, 12), 14)
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      return byVersion(b, 0)
    case 113:
      return b.length < 16 ? -1 : byType(b, u16(b, 14), 16)
    case 276:
      return b.length < 20 ? -1 : byType(b, u16(b, 0), 20)
    case 0:
    case 108:
      return byVersion(b, 4)
    case 9:
    case 50:
      return ppp(b, 0)
    case 104:
      return b.length < 4 ? -1 : byType(b, u16(b, 2), 4)
    default:
      return -1
  }
}

function fabricPath(b: Uint8Array): number {
  return b.length < 30 ? -1 : byType(b, u16(b, 28), 30)
}

function byType(b: Uint8Array, firstType: number, firstAt: number): number {
  let type = firstType
  let at = firstAt
  for (let tags = 0; ; tags++) {
    if (type === 0x0800 || type === 0x86dd) return byVersion(b, at)
    if (type === 0x8864) return b.length - at < 6 ? -1 : ppp(b, at + 6)
    if (type === 0x8847 || type === 0x8848) return mpls(b, at)
    if (type <= 1500) {
      if (b.length - at < 8 || u32(b, at) !== (0xaaaa0300 | 0) || u16(b, at + 4) !== 0) return -1
      type = u16(b, at + 6)
      at += 8
    } else {
      const tag = TAGS.find((t) => t.type === type)
      if (tag === undefined || b.length - at < tag.octets) return -1
      type = u16(b, at + tag.next)
      at += tag.octets
    }
    if (tags === MAX_TAGS) return -1
  }
}

function mpls(b: Uint8Array, first: number): number {
  let at = first
  for (let label = 0; label < MAX_LABELS; label++) {
    if (b.length - at < 4) return -1
    const bottom = (b[at + 2] & 1) === 1
    at += 4
    if (bottom) return byVersion(b, at)
  }
  return -1
}

function ppp(b: Uint8Array, first: number): number {
  let at = first
  if (b.length - at >= 2 && u16(b, at) === 0xff03) at += 2
  if (b.length - at < 2) return -1
  let protocol = u16(b, at)
  if ((protocol & 0x0100) !== 0) {
    protocol = b[at]
    at += 1
  } else at += 2
  return protocol === 0x21 || protocol === 0x57 ? byVersion(b, at) : -1
}

function byVersion(b: Uint8Array, at: number): number {
  const room = b.length - at
  if (room >= 20 && b[at] >> 4 === 4) return at
  return room >= 40 && b[at] >> 4 === 6 ? at : -1
}
