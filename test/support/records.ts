import type {MessageContext, RecordBatch} from '../../src/record/batch.js'
import {VARIABLE, fullLength, type InformationElement} from '../../src/record/element.js'
import {createTemplate, type Template} from '../../src/record/template.js'

/** Octets of one field: a number is an unsigned integer of the field's length, text is UTF-8. */
export type FieldOctets = Uint8Array | number | bigint | string

export const noMessage: MessageContext = {
  exportTime: 1_700_000_000,
  sequenceNumber: 0,
  observationDomainId: 1,
  offset: 0,
}

/** A Template of these elements, at full length unless a length is given. */
export function templateOf(
  elements: readonly (InformationElement | readonly [InformationElement, number])[],
  id = 256,
  scopeCount = 0,
): Template {
  return createTemplate(
    id,
    elements.map((e) =>
      'name' in e ? {element: e, length: fullLength(e.type)} : {element: e[0], length: e[1]},
    ),
    scopeCount,
  )
}

/** One batch of these records, encoded as on the wire, behind `before` octets of something else. */
export function batchOf(
  template: Template,
  records: readonly (readonly FieldOctets[])[],
  message: Partial<MessageContext> = {},
  before = 0,
): RecordBatch {
  const octets: number[] = Array.from({length: before}, () => 0xee)
  const offsets = [before]
  for (const record of records) {
    for (const [i, {length}] of template.fields.entries()) {
      const value = octetsOf(record[i], length)
      if (length === VARIABLE) {
        if (value.length < 255) octets.push(value.length)
        else octets.push(255, value.length >> 8, value.length & 255)
      }
      octets.push(...value)
    }
    offsets.push(octets.length)
  }
  const all = Uint8Array.from(octets)
  return {
    template,
    octets: all,
    view: new DataView(all.buffer),
    start: before,
    count: records.length,
    offsets: template.recordOctets === 0 ? Uint32Array.from(offsets) : undefined,
    message: {...noMessage, ...message},
  }
}

function octetsOf(value: FieldOctets, length: number): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return new TextEncoder().encode(value)
  const octets = new Uint8Array(length === VARIABLE ? 8 : length)
  let rest = BigInt(value)
  for (let i = octets.length - 1; i >= 0; i--) {
    octets[i] = Number(rest & 255n)
    rest >>= 8n
  }
  return octets
}

/** `192.0.2.1` or `2001:db8::1` as octets. */
export function address(text: string): Uint8Array {
  if (!text.includes(':')) return Uint8Array.from(text.split('.'), Number)
  const [head, tail] = text.split('::').map((s) => (s === '' ? [] : s.split(':')))
  const zeros = Array<string>(8 - head.length - (tail?.length ?? 0)).fill('0')
  const groups = tail === undefined ? head : [...head, ...zeros, ...tail]
  return Uint8Array.from(groups.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]))
}
