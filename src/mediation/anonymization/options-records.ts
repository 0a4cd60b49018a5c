import type {MessageContext, RecordBatch} from '../../record/batch.js'
import {createRecordBuilder} from '../../record/record-writer.js'
import {createTemplate, type Template} from '../../record/template.js'
import {ie} from '../../registry/elements.js'
import type {Method, Policy} from './policy.js'

/** Values of anonymizationTechnique. RFC 6235 section 6.2.3. */
const techniques: Readonly<Record<Method['kind'], number>> = {
  keep: 1,
  black: 2,
  truncate: 2,
  precision: 2,
  bin: 3,
  'crypto-pan': 6,
  'mask-text': 2,
  shift: 9,
}

/** Stability class of anonymizationFlags: the same value becomes the same wherever the same key and policy are used. */
const STABLE = 3

const template = createTemplate(
  258,
  [
    {element: ie.templateId, length: 2},
    {element: ie.informationElementId, length: 2},
    {element: ie.privateEnterpriseNumber, length: 4},
    {element: ie.informationElementIndex, length: 2},
    {element: ie.anonymizationTechnique, length: 2},
    {element: ie.anonymizationFlags, length: 2},
  ],
  4,
)

/** Whether nothing is told about records of this Template: those of Options Templates are not of traffic. */
export function namesNothing({scopeCount}: Template): boolean {
  return scopeCount > 0
}

/** What was done to each field of a Template that does not stay as it was. RFC 6235 section 6.1. */
export function optionsRecords(
  of: Template,
  policy: Policy,
  message: MessageContext,
): RecordBatch[] {
  const builder = createRecordBuilder(template)
  for (const [index, {element}] of of.fields.entries()) {
    const {kind} = policy(element)
    if (kind === 'keep') continue
    const enterprise = element.enterpriseNumber > 0 ? 0x8000 : 0
    builder.add([
      of.id,
      element.elementId | enterprise,
      element.enterpriseNumber,
      index,
      techniques[kind],
      STABLE,
    ])
  }
  const batch = builder.take(message)
  // The encoder's own number of the Template takes the place of ours.
  return batch === undefined ? [] : [{...batch, templates: new Map([[of.id, of]])}]
}
