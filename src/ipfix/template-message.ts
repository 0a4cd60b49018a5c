import {
  MESSAGE_HEADER_OCTETS,
  OPTIONS_TEMPLATE_SET_ID,
  sealMessage,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
  type MessageHeader,
} from './message.js'
import {templateRecordOctets, writeTemplateRecord} from './template-record.js'
import type {Template} from '../record/template.js'

/**
 * A Message that announces `templates` under their own IDs: a Template Set, then an Options Template Set, as
 * there are such. RFC 7011 section 3.4.
 *
 * @throws DartaError DARTA_MESSAGE_LENGTH if they do not fit one Message
 */
export function templateMessage(
  templates: readonly Template[],
  header: Omit<MessageHeader, 'length'>,
): Uint8Array {
  const sets = [
    templates.filter(({scopeCount}) => scopeCount === 0),
    templates.filter(({scopeCount}) => scopeCount > 0),
  ]
  let size = MESSAGE_HEADER_OCTETS
  for (const set of sets) {
    if (set.length > 0) size += SET_HEADER_OCTETS
    for (const template of set) size += templateRecordOctets(template)
  }
  const octets = new Uint8Array(size)
  const view = new DataView(octets.buffer)
  sealMessage(octets, header)
  let at = MESSAGE_HEADER_OCTETS
  for (const [i, set] of sets.entries()) {
    if (set.length === 0) continue
    const start = at
    at += SET_HEADER_OCTETS
    for (const template of set) at = writeTemplateRecord(view, at, template)
    view.setUint16(start, i === 0 ? TEMPLATE_SET_ID : OPTIONS_TEMPLATE_SET_ID)
    view.setUint16(start + 2, at - start)
  }
  return octets
}
