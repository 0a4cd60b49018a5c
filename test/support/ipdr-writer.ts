// Writes what IPDR says in XDR, from the specifications (IPDR/XDR Encoding Format 3.5.1, IPDR/SP 2.3); the decoder's code is not used.

/** Numbers of types. IPDR/XDR Encoding Format 3.5.1 section 4.3.1. */
export const TYPE = {
  int: 0x21,
  unsignedInt: 0x22,
  long: 0x23,
  unsignedLong: 0x24,
  float: 0x25,
  double: 0x26,
  hexBinary: 0x27,
  string: 0x28,
  boolean: 0x29,
  byte: 0x2a,
  unsignedByte: 0x2b,
  short: 0x2c,
  unsignedShort: 0x2d,
  dateTime: 0x122,
  dateTimeMsec: 0x224,
  ipV4Addr: 0x322,
  ipV6Addr: 0x427,
  uuid: 0x527,
  dateTimeUsec: 0x623,
  macAddress: 0x723,
  ipAddr: 0x827,
} as const

export type TypeName = keyof typeof TYPE

export type FieldData = number | bigint | string | boolean | Buffer

export interface Field {
  readonly name: string
  readonly type: TypeName
}

export const u8 = (value: number): Buffer => Buffer.from([value & 0xff])

export function u16(value: number): Buffer {
  const octets = Buffer.alloc(2)
  octets.writeUInt16BE(value & 0xffff)
  return octets
}

export function u32(value: number): Buffer {
  const octets = Buffer.alloc(4)
  octets.writeUInt32BE(value >>> 0)
  return octets
}

export function u64(value: bigint | number): Buffer {
  const octets = Buffer.alloc(8)
  octets.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)))
  return octets
}

/** Octets behind their length; in version 3 documents they are filled up to a multiple of four. */
export function counted(octets: Buffer, padded = false): Buffer {
  const fill = padded ? (4 - (octets.length % 4)) % 4 : 0
  return Buffer.concat([u32(octets.length), octets, Buffer.alloc(fill)])
}

export const text = (value: string, padded = false): Buffer =>
  counted(Buffer.from(value, 'utf8'), padded)

/** Text of an IPv6 address in full: eight groups. */
export function ipv6(groups: string): Buffer {
  return Buffer.concat(groups.split(':').map((group) => u16(parseInt(group, 16))))
}

export function encodeValue(type: TypeName, value: FieldData, padded = false): Buffer {
  switch (type) {
    case 'int':
    case 'unsignedInt':
    case 'dateTime':
      return u32(Number(value))
    case 'long':
    case 'unsignedLong':
    case 'dateTimeMsec':
    case 'dateTimeUsec':
      return u64(value as number | bigint)
    case 'float': {
      const octets = Buffer.alloc(4)
      octets.writeFloatBE(Number(value))
      return octets
    }
    case 'double': {
      const octets = Buffer.alloc(8)
      octets.writeDoubleBE(Number(value))
      return octets
    }
    case 'string':
      return text(String(value), padded)
    case 'boolean':
      return u8(value === true ? 1 : 0)
    case 'byte':
    case 'unsignedByte':
      return u8(Number(value))
    case 'short':
    case 'unsignedShort':
      return u16(Number(value))
    case 'ipV4Addr':
      return Buffer.from(String(value).split('.').map(Number))
    case 'macAddress':
      return Buffer.concat([u16(0), Buffer.from(String(value).replaceAll(':', ''), 'hex')])
    case 'uuid':
      return counted(Buffer.from(String(value).replaceAll('-', ''), 'hex'), padded)
    case 'hexBinary':
    case 'ipV6Addr':
    case 'ipAddr':
      return counted(value as Buffer, padded)
  }
}

export interface Document {
  readonly version: 3 | 4
  /** −1: until the element that says that it is the last. */
  readonly elements?: number
}

export function documentHeader({version, elements = -1}: Document): Buffer {
  const padded = version === 3
  return Buffer.concat([
    u32(version),
    text('recorder', padded),
    u64(1_700_000_000_000),
    text('http://www.ipdr.org/namespaces/ipdr', padded),
    u32(1),
    text('http://example.net/other', padded),
    text('o', padded),
    u32(1),
    text('http://www.ipdr.org/public/VoIP3.0-A.0.xsd', padded),
    counted(Buffer.from('bd2e0a361dd111b295aae6b6e797e7c4', 'hex'), padded),
    u32(elements),
  ])
}

/** A type's number in a document; version 3 has the low digit only. */
export function typeNumber(type: TypeName, version: 3 | 4): number {
  return version === 3 ? TYPE[type] & 0xf : TYPE[type]
}

export function documentDescriptor(
  {version}: Document,
  id: number,
  typeName: string,
  fields: readonly Field[],
): Buffer {
  const padded = version === 3
  return Buffer.concat([
    u32(1),
    u32(id),
    text(typeName, padded),
    u32(fields.length),
    ...fields.flatMap(({name, type}) => [text(name, padded), u32(typeNumber(type, version))]),
  ])
}

/** @param mark whether the indefinite length stands in front of the fields, as the reference library has it */
export function documentRecord(
  {version}: Document,
  id: number,
  fields: readonly Field[],
  values: readonly FieldData[],
  mark = true,
): Buffer {
  return Buffer.concat([
    u32(2),
    u32(id),
    ...(mark ? [u32(0xffffffff)] : []),
    ...fields.map(({type}, i) => encodeValue(type, values[i], version === 3)),
  ])
}

export const documentEnd = (count: number): Buffer =>
  Buffer.concat([u32(3), u32(count), u64(1_700_000_001_000)])
