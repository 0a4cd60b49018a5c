import {OR} from '../../record/group-kernel.js'
import type {GroupSpec} from '../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../record/row-table.js'
import {ie} from '../../registry/elements.js'
import {flowKey} from '../../registry/flow-keys.js'
import type {Analysis} from './app.js'
import {createObservers, observerParts, type Observers} from './findings.js'
import {flowColumns, flowKinds} from './flow-sums.js'
import {copyPart, eachGroup, numberAt, type VisitGroup} from './group-rows.js'
import type {TableSet} from './table-set.js'

/** What applications need that look at conversations: both directions of one come to the same Processing Unit. */
export const conversationNeeds: Omit<Analysis, 'createState'> = {
  needs: [
    [ie.sourceIPv4Address, ie.sourceIPv6Address],
    [ie.destinationIPv4Address, ie.destinationIPv6Address],
    [ie.protocolIdentifier],
  ],
  uses: flowColumns.flatMap(({elements}) => elements),
  routingKey: {
    key: [flowKey('srcip'), flowKey('dstip'), flowKey('proto')],
    symmetric: 1,
  },
  splittable: true,
}

/** Sums of one direction as one observation point saw it; the constants are the places of the key's parts. */
export const directionSpec: GroupSpec = {
  key: [
    flowKey('srcip'),
    flowKey('dstip'),
    flowKey('proto'),
    {...flowKey('srcport'), optional: true},
    {...flowKey('dstport'), optional: true},
    ...observerParts,
  ],
  columns: flowColumns,
}
export const SOURCE = 0
export const DESTINATION = 1
export const PROTOCOL = 2
export const SOURCE_PORT = 3
export const DESTINATION_PORT = 4
/** The first of `observerParts`. */
export const OBSERVER = 5

/** The key of a conversation: its lesser end and the greater one, each an address, 16 octets, and a port, then … */
export const END_OCTETS = 18
const PORT_AT = 16
/** … the protocol, and bits that say which end is IPv6. */
export const PROTOCOL_AT = 2 * END_OCTETS
export const VERSIONS_AT = PROTOCOL_AT + 1
const KEY_OCTETS = VERSIONS_AT + 1

export interface Conversations {
  /** Columns: those of `flowColumns`, then bits, one for each observer that saw the way from the lesser end, then those that saw the way back. */
  readonly rows: RowTable
  /** Words of the bits of one way. */
  readonly observerWords: number
  readonly observers: Observers
}

/** Both directions of each conversation together, of tables of `directionSpec`. The caller closes the rows. */
export function conversationsOf(tables: TableSet): Conversations {
  const observers = createObservers()
  const eachDirection = (
    visit: (domain: string, ...group: Parameters<VisitGroup>) => void,
  ): void => {
    for (const domain of tables.names()) {
      eachGroup(tables.of(domain)[0], (...group) => visit(domain, ...group))
    }
  }
  eachDirection((domain, shape, rows, at) => {
    observers.numberOf(domain, shape, OBSERVER, rows, at)
  })
  const ways = 2 * Math.max(1, Math.ceil(observers.names.length / 64))
  const table = createRowTable(KEY_OCTETS, [...flowKinds, ...Array.from({length: ways}, () => OR)])
  eachDirection((domain, shape, rows, at, words, columns) => {
    const [source, destination] = [shape.fields[SOURCE], shape.fields[DESTINATION]]
    const fromPort = numberAt(rows, at, shape, SOURCE_PORT)
    const toPort = numberAt(rows, at, shape, DESTINATION_PORT)
    let order = source.length - destination.length
    for (let i = 0; order === 0 && i < source.length; i++) {
      order = rows[at + source.offset + i] - rows[at + destination.offset + i]
    }
    const turned = order > 0 || (order === 0 && fromPort > toPort)
    const start = table.next()
    const {octets} = table
    const [here, there] = turned ? [start + END_OCTETS, start] : [start, start + END_OCTETS]
    copyPart(rows, at, shape, SOURCE, octets, here)
    copyPart(rows, at, shape, DESTINATION, octets, there)
    writePort(octets, here, fromPort)
    writePort(octets, there, toPort)
    octets[start + PROTOCOL_AT] = numberAt(rows, at, shape, PROTOCOL)
    const [lesser, greater] = turned ? [destination, source] : [source, destination]
    octets[start + VERSIONS_AT] = (lesser.length === 16 ? 1 : 0) | (greater.length === 16 ? 2 : 0)
    const into = (start + table.columnsAt) / 4
    for (let i = 0; i < 2 * flowColumns.length; i++) table.words[into + i] = words[columns + i]
    const observer = observers.numberOf(domain, shape, OBSERVER, rows, at)
    const way = into + 2 * flowColumns.length + (turned ? ways : 0)
    table.words[way + (observer >>> 5)] = 1 << (observer & 31)
  })
  return {rows: table, observerWords: ways, observers}
}

function writePort(octets: Uint8Array, start: number, port: number): void {
  octets[start + PORT_AT] = port >>> 8
  octets[start + PORT_AT + 1] = port
}

/** An end that lies at `start`. */
export function endAt(
  octets: Uint8Array,
  start: number,
  isV6: boolean,
): {address: Uint8Array; port: number} {
  return {
    address: octets.slice(start, start + (isV6 ? 16 : 4)),
    port: (octets[start + PORT_AT] << 8) | octets[start + PORT_AT + 1],
  }
}
