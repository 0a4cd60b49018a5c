import {fullLength, VARIABLE, type InformationElement} from '../../record/element.js'
import type {GroupRow} from '../../record/group-row.js'
import {isUnsigned} from '../../record/group-view.js'
import {readValue} from '../../record/readers.js'
import {hexText, type Value} from '../../record/value.js'
import type {FlowKey} from '../../registry/flow-keys.js'
import {protocolName} from '../../registry/protocols.js'
import type {TableStyle} from './app.js'
import type {ResultField} from './result-records.js'

/**
 * Part `i` of a row's key as fields of a result, values as octets: the value itself and, of a prefix, its length; a missing part
 * gives none.
 */
export function keyFields(row: GroupRow, i: number): ResultField[] {
  const {part, alternative} = row.shape.fields[i]
  const octets = row.part(i)
  if (octets === undefined) return []
  const {value, prefixLength} = (part as FlowKey).results[alternative]
  const fields: ResultField[] = [[value, fieldOctets(value, octets)]]
  if (prefixLength !== undefined) fields.push([prefixLength, part.bits![alternative]])
  return fields
}

/** Octets of a key as those of a field of full length. */
function fieldOctets(element: InformationElement, octets: Uint8Array): Value {
  const full = fullLength(element.type)
  // Text that is no UTF-8 is not exported (RFC 7011 section 6.1.6).
  if (element.type === 'string') return new TextDecoder().decode(octets)
  // A copy: rows may be of a block that is used again.
  if (full === VARIABLE || octets.length === full) return octets.slice()
  const whole = new Uint8Array(full)
  // A number stands at the end of its field; a prefix has lost the octets behind it: those are zeros.
  if (isUnsigned(element))
    whole.set(octets.subarray(Math.max(0, octets.length - full)), Math.max(0, full - octets.length))
  else whole.set(octets)
  return whole
}

const plainStyle: TableStyle = {units: 'none', names: false}

/** The same for people. */
export function keyText(row: GroupRow, i: number, style: TableStyle = plainStyle): string {
  const [field, length] = keyFields(row, i)
  if (field === undefined) return '-'
  const [element, octets] = field
  if (!(octets instanceof Uint8Array)) return valueText(octets)
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const value = readValue(element, {octets, view}, 0, octets.length)
  if (length !== undefined) return `${valueText(value)}/${valueText(length[1])}`
  if (element.name === 'protocolIdentifier' && style.names) {
    return protocolName(Number(value)) ?? valueText(value)
  }
  if (element.name === 'tcpControlBits') return flagsText(Number(value))
  return valueText(value)
}

/** A value in one line, without control characters; octets in hex. */
export function valueText(value: Value): string {
  if (value instanceof Uint8Array) return hexText(value)
  // Line breaks and the like in names would break the table.
  if (typeof value === 'string') return value.replace(/\p{Cc}/gu, '?')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** `...AP.SF`, from CWR to FIN. */
function flagsText(bits: number): string {
  return [...'CEUAPRSF'].map((letter, i) => ((bits >> (7 - i)) & 1 ? letter : '.')).join('')
}
