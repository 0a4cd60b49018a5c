import {fieldSpan, type RecordBatch} from './batch.js'
import {fullLength} from './element.js'
import {orderHalves, padKey, sameOctets} from './group-kernel.js'
import {
  isTurned,
  lastMask,
  rowRoom,
  sourceOf,
  type Candidate,
  type ColumnSource,
  type View,
} from './group-view.js'
import type {GroupColumn, GroupSpec, KeyField, KeyPart, KeyShape} from './group-spec.js'
import type {Template} from './template.js'
import {isZero} from './zero-octets.js'

/** Where the rows of records go. */
export interface RowSink {
  /** A number for these octets, always the same for the same octets. */
  intern(octets: Uint8Array): number
  /** `row` (see group-kernel.ts) is reused after the call. */
  row(shape: KeyShape, row: Uint8Array): void
  /** The columns of a record in one direction, once however many groups they were added to; reused after the call. */
  total?(columns: Uint8Array): void
}

/** Reads one record into rows, one per view; false: it belongs to no group. Works for every Template. */
export type RowReader = (batch: RecordBatch, index: number, sink: RowSink) => boolean

interface Span {
  readonly octets: Uint8Array
  readonly start: number
  readonly length: number
}

const TWO_32 = 4294967296
const NTP_1970 = 2208988800

export function makeRowReader(
  spec: GroupSpec,
  views: readonly View[],
  shapeOf: (alternatives: readonly number[]) => KeyShape,
): RowReader {
  const width = spec.columns.length
  const row = new Uint8Array(rowRoom(spec))
  const words = new DataView(row.buffer)
  const previousKey = new Uint8Array(row.length)
  const alternatives = spec.key.map(() => -1)
  const spans = spec.key.map((): Span => ({octets: row, start: 0, length: 0}))
  const low = new Uint32Array(width)
  const high = new Uint32Array(width)
  /** Whether the sides of a symmetric key changed places. */
  let turned = false

  return (batch, index, sink) => {
    let belongs = false
    let previous: KeyShape | undefined
    let totalled = false
    for (const view of views) {
      if (!view.exceptPrevious) totalled = false
      const shape = readKey(batch, index, view, sink)
      const counters = shape && readColumns(batch, index, view.columns, spec, low, high)
      if (shape === undefined || counters === undefined) {
        previous = undefined
        continue
      }
      belongs = true
      if (!isWanted(shape)) {
        previous = undefined
        continue
      }
      const keyOctets = padKey(shape.octets)
      const same =
        view.exceptPrevious && previous === shape && sameOctets(row, previousKey, keyOctets)
      previous = shape
      previousKey.set(row.subarray(0, keyOctets))
      if (view.reverse && counters === 'zero') continue
      for (let c = 0; c < width; c++) {
        words.setUint32(keyOctets + 8 * c, low[c], true)
        words.setUint32(keyOctets + 8 * c + 4, high[c], true)
      }
      const end = keyOctets + 8 * width
      if (!totalled) sink.total?.(row.subarray(keyOctets, end))
      totalled = true
      if (same) continue
      if (shape.half > 0 && spec.ranked === undefined && orderHalves(row, shape.half)) {
        turned = !turned
      }
      if (shape.wayAt >= 0) row[shape.wayAt] = turned ? 1 : 0
      sink.row(shape, row.subarray(0, end))
    }
    return belongs
  }

  /** Puts the key at the head of `row`; undefined if the record lacks a part or a part does not fit its type. */
  function readKey(
    batch: RecordBatch,
    index: number,
    view: View,
    sink: RowSink,
  ): KeyShape | undefined {
    for (const [i, part] of spec.key.entries()) {
      if (!locate(batch, index, part, i, view.parts[i])) return undefined
    }
    turned = spec.ranked === undefined ? isTurned(spec, alternatives) : isServed(spec.ranked)
    if (turned) {
      for (let i = 0, n = spec.symmetric!; i < n; i++) {
        ;[alternatives[i], alternatives[n + i]] = [alternatives[n + i], alternatives[i]]
        ;[spans[i], spans[n + i]] = [spans[n + i], spans[i]]
      }
    }
    const shape = shapeOf(alternatives)
    row.fill(0, 0, padKey(shape.octets))
    for (const [i, field] of shape.fields.entries()) {
      if (field.element !== undefined && !writeField(field, spans[i], row, sink)) return undefined
    }
    // The other side's port is left out.
    if (spec.ranked !== undefined) {
      const {offset, length} = shape.fields[3]
      row.fill(0, offset, offset + length)
    }
    return shape
  }

  function isWanted({fields}: KeyShape): boolean {
    const {only} = spec
    return only === undefined || only.values.includes(row[fields[only.part].offset])
  }

  /** Whether the second side's port is the better one. */
  function isServed(ranks: Uint8Array): boolean {
    const a = portAt(spans[1].octets, spans[1])
    const b = portAt(spans[3].octets, spans[3])
    return ranks[b] < ranks[a] || (ranks[b] === ranks[a] && b < a)
  }

  function locate(
    batch: RecordBatch,
    index: number,
    part: KeyPart,
    i: number,
    candidates: readonly Candidate[],
  ): boolean {
    alternatives[i] = -1
    for (const {alternative, field, second} of candidates) {
      let span = fieldSpan(batch, index, field)
      if (second >= 0) {
        const other = fieldSpan(batch, index, second)
        const a = portAt(batch.octets, span)
        const b = portAt(batch.octets, other)
        const ranks = part.ranks!
        if (ranks[b] < ranks[a] || (ranks[b] === ranks[a] && b < a)) span = other
      }
      const zero = isZero(batch.octets, span.start, span.start + span.length)
      if (alternatives[i] >= 0 && zero) continue
      alternatives[i] = alternative
      spans[i] = {octets: batch.octets, start: span.start, length: span.length}
      if (!zero) break
    }
    if (alternatives[i] < 0 && part.ofMessage !== undefined) {
      const value = part.ofMessage(batch.message)
      if (value !== undefined) {
        alternatives[i] = value.alternative
        spans[i] = {octets: value.octets, start: 0, length: value.octets.length}
      }
    }
    return alternatives[i] >= 0 || part.optional === true
  }
}

/**
 * Reads one column of a record's first direction as a number (beyond 2^53 the nearest one), times as milliseconds since
 * 1970. Undefined: records of this Template do not have it.
 */
export function makeColumnReader(
  column: GroupColumn,
  template: Template,
): ((batch: RecordBatch, index: number) => number) | undefined {
  const sources = [sourceOf(column, false, template)]
  if (sources[0].scale === 'none') return undefined
  const spec = {key: [], columns: [column]}
  const low = new Uint32Array(1)
  const high = new Uint32Array(1)
  return (batch, index) => {
    const counters = readColumns(batch, index, sources, spec, low, high)
    return counters === undefined ? Infinity : high[0] * TWO_32 + low[0]
  }
}

/** Fills the words of each column. `zero`: all fields summed are zero. Undefined: one is beyond 2^64 − 1. */
function readColumns(
  batch: RecordBatch,
  index: number,
  sources: readonly ColumnSource[],
  spec: GroupSpec,
  low: Uint32Array,
  high: Uint32Array,
): 'zero' | 'some' | undefined {
  let counters: 'zero' | 'some' = 'zero'
  for (const [c, source] of sources.entries()) {
    if (source.scale === 'none') {
      low[c] = source.constant
      high[c] = source.constant < 0 ? -1 : 0
      continue
    }
    const {start, length} = fieldSpan(batch, index, source.field)
    let l = 0
    let h = 0
    for (let i = 0; i < length; i++) {
      h = h * 256 + Math.floor(l / 16777216)
      l = (l % 16777216) * 256 + batch.octets[start + i]
      if (h >= TWO_32) return undefined
    }
    if (spec.columns[c].kind === 'sum' && (l !== 0 || h !== 0)) counters = 'some'
    const ms = milliseconds(batch, index, source, h, l)
    low[c] = ms === undefined ? l + source.constant : ms % TWO_32
    high[c] = ms === undefined ? h : Math.floor(ms / TWO_32)
  }
  return counters
}

/** Milliseconds since 1970 of a time that has another form; undefined: take it as it is. */
function milliseconds(
  batch: RecordBatch,
  index: number,
  {scale, boot}: ColumnSource,
  high: number,
  low: number,
): number | undefined {
  switch (scale) {
    case 'seconds':
      return low * 1000
    case 'ntp': {
      const seconds = high < NTP_1970 ? high - NTP_1970 + TWO_32 : high - NTP_1970
      return seconds * 1000 + Math.floor((low * 1000) / TWO_32)
    }
    case 'beforeExport':
      return Math.max(0, batch.message.exportTime * 1000 - Math.ceil(low / 1000))
    case 'sinceBoot': {
      const {start} = fieldSpan(batch, index, boot)
      return batch.view.getUint32(start) * TWO_32 + batch.view.getUint32(start + 4) + low
    }
    default:
      return undefined
  }
}

/** Puts a value in its place; false if its octets do not fit the type. */
function writeField(field: KeyField, span: Span, key: Uint8Array, sink: RowSink): boolean {
  const {octets, start, length} = span
  const {offset} = field
  const element = field.element!
  if (field.interned) {
    const id = sink.intern(octets.subarray(start, start + length))
    for (let i = 0; i < 4; i++) key[offset + i] = id >>> (24 - 8 * i)
    return true
  }
  const bits = field.part.bits?.[field.alternative]
  if (bits !== undefined) {
    if (length !== fullLength(element.type)) return false
    key.set(octets.subarray(start, start + field.length), offset)
    if (field.length > 0) key[offset + field.length - 1] &= lastMask(bits)
    return true
  }
  if (element.type === 'float64' && length === 4) {
    const value = new DataView(octets.buffer, octets.byteOffset + start).getFloat32(0)
    new DataView(key.buffer).setFloat64(offset, value)
    return true
  }
  const signed = element.type.startsWith('signed')
  const reducible = signed || element.type.startsWith('unsigned')
  if (length > field.length || length === 0 || (length < field.length && !reducible)) return false
  // Reduced-size encoding, RFC 7011 section 6.2.
  if (signed && octets[start] >= 128) key.fill(255, offset, offset + field.length - length)
  key.set(octets.subarray(start, start + length), offset + field.length - length)
  return true
}

function portAt(octets: Uint8Array, {start, length}: {start: number; length: number}): number {
  let value = 0
  for (let i = 0; i < length; i++) value = (value * 256 + octets[start + i]) % 65536
  return value
}
