import {
  MAX_MESSAGE_OCTETS,
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
} from './message.js'
import {
  measureTemplateRecord,
  templateRecordOctets,
  writeTemplateRecord,
} from './template-record.js'
import type {Encoder} from '../record/format.js'
import {createTemplate} from '../record/template.js'
import {ie} from '../registry/elements.js'

/** Gives the 16 octets of the MD5 digest of all it is given. */
export type Md5 = (octets: Uint8Array) => Uint8Array

const DIGEST_OCTETS = 16
/** The last one that there is: encoders give the others from 256 on. */
const DIGEST_TEMPLATE_ID = 65535

/** RFC 5655 section 8.1.1. */
const digestTemplate = createTemplate(
  DIGEST_TEMPLATE_ID,
  [
    {element: ie.messageScope, length: 1},
    {element: ie.messageMD5Checksum, length: DIGEST_OCTETS},
  ],
  1,
)
const ANNOUNCEMENT_OCTETS = SET_HEADER_OCTETS + templateRecordOctets(digestTemplate)
const DATA_OCTETS = SET_HEADER_OCTETS + digestTemplate.recordOctets

/** Octets that a Message may have so that there is room for its digest, with the Template. */
export const MAX_DIGESTED_OCTETS = MAX_MESSAGE_OCTETS - ANNOUNCEMENT_OCTETS - DATA_OCTETS

/**
 * Puts behind the Sets of each Message that `encoder` makes, of at most `MAX_DIGESTED_OCTETS` octets, an Options Record with the
 * Message's digest. Sequence numbers count these records too.
 *
 * Where the encoder itself comes to need the Template ID of the digest, there are no more digests: `exhausted` is told.
 */
export function withMessageDigests(encoder: Encoder, md5: Md5, exhausted: () => void): Encoder {
  /** Digests so far, by domain. */
  const sent = new Map<number, number>()
  let over = false

  function digested(chunk: Uint8Array): Uint8Array {
    const from = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let messages = 0
    for (let at = 0; at < chunk.length; at += from.getUint16(at + 2)) messages++
    const out = new Uint8Array(chunk.length + messages * (ANNOUNCEMENT_OCTETS + DATA_OCTETS))
    const view = new DataView(out.buffer)
    let to = 0
    for (let at = 0; at < chunk.length;) {
      const length = from.getUint16(at + 2)
      out.set(chunk.subarray(at, at + length), to)
      const domain = view.getUint32(to + 12)
      const before = sent.get(domain) ?? 0
      view.setUint32(to + 8, view.getUint32(to + 8) + before)
      if (!over && usesDigestId(view, to, length)) {
        over = true
        exhausted()
      }
      to = over ? to + length : close(out, view, to, to + length, domain, before)
      at += length
    }
    return out.subarray(0, to)
  }

  /** @returns where the Message ends */
  function close(
    out: Uint8Array,
    view: DataView,
    start: number,
    at: number,
    domain: number,
    before: number,
  ): number {
    if (before === 0) {
      view.setUint16(at, OPTIONS_TEMPLATE_SET_ID)
      view.setUint16(at + 2, ANNOUNCEMENT_OCTETS)
      at = writeTemplateRecord(view, at + SET_HEADER_OCTETS, digestTemplate)
    }
    view.setUint16(at, DIGEST_TEMPLATE_ID)
    view.setUint16(at + 2, DATA_OCTETS)
    const end = at + DATA_OCTETS
    view.setUint16(start + 2, end - start)
    sent.set(domain, before + 1)
    // Of the Message with zeros where the digest comes.
    out.set(md5(out.subarray(start, end)), end - DIGEST_OCTETS)
    return end
  }

  const each = (chunks: readonly Uint8Array[]): Uint8Array[] => chunks.map(digested)
  return {
    push: (batches) => each(encoder.push(batches)),
    flush: () => each(encoder.flush()),
    end: () => each(encoder.end()),
  }
}

/** Whether the Message announces a Template of the digest's ID, or has data of one. */
function usesDigestId(view: DataView, start: number, length: number): boolean {
  const end = start + length
  for (let at = start + MESSAGE_HEADER_OCTETS; end - at >= SET_HEADER_OCTETS;) {
    const id = view.getUint16(at)
    const next = at + view.getUint16(at + 2)
    if (id === DIGEST_TEMPLATE_ID) return true
    if (id < MIN_DATA_SET_ID && (id === TEMPLATE_SET_ID || id === OPTIONS_TEMPLATE_SET_ID)) {
      for (let place = at + SET_HEADER_OCTETS; next - place >= 4 && view.getUint16(place) !== 0;) {
        const record = measureTemplateRecord(view, place, next, id === OPTIONS_TEMPLATE_SET_ID)
        if (record.id === DIGEST_TEMPLATE_ID) return true
        place = record.end
      }
    }
    at = next
  }
  return false
}
