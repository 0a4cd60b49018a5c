import {createTemplate, type Template} from '../record/template.js'
import {createSessionElements} from '../registry/lookup.js'
import type {SessionState} from './session-state.js'
import {templatesChanged, templatesOf, type StoredTemplate} from './template-store.js'
import type {TypeRecordReader} from './type-records.js'
import type {RecordBatch} from '../record/batch.js'

/**
 * Takes in the elements that type records describe; Templates that have them are made anew. RFC 5610 section 3. What is
 * not usable or known otherwise is noted.
 */
export function learnElements(s: SessionState, batch: RecordBatch, types: TypeRecordReader): void {
  const {records, work} = s.process
  if (s.elements === s.process.elements) s.elements = createSessionElements()
  const {elements} = s
  // Those that were not read yet are read as what they were when they came, so that it can be undone.
  for (const domain of s.domains.values()) for (const stored of templatesOf(domain)) void stored
  let learned = false
  for (let i = 0; i < batch.count; i++) {
    const element = types(batch, i)
    const known =
      element !== undefined &&
      elements.get(element.enterpriseNumber, element.elementId).status !== 'unknown'
    if (element === undefined || !elements.learn(element)) {
      records.note('type-record-ignored', 1, batch.message.offset)
    } else if (!known) {
      learned = true
      work.undo.push(() => elements.forget(element))
    }
  }
  if (!learned) return
  for (const domain of s.domains.values()) {
    for (const stored of templatesOf(domain)) if (stored.reading.unknowns) describe(s, stored)
  }
}

function describe(s: SessionState, stored: StoredTemplate): void {
  const old = stored.reading.template
  const specifiers = old.fields.map((field) => ({
    ...field,
    element: s.elements.get(field.element.enterpriseNumber, field.element.elementId),
  }))
  if (specifiers.every(({element}, i) => element.status === old.fields[i].element.status)) return
  replaceTemplate(stored, createTemplate(old.id, specifiers, old.scopeCount))
  s.process.work.undo.push(() => replaceTemplate(stored, old))
}

/** What is known of a Template has changed; its records are encoded as before. */
export function replaceTemplate(stored: StoredTemplate, template: Template): void {
  const {reading} = stored
  reading.template = template
  reading.unknowns = template.fields.some(({element}) => element.status === 'unknown')
  templatesChanged(stored.domain)
}
