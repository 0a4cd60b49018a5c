import type {MessageContext, RecordBatch} from './batch.js'
import {fullLength, type InformationElement} from './element.js'
import {createRecordBuilder, type RecordBuilder} from './record-writer.js'
import {createTemplate, type FieldSpecifier, type MibObject} from './template.js'
import type {Value} from './value.js'

/** Forms of records that are kept at once: which fields are there is up to who sends. */
const MAX_FORMS = 1024

/** Until `take` says which Message they are of. */
const unknown = {exportTime: 0, sequenceNumber: 0, observationDomainId: 0, offset: 0}

/** One field of a record, and the SNMP object that it has the value of, if it is of one. */
export type FieldValue =
  readonly [InformationElement, Value] | readonly [InformationElement, Value, MibObject | undefined]

/** Makes batches of records of which each has its own fields. */
export interface FieldRecords {
  /**
   * Adds a record with exactly these fields, each in the full length of its type.
   *
   * @throws DartaError DARTA_VALUE, DARTA_RANGE; then nothing was added
   */
  add(fields: readonly FieldValue[]): void
  /** The records since the last `take`, in runs of one form, in their order. */
  take(message: MessageContext): RecordBatch[]
}

/** Records of protocols in which each record says itself which fields it has. */
export function createFieldRecords(): FieldRecords {
  const builders = new Map<string, RecordBuilder>()
  /** The one that holds the newest records. */
  let last: RecordBuilder | undefined
  const done: RecordBatch[] = []

  function builderOf(fields: readonly FieldValue[]): RecordBuilder {
    let key = ''
    for (const [{enterpriseNumber, elementId}, , mib] of fields) {
      key += `${enterpriseNumber}/${elementId}`
      key += mib === undefined ? ',' : `=${mib.identifier.join('.')}[${mib.index.join()}],`
    }
    const known = builders.get(key)
    if (known !== undefined) return known
    if (builders.size >= MAX_FORMS) builders.delete(builders.keys().next().value as string)
    const specifiers = fields.map(([element, , mib]): FieldSpecifier => {
      const specifier = specifierOf(element)
      return mib === undefined ? specifier : {...specifier, mib}
    })
    const made = createRecordBuilder(createTemplate(256, specifiers))
    builders.set(key, made)
    return made
  }

  /** What the last builder holds becomes a run of its own. */
  function close(): void {
    const batch = last?.take(unknown)
    if (batch !== undefined) done.push(batch)
    last = undefined
  }

  return {
    add(fields) {
      const builder = builderOf(fields)
      if (last !== builder) close()
      last = builder
      builder.add(fields.map(([, value]) => value))
    },
    take(message) {
      close()
      return done.splice(0).map((batch) => ({...batch, message}))
    },
  }
}

/** A field of an element in its full length. */
export function specifierOf(element: InformationElement): FieldSpecifier {
  return {element, length: fullLength(element.type)}
}
