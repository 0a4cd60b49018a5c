import {recordEnd, recordStart, type RecordBatch} from '../record/batch.js'
import {REVERSE_PEN, VARIABLE, type InformationElement} from '../record/element.js'
import {createTemplate, type Template} from '../record/template.js'
import {toNtp} from '../record/value.js'
import {elementByNumber} from '../registry/lookup.js'

/** flowStartDeltaMicroseconds and flowEndDeltaMicroseconds count back from the export time; these do not. */
const absolute = new Map([
  [158, 154],
  [159, 155],
])

function replacement(element: InformationElement, length: number): InformationElement | undefined {
  const {enterpriseNumber: pen, elementId} = element
  if ((pen !== 0 && pen !== REVERSE_PEN) || length === VARIABLE || length > 6) return undefined
  const id = absolute.get(elementId)
  return id === undefined ? undefined : elementByNumber(pen, id)
}

interface Change {
  readonly template: Template
  /** Of each field of the old Template, whether it is replaced. */
  readonly fields: readonly boolean[]
}

/**
 * Makes times that count back from a Message's export time, in microseconds, into such as stand by themselves
 * (flowStartMicroseconds, flowEndMicroseconds): records that go on in another Message have another export time. RFC 7011
 * section 3.1. Other batches pass as they are.
 */
export function createAbsoluteTimes(): (batch: RecordBatch) => RecordBatch {
  const changes = new WeakMap<Template, Change | false>()

  function changeOf(template: Template): Change | false {
    let change = changes.get(template)
    if (change !== undefined) return change
    const replaced = template.fields.map(({element, length}) => replacement(element, length))
    change = replaced.some((element) => element !== undefined) && {
      fields: replaced.map((element) => element !== undefined),
      template: createTemplate(
        template.id,
        template.fields.map(({element, length}, i) => {
          const other = replaced[i]
          return other === undefined ? {element, length} : {element: other, length: 8}
        }),
        template.scopeCount,
      ),
    }
    changes.set(template, change)
    return change
  }

  return (batch) => {
    const change = changeOf(batch.template)
    if (change === false) return batch
    const {octets, template, count} = batch
    const added = 8 * change.fields.filter(Boolean).length
    const span = count === 0 ? 0 : recordEnd(batch, count - 1) - recordStart(batch, 0)
    const out = new Uint8Array(span + count * added)
    const view = new DataView(out.buffer)
    const offsets = new Uint32Array(count + 1)
    const exported = BigInt(batch.message.exportTime) * 1_000_000n
    let to = 0
    for (let i = 0; i < count; i++) {
      offsets[i] = to
      let at = recordStart(batch, i)
      for (const [field, {length}] of template.fields.entries()) {
        let size = length
        if (size === VARIABLE) {
          size = 1 + octets[at]
          if (size === 256) size = 3 + ((octets[at + 1] << 8) | octets[at + 2])
        }
        if (change.fields[field]) {
          let back = 0
          for (let k = 0; k < size; k++) back = back * 256 + octets[at + k]
          const [seconds, fraction] = toNtp(exported - BigInt(back), 1_000_000n)
          view.setUint32(to, seconds)
          view.setUint32(to + 4, fraction)
          to += 8
        } else {
          out.set(octets.subarray(at, at + size), to)
          to += size
        }
        at += size
      }
    }
    offsets[count] = to
    return {
      ...batch,
      template: change.template,
      octets: out.subarray(0, to),
      view,
      start: 0,
      offsets: change.template.recordOctets === 0 ? offsets : undefined,
    }
  }
}
