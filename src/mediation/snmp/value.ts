import type {FieldValue} from '../../record/field-records.js'
import type {MibObject} from '../../record/template.js'
import {ie} from '../../registry/lookup.js'
import {identifierOctets} from '../../record/object-identifier.js'

/** A value of SNMP with its type on the wire. RFC 3416 section 3, RFC 2578 section 7.1. */
export type SnmpValue =
  | {readonly type: 'integer' | 'gauge' | 'timeTicks' | 'counter32'; readonly value: number}
  | {readonly type: 'counter64'; readonly value: bigint}
  /** Opaque too. What is a row of bits cannot be told from it. */
  | {readonly type: 'octets'; readonly value: Uint8Array}
  /** `1.3.6.1.2.1`, `192.0.2.1` */
  | {readonly type: 'identifier' | 'address'; readonly value: string}

/** An instance of an object and its value. */
export interface SnmpBinding {
  /** `1.3.6.1.2.1.1.3.0` */
  readonly oid: string
  readonly value: SnmpValue
}

const elements = {
  integer: ie.mibObjectValueInteger,
  gauge: ie.mibObjectValueGauge,
  timeTicks: ie.mibObjectValueTimeTicks,
  counter32: ie.mibObjectValueCounter,
  counter64: ie.mibObjectValueCounter,
  octets: ie.mibObjectValueOctetString,
  identifier: ie.mibObjectValueOID,
  address: ie.mibObjectValueIPAddress,
} as const

/** The field that has this value. RFC 8038 section 5.2, table 1. */
export function valueField({type, value}: SnmpValue, mib: MibObject | undefined): FieldValue {
  const element = elements[type]
  return [element, type === 'identifier' ? identifierOctets(value) : value, mib]
}

/** What an object of this type is to readers of IPFIX; `index` as in `MibObject`. */
export function mibObject(oid: string, index: readonly number[] = []): MibObject {
  return {identifier: identifierOctets(oid), index}
}

/** Its number, where it has one. */
export function numberOf(value: SnmpValue | undefined): number | undefined {
  return typeof value?.value === 'number' ? value.value : undefined
}

const utf8 = new TextDecoder()

/** Its text, without zeros at the end; undefined where it is none, or empty. */
export function textOf(value: SnmpValue | undefined): string | undefined {
  if (value?.type !== 'octets') return undefined
  const text = utf8.decode(value.value).replace(/\0+$/, '')
  return text === '' ? undefined : text
}
