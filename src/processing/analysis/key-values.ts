import {fullLength, VARIABLE, type InformationElement} from '../../record/element.js'
import type {GroupRow} from '../../record/group-row.js'
import {readBigUnsigned, readValue} from '../../record/readers.js'
import {hexText, type Value} from '../../record/value.js'
import type {FlowKey} from '../../registry/flow-keys.js'
import {protocolName} from '../../registry/protocols.js'
import type {TableStyle} from './app.js'
import type {ResultField} from './result-records.js'

/** Part `i` of a row's key as fields of a result: its value and, of a prefix, the length; a missing part gives none. */
export function keyFields(row: GroupRow, i: number): ResultField[] {
  const {part, alternative} = row.shape.fields[i]
  const octets = row.part(i)
  if (octets === undefined) return []
  const {value, prefixLength} = (part as FlowKey).results[alternative]
  const fields: ResultField[] = [[value, partValue(value, octets)]]
  if (prefixLength !== undefined) fields.push([prefixLength, part.bits![alternative]])
  return fields
}

/** Octets of a key as a value of `element`. Prefixes have lost the octets behind them: those are zeros. */
function partValue(element: InformationElement, octets: Uint8Array): Value {
  if (element.type.startsWith('unsigned')) return readBigUnsigned(octets, 0, octets.length)
  let whole = octets
  const full = fullLength(element.type)
  if (full !== VARIABLE && octets.length < full) {
    whole = new Uint8Array(full)
    whole.set(octets)
  }
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength)
  const value = readValue(element, {octets: whole, view}, 0, whole.length)
  // Text that is no UTF-8 is not exported (RFC 7011 section 6.1.6).
  if (element.type === 'string' && value instanceof Uint8Array) {
    return new TextDecoder().decode(value)
  }
  return typeof value === 'object' ? whole : value
}

/** The same for people. */
export function keyText(row: GroupRow, i: number, style: TableStyle): string {
  const fields = keyFields(row, i)
  if (fields.length === 0) return '-'
  const [[element, value], length] = fields
  if (length !== undefined) return `${valueText(value)}/${valueText(length[1])}`
  if (element.name === 'protocolIdentifier' && style.names) {
    return protocolName(Number(value)) ?? valueText(value)
  }
  if (element.name === 'tcpControlBits') return flagsText(Number(value))
  return valueText(value)
}

function valueText(value: Value): string {
  if (value instanceof Uint8Array) return hexText(value)
  // Line breaks and the like in names would break the table.
  if (typeof value === 'string') return value.replace(/\p{Cc}/gu, '?')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** `...AP.SF`, from CWR to FIN. */
function flagsText(bits: number): string {
  return [...'CEUAPRSF'].map((letter, i) => ((bits >> (7 - i)) & 1 ? letter : '.')).join('')
}
