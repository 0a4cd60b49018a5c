import {fieldSpan, recordEnd, recordStart, type RecordBatch} from '../../record/batch.js'
import type {InformationElement} from '../../record/element.js'
import {compareOctets} from '../../record/octets.js'
import type {Template} from '../../record/template.js'

/** What makes a record the same as another. */
export interface Identity {
  /** Below 0: the first comes before the second in an order of no meaning; 0: they are the same. */
  compare(a: RecordBatch, i: number, b: RecordBatch, j: number): number
  /** The same for records that are the same, and for no others. */
  nameOf(batch: RecordBatch, index: number): string
}

interface Compared {
  /** The fields that count and how they are encoded. */
  readonly layout: string
  /** Undefined: all. */
  readonly fields: readonly number[] | undefined
}

/** Records are the same if they have the same fields with the same octets, but for the elements that are ignored. */
export function createIdentity(ignored: readonly InformationElement[]): Identity {
  const known = new WeakMap<Template, Compared>()
  const isIgnored = (element: InformationElement): boolean =>
    ignored.some(
      (other) =>
        other.elementId === element.elementId &&
        other.enterpriseNumber === element.enterpriseNumber,
    )
  function comparedOf(template: Template): Compared {
    let compared = known.get(template)
    if (compared === undefined) {
      const fields = template.fields.flatMap(({element}, i) => (isIgnored(element) ? [] : [i]))
      const whole = fields.length === template.fields.length
      const layout = fields
        .map((i) => {
          const {element, length} = template.fields[i]
          return `${element.enterpriseNumber}/${element.elementId}:${length}`
        })
        .join()
      compared = {layout, fields: whole ? undefined : fields}
      known.set(template, compared)
    }
    return compared
  }
  return {
    nameOf(batch, index) {
      const {layout, fields} = comparedOf(batch.template)
      if (fields === undefined) {
        return `${layout};${latin1(batch.octets, recordStart(batch, index), recordEnd(batch, index))}`
      }
      let name = layout
      for (const field of fields) {
        const {start, length} = fieldSpan(batch, index, field)
        name += `;${length}:${latin1(batch.octets, start, start + length)}`
      }
      return name
    },
    compare(a, i, b, j) {
      const [first, second] = [comparedOf(a.template), comparedOf(b.template)]
      if (first.layout !== second.layout) return first.layout < second.layout ? -1 : 1
      if (first.fields === undefined && second.fields === undefined) {
        const [from, to] = [recordStart(a, i), recordStart(b, j)]
        return compareOctets(
          a.octets,
          from,
          recordEnd(a, i) - from,
          b.octets,
          to,
          recordEnd(b, j) - to,
        )
      }
      const [ours, theirs] = [fieldsOf(a, first), fieldsOf(b, second)]
      for (let f = 0; f < ours.length; f++) {
        const x = fieldSpan(a, i, ours[f])
        const y = fieldSpan(b, j, theirs[f])
        const order = compareOctets(a.octets, x.start, x.length, b.octets, y.start, y.length)
        if (order !== 0) return order
      }
      return 0
    },
  }
}

function latin1(octets: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let at = from; at < to; at++) text += String.fromCharCode(octets[at])
  return text
}

function fieldsOf({template}: RecordBatch, {fields}: Compared): readonly number[] {
  return fields ?? template.fields.map((_field, i) => i)
}
