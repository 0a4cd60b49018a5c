import {DartaError} from '../../record/errors.js'
import {isList, type AbstractType, type InformationElement} from '../../record/element.js'
import {elementByName} from '../../registry/lookup.js'
import {readDuration} from '../filter/operands.js'

/** What is done to the values of an element; all of it keeps their length. RFC 6235 section 4. */
export type Method =
  | {readonly kind: 'keep'}
  /** Zeros in its place; of text, letters x. */
  | {readonly kind: 'black'}
  | {readonly kind: 'crypto-pan'}
  /** Only so many leading bits stay. */
  | {readonly kind: 'truncate'; readonly bits: number}
  /** Ports become the least of their range of RFC 6335: 0, 1024, 49152. */
  | {readonly kind: 'bin'}
  /** Milliseconds are added to a time. */
  | {readonly kind: 'shift'; readonly ms: number}
  /** A time is cut to whole multiples of milliseconds. */
  | {readonly kind: 'precision'; readonly ms: number}
  /** Addresses written in text become letters x. */
  | {readonly kind: 'mask-text'}

/** Which method an element has. */
export type Policy = (element: InformationElement) => Method

export interface PolicyOptions {
  /** Of addresses. */
  readonly method: 'crypto-pan' | 'truncate' | 'black'
  readonly bits4: number
  readonly bits6: number
  readonly ports: 'keep' | 'bin' | 'black'
  readonly shiftMs: number
  readonly precisionMs: number
  /** By element name, or `type NAME`; they go before what the options say. */
  readonly rules: ReadonlyMap<string, Method>
}

const addressTypes: readonly AbstractType[] = ['ipv4Address', 'ipv6Address', 'macAddress']

export function isAddress({type}: InformationElement): boolean {
  return addressTypes.includes(type)
}

function isTime({type}: InformationElement): boolean {
  return type.startsWith('dateTime')
}

const KEEP: Method = {kind: 'keep'}
const BLACK: Method = {kind: 'black'}

/**
 * Elements of octets in which nothing of an address can be. All others, and those of which only the number is known,
 * are blackened: packet sections, SNMP values, what nobody has described.
 */
const harmless =
  /^(?:mpls(?:Top)?LabelStackSection|mplsLabelStackSection\d+|paddingOctets|applicationId|informationElement)/

/** What each element gets where no rule says. */
export function createPolicy(options: PolicyOptions): Policy {
  const {method, rules} = options
  return (element) => {
    const rule = rules.get(element.name) ?? rules.get(`type ${element.type}`)
    if (rule !== undefined) return rule
    if (isAddress(element)) {
      if (method !== 'truncate') return {kind: method}
      const bits =
        element.type === 'ipv4Address'
          ? options.bits4
          : element.type === 'ipv6Address'
            ? options.bits6
            : 24
      return {kind: 'truncate', bits}
    }
    if (
      /TransportPort$/.test(element.name) ||
      /^(?:udp|tcp)(?:Source|Destination)Port$/.test(element.name)
    ) {
      return options.ports === 'keep' ? KEEP : {kind: options.ports}
    }
    if (isTime(element)) {
      if (options.shiftMs !== 0) return {kind: 'shift', ms: options.shiftMs}
      return options.precisionMs > 0 ? {kind: 'precision', ms: options.precisionMs} : KEEP
    }
    // A name of a host is as good as its address.
    if (/^darta(?:Source|Destination)HostName$/.test(element.name)) return BLACK
    if (element.type === 'string') return {kind: 'mask-text'}
    if (element.type === 'octetArray') return harmless.test(element.name) ? KEEP : BLACK
    return KEEP
  }
}

/**
 * Reads a policy: lines of `ELEMENT METHOD` or `type TYPE METHOD`, where a method is keep, black, crypto-pan, truncate BITS, bin,
 * shift DURATION, precision DURATION or mask-text; `#` begins a comment.
 *
 * @throws DartaError DARTA_USAGE with the line
 */
export function parsePolicy(text: string, name: string): Map<string, Method> {
  const rules = new Map<string, Method>()
  for (const [i, line] of text.split('\n').entries()) {
    const words = line.replace(/#.*/, '').trim().split(/\s+/)
    if (words[0] === '') continue
    const fault = (what: string): DartaError =>
      new DartaError('DARTA_USAGE', `${name}, line ${i + 1}: ${what}`)
    const ofType = words[0] === 'type' ? words.shift() : undefined
    const [subject, kind = '', argument, ...more] = words
    let element: Pick<InformationElement, 'type' | 'name'> | undefined
    if (ofType === undefined) element = elementByName(subject)
    else element = {type: subject as AbstractType, name: `type ${subject}`}
    if (element === undefined) throw fault(`no Information Element is named '${subject}'`)
    if (isList(element.type)) throw fault(`${subject} is a list: its members have their own rules`)
    if (more.length > 0) throw fault(`'${more.join(' ')}' has no place here`)
    rules.set(element.name, parseMethod(element.type, kind, argument, fault))
  }
  return rules
}

function parseMethod(
  type: AbstractType,
  kind: string,
  argument: string | undefined,
  fault: (what: string) => DartaError,
): Method {
  const address = addressTypes.includes(type)
  const time = type.startsWith('dateTime')
  const wants = (fits: boolean): void => {
    if (!fits) throw fault(`${kind} does not go with ${type}`)
  }
  const duration = (): number => {
    const negative = argument?.startsWith('-') === true
    const ns = argument === undefined ? undefined : readDuration(argument.replace(/^[-+]/, ''))
    if (ns === undefined) throw fault(`${kind} needs a duration like 5m or 1h30m`)
    return (negative ? -1 : 1) * Math.round(Number(ns) / 1e6)
  }
  switch (kind) {
    case 'keep':
    case 'black':
      return {kind}
    case 'crypto-pan':
      wants(address)
      return {kind}
    case 'bin':
      wants(type === 'unsigned16')
      return {kind}
    case 'mask-text':
      wants(type === 'string')
      return {kind}
    case 'truncate': {
      wants(address)
      const bits = /^\d{1,3}$/.test(argument ?? '') ? Number(argument) : 129
      if (bits > 128) throw fault('truncate needs the number of leading bits that stay')
      return {kind, bits}
    }
    case 'shift':
    case 'precision':
      wants(time)
      return {kind, ms: duration()}
    default:
      throw fault(
        `no method '${kind}': keep, black, crypto-pan, truncate, bin, shift, precision, mask-text`,
      )
  }
}
