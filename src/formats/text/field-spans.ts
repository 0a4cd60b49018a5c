import {VARIABLE} from '../../record/element.js'
import type {Template} from '../../record/template.js'

/** Where the fields of one record lie. */
export interface FieldSpans {
  readonly starts: Int32Array
  readonly lengths: Int32Array
  /** Length octets before the value: 0 for a fixed length, else 1 or 3. RFC 7011 section 7. */
  readonly lengthOctets: Uint8Array
}

/** Room for records of at least `fields` fields. */
export function createFieldSpans(fields: number): FieldSpans {
  const n = Math.max(64, fields)
  return {
    starts: new Int32Array(n),
    lengths: new Int32Array(n),
    lengthOctets: new Uint8Array(n),
  }
}

/** Finds all fields of the record at `start`; returns the octet behind it, −1 if that is beyond `limit`. */
export function locate(
  {fields}: Template,
  octets: Uint8Array,
  start: number,
  limit: number,
  {starts, lengths, lengthOctets}: FieldSpans,
): number {
  let at = start
  for (let i = 0; i < fields.length; i++) {
    let {length} = fields[i]
    let prefix = 0
    if (length === VARIABLE) {
      prefix = 1
      if (at >= limit) return -1
      length = octets[at++]
      if (length === 255) {
        if (limit - at < 2) return -1
        prefix = 3
        length = (octets[at] << 8) | octets[at + 1]
        at += 2
      }
    }
    starts[i] = at
    lengths[i] = length
    lengthOctets[i] = prefix
    at += length
    if (at > limit) return -1
  }
  return at
}
