import type {InformationElement} from '../../record/element.js'
import type {KeyField, KeyPart, KeyShape} from '../../record/group-spec.js'
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

function numberOf(octets: Iterable<number>): number {
  let value = 0
  for (const octet of octets) value = value * 256 + octet
  return value
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
export function observerText(
  domain: string,
  exporter: Uint8Array | undefined,
  point: Uint8Array | undefined,
): string {
  return [
    ...(exporter === undefined ? [] : [addressText(exporter)]),
    `domain ${domain}`,
    ...(point === undefined ? [] : [`point ${numberOf(point)}`]),
  ].join(' ')
}

/** Numbers observation points from 0 on, in the order in which they are asked for. */
export interface Observers {
  readonly names: readonly string[]
  /**
   * The number of who saw a group.
   *
   * @param at octet of `rows` at which its row begins
   * @param first place of `observerParts` in the key
   */
  numberOf(domain: string, shape: KeyShape, first: number, rows: Uint8Array, at: number): number
}

export function createObservers(): Observers {
  const names: string[] = []
  const numbers = new Map<string, number>()
  /** Most rows have the observer of the one before. */
  let last: {domain: string; shape: KeyShape; octets: Uint8Array; number: number} | undefined
  return {
    names,
    numberOf(domain, shape, first, rows, at) {
      const [exporter, point] = [shape.fields[first], shape.fields[first + 1]]
      const from = at + exporter.offset
      // The two parts lie behind each other.
      const to = at + point.offset + point.length
      if (last !== undefined && last.domain === domain && last.shape === shape) {
        let i = from
        while (i < to && rows[i] === last.octets[i - from]) i++
        if (i === to) return last.number
      }
      const part = ({element, offset, length}: KeyField): Uint8Array | undefined =>
        element && rows.subarray(at + offset, at + offset + length)
      const name = observerText(domain, part(exporter), part(point))
      let number = numbers.get(name)
      if (number === undefined) {
        number = names.push(name) - 1
        numbers.set(name, number)
      }
      last = {domain, shape, octets: rows.slice(from, to), number}
      return number
    },
  }
}

/** The middle of sorted numbers, the lower one of two; NaN of none. */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  if (sorted.length === 0) return NaN
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))]
}
