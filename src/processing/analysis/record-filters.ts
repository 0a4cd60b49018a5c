import type {InformationElement} from '../../record/element.js'
import type {GroupRow} from '../../record/group-row.js'
import type {KeyPart} from '../../record/group-spec.js'
import {isUnsigned} from '../../record/group-view.js'
import {readValue} from '../../record/readers.js'
import {addressText} from '../../record/value.js'
import {ie} from '../../registry/elements.js'
import {valueText} from './key-values.js'

/*
 * What darta-filter(1) is told to select the records of a result, for --why. It knows the records that a key's parts are equal in;
 * where a part cannot be said in its language it is left out, and more is selected.
 */

/** Words of the language for elements that have some. */
const words = new Map<InformationElement, string>([
  [ie.sourceIPv4Address, 'src ip'],
  [ie.sourceIPv6Address, 'src ip'],
  [ie.destinationIPv4Address, 'dst ip'],
  [ie.destinationIPv6Address, 'dst ip'],
  [ie.sourceTransportPort, 'src port'],
  [ie.destinationTransportPort, 'dst port'],
  [ie.bgpSourceAsNumber, 'src as'],
  [ie.bgpDestinationAsNumber, 'dst as'],
  [ie.ingressInterface, 'in if'],
  [ie.egressInterface, 'out if'],
  [ie.protocolIdentifier, 'proto'],
  [ie.ipNextHopIPv4Address, 'next ip'],
  [ie.ipNextHopIPv6Address, 'next ip'],
  [ie.bgpNextHopIPv4Address, 'bgpnext ip'],
  [ie.bgpNextHopIPv6Address, 'bgpnext ip'],
  [ie.observationDomainId, 'odid'],
  [ie.exporterIPv4Address, 'exporter'],
  [ie.exporterIPv6Address, 'exporter'],
])

/** All must hold; none of them: every record. */
export function allOf(tests: readonly (string | undefined)[]): string {
  const said = tests.filter((test) => test !== undefined && test !== '' && test !== 'any')
  return said.length === 0 ? 'any' : said.join(' and ')
}

/** One must hold; none of them: no record. */
export function oneOf(tests: readonly string[]): string {
  if (tests.length === 0) return 'not any'
  return tests.length === 1 ? tests[0] : `(${tests.map(inBrackets).join(' or ')})`
}

export function noneOf(tests: readonly string[]): string {
  return tests.length === 0 ? 'any' : `not ${inBrackets(oneOf(tests))}`
}

function inBrackets(test: string): string {
  return / (and|or) /.test(test) && !/^\([^()]*\)$/.test(test) ? `(${test})` : test
}

/** Records that were over in a stretch of time, milliseconds since 1970, whose end is not part of it. */
export function overWithin(fromMs: number, toMs: number): string {
  return `last seen >= ${fromMs} and last seen < ${toMs}`
}

/** Records of the group of a row, each of which counts for its first direction. */
export function groupFilter(row: GroupRow): string {
  const parts = row.shape.fields.map((_, i) => i)
  const side = (turned: boolean): string =>
    allOf(parts.map((i) => partFilter(row, i, turned && row.shape.fields[i].part.either === true)))
  const either = row.shape.fields.some(({part}) => part.either === true)
  return either ? oneOf([side(false), side(true)]) : side(false)
}

/** One part of it; `turned`: of the other side. */
export function partFilter(row: GroupRow, i: number, turned: boolean): string | undefined {
  const {part, alternative} = row.shape.fields[i]
  const octets = row.part(i)
  if (octets === undefined) return undefined
  return elementFilter(part, alternative, octets, turned)
}

function elementFilter(
  {elements, opposite, bits}: KeyPart,
  alternative: number,
  octets: Uint8Array,
  turned: boolean,
): string | undefined {
  const all = turned ? (opposite ?? elements) : elements
  const element = all[alternative]
  const word = words.get(element)
  const kept = bits?.[alternative]
  if (kept !== undefined) {
    const whole = new Uint8Array(element.type === 'ipv4Address' ? 4 : 16)
    whole.set(octets)
    return word && `${word.replace(' ip', ' net')} ${addressText(whole)}/${kept}`
  }
  const value = valueFilter(element, octets)
  if (value === undefined) return undefined
  // A word looks at the same elements in the same order.
  if (word !== undefined) return `${word} ${value}`
  const alike = all.filter((e) => e.type === element.type || (isUnsigned(e) && isUnsigned(element)))
  return alike.reduceRight<string | undefined>((rest, e) => {
    const own = `"${e.name}" = ${value}`
    return rest === undefined
      ? own
      : oneOf([own, `not exists("${e.name}") and ${inBrackets(rest)}`])
  }, undefined)
}

/** A value as the language spells it; undefined: it has no way. */
function valueFilter(element: InformationElement, octets: Uint8Array): string | undefined {
  switch (element.type) {
    case 'string': {
      const text = new TextDecoder().decode(octets)
      return /["\\\p{Cc}]/u.test(text) ? undefined : `"${text}"`
    }
    case 'ipv4Address':
    case 'ipv6Address':
      return addressText(octets)
    case 'unsigned8':
    case 'unsigned16':
    case 'unsigned32':
    case 'unsigned64':
    case 'macAddress': {
      const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
      return valueText(readValue(element, {octets, view}, 0, octets.length))
    }
    default:
      return undefined
  }
}

/** Where records were seen; elements that are not there say nothing. */
export function observerFilter(
  domain: string,
  exporter: Uint8Array | undefined,
  point: Uint8Array | undefined,
): string {
  return allOf([
    `odid ${domain}`,
    exporter && `exporter ${addressText(exporter)}`,
    point &&
      `"observationPointId" = ${String(point.reduce((n, octet) => n * 256n + BigInt(octet), 0n))}`,
  ])
}

/** One end of a conversation. */
export interface FilterEnd {
  readonly address: Uint8Array
  /** Undefined: not known. */
  readonly port: number | undefined
}

/** Records from one end to the other. */
export function wayFilter(from: FilterEnd, to: FilterEnd): string {
  return allOf([
    `src ip ${addressText(from.address)}`,
    from.port === undefined ? undefined : `src port ${from.port}`,
    `dst ip ${addressText(to.address)}`,
    to.port === undefined ? undefined : `dst port ${to.port}`,
  ])
}

/** Both ways of it. */
export function conversationFilter(a: FilterEnd, b: FilterEnd, protocol: number): string {
  return `${oneOf([wayFilter(a, b), wayFilter(b, a)])} and proto ${protocol}`
}
