import type {InformationElement} from '../../record/element.js'
import type {GroupRow} from '../../record/group-row.js'
import type {KeyPart} from '../../record/group-spec.js'
import {addressText} from '../../record/value.js'
import {ie} from '../../registry/elements.js'
import type {ResultField} from './result-records.js'

/** The flag of applications that find something. */
export const whyOption = {
  why: {
    kind: 'flag',
    summary: 'Each row also has the filter that selects the records which it rests on.',
  },
} as const

function addressField(
  octets: Uint8Array,
  v4: InformationElement,
  v6: InformationElement,
): ResultField {
  return [octets.length === 4 ? v4 : v6, octets.slice()]
}

export const sourceField = (octets: Uint8Array): ResultField =>
  addressField(octets, ie.sourceIPv4Address, ie.sourceIPv6Address)
export const destinationField = (octets: Uint8Array): ResultField =>
  addressField(octets, ie.destinationIPv4Address, ie.destinationIPv6Address)

/** A part of a key as one number, 0 where it is missing; parts of up to 6 octets. */
export function partNumber(row: GroupRow, part: number): number {
  let value = 0
  for (const octet of row.part(part) ?? []) value = value * 256 + octet
  return value
}

/** The same, undefined where the part is missing. */
export function knownNumber(row: GroupRow, part: number): number | undefined {
  return row.part(part) === undefined ? undefined : partNumber(row, part)
}

/** Octets as text of one character each: equal text is equal octets, and the order is theirs. */
export function octetText(octets: Uint8Array): string {
  let text = ''
  for (const octet of octets) text += String.fromCharCode(octet)
  return text
}

export function textOctets(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0))
}

/** Where records were seen, beside the Observation Domain of their Messages. */
export const observerParts: readonly KeyPart[] = [
  {elements: [ie.exporterIPv4Address, ie.exporterIPv6Address], optional: true},
  {elements: [ie.observationPointId], optional: true},
]

/** `192.0.2.1 domain 7 point 3`; what is not known is left out. */
export function observerText(domain: string, row: GroupRow, firstPart: number): string {
  const exporter = row.part(firstPart)
  const point = row.part(firstPart + 1)
  return [
    ...(exporter === undefined ? [] : [addressText(exporter)]),
    `domain ${domain}`,
    ...(point === undefined ? [] : [`point ${partNumber(row, firstPart + 1)}`]),
  ].join(' ')
}

/** The middle of sorted numbers, the lower one of two; NaN of none. */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  if (sorted.length === 0) return NaN
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))]
}
