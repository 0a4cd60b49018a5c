import type {FieldValue} from '../../record/field-records.js'
import {ie} from '../../registry/lookup.js'
import {subIdentifiersBelow} from '../../record/object-identifier.js'
import {mibObject, valueField, type SnmpBinding} from './value.js'

/** An object that is asked for: a table or the entry of one, or a single object or column. */
export interface AskedObject {
  readonly kind: 'table' | 'object'
  /** `1.3.6.1.2.1.4.31.3` */
  readonly oid: string
}

/** Records of what a walk has given. */
export interface WalkedRows {
  readonly records: readonly (readonly FieldValue[])[]
  /** Of single objects, which may share a record with others. */
  readonly single: readonly SnmpBinding[]
  /** Instances that lie in no row of a table. */
  readonly astray: number
}

/**
 * A record for each row. What the INDEX clause of the table says is not known here: each of its sub-identifiers is a field
 * (mibSubIdentifier), to which all columns are indexed (RFC 8038 section 5.8.5).
 *
 * @param timeMs milliseconds since 1970
 */
export function rowsOf(
  {kind, oid}: AskedObject,
  bindings: readonly SnmpBinding[],
  timeMs: number,
): WalkedRows {
  const rows = new Map<string, {index: readonly number[]; cells: [string, SnmpBinding][]}>()
  const single: SnmpBinding[] = []
  let astray = 0
  const placed = bindings.map((binding) => subIdentifiersBelow(binding.oid, oid) ?? [])
  const depth = kind === 'table' ? columnDepth(placed) : 0
  for (const [i, binding] of bindings.entries()) {
    const below = placed[i]
    if (kind === 'object' && below.length === 1 && below[0] === 0) {
      single.push(binding)
      continue
    }
    const index = below.slice(depth)
    if (index.length === 0) {
      astray++
      continue
    }
    const key = index.join('.')
    let row = rows.get(key)
    if (row === undefined) rows.set(key, (row = {index, cells: []}))
    row.cells.push([[oid, ...below.slice(0, depth)].join('.'), binding])
  }
  const records = [...rows.values()].map(({index, cells}) => {
    const fields: FieldValue[] = [[ie.observationTimeMilliseconds, timeMs]]
    for (const number of index) fields.push([ie.mibSubIdentifier, number])
    for (const [column, {value}] of cells) {
      const distances = index.map((_, i) => fields.length - 1 - i)
      fields.push(valueField(value, mibObject(column, distances)))
    }
    return fields
  })
  return {records, single, astray}
}

/** The record of objects that are no columns. */
export function singleRecord(bindings: readonly SnmpBinding[], timeMs: number): FieldValue[] {
  return [
    [ie.observationTimeMilliseconds, timeMs],
    ...bindings.map(({oid, value}) => valueField(value, mibObject(oid.replace(/\.0$/, '')))),
  ]
}

/**
 * How many sub-identifiers below its object identifier name a column. A table has one entry, which is its 1, and that has the
 * columns (RFC 2578 section 7.1.12); below an entry itself there are the columns.
 */
function columnDepth(all: readonly (readonly number[])[]): number {
  return all.every(({length, 0: first}) => first === 1 && length >= 3) ? 2 : 1
}
