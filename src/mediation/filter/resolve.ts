import {ie} from '../../registry/elements.js'
import {endColumn, startColumn} from '../../registry/flow-columns.js'
import {carriesType, fullLength, isControlBits, VARIABLE} from '../../record/element.js'
import {makeColumnReader} from '../../record/group-reader.js'
import type {Reader} from '../../record/readers.js'
import {fieldIndex, type Template} from '../../record/template.js'
import type {InformationElement} from '../../record/element.js'
import type {Expression, NumberCondition, Source, Test} from './expression.js'
import {membersReader} from './members.js'
import {
  existsMatch,
  flagMatch,
  octetsMatch,
  realMatch,
  signedMatch,
  spanReader,
  stampMatch,
  textMatch,
} from './field-match.js'
import {has1, has2, has4, ofWords, rangeSet, type RangeSet} from './range-set.js'

/** Whether record `index` meets a condition. */
export type Match = Reader<boolean>

/** An expression for the records of one Template. */
export type Resolved =
  | {readonly kind: 'constant'; readonly value: boolean}
  | {readonly kind: 'and' | 'or'; readonly of: readonly Resolved[]}
  | {readonly kind: 'not'; readonly of: Resolved}
  | NumberField
  | {readonly kind: 'match'; readonly match: Match}

/** An unsigned integer of 1..16 octets. */
export interface NumberField {
  readonly kind: 'number'
  readonly field: number
  readonly mask: number | undefined
  /** Of as many words as the field's length asks for; of 4 where that is variable. */
  readonly set: RangeSet
}

const TRUE: Resolved = {kind: 'constant', value: true}
const FALSE: Resolved = {kind: 'constant', value: false}

/** Words of a number of so many octets. */
export function wordsOf(octets: number): 1 | 2 | 4 {
  if (octets === VARIABLE || octets > 8) return 4
  return octets <= 4 ? 1 : 2
}

/** What is left to decide of an expression when the Template is known. */
export function resolve(expression: Expression, template: Template): Resolved {
  switch (expression.kind) {
    case 'constant':
      return expression.value ? TRUE : FALSE
    case 'not': {
      const of = resolve(expression.of, template)
      if (of.kind === 'constant') return of.value ? FALSE : TRUE
      return of.kind === 'not' ? of.of : {kind: 'not', of}
    }
    case 'and':
    case 'or':
      return joined(
        expression.kind,
        expression.of.map((part) => resolve(part, template)),
      )
    case 'members':
      return {kind: 'match', match: membersReader(expression, template)}
    case 'test':
      return resolveTest(expression, template)
  }
}

function joined(kind: 'and' | 'or', parts: readonly Resolved[]): Resolved {
  const decisive = kind === 'or'
  const of: Resolved[] = []
  for (const part of parts) {
    if (part.kind === 'constant') {
      if (part.value === decisive) return part
    } else if (part.kind === kind) of.push(...part.of)
    else of.push(part)
  }
  if (of.length === 0) return decisive ? FALSE : TRUE
  return of.length === 1 ? of[0] : {kind, of}
}

/** Every field of the first of the elements that the Template has, and that can carry its type. */
function fieldsOf(template: Template, source: Source): number[] {
  for (const element of source) {
    const fields: number[] = []
    for (const [i, {element: e, length}] of template.fields.entries()) {
      const same =
        e.elementId === element.elementId && e.enterpriseNumber === element.enterpriseNumber
      if (same && carriesType(e.type, length)) fields.push(i)
    }
    if (fields.length > 0) return fields
  }
  return []
}

/** Whether a Template has what a test asks for; where it has not, the test does not hold. */
export function canBeAsked({sources, condition}: Test, template: Template): boolean {
  if (condition.kind === 'flow-time') {
    const column = condition.end === 'first' ? startColumn : endColumn
    return makeColumnReader(column, template) !== undefined
  }
  if (condition.kind === 'rate') return rateReader(condition.of, template) !== undefined
  if (condition.kind === 'number' && condition.absent !== undefined) return true
  return sources.length === 0 || sources.some((source) => fieldsOf(template, source).length > 0)
}

function resolveTest({sources, condition}: Test, template: Template): Resolved {
  switch (condition.kind) {
    case 'options':
      return template.scopeCount > 0 ? TRUE : FALSE
    case 'family':
      return family(condition.version, template)
    case 'message': {
      const {holds} = condition
      return {kind: 'match', match: ({message}) => holds(message)}
    }
    case 'flow-time':
      return flowTime(condition.end, condition.set, template)
    case 'rate': {
      const read = rateReader(condition.of, template)
      const {holds} = condition
      if (read === undefined) return FALSE
      return {
        kind: 'match',
        match: (batch, index) => {
          const value = read(batch, index)
          return value !== undefined && holds(value)
        },
      }
    }
    default: {
      const fields = sources.flatMap((source) => fieldsOf(template, source))
      if (fields.length === 0) {
        const absent = condition.kind === 'number' ? condition.absent : undefined
        if (absent === undefined) return FALSE
        return has2((condition as NumberCondition).set, 0, absent) ? TRUE : FALSE
      }
      return joined(
        'or',
        fields.map((field) => resolveField(condition, template, field)),
      )
    }
  }
}

function resolveField(condition: Test['condition'], template: Template, field: number): Resolved {
  const {element, length} = template.fields[field]
  switch (condition.kind) {
    case 'untyped':
      return resolveField(condition.of(element, length), template, field)
    case 'number':
      return numberField(condition, template, field)
    case 'between': {
      const [least, most] = [condition.least, condition.most].map((source) =>
        firstNumber(template, source),
      )
      if (least === undefined || most === undefined) return FALSE
      const value = nearestNumber(template, field)
      return {
        kind: 'match',
        match: (batch, index) => {
          const number = value(batch, index)
          return number >= least(batch, index) && number <= most(batch, index)
        },
      }
    }
    case 'exists':
      if (length === VARIABLE) return {kind: 'match', match: existsMatch(field)}
      // Nothing but padding is what a field of variable length says by having no octets.
      if (element.type !== 'string') return TRUE
      return {kind: 'match', match: textMatch(template, field, (text) => text !== '')}
    case 'signed':
      return {kind: 'match', match: signedMatch(field, condition.ranges)}
    case 'real':
      return {kind: 'match', match: realMatch(field, condition.holds)}
    case 'text':
      return {kind: 'match', match: textMatch(template, field, condition.holds)}
    case 'octets':
      return {kind: 'match', match: octetsMatch(template, field, condition.holds)}
    case 'boolean':
      return {kind: 'match', match: flagMatch(template, field, condition.value)}
    case 'stamp': {
      const perSecond = element.type === 'dateTimeMicroseconds' ? 1_000_000n : 1_000_000_000n
      return {kind: 'match', match: stampMatch(template, field, perSecond, condition.ranges)}
    }
    default:
      return FALSE
  }
}

function numberField(condition: NumberCondition, template: Template, field: number): Resolved {
  const {element, length} = template.fields[field]
  if (length !== VARIABLE && (length < 1 || length > 16)) return FALSE
  const words = wordsOf(length)
  const bits = isControlBits(element) && length === 2 ? 0x0fff : undefined
  const mask = condition.mask === undefined ? bits : (condition.mask & (bits ?? 0xffffffff)) >>> 0
  // A mask is of the lower 32 bits; beyond 4 octets it is applied by a reader of its own.
  if (mask !== undefined && words !== 1) {
    const set = ofWords(condition.set, 1)
    return {kind: 'match', match: maskedMatch(template, field, mask, set)}
  }
  const set = ofWords(condition.set, words)
  if (set.count === 0) return FALSE
  return {kind: 'number', field, mask, set}
}

function maskedMatch(template: Template, field: number, mask: number, set: RangeSet): Match {
  const words = new Uint32Array(4)
  const read = wordsReader(template, field, words)
  return (batch, index) => read(batch, index) && has1(set, (words[3] & mask) >>> 0)
}

/** IPv4 or IPv6: what addresses are there, and where there are both, those that are not all zeros. */
function family(version: 4 | 6, template: Template): Resolved {
  const of = (source: InformationElement, destination: InformationElement): Resolved[] =>
    [source, destination]
      .map((element) => fieldIndex(template, element))
      .filter((field) => field >= 0)
      .map((field) => {
        const {length} = template.fields[field]
        const words = wordsOf(length)
        const set = rangeSet(words, [[1n, 2n ** BigInt(32 * words) - 1n]])
        return {kind: 'number', field, mask: undefined, set}
      })
  const four = of(ie.sourceIPv4Address, ie.destinationIPv4Address)
  const six = of(ie.sourceIPv6Address, ie.destinationIPv6Address)
  const [own, other] = version === 4 ? [four, six] : [six, four]
  if (own.length > 0) return other.length === 0 ? TRUE : joined('or', own)
  if (other.length > 0) return FALSE
  const field = fieldIndex(template, ie.ipVersion)
  if (field < 0) return FALSE
  const set = rangeSet(2, [[BigInt(version), BigInt(version)]])
  return numberField({kind: 'number', set}, template, field)
}

function flowTime(end: 'first' | 'last', set: RangeSet, template: Template): Resolved {
  const column = end === 'first' ? startColumn : endColumn
  const usual = end === 'first' ? ie.flowStartMilliseconds : ie.flowEndMilliseconds
  const field = fieldIndex(template, usual)
  if (field >= 0 && template.fields[field].length === fullLength(usual.type)) {
    return numberField({kind: 'number', set}, template, field)
  }
  const read = makeColumnReader(column, template)
  if (read === undefined) return FALSE
  return {
    kind: 'match',
    match: (batch, index) => {
      const ms = read(batch, index)
      return Number.isFinite(ms) && has2(set, Math.floor(ms / 4294967296), ms >>> 0)
    },
  }
}

const packetElements = [ie.packetDeltaCount, ie.packetTotalCount, ie.initiatorPackets]
const octetElements = [
  ie.octetDeltaCount,
  ie.octetTotalCount,
  ie.initiatorOctets,
  ie.layer2OctetDeltaCount,
]

function firstNumber(
  template: Template,
  elements: readonly InformationElement[],
): Reader<number> | undefined {
  for (const element of elements) {
    const field = fieldIndex(template, element)
    if (field >= 0) return nearestNumber(template, field)
  }
  return undefined
}

/** A counter as a number; beyond 2^53 it is the nearest one. */
function nearestNumber(template: Template, field: number): Reader<number> {
  const span = spanReader(template, field)
  return (batch, index) => {
    const {start, length} = span(batch, index)
    let value = 0
    for (let i = 0; i < length; i++) value = value * 256 + batch.octets[start + i]
    return value
  }
}

/** Milliseconds that the Flow lasted. */
function durationReader(template: Template): Reader<number> | undefined {
  const ms = firstNumber(template, [ie.flowDurationMilliseconds])
  if (ms !== undefined) return ms
  const us = firstNumber(template, [ie.flowDurationMicroseconds])
  if (us !== undefined) return (batch, index) => us(batch, index) / 1000
  const start = makeColumnReader(startColumn, template)
  const end = makeColumnReader(endColumn, template)
  if (start === undefined || end === undefined) return undefined
  return (batch, index) => end(batch, index) - start(batch, index)
}

/** As nfdump computes them: whole numbers, and 0 of a Flow that did not last. */
export function rateReader(
  of: 'duration' | 'bps' | 'pps' | 'bpp',
  template: Template,
): Reader<number | undefined> | undefined {
  const duration = durationReader(template)
  if (of === 'duration') return duration
  const octets = firstNumber(template, octetElements)
  const packets = firstNumber(template, packetElements)
  if (of === 'bpp') {
    if (octets === undefined || packets === undefined) return undefined
    return (batch, index) => quotient(octets(batch, index), packets(batch, index))
  }
  const counter = of === 'bps' ? octets : packets
  if (counter === undefined || duration === undefined) return undefined
  const factor = of === 'bps' ? 8000 : 1000
  return (batch, index) => quotient(factor * counter(batch, index), duration(batch, index))
}

function quotient(of: number, by: number): number {
  return by > 0 ? Math.floor(of / by) : 0
}

/** Fills four words with a number of up to 16 octets; false: it has more. */
export function wordsReader(template: Template, field: number, into: Uint32Array): Reader<boolean> {
  const span = spanReader(template, field)
  return (batch, index) => {
    const {start, length} = span(batch, index)
    if (length > 16) return false
    into.fill(0)
    const {octets} = batch
    for (let i = 0; i < length; i++) {
      const place = length - 1 - i
      into[3 - (place >> 2)] |= octets[start + i] << (8 * (place & 3))
    }
    return length > 0
  }
}

/** The function that decides for records of this Template, from the parts that are left. */
export function matchOf(resolved: Resolved, template: Template): Match {
  switch (resolved.kind) {
    case 'constant': {
      const {value} = resolved
      return () => value
    }
    case 'not': {
      const of = matchOf(resolved.of, template)
      return (batch, index) => !of(batch, index)
    }
    case 'and':
      return resolved.of
        .map((part) => matchOf(part, template))
        .reduceRight((rest, first) => (batch, index) => first(batch, index) && rest(batch, index))
    case 'or':
      return resolved.of
        .map((part) => matchOf(part, template))
        .reduceRight((rest, first) => (batch, index) => first(batch, index) || rest(batch, index))
    case 'match':
      return resolved.match
    case 'number':
      return numberMatch(resolved, template)
  }
}

function numberMatch({field, mask, set}: NumberField, template: Template): Match {
  const {offset, length} = template.fields[field]
  const size = template.recordOctets
  if (offset < 0 || length === VARIABLE || size === 0) {
    const words = new Uint32Array(4)
    const read = wordsReader(template, field, words)
    const wide = ofWords(set, 4)
    return (batch, index) => {
      if (!read(batch, index)) return false
      if (mask !== undefined) words[3] &= mask
      return has4(wide, words)
    }
  }
  if (length > 8) {
    const words = new Uint32Array(4)
    const read = wordsReader(template, field, words)
    return (batch, index) => read(batch, index) && has4(set, words)
  }
  if (length === 8) {
    return ({view, start}, index) => {
      const at = start + index * size + offset
      return has2(set, view.getUint32(at), view.getUint32(at + 4))
    }
  }
  if (length > 4) {
    return ({octets, view, start}, index) => {
      const at = start + index * size + offset
      let high = 0
      for (let i = 0; i < length - 4; i++) high = high * 256 + octets[at + i]
      return has2(set, high, view.getUint32(at + length - 4))
    }
  }
  const bits = mask ?? 0xffffffff
  switch (length) {
    case 1:
      return ({octets, start}, index) => has1(set, octets[start + index * size + offset] & bits)
    case 2:
      return ({view, start}, index) =>
        has1(set, view.getUint16(start + index * size + offset) & bits)
    case 4:
      return ({view, start}, index) =>
        has1(set, (view.getUint32(start + index * size + offset) & bits) >>> 0)
    default:
      return ({octets, start}, index) => {
        const at = start + index * size + offset
        const value = (octets[at] << 16) | (octets[at + 1] << 8) | octets[at + 2]
        return has1(set, value & bits)
      }
  }
}
