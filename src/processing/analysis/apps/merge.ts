import {ie} from '../../../registry/elements.js'
import {reverseOf} from '../../../registry/lookup.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  CONVERSATION_OCTETS,
  conversationNeeds,
  directionSpec,
  eachDirection,
  END_OCTETS,
  endAt,
  PROTOCOL_AT,
  writeConversation,
} from '../conversations.js'
import {createObservers, destinationField, sourceField, type Observers} from '../findings.js'
import {flowColumns, lighter, OCTETS, PACKETS, sumsAt, type FlowSums} from '../flow-sums.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {byDomain, createTableSet, tableState, type TableSet} from '../table-set.js'

export default defineApp({
  summary: 'Each conversation once: what several exporters, timeouts and directions made of it',
  options: {
    uniflow: {
      kind: 'flag',
      summary: 'Leave the two directions apart instead of making Biflows (RFC 5103).',
    },
  },
  prepare: ({uniflow}): Analysis => ({
    ...conversationNeeds,
    createState: (limits) => createState(uniflow, limits),
  }),
})

/** Where a direction lies in a row: the key of its conversation, which way it goes from there, who saw it; then its sums. */
const WAY_AT = CONVERSATION_OCTETS
const OBSERVER_AT = 40
const SUMS_AT = 48
const ROW_OCTETS = SUMS_AT + 8 * flowColumns.length

function createState(uniflow: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([directionSpec], limits)

  function* records(): Iterable<ResultRecord> {
    const observers = createObservers()
    const {octets, words} = directions(tables, observers)
    const fields = (row: number, count: number): ResultField[] =>
      fieldsOf(octets, words, row, observers.names[words[(row + OBSERVER_AT) / 4]], count)
    let forward: {row: number; count: number} | undefined
    for (const group of groupsOf(octets, inOrder(octets, words, observers.names))) {
      if (forward === undefined) forward = group
      else if (!uniflow && isSameTo(octets, forward.row, group.row, WAY_AT)) {
        const sums = (row: number): FlowSums => sumsAt(words, (row + SUMS_AT) / 4)
        const [there, back] = [sums(forward.row), sums(group.row)]
        // Whoever began is the source; of two that began at once the lesser end.
        if ((there.start ?? 0n) <= (back.start ?? 0n)) {
          yield {fields: [...fields(forward.row, forward.count), ...reverseFields(back)]}
        } else yield {fields: [...fields(group.row, group.count), ...reverseFields(there)]}
        forward = undefined
      } else {
        yield {fields: fields(forward.row, forward.count)}
        forward = group
      }
    }
    if (forward !== undefined) yield {fields: fields(forward.row, forward.count)}
  }

  return tableState(tables, byDomain, records)
}

/** A row for each direction and observation point. */
function directions(
  tables: TableSet,
  observers: Observers,
): {octets: Uint8Array; words: Uint32Array} {
  let count = 0
  eachDirection(tables, observers, () => count++)
  const octets = new Uint8Array(count * ROW_OCTETS)
  const words = new Uint32Array(octets.buffer)
  let row = 0
  eachDirection(tables, observers, (observer, shape, rows, at, from, columns) => {
    octets[row + WAY_AT] = writeConversation(shape, rows, at, octets, row) ? 1 : 0
    words[(row + OBSERVER_AT) / 4] = observer
    for (let i = 0; i < 2 * flowColumns.length; i++) {
      words[(row + SUMS_AT) / 4 + i] = from[columns + i]
    }
    row += ROW_OCTETS
  })
  return {octets, words}
}

/** Numbers of rows, by direction; of one direction the observation point that saw most of it is first. */
function inOrder(octets: Uint8Array, words: Uint32Array, names: readonly string[]): Uint32Array {
  const count = octets.length / ROW_OCTETS
  // Most are told apart by the address of the lesser end and a part of the other one.
  const heads = new Float64Array(count)
  const view = new DataView(octets.buffer)
  for (let i = 0; i < count; i++) {
    const at = i * ROW_OCTETS
    heads[i] = view.getUint32(at) * 0x10000 + view.getUint16(at + END_OCTETS)
  }
  const places = names.map((name) => names.filter((other) => other < name).length)
  return Uint32Array.from({length: count}, (_, i) => i).sort((a, b) => {
    if (heads[a] !== heads[b]) return heads[a] - heads[b]
    const [x, y] = [a * ROW_OCTETS, b * ROW_OCTETS]
    for (let i = 0; i <= WAY_AT; i++) {
      if (octets[x + i] !== octets[y + i]) return octets[x + i] - octets[y + i]
    }
    // Points that saw less have lost something, sampled, or come from a part of the path.
    for (const column of [PACKETS, OCTETS]) {
      for (const word of [2 * column + 1, 2 * column]) {
        const order = words[(y + SUMS_AT) / 4 + word] - words[(x + SUMS_AT) / 4 + word]
        if (order !== 0) return order
      }
    }
    return places[words[(x + OBSERVER_AT) / 4]] - places[words[(y + OBSERVER_AT) / 4]]
  })
}

/** The first row of each direction, as an octet, and how many rows it has. */
function* groupsOf(octets: Uint8Array, order: Uint32Array): Iterable<{row: number; count: number}> {
  for (let i = 0, next = 0; i < order.length; i = next) {
    const row = order[i] * ROW_OCTETS
    do next++
    while (next < order.length && isSameTo(octets, row, order[next] * ROW_OCTETS, WAY_AT + 1))
    yield {row, count: next - i}
  }
}

function isSameTo(octets: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (octets[a + i] !== octets[b + i]) return false
  return true
}

function fieldsOf(
  octets: Uint8Array,
  words: Uint32Array,
  row: number,
  observer: string,
  observers: number,
): ResultField[] {
  const turned = octets[row + WAY_AT] === 1
  const source = endAt(octets, row, turned ? 1 : 0)
  const destination = endAt(octets, row, turned ? 0 : 1)
  const sums = sumsAt(words, (row + SUMS_AT) / 4)
  return [
    sourceField(source.address),
    destinationField(destination.address),
    [ie.protocolIdentifier, octets[row + PROTOCOL_AT]],
    ...(source.port === undefined ? [] : [[ie.sourceTransportPort, source.port] as const]),
    ...(destination.port === undefined
      ? []
      : [[ie.destinationTransportPort, destination.port] as const]),
    ...fieldsOfSums(sums),
    [ie.deltaFlowCount, lighter(sums.flows)],
    [ie.dartaObserver, observer],
    [ie.dartaObserverCount, observers],
  ]
}

function fieldsOfSums(sums: FlowSums): ResultField[] {
  return [
    [ie.octetDeltaCount, lighter(sums.octets)],
    [ie.packetDeltaCount, lighter(sums.packets)],
    ...(sums.start === undefined ? [] : [[ie.flowStartMilliseconds, lighter(sums.start)] as const]),
    ...(sums.end === undefined ? [] : [[ie.flowEndMilliseconds, lighter(sums.end)] as const]),
  ]
}

function reverseFields(sums: FlowSums): ResultField[] {
  return fieldsOfSums(sums).map(([element, value]) => [reverseOf(element)!, value] as const)
}
