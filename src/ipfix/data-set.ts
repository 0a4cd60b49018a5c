import {learnElements} from './learn-elements.js'
import {learnMibFields} from './learn-mib-fields.js'
import {snapshotOf, type StoredTemplate} from './template-store.js'
import type {SessionState} from './session-state.js'
import type {MessageContext, RecordBatch} from '../record/batch.js'
import {isZero} from '../record/zero-octets.js'

/** Starts of the records of the Data Set being walked; grows to the longest seen. */
let walked = new Uint32Array(1024)

/**
 * Finds the records of variable length between `at` and `end`; their starts and the end of the last one are
 * left in `walked`.
 *
 * @returns how many, or −1 if one reaches past `end`
 */
function walkRecords(
  octets: Uint8Array,
  at: number,
  end: number,
  plan: Uint32Array,
  minimum: number,
): number {
  const last = plan.length - 1
  let count = 0
  while (end - at >= minimum) {
    if (count + 2 > walked.length) {
      const larger = new Uint32Array(walked.length * 2)
      larger.set(walked)
      walked = larger
    }
    walked[count++] = at
    for (let i = 0; i < last; i++) {
      at += plan[i]
      if (at >= end) return -1
      let length = octets[at++]
      if (length === 255) {
        if (end - at < 2) return -1
        length = (octets[at] << 8) | octets[at + 1]
        at += 2
      }
      at += length
    }
    at += plan[last]
    if (at > end) return -1
  }
  walked[count] = at
  return count
}

/**
 * Decodes a Data Set whose body is from `at` to `end`; appends its batch to `out`. RFC 7011 section 3.4.3.
 *
 * @returns its records, or −1 if it is malformed
 */
export function readDataSet(
  s: SessionState,
  octets: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  stored: StoredTemplate,
  message: MessageContext,
  out: RecordBatch[],
): number {
  const {template, plan, lists, directionless, types, mibFields} = stored.reading
  stored.used = true
  stored.domain.used = true
  let count: number
  let tail: number
  let offsets: Uint32Array | undefined
  if (plan === undefined) {
    const size = template.recordOctets
    count = Math.floor((end - at) / size)
    tail = at + count * size
  } else {
    count = walkRecords(octets, at, end, plan, template.minimumOctets)
    if (count < 0) return -1
    tail = walked[count]
    if (count > 0) offsets = walked.slice(0, count + 1)
  }
  if (tail < end && !isZero(octets, tail, end)) {
    s.process.messages.note('nonzero-padding', 1, message.offset)
  }
  if (count === 0) return 0
  if (directionless) {
    s.process.work.refused += count
    return count
  }
  const batch: RecordBatch = {
    template,
    octets,
    view,
    start: at,
    count,
    offsets,
    message,
    templates: lists ? snapshotOf(stored.domain) : undefined,
    elements: lists ? s.elements : undefined,
  }
  if (mibFields !== undefined) {
    learnMibFields(s, stored.domain, batch, mibFields)
    out.push({...batch, templates: snapshotOf(stored.domain)})
    return count
  }
  out.push(batch)
  if (types !== undefined) learnElements(s, batch, types)
  return count
}
