import {hexText} from '../../record/value.js'
import {createXdrReader, XdrFault} from '../../record/xdr-reader.js'
import type {RequestIdentity} from '../recent-requests.js'
import type {ReceivedRecord} from './collector.js'
import {readTemplate} from './message.js'

const HEAD_OCTETS = 30

/**
 * A record with all that is needed to read it again.
 *
 *     0          16        17         25            27         29             30
 *     document | session | sequence | template id | config id | has template | template, record
 */
export function storedRecord(record: ReceivedRecord): Uint8Array {
  const {template, octets} = record
  const size = template?.octets.length ?? 0
  const all = new Uint8Array(HEAD_OCTETS + size + octets.length)
  const view = new DataView(all.buffer)
  all.set(record.document)
  view.setUint8(16, record.session)
  view.setBigUint64(17, record.sequence)
  view.setUint16(25, record.templateId)
  view.setUint16(27, record.configId)
  view.setUint8(29, template === undefined ? 0 : 1)
  if (template !== undefined) all.set(template.octets, HEAD_OCTETS)
  all.set(octets, HEAD_OCTETS + size)
  return all
}

/** The record of such octets; undefined: they are none. */
export function readStoredRecord(octets: Uint8Array): ReceivedRecord | undefined {
  const reader = createXdrReader(octets)
  try {
    const document = reader.octets(16)
    const session = reader.unsigned8()
    const sequence = reader.unsigned64()
    const templateId = reader.unsigned16()
    const configId = reader.unsigned16()
    const template = reader.unsigned8() === 0 ? undefined : readTemplate(reader, octets)
    return {
      document,
      session,
      sequence,
      templateId,
      configId,
      template,
      isDuplicate: false,
      octets: octets.subarray(reader.at),
    }
  } catch (error) {
    if (error instanceof XdrFault) return undefined
    throw error
  }
}

/**
 * Records are numbered in their document. One that says that it may have been sent before is another's repetition by its number
 * alone; any other one only if it also says the same, for there are exporters that never change the document's name.
 */
export function identityOf(record: ReceivedRecord, exporter: string): RequestIdentity {
  const {document, session, sequence, octets} = record
  const name = nameOf(document) ?? exporter
  const key = `${name} ${session} ${sequence}`
  return record.isDuplicate ? {key} : {key, exact: String(hashOf(octets))}
}

/** By its octets, which all records of a session share. */
const names = new WeakMap<Uint8Array, string | null>()

/** A document's name; undefined: it has none. */
function nameOf(document: Uint8Array): string | undefined {
  let name = names.get(document)
  if (name === undefined) {
    name = document.every((octet) => octet === 0) ? null : hexText(document)
    names.set(document, name)
  }
  return name ?? undefined
}

/** FNV-1a of 32 bits. */
function hashOf(octets: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < octets.length; i++) hash = Math.imul(hash ^ octets[i], 0x01000193)
  return hash
}
