import {
  VARIABLE,
  carriesType,
  fullLength,
  isList,
  type InformationElement,
} from '../../record/element.js'
import type {Field, Template} from '../../record/template.js'
import {textOctets} from './buffer.js'
import {mibObjectTexts} from './mib-notes.js'
import {elementKeys} from './element-keys.js'
import {jsonWriter, type BigintForm, type ValueWriter} from './json-values.js'
import {kindOf} from './kinds.js'
import type {TextStep} from './program.js'
import {ntpMicroseconds, ntpNanoseconds, uint32At} from './scalars.js'

/** One value of the record, in the order of the text; its prefix is `,"name":`, `,"name":[` or `,`. */
export interface PlanStep extends TextStep {
  /** Undefined for lists: they need the batch. */
  readonly write: ValueWriter | undefined
}

/** A field whose octets may say more than its text; what they say goes to `_ipfix`. */
export interface WatchedField {
  readonly field: number
  readonly key: string
  /** Fields that share the key, in the order of the Template. */
  readonly group: readonly number[]
}

/** How records of one Template are written as JSON objects. */
export interface JsonPlan {
  readonly template: Template
  readonly steps: readonly PlanStep[]
  /** Closes the last value and writes `_scope`. */
  readonly afterFields: Uint8Array
  /** Members of `_ipfix` that are the same for all records, without those of the Message: `"lengths":{…}`. */
  readonly templateMembers: string
  /** The whole Template in that form, for lists that have no records to show it. */
  readonly templateText: string
  /** Fields whose octets the text alone may not give back. */
  readonly watched: readonly WatchedField[]
  /** Whether a field is a list: then the batch is needed to write it. */
  readonly hasLists: boolean
}

/**
 * Lays out the JSON object of a Template's records. What its keys and values do not tell of the
 * Template (the reader would assume full lengths, and equal elements side by side) goes to
 * `templateMembers`, so that a reader can make the same Template again.
 */
export function jsonPlan(template: Template, bigint: BigintForm): JsonPlan {
  const {fields} = template
  const {keys, described} = elementKeys(fields.map((field) => field.element))
  const groups = new Map<string, number[]>()
  keys.forEach((key, field) => {
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [field])
    else group.push(field)
  })

  const steps: PlanStep[] = []
  let pending = '{'
  for (const [key, group] of groups) {
    group.forEach((field, i) => {
      const open = group.length > 1 ? '[' : ''
      const prefix = i === 0 ? `${pending}${JSON.stringify(key)}:${open}` : ','
      const {element, length} = fields[field]
      const write = isList(element.type) ? undefined : jsonWriter(element, length, bigint)
      steps.push({field, kind: kindOf(element, length), prefix: textOctets(prefix), write})
    })
    pending = group.length > 1 ? '],' : ','
  }
  const scope = keys.slice(0, template.scopeCount)
  const closing = pending.slice(0, -1)
  const scopeText = template.scopeCount > 0 ? `,"_scope":${JSON.stringify(scope)}` : ''

  const watched: WatchedField[] = []
  fields.forEach((field, index) => {
    if (isWatched(field))
      watched.push({field: index, key: keys[index], group: groups.get(keys[index])!})
  })
  const notes = templateNotes(template, keys, groups, described)
  return {
    template,
    steps,
    afterFields: textOctets(closing + scopeText),
    templateMembers: notesText(notes),
    templateText: `{${notesText({...notes, fields: JSON.stringify(keys)})}${scopeText}}`,
    watched,
    hasLists: fields.some((field) => isList(field.element.type)),
  }
}

/** Members of `_ipfix` as text, each only where the keys do not tell. */
interface NoteTexts {
  readonly lengths?: string
  readonly fields?: string
  readonly elements?: string
  readonly objects?: string
}

function templateNotes(
  template: Template,
  keys: readonly string[],
  groups: ReadonlyMap<string, readonly number[]>,
  described: ReadonlyMap<string, string>,
): NoteTexts {
  const {fields} = template
  const lengths: string[] = []
  for (const [key, group] of groups) {
    if (group.every((f) => fields[f].length === fullLength(fields[f].element.type))) continue
    const values = group.map((f) => fields[f].length)
    lengths.push(`${JSON.stringify(key)}:${values.length > 1 ? `[${values.join()}]` : values[0]}`)
  }
  const objects = [...groups].flatMap(([key, group]) => {
    const texts = mibObjectTexts(fields, group)
    return texts === undefined ? [] : `${JSON.stringify(key)}:${texts}`
  })
  const rows = [...described].map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`)
  const derived = [...groups.values()].flat()
  return {
    ...(lengths.length > 0 && {lengths: `{${lengths.join()}}`}),
    ...(derived.some((field, i) => field !== i) && {fields: JSON.stringify(keys)}),
    ...(rows.length > 0 && {elements: `{${rows.join()}}`}),
    ...(objects.length > 0 && {objects: `{${objects.join()}}`}),
  }
}

function notesText({lengths, fields, elements, objects}: NoteTexts): string {
  return Object.entries({lengths, fields, elements, objects})
    .flatMap(([name, text]) => (text === undefined ? [] : `"${name}":${text}`))
    .join()
}

function isWatched({element, length}: Field): boolean {
  if (length === VARIABLE) return true
  return (
    length === 8 &&
    (element.type === 'dateTimeMicroseconds' || element.type === 'dateTimeNanoseconds')
  )
}

/**
 * The NTP fraction of a micro- or nanosecond time, if the time's text would be encoded with another
 * one: the usual fraction is the least of those that are read as the same time.
 */
export function hiddenFraction(
  element: InformationElement,
  octets: Uint8Array,
  start: number,
  length: number,
): number | undefined {
  const nano = element.type === 'dateTimeNanoseconds'
  if (length !== 8 || (!nano && element.type !== 'dateTimeMicroseconds')) return undefined
  const fraction = uint32At(octets, start + 4)
  if (fraction === 0) return undefined
  const usual = nano
    ? ntpNanoseconds(fraction - 1) !== ntpNanoseconds(fraction)
    : fraction % 2048 === 0 && ntpMicroseconds(fraction - 2048) !== ntpMicroseconds(fraction)
  return usual ? undefined : fraction
}

/** Octets of a variable-length number, if it is not of full size: its text does not tell. */
export function hiddenSize(
  {type}: InformationElement,
  encoded: number,
  length: number,
): number | undefined {
  if (encoded !== VARIABLE || length === fullLength(type)) return undefined
  // What does not fit the type is written in marked form, which tells the size.
  const number = type === 'float64' || type.startsWith('unsigned') || type.startsWith('signed')
  return number && carriesType(type, length) ? length : undefined
}

/**
 * Length octets (1 or 3, RFC 7011 section 7) that a value of this type and length usually has: lists
 * have 3, as RFC 6313 section 4.5 recommends; other values as few as they can.
 */
export function usualLengthOctets(element: InformationElement, length: number): 1 | 3 {
  return isList(element.type) || length >= 255 ? 3 : 1
}
