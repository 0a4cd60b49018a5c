import {
  VARIABLE,
  carriesType,
  isControlBits,
  isList,
  type AbstractType,
  type InformationElement,
} from '../../record/element.js'

/** How a field is written as text, whatever the format. The text kernel knows the same numbers. */
export const kinds = {
  /** Nothing but the octets that stand before it. */
  none: 0,
  /** 1..8 octets. */
  unsigned: 1,
  /** 1..8 octets. */
  signed: 2,
  /** 4 or 8 octets. */
  float: 3,
  boolean: 4,
  mac: 5,
  ipv4: 6,
  ipv6: 7,
  seconds: 8,
  milliseconds: 9,
  microseconds: 10,
  nanoseconds: 11,
  /** Of variable length. */
  string: 12,
  /** Of fixed length: zero octets at its end only pad it. */
  paddedString: 13,
  octets: 14,
  /** Octets that do not fit the type. */
  misfit: 15,
  /** 9..32 octets. */
  longUnsigned: 16,
  list: 17,
  /** A number, address or time of variable length: each value has the kind of its own length. */
  variable: 18,
  exportTime: 19,
  observationDomainId: 20,
  sequenceNumber: 21,
  /** TCP control bits in 2 octets, of which the upper four bits are none. RFC 9565. */
  controlBits: 22,
} as const

export type Kind = (typeof kinds)[keyof typeof kinds]

/** Kind of a field. @param length encoded length, VARIABLE (65535) where each value has its own */
export function kindOf(element: InformationElement, length: number): Kind {
  const {type} = element
  if (type === 'string') return length === VARIABLE ? kinds.string : kinds.paddedString
  if (type === 'octetArray') return kinds.octets
  if (isList(type)) return kinds.list
  if (length === VARIABLE) return kinds.variable
  if (!carriesType(type, length)) return kinds.misfit
  if (length === 2 && isControlBits(element)) return kinds.controlBits
  return length > 8 && type === 'unsigned256'
    ? kinds.longUnsigned
    : fixedKinds[type as keyof typeof fixedKinds]
}

const fixedKinds = {
  unsigned8: kinds.unsigned,
  unsigned16: kinds.unsigned,
  unsigned32: kinds.unsigned,
  unsigned64: kinds.unsigned,
  unsigned256: kinds.unsigned,
  signed8: kinds.signed,
  signed16: kinds.signed,
  signed32: kinds.signed,
  signed64: kinds.signed,
  float32: kinds.float,
  float64: kinds.float,
  boolean: kinds.boolean,
  macAddress: kinds.mac,
  ipv4Address: kinds.ipv4,
  ipv6Address: kinds.ipv6,
  dateTimeSeconds: kinds.seconds,
  dateTimeMilliseconds: kinds.milliseconds,
  dateTimeMicroseconds: kinds.microseconds,
  dateTimeNanoseconds: kinds.nanoseconds,
} as const satisfies Partial<Record<AbstractType, Kind>>
