import {MESSAGE_HEADER_OCTETS, SET_HEADER_OCTETS, writeMessageHeader} from './message.js'
import {measureTemplateRecord, planOfLengths} from './template-record.js'
import {fieldLengths, joinMessages, recordEnd} from './template-table.js'
import type {Messages, TableEntry} from './template-table.js'

/** Octets of all records that are kept, and what each costs besides. */
const MAX_OCTETS = 1 << 18
const RECORD_COST = 64

/** The last Data Record of an Options Template for one scope. */
export interface KeptOption {
  readonly entry: TableEntry
  readonly octets: Uint8Array
  /** Where in the stream the Message with the first of its scope begins; −1 if that was before what was observed. */
  readonly position: number
}

/**
 * Options Data Records of a stream, which hold until others with the same scope come: who joins the stream later has to
 * be told them as well as the Templates. Of more than there is room for, those that were said longest ago are forgotten.
 */
export interface OptionsMemory {
  /** Takes in the Data Records of `entry` between `at` and `end`. @returns how many there are */
  keep(octets: Uint8Array, at: number, end: number, entry: TableEntry, position: number): number
  /** Those whose scope and Template came before `position`, in the order in which they were said last. */
  before(position: number): KeptOption[]
}

export function createOptionsMemory(): OptionsMemory {
  const kept = new Map<string, KeptOption>()
  const scopes = new WeakMap<TableEntry, Pick<TableEntry, 'recordOctets' | 'plan'>>()
  let room = MAX_OCTETS

  function scopeOf(entry: TableEntry): Pick<TableEntry, 'recordOctets' | 'plan'> {
    let scope = scopes.get(entry)
    if (scope === undefined) {
      const {record} = entry
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
      const {fields, scopeCount} = measureTemplateRecord(view, 0, record.length, true)
      const plan = planOfLengths(fieldLengths(view, fields, scopeCount))
      scope = {
        recordOctets: plan.length === 1 ? plan[0] : 0,
        plan: plan.length === 1 ? undefined : plan,
      }
      scopes.set(entry, scope)
    }
    return scope
  }

  function forget(key: string): KeptOption | undefined {
    const old = kept.get(key)
    if (old !== undefined) {
      room += old.octets.length + RECORD_COST
      kept.delete(key)
    }
    return old
  }

  return {
    keep(octets, at, end, entry, position) {
      const scope = scopeOf(entry)
      let count = 0
      for (let next = recordEnd(octets, at, end, entry); next > 0;) {
        count++
        const behind = recordEnd(octets, at, next, scope)
        const words = String.fromCharCode(...octets.subarray(at, Math.max(behind, at)))
        const key = `${entry.observationDomainId}/${entry.id}/${words}`
        // Said anew, it is the last one.
        const first = forget(key)?.position ?? position
        kept.set(key, {entry, octets: octets.slice(at, next), position: first})
        room -= next - at + RECORD_COST
        while (room < 0) forget(kept.keys().next().value as string)
        at = next
        next = recordEnd(octets, at, end, entry)
      }
      return count
    },
    before: (position) =>
      [...kept.values()].filter(
        (option) => option.position < position && option.entry.position < position,
      ),
  }
}

/**
 * Messages of at most `maxOctets` octets with these Data Records, their sequence numbers left 0. One that fits none is left
 * out.
 */
export function optionsMessages(
  options: readonly KeptOption[],
  maxOctets: number,
  exportTime: number,
): Messages {
  const messages: Uint8Array[] = []
  const counts: number[] = []
  const message = new Uint8Array(Math.min(maxOctets, 65535))
  const view = new DataView(message.buffer)
  let at = MESSAGE_HEADER_OCTETS
  let set = -1
  let count = 0
  let observationDomainId = 0

  function closeSet(): void {
    if (set >= 0) view.setUint16(set + 2, at - set)
    set = -1
  }

  function close(): void {
    closeSet()
    if (count > 0) {
      const header = {length: at, exportTime, sequenceNumber: 0, observationDomainId}
      writeMessageHeader(view, 0, header)
      messages.push(message.slice(0, at))
      counts.push(count)
    }
    at = MESSAGE_HEADER_OCTETS
    count = 0
  }

  for (const {entry, octets} of options) {
    const least = SET_HEADER_OCTETS + octets.length
    if (MESSAGE_HEADER_OCTETS + least > message.length) continue
    if (entry.observationDomainId !== observationDomainId || at + least > message.length) close()
    observationDomainId = entry.observationDomainId
    if (set < 0 || view.getUint16(set) !== entry.id) {
      closeSet()
      set = at
      view.setUint16(at, entry.id)
      at += SET_HEADER_OCTETS
    }
    message.set(octets, at)
    at += octets.length
    count++
  }
  close()
  return joinMessages(messages, Uint32Array.from(counts))
}
