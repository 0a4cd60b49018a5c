import {fullLength, lengthFits, REVERSE_PEN, VARIABLE, type InformationElement} from './element.js'
import {padKey} from './group-kernel.js'
import {fieldIndex, type Template} from './template.js'
import type {GroupColumn, GroupSpec, KeyField, KeyPart, KeyShape} from './group-spec.js'

/** A record seen from one side in one direction; in each view it adds to one group. */
export interface View {
  /** Per part of the key the fields that can give it; more than one: the record decides. */
  readonly parts: readonly (readonly Candidate[])[]
  readonly columns: readonly ColumnSource[]
  /** The reverse direction of a Biflow: adds nothing where all its counters are zero. */
  readonly reverse: boolean
  /** Adds nothing where the view before it gave the same key. */
  readonly exceptPrevious: boolean
}

export interface Candidate {
  /** Index in the part's elements of the first one of this type. */
  readonly alternative: number
  readonly field: number
  /** Field of the other port of a ranked part, else −1. */
  readonly second: number
}

/** How a number becomes a column. `beforeExport`, `sinceBoot`: times that hang on another one. */
export type Scale =
  'unsigned' | 'milliseconds' | 'seconds' | 'ntp' | 'beforeExport' | 'sinceBoot' | 'none'

export interface ColumnSource {
  readonly scale: Scale
  readonly field: number
  /** Field of systemInitTimeMilliseconds, or −1. */
  readonly boot: number
  /** Value where scale is `none`; −1: 2^64 − 1, no value. Else what is added to the number. */
  readonly constant: number
}

/** All views of the records of one Template: none if they lack a part of the key. */
export function viewsOf(spec: GroupSpec, template: Template): View[] {
  const biflow = spec.columns.some((c) => c.kind === 'sum' && usedFields(c, template).reverse >= 0)
  const either = spec.key.some((part) => part.either === true)
  const views: View[] = []
  for (const reverse of biflow ? [false, true] : [false]) {
    const sides: View[] = []
    for (const far of either ? [false, true] : [false]) {
      const parts = spec.key.map((part) => {
        const turned = part.ranks === undefined && reverse !== (far && part.either === true)
        return candidatesOf(part, turned, template)
      })
      const complete = spec.key.every(
        (part, i) => parts[i].length > 0 || part.optional === true || part.ofMessage !== undefined,
      )
      if (!complete) continue
      const columns = spec.columns.map((column) => sourceOf(column, reverse, template))
      sides.push({parts, columns, reverse, exceptPrevious: sides.length > 0})
    }
    views.push(...sides)
  }
  return views
}

function candidatesOf(part: KeyPart, turned: boolean, template: Template): Candidate[] {
  const elements = turned ? (part.opposite ?? part.elements) : part.elements
  const candidates: Candidate[] = []
  for (const [i, element] of elements.entries()) {
    const field = fittingField(template, element)
    const second = part.ranks === undefined ? -1 : fittingField(template, part.opposite![i])
    if (field < 0 || (second < 0 && part.ranks !== undefined)) continue
    const alternative = elements.findIndex((e) => sameKind(e, element))
    if (!candidates.some((c) => c.alternative === alternative))
      candidates.push({alternative, field, second})
  }
  return candidates
}

function fittingField(template: Template, element: InformationElement): number {
  const field = fieldIndex(template, element)
  return field >= 0 && lengthFits(element.type, template.fields[field].length) ? field : -1
}

/** Whether values of both elements can be the same group. */
function sameKind(a: InformationElement, b: InformationElement): boolean {
  return a.type === b.type || (isUnsigned(a) && isUnsigned(b))
}

export function isUnsigned(element: InformationElement): boolean {
  return element.type.startsWith('unsigned') && element.type !== 'unsigned256'
}

// IANA numbers of elements whose time hangs on another element or on the Message.
const SYSTEM_INIT_TIME = 160
const SYS_UP_TIMES = [21, 22]
const DELTA_MICROSECONDS = [158, 159]

/** Fields of the first of the column's elements that the Template has in any direction; −1: none. */
function usedFields(column: GroupColumn, template: Template): {forward: number; reverse: number} {
  for (const [i, element] of column.elements.entries()) {
    const twin = column.reverse[i]
    const forward = usableField(template, element, column.kind)
    const reverse = twin === undefined ? -1 : usableField(template, twin, column.kind)
    if (forward >= 0 || reverse >= 0) return {forward, reverse}
  }
  return {forward: -1, reverse: -1}
}

function usableField(
  template: Template,
  element: InformationElement,
  kind: GroupColumn['kind'],
): number {
  const scale = scaleOf(element, kind)
  if (scale === undefined || (scale === 'sinceBoot' && bootField(template) < 0)) return -1
  return fittingField(template, element)
}

function bootField(template: Template): number {
  return template.fields.findIndex(
    ({element, length}) =>
      element.elementId === SYSTEM_INIT_TIME && element.enterpriseNumber === 0 && length === 8,
  )
}

/** Where a column of one direction comes from. */
export function sourceOf(column: GroupColumn, reverse: boolean, template: Template): ColumnSource {
  const used = usedFields(column, template)
  const own = used.reverse >= 0 || isAdded(column) || column.present !== undefined
  const field = reverse && own ? used.reverse : used.forward
  if (field < 0) {
    const constant = {sum: column.absent ?? 0, min: -1, max: 0, count: 0, or: 0}[column.kind]
    return {scale: 'none', field, boot: -1, constant}
  }
  if (column.kind === 'count') return {scale: 'none', field: -1, boot: -1, constant: 1}
  const scale = scaleOf(template.fields[field].element, column.kind)!
  return {scale, field, boot: bootField(template), constant: column.present ?? 0}
}

/** Whether a column adds up; what is not there in one direction then adds nothing. */
export function isAdded({kind}: GroupColumn): boolean {
  return kind === 'sum' || kind === 'count'
}

function scaleOf(element: InformationElement, kind: GroupColumn['kind']): Scale | undefined {
  if (kind === 'count') return 'unsigned'
  if (isUnsigned(element)) {
    const ofIana = element.enterpriseNumber === 0 || element.enterpriseNumber === REVERSE_PEN
    if (kind === 'sum' || kind === 'or' || !ofIana) return 'unsigned'
    if (SYS_UP_TIMES.includes(element.elementId)) return 'sinceBoot'
    return DELTA_MICROSECONDS.includes(element.elementId) ? 'beforeExport' : 'unsigned'
  }
  if (kind === 'sum' || kind === 'or') return undefined
  switch (element.type) {
    case 'dateTimeMilliseconds':
      return 'milliseconds'
    case 'dateTimeSeconds':
      return 'seconds'
    case 'dateTimeMicroseconds':
    case 'dateTimeNanoseconds':
      return 'ntp'
    default:
      return undefined
  }
}

/** The shape of keys with these alternatives; undefined if the spec has no such keys. */
export function makeShape(spec: GroupSpec, alternatives: readonly number[]): KeyShape | undefined {
  if (alternatives.length !== spec.key.length) return undefined
  const fields: KeyField[] = []
  let offset = 0
  for (const [i, part] of spec.key.entries()) {
    const alternative = alternatives[i]
    const element = part.elements[alternative] as InformationElement | undefined
    if (element === undefined && (alternative !== -1 || part.optional !== true)) return undefined
    const full = element === undefined ? 0 : partLength(part, element)
    const bits = part.bits?.[alternative]
    const interned = full === VARIABLE
    const length = interned ? 4 : bits === undefined ? full : Math.min(full, Math.ceil(bits / 8))
    fields.push({part, element, alternative, offset, length, interned})
    offset += length
  }
  const n = spec.symmetric ?? 0
  const even = alternatives.slice(0, n).join() === alternatives.slice(n, 2 * n).join()
  const half = n > 0 && even ? fields[n - 1].offset + fields[n - 1].length : 0
  const wayAt = spec.directed === true ? offset++ : -1
  return {signature: alternatives.join(), fields, octets: offset, half, wayAt}
}

/** Twin families can meet in one pair (a translated flow); the lesser alternative comes first then. */
export function isTurned(spec: GroupSpec, alternatives: readonly number[]): boolean {
  const n = spec.symmetric ?? 0
  for (let i = 0; i < n; i++) {
    if (alternatives[i] !== alternatives[n + i]) return alternatives[i] > alternatives[n + i]
  }
  return false
}

/** Unsigned elements that stand for each other all take the room of the longest. */
function partLength(part: KeyPart, element: InformationElement): number {
  if (!isUnsigned(element)) return fullLength(element.type)
  const all = [...part.elements, ...(part.opposite ?? [])].filter((e) => isUnsigned(e))
  return Math.max(...all.map((e) => fullLength(e.type)))
}

/** Octets of the greatest row that a spec can have. */
export function rowRoom(spec: GroupSpec): number {
  let octets = 0
  for (const part of spec.key) {
    const lengths = part.elements.map((e) => partLength(part, e))
    octets += Math.max(...lengths.map((n) => (n === VARIABLE ? 4 : n)))
  }
  return padKey(octets + 1) + 8 * spec.columns.length
}

/** Mask of the last octet of a prefix of `bits` bits, 1 or more. */
export function lastMask(bits: number): number {
  return bits % 8 === 0 ? 255 : (0xff00 >> (bits % 8)) & 255
}
