import {DARTA_PEN, type AbstractType, type InformationElement} from '../../record/element.js'

/**
 * Fields that are put in front of records on their way into group tables. They never leave the process: their numbers
 * are above those of the elements that are described in-band.
 */
function internal(elementId: number, name: string, type: AbstractType): InformationElement {
  return {
    name,
    enterpriseNumber: DARTA_PEN,
    elementId,
    type,
    semantics: 'default',
    units: '',
    status: 'current',
    description: '',
  }
}

/** Where the interval begins that a record, or a part of it, was sorted into. */
export const intervalStart = internal(32000, 'intervalStart', 'dateTimeMilliseconds')
/** 1 in each interval that the original Flow reaches into, begins in, ends in. RFC 7015 section 5.2. */
export const flowPresent = internal(32001, 'flowPresent', 'unsigned8')
export const flowInitiated = internal(32002, 'flowInitiated', 'unsigned8')
export const flowCompleted = internal(32003, 'flowCompleted', 'unsigned8')

/** Bucket of a value, of measure `n`. */
export function bucketElement(n: number): InformationElement {
  return internal(32100 + n, `bucket${n}`, 'unsigned16')
}

/** Register and rank of a hash, of measure `n`. */
export function registerElement(n: number): InformationElement {
  return internal(32300 + n, `register${n}`, 'unsigned16')
}
export function rankElement(n: number): InformationElement {
  return internal(32500 + n, `rank${n}`, 'unsigned8')
}

/** First of the numbers that elements have which are described in-band (RFC 5610), and how many there are. */
const DESCRIBED_FROM = 16384
const DESCRIBED = 15000

/**
 * An element of darta's own for what no registered one carries, like `minimumOfIpTTL`: its number is made of its name, so
 * that it is the same in every process; readers learn it from a type record.
 */
export function describedElement(
  name: string,
  type: AbstractType,
  units: string,
  description: string,
): InformationElement {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  }
  return {
    name,
    enterpriseNumber: DARTA_PEN,
    elementId: DESCRIBED_FROM + ((hash >>> 0) % DESCRIBED),
    type,
    semantics: 'quantity',
    units,
    status: 'current',
    description,
  }
}
