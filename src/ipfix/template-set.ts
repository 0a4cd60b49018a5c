import {OPTIONS_TEMPLATE_SET_ID, TEMPLATE_SET_ID} from './message.js'
import {
  countMisfits,
  measureTemplateRecord,
  type TemplateFault,
  type TemplateRecord,
} from './template-record.js'
import {
  domainOf,
  exportTimeOf,
  putTemplate,
  refreshSlot,
  removeTemplate,
  storedTemplate,
  takeTemplate,
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
  const {pool} = s.process
  const domain = domainOf(pool, s, observationDomainId)
  const {id} = record
  if (pool.slots.find(domain, id) >= 0) return false
  putTemplate(pool, {domain, id, isOptions: options, record: octets, exportTime})
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
  const {slots} = pool
  const ids = all ? slots.slotsOf(domain).map((slot) => slots.ids[slot]) : [id]
  for (const one of ids) {
    const slot = slots.find(domain, one)
    if (slot < 0 || (slots.options[slot] === 1) !== isOptions) continue
    const told = observer?.template && storedTemplate(domain, slot)
    const taken = takeTemplate(pool, domain, one)
    noteWithdrawn(domain, one)
    work.undo.push(() => {
      forgetWithdrawn(domain, one)
      if (taken !== undefined) putTemplate(pool, taken)
    })
    if (told !== undefined) observer?.template?.('withdrawn', told.reading.template, message)
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
  const old = takeTemplate(pool, domain, id)
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
  const {id} = record
  const {exportTime} = message
  const {slots} = pool
  const old = slots.find(domain, id)
  if (old >= 0) {
    if ((slots.options[old] === 1) === isOptions && slots.isRecord(old, octets)) {
      refreshSlot(domain, old, exportTime)
      if (observer?.template !== undefined) {
        observer.template('refreshed', storedTemplate(domain, old).reading.template, message)
      }
      return
    }
    if (!reliable && ((exportTime - exportTimeOf(domain, old)) | 0) < 0) {
      // A datagram overtaken by the one that changed the Template. RFC 7011 section 8.2.
      messages.note('template-stale', 1, message.offset)
      return
    }
    messages.note('template-redefined', 1, message.offset)
    const taken = takeTemplate(pool, domain, id)
    if (taken !== undefined) work.undo.push(() => putTemplate(pool, taken))
  } else {
    work.undo.push(() => removeTemplate(pool, domain, id))
    if (forgetWithdrawn(domain, id)) work.undo.push(() => noteWithdrawn(domain, id))
  }
  const misfits = countMisfits(view, record, s.elements)
  if (misfits > 0) messages.note('field-length', misfits, message.offset)
  const slot = putTemplate(pool, {domain, id, isOptions, record: octets, exportTime})
  work.arrived.push(slot)
  if (observer?.template !== undefined) {
    const {template} = storedTemplate(domain, slot).reading
    observer.template(old < 0 ? 'new' : 'redefined', template, message)
  }
}
