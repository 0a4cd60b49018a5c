import {isList} from '../record/element.js'
import {lacksDirection} from './biflow.js'
import {namesTemplate} from './list-templates.js'
import {createDomainSequence, type DomainSequence} from './sequence.js'
import {
  measureTemplateRecord,
  readTemplateRecord,
  walkPlan,
  type TemplateRecord,
} from './template-record.js'
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

/** A Template as a session holds it. Made into what decoding needs when that is first asked for: most of a flood never is. */
export class StoredTemplate {
  readonly domain: Domain
  readonly id: number
  readonly isOptions: boolean
  /** Octets of its Template Record as characters: an announcement with the same ones changes nothing. */
  readonly record: string
  /** Export time of the Message that announced it last. */
  exportTime: number
  /** Records were read by it since it was at the head of a queue. */
  used = false
  /** Memory it takes, about. */
  octets: number
  /** In the queues of its session and of the pool, while it is stored. */
  place: Place<StoredTemplate> | undefined = undefined
  poolPlace: Place<StoredTemplate> | undefined = undefined
  #reading: TemplateReading | undefined = undefined

  constructor(
    domain: Domain,
    {id, scopeCount}: TemplateRecord,
    record: string,
    exportTime: number,
  ) {
    this.domain = domain
    this.id = id
    this.isOptions = scopeCount > 0
    this.record = record
    this.exportTime = exportTime
    this.octets = 400 + record.length
  }

  get reading(): TemplateReading {
    this.#reading ??= this.#read()
    return this.#reading
  }

  #read(): TemplateReading {
    const {owner} = this.domain
    const octets = this.recordOctets()
    const view = new DataView(octets.buffer)
    const measured = measureTemplateRecord(view, 0, octets.length, this.isOptions)
    const reading = readingOf(readTemplateRecord(view, measured, owner.elements))
    const {fields} = reading.template
    const unknowns = fields.filter(({element}) => element.status === 'unknown').length
    const more = 500 + 70 * fields.length + 120 * unknowns
    this.octets += more
    if (this.place !== undefined) owner.pool.octets += more
    return reading
  }

  /** Octets of its Template Record. */
  recordOctets(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.record, (character) => character.charCodeAt(0))
  }
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
export interface Domain {
  readonly id: number
  readonly templates: Map<number, StoredTemplate>
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
  readonly queue: UseQueue<StoredTemplate>
  /** The domain of the last Message. */
  last: Domain | undefined
  readonly evictions: EvictionListener
}

/** Told what had to go for room. */
export interface EvictionListener {
  template(stored: StoredTemplate): void
  domain(domain: Domain): void
}

/** Room that all sessions of one Collecting Process share. */
export interface TemplatePool {
  readonly maxPerSession: number
  readonly maxTemplates: number
  /** Octets of memory that Templates may take, and do take, about. */
  readonly maxOctets: number
  octets: number
  readonly templates: UseQueue<StoredTemplate>
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
    templates: createUseQueue(),
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

function createDomain(pool: TemplatePool, session: SessionTemplates, id: number): Domain {
  while (pool.domains.size >= pool.maxDomains) {
    const least = leastUsed(pool.domains)
    if (least === undefined) break
    removeDomain(pool, least)
    least.owner.evictions.domain(least)
  }
  const domain: Domain = {
    id,
    templates: new Map(),
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
  for (const id of [...domain.templates.keys()]) removeTemplate(pool, domain, id)
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

/** Puts a Template in its place; the one that had the ID is gone. */
export function putTemplate(pool: TemplatePool, stored: StoredTemplate): void {
  const {domain, id, octets} = stored
  const {queue} = domain.owner
  removeTemplate(pool, domain, id)
  makeRoom(pool, queue, () => queue.size >= pool.maxPerSession)
  makeRoom(pool, pool.templates, () => {
    return pool.templates.size >= pool.maxTemplates || pool.octets > pool.maxOctets - octets
  })
  if (queue.size === 0) pool.sessions++
  domain.templates.set(id, stored)
  templatesChanged(domain)
  stored.place = enqueue(queue, stored)
  stored.poolPlace = enqueue(pool.templates, stored)
  pool.octets += octets
}

/** Forgets a Template; returns it, or undefined if there was none. */
export function removeTemplate(
  pool: TemplatePool,
  domain: Domain,
  id: number,
): StoredTemplate | undefined {
  const stored = domain.templates.get(id)
  if (stored?.place === undefined || stored.poolPlace === undefined) return undefined
  domain.templates.delete(id)
  templatesChanged(domain)
  dequeue(stored.place)
  dequeue(stored.poolPlace)
  if (domain.owner.queue.size === 0) pool.sessions--
  stored.place = undefined
  stored.poolPlace = undefined
  pool.octets -= stored.octets
  return stored
}

/** Evicts what is least used of a queue while there is no room. */
function makeRoom(
  pool: TemplatePool,
  queue: UseQueue<StoredTemplate>,
  isFull: () => boolean,
): void {
  // Who has no more than its share is spared.
  const share = pool.templates.size / pool.sessions
  const spares = ({domain}: StoredTemplate): boolean =>
    queue === pool.templates && domain.owner.queue.size <= share
  while (isFull()) {
    const least = leastUsed(queue, spares)
    if (least === undefined) return
    removeTemplate(pool, least.domain, least.id)
    least.domain.owner.evictions.template(least)
  }
}

/** The Templates of a domain as they are now; never changes afterwards. */
export function snapshotOf(domain: Domain): TemplateLookup {
  if (domain.snapshot === undefined) {
    const snapshot = new Map<number, Template>()
    for (const [id, {reading}] of domain.templates) snapshot.set(id, reading.template)
    domain.snapshot = snapshot
  }
  return domain.snapshot
}

/** Forgets a whole session: its Templates give their room back. */
export function clearSession(pool: TemplatePool, session: SessionTemplates): void {
  for (const domain of [...session.domains.values()]) removeDomain(pool, domain)
}
