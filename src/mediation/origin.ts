import {recordEnd, recordStart, type RecordBatch, type TemplateLookup} from '../record/batch.js'
import type {MessageContext} from '../record/batch.js'
import {createTemplate, fieldIndex, type FieldSpecifier, type Template} from '../record/template.js'
import {ie} from '../registry/lookup.js'

/** Copies records of one size into `out` from `to` on, each with `tail` behind it. In C++ or in TypeScript. */
export type AppendTail = (
  octets: Uint8Array,
  start: number,
  size: number,
  count: number,
  tail: Uint8Array,
  out: Uint8Array,
  to: number,
) => void

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

const RECEIVED = 1
const V4 = 2
const V6 = 4
const COLUMNS = 8
const EXPORTER = 16
const DOMAIN = 32

/**
 * Puts into each record what is known of its origin: what the header of its Message said, when it came, the Exporter's
 * address and Observation Domain. What an earlier Mediator has put in stays. RFC 7119 sections 4 and 5.
 *
 * Records of files, of which nothing is known, pass as they are.
 */
export function createOrigin(appendTail: AppendTail = appendTailSlowly): {
  add(batches: readonly RecordBatch[]): RecordBatch[]
} {
  const extensions = new WeakMap<Template, Extension[]>()
  const lookups = new WeakMap<TemplateLookup, Map<number, TemplateLookup>>()
  let lastTemplate: Template | undefined
  let lastExtension: Extension | undefined
  let lastMessage: MessageContext | undefined
  let lastParts = 0
  let tail: Uint8Array = new Uint8Array(0)

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

  function tailOf(message: MessageContext, {parts}: Extension): Uint8Array {
    if (message === lastMessage && parts === lastParts) return tail
    lastMessage = message
    lastParts = parts
    const {columns, receivedMs, exporterAddress, observationDomainId} = message
    const octets = new Uint8Array(tailOctets(message, parts))
    const view = new DataView(octets.buffer)
    let at = 0
    if (parts & COLUMNS && columns !== undefined) {
      octets.set(columns.octets)
      at += columns.octets.length
    }
    if (parts & RECEIVED && receivedMs !== undefined) {
      view.setUint32(at, Math.floor(receivedMs / 4294967296))
      view.setUint32(at + 4, receivedMs >>> 0)
      at += 8
    }
    if (parts & EXPORTER && exporterAddress !== undefined) {
      octets.set(exporterAddress, at)
      at += exporterAddress.length
    }
    if (parts & DOMAIN) view.setUint32(at, observationDomainId)
    tail = octets
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
    const behind = tailOf(message, extension)
    const {count} = batch
    const first = recordStart(batch, 0)
    const old = recordEnd(batch, count - 1) - first
    const octets = new Uint8Array(old + count * behind.length)
    let offsets: Uint32Array | undefined
    if (batch.offsets === undefined) {
      appendTail(batch.octets, first, template.recordOctets, count, behind, octets, 0)
    } else {
      offsets = new Uint32Array(count + 1)
      let at = 0
      for (let i = 0; i < count; i++) {
        offsets[i] = at
        const from = batch.offsets[i]
        const to = batch.offsets[i + 1]
        octets.set(batch.octets.subarray(from, to), at)
        at += to - from
        octets.set(behind, at)
        at += behind.length
      }
      offsets[count] = at
    }
    let {templates} = batch
    if (templates !== undefined && template.scopeCount > 0) {
      templates = lookupOf(templates, kind, message.columns?.specifiers)
      // The extension of this Template was last in hand, not that of another one.
      lastTemplate = undefined
    }
    return {
      template: extension.template,
      octets,
      view: new DataView(octets.buffer),
      start: 0,
      count,
      offsets,
      message,
      templates,
      elements: batch.elements,
    }
  }

  return {add: (batches) => batches.map(addTo)}
}

function kindOf({receivedMs, exporterAddress}: MessageContext): number {
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

function appendTailSlowly(
  octets: Uint8Array,
  start: number,
  size: number,
  count: number,
  tail: Uint8Array,
  out: Uint8Array,
  to: number,
): void {
  for (let i = 0; i < count; i++) {
    out.set(octets.subarray(start, start + size), to)
    out.set(tail, to + size)
    start += size
    to += size + tail.length
  }
}
