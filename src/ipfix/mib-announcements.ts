import {
  MESSAGE_HEADER_OCTETS,
  OPTIONS_TEMPLATE_SET_ID,
  SET_HEADER_OCTETS,
  TEMPLATE_SET_ID,
  writeMessageHeader,
} from './message.js'
import {mibFieldReader, type MibFieldReader} from './mib-fields.js'
import type {KeptOption} from './options-memory.js'
import {joinMessages, type Messages, type TableEntry, type TemplateTable} from './template-table.js'

/** Templates with values of SNMP objects, announced together with what is said of their fields. */
export interface MibAnnouncements {
  readonly messages: Messages
  /** Entries and options that are in these Messages and need no other. */
  readonly entries: ReadonlySet<TableEntry>
  readonly options: ReadonlySet<KeptOption>
}

/**
 * One Message for each of those `entries` of which `options` say what objects their fields have the values of: the Template, the
 * MIB Field Options Template, and the options. RFC 8038 section 5.7. What does not fit `maxOctets` is left to others.
 */
export function mibAnnouncements(
  table: TemplateTable,
  entries: readonly TableEntry[],
  options: readonly KeptOption[],
  maxOctets: number,
  exportTime: number,
): MibAnnouncements {
  const readers = new Map<TableEntry, MibFieldReader | undefined>()
  const said = new Map<TableEntry, KeptOption[]>()
  for (const option of options) {
    const {entry, octets} = option
    const template = table.template(entry)
    if (!readers.has(entry)) readers.set(entry, mibFieldReader(template))
    const of = readers.get(entry)?.(
      {
        template,
        octets,
        view: new DataView(octets.buffer, octets.byteOffset, octets.byteLength),
        start: 0,
        count: 1,
        offsets: Uint32Array.of(0, octets.length),
        message: {
          exportTime,
          sequenceNumber: 0,
          observationDomainId: entry.observationDomainId,
          offset: 0,
        },
      },
      0,
    )
    const about = of && table.find(entry.observationDomainId, of.templateId)
    if (about === undefined) continue
    const others = said.get(about)
    if (others === undefined) said.set(about, [option])
    else others.push(option)
  }
  const messages: Uint8Array[] = []
  const counts: number[] = []
  const done = {entries: new Set<TableEntry>(), options: new Set<KeptOption>()}
  for (const entry of entries) {
    const about = said.get(entry)
    if (about === undefined) continue
    const message = announcement(entry, about, exportTime)
    if (message.length > Math.min(maxOctets, 65535)) continue
    messages.push(message)
    counts.push(about.length)
    done.entries.add(entry)
    for (const option of about) done.options.add(option)
  }
  return {messages: joinMessages(messages, Uint32Array.from(counts)), ...done}
}

function announcement(
  entry: TableEntry,
  options: readonly KeptOption[],
  exportTime: number,
): Uint8Array {
  const sets: [id: number, bodies: readonly Uint8Array[]][] = [
    [entry.isOptions ? OPTIONS_TEMPLATE_SET_ID : TEMPLATE_SET_ID, [entry.record]],
  ]
  const kinds = new Set(options.map((option) => option.entry))
  sets.push([OPTIONS_TEMPLATE_SET_ID, [...kinds].map(({record}) => record)])
  for (const kind of kinds) {
    const own = options.filter((option) => option.entry === kind)
    sets.push([kind.id, own.map(({octets}) => octets)])
  }
  const size = (bodies: readonly Uint8Array[]): number =>
    bodies.reduce((sum, {length}) => sum + length, SET_HEADER_OCTETS)
  const length = sets.reduce((sum, [, bodies]) => sum + size(bodies), MESSAGE_HEADER_OCTETS)
  const octets = new Uint8Array(length)
  const view = new DataView(octets.buffer)
  // Too long for the header's field, it is not sent.
  writeMessageHeader(view, 0, {
    length: Math.min(length, 65535),
    exportTime,
    sequenceNumber: 0,
    observationDomainId: entry.observationDomainId,
  })
  let at = MESSAGE_HEADER_OCTETS
  for (const [id, bodies] of sets) {
    view.setUint16(at, id)
    view.setUint16(at + 2, Math.min(size(bodies), 65535))
    at += SET_HEADER_OCTETS
    for (const body of bodies) {
      octets.set(body, at)
      at += body.length
    }
  }
  return octets
}
