import {OR} from '../../record/group-kernel.js'
import type {GroupSpec, KeyShape} from '../../record/group-spec.js'
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
const SOURCE = 0
const DESTINATION = 1
const PROTOCOL = 2
const SOURCE_PORT = 3
const DESTINATION_PORT = 4
/** The first of `observerParts`. */
const OBSERVER = 5

/** The key of a conversation: its lesser end and the greater one, each an address, 16 octets, and a port, then … */
export const END_OCTETS = 18
const PORT_AT = 16
/** … the protocol, and bits: which end is IPv6, and which has a port. */
export const PROTOCOL_AT = 2 * END_OCTETS
const KINDS_AT = PROTOCOL_AT + 1
export const CONVERSATION_OCTETS = KINDS_AT + 1

/** An end of a conversation, of which 0 is the lesser one. */
export interface End {
  readonly address: Uint8Array
  /** Undefined: not known. */
  readonly port: number | undefined
}

/** Reads an end from a key that begins at `start`. */
export function endAt(octets: Uint8Array, start: number, end: 0 | 1): End {
  const kinds = octets[start + KINDS_AT] >>> end
  const at = start + end * END_OCTETS
  return {
    address: octets.slice(at, at + ((kinds & 1) === 0 ? 4 : 16)),
    port: (kinds & 4) === 0 ? undefined : (octets[at + PORT_AT] << 8) | octets[at + PORT_AT + 1],
  }
}

/**
 * Writes the key of the conversation that a group of `directionSpec` is one direction of, over zeros.
 *
 * @returns whether the group's source is the greater end
 */
export function writeConversation(
  shape: KeyShape,
  rows: Uint8Array,
  at: number,
  octets: Uint8Array,
  start: number,
): boolean {
  const {fields} = shape
  const [source, destination] = [fields[SOURCE], fields[DESTINATION]]
  // One more than the port, 0 where there is none.
  const fromPort = fields[SOURCE_PORT].length && 1 + numberAt(rows, at, shape, SOURCE_PORT)
  const toPort = fields[DESTINATION_PORT].length && 1 + numberAt(rows, at, shape, DESTINATION_PORT)
  let order = source.length - destination.length
  for (let i = 0; order === 0 && i < source.length; i++) {
    order = rows[at + source.offset + i] - rows[at + destination.offset + i]
  }
  const turned = order > 0 || (order === 0 && fromPort > toPort)
  const [here, there] = turned ? [1, 0] : [0, 1]
  copyPart(rows, at, shape, SOURCE, octets, start + here * END_OCTETS)
  copyPart(rows, at, shape, DESTINATION, octets, start + there * END_OCTETS)
  writePort(octets, start + here * END_OCTETS, fromPort)
  writePort(octets, start + there * END_OCTETS, toPort)
  octets[start + PROTOCOL_AT] = numberAt(rows, at, shape, PROTOCOL)
  octets[start + KINDS_AT] =
    ((source.length === 16 ? 1 : 0) << here) |
    ((destination.length === 16 ? 1 : 0) << there) |
    ((fromPort > 0 ? 4 : 0) << here) |
    ((toPort > 0 ? 4 : 0) << there)
  return turned
}

function writePort(octets: Uint8Array, start: number, port: number): void {
  if (port === 0) return
  octets[start + PORT_AT] = (port - 1) >>> 8
  octets[start + PORT_AT + 1] = port - 1
}

/** Every group of tables of `directionSpec`, with the number of who saw it. */
export function eachDirection(
  tables: TableSet,
  observers: Observers,
  visit: (observer: number, ...group: Parameters<VisitGroup>) => void,
): void {
  for (const domain of tables.names()) {
    eachGroup(tables.of(domain)[0], (shape, rows, at, words, columns) => {
      visit(observers.numberOf(domain, shape, OBSERVER, rows, at), shape, rows, at, words, columns)
    })
  }
}

export interface Conversations {
  /** Columns: those of `flowColumns`, then bits, one for each observer that saw the way from the lesser end, then those that saw the way back. */
  readonly rows: RowTable
  /** Words of the bits of one way. */
  readonly observerWords: number
  readonly observers: Observers
}

/**
 * Both directions of each conversation together, of tables of `directionSpec`; a port that is not known is 0. The caller
 * closes the rows.
 */
export function conversationsOf(tables: TableSet): Conversations {
  const observers = createObservers()
  eachDirection(tables, observers, () => {})
  const ways = 2 * Math.max(1, Math.ceil(observers.names.length / 64))
  const table = createRowTable(CONVERSATION_OCTETS, [
    ...flowKinds,
    ...Array.from({length: ways}, () => OR),
  ])
  const {octets, words} = table
  eachDirection(tables, observers, (observer, shape, rows, at, from, columns) => {
    const start = table.next()
    const turned = writeConversation(shape, rows, at, octets, start)
    octets[start + KINDS_AT] |= 12
    const into = (start + table.columnsAt) / 4
    for (let i = 0; i < 2 * flowColumns.length; i++) words[into + i] = from[columns + i]
    const way = into + 2 * flowColumns.length + (turned ? ways : 0)
    words[way + (observer >>> 5)] = 1 << (observer & 31)
  })
  return {rows: table, observerWords: ways, observers}
}
