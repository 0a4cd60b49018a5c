import {DartaError} from '../../record/errors.js'

/** What a database says: maps, arrays, text, numbers, octets. */
export type MmdbValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly MmdbValue[]
  | {readonly [key: string]: MmdbValue}

/** A MaxMind DB: a tree of the bits of addresses, whose leaves are places in a section of values. */
export interface Mmdb {
  /** What it is of, as its maker says: `GeoLite2-City`. */
  readonly type: string
  /** Versions of addresses that it knows. */
  readonly versions: readonly (4 | 6)[]
  /** Where the value of an IPv4 address lies; −1: it has none. */
  find4(address: number): number
  /** The same of an IPv6 address, as four words from the most significant. */
  find6(words: Uint32Array): number
  /** @throws DartaError DARTA_MMDB with the octet at which the value is damaged */
  value(place: number): MmdbValue
}

/** The metadata lie behind the last of these marks, in the last 128 KiB. */
const MARK = Uint8Array.from([0xab, 0xcd, 0xef, ...new TextEncoder().encode('MaxMind.com')])
const METADATA_MOST = 128 * 1024
/** Zeros between tree and values. */
const SEPARATOR = 16
/** How deep maps and arrays may be nested; those of MaxMind are nested four deep. */
const MAX_DEPTH = 32
/** Octets and parts of one value, pointers followed: what points to itself in many places would have no end. */
const MAX_VALUE = 1 << 22
/** Least value of a pointer, by its size. */
const POINTER_BASE = [0, 2048, 526336, 0]

const TYPE = {
  pointer: 1,
  text: 2,
  double: 3,
  octets: 4,
  unsigned16: 5,
  unsigned32: 6,
  map: 7,
  signed32: 8,
  unsigned64: 9,
  unsigned128: 10,
  array: 11,
  boolean: 14,
  float: 15,
} as const

const utf8 = new TextDecoder()

function damage(name: string, offset: number, what: string): DartaError {
  return new DartaError('DARTA_MMDB', `${name}: ${what}`, offset)
}

/**
 * Opens a database in the MaxMind DB format, version 2.0 (maxmind.github.io/MaxMind-DB). The octets are kept and not changed.
 *
 * @param name of the file, for messages
 * @throws DartaError DARTA_MMDB: it is none, or its parts do not fit its octets
 */
export function openMmdb(octets: Uint8Array, name: string): Mmdb {
  const mark = findMark(octets)
  if (mark < 0) throw damage(name, 0, 'is no MaxMind DB: it has no metadata')
  const metadata = valueReader(octets, name, mark + MARK.length, octets.length)
  const about = metadata(0)
  const number = (key: string): number => {
    const value = isMap(about) ? about[key] : undefined
    const found = typeof value === 'bigint' ? Number(value) : value
    if (typeof found === 'number' && Number.isSafeInteger(found) && found >= 0) return found
    throw damage(name, mark, `its metadata have no ${key}`)
  }
  const [format, bits, nodes, version] = [
    number('binary_format_major_version'),
    number('record_size'),
    number('node_count'),
    number('ip_version'),
  ]
  if (format !== 2) throw damage(name, mark, `is of version ${format} of the format, not 2`)
  if (bits !== 24 && bits !== 28 && bits !== 32) {
    throw damage(name, mark, `records of ${bits} bits are not of the format: 24, 28 or 32`)
  }
  if (version !== 4 && version !== 6) throw damage(name, mark, `IP version ${version} is none`)
  const nodeOctets = bits / 4
  const values = nodes * nodeOctets + SEPARATOR
  if (nodes === 0 || values > mark) {
    throw damage(name, mark, `a tree of ${nodes} nodes does not fit before its metadata`)
  }
  const value = valueReader(octets, name, values, mark)
  const child = childReader(octets, bits)

  /** Goes down from `node` by the bits of a number of 32 from `bit` on; a number below `nodes` is a node still. */
  const descend = (node: number, word: number, bit: number): number => {
    for (; bit < 32 && node < nodes; bit++) node = child(node, (word >>> (31 - bit)) & 1)
    return node
  }
  const placeOf = (leaf: number): number => {
    if (leaf <= nodes) return -1
    const place = leaf - nodes - SEPARATOR
    return place >= 0 && values + place < mark ? place : -1
  }

  // IPv4 in a tree of IPv6 is ::/96.
  let root4 = 0
  if (version === 6) for (let i = 0; i < 3; i++) root4 = descend(root4, 0, 0)
  const upper = new Uint32Array(65536)

  /** The node or leaf below the upper 16 bits of an IPv4 address; it is walked to once. */
  function half(bits16: number): number {
    if (upper[bits16] !== 0) return upper[bits16] - 1
    let node = root4
    for (let bit = 15; bit >= 0 && node < nodes; bit--) node = child(node, (bits16 >>> bit) & 1)
    upper[bits16] = node + 1
    return node
  }

  const type = isMap(about) ? about.database_type : undefined
  return {
    type: typeof type === 'string' ? type : '',
    versions: version === 6 ? [4, 6] : [4],
    find4: (address) => placeOf(descend(half(address >>> 16), address, 16)),
    find6(words) {
      if (version === 4) return -1
      let node = 0
      for (let w = 0; w < 4 && node < nodes; w++) node = descend(node, words[w], 0)
      return placeOf(node)
    },
    value,
  }
}

export function isMap(value: MmdbValue | undefined): value is {readonly [key: string]: MmdbValue} {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function findMark(octets: Uint8Array): number {
  const least = Math.max(0, octets.length - METADATA_MOST)
  for (let at = octets.length - MARK.length; at >= least; at--) {
    if (MARK.every((octet, i) => octets[at + i] === octet)) return at
  }
  return -1
}

/** Reads one of the two records of a node. */
function childReader(
  octets: Uint8Array,
  bits: 24 | 28 | 32,
): (node: number, side: number) => number {
  switch (bits) {
    case 24:
      return (node, side) => {
        const at = 6 * node + 3 * side
        return (octets[at] << 16) | (octets[at + 1] << 8) | octets[at + 2]
      }
    case 28:
      // The octet in the middle has the upper four bits of both.
      return (node, side) => {
        const at = 7 * node
        const [upper, rest] =
          side === 0 ? [octets[at + 3] >>> 4, at] : [octets[at + 3] & 15, at + 4]
        return (upper << 24) | (octets[rest] << 16) | (octets[rest + 1] << 8) | octets[rest + 2]
      }
    case 32:
      return (node, side) => {
        const at = 8 * node + 4 * side
        return (
          octets[at] * 0x1000000 + ((octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3])
        )
      }
  }
}

/** Reads values of the section between `start` and `end`; places count from `start`. */
function valueReader(
  octets: Uint8Array,
  name: string,
  start: number,
  end: number,
): (place: number) => MmdbValue {
  let at = 0
  let left = 0
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)

  /** Passes over `length` octets and gives where they begin. */
  function take(length: number): number {
    if (at + length > end) throw damage(name, at, 'a value reaches past its section')
    left -= length
    if (left < 0) throw damage(name, at, `a value is greater than ${MAX_VALUE} octets`)
    at += length
    return at - length
  }

  function unsigned(length: number): number {
    let value = 0
    for (let from = take(length), i = 0; i < length; i++) value = value * 256 + octets[from + i]
    return value
  }

  function bigUnsigned(length: number): bigint {
    let value = 0n
    for (let from = take(length), i = 0; i < length; i++) {
      value = (value << 8n) | BigInt(octets[from + i])
    }
    return value
  }

  function sizeOf(low: number): number {
    if (low < 29) return low
    const more = unsigned(low - 28)
    return more + [29, 285, 65821][low - 29]
  }

  function read(depth: number): MmdbValue {
    if (depth > MAX_DEPTH) throw damage(name, at, 'values are nested too deeply')
    const from = at
    const control = octets[take(1)]
    let type = control >>> 5
    if (type === TYPE.pointer) {
      const size = (control >>> 3) & 3
      const low = size === 3 ? 0 : (control & 7) * 2 ** (8 * (size + 1))
      const target = POINTER_BASE[size] + low + unsigned(size + 1)
      const behind = at
      at = start + target
      if (at >= end) throw damage(name, from, 'a pointer leads out of the section of values')
      if (octets[at] >>> 5 === TYPE.pointer) throw damage(name, from, 'a pointer leads to another')
      const value = read(depth + 1)
      at = behind
      return value
    }
    if (type === 0) type = octets[take(1)] + 7
    const size = sizeOf(control & 31)
    const exactly = (length: number): number => {
      if (size === length) return take(length)
      throw damage(name, from, `a value of ${size} octets where its type has ${length}`)
    }
    const atMost = (length: number): number => {
      if (size <= length) return size
      throw damage(name, from, `a value of ${size} octets where its type has ${length} at most`)
    }
    switch (type) {
      case TYPE.text: {
        const begin = take(size)
        return utf8.decode(octets.subarray(begin, begin + size))
      }
      case TYPE.octets: {
        const begin = take(size)
        return octets.slice(begin, begin + size)
      }
      case TYPE.double:
        return view.getFloat64(exactly(8))
      case TYPE.float:
        return view.getFloat32(exactly(4))
      case TYPE.unsigned16:
        return unsigned(atMost(2))
      case TYPE.unsigned32:
        return unsigned(atMost(4))
      case TYPE.signed32:
        // Of fewer octets than four it is never below zero: the upper ones are left out where they are zeros.
        return unsigned(atMost(4)) | 0
      case TYPE.unsigned64:
        return bigUnsigned(atMost(8))
      case TYPE.unsigned128:
        return bigUnsigned(atMost(16))
      case TYPE.boolean:
        return atMost(1) === 1
      case TYPE.array: {
        const items: MmdbValue[] = []
        for (let i = 0; i < size; i++) items.push(read(depth + 1))
        return items
      }
      case TYPE.map: {
        const map: Record<string, MmdbValue> = Object.create(null) as Record<string, MmdbValue>
        for (let i = 0; i < size; i++) {
          const key = read(depth + 1)
          if (typeof key !== 'string') throw damage(name, from, 'a key of a map is no text')
          map[key] = read(depth + 1)
        }
        return map
      }
      default:
        throw damage(name, from, `${type} is no type of values`)
    }
  }

  return (place) => {
    at = start + place
    left = MAX_VALUE
    return read(0)
  }
}
