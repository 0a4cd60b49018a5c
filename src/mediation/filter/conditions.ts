import {fullLength, isControlBits, isList, type InformationElement} from '../../record/element.js'
import {protocolNumber} from '../../registry/protocols.js'
import {servicePort} from '../../registry/services.js'
import type {Condition, UntypedCondition} from './expression.js'
import {
  addAddress,
  createAddressSet,
  entriesOf,
  MOST,
  readDuration,
  readMac,
  readOctets,
  readRange,
  readReal,
  readWhole,
  unitNs,
  type AddressSet,
  type FilterContext,
} from './operands.js'
import {bigRanges, complement, rangeSet, type BigRange} from './range-set.js'
import {syntaxError, type Token} from './tokens.js'
import {flagLetters} from './words.js'

export type Operator =
  '=' | '!=' | '<' | '>' | '<=' | '>=' | 'in' | '~' | '!~' | 'contains' | 'exists'

/** What stands behind a word: an operator, and what the value is compared with. */
export interface Comparison {
  readonly operator: Operator
  /** Whether the operator was written; `port 80` has none. */
  readonly explicit: boolean
  readonly operatorToken: Token
  /** One, but for `in`. An entry of a file has the token that names the file. */
  readonly items: readonly Item[]
  /** Of `name & MASK`. */
  readonly mask?: number
}

export interface Item {
  readonly text: string
  readonly quoted: boolean
  readonly token: Token
  /** Of an entry of a file: all of it. */
  readonly file?: Uint8Array
}

/** The items with those of files in their place. */
export function* itemsOf(comparison: Comparison, context: FilterContext): Iterable<Item> {
  for (const item of comparison.items) {
    if (item.quoted || !item.text.startsWith('@')) yield item
    else {
      const file = context.readFile(item.text.slice(1))
      for (const text of entriesOf(file)) yield {text, quoted: false, token: item.token, file}
    }
  }
}

/** A fault of one item, told with its text: of an entry of a file the caret is under the file's name, and its line is told. */
export function itemError(item: Item, what: string): Error {
  const line = item.file && lineOf(item.file, item.text)
  const place = line === undefined ? '' : `line ${line} of the file: `
  return syntaxError(item.token, `${place}'${item.text}' ${what}`)
}

/** The first line that has this entry. */
function lineOf(file: Uint8Array, entry: string): number {
  const lines = new TextDecoder().decode(file).split('\n')
  const entries = (line: string): string[] => [...entriesOf(new TextEncoder().encode(line))]
  return 1 + lines.findIndex((line) => entries(line).includes(entry))
}

function onlyFor(comparison: Comparison, what: string, operators: readonly Operator[]): void {
  if (operators.includes(comparison.operator)) return
  throw syntaxError(
    comparison.operatorToken,
    `'${comparison.operatorToken.text}' does not go with ${what}; use ${operators.join(' ')}`,
  )
}

const ORDERED: readonly Operator[] = ['=', '!=', '<', '>', '<=', '>=', 'in']

/**
 * The whole numbers that a comparison allows, from 0 to `most`. An item may stand for a range (`80-90`, a day); order is that
 * of where it begins.
 */
export function numberRanges(
  comparison: Comparison,
  context: FilterContext,
  what: string,
  most: bigint,
  read: (item: Item) => BigRange | undefined,
): BigRange[] {
  onlyFor(comparison, what, ORDERED)
  const ranges: BigRange[] = []
  for (const item of itemsOf(comparison, context)) {
    const range = read(item)
    if (range === undefined) throw itemError(item, `is no ${what}`)
    if (range[0] > range[1]) throw itemError(item, 'is a range that ends before it begins')
    if (range[0] < 0n || range[1] > most) throw itemError(item, `is no ${what}: 0 to ${most}`)
    ranges.push(range)
  }
  return ordered(comparison.operator, ranges, 0n, most)
}

function ordered(
  operator: Operator,
  ranges: readonly BigRange[],
  least: bigint,
  most: bigint,
): BigRange[] {
  const [first] = ranges
  switch (operator) {
    case '!=':
      return complement(ranges, least, most)
    case '<':
      return first[0] > least ? [[least, first[0] - 1n]] : []
    case '<=':
      return [[least, first[0]]]
    case '>':
      return first[0] < most ? [[first[0] + 1n, most]] : []
    case '>=':
      return [[first[0], most]]
    default:
      return [...ranges]
  }
}

/** The addresses that a comparison allows, of each version. */
export function addressRanges(
  comparison: Comparison,
  context: FilterContext,
  add: (set: AddressSet, item: Item) => boolean = (set, {text}) => addAddress(set, text),
): {v4: Condition; v6: Condition; versions: ReadonlySet<4 | 6>} {
  onlyFor(comparison, 'addresses', ['=', '!=', 'in'])
  const set = createAddressSet()
  for (const item of itemsOf(comparison, context)) {
    if (!add(set, item)) {
      throw itemError(item, 'is no IP address or prefix; names of hosts are not looked up')
    }
  }
  const versions = new Set<4 | 6>()
  if (set.v4.count > 0) versions.add(4)
  if (set.v6.count > 0) versions.add(6)
  const v4 = set.v4.build()
  const v6 = set.v6.build()
  if (comparison.operator !== '!=') {
    return {v4: {kind: 'number', set: v4}, v6: {kind: 'number', set: v6}, versions}
  }
  return {
    v4: {kind: 'number', set: rangeSet(1, complement([...bigRanges(v4)], 0n, 2n ** 32n - 1n))},
    v6: {kind: 'number', set: rangeSet(4, complement([...bigRanges(v6)], 0n, 2n ** 128n - 1n))},
    versions: new Set([4, 6]),
  }
}

/** Milliseconds since 1970 that a comparison with times allows. */
export function timeRanges(comparison: Comparison, context: FilterContext): BigRange[] {
  return numberRanges(comparison, context, 'time', MOST, ({text, token}) => {
    if (/^\d{12,14}$/.test(text)) return [BigInt(text), BigInt(text)]
    let range
    try {
      range = context.timeRange(text)
    } catch (error) {
      throw syntaxError(token, (error as Error).message)
    }
    const from = BigInt(Math.max(0, Math.floor(range.from ?? 0)))
    const to = range.to === undefined ? MOST : BigInt(Math.floor(range.to)) - 1n
    return [from, to < from ? from : to]
  })
}

/** The letters of TCP flags (`SA`), X for all of the first six, or a number. */
export function readFlags(text: string): number | undefined {
  const number = readWhole(text)
  if (number !== undefined) return number < 4096n ? Number(number) : undefined
  let bits = 0
  for (const letter of text.toUpperCase()) {
    if (letter === 'X') bits |= 0x3f
    else if (!flagLetters.includes(letter)) return undefined
    else bits |= 1 << flagLetters.indexOf(letter)
  }
  return bits
}

/** A number of an element, in the spellings that suit it: ports by their service, flags by their letters, durations. */
function readNumberOf(element: InformationElement): (text: string) => bigint | undefined {
  const unit = unitNs[element.units]
  return (text) => {
    if (unit !== undefined) {
      const duration = readDuration(text)
      if (duration !== undefined) return duration % unit === 0n ? duration / unit : undefined
    }
    const number = readWhole(text)
    if (number !== undefined) return number
    const named = isControlBits(element)
      ? readFlags(text)
      : /TransportPort$/.test(element.name)
        ? servicePort(text)
        : element.name.endsWith('protocolIdentifier')
          ? protocolNumber(text)
          : undefined
    return named === undefined ? undefined : BigInt(named)
  }
}

/**
 * The condition on values of an element that is asked for by its name.
 *
 * @throws DartaError DARTA_FILTER_SYNTAX the comparison does not suit the element's type
 */
export function elementCondition(
  element: InformationElement,
  comparison: Comparison,
  context: FilterContext,
): Condition | UntypedCondition {
  if (element.status === 'unknown') return untyped(comparison, context)
  const {type, name} = element
  const what = `${name} (${type})`
  if (isList(type)) {
    throw syntaxError(
      comparison.operatorToken,
      `${what} is a list: exists(${name}), or any(${name}: …) for what is in it`,
    )
  }
  if (comparison.mask !== undefined && !type.startsWith('unsigned')) {
    throw syntaxError(comparison.operatorToken, `& goes with unsigned numbers only, not ${what}`)
  }
  switch (type) {
    case 'string':
      return {kind: 'text', holds: textTest(comparison, context, what)}
    case 'octetArray':
      return {kind: 'octets', holds: octetsTest(comparison, context, what)}
    case 'boolean': {
      onlyFor(comparison, what, ['=', '!='])
      const [item] = comparison.items
      const value = {true: true, false: false}[item.text.toLowerCase()]
      if (value === undefined) throw itemError(item, `is neither true nor false`)
      return {kind: 'boolean', value: value === (comparison.operator === '=')}
    }
    case 'float32':
    case 'float64':
      return {kind: 'real', holds: realTest(comparison, context, what, readReal)}
    case 'signed8':
    case 'signed16':
    case 'signed32':
    case 'signed64':
      return {kind: 'signed', ranges: signedRanges(comparison, context, what, fullLength(type))}
    case 'ipv4Address':
    case 'ipv6Address': {
      const version = type === 'ipv4Address' ? 4 : 6
      const ranges = addressRanges(comparison, context)
      const other = version === 4 ? 6 : 4
      if (comparison.operator !== '!=' && ranges.versions.has(other) && !fromFile(comparison)) {
        throw itemError(comparison.items[0], `is of IPv${other}, but ${name} is of IPv${version}`)
      }
      return version === 4 ? ranges.v4 : ranges.v6
    }
    case 'macAddress':
      return {kind: 'number', set: macRanges(comparison, context)}
    case 'dateTimeSeconds':
      return {kind: 'number', set: rangeSet(2, inSeconds(timeRanges(comparison, context)))}
    case 'dateTimeMilliseconds':
      return {kind: 'number', set: rangeSet(2, timeRanges(comparison, context))}
    case 'dateTimeMicroseconds':
    case 'dateTimeNanoseconds': {
      const factor = type === 'dateTimeMicroseconds' ? 1000n : 1_000_000n
      const ranges = timeRanges(comparison, context).map(([low, high]): BigRange => [
        low * factor,
        high * factor + factor - 1n,
      ])
      // Before and after are meant to the unit of the time that is written.
      return {kind: 'stamp', ranges}
    }
    default: {
      const most =
        type === 'unsigned256' ? 2n ** 128n - 1n : (1n << BigInt(8 * fullLength(type))) - 1n
      const read = readNumberOf(element)
      const ranges = numberRanges(comparison, context, what, most, ({text}) =>
        readRange(text, read),
      )
      const words = type === 'unsigned256' ? 4 : 2
      const {mask} = comparison
      return {kind: 'number', set: rangeSet(words, ranges), ...(mask !== undefined && {mask})}
    }
  }
}

function fromFile({items}: Comparison): boolean {
  return items.some(({text, quoted}) => !quoted && text.startsWith('@'))
}

function inSeconds(ms: readonly BigRange[]): BigRange[] {
  return ms.flatMap(([low, high]): BigRange[] => {
    const [from, to] = [(low + 999n) / 1000n, high / 1000n]
    return from <= to ? [[from, to]] : []
  })
}

/** MAC addresses as numbers of 48 bits. */
export function macRanges(comparison: Comparison, context: FilterContext) {
  onlyFor(comparison, 'MAC addresses', ['=', '!=', 'in'])
  const ranges = numberRanges(comparison, context, 'MAC address', 2n ** 48n - 1n, ({text}) => {
    const value = readMac(text)
    return value === undefined ? undefined : [value, value]
  })
  return rangeSet(2, ranges)
}

function signedRanges(
  comparison: Comparison,
  context: FilterContext,
  what: string,
  octets: number,
): BigRange[] {
  onlyFor(comparison, what, ORDERED)
  const most = (1n << BigInt(8 * octets - 1)) - 1n
  const ranges: BigRange[] = []
  for (const item of itemsOf(comparison, context)) {
    const range = readRange(item.text, readWhole)
    if (range === undefined || range[0] > range[1] || range[0] < -most - 1n || range[1] > most) {
      throw itemError(item, `is no ${what}`)
    }
    ranges.push(range)
  }
  return ordered(comparison.operator, ranges, -most - 1n, most)
}

/** A test of numbers that may have fractions; `read` gives the unit that values come in. */
export function realTest(
  comparison: Comparison,
  context: FilterContext,
  what: string,
  read: (text: string) => number | undefined,
): (value: number) => boolean {
  onlyFor(comparison, what, ORDERED)
  const ranges: [number, number][] = []
  for (const item of itemsOf(comparison, context)) {
    const one = read(item.text)
    const [from, to] = item.text.split('..').map(read)
    const range: [number | undefined, number | undefined] =
      one === undefined ? [from, to] : [one, one]
    if (range[0] === undefined || range[1] === undefined) throw itemError(item, `is no ${what}`)
    ranges.push([range[0], range[1]])
  }
  const [[bound]] = ranges
  const within = (value: number): boolean => ranges.some(([a, b]) => value >= a && value <= b)
  switch (comparison.operator) {
    case '<':
      return (value) => value < bound
    case '>':
      return (value) => value > bound
    case '<=':
      return (value) => value <= bound
    case '>=':
      return (value) => value >= bound
    case '!=':
      return (value) => !within(value)
    default:
      return within
  }
}

/** The regular expression of a `/pattern/flags` token, or of a quoted one. */
export function regularExpression({text, token}: Item): RegExp {
  const end = token.kind === 'regex' ? text.lastIndexOf('/') : text.length
  const [pattern, flags] = [text.slice(0, end), text.slice(end + 1)]
  if (!/^[imsu]*$/.test(flags)) throw syntaxError(token, `flags are i, m, s and u, not '${flags}'`)
  try {
    return new RegExp(pattern, flags)
  } catch (error) {
    throw syntaxError(token, (error as Error).message)
  }
}

export function textTest(
  comparison: Comparison,
  context: FilterContext,
  what: string,
): (text: string) => boolean {
  onlyFor(comparison, what, ['=', '!=', 'in', 'contains', '~', '!~'])
  const {operator} = comparison
  const [first] = comparison.items
  switch (operator) {
    case '~':
    case '!~': {
      const pattern = regularExpression(first)
      return (text) => pattern.test(text) === (operator === '~')
    }
    case 'contains':
      return (text) => text.includes(first.text)
    default: {
      const texts = new Set<string>()
      for (const {text} of itemsOf(comparison, context)) texts.add(text)
      return operator === '!=' ? (text) => !texts.has(text) : (text) => texts.has(text)
    }
  }
}

/** Octets as characters, one each. */
export function latin1(octets: Uint8Array): string {
  let text = ''
  for (let i = 0; i < octets.length; i += 4096) {
    text += String.fromCharCode(...octets.subarray(i, i + 4096))
  }
  return text
}

/** Octets are written as hex digits or, in quotes, as text. */
export function octetsTest(
  comparison: Comparison,
  context: FilterContext,
  what: string,
): (octets: Uint8Array) => boolean {
  onlyFor(comparison, what, ['=', '!=', 'in', 'contains', '~', '!~'])
  const {operator} = comparison
  const read = (item: Item): string => {
    const octets = item.quoted ? new TextEncoder().encode(item.text) : readOctets(item.text)
    if (octets === undefined) throw itemError(item, 'is neither hex digits nor text in quotes')
    return latin1(octets)
  }
  switch (operator) {
    case '~':
    case '!~': {
      const pattern = regularExpression(comparison.items[0])
      return (octets) => pattern.test(latin1(octets)) === (operator === '~')
    }
    case 'contains': {
      const part = read(comparison.items[0])
      return (octets) => latin1(octets).includes(part)
    }
    default: {
      const values = new Set([...itemsOf(comparison, context)].map(read))
      return (octets) => values.has(latin1(octets)) === (operator !== '!=')
    }
  }
}

/** Of an element of which only the number is known: what the operand looks like says what it can be. */
function untyped(comparison: Comparison, context: FilterContext): UntypedCondition {
  const known = new Map<string, Condition>()
  return {
    kind: 'untyped',
    of(element, length) {
      const signature = `${element.name} ${element.type} ${length}`
      let condition = known.get(signature)
      if (condition === undefined) {
        condition = make(element, length)
        known.set(signature, condition)
      }
      return condition
    },
  }
  function make(element: InformationElement, length: number): Condition {
    try {
      if (element.status !== 'unknown') {
        return elementCondition(element, comparison, context) as Condition
      }
      return elementCondition(guessed(element, length), comparison, context) as Condition
    } catch {
      return {kind: 'never'}
    }
  }
  function guessed(element: InformationElement, length: number): InformationElement {
    const [{text, quoted, token}] = comparison.items
    const as = (type: InformationElement['type']): InformationElement => ({
      ...element,
      type,
      status: 'current',
    })
    if (quoted || token.kind === 'regex' || comparison.operator === 'contains') return as('string')
    if (readMac(text) !== undefined) return as('macAddress')
    if (readRange(text, readWhole) !== undefined) {
      return as(length <= 8 ? 'unsigned64' : 'octetArray')
    }
    if (length === 4 || length === 16) return as(length === 4 ? 'ipv4Address' : 'ipv6Address')
    return as('octetArray')
  }
}
