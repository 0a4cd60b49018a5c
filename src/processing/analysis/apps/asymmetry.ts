import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
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
  observerText,
  octetText,
  partNumber,
  sourceField,
  textOctets,
  whyOption,
} from '../findings.js'
import {addSums, noFlows, rowSums, sumFields, type FlowSums} from '../flow-sums.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {byDomain, createTableSet, tableState} from '../table-set.js'

export default defineApp({
  summary:
    'Conversations whose two directions take different ways, by the observation points that saw them',
  options: {
    oneWay: {
      kind: 'flag',
      summary: 'Conversations of which only one direction was seen anywhere, too.',
    },
    ...whyOption,
  },
  prepare: ({oneWay, why}): Analysis => ({
    ...conversationNeeds,
    createState: (limits) => createState(oneWay, why, limits),
  }),
})

interface Side {
  sums: FlowSums
  readonly observers: Set<string>
}

interface Conversation {
  readonly ends: readonly [string, string]
  readonly ports: readonly [number, number]
  readonly protocol: number
  /** From the lesser end to the greater one, and back. */
  readonly sides: [Side, Side]
}

function createState(oneWay: boolean, why: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([directionSpec], limits)

  function conversations(): Map<string, Conversation> {
    const found = new Map<string, Conversation>()
    for (const domain of tables.names()) {
      tables.of(domain)[0].eachRow((row) => {
        const source = octetText(row.part(SOURCE)!)
        const destination = octetText(row.part(DESTINATION)!)
        const protocol = partNumber(row, PROTOCOL)
        const ports = [partNumber(row, SOURCE_PORT), partNumber(row, DESTINATION_PORT)] as const
        const one = `${source}:${String.fromCharCode(ports[0])}`
        const other = `${destination}:${String.fromCharCode(ports[1])}`
        const turned = one > other
        const name = `${protocol} ${turned ? `${other} ${one}` : `${one} ${other}`}`
        let known = found.get(name)
        if (known === undefined) {
          const side = (): Side => ({sums: noFlows, observers: new Set()})
          known = {
            ends: turned ? [destination, source] : [source, destination],
            ports: turned ? [ports[1], ports[0]] : ports,
            protocol,
            sides: [side(), side()],
          }
          found.set(name, known)
        }
        const side = known.sides[turned ? 1 : 0]
        side.sums = addSums(side.sums, rowSums(row))
        side.observers.add(observerText(domain, row, OBSERVER))
      })
    }
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = conversations()
    let whole = noFlows
    const rows: ResultRecord[] = []
    let asymmetric = 0
    for (const name of [...all.keys()].sort()) {
      const of = all.get(name)!
      const [there, back] = of.sides
      whole = addSums(addSums(whole, there.sums), back.sums)
      const both = there.observers.size > 0 && back.observers.size > 0
      const parted = both && [...there.observers].every((point) => !back.observers.has(point))
      if (parted) asymmetric++
      if (parted || (oneWay && !both)) rows.push({fields: fieldsOf(of, both, why)})
    }
    yield {
      fields: [
        [ie.dartaStatistic, 'asymmetry'],
        [ie.dartaGroupCount, all.size],
        [ie.dartaMatchedCount, asymmetric],
        ...sumFields(whole),
      ],
      scopeCount: 1,
    }
    yield* rows
  }

  return tableState(tables, byDomain, records)
}

function fieldsOf(
  {ends, ports, protocol, sides}: Conversation,
  both: boolean,
  why: boolean,
): ResultField[] {
  // Of a conversation that was seen one way, that way.
  const first = both || sides[0].observers.size > 0 ? 0 : 1
  const names = (side: Side): string => [...side.observers].sort().join(', ')
  const source = textOctets(ends[first])
  const destination = textOctets(ends[1 - first])
  const fields: ResultField[] = [
    [ie.dartaFinding, both ? 'asymmetric' : 'one way'],
    sourceField(source),
    destinationField(destination),
    [ie.protocolIdentifier, protocol],
    [ie.sourceTransportPort, ports[first]],
    [ie.destinationTransportPort, ports[1 - first]],
    [ie.dartaObserver, names(sides[first])],
    [ie.dartaOtherObserver, names(sides[1 - first])],
    ...sumFields(addSums(sides[0].sums, sides[1].sums)),
  ]
  if (why) {
    const [a, b] = [addressText(source), addressText(destination)]
    const host = `(src ip ${a} and dst ip ${b} or src ip ${b} and dst ip ${a})`
    fields.push([ie.dartaFilter, `${host} and proto ${protocol}`])
  }
  return fields
}
