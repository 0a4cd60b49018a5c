import {OPTIONS_TEMPLATE_SET_ID, TEMPLATE_SET_ID} from './message.js'
import {
  countMisfits,
  measureTemplateRecord,
  type TemplateFault,
  type TemplateRecord,
} from './template-record.js'
import {
  domainOf,
  putTemplate,
  removeTemplate,
  StoredTemplate,
  type Domain,
} from './template-store.js'
import {forgetWithdrawn, noteWithdrawn} from './withdrawn.js'
import type {KnownTemplate} from './session.js'
import type {SessionState} from './session-state.js'
import type {MessageContext} from '../record/batch.js'

/**
 * Reads a Template Set or Options Template Set whose body is from `at` to `end`. RFC 7011 sections 3.4 and 8.
 *
 * @returns false if the Set is malformed
 */
export function readTemplateSet(
  s: SessionState,
  octets: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  isOptions: boolean,
  domain: Domain,
  message: MessageContext,
): boolean {
  while (end - at >= 4) {
    // Padding: no Template has ID 0.
    if (view.getUint16(at) === 0) break
    const record = measureTemplateRecord(view, at, end, isOptions)
    if (record.fault === 'cut') return false
    if (record.fieldCount === 0) withdraw(s, domain, record.id, isOptions, message)
    else if (record.fault !== undefined) refuse(s, domain, record.id, record.fault, message)
    else define(s, domain, record, octets.subarray(at, record.end), view, isOptions, message)
    at = record.end
  }
  return true
}

/**
 * Takes in a Template of a session that is over, as one that was announced when it was last. False if it is damaged, or
 * a Template of this ID is known already.
 */
export function restoreTemplate(s: SessionState, known: KnownTemplate): boolean {
  const {record: octets, options, observationDomainId, exportTime} = known
  if (octets.length < 4) return false
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const record = measureTemplateRecord(view, 0, octets.length, options)
  if (record.fault !== undefined || record.fieldCount === 0 || record.end !== octets.length) {
    return false
  }
  const domain = domainOf(s.process.pool, s, observationDomainId)
  if (domain.templates.has(record.id)) return false
  putTemplate(s.process.pool, new StoredTemplate(domain, record, latin1(octets), exportTime))
  return true
}

/** RFC 7011 section 8.1. */
function withdraw(
  s: SessionState,
  domain: Domain,
  id: number,
  isOptions: boolean,
  message: MessageContext,
): void {
  const {reliable, messages, pool, observer, work} = s.process
  if (!reliable) {
    messages.note('withdrawal-ignored', 1, message.offset)
    return
  }
  // The ID that means all Templates is that of the Set it stands in.
  const all = id === (isOptions ? OPTIONS_TEMPLATE_SET_ID : TEMPLATE_SET_ID)
  let found = all
  for (const one of all ? [...domain.templates.keys()] : [id]) {
    const stored = domain.templates.get(one)
    if (stored === undefined || stored.isOptions !== isOptions) continue
    removeTemplate(pool, domain, one)
    noteWithdrawn(domain, one)
    work.undo.push(() => {
      forgetWithdrawn(domain, one)
      putTemplate(pool, stored)
    })
    observer?.template?.('withdrawn', stored.reading.template, message)
    found = true
  }
  if (!found) messages.note('withdrawal-unknown', 1, message.offset)
}

function refuse(
  s: SessionState,
  domain: Domain,
  id: number,
  fault: TemplateFault,
  message: MessageContext,
): void {
  const {messages, pool, work} = s.process
  messages.note(`template-${fault}`, 1, message.offset)
  // What comes under this ID is no longer what the old Template says.
  const old = removeTemplate(pool, domain, id)
  if (old !== undefined) work.undo.push(() => putTemplate(pool, old))
}

function define(
  s: SessionState,
  domain: Domain,
  record: TemplateRecord,
  octets: Uint8Array,
  view: DataView,
  isOptions: boolean,
  message: MessageContext,
): void {
  const {reliable, messages, pool, observer, work} = s.process
  const old = domain.templates.get(record.id)
  if (old !== undefined) {
    if (old.isOptions === isOptions && sameOctets(old.record, octets)) {
      old.exportTime = message.exportTime
      domain.watcher?.refreshed(old)
      observer?.template?.('refreshed', old.reading.template, message)
      return
    }
    if (!reliable && ((message.exportTime - old.exportTime) | 0) < 0) {
      // A datagram overtaken by the one that changed the Template. RFC 7011 section 8.2.
      messages.note('template-stale', 1, message.offset)
      return
    }
    messages.note('template-redefined', 1, message.offset)
    work.undo.push(() => putTemplate(pool, old))
  } else {
    work.undo.push(() => removeTemplate(pool, domain, record.id))
    if (forgetWithdrawn(domain, record.id)) {
      work.undo.push(() => noteWithdrawn(domain, record.id))
    }
  }
  const misfits = countMisfits(view, record, s.elements)
  if (misfits > 0) messages.note('field-length', misfits, message.offset)
  const stored = new StoredTemplate(domain, record, latin1(octets), message.exportTime)
  putTemplate(pool, stored)
  work.arrived.push(stored)
  if (observer?.template !== undefined) {
    observer.template(old === undefined ? 'new' : 'redefined', stored.reading.template, message)
  }
}

function sameOctets(record: string, octets: Uint8Array): boolean {
  if (record.length !== octets.length) return false
  for (let i = 0; i < octets.length; i++) if (record.charCodeAt(i) !== octets[i]) return false
  return true
}

/** A character for each octet. A string takes less room than an array of a few octets, which has a buffer of its own. */
function latin1(octets: Uint8Array): string {
  return String.fromCharCode(...octets)
}
