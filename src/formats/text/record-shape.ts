import {
  VARIABLE,
  abstractTypes,
  fullLength,
  isList,
  unknownElement,
  type AbstractType,
  type InformationElement,
} from '../../record/element.js'
import {DartaError} from '../../record/errors.js'
import {createTemplate, type FieldSpecifier, type Template} from '../../record/template.js'
import {elementByName, elementByNumber} from '../../registry/lookup.js'
import {readMibObject} from './mib-notes.js'
import {scalarReader, type ValueReader} from './read-values.js'

/** What a JSON object says of its Template beyond its keys; the members of `_ipfix` of these names. */
export interface TemplateNotes {
  /** Encoded lengths by key, where they are not the full ones: one, or one for each equal element. */
  readonly lengths?: Readonly<Record<string, number | readonly number[]>>
  /** All keys in the order of the Template, where equal elements are not side by side. */
  readonly fields?: readonly string[]
  /** `pen/id type` by key, of elements that are not registered. */
  readonly elements?: Readonly<Record<string, string>>
  /** SNMP objects of fields by key, one or one for each equal element; see `mibObjectText`. */
  readonly objects?: Readonly<Record<string, unknown>>
}

/** A key of the object, with how many values it has: 1, or the items of its array; 0 for `null`. */
export interface KeyCount {
  readonly key: string
  readonly count: number
}

/** Where the value of one field of the Template comes from, and how it is read. */
export interface ShapeStep {
  /** Index of the key in the object. */
  readonly member: number
  /** Index in its array; −1 if the value is no array. */
  readonly item: number
  /** Which of the equal elements it is, from 0. */
  readonly occurrence: number
  readonly key: string
  readonly element: InformationElement
  /** Encoded length. */
  readonly length: number
  /** Reads the scalar; undefined for lists. */
  readonly read: ValueReader | undefined
}

/** How objects of one set of keys become records of one Template. */
export interface RecordShape {
  readonly template: Template
  readonly steps: readonly ShapeStep[]
  /** Members that are no Information Elements: they have no place in a record. */
  readonly foreign: number
}

/** The most a record can have in a Message with one Set. RFC 7011 section 3.1. */
export const MAX_RECORD_OCTETS = 65535 - 16 - 4

function fault(message: string, at: number): DartaError {
  return new DartaError('DARTA_VALUE', message, at)
}

/** Elements that lines described, so that one description gives one element. */
const described = new Map<string, InformationElement>()

/** The element of a key; undefined if it is none. */
function elementOf(key: string, notes: TemplateNotes, at: number): InformationElement | undefined {
  const named = elementByName(key)
  if (named !== undefined && named.status !== 'unknown') return named
  const {elements} = notes
  if (elements === undefined || !Object.hasOwn(elements, key)) return named
  return describedElement(key, elements[key], at)
}

/**
 * The element of a description like `6871/106 unsigned32`. A registered element is what it is,
 * whatever a line says of it.
 */
export function describedElement(
  name: string,
  description: unknown,
  at: number,
): InformationElement {
  const match =
    typeof description === 'string' ? /^(\d{1,10})\/(\d{1,5}) (\w+)$/.exec(description) : null
  const pen = Number(match?.[1])
  const id = Number(match?.[2])
  const type = match?.[3] as AbstractType
  if (!(pen < 2 ** 32) || !(id > 0 && id < 32768) || !abstractTypes.includes(type)) {
    throw fault('an element is described like "6871/106 unsigned32"', at)
  }
  const registered = elementByNumber(pen, id)
  if (registered !== undefined) return registered
  const key = `${name} ${pen}/${id} ${type}`
  let element = described.get(key)
  if (element === undefined) {
    element = {...unknownElement(pen, id), name, type, status: 'current'}
    // A flood of names must not fill the memory.
    if (described.size >= 4096) described.clear()
    described.set(key, element)
  }
  return element
}

/**
 * Derives the Template from the keys of an object: their order, full lengths, equal elements side by
 * side, unless the notes say otherwise.
 *
 * @param at octet of the object, for faults
 * @throws DartaError DARTA_VALUE if notes, scope and keys do not agree
 */
export function recordShape(
  id: number,
  keys: readonly KeyCount[],
  scope: readonly string[],
  notes: TemplateNotes,
  at: number,
): RecordShape {
  const values = new Map<string, Omit<ShapeStep, 'read'>[]>()
  const numbers = new Set<string>()
  let foreign = 0
  keys.forEach(({key, count}, member) => {
    if (key === '_ipfix' || key === '_scope') return
    const element = elementOf(key, notes, at)
    if (element === undefined) {
      foreign++
      return
    }
    const number = `${element.enterpriseNumber}/${element.elementId}`
    if (numbers.has(number)) throw fault(`two members are the element ${element.name}`, at)
    numbers.add(number)
    if (count === 0) return
    const single = count === NOT_AN_ARRAY
    const steps: Omit<ShapeStep, 'read'>[] = []
    for (let occurrence = 0; occurrence < (single ? 1 : count); occurrence++) {
      const item = single ? -1 : occurrence
      const length = lengthOf(key, element, notes, occurrence, at)
      steps.push({member, item, occurrence, key, element, length})
    }
    values.set(key, steps)
  })
  const ordered = inOrder(values, notes, at)
  if (ordered.length === 0) throw fault('no member is an Information Element', at)
  for (const [i, name] of scope.entries()) {
    if (i >= ordered.length || ordered[i].key !== name) {
      throw fault('_scope does not list the first elements', at)
    }
  }
  const template = createTemplate(id, withObjects(ordered, notes, at), scope.length)
  if (template.minimumOctets > MAX_RECORD_OCTETS) {
    throw fault('the record is longer than a Message', at)
  }
  const steps = ordered.map((step) => ({
    ...step,
    read: isList(step.element.type) ? undefined : scalarReader(step.element.type),
  }))
  return {template, steps, foreign}
}

/** The fields with the objects that they have the values of. */
function withObjects(
  steps: readonly Omit<ShapeStep, 'read'>[],
  {objects}: TemplateNotes,
  at: number,
): readonly FieldSpecifier[] {
  if (objects === undefined) return steps
  return steps.map(({key, occurrence, element, length}, place) => {
    const noted = Object.hasOwn(objects, key) ? objects[key] : undefined
    const text: unknown = Array.isArray(noted) ? noted[occurrence] : noted
    const mib = readMibObject(text, place, at)
    return mib === undefined ? {element, length} : {element, length, mib}
  })
}

/**
 * The Template that notes alone describe: what an empty list says of the records it could hold. Their
 * fields give the keys, equal ones as often as they come.
 *
 * @throws DartaError DARTA_VALUE
 */
export function notedTemplate(
  id: number,
  scope: readonly string[],
  notes: TemplateNotes,
  at: number,
): Template {
  const counts = new Map<string, number>()
  for (const key of notes.fields ?? []) counts.set(key, (counts.get(key) ?? 0) + 1)
  const keys = [...counts].map(([key, count]) => ({key, count}))
  const {template, foreign} = recordShape(id, keys, scope, notes, at)
  if (foreign > 0) throw fault('a field is no Information Element', at)
  return template
}

/** Count of a key whose value is no array. */
export const NOT_AN_ARRAY = -1

function lengthOf(
  key: string,
  element: InformationElement,
  {lengths}: TemplateNotes,
  occurrence: number,
  at: number,
): number {
  if (lengths === undefined || !Object.hasOwn(lengths, key)) return fullLength(element.type)
  const noted = lengths[key]
  const length = typeof noted === 'object' ? noted[occurrence] : noted
  if (!Number.isInteger(length) || length < 0 || length > VARIABLE) {
    throw fault(`a length of ${key} is not 0 to 65535`, at)
  }
  return length
}

function inOrder<T extends {occurrence: number}>(
  values: ReadonlyMap<string, readonly T[]>,
  {fields}: TemplateNotes,
  at: number,
): T[] {
  if (fields === undefined) return [...values.values()].flat()
  const taken = new Map<string, number>()
  const ordered = fields.map((key) => {
    const n = taken.get(key) ?? 0
    taken.set(key, n + 1)
    const step = values.get(key)?.[n]
    if (step === undefined) throw fault('fields lists what is not there', at)
    return step
  })
  let all = 0
  for (const steps of values.values()) all += steps.length
  if (ordered.length !== all) throw fault('fields does not list all elements', at)
  return ordered
}
