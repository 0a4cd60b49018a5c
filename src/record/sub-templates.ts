import {fullLength, type InformationElement} from './element.js'
import {DartaError} from './errors.js'
import {createTemplate, type FieldSpecifier, type Template} from './template.js'
import type {TemplateLookup} from './batch.js'
import type {RecordValue} from './value.js'

/**
 * The Templates that records inside lists are encoded by. IDs are from 256 on in the order of first use and mean
 * something only together with the batches they were made for: an encoder gives them its own.
 */
export interface SubTemplates {
  /** The Template with these elements at their full, or variable, length. @throws DartaError DARTA_TEMPLATE_LIMIT */
  ofRecord(record: RecordValue): Template
  /** An ID for an empty list that names a Template nobody has described; it is no other Template's. */
  ofNothing(templateId: number): number
  /** The Templates so far; never changes afterwards. */
  snapshot(): TemplateLookup
}

export function createSubTemplates(): SubTemplates {
  const byLayout = new Map<string, Template>()
  const undescribed = new Map<number, number>()
  let nextId = 256
  let snapshot: Map<number, Template> | undefined

  function take(): number {
    if (nextId > 65535) {
      throw new DartaError('DARTA_TEMPLATE_LIMIT', 'lists name more than 65280 Templates')
    }
    return nextId++
  }
  return {
    ofRecord(record) {
      let layout = ''
      for (const [element] of record) layout += `${element.enterpriseNumber}/${element.elementId},`
      let template = byLayout.get(layout)
      if (template === undefined) {
        template = createTemplate(take(), record.map(specifier))
        byLayout.set(layout, template)
        snapshot = undefined
      }
      return template
    },
    ofNothing(templateId) {
      let id = undescribed.get(templateId)
      if (id === undefined) {
        id = take()
        undescribed.set(templateId, id)
      }
      return id
    },
    snapshot() {
      snapshot ??= new Map([...byLayout.values()].map((template) => [template.id, template]))
      return snapshot
    },
  }
}

function specifier([element]: readonly [InformationElement, unknown]): FieldSpecifier {
  return {element, length: fullLength(element.type)}
}
