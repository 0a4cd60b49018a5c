import {fieldSpan, type RecordBatch} from '../../record/batch.js'
import {VARIABLE, type InformationElement} from '../../record/element.js'
import {append, createOctetWriter, extend} from '../../record/octet-writer.js'
import {createTemplate, fieldIndex, type Template} from '../../record/template.js'
import {ie} from '../../registry/elements.js'

interface Plan {
  readonly template: Template
  /** Fields that stay as they are, behind the digest. */
  readonly kept: readonly number[]
  readonly section: number
}

/**
 * Packet Reports that have the beginning of the packet and no digest get one: a hash of what routers leave as it is (RFC 5475 section
 * 6.2.2), so that it is the same at every observation point whose reports have as many octets of a packet. Other records stay.
 *
 * @param wanted elements that somebody reads
 */
export function createDigests(
  wanted: readonly InformationElement[],
): (batch: RecordBatch) => RecordBatch {
  const plans = new WeakMap<Template, Plan | 'as it is'>()
  return (batch) => {
    let plan = plans.get(batch.template)
    if (plan === undefined) {
      plan = planOf(batch.template, wanted)
      plans.set(batch.template, plan)
    }
    return plan === 'as it is' ? batch : digested(batch, plan)
  }
}

function planOf(template: Template, wanted: readonly InformationElement[]): Plan | 'as it is' {
  const section = fieldIndex(template, ie.ipHeaderPacketSection)
  if (section < 0 || fieldIndex(template, ie.digestHashValue) >= 0) return 'as it is'
  const kept = template.fields
    .map((_, i) => i)
    .filter((i) => wanted.includes(template.fields[i].element))
    .filter((i) => template.fields[i].length !== VARIABLE)
  const specifiers = [
    {element: ie.digestHashValue, length: 8},
    ...kept.map((i) => template.fields[i]),
  ]
  return {template: createTemplate(template.id, specifiers), kept, section}
}

function digested(batch: RecordBatch, {template, kept, section}: Plan): RecordBatch {
  const writer = createOctetWriter(batch.count * template.recordOctets)
  const hash = new Uint32Array(2)
  for (let i = 0; i < batch.count; i++) {
    const {start, length} = fieldSpan(batch, i, section)
    digestPacket(batch.octets, start, length, hash)
    const at = extend(writer, 8)
    writer.view.setUint32(at, hash[0])
    writer.view.setUint32(at + 4, hash[1])
    for (const field of kept) {
      const span = fieldSpan(batch, i, field)
      append(writer, batch.octets.subarray(span.start, span.start + span.length))
    }
  }
  const {octets, view} = writer
  return {...batch, template, octets, view, start: 0, offsets: undefined}
}

/**
 * Two hashes of the first octets of an IP packet, but for type of service, time to live and checksum, or traffic class and hop
 * limit: routers change these.
 */
function digestPacket(octets: Uint8Array, start: number, length: number, hash: Uint32Array): void {
  const version = length === 0 ? 0 : octets[start] >>> 4
  let a = 0x811c9dc5 ^ length
  let b = 0x9e3779b9 ^ length
  for (let i = 0; i < length; i++) {
    const octet = octets[start + i] & maskOf(version, i)
    a = Math.imul(a ^ octet, 0x01000193)
    b = Math.imul(b ^ octet, 0x85ebca6b)
    b = (b << 13) | (b >>> 19)
  }
  hash[0] = finish(a)
  hash[1] = finish(b ^ a)
}

/** Bits of the octet at `i` of an IP header that stay the same on the way. */
function maskOf(version: number, i: number): number {
  if (version === 4) return i === 1 || i === 8 || i === 10 || i === 11 ? 0 : 255
  if (version !== 6) return 255
  if (i === 0) return 0xf0
  if (i === 1) return 0x0f
  return i === 7 ? 0 : 255
}

function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
