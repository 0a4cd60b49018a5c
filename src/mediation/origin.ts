import {appendTailsPlainly, TAIL_STEP, type AppendTails} from '../record/append-tails.js'
import {recordEnd, recordStart, type RecordBatch, type TemplateLookup} from '../record/batch.js'
import type {MessageContext} from '../record/batch.js'
import {TAIL} from '../record/relay-kernel.js'
import {createTemplate, fieldIndex, type FieldSpecifier, type Template} from '../record/template.js'
import {ie} from '../registry/lookup.js'

const STEP_NUMBERS = TAIL_STEP
const MAX_STEPS = 1024
/** Records are put together in pieces of memory of this size, which batches share. */
const SLAB_OCTETS = 1 << 20
const TAILS_OCTETS = 1 << 15

const received = {element: ie.collectionTimeMilliseconds, length: 8} as const
const exporterV4 = {element: ie.originalExporterIPv4Address, length: 4} as const
const exporterV6 = {element: ie.originalExporterIPv6Address, length: 16} as const
const domain = {element: ie.originalObservationDomainId, length: 4} as const

/** A Template with the fields behind it that its records get. */
interface Extension {
  /** What is known of the Message decides which: its columns, 1 received + 2 IPv4 + 4 IPv6 exporter. */
  readonly columns: readonly FieldSpecifier[] | undefined
  readonly kind: number
  readonly template: Template
  /** Which of the columns, and of received, exporter and domain, the Template has not got yet. */
  readonly parts: number
}

const {received: RECEIVED, columns: COLUMNS, exporter: EXPORTER, domain: DOMAIN} = TAIL
const V4 = 2
const V6 = 4

/**
 * Puts into each record what is known of its origin: what the header of its Message said, when it came, the Exporter's
 * address and Observation Domain. What an earlier Mediator has put in stays. RFC 7119 sections 4 and 5.
 *
 * Records of files, of which nothing is known, pass as they are.
 */
export function createOrigin(appendTails: AppendTails = appendTailsPlainly): {
  add(batches: readonly RecordBatch[]): RecordBatch[]
  /** The Template that records get whose Messages are known so far, and the parts of the tail behind them. */
  extension(
    template: Template,
    message: Pick<MessageContext, 'receivedMs' | 'exporterAddress'>,
    columns: readonly FieldSpecifier[] | undefined,
  ): Pick<Extension, 'template' | 'parts'>
} {
  const extensions = new WeakMap<Template, Extension[]>()
  const lookups = new WeakMap<TemplateLookup, Map<number, TemplateLookup>>()
  let lastTemplate: Template | undefined
  let lastExtension: Extension | undefined
  let lastMessage: MessageContext | undefined
  let lastParts = 0
  /** Tails of the steps that have not been run, and where the last one lies. */
  const tails = new Uint8Array(TAILS_OCTETS)
  const tailsView = new DataView(tails.buffer)
  let tailAt = 0
  let tailEnd = 0
  const program = new Uint32Array(STEP_NUMBERS * MAX_STEPS)
  let steps = 0
  /** What the steps read, and where they begin to write. */
  let source: Uint8Array = new Uint8Array(0)
  let writeFrom = 0
  let slab = new Uint8Array(0)
  let slabView = new DataView(slab.buffer)
  let slabAt = 0

  function extend(template: Template, kind: number, columns: Extension['columns']): Extension {
    const last = lastExtension
    if (lastTemplate === template && last?.kind === kind && last.columns === columns) return last
    let list = extensions.get(template)
    if (list === undefined) extensions.set(template, (list = []))
    let found = list.find((one) => one.kind === kind && one.columns === columns)
    if (found === undefined) {
      found = makeExtension(template, kind, columns)
      list.push(found)
    }
    lastTemplate = template
    lastExtension = found
    return found
  }

  /** Does what was only planned. */
  function run(): void {
    if (steps > 0) appendTails(source, program, steps, tails, slab, writeFrom)
    steps = 0
    tailEnd = 0
    lastMessage = undefined
  }

  /** Makes room for so many octets in the slab; returns where they begin. */
  function reserve(octets: number): number {
    if (slabAt + octets > slab.length) {
      run()
      slab = new Uint8Array(Math.max(SLAB_OCTETS, octets))
      slabView = new DataView(slab.buffer)
      slabAt = 0
    }
    const at = slabAt
    slabAt += octets
    return at
  }

  /** Puts the tail of a Message's records where `tailAt` says; returns its octets. */
  function tailOf(message: MessageContext, {parts}: Extension): number {
    if (message === lastMessage && parts === lastParts) return tailEnd - tailAt
    const {columns, receivedMs, exporterAddress, observationDomainId} = message
    const octets = tailOctets(message, parts)
    if (tailEnd + octets > tails.length) run()
    lastMessage = message
    lastParts = parts
    tailAt = tailEnd
    let at = tailEnd
    tailEnd += octets
    if (parts & COLUMNS && columns !== undefined) {
      tails.set(columns.octets, at)
      at += columns.octets.length
    }
    if (parts & RECEIVED && receivedMs !== undefined) {
      tailsView.setUint32(at, Math.floor(receivedMs / 4294967296))
      tailsView.setUint32(at + 4, receivedMs >>> 0)
      at += 8
    }
    if (parts & EXPORTER && exporterAddress !== undefined) {
      tails.set(exporterAddress, at)
      at += exporterAddress.length
    }
    if (parts & DOMAIN) tailsView.setUint32(at, observationDomainId)
    return octets
  }

  /** The Templates that options records name are those with the fields behind. */
  function lookupOf(
    templates: TemplateLookup,
    kind: number,
    columns: Extension['columns'],
  ): TemplateLookup {
    let byKind = lookups.get(templates)
    if (byKind === undefined) lookups.set(templates, (byKind = new Map<number, TemplateLookup>()))
    let mapped = byKind.get(kind)
    if (mapped === undefined) {
      const map = new Map<number, Template>()
      for (const [id, template] of templates) map.set(id, extend(template, kind, columns).template)
      mapped = map
      byKind.set(kind, mapped)
    }
    return mapped
  }

  function addTo(batch: RecordBatch): RecordBatch {
    const {message, template} = batch
    const kind = kindOf(message)
    if (kind === 0 && message.columns === undefined) return batch
    const extension = extend(template, kind, message.columns?.specifiers)
    if (extension.parts === 0) return batch
    const {count} = batch
    const first = recordStart(batch, 0)
    const old = recordEnd(batch, count - 1) - first
    const start = reserve(old + count * tailOctets(message, extension.parts))
    const behind = tailOf(message, extension)
    let offsets: Uint32Array | undefined
    if (batch.offsets === undefined) {
      plan(batch.octets, first, template.recordOctets, count, behind, start)
    } else {
      offsets = new Uint32Array(count + 1)
      let at = start
      for (let i = 0; i < count; i++) {
        offsets[i] = at
        const from = batch.offsets[i]
        const to = batch.offsets[i + 1]
        slab.set(batch.octets.subarray(from, to), at)
        at += to - from
        slab.set(tails.subarray(tailAt, tailAt + behind), at)
        at += behind
      }
      offsets[count] = at
      // The next steps write behind this.
      run()
    }
    let {templates} = batch
    if (templates !== undefined && template.scopeCount > 0) {
      templates = lookupOf(templates, kind, message.columns?.specifiers)
      // The extension of this Template was last in hand, not that of another one.
      lastTemplate = undefined
    }
    return {
      template: extension.template,
      octets: slab,
      view: slabView,
      start,
      count,
      offsets,
      message,
      templates,
      elements: batch.elements,
    }
  }

  function plan(
    octets: Uint8Array,
    start: number,
    size: number,
    count: number,
    behind: number,
    to: number,
  ): void {
    if (steps === MAX_STEPS || (steps > 0 && octets.buffer !== source.buffer)) {
      // The tail at hand serves on.
      const at = tailAt
      const message = lastMessage
      run()
      tails.copyWithin(0, at, at + behind)
      tailAt = 0
      tailEnd = behind
      lastMessage = message
    }
    if (steps === 0) {
      writeFrom = to
      if (octets.buffer !== source.buffer) source = new Uint8Array(octets.buffer)
    }
    const step = STEP_NUMBERS * steps++
    program[step] = octets.byteOffset + start
    program[step + 1] = size
    program[step + 2] = count
    program[step + 3] = tailAt
    program[step + 4] = behind
  }

  return {
    extension: (template, message, columns) => extend(template, kindOf(message), columns),
    add(batches) {
      const added = batches.map(addTo)
      run()
      // What was read need not stay.
      source = new Uint8Array(0)
      return added
    },
  }
}

function kindOf({
  receivedMs,
  exporterAddress,
}: Pick<MessageContext, 'receivedMs' | 'exporterAddress'>): number {
  const address = exporterAddress === undefined ? 0 : exporterAddress.length === 4 ? V4 : V6
  return (receivedMs === undefined ? 0 : RECEIVED) | address
}

function has(template: Template, ...elements: readonly (typeof received)['element'][]): boolean {
  return elements.some((element) => fieldIndex(template, element) >= 0)
}

function makeExtension(
  template: Template,
  kind: number,
  columns: readonly FieldSpecifier[] | undefined,
): Extension {
  const behind: FieldSpecifier[] = []
  let parts = 0
  // All or none: they are one run of octets.
  if (columns !== undefined) {
    parts |= COLUMNS
    behind.push(...columns)
  }
  if (kind & RECEIVED && !has(template, ie.collectionTimeMilliseconds)) {
    parts |= RECEIVED
    behind.push(received)
  }
  if (kind & (V4 | V6)) {
    if (!has(template, ie.originalExporterIPv4Address, ie.originalExporterIPv6Address)) {
      parts |= EXPORTER
      behind.push(kind & V4 ? exporterV4 : exporterV6)
    }
    if (!has(template, ie.originalObservationDomainId)) {
      parts |= DOMAIN
      behind.push(domain)
    }
  }
  const extended = createTemplate(template.id, [...template.fields, ...behind], template.scopeCount)
  return {columns, kind, parts, template: extended}
}

function tailOctets(message: MessageContext, parts: number): number {
  let octets = 0
  if (parts & COLUMNS) octets += message.columns?.octets.length ?? 0
  if (parts & RECEIVED) octets += 8
  if (parts & EXPORTER) octets += message.exporterAddress?.length ?? 0
  if (parts & DOMAIN) octets += 4
  return octets
}
