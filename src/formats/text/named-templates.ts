import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {namesTemplate} from '../../ipfix/list-templates.js'
import type {Template} from '../../record/template.js'

/** Names that are remembered. Beyond, all are forgotten: what a stream says decides their number. */
const MOST = 65536

/** Which Templates options records have named by their ID (templateId, element 145), in each Observation Domain. */
export interface NamedTemplates {
  /** Takes in a batch whose records may name Templates. */
  note(batch: RecordBatch): void
  has(batch: RecordBatch): boolean
}

export function createNamedTemplates(): NamedTemplates {
  const named = new Set<number>()
  const naming = new WeakMap<Template, readonly number[]>()
  const key = (domainId: number, id: number): number => domainId * 65536 + id

  function namingFields(template: Template): readonly number[] {
    let fields = naming.get(template)
    if (fields === undefined) {
      fields = template.fields.flatMap(({element, length}, i) =>
        namesTemplate(element) && length === 2 ? [i] : [],
      )
      naming.set(template, fields)
    }
    return fields
  }

  return {
    note(batch) {
      const fields = namingFields(batch.template)
      if (fields.length === 0) return
      const {octets, message} = batch
      for (let i = 0; i < batch.count; i++) {
        for (const field of fields) {
          const {start} = fieldSpan(batch, i, field)
          if (named.size >= MOST) named.clear()
          named.add(key(message.observationDomainId, (octets[start] << 8) | octets[start + 1]))
        }
      }
    },
    has: ({message, template}) =>
      named.size > 0 && named.has(key(message.observationDomainId, template.id)),
  }
}
