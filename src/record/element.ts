/** The abstract data types of RFC 7012 section 3.1 and RFC 6313 section 4.1, by their registry names. */
export const abstractTypes = [
  'octetArray',
  'unsigned8',
  'unsigned16',
  'unsigned32',
  'unsigned64',
  'signed8',
  'signed16',
  'signed32',
  'signed64',
  'float32',
  'float64',
  'boolean',
  'macAddress',
  'string',
  'dateTimeSeconds',
  'dateTimeMilliseconds',
  'dateTimeMicroseconds',
  'dateTimeNanoseconds',
  'ipv4Address',
  'ipv6Address',
  'basicList',
  'subTemplateList',
  'subTemplateMultiList',
  'unsigned256',
] as const

/** The index is the dataType number of RFC 5610 section 3.1 (informationElementDataType). */
export type AbstractType = (typeof abstractTypes)[number]

/** RFC 7012 section 3.2; the index is the number of RFC 5610 (informationElementSemantics). */
export const semanticsNames = [
  'default',
  'quantity',
  'totalCounter',
  'deltaCounter',
  'identifier',
  'flags',
  'list',
  'snmpCounter',
  'snmpGauge',
] as const

export type Semantics = (typeof semanticsNames)[number]

/** Enterprise number of the reverse elements of RFC 5103 section 6.1. */
export const REVERSE_PEN = 29305
/** Enterprise number of darta's own elements: the documentation number, until one is assigned. */
export const DARTA_PEN = 32473

export interface InformationElement {
  /** IANA name, `reverse…` for RFC 5103, `pen/id` where nothing better is known. */
  readonly name: string
  /** 0 for IANA's own. */
  readonly enterpriseNumber: number
  /** 1..32767 */
  readonly elementId: number
  readonly type: AbstractType
  readonly semantics: Semantics
  /** Registry's word (`octets`, `packets`, `milliseconds` …), empty where there is none. */
  readonly units: string
  /** Least and greatest value, inclusive, where the registry states a range. */
  readonly range?: readonly [number, number]
  readonly status: 'current' | 'deprecated' | 'unknown'
  readonly description: string
}

/**
 * Octets of a full-size field of this type; VARIABLE (65535) where the length is not fixed.
 * RFC 7011 section 6.1.
 */
export function fullLength(type: AbstractType): number {
  return FULL_LENGTH[type]
}

/** The field length that announces variable-length encoding. RFC 7011 section 7. */
export const VARIABLE = 65535

const FULL_LENGTH: Record<AbstractType, number> = {
  octetArray: VARIABLE,
  unsigned8: 1,
  unsigned16: 2,
  unsigned32: 4,
  unsigned64: 8,
  signed8: 1,
  signed16: 2,
  signed32: 4,
  signed64: 8,
  float32: 4,
  float64: 8,
  boolean: 1,
  macAddress: 6,
  string: VARIABLE,
  dateTimeSeconds: 4,
  dateTimeMilliseconds: 8,
  dateTimeMicroseconds: 8,
  dateTimeNanoseconds: 8,
  ipv4Address: 4,
  ipv6Address: 16,
  basicList: VARIABLE,
  subTemplateList: VARIABLE,
  subTemplateMultiList: VARIABLE,
  unsigned256: 32,
}

/** Whether `length` octets can carry `type`: full size, reduced size (RFC 7011 section 6.2) or variable. */
export function lengthFits(type: AbstractType, length: number): boolean {
  const full = FULL_LENGTH[type]
  if (full === VARIABLE) return true
  if (length === full || length === VARIABLE) return true
  if (type === 'float64') return length === 4
  const reducible = type.startsWith('unsigned') || type.startsWith('signed')
  return reducible && length >= 1 && length < full
}

/**
 * Whether octets of this length can be read as `type`: what `lengthFits`, and an integer in more octets than its type
 * has, which is not allowed but means one thing only. Any other field is octets to all readers.
 */
export function carriesType(type: AbstractType, length: number): boolean {
  if (lengthFits(type, length)) return true
  const integer = type.startsWith('unsigned') || type.startsWith('signed')
  return integer && length >= 1 && length <= 8
}

/**
 * tcpControlBits and its reverse: the upper four of its 16 bits are no flags; they are sent as 0 and ignored on receipt.
 * RFC 9565 section 3.
 */
export function isControlBits(element: InformationElement): boolean {
  const pen = element.enterpriseNumber
  return element.elementId === 6 && (pen === 0 || pen === REVERSE_PEN)
}

/** Whether the type is one of RFC 6313's structured types. */
export function isList(type: AbstractType): boolean {
  return type === 'basicList' || type === 'subTemplateList' || type === 'subTemplateMultiList'
}

/** An element of which only the number is known: octets are kept as they are. RFC 7011 section 9. */
export function unknownElement(enterpriseNumber: number, elementId: number): InformationElement {
  return {
    name: `${enterpriseNumber}/${elementId}`,
    enterpriseNumber,
    elementId,
    type: 'octetArray',
    semantics: 'default',
    units: '',
    status: 'unknown',
    description: '',
  }
}
