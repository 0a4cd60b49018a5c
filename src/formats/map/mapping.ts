import {DARTA_PEN, type AbstractType, type InformationElement} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {elementByName, elementByNumber} from '../../registry/lookup.js'
import {canHold} from './typed-value.js'

/** How times are written. */
export type TimeForm = 'iso' | 'epoch' | 'epoch-ms' | 'epoch-us' | 'epoch-ns'

/** What becomes of one field. */
export interface MappedField {
  readonly field: string
  readonly element: InformationElement
  /** What a number is multiplied by to be in the units of the element. */
  readonly factor: number
  readonly time: TimeForm
  /** Numbers that words stand for, in lower case. */
  readonly names: ReadonlyMap<string, number>
  /** Whether the file names it; else the element was made for it. */
  readonly isNamed: boolean
}

/** A field of a fixed binary record. */
export interface BinaryField {
  readonly field: string
  /** Octets in front of it. */
  readonly at: number
  readonly octets: number
  readonly as: 'unsigned' | 'signed' | 'float' | 'address' | 'text' | 'octets'
}

/** A proprietary format in words. */
export interface Mapping {
  readonly format: 'csv' | 'kv' | 'jsonl' | 'binary'
  /** Between columns, or between pairs; undefined: white space. */
  readonly separator: string | undefined
  /** Between a key and its value. */
  readonly assignment: string
  /** Names of columns; undefined: the first line has them. */
  readonly columns: readonly string[] | undefined
  /** Lines in front of all others that are not read. */
  readonly skipLines: number
  /** Lines that begin so are remarks. */
  readonly comment: string | undefined
  /** Values that mean that there is none. */
  readonly absent: ReadonlySet<string>
  /** Of a binary record. */
  readonly recordOctets: number
  readonly littleEndian: boolean
  readonly binary: readonly BinaryField[]
  /** All fields that the file names, in its order; undefined: it is left out on purpose. */
  readonly named: ReadonlyMap<string, MappedField | undefined>
  /**
   * What becomes of a field, also of one that the file does not name; undefined: it is left out.
   *
   * @param type of its values, where the input says it: an element that cannot hold it is not taken, and a made one is of it
   */
  of(field: string, type?: AbstractType): MappedField | undefined
}

const timeForms: readonly TimeForm[] = ['iso', 'epoch', 'epoch-ms', 'epoch-us', 'epoch-ns']
const formats = ['csv', 'kv', 'jsonl', 'binary'] as const
/** Elements for fields without one get numbers from here on, by their names, so that each is the same in every run. */
const FIRST_MADE = 16384
const LAST_MADE = 32767
/** Fields without an element that get one: names may come from the input. */
const MOST_MADE = 1024
const units: Readonly<Record<string, number>> = {
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  bits: 1 / 8,
  s: 1,
  ms: 1e-3,
}

/**
 * Reads a mapping, which is JSON.
 *
 * @param name of its file, for people
 * @param whose fields these are, in descriptions of elements
 * @throws DartaError DARTA_USAGE
 */
export function readMapping(
  text: string,
  name: string,
  whose = `a format that ${name.replace(/^.*\//, '')} describes`,
): Mapping {
  const wrong = (why: string): DartaError => new DartaError('DARTA_USAGE', `${name}: ${why}`)
  let all: unknown
  try {
    all = JSON.parse(text)
  } catch (error) {
    throw wrong(`it is no JSON: ${(error as Error).message}`)
  }
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject(all)) throw wrong('it is no JSON object')
  const known = [
    ...['format', 'separator', 'assignment', 'columns', 'comment', 'absent', 'recordOctets'],
    ...['skipLines', 'endian', 'enterprise', 'fields'],
  ]
  for (const key of Object.keys(all)) {
    if (!known.includes(key)) throw wrong(`'${key}' means nothing here; ${known.join(', ')} do`)
  }
  const text1 = (key: string): string | undefined => {
    const value = all[key]
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw wrong(`${key} is no text`)
    }
    return value
  }
  const texts = (key: string): readonly string[] | undefined => {
    const value = all[key]
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
      throw wrong(`${key} is no list of texts`)
    }
    return value
  }
  const format = formats.find((one) => one === all.format)
  if (format === undefined) throw wrong(`format is one of ${formats.join(', ')}`)
  const enterprise = all.enterprise ?? DARTA_PEN
  if (typeof enterprise !== 'number' || !Number.isInteger(enterprise) || enterprise < 1) {
    throw wrong('enterprise is no number of an enterprise')
  }
  if (!isObject(all.fields)) throw wrong('fields is no object of fields and their elements')
  const endian = all.endian ?? 'big'
  if (endian !== 'big' && endian !== 'little') throw wrong('endian is big or little')

  const skipLines = all.skipLines ?? 0
  if (typeof skipLines !== 'number' || !(skipLines >= 0)) throw wrong('skipLines is no number')

  const named = new Map<string, MappedField | undefined>()
  const binary: BinaryField[] = []
  const made = new Map<AbstractType, Map<string, MappedField>>()
  let madeCount = 0
  const numbers = new Set<number>()

  /** An element of its own, described in the output (RFC 5610). */
  function make(field: string, type: AbstractType, key = field): InformationElement {
    let elementId = FIRST_MADE + (hashOf(key) % (LAST_MADE - FIRST_MADE + 1))
    while (
      numbers.has(elementId) ||
      elementByNumber(enterprise as number, elementId) !== undefined
    ) {
      elementId = elementId === LAST_MADE ? FIRST_MADE : elementId + 1
    }
    numbers.add(elementId)
    return {
      name: nameOf(field),
      enterpriseNumber: enterprise as number,
      elementId,
      type,
      semantics: 'default',
      units: '',
      status: 'current',
      description: `Field ${field} of ${whose}`,
    }
  }

  for (const [field, told] of Object.entries(all.fields)) {
    const rule = typeof told === 'string' ? {element: told} : told
    if (rule !== null && !isObject(rule)) throw wrong(`${field}: neither an element nor a rule`)
    const {element: given, unit, factor, time, names, at, octets, as, ...others} = rule ?? {}
    const [other] = Object.keys(others)
    if (other !== undefined) throw wrong(`${field}: '${other}' means nothing here`)
    if (format === 'binary' && rule !== null) {
      const forms = ['unsigned', 'signed', 'float', 'address', 'text', 'octets'] as const
      const form = forms.find((one) => one === (as ?? 'unsigned'))
      const whole = (value: unknown): value is number =>
        Number.isInteger(value) && Number(value) >= 0
      if (!whole(at) || !whole(octets) || octets < 1 || form === undefined) {
        throw wrong(`${field}: needs at, octets and as one of ${forms.join(', ')}`)
      }
      const sizes = {float: [4, 8], address: [4, 6, 16]} as Readonly<Record<string, number[]>>
      const fits = sizes[form]?.includes(octets) ?? (form.endsWith('signed') ? octets <= 8 : true)
      if (!fits) throw wrong(`${field}: ${octets} octets are no ${form}`)
      binary.push({field, at, octets, as: form})
    }
    if (rule === null) {
      named.set(field, undefined)
      continue
    }
    const element =
      given === undefined
        ? make(field, as === 'octets' ? 'octetArray' : as === 'unsigned' ? 'unsigned64' : 'string')
        : typeof given === 'string'
          ? elementByName(given)
          : undefined
    if (element === undefined) throw wrong(`${field}: there is no element ${JSON.stringify(given)}`)
    const scale =
      factor ?? (unit === undefined ? 1 : typeof unit === 'string' ? units[unit] : undefined)
    if (typeof scale !== 'number' || !(scale > 0) || !Number.isFinite(scale)) {
      throw wrong(`${field}: units are ${Object.keys(units).join(', ')}, and factor is a number`)
    }
    const timeForm = timeForms.find((one) => one === (time ?? 'iso'))
    if (timeForm === undefined) throw wrong(`${field}: times are ${timeForms.join(', ')}`)
    if (names !== undefined && !isObject(names))
      throw wrong(`${field}: names are words and numbers`)
    const words = Object.entries(names ?? {}).map(([word, value]): [string, number] => {
      if (typeof value !== 'number') throw wrong(`${field}: ${word} is no number`)
      return [word.toLowerCase(), value]
    })
    named.set(field, {
      field,
      element,
      factor: scale,
      time: timeForm,
      names: new Map(words),
      isNamed: given !== undefined,
    })
  }
  const recordOctets = all.recordOctets ?? 0
  if (format === 'binary') {
    const end = binary.reduce((most, one) => Math.max(most, one.at + one.octets), 1)
    if (typeof recordOctets !== 'number' || recordOctets < end || recordOctets > 65535) {
      throw wrong(`recordOctets is a number of ${end} or more`)
    }
  }
  return {
    format,
    separator: text1('separator') ?? (format === 'csv' ? ',' : undefined),
    assignment: text1('assignment') ?? '=',
    columns: texts('columns'),
    skipLines,
    comment: text1('comment'),
    absent: new Set(['', ...(texts('absent') ?? [])]),
    recordOctets: Number(recordOctets),
    littleEndian: endian === 'little',
    binary,
    named,
    of(field, type = 'string') {
      const given = named.get(field)
      if (named.has(field) && (given === undefined || canHold(given.element.type, type))) {
        return given
      }
      // The same field of another type is another element.
      let fields = made.get(type)
      if (fields === undefined) made.set(type, (fields = new Map<string, MappedField>()))
      let found = fields.get(field)
      if (found === undefined && madeCount < MOST_MADE) {
        const element = make(field, type, type === 'string' ? field : `${field} ${type}`)
        found = {field, element, factor: 1, time: 'iso', names: new Map(), isNamed: false}
        fields.set(field, found)
        madeCount++
      }
      return found
    },
  }
}

/** A name like those of IANA: `Call Completion-Code` becomes callCompletionCode. */
function nameOf(field: string): string {
  const words = field.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const joined = words.map((word, i) => (i === 0 ? word : word[0].toUpperCase() + word.slice(1)))
  const name = joined.join('').slice(0, 64)
  // Capitals at the beginning are one word: IPDRCreationTime becomes ipdrCreationTime.
  const begun = name.replace(/^(?:[A-Z]+(?=[A-Z][a-z]|$)|[A-Z])/, (word) => word.toLowerCase())
  return /^[a-z]/.test(begun) ? begun : `field${begun}`
}

/** FNV-1a of 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (const octet of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ octet, 0x01000193) >>> 0
  }
  return hash
}
