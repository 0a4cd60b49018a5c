/** Captures built by hand: pcap files and pcapng blocks. */

export interface RecordParts {
  /** Nanoseconds since 1970. */
  readonly time?: number | bigint
  readonly octets: Uint8Array
  /** Octets on the wire; as many as captured if absent. */
  readonly original?: number
}

export interface PcapOptions {
  /** First four octets in hex, as they stand in the file. */
  readonly magic?: string
  readonly linkType?: number
  readonly snapLength?: number
}

const variants: Record<string, {little: boolean; unit: bigint; extra: number}> = {
  a1b2c3d4: {little: false, unit: 1000n, extra: 0},
  d4c3b2a1: {little: true, unit: 1000n, extra: 0},
  a1b23c4d: {little: false, unit: 1n, extra: 0},
  '4d3cb2a1': {little: true, unit: 1n, extra: 0},
  a1b2cd34: {little: false, unit: 1000n, extra: 8},
  '34cdb2a1': {little: true, unit: 1000n, extra: 8},
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A pcap file; microseconds in little-endian order unless told otherwise. */
export function pcap(records: readonly RecordParts[], options: PcapOptions = {}): Uint8Array {
  const {magic = 'd4c3b2a1', linkType = 1, snapLength = 262144} = options
  const {little} = variants[magic]
  const header = new DataView(new ArrayBuffer(24))
  header.setUint32(0, parseInt(magic, 16))
  header.setUint16(4, 2, little)
  header.setUint16(6, 4, little)
  header.setUint32(16, snapLength, little)
  header.setUint32(20, linkType, little)
  return concat(new Uint8Array(header.buffer), ...records.map((r) => pcapRecord(r, magic)))
}

export function pcapRecord(
  {time = 0, octets, original}: RecordParts,
  magic = 'd4c3b2a1',
): Uint8Array {
  const {little, unit, extra} = variants[magic]
  const ns = BigInt(time)
  const header = new DataView(new ArrayBuffer(16 + extra))
  header.setUint32(0, Number(ns / 1000000000n), little)
  header.setUint32(4, Number((ns % 1000000000n) / unit), little)
  header.setUint32(8, octets.length, little)
  header.setUint32(12, original ?? octets.length, little)
  return concat(new Uint8Array(header.buffer), octets)
}

/** Builds the blocks of pcapng sections in one byte order. */
export function blocks(little: boolean) {
  const numbers = (octets: 2 | 4 | 8, ...values: (number | bigint)[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(octets * values.length))
    values.forEach((value, i) => {
      if (octets === 2) view.setUint16(2 * i, Number(value), little)
      else if (octets === 4) view.setUint32(4 * i, Number(value), little)
      else view.setBigUint64(8 * i, BigInt.asUintN(64, BigInt(value)), little)
    })
    return new Uint8Array(view.buffer)
  }
  const pad = (octets: Uint8Array): Uint8Array =>
    concat(octets, new Uint8Array((4 - (octets.length % 4)) % 4))
  const block = (type: number, ...body: Uint8Array[]): Uint8Array => {
    const content = pad(concat(...body))
    const length = numbers(4, content.length + 12)
    return concat(numbers(4, type), length, content, length)
  }
  const stamp = (units: number | bigint): Uint8Array =>
    numbers(4, BigInt(units) >> 32n, BigInt(units) & 0xffffffffn)
  return {
    numbers,
    block,
    section: () => block(0x0a0d0d0a, numbers(4, 0x1a2b3c4d), numbers(2, 1, 0), numbers(8, -1n)),
    option: (code: number, value: Uint8Array) => concat(numbers(2, code, value.length), pad(value)),
    description: (linkType: number, snapLength = 0, ...options: Uint8Array[]) =>
      block(1, numbers(2, linkType, 0), numbers(4, snapLength), ...options),
    enhanced: (index: number, units: number | bigint, octets: Uint8Array, original?: number) =>
      block(
        6,
        numbers(4, index),
        stamp(units),
        numbers(4, octets.length, original ?? octets.length),
        octets,
      ),
    obsolete: (index: number, units: number | bigint, octets: Uint8Array) =>
      block(
        2,
        numbers(2, index, 0),
        stamp(units),
        numbers(4, octets.length, octets.length),
        octets,
      ),
    simple: (original: number, octets: Uint8Array) => block(3, numbers(4, original), octets),
  }
}
