import {isList} from '../record/element.js'
import {lacksDirection} from './biflow.js'
import {namesTemplate} from './list-templates.js'
import {createDomainSequence, type DomainSequence} from './sequence.js'
import {dequeueSlot, enqueueSlot, leastUsedSlot, SlotQueue, type SlotLinks} from './slot-queue.js'
import {measureTemplateRecord, readTemplateRecord, walkPlan} from './template-record.js'
import {SLOT_OCTETS, TemplateSlots, type SlotOwner} from './template-slots.js'
import {mibFieldReader, type MibFieldReader} from './mib-fields.js'
import {typeRecordReader, type TypeRecordReader} from './type-records.js'
import {
  createUseQueue,
  dequeue,
  enqueue,
  leastUsed,
  type Place,
  type UseQueue,
} from './use-queue.js'
import type {ElementLookup, TemplateLookup} from '../record/batch.js'
import type {Template} from '../record/template.js'

/** A Template by which records were read. Most of a flood never come to be one: they stay a slot of the pool. */
export class StoredTemplate {
  readonly domain: Domain
  readonly id: number
  readonly isOptions: boolean
  readonly reading: TemplateReading
  /** Export time of the Message that announced it last. */
  exportTime: number
  /** Records were read by it since it was at the head of a queue. */
  used = false
  /** Memory it takes beside its slot, about. */
  readonly octets: number

  constructor(
    domain: Domain,
    id: number,
    isOptions: boolean,
    reading: TemplateReading,
    exportTime: number,
  ) {
    this.domain = domain
    this.id = id
    this.isOptions = isOptions
    this.reading = reading
    this.exportTime = exportTime
    const {fields} = reading.template
    const unknowns = fields.filter(({element}) => element.status === 'unknown').length
    this.octets = 500 + 70 * fields.length + 120 * unknowns
  }
}

/** A Template that is not in the pool: not yet, or no longer. */
export interface LooseTemplate {
  readonly domain: Domain
  readonly id: number
  readonly isOptions: boolean
  /** Octets of its Template Record. */
  readonly record: Uint8Array
  readonly exportTime: number
  /** If records were read by it. */
  readonly stored?: StoredTemplate
}

/** What decoding the Data Sets of a Template needs. */
export interface TemplateReading {
  template: Template
  /** See `walkPlan`. */
  readonly plan: Uint32Array | undefined
  /** Has fields that name Templates: its batches need the session's. */
  readonly lists: boolean
  readonly directionless: boolean
  /** Has elements of which only the number is known, which a type record may yet describe. */
  unknowns: boolean
  /** Reads its records as RFC 5610 type records. */
  readonly types: TypeRecordReader | undefined
  /** Reads its records as what RFC 8038 says of fields. */
  readonly mibFields: MibFieldReader | undefined
}

function readingOf(template: Template): TemplateReading {
  const {fields} = template
  return {
    template,
    plan: walkPlan(template),
    lists: fields.some(({element}) => isList(element.type) || namesTemplate(element)),
    directionless: lacksDirection(template),
    unknowns: fields.some(({element}) => element.status === 'unknown'),
    types: typeRecordReader(template),
    mibFields: mibFieldReader(template),
  }
}

export interface TemplateWatcher {
  /** A Template changed or went, or the domain itself did. */
  changed(): void
  /** A Template was announced again as it is. */
  refreshed(stored: StoredTemplate): void
}

/** One Observation Domain of one Transport Session. Templates of different ones never meet. RFC 7011 section 8. */
export interface Domain extends SlotOwner {
  readonly id: number
  readonly serial: number
  oldest: number
  newest: number
  /** Those of its Templates by which records were read. */
  stored: Map<number, StoredTemplate> | undefined
  readonly sequence: DomainSequence
  readonly owner: SessionTemplates
  /** Made when first asked for, dropped when a Template changes; who was given one may keep it. */
  snapshot: TemplateLookup | undefined
  /** Told of what becomes of its Templates. */
  watcher: TemplateWatcher | undefined
  /** Brought records since it was at the head of the queue. */
  used: boolean
  place: Place<Domain> | undefined
}

/** The Templates of one Transport Session. */
export interface SessionTemplates {
  readonly pool: TemplatePool
  /** What the fields of its Templates are. */
  readonly elements: ElementLookup
  readonly domains: Map<number, Domain>
  readonly queue: SlotQueue
  /** The domain of the last Message. */
  last: Domain | undefined
  readonly evictions: EvictionListener
}

/** Told what has to go for room. */
export interface EvictionListener {
  /** The Template in this slot is about to go. */
  template(domain: Domain, slot: number): void
  domain(domain: Domain): void
}

/** Room that all sessions of one Collecting Process share. */
export interface TemplatePool {
  readonly maxPerSession: number
  readonly maxTemplates: number
  /** Octets of memory that Templates may take, and do take, about. */
  readonly maxOctets: number
  octets: number
  readonly slots: TemplateSlots<Domain>
  readonly templates: SlotQueue
  /** Sessions that have any. */
  sessions: number
  readonly maxDomains: number
  readonly domains: UseQueue<Domain>
  /** Octets of Data Sets that may be, and are, held for Templates to come. */
  readonly maxHeldOctets: number
  heldOctets: number
}

export interface PoolLimits {
  /** Templates of one session; default 4096. */
  readonly maxPerSession?: number
  /** Templates of all sessions; default 65536. */
  readonly maxTemplates?: number
  /** Octets of memory for Templates; default 64 MiB. */
  readonly maxOctets?: number
  /** Observation Domains of all sessions; default 32768. */
  readonly maxDomains?: number
  /** Octets of Data Sets held for Templates to come; default 16 MiB. */
  readonly maxHeldOctets?: number
}

export function createTemplatePool(limits: PoolLimits = {}): TemplatePool {
  return {
    maxPerSession: limits.maxPerSession ?? 4096,
    maxTemplates: limits.maxTemplates ?? 65536,
    maxOctets: limits.maxOctets ?? 67108864,
    octets: 0,
    slots: new TemplateSlots(),
    templates: new SlotQueue(),
    sessions: 0,
    maxDomains: limits.maxDomains ?? 32768,
    domains: createUseQueue(),
    maxHeldOctets: limits.maxHeldOctets ?? 16777216,
    heldOctets: 0,
  }
}

/** The domain of this ID; a new one may push out the one that was not used for longest, in whatever session. */
export function domainOf(pool: TemplatePool, session: SessionTemplates, id: number): Domain {
  if (session.last?.id === id) return session.last
  const domain = session.domains.get(id) ?? createDomain(pool, session, id)
  session.last = domain
  return domain
}

let serial = 0

function createDomain(pool: TemplatePool, session: SessionTemplates, id: number): Domain {
  while (pool.domains.size >= pool.maxDomains) {
    const least = leastUsed(pool.domains)
    if (least === undefined) break
    removeDomain(pool, least)
    least.owner.evictions.domain(least)
  }
  const domain: Domain = {
    id,
    serial: serial++ | 0,
    oldest: -1,
    newest: -1,
    stored: undefined,
    sequence: createDomainSequence(),
    owner: session,
    snapshot: undefined,
    watcher: undefined,
    used: false,
    place: undefined,
  }
  session.domains.set(id, domain)
  domain.place = enqueue(pool.domains, domain)
  return domain
}

function removeDomain(pool: TemplatePool, domain: Domain): void {
  for (const slot of pool.slots.slotsOf(domain)) removeSlot(pool, domain, slot)
  const {owner} = domain
  owner.domains.delete(domain.id)
  if (owner.last === domain) owner.last = undefined
  if (domain.place !== undefined) dequeue(domain.place)
  domain.place = undefined
  templatesChanged(domain)
}

/** What was made of the Templates of a domain holds no longer. */
export function templatesChanged(domain: Domain): void {
  domain.snapshot = undefined
  domain.watcher?.changed()
}

/** The Template of this ID, for reading records by it or telling of it. */
export function templateOf(domain: Domain, id: number): StoredTemplate | undefined {
  const stored = domain.stored?.get(id)
  if (stored !== undefined) return stored
  const slot = domain.owner.pool.slots.find(domain, id)
  return slot < 0 ? undefined : storedTemplate(domain, slot)
}

/** All Templates of a domain, in the order in which they came. */
export function* templatesOf(domain: Domain): Generator<StoredTemplate> {
  for (const slot of domain.owner.pool.slots.slotsOf(domain)) yield storedTemplate(domain, slot)
}

/** The Template in a slot of the domain's. */
export function storedTemplate(domain: Domain, slot: number): StoredTemplate {
  const {owner} = domain
  const {pool} = owner
  const {slots} = pool
  const id = slots.ids[slot]
  domain.stored ??= new Map()
  let stored = domain.stored.get(id)
  if (stored === undefined) {
    const octets = slots.record(slot)
    const isOptions = slots.options[slot] === 1
    const view = new DataView(octets.buffer)
    const measured = measureTemplateRecord(view, 0, octets.length, isOptions)
    const reading = readingOf(readTemplateRecord(view, measured, owner.elements))
    stored = new StoredTemplate(domain, id, isOptions, reading, slots.exportTimes[slot])
    domain.stored.set(id, stored)
    pool.octets += stored.octets
  }
  return stored
}

/** Export time of the Message that announced the Template in a slot last. */
export function exportTimeOf(domain: Domain, slot: number): number {
  const {slots} = domain.owner.pool
  return domain.stored?.get(slots.ids[slot])?.exportTime ?? slots.exportTimes[slot]
}

/** The Template in a slot was announced again as it is. */
export function refreshSlot(domain: Domain, slot: number, exportTime: number): void {
  const {slots} = domain.owner.pool
  slots.exportTimes[slot] = exportTime
  const stored = domain.stored?.get(slots.ids[slot])
  if (stored !== undefined) stored.exportTime = exportTime
  if (domain.watcher !== undefined) domain.watcher.refreshed(storedTemplate(domain, slot))
}

/**
 * Puts a Template in its place; the one that had the ID is gone.
 *
 * @returns its slot
 */
export function putTemplate(pool: TemplatePool, template: LooseTemplate): number {
  const {domain, id, isOptions, record, exportTime, stored} = template
  const {slots} = pool
  const {queue} = domain.owner
  const octets = SLOT_OCTETS + record.length + (stored?.octets ?? 0)
  removeTemplate(pool, domain, id)
  makeRoom(pool, queue, slots.ofSession, () => queue.size >= pool.maxPerSession)
  makeRoom(pool, pool.templates, slots.ofPool, () => {
    return pool.templates.size >= pool.maxTemplates || pool.octets > pool.maxOctets - octets
  })
  if (queue.size === 0) pool.sessions++
  const slot = slots.add(domain, id, isOptions, record, exportTime)
  if (stored !== undefined) (domain.stored ??= new Map()).set(id, stored)
  templatesChanged(domain)
  enqueueSlot(queue, slots.ofSession, slot)
  enqueueSlot(pool.templates, slots.ofPool, slot)
  pool.octets += octets
  return slot
}

/** Forgets a Template, if it is there. */
export function removeTemplate(pool: TemplatePool, domain: Domain, id: number): void {
  const slot = pool.slots.find(domain, id)
  if (slot >= 0) removeSlot(pool, domain, slot)
}

/** Forgets a Template; returns what it was, so that it can be put back, or undefined if there was none. */
export function takeTemplate(
  pool: TemplatePool,
  domain: Domain,
  id: number,
): LooseTemplate | undefined {
  const {slots} = pool
  const slot = slots.find(domain, id)
  if (slot < 0) return undefined
  const taken = {
    domain,
    id,
    isOptions: slots.options[slot] === 1,
    record: slots.record(slot),
    exportTime: exportTimeOf(domain, slot),
    stored: domain.stored?.get(id),
  }
  removeSlot(pool, domain, slot)
  return taken
}

function removeSlot(pool: TemplatePool, domain: Domain, slot: number): void {
  const {slots} = pool
  const {queue} = domain.owner
  const id = slots.ids[slot]
  const stored = domain.stored?.get(id)
  // Who watches still finds all of them.
  templatesChanged(domain)
  domain.stored?.delete(id)
  dequeueSlot(queue, slots.ofSession, slot)
  dequeueSlot(pool.templates, slots.ofPool, slot)
  if (queue.size === 0) pool.sessions--
  pool.octets -= SLOT_OCTETS + slots.lengths[slot] + (stored?.octets ?? 0)
  slots.remove(slot)
}

/** Evicts what is least used of a queue while there is no room. */
function makeRoom(
  pool: TemplatePool,
  queue: SlotQueue,
  links: SlotLinks,
  isFull: () => boolean,
): void {
  if (!isFull()) return
  const {slots} = pool
  // Who has no more than its share is spared.
  const share = pool.templates.size / pool.sessions
  const spares = (slot: number): boolean =>
    queue === pool.templates && slots.owners[slot]!.owner.queue.size <= share
  const takeUse = (slot: number): boolean => {
    const stored = slots.owners[slot]!.stored?.get(slots.ids[slot])
    if (stored?.used !== true) return false
    stored.used = false
    return true
  }
  while (isFull()) {
    const slot = leastUsedSlot(queue, links, takeUse, spares)
    if (slot < 0) return
    const domain = slots.owners[slot]!
    domain.owner.evictions.template(domain, slot)
    removeSlot(pool, domain, slot)
  }
}

/** The Templates of a domain as they are now; never changes afterwards. */
export function snapshotOf(domain: Domain): TemplateLookup {
  if (domain.snapshot === undefined) {
    const snapshot = new Map<number, Template>()
    for (const {id, reading} of templatesOf(domain)) snapshot.set(id, reading.template)
    domain.snapshot = snapshot
  }
  return domain.snapshot
}

/** Forgets a whole session: its Templates give their room back. */
export function clearSession(pool: TemplatePool, session: SessionTemplates): void {
  for (const domain of [...session.domains.values()]) removeDomain(pool, domain)
}
