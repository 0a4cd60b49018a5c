import type {RecordBatch} from '../record/batch.js'
import {createTemplate, type MibObject} from '../record/template.js'
import {replaceTemplate} from './learn-elements.js'
import {carriesMibObject, type MibFieldReader} from './mib-fields.js'
import type {SessionState} from './session-state.js'
import {templateOf, type Domain} from './template-store.js'

/**
 * Takes in which SNMP objects the fields of a Template have the values of; it is kept with the Template, for as long as that
 * is (RFC 8038 section 8). What is said of no such field is noted.
 */
export function learnMibFields(
  s: SessionState,
  domain: Domain,
  batch: RecordBatch,
  read: MibFieldReader,
): void {
  const {records, work} = s.process
  const objects = new Map<number, Map<number, MibObject>>()
  for (let i = 0; i < batch.count; i++) {
    const said = read(batch, i)
    const field = said && templateOf(domain, said.templateId)?.reading.template.fields[said.field]
    if (said === undefined || field === undefined || !carriesMibObject(field)) {
      records.note('mib-field-ignored', 1, batch.message.offset)
      continue
    }
    const {templateId} = said
    let ofTemplate = objects.get(templateId)
    if (ofTemplate === undefined)
      objects.set(templateId, (ofTemplate = new Map<number, MibObject>()))
    ofTemplate.set(said.field, said.object)
  }
  for (const [id, ofTemplate] of objects) {
    const stored = templateOf(domain, id)!
    const old = stored.reading.template
    const specifiers = old.fields.map((field, i) => {
      const mib = ofTemplate.get(i)
      return mib === undefined ? field : {...field, mib}
    })
    const template = createTemplate(old.id, specifiers, old.scopeCount)
    // Said again as it was.
    if (template.layout === old.layout) continue
    replaceTemplate(stored, template)
    work.undo.push(() => replaceTemplate(stored, old))
  }
}
