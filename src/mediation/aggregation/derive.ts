import {fieldSpan, recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import {makeColumnReader} from '../../record/group-reader.js'
import type {GroupColumn} from '../../record/group-spec.js'
import {sourceOf} from '../../record/group-view.js'
import {
  createTemplate,
  fieldIndex,
  type FieldSpecifier,
  type Template,
} from '../../record/template.js'
import {VARIABLE, type InformationElement} from '../../record/element.js'
import {isZero} from '../../record/zero-octets.js'
import {endColumn, startColumn} from '../../registry/flow-columns.js'
import type {DerivedField} from '../../registry/flow-keys.js'
import {
  bucketElement,
  flowCompleted,
  flowInitiated,
  flowPresent,
  intervalStart,
  rankElement,
  registerElement,
} from './derived.js'
import type {Measure} from './measure.js'
import {bucketOf, hashOctets, rankOf, registerOf} from './sketch.js'

/**
 * How the counters of a Flow are spread over the intervals that it reaches into: all to that of its start, end or middle; the
 * same to each; or to each as much as the Flow lasts in it. RFC 7015 section 5.1.1.
 */
export const distributions = ['start', 'end', 'mid', 'uniform', 'proportional'] as const
export type Distribution = (typeof distributions)[number]

/** Values of valueDistributionMethod. RFC 7015 section 7.1.10. */
export const distributionNumber: Readonly<Record<Distribution, number>> = {
  start: 1,
  end: 2,
  mid: 3,
  uniform: 4,
  proportional: 5,
}

export interface DeriveOptions {
  readonly intervalMs: number | undefined
  readonly distribution: Distribution
  /** Columns whose fields are spread. */
  readonly counters: readonly GroupColumn[]
  readonly measures: readonly Measure[]
  /** What the key needs, see `FlowKey.derived`. */
  readonly derived: readonly DerivedField[]
}

/** A Flow that reaches into more intervals than this counts as one that has no usable times. */
const MAX_INTERVALS = 100_000

export interface Derivation {
  /** Records with derived fields in front; `lost` counts records whose times cannot be sorted into intervals. */
  derive(batch: RecordBatch): RecordBatch | undefined
  /** What records of the Template become. */
  templateOf(template: Template): Template
  readonly lost: number
}

/** Whether records need fields that they do not have. */
export function needsDerivation({intervalMs, measures, derived}: DeriveOptions): boolean {
  return (
    intervalMs !== undefined ||
    derived.length > 0 ||
    measures.some(({kind}) => kind === 'quantile' || kind === 'approximate')
  )
}

type Reader = (batch: RecordBatch, index: number) => number

interface Plan {
  readonly template: Template
  readonly prefix: number
  readonly start: Reader | undefined
  readonly end: Reader | undefined
  /** Fields that are spread over intervals. */
  readonly counters: readonly number[]
  /** Writes the fields of measures behind those of the interval. */
  readonly write: readonly ((
    batch: RecordBatch,
    index: number,
    view: DataView,
    at: number,
  ) => number)[]
}

export function createDerivation(options: DeriveOptions): Derivation {
  const {intervalMs, distribution, counters, measures, derived} = options
  const plans = new Map<Template, Plan>()
  let lost = 0

  function planOf(template: Template): Plan {
    let plan = plans.get(template)
    if (plan === undefined) {
      plan = makePlan(template)
      if (plans.size > 4096) plans.clear()
      plans.set(template, plan)
    }
    return plan
  }

  function makePlan(template: Template): Plan {
    const specifiers: FieldSpecifier[] = []
    const add = (element: FieldSpecifier['element'], length: number): void => {
      specifiers.push({element, length})
    }
    if (intervalMs !== undefined) {
      add(intervalStart, 8)
      for (const element of [flowPresent, flowInitiated, flowCompleted]) add(element, 1)
    }
    const write: Plan['write'][number][] = []
    for (const [n, measure] of measures.entries()) {
      if (measure.kind === 'quantile') {
        const read = makeColumnReader(measure.element, template)
        // Records without the value are in no bucket.
        if (read === undefined) continue
        add(bucketElement(n), 2)
        write.push((batch, index, view, at) => {
          view.setUint16(at, bucketOf(read(batch, index)))
          return at + 2
        })
      } else if (measure.kind === 'approximate') {
        const writer = registerWriter(template, measure.key.elements)
        if (writer === undefined) continue
        add(registerElement(n), 2)
        add(rankElement(n), 1)
        write.push(writer)
      }
    }
    for (const field of derived) {
      const {element, of} = field
      const isThere = element !== of && fieldIndex(template, element) >= 0
      if (isThere || specifiers.some((one) => one.element === element)) continue
      const made = bitsWriter(template, field)
      if (made === undefined) continue
      add(element, made.length)
      write.push(made.write)
    }
    const prefix = specifiers.reduce((sum, {length}) => sum + length, 0)
    const fields = counters.flatMap((column) =>
      [false, true].map((reverse) => sourceOf(column, reverse, template).field),
    )
    return {
      template: createTemplate(template.id, [...specifiers, ...template.fields]),
      prefix,
      start: makeColumnReader(startColumn, template),
      end: makeColumnReader(endColumn, template),
      counters: [...new Set(fields)].filter((field) => field >= 0),
      write,
    }
  }

  /** First and last interval of a record; false: it has no times that make sense. */
  const range = {start: 0, end: 0, first: 0, last: 0}
  function locate(batch: RecordBatch, index: number, plan: Plan): boolean {
    const exported = batch.message.exportTime * 1000
    const end = plan.end?.(batch, index) ?? plan.start?.(batch, index) ?? exported
    const start = plan.start?.(batch, index) ?? end
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || end < start) return false
    const size = intervalMs!
    range.start = start
    range.end = end
    range.first = Math.floor(start / size)
    range.last = Math.floor(end / size)
    return range.last - range.first < MAX_INTERVALS
  }

  function derive(batch: RecordBatch): RecordBatch | undefined {
    const plan = planOf(batch.template)
    const spread = distribution === 'uniform' || distribution === 'proportional'
    const sizes: number[] = []
    let total = 0
    for (let i = 0; i < batch.count; i++) {
      let n = 1
      if (intervalMs !== undefined) {
        if (!locate(batch, i, plan)) n = 0
        else if (spread) n = range.last - range.first + 1
      }
      sizes.push(n)
      total += n * (plan.prefix + recordEnd(batch, i) - recordStart(batch, i))
    }
    const octets = new Uint8Array(total)
    const view = new DataView(octets.buffer)
    const offsets: number[] = []
    let at = 0
    for (let i = 0; i < batch.count; i++) {
      if (sizes[i] === 0) {
        lost++
        continue
      }
      const from = recordStart(batch, i)
      const record = batch.octets.subarray(from, recordEnd(batch, i))
      if (intervalMs === undefined) {
        offsets.push(at)
        at = writeMeasures(plan, batch, i, view, at)
        octets.set(record, at)
        at += record.length
        continue
      }
      locate(batch, i, plan)
      const {start, end, first, last} = range
      for (let k = 0; k < sizes[i]; k++) {
        const interval = spread ? first + k : chosen(distribution, start, end, intervalMs)
        offsets.push(at)
        view.setBigUint64(at, BigInt(interval * intervalMs))
        octets[at + 8] = 1
        octets[at + 9] = interval === first ? 1 : 0
        octets[at + 10] = interval === last ? 1 : 0
        at = writeMeasures(plan, batch, i, view, at + 11)
        octets.set(record, at)
        if (sizes[i] > 1) {
          const [low, high] = parts(distribution, start, end, intervalMs, interval, k, sizes[i])
          for (const field of plan.counters) {
            const span = fieldSpan(batch, i, field)
            scale(octets, at + span.start - from, span.length, low, high)
          }
        }
        at += record.length
      }
    }
    if (offsets.length === 0) return undefined
    const fixed = plan.template.recordOctets > 0
    const count = offsets.length
    offsets.push(at)
    return {
      ...batch,
      template: plan.template,
      octets,
      view,
      start: 0,
      count,
      offsets: fixed ? undefined : Uint32Array.from(offsets),
    }
  }

  function writeMeasures(
    plan: Plan,
    batch: RecordBatch,
    index: number,
    view: DataView,
    from: number,
  ): number {
    let at = from
    for (const write of plan.write) at = write(batch, index, view, at)
    return at
  }

  return {
    derive,
    templateOf: (template) => planOf(template).template,
    get lost() {
      return lost
    },
  }
}

/** Leading bits of a field, with zeros behind; a number of bits that is none leaves all of it. */
function bitsWriter(
  template: Template,
  {of, bits}: DerivedField,
): {length: number; write: Plan['write'][number]} | undefined {
  const from = fieldIndex(template, of)
  const said = typeof bits === 'number' ? -1 : fieldIndex(template, bits)
  if (from < 0 || (typeof bits !== 'number' && said < 0)) return undefined
  const {length} = template.fields[from]
  if (length === VARIABLE) return undefined
  const bitsOf = (batch: RecordBatch, index: number): number =>
    typeof bits === 'number' ? bits : batch.octets[fieldSpan(batch, index, said).start]
  const write: Plan['write'][number] = (batch, index, view, at) => {
    const most = bitsOf(batch, index)
    const {start} = fieldSpan(batch, index, from)
    for (let i = 0; i < length; i++) {
      const kept = Math.min(8, Math.max(0, most - 8 * i))
      view.setUint8(at + i, batch.octets[start + i] & (0xff00 >> kept))
    }
    return at + length
  }
  return {length, write}
}

/** Register and rank of the first of the elements that is not all zeros. */
function registerWriter(
  template: Template,
  elements: readonly InformationElement[],
): Plan['write'][number] | undefined {
  const fields = elements.map((element) => fieldIndex(template, element)).filter((f) => f >= 0)
  if (fields.length === 0) return undefined
  const hash = new Uint32Array(2)
  return (batch, index, view, at) => {
    let span = fieldSpan(batch, index, fields[0])
    for (const field of fields) {
      const other = fieldSpan(batch, index, field)
      if (isZero(batch.octets, other.start, other.start + other.length)) continue
      span = other
      break
    }
    // Reduced-size encoding: the same number in fewer octets is the same value.
    let {start, length} = span
    while (
      length > 1 &&
      template.fields[fields[0]].element.type.startsWith('unsigned') &&
      batch.octets[start] === 0
    ) {
      start++
      length--
    }
    hashOctets(batch.octets, start, length, hash)
    view.setUint16(at, registerOf(hash))
    view.setUint8(at + 2, rankOf(hash))
    return at + 3
  }
}

function chosen(distribution: Distribution, start: number, end: number, size: number): number {
  if (distribution === 'start') return Math.floor(start / size)
  if (distribution === 'end') return Math.floor(end / size)
  return Math.floor(Math.floor((start + end) / 2) / size)
}

/** Which part of a counter is that of interval `k` of `n`: from `low` to `high`, both 0..1, so that all parts are the whole. */
function parts(
  distribution: Distribution,
  start: number,
  end: number,
  size: number,
  interval: number,
  k: number,
  n: number,
): [low: number, high: number] {
  if (distribution === 'uniform') return [k / n, (k + 1) / n]
  // A Flow lasts to the end of its last millisecond.
  const lasts = end - start + 1
  const low = Math.max(0, interval * size - start) / lasts
  const high = Math.min(lasts, (interval + 1) * size - start) / lasts
  return [low, high]
}

/** Makes an unsigned integer the part of it between `low` and `high`; the parts add up to it exactly. */
function scale(octets: Uint8Array, at: number, length: number, low: number, high: number): void {
  let value = 0n
  for (let i = 0; i < length; i++) value = (value << 8n) | BigInt(octets[at + i])
  let part = share(value, high) - share(value, low)
  for (let i = length - 1; i >= 0; i--) {
    octets[at + i] = Number(part & 0xffn)
    part >>= 8n
  }
}

function share(value: bigint, part: number): bigint {
  if (part >= 1) return value
  return value <= 9007199254740991n
    ? BigInt(Math.floor(Number(value) * part))
    : (value * BigInt(Math.floor(part * 2 ** 32))) >> 32n
}
