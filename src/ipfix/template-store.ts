import {isList} from '../record/element.js'
import {lacksDirection} from './biflow.js'
import {namesTemplate} from './list-templates.js'
import {createDomainSequence, type DomainSequence} from './sequence.js'
import {walkPlan} from './template-record.js'
import {typeRecordReader, type TypeRecordReader} from './type-records.js'
import type {TemplateLookup} from '../record/batch.js'
import type {Template} from '../record/template.js'

/** A Template as a session holds it, with what decoding its Data Sets needs. */
export interface StoredTemplate {
  template: Template
  /** Octets of its Template Record: an announcement with the same ones changes nothing. */
  readonly record: Uint8Array
  readonly domain: Domain
  /** Export time of the Message that announced it last. */
  exportTime: number
  /** Since the last round of eviction. */
  used: boolean
  /** See `walkPlan`. */
  readonly plan: Uint32Array | undefined
  /** Has fields that name Templates: its batches need the session's. */
  readonly lists: boolean
  readonly directionless: boolean
  /** Has elements of which only the number is known, which a type record may yet describe. */
  unknowns: boolean
  /** Reads its records as RFC 5610 type records. */
  readonly types: TypeRecordReader | undefined
}

/** One Observation Domain of one Transport Session. Templates of different ones never meet. RFC 7011 section 8. */
export interface Domain {
  readonly id: number
  readonly templates: Map<number, StoredTemplate>
  readonly sequence: DomainSequence
  readonly owner: SessionTemplates
  /** Made when first asked for, dropped when a Template changes; who was given one may keep it. */
  snapshot: TemplateLookup | undefined
  /** Since the last round of eviction. */
  used: boolean
}

/** The Templates of one Transport Session. */
export interface SessionTemplates {
  readonly domains: Map<number, Domain>
  /** In the order of their last use, about: oldest first. */
  readonly order: Set<StoredTemplate>
  /** Told when a Template had to go for room. */
  readonly evicted: (stored: StoredTemplate) => void
  readonly domainEvicted: (domain: Domain) => void
}

/** Room that all sessions of one Collecting Process share. */
export interface TemplatePool {
  readonly maxPerSession: number
  readonly maxTemplates: number
  readonly maxFields: number
  readonly order: Set<StoredTemplate>
  fields: number
  /** Octets of Data Sets held for Templates to come, and how many there may be. */
  heldOctets: number
  readonly maxHeldOctets: number
  readonly maxDomains: number
  /** In the order of their last use, about. */
  readonly domains: Set<Domain>
}

export function createTemplatePool(
  limits: {
    maxPerSession?: number
    maxTemplates?: number
    maxFields?: number
    maxHeldOctets?: number
    maxDomains?: number
  } = {},
): TemplatePool {
  return {
    maxPerSession: limits.maxPerSession ?? 4096,
    maxTemplates: limits.maxTemplates ?? 65536,
    maxFields: limits.maxFields ?? 1048576,
    maxHeldOctets: limits.maxHeldOctets ?? 16777216,
    order: new Set(),
    fields: 0,
    heldOctets: 0,
    maxDomains: limits.maxDomains ?? 65536,
    domains: new Set(),
  }
}

/** The domain of this ID; a new one may push out the one that was not used for longest, in whatever session. */
export function domainOf(pool: TemplatePool, session: SessionTemplates, id: number): Domain {
  let domain = session.domains.get(id)
  if (domain !== undefined) {
    domain.used = true
    return domain
  }
  while (pool.domains.size >= pool.maxDomains) {
    const [oldest] = pool.domains
    pool.domains.delete(oldest)
    if (oldest.used) {
      oldest.used = false
      pool.domains.add(oldest)
    } else {
      removeDomain(pool, oldest)
      oldest.owner.domainEvicted(oldest)
    }
  }
  domain = {
    id,
    templates: new Map(),
    sequence: createDomainSequence(),
    owner: session,
    snapshot: undefined,
    used: false,
  }
  session.domains.set(id, domain)
  pool.domains.add(domain)
  return domain
}

function removeDomain(pool: TemplatePool, domain: Domain): void {
  for (const id of [...domain.templates.keys()]) removeTemplate(pool, domain, id)
  domain.owner.domains.delete(domain.id)
  pool.domains.delete(domain)
}

export function storeTemplate(
  pool: TemplatePool,
  domain: Domain,
  template: Template,
  record: Uint8Array,
  exportTime: number,
): StoredTemplate {
  const stored: StoredTemplate = {
    template,
    record,
    domain,
    exportTime,
    // A flood of new ones does not push out what is in use.
    used: false,
    plan: walkPlan(template),
    lists: template.fields.some(({element}) => isList(element.type) || namesTemplate(element)),
    directionless: lacksDirection(template),
    unknowns: template.fields.some(({element}) => element.status === 'unknown'),
    types: typeRecordReader(template),
  }
  putTemplate(pool, stored)
  return stored
}

/** Puts a Template in its place; the one that had the ID is gone. */
export function putTemplate(pool: TemplatePool, stored: StoredTemplate): void {
  const {domain, template} = stored
  removeTemplate(pool, domain, template.id)
  makeRoom(pool, domain.owner.order, pool.maxPerSession - 1, Infinity)
  makeRoom(pool, pool.order, pool.maxTemplates - 1, pool.maxFields - template.fields.length)
  domain.templates.set(template.id, stored)
  domain.snapshot = undefined
  domain.owner.order.add(stored)
  pool.order.add(stored)
  pool.fields += template.fields.length
}

/** Forgets a Template; returns it, or undefined if there was none. */
export function removeTemplate(
  pool: TemplatePool,
  domain: Domain,
  id: number,
): StoredTemplate | undefined {
  const stored = domain.templates.get(id)
  if (stored === undefined) return undefined
  domain.templates.delete(id)
  domain.snapshot = undefined
  domain.owner.order.delete(stored)
  pool.order.delete(stored)
  pool.fields -= stored.template.fields.length
  return stored
}

/**
 * Evicts what was not used for longest until at most `templates` and `fields` are left in `order`. Whoever was used
 * since it was looked at last goes to the end of the queue once more, so that use costs one store.
 */
function makeRoom(
  pool: TemplatePool,
  order: Set<StoredTemplate>,
  templates: number,
  fields: number,
): void {
  while (order.size > templates || pool.fields > fields) {
    const [oldest] = order
    if (oldest === undefined) return
    if (oldest.used) {
      oldest.used = false
      order.delete(oldest)
      order.add(oldest)
      continue
    }
    removeTemplate(pool, oldest.domain, oldest.template.id)
    oldest.domain.owner.evicted(oldest)
  }
}

/** The Templates of a domain as they are now; never changes afterwards. */
export function snapshotOf(domain: Domain): TemplateLookup {
  if (domain.snapshot === undefined) {
    const snapshot = new Map<number, Template>()
    for (const [id, {template}] of domain.templates) snapshot.set(id, template)
    domain.snapshot = snapshot
  }
  return domain.snapshot
}

/** Forgets a whole session: its Templates give their room back. */
export function clearSession(pool: TemplatePool, session: SessionTemplates): void {
  for (const domain of [...session.domains.values()]) removeDomain(pool, domain)
}
