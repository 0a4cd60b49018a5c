import type {AbstractType} from '../../record/element.js'
import {hexText, type Value} from '../../record/value.js'
import type {XdrReader} from '../../record/xdr-reader.js'
import type {TypedField} from '../map/taker.js'

/** A type of fields, as its values become values of elements. */
export interface IpdrType {
  readonly type: AbstractType
  /** Of one value, where it is not the same for all. */
  typeOf?(value: Value | undefined): AbstractType
  /** Reads one value, octets where they lie; undefined: it is there and means nothing. */
  read(reader: XdrReader): Value | undefined
}

/** Octets that a value has at most. */
const MOST_VALUE = 65535
/** 64-bit integers up to here are numbers. */
const MOST_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** A number where it can be one. */
function plain(value: bigint): number | bigint {
  return value <= MOST_SAFE && value >= -MOST_SAFE ? Number(value) : value
}

function floating(reader: XdrReader, octets: 4 | 8): number {
  const copy = reader.octets(octets).slice()
  const view = new DataView(copy.buffer)
  return octets === 4 ? view.getFloat32(0) : view.getFloat64(0)
}

/** 8-4-4-4-12 digits, as documents in XML have it. */
export function uuidText(octets: Uint8Array): string {
  return hexText(octets).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const seconds = (reader: XdrReader): Value => reader.unsigned32()

/**
 * Types by their numbers: the low octet says how a value is written, the one before it what is derived from that. IPDR/XDR
 * Encoding Format 3.5.1 section 4.3.1.
 */
export const ipdrTypes: ReadonlyMap<number, IpdrType> = new Map<number, IpdrType>([
  [0x21, {type: 'signed32', read: (reader) => reader.signed32()}],
  [0x22, {type: 'unsigned32', read: (reader) => reader.unsigned32()}],
  [0x23, {type: 'signed64', read: (reader) => plain(BigInt.asIntN(64, reader.unsigned64()))}],
  [0x24, {type: 'unsigned64', read: (reader) => plain(reader.unsigned64())}],
  [0x25, {type: 'float32', read: (reader) => floating(reader, 4)}],
  [0x26, {type: 'float64', read: (reader) => floating(reader, 8)}],
  [0x27, {type: 'octetArray', read: (reader) => reader.opaque(MOST_VALUE)}],
  [0x28, {type: 'string', read: (reader) => reader.text(MOST_VALUE)}],
  [0x29, {type: 'boolean', read: (reader) => reader.unsigned8() !== 0}],
  [0x2a, {type: 'signed8', read: (reader) => (reader.unsigned8() << 24) >> 24}],
  [0x2b, {type: 'unsigned8', read: (reader) => reader.unsigned8()}],
  [0x2c, {type: 'signed16', read: (reader) => (reader.unsigned16() << 16) >> 16}],
  [0x2d, {type: 'unsigned16', read: (reader) => reader.unsigned16()}],
  [0x122, {type: 'dateTimeSeconds', read: seconds}],
  [0x224, {type: 'dateTimeMilliseconds', read: (reader) => plain(reader.unsigned64())}],
  [0x322, {type: 'ipv4Address', read: (reader) => reader.octets(4)}],
  [0x427, {type: 'ipv6Address', read: (reader) => reader.opaque(MOST_VALUE)}],
  [
    0x527,
    {
      type: 'string',
      read(reader) {
        const octets = reader.opaque(MOST_VALUE)
        return octets.length === 16 || octets.length === 0 ? uuidText(octets) : undefined
      },
    },
  ],
  [0x623, {type: 'dateTimeMicroseconds', read: (reader) => reader.unsigned64()}],
  [0x723, {type: 'macAddress', read: (reader) => reader.octets(8).subarray(2)}],
  [
    0x827,
    {
      type: 'ipv4Address',
      typeOf: (value) =>
        value instanceof Uint8Array && value.length === 16 ? 'ipv6Address' : 'ipv4Address',
      read: (reader) => reader.opaque(MOST_VALUE),
    },
  ],
])

/** A field with the value that is read next. */
export function readField(reader: XdrReader, name: string, type: IpdrType): TypedField {
  const value = type.read(reader)
  return [name, value, type.typeOf?.(value) ?? type.type]
}

/** Types of version 3 documents, which have the low four bits alone. */
const LAST_OLD_TYPE = 8

/** The type of this number in documents of version 3 (`old`) or later; undefined: there is none. */
export function ipdrType(number: number, old = false): IpdrType | undefined {
  if (!old) return ipdrTypes.get(number)
  return number >= 1 && number <= LAST_OLD_TYPE ? ipdrTypes.get(0x20 | number) : undefined
}

/** What types are called in service definitions. IPDR/XDR Encoding Format 3.5.1 section 4.3.1. */
export const TYPE_NAMES: Readonly<Record<string, AbstractType>> = {
  int: 'signed32',
  unsignedInt: 'unsigned32',
  long: 'signed64',
  integer: 'signed32',
  unsignedLong: 'unsigned64',
  float: 'float32',
  double: 'float64',
  hexBinary: 'octetArray',
  base64Binary: 'octetArray',
  string: 'string',
  boolean: 'boolean',
  byte: 'signed8',
  unsignedByte: 'unsigned8',
  short: 'signed16',
  unsignedShort: 'unsigned16',
  dateTime: 'dateTimeSeconds',
  dateTimeMsec: 'dateTimeMilliseconds',
  dateTimeUsec: 'dateTimeMicroseconds',
  ipV4Addr: 'ipv4Address',
  ipV6Addr: 'ipv6Address',
  ipAddr: 'ipv4Address',
  uuid: 'string',
  UUID: 'string',
  macAddress: 'macAddress',
}
