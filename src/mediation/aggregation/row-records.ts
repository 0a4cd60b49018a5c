import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {fullLength, type InformationElement} from '../../record/element.js'
import {padKey} from '../../record/group-kernel.js'
import type {Interned} from '../../record/group-row.js'
import type {KeyField, KeyShape} from '../../record/group-spec.js'
import {isUnsigned} from '../../record/group-view.js'
import {createTemplate, type FieldSpecifier, type Template} from '../../record/template.js'
import {ie} from '../../registry/elements.js'
import type {FlowKey} from '../../registry/flow-keys.js'
import {intervalStart} from './derived.js'

/** What a column of a group becomes in a record. */
export type ResultColumn =
  | {
      readonly kind: 'column'
      readonly element: InformationElement
      readonly column: number
      /** Left out where no record had a value: a minimum that is still the greatest number, a maximum of 0. */
      readonly absent?: 'most' | 'zero'
    }
  | {
      readonly kind: 'mean'
      readonly element: InformationElement
      readonly sum: number
      readonly count: number
    }

export interface RowRecordOptions {
  readonly columns: readonly ResultColumn[]
  readonly interned: Interned
  /** Where there are intervals. */
  readonly intervalMs: number | undefined
  readonly message: MessageContext
}

/** Turns rows of group tables into records, octets into octets. */
export interface RowRecords {
  /** Batches of the rows, in their order. */
  batches(shape: KeyShape, rows: Uint8Array, rowOctets: number): RecordBatch[]
}

type Write = (rows: Uint8Array, view: DataView, row: number) => void

interface Plan {
  readonly template: Template
  /** Octets of a record at most. */
  readonly room: (rows: Uint8Array, row: number) => number
  readonly write: readonly Write[]
}

/** Template IDs of results; an encoder gives them its own. */
const FIRST_ID = 300

export function createRowRecords(options: RowRecordOptions): RowRecords {
  const {columns, interned, intervalMs, message} = options
  const plans = new Map<string, Plan>()
  const optional = columns.flatMap((column, i) =>
    column.kind === 'mean' || column.absent !== undefined ? [i] : [],
  )
  let octets = new Uint8Array(0)
  let view = new DataView(octets.buffer)
  let at = 0

  /** Which columns a row has no value in, a bit each. */
  function lacking(rows: DataView, base: number): number {
    let bits = 0
    for (const [bit, i] of optional.entries()) {
      const column = columns[i]
      const place = base + 8 * (column.kind === 'mean' ? column.count : column.column)
      const low = rows.getUint32(place, true)
      const high = rows.getUint32(place + 4, true)
      const most = column.kind === 'column' && column.absent === 'most'
      const lacks = most ? low === 0xffffffff && high === 0xffffffff : low === 0 && high === 0
      if (lacks) bits |= 1 << bit
    }
    return bits
  }

  function planOf(shape: KeyShape, lacks: number): Plan {
    const key = `${shape.signature}|${lacks}`
    let plan = plans.get(key)
    if (plan === undefined) {
      plan = makePlan(shape, lacks)
      plans.set(key, plan)
    }
    return plan
  }

  function makePlan(shape: KeyShape, lacks: number): Plan {
    const specifiers: FieldSpecifier[] = []
    const write: Write[] = []
    const variable: number[] = []
    for (const field of shape.fields) {
      if (field.element !== undefined) keyField(field, specifiers, write, variable)
    }
    const base = padKey(shape.octets)
    for (const [i, column] of columns.entries()) {
      const bit = optional.indexOf(i)
      if (bit >= 0 && (lacks >> bit) & 1) continue
      specifiers.push({element: column.element, length: 8})
      if (column.kind === 'mean') {
        const sum = base + 8 * column.sum
        const count = base + 8 * column.count
        write.push((_, from, row) => {
          view.setFloat64(at, number(from, row + sum) / number(from, row + count))
          at += 8
        })
      } else {
        const place = base + 8 * column.column
        write.push((_, from, row) => {
          view.setUint32(at, from.getUint32(row + place + 4, true))
          view.setUint32(at + 4, from.getUint32(row + place, true))
          at += 8
        })
      }
    }
    const template = createTemplate(FIRST_ID + plans.size, specifiers)
    const least = template.minimumOctets
    return {
      template,
      write,
      room: (rows, row) => {
        let size = least
        for (const place of variable) size += 3 + valueAt(rows, row + place).length
        return size
      },
    }
  }

  function valueAt(rows: Uint8Array, place: number): Uint8Array {
    const numbered =
      ((rows[place] << 24) | (rows[place + 1] << 16) | (rows[place + 2] << 8) | rows[place + 3]) >>>
      0
    return interned.valueOf(numbered)
  }

  function keyField(
    field: KeyField,
    specifiers: FieldSpecifier[],
    write: Write[],
    variable: number[],
  ): void {
    const {part, alternative, offset, length} = field
    if (part.elements[0] === intervalStart) {
      specifiers.push({element: ie.flowStartMilliseconds, length: 8})
      specifiers.push({element: ie.flowEndMilliseconds, length: 8})
      write.push((rows, from, row) => {
        octets.set(rows.subarray(row + offset, row + offset + 8), at)
        view.setBigUint64(at + 8, from.getBigUint64(row + offset) + BigInt(intervalMs!))
        at += 16
      })
      return
    }
    const {value, prefixLength} = (part as FlowKey).results[alternative]
    const full = fullLength(value.type)
    specifiers.push({element: value, length: full})
    if (field.interned) {
      variable.push(offset)
      write.push((rows, _, row) => {
        const octetsOf = valueAt(rows, row + offset)
        const n = octetsOf.length
        if (n < 255) octets[at++] = n
        else {
          octets[at] = 255
          view.setUint16(at + 1, n)
          at += 3
        }
        octets.set(octetsOf, at)
        at += n
      })
    } else {
      // A number stands at the end of its field; a prefix at the beginning, with zeros behind.
      const shift = isUnsigned(value) ? Math.max(0, full - length) : 0
      const skip = isUnsigned(value) ? Math.max(0, length - full) : 0
      const n = Math.min(full, length)
      write.push((rows, _, row) => {
        const from = row + offset + skip
        for (let i = 0; i < n; i++) octets[at + shift + i] = rows[from + i]
        at += full
      })
    }
    if (prefixLength !== undefined) {
      specifiers.push({element: prefixLength, length: 1})
      const bits = part.bits![alternative]
      write.push(() => {
        octets[at++] = bits
      })
    }
  }

  function batches(shape: KeyShape, rows: Uint8Array, rowOctets: number): RecordBatch[] {
    const from = new DataView(rows.buffer, rows.byteOffset, rows.byteLength)
    const base = padKey(shape.octets)
    const out: RecordBatch[] = []
    for (let row = 0; row < rows.length;) {
      const lacks = lacking(from, row + base)
      const plan = planOf(shape, lacks)
      let end = row
      let size = 0
      // Rows that lack the same go together.
      while (end < rows.length && lacking(from, end + base) === lacks) {
        size += plan.room(rows, end)
        end += rowOctets
      }
      octets = new Uint8Array(size)
      view = new DataView(octets.buffer)
      at = 0
      const offsets: number[] = []
      for (; row < end; row += rowOctets) {
        offsets.push(at)
        for (const write of plan.write) write(rows, from, row)
      }
      offsets.push(at)
      out.push({
        template: plan.template,
        octets,
        view,
        start: 0,
        count: offsets.length - 1,
        offsets: plan.template.recordOctets > 0 ? undefined : Uint32Array.from(offsets),
        message,
      })
    }
    return out
  }

  return {batches}
}

function number(view: DataView, place: number): number {
  return view.getUint32(place + 4, true) * 4294967296 + view.getUint32(place, true)
}
