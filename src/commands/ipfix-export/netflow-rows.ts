import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {REVERSE_PEN, type InformationElement} from '../../record/element.js'
import {numberReader, valueReader} from '../../record/readers.js'
import {fieldIndex, type Template} from '../../record/template.js'
import {ie, reverseOf} from '../../registry/lookup.js'

/** Reads a number of record `index`. */
export type NumberOf = (batch: RecordBatch, index: number) => number

/** Starts and ends of a Flow, each in the elements that carry it, and how many of its units a millisecond has. */
const starts: readonly [InformationElement, number][] = [
  [ie.flowStartMilliseconds, 1],
  [ie.flowStartMicroseconds, 1e3],
  [ie.flowStartNanoseconds, 1e6],
  [ie.flowStartSeconds, 1e-3],
]
const ends: readonly [InformationElement, number][] = [
  [ie.flowEndMilliseconds, 1],
  [ie.flowEndMicroseconds, 1e3],
  [ie.flowEndNanoseconds, 1e6],
  [ie.flowEndSeconds, 1e-3],
]

export interface FlowTimes {
  /** Milliseconds since 1970. */
  readonly start: NumberOf
  readonly end: NumberOf
  /** The fields that they are read from. */
  readonly fields: ReadonlySet<number>
}

/** What Flows of a Template say of their time; undefined where they say nothing that stands by itself. */
export function flowTimes(template: Template): FlowTimes | undefined {
  const read = (
    choices: readonly [InformationElement, number][],
  ): [NumberOf, number] | undefined => {
    for (const [element, perMs] of choices) {
      const field = fieldIndex(template, element)
      if (field < 0) continue
      if (perMs === 1) return [boundedNumber(template, field), field]
      const value = valueReader(template, field)
      return [
        (batch, index) => {
          const units = value(batch, index)
          if (typeof units === 'number') return Math.floor(units / perMs)
          return typeof units === 'bigint' ? Number(units / BigInt(perMs)) : 0
        },
        field,
      ]
    }
    return undefined
  }
  const start = read(starts)
  const end = read(ends)
  if (start === undefined && end === undefined) return undefined
  const [from, to] = [start ?? end!, end ?? start!]
  return {start: from[0], end: to[0], fields: new Set([from[1], to[1]])}
}

/** The first field that carries one of these, in the given direction. */
export function numberOf(
  template: Template,
  reverse: boolean,
  ...elements: InformationElement[]
): [read: NumberOf, field: number] | undefined {
  for (const forward of elements) {
    const element = reverse ? reverseOf(forward) : forward
    const field = element === undefined ? -1 : fieldIndex(template, element)
    if (field >= 0) return [boundedNumber(template, field), field]
  }
  return undefined
}

/** Reads an unsigned number; Infinity where 53 bits do not hold it, which no record of these protocols has room for. */
export function boundedNumber(template: Template, field: number): NumberOf {
  const {offset, length} = template.fields[field]
  if (length <= 6) return numberReader(template, field)
  const size = template.recordOctets
  const bound = (octets: Uint8Array, at: number, n: number): number => {
    let value = 0
    for (let i = 0; i < n; i++) value = value * 256 + octets[at + i]
    return value > Number.MAX_SAFE_INTEGER ? Infinity : value
  }
  if (length === 8 && offset >= 0 && size > 0) {
    return ({view, start}, index) => {
      const at = start + index * size + offset
      const high = view.getUint32(at)
      return high > 0x1fffff ? Infinity : high * 2 ** 32 + view.getUint32(at + 4)
    }
  }
  return (batch, index) => {
    const {start, length: octets} = fieldSpan(batch, index, field)
    return bound(batch.octets, start, octets)
  }
}

/** A counter that 32 bits do not hold is spread over several records or samples: no greater one, or that would be millions. */
export const MOST_SPREAD = 2 ** 44

/** Whether records of the Template are Biflows: each becomes two in protocols that know none. RFC 5103. */
export function isBiflow(template: Template): boolean {
  return template.fields.some(({element}) => element.enterpriseNumber === REVERSE_PEN)
}

/** Milliseconds that 32 bits hold. */
const UPTIME_MS = 2 ** 32
/** A device that has been up for some time when its first Flow begins. */
const BEFORE_MS = 60_000

/** Whether times are in range and 32 bits hold them both, from whatever moment they count. */
export function haveTimes(start: number, end: number): boolean {
  return Number.isFinite(start + end) && end - start < UPTIME_MS - BEFORE_MS
}

/**
 * The moment that times count from. NetFlow tells them in milliseconds since the device started, of which 32 bits hold 49
 * days; there is no device, so the moment is chosen, and chosen again where times would not fit.
 */
export interface Boot {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Whether both times fit; `rebase` makes them. */
  fits(start: number, end: number): boolean
  rebase(start: number): void
  /** What a header says it is, when that should be `ms`: where the device would have been up for too long by then, the last moment. */
  headerMs(ms: number): number
}

export function createBoot(): Boot {
  let at: number | undefined
  return {
    get at() {
      return at ?? 0
    },
    fits: (start, end) => at !== undefined && start >= at && end - at < UPTIME_MS,
    rebase(start) {
      at = Math.max(0, start - BEFORE_MS)
    },
    headerMs(ms) {
      const from = at ?? 0
      return Math.min(Math.max(ms, from), from + UPTIME_MS - 1)
    },
  }
}
