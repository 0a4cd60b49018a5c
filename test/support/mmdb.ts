import {addressOctets} from '../../src/record/address.js'

/** A value of a database; numbers are unsigned32. */
export type Writable =
  | string
  | number
  | bigint
  | boolean
  | {readonly double: number}
  | {readonly float: number}
  | {readonly signed: number}
  | {readonly short: number}
  | Uint8Array
  | readonly Writable[]
  | {readonly [key: string]: Writable}

export interface MmdbOptions {
  readonly recordSize?: 24 | 28 | 32
  readonly ipVersion?: 4 | 6
  readonly type?: string
}

type Node = [left: Node | number | undefined, right: Node | number | undefined]

/** A value as MaxMind DB has it; keys and text that occur again are pointers to where they were written. */
function createSection(): {octets: number[]; write(value: Writable): number} {
  const octets: number[] = []
  const texts = new Map<string, number>()
  function control(type: number, size: number): void {
    const extended = type > 7
    const head = (extended ? 0 : type) << 5
    const more = (low: number, rest: number, length: number): void => {
      octets.push(head | low)
      if (extended) octets.push(type - 7)
      for (let i = length - 1; i >= 0; i--) octets.push((rest >>> (8 * i)) & 255)
    }
    if (size < 29) more(size, 0, 0)
    else if (size < 285) more(29, size - 29, 1)
    else if (size < 65821) more(30, size - 285, 2)
    else more(31, size - 65821, 3)
  }
  function pointer(to: number): void {
    const bytes = (value: number, n: number): void => {
      for (let i = n - 1; i >= 0; i--) octets.push((value >>> (8 * i)) & 255)
    }
    if (to < 2048) {
      octets.push(0x20 | (to >>> 8))
      bytes(to, 1)
    } else if (to < 526336) {
      octets.push(0x28 | ((to - 2048) >>> 16))
      bytes(to - 2048, 2)
    } else {
      octets.push(0x30 | ((to - 526336) >>> 24))
      bytes(to - 526336, 3)
    }
  }
  function unsigned(type: number, value: bigint): void {
    const list: number[] = []
    for (let rest = value; rest > 0n; rest >>= 8n) list.unshift(Number(rest & 255n))
    control(type, list.length)
    octets.push(...list)
  }
  function write(value: Writable): number {
    const at = octets.length
    if (typeof value === 'string') {
      const known = texts.get(value)
      if (known !== undefined) pointer(known)
      else {
        texts.set(value, at)
        const text = new TextEncoder().encode(value)
        control(2, text.length)
        octets.push(...text)
      }
    } else if (typeof value === 'number') unsigned(6, BigInt(value))
    else if (typeof value === 'bigint') unsigned(9, value)
    else if (typeof value === 'boolean') control(14, value ? 1 : 0)
    else if (value instanceof Uint8Array) {
      control(4, value.length)
      octets.push(...value)
    } else if (Array.isArray(value)) {
      control(11, value.length)
      for (const item of value as readonly Writable[]) write(item)
    } else if (typeof (value as {double?: unknown}).double === 'number') {
      const view = new DataView(new ArrayBuffer(8))
      view.setFloat64(0, (value as {double: number}).double)
      control(3, 8)
      octets.push(...new Uint8Array(view.buffer))
    } else if (typeof (value as {float?: unknown}).float === 'number') {
      const view = new DataView(new ArrayBuffer(4))
      view.setFloat32(0, (value as {float: number}).float)
      control(15, 4)
      octets.push(...new Uint8Array(view.buffer))
    } else if (typeof (value as {short?: unknown}).short === 'number') {
      unsigned(5, BigInt((value as {short: number}).short))
    } else if (typeof (value as {signed?: unknown}).signed === 'number') {
      const view = new DataView(new ArrayBuffer(4))
      view.setInt32(0, (value as {signed: number}).signed)
      control(8, 4)
      octets.push(...new Uint8Array(view.buffer))
    } else {
      const entries = Object.entries(value as Record<string, Writable>)
      control(7, entries.length)
      for (const [key, one] of entries) {
        write(key)
        write(one)
      }
    }
    return at
  }
  return {octets, write}
}

/** Writes a database in the MaxMind DB format 2.0: of networks that contain each other the longest prefix counts. */
export function writeMmdb(
  networks: readonly (readonly [prefix: string, value: Writable])[],
  options: MmdbOptions = {},
): Uint8Array {
  const {recordSize = 28, ipVersion = 6, type = 'Test-City'} = options
  const values = createSection()
  const places = new Map<string, number>()
  const placeOf = (value: Writable): number => {
    const key = JSON.stringify(value, (_k, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v))
    let place = places.get(key)
    if (place === undefined) {
      place = values.write(value)
      places.set(key, place)
    }
    return place
  }
  const top: Node = [undefined, undefined]
  const lengthOf = (prefix: string): number => {
    const [address, bits] = prefix.split('/')
    const own = address.includes(':') ? 128 : 32
    return Number(bits ?? own) + (own === 32 && ipVersion === 6 ? 96 : 0)
  }
  // Shorter ones first, so that longer ones cut them up.
  const sorted = [...networks].sort(([a], [b]) => lengthOf(a) - lengthOf(b))
  for (const [prefix, value] of sorted) {
    const [address] = prefix.split('/')
    const raw = addressOctets(address)
    const octets = raw.length === 4 && ipVersion === 6 ? [...new Uint8Array(12), ...raw] : [...raw]
    const length = lengthOf(prefix)
    const place = placeOf(value)
    let node = top
    for (let bit = 0; bit < length; bit++) {
      const side = (octets[bit >>> 3] >>> (7 - (bit & 7))) & 1
      if (bit === length - 1) {
        node[side] = place
        break
      }
      const below = node[side]
      if (typeof below !== 'object') node[side] = [below, below]
      node = node[side] as Node
    }
  }
  const nodes: Node[] = []
  const numbers = new Map<Node, number>()
  const visit = (node: Node): void => {
    numbers.set(node, nodes.push(node) - 1)
    for (const child of node) if (typeof child === 'object') visit(child)
  }
  visit(top)
  const record = (child: Node | number | undefined): number =>
    child === undefined
      ? nodes.length
      : typeof child === 'number'
        ? nodes.length + 16 + child
        : numbers.get(child)!
  const out: number[] = []
  for (const node of nodes) {
    const [left, right] = node.map(record)
    const low = (value: number, n: number): void => {
      for (let i = n - 1; i >= 0; i--) out.push(Math.floor(value / 256 ** i) & 255)
    }
    if (recordSize === 28) {
      low(left & 0xffffff, 3)
      out.push(((left >>> 24) << 4) | (right >>> 24))
      low(right & 0xffffff, 3)
    } else {
      low(left, recordSize / 8)
      low(right, recordSize / 8)
    }
  }
  const metadata = createSection()
  metadata.write({
    node_count: nodes.length,
    record_size: {short: recordSize},
    ip_version: {short: ipVersion},
    database_type: type,
    languages: ['en'],
    binary_format_major_version: {short: 2},
    binary_format_minor_version: {short: 0},
    build_epoch: 1_700_000_000n,
    description: {en: 'made by a test'},
  })
  const mark = [0xab, 0xcd, 0xef, ...new TextEncoder().encode('MaxMind.com')]
  return Uint8Array.from([
    ...out,
    ...new Uint8Array(16),
    ...values.octets,
    ...mark,
    ...metadata.octets,
  ])
}
