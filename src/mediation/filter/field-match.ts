import {fieldSpan, recordStart, type RecordBatch} from '../../record/batch.js'
import {VARIABLE} from '../../record/element.js'
import type {Reader} from '../../record/readers.js'
import type {Template} from '../../record/template.js'
import {fromNtp} from '../../record/value.js'
import type {BigRange} from './range-set.js'

type Match = Reader<boolean>

/** Where a field of record `index` lies. */
export function spanReader(
  template: Template,
  field: number,
): Reader<{start: number; length: number}> {
  const {offset, length} = template.fields[field]
  if (offset < 0 || length === VARIABLE) return (batch, index) => fieldSpan(batch, index, field)
  const span = {start: 0, length}
  return (batch, index) => {
    span.start = recordStart(batch, index) + offset
    return span
  }
}

/** A field of variable length is there when it is not empty. */
export function existsMatch(field: number): Match {
  return (batch, index) => fieldSpan(batch, index, field).length > 0
}

function within(ranges: readonly BigRange[], value: bigint): boolean {
  return ranges.some(([low, high]) => value >= low && value <= high)
}

export function signedMatch(field: number, ranges: readonly BigRange[]): Match {
  return (batch, index) => {
    const {start, length} = fieldSpan(batch, index, field)
    if (length < 1 || length > 8) return false
    let value = 0n
    for (let i = 0; i < length; i++) value = (value << 8n) | BigInt(batch.octets[start + i])
    return within(ranges, BigInt.asIntN(8 * length, value))
  }
}

export function realMatch(field: number, holds: (value: number) => boolean): Match {
  return (batch, index) => {
    const {start, length} = fieldSpan(batch, index, field)
    if (length === 4) return holds(batch.view.getFloat32(start))
    return length === 8 && holds(batch.view.getFloat64(start))
  }
}

const utf8 = new TextDecoder('utf-8', {ignoreBOM: true})

/** A string in a field of fixed length ends where its padding of zeros begins. */
export function textMatch(
  template: Template,
  field: number,
  holds: (text: string) => boolean,
): Match {
  const span = spanReader(template, field)
  const padded = template.fields[field].length !== VARIABLE
  return (batch, index) => {
    const {start, length} = span(batch, index)
    let end = start + length
    if (padded) while (end > start && batch.octets[end - 1] === 0) end--
    return holds(utf8.decode(batch.octets.subarray(start, end)))
  }
}

export function octetsMatch(
  template: Template,
  field: number,
  holds: (octets: Uint8Array) => boolean,
): Match {
  const span = spanReader(template, field)
  return (batch: RecordBatch, index: number) => {
    const {start, length} = span(batch, index)
    return holds(batch.octets.subarray(start, start + length))
  }
}

/** RFC 7011 section 6.1.5: 1 is true, 2 is false, anything else is neither. */
export function flagMatch(template: Template, field: number, value: boolean): Match {
  const span = spanReader(template, field)
  const wanted = value ? 1 : 2
  return (batch, index) => {
    const {start, length} = span(batch, index)
    return length === 1 && batch.octets[start] === wanted
  }
}

export function stampMatch(
  template: Template,
  field: number,
  perSecond: 1_000_000n | 1_000_000_000n,
  ranges: readonly BigRange[],
): Match {
  const span = spanReader(template, field)
  return (batch, index) => {
    const {start, length} = span(batch, index)
    if (length !== 8) return false
    const {view} = batch
    return within(ranges, fromNtp(view.getUint32(start), view.getUint32(start + 4), perSecond))
  }
}
