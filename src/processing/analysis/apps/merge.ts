import type {GroupRow} from '../../../record/group-row.js'
import {ie} from '../../../registry/elements.js'
import {reverseOf} from '../../../registry/lookup.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  conversationNeeds,
  DESTINATION,
  DESTINATION_PORT,
  directionSpec,
  OBSERVER,
  PROTOCOL,
  SOURCE,
  SOURCE_PORT,
} from '../conversations.js'
import {
  destinationField,
  knownNumber,
  observerText,
  octetText,
  partNumber,
  sourceField,
  textOctets,
} from '../findings.js'
import {rowSums, type FlowSums} from '../flow-sums.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {byDomain, createTableSet, tableState} from '../table-set.js'

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

/** One direction as the observation point saw it that saw most of it. */
interface Direction {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly sourcePort: number | undefined
  readonly destinationPort: number | undefined
  sums: FlowSums
  observer: string
  observers: number
}

function createState(uniflow: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([directionSpec], limits)

  function directions(): Map<string, Direction> {
    const found = new Map<string, Direction>()
    for (const domain of tables.names()) {
      tables.of(domain)[0].eachRow((row) => {
        const seen = directionOf(
          row,
          observerText(domain, row.part(OBSERVER), row.part(OBSERVER + 1)),
        )
        const name = nameOf(seen, false)
        const known = found.get(name)
        if (known === undefined) {
          found.set(name, seen)
          return
        }
        known.observers++
        // Points that saw less have lost something, sampled, or come from a part of the path.
        if (isMore(seen, known)) {
          known.sums = seen.sums
          known.observer = seen.observer
        }
      })
    }
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = directions()
    for (const name of [...all.keys()].sort()) {
      const forward = all.get(name)!
      const reverseName = nameOf(forward, true)
      const reverse = uniflow || reverseName === name ? undefined : all.get(reverseName)
      if (reverse === undefined) {
        yield {fields: fieldsOf(forward)}
        continue
      }
      // Whoever began is the source; of two that began at once the one with the lesser key.
      const order = Number((forward.sums.start ?? 0n) - (reverse.sums.start ?? 0n))
      if (order < 0 || (order === 0 && name < reverseName)) {
        yield {fields: [...fieldsOf(forward), ...reverseFields(reverse.sums)]}
      }
    }
  }

  return tableState(tables, byDomain, records)
}

function directionOf(row: GroupRow, observer: string): Direction {
  return {
    source: octetText(row.part(SOURCE)!),
    destination: octetText(row.part(DESTINATION)!),
    protocol: partNumber(row, PROTOCOL),
    sourcePort: knownNumber(row, SOURCE_PORT),
    destinationPort: knownNumber(row, DESTINATION_PORT),
    sums: rowSums(row),
    observer,
    observers: 1,
  }
}

function nameOf(of: Direction, turned: boolean): string {
  const one = `${of.source}:${String(of.sourcePort)}`
  const other = `${of.destination}:${String(of.destinationPort)}`
  return `${of.protocol} ${turned ? `${other} ${one}` : `${one} ${other}`}`
}

function isMore(a: Direction, b: Direction): boolean {
  if (a.sums.packets !== b.sums.packets) return a.sums.packets > b.sums.packets
  if (a.sums.octets !== b.sums.octets) return a.sums.octets > b.sums.octets
  return a.observer < b.observer
}

function fieldsOf(of: Direction): ResultField[] {
  const {sums} = of
  return [
    sourceField(textOctets(of.source)),
    destinationField(textOctets(of.destination)),
    [ie.protocolIdentifier, of.protocol],
    ...(of.sourcePort === undefined ? [] : [[ie.sourceTransportPort, of.sourcePort] as const]),
    ...(of.destinationPort === undefined
      ? []
      : [[ie.destinationTransportPort, of.destinationPort] as const]),
    ...sumsOf(sums),
    [ie.deltaFlowCount, sums.flows],
    [ie.dartaObserver, of.observer],
    [ie.dartaObserverCount, of.observers],
  ]
}

function sumsOf(sums: FlowSums): ResultField[] {
  return [
    [ie.octetDeltaCount, sums.octets],
    [ie.packetDeltaCount, sums.packets],
    ...(sums.start === undefined ? [] : [[ie.flowStartMilliseconds, sums.start] as const]),
    ...(sums.end === undefined ? [] : [[ie.flowEndMilliseconds, sums.end] as const]),
  ]
}

function reverseFields(sums: FlowSums): ResultField[] {
  return sumsOf(sums).map(([element, value]) => [reverseOf(element)!, value] as const)
}
