import {fieldSpan, recordStart, type RecordBatch} from '../../record/batch.js'
import {REVERSE_PEN, VARIABLE, type InformationElement} from '../../record/element.js'
import type {GroupSpec} from '../../record/group-spec.js'
import {viewsOf} from '../../record/group-view.js'
import {
  createTemplate,
  fieldIndex,
  type FieldSpecifier,
  type Template,
} from '../../record/template.js'
import {endColumn, octetsColumn, packetsColumn, startColumn} from '../../registry/flow-columns.js'
import {oppositeOf} from '../../registry/flow-keys.js'
import {elementByNumber, ie, reverseOf} from '../../registry/lookup.js'
import type {RoutingKey} from '../analysis/app.js'

/** Whether the key of a record says which way it went, so that the two directions of a Biflow have different ones. */
export function isDirected({key, symmetric = 0}: RoutingKey): boolean {
  return key.slice(2 * symmetric).some((part) => part.opposite !== undefined)
}

interface Direction {
  readonly template: Template
  /** Field of the Biflow that each field is copied from. */
  readonly from: readonly number[]
}

interface Plan {
  readonly forward: Direction
  readonly reverse: Direction
  /** Fields whose octets are all zero where the reverse direction saw nothing. */
  readonly counters: readonly number[]
}

const COUNTERS: GroupSpec = {key: [], columns: [octetsColumn, packetsColumn]}
const INITIATOR = [ie.initiatorOctets, ie.initiatorPackets]
const RESPONDER = [ie.responderOctets, ie.responderPackets]

/** Records that all went one way, of a batch whose records may have gone both ways. */
export interface Uniflows {
  readonly batch: RecordBatch
  /** Which record of that batch each is of, in order; undefined: each is of the one in its place. */
  readonly of: readonly number[] | undefined
}

/**
 * Makes two records of each Biflow (RFC 5103), one for each direction, the reverse one with source and destination exchanged; none
 * for a direction that saw no packet. Other records stay as they are. What an application makes of both is
 * what it makes of the Biflow.
 */
export function createUniflows(): (batch: RecordBatch) => readonly RecordBatch[] {
  const directions = createDirections()
  return (batch) => directions(batch).map((uniflows) => uniflows.batch)
}

/** The same, and of which Biflow each record is. */
export function createDirections(): (batch: RecordBatch) => readonly Uniflows[] {
  const plans = new WeakMap<Template, Plan | 'one direction'>()
  return (batch) => {
    let plan = plans.get(batch.template)
    if (plan === undefined) {
      plan = planOf(batch.template) ?? 'one direction'
      plans.set(batch.template, plan)
    }
    if (plan === 'one direction') return [{batch, of: undefined}]
    const all = Array.from({length: batch.count}, (_, i) => i)
    const {counters, forward, reverse} = plan
    const answered = all.filter((i) => counters.some((field) => !isZero(batch, i, field)))
    const there = {batch: copy(batch, all, forward), of: undefined}
    if (answered.length === 0) return [there]
    return [there, {batch: copy(batch, answered, reverse), of: answered}]
  }
}

function planOf(template: Template): Plan | undefined {
  const reverse = viewsOf(COUNTERS, template).find((view) => view.reverse)
  if (reverse === undefined || template.scopeCount > 0) return undefined
  const counters = reverse.columns.flatMap(({field}) => (field < 0 ? [] : [field]))
  return {forward: forwardOf(template), reverse: reverseDirection(template), counters}
}

/** Of counters and times that are known of the reverse direction only, the less good ones: they would say something else. */
function uncounted(template: Template): InformationElement[] {
  return [...COUNTERS.columns, startColumn, endColumn].flatMap(({elements, reverse}) => {
    const has = (element: InformationElement | undefined): boolean =>
      element !== undefined && fieldIndex(template, element) >= 0
    const first = elements.findIndex((element, i) => has(element) || has(reverse[i]))
    return first >= 0 && !has(elements[first]) ? elements : []
  })
}

function isReverse({enterpriseNumber}: InformationElement): boolean {
  return enterpriseNumber === REVERSE_PEN
}

function isOfBoth(element: InformationElement): boolean {
  return element === ie.biflowDirection
}

function forwardOf(template: Template): Direction {
  const left = [...RESPONDER, ...uncounted(template)]
  return directionOf(
    template.fields.flatMap(({element, length}, from) =>
      isReverse(element) || isOfBoth(element) || left.includes(element)
        ? []
        : [{element, length, from}],
    ),
    template.id,
  )
}

/** Fields as the other side would have reported them. */
function reverseDirection(template: Template): Direction {
  const {fields} = template
  return directionOf(
    fields.flatMap(({element, length}, from) => {
      if (isOfBoth(element)) return []
      if (isReverse(element)) {
        // Where the forward direction has it too, it has its place there.
        const forward = elementByNumber(0, element.elementId)
        if (forward === undefined || fieldIndex(template, forward) >= 0) return []
        return [{element: forward, length, from}]
      }
      const twin = reverseOf(element)
      const own = twin === undefined ? -1 : fieldIndex(template, twin)
      if (own >= 0) return [{element, length: fields[own].length, from: own}]
      if (INITIATOR.includes(element)) return []
      const other = otherSide(element)
      if (other !== undefined) return [{element: other, length, from}]
      // What only the forward direction counted is not known of this one.
      const {semantics} = element
      if (semantics === 'deltaCounter' || semantics === 'totalCounter') return []
      return [{element, length, from}]
    }),
    template.id,
  )
}

function otherSide(element: InformationElement): InformationElement | undefined {
  return INITIATOR[RESPONDER.indexOf(element)] ?? oppositeOf(element)
}

function directionOf(
  fields: readonly (FieldSpecifier & {readonly from: number})[],
  id: number,
): Direction {
  return {template: createTemplate(id, fields), from: fields.map(({from}) => from)}
}

function isZero(batch: RecordBatch, index: number, field: number): boolean {
  const {start, length} = fieldSpan(batch, index, field)
  for (let i = start; i < start + length; i++) if (batch.octets[i] !== 0) return false
  return true
}

function copy(
  batch: RecordBatch,
  indices: readonly number[],
  {template, from}: Direction,
): RecordBatch {
  const most = batch.octets.length - recordStart(batch, 0)
  const octets = new Uint8Array(most + 3 * from.length * indices.length)
  const offsets = new Uint32Array(indices.length + 1)
  let at = 0
  for (const [n, i] of indices.entries()) {
    offsets[n] = at
    for (const [f, field] of from.entries()) {
      const {start, length} = fieldSpan(batch, i, field)
      if (template.fields[f].length === VARIABLE) {
        if (length < 255) octets[at++] = length
        else {
          octets[at++] = 255
          octets[at++] = length >> 8
          octets[at++] = length & 255
        }
      }
      octets.set(batch.octets.subarray(start, start + length), at)
      at += length
    }
  }
  offsets[indices.length] = at
  const kept = octets.slice(0, at)
  return {
    ...batch,
    template,
    octets: kept,
    view: new DataView(kept.buffer),
    start: 0,
    count: indices.length,
    offsets: template.recordOctets === 0 ? offsets : undefined,
  }
}
