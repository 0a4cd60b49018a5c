import {
  MESSAGE_HEADER_OCTETS,
  MIN_DATA_SET_ID,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
} from './message.js'
import {measureTemplateRecord} from './template-record.js'
import {recordEnd, type TemplateTable} from './template-table.js'

/** What became of a Message that was too long. */
export interface SplitMessage {
  readonly messages: Uint8Array[]
  /** Data Records in each. */
  readonly counts: number[]
  /** Data Records that are too long for any Message of this size, each in a longer one of its own. */
  readonly tooLong: Uint8Array[]
}

/**
 * Cuts the Message from `start` to `end` into such as have at most `maxOctets` octets: between records, never in one, in
 * the same order. RFC 7011 section 10.3.3. Headers are copies of its own but for the length.
 */
export function splitMessage(
  octets: Uint8Array,
  start: number,
  end: number,
  maxOctets: number,
  table: TemplateTable,
): SplitMessage {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const domain = view.getUint32(start + 12)
  const messages: Uint8Array[] = []
  const counts: number[] = []
  const tooLong: Uint8Array[] = []
  const message = new Uint8Array(maxOctets)
  const out = new DataView(message.buffer)
  message.set(octets.subarray(start, start + MESSAGE_HEADER_OCTETS))
  let at = MESSAGE_HEADER_OCTETS
  let count = 0
  let set = -1

  function close(): void {
    if (set >= 0) out.setUint16(set + 2, at - set)
    set = -1
    if (at > MESSAGE_HEADER_OCTETS) {
      out.setUint16(2, at)
      messages.push(message.slice(0, at))
      counts.push(count)
    }
    at = MESSAGE_HEADER_OCTETS
    count = 0
  }

  function add(setId: number, from: number, to: number): boolean {
    const size = to - from
    if (MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS + size > maxOctets) return false
    const header = set >= 0 && out.getUint16(set) === setId ? 0 : SET_HEADER_OCTETS
    if (at + header + size > maxOctets) close()
    if (set < 0 || out.getUint16(set) !== setId) {
      if (set >= 0) out.setUint16(set + 2, at - set)
      set = at
      out.setUint16(at, setId)
      at += SET_HEADER_OCTETS
    }
    message.set(octets.subarray(from, to), at)
    at += size
    return true
  }

  function alone(setId: number, from: number, to: number): Uint8Array {
    const before = MESSAGE_HEADER_OCTETS + SET_HEADER_OCTETS
    const own = new Uint8Array(before + to - from)
    const header = new DataView(own.buffer)
    own.set(octets.subarray(start, start + MESSAGE_HEADER_OCTETS))
    own.set(octets.subarray(from, to), before)
    header.setUint16(2, own.length)
    header.setUint16(MESSAGE_HEADER_OCTETS, setId)
    header.setUint16(MESSAGE_HEADER_OCTETS + 2, own.length - MESSAGE_HEADER_OCTETS)
    return own
  }

  for (let place = start + MESSAGE_HEADER_OCTETS; end - place >= SET_HEADER_OCTETS;) {
    const setId = view.getUint16(place)
    const next = place + view.getUint16(place + 2)
    let from = place + SET_HEADER_OCTETS
    if (setId >= MIN_DATA_SET_ID) {
      const entry = table.find(domain, setId)
      while (entry !== undefined) {
        const to = recordEnd(octets, from, next, entry)
        if (to === 0) break
        if (add(setId, from, to)) count++
        else tooLong.push(alone(setId, from, to))
        from = to
      }
    } else {
      const isOptions = setId === OPTIONS_TEMPLATE_SET_ID
      while (next - from >= 4 && view.getUint16(from) !== 0) {
        const record = measureTemplateRecord(view, from, next, isOptions)
        if (record.fault === 'cut') break
        add(setId, from, record.end)
        from = record.end
      }
    }
    place = next
  }
  close()
  return {messages, counts, tooLong}
}
