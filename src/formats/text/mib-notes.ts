import {DartaError} from '../../record/errors.js'
import {identifierOctets, identifierText} from '../../record/object-identifier.js'
import {hexText} from '../../record/value.js'
import type {Field, MibObject} from '../../record/template.js'

/**
 * What object a field has the value of, as text: `1.3.6.1.2.1.2.2.1.10[1]` is the column ifInOctets, indexed by the second field
 * of the Template. Octets that are no identifier are hexadecimal digits behind `0x`.
 *
 * @param place of the field in its Template, from 0
 */
export function mibObjectText({identifier, index}: MibObject, place: number): string {
  const text = identifierText(identifier) ?? `0x${hexText(identifier)}`
  return index.length === 0 ? text : `${text}[${index.map((distance) => place - distance).join()}]`
}

/** The texts of the fields under one key, undefined where none has an object. */
export function mibObjectTexts(
  fields: readonly Field[],
  group: readonly number[],
): string | undefined {
  const texts = group.map((place) => {
    const {mib} = fields[place]
    return mib === undefined ? null : mibObjectText(mib, place)
  })
  if (texts.every((text) => text === null)) return undefined
  return JSON.stringify(texts.length > 1 ? texts : texts[0])
}

/** Reads such a text. @throws DartaError DARTA_VALUE */
export function readMibObject(text: unknown, place: number, at: number): MibObject | undefined {
  if (text === undefined || text === null) return undefined
  const match =
    typeof text === 'string' && text.length <= 4096
      ? /^(?:0x((?:[0-9a-f]{2})*)|([\d.]+))(?:\[(\d{1,5}(?:,\d{1,5})*)\])?$/.exec(text)
      : null
  if (match !== null) {
    const [, digits, dotted, places] = match
    const index = places === undefined ? [] : places.split(',').map((one) => place - Number(one))
    if (digits !== undefined) {
      return {identifier: new Uint8Array(Buffer.from(digits, 'hex')), index}
    }
    try {
      return {identifier: identifierOctets(dotted), index}
    } catch {
      // Told below.
    }
  }
  throw new DartaError('DARTA_VALUE', 'an object is told like "1.3.6.1.2.1.1.3"', at)
}
