import {ipdrMapping} from '../../formats/ipdr/fields.js'
import {readRecordFields, recordForm, type RecordForm} from '../../formats/ipdr/record-fields.js'
import {uuidText} from '../../formats/ipdr/types.js'
import {createFieldReader} from '../../formats/map/taker.js'
import type {ReceivedRecord} from '../../mediation/ipdr/collector.js'
import type {TemplateBlock} from '../../mediation/ipdr/message.js'
import type {Ledger, StageLedger} from '../../record/ledger.js'
import type {RecordValue} from '../../record/value.js'
import {ie} from '../../registry/lookup.js'

/** Makes fields of records of all IPDR exporters; the same name is the same element, whoever says it. */
export interface IpdrRecords {
  /**
   * The fields of a record. What cannot be read of it is kept as octets, and noted.
   *
   * @param offset octets that the exporter has sent before
   */
  fieldsOf(record: ReceivedRecord, offset: number): RecordValue
}

/** What records of a template consist of, and whether all of it has an element: there are not any number of them. */
interface KnownForm {
  readonly form: RecordForm
  readonly isNamed: boolean
}

/** @param account where is noted what cannot be read */
export function createIpdrRecords(ledger: Ledger, account: () => StageLedger): IpdrRecords {
  const mapping = ipdrMapping()
  const reader = createFieldReader(mapping, ledger, 'ipdr')
  const forms = new WeakMap<TemplateBlock, KnownForm>()
  const documents = new WeakMap<Uint8Array, string>()

  function formOf(template: TemplateBlock | undefined): KnownForm {
    if (template === undefined) return {form: [], isNamed: true}
    let known = forms.get(template)
    if (known === undefined) {
      const form = recordForm(template.fields)
      const isNamed = form.every(([name, {type}]) => mapping.of(name, type) !== undefined)
      forms.set(template, (known = {form, isNamed}))
    }
    return known
  }

  function nameOf(document: Uint8Array): string {
    let name = documents.get(document)
    if (name === undefined) {
      name = uuidText(document)
      documents.set(document, name)
    }
    return name
  }

  return {
    fieldsOf(record, offset) {
      const {template, session, sequence, document} = record
      const {form, isNamed} = formOf(template)
      const {fields, rest: unread} = readRecordFields(form, record.octets)
      // What gets no element is still there.
      const rest = isNamed ? unread : record.octets
      const read: (typeof fields)[number][] =
        template === undefined ? [] : [['type', template.typeName, 'string'], ...fields]
      if (rest.length > 0) {
        const reason = !isNamed ? 'too-many-names' : 'unread-octets'
        account().note(template === undefined ? 'no-template' : reason, 1, offset)
      }
      return [
        [ie.dartaIpdrDocument, nameOf(document)],
        [ie.dartaIpdrSession, session],
        [
          ie.dartaIpdrSequenceNumber,
          sequence <= Number.MAX_SAFE_INTEGER ? Number(sequence) : sequence,
        ],
        ...(template === undefined || template.schema === ''
          ? []
          : ([[ie.dartaIpdrSchema, template.schema]] as const)),
        ...reader.readTyped(read, offset),
        ...(rest.length === 0
          ? []
          : ([
              [ie.dartaIpdrTemplateId, record.templateId],
              [ie.dartaIpdrConfigurationId, record.configId],
              [ie.dartaIpdrRecord, rest.slice()],
            ] as const)),
      ]
    },
  }
}
