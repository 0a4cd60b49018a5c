import {createXdrReader, XdrFault} from '../../record/xdr-reader.js'
import {MOST_RECORD_FIELDS, type TypedField} from '../map/taker.js'
import {localName} from './fields.js'
import {ipdrType, readField, type IpdrType} from './types.js'

/** A field as a template of IPDR/SP describes it. */
interface DescribedField {
  readonly name: string
  readonly typeId: number
  readonly isEnabled: boolean
}

/**
 * What records of a template consist of, as far as it can be read: behind a type that nobody knows nothing can, and a record
 * holds some hundred fields.
 */
export type RecordForm = readonly (readonly [name: string, type: IpdrType])[]

export function recordForm(fields: readonly DescribedField[]): RecordForm {
  const form: [string, IpdrType][] = []
  for (const {name, typeId, isEnabled} of fields) {
    if (!isEnabled) continue
    const type = ipdrType(typeId)
    // One more says of which type the record is.
    if (type === undefined || form.length === MOST_RECORD_FIELDS - 1) break
    form.push([localName(name), type])
  }
  return form
}

/** The fields of a record, and the octets behind the last one that can be read. */
export function readRecordFields(
  form: RecordForm,
  octets: Uint8Array,
): {fields: TypedField[]; rest: Uint8Array} {
  const reader = createXdrReader(octets)
  const fields: TypedField[] = []
  let {at} = reader
  try {
    for (const [name, type] of form) {
      fields.push(readField(reader, name, type))
      ;({at} = reader)
    }
  } catch (error) {
    if (!(error instanceof XdrFault)) throw error
  }
  return {fields, rest: octets.subarray(at)}
}
