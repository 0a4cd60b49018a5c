import {ie} from '../../../registry/elements.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  conversationNeeds,
  conversationsOf,
  directionSpec,
  observersAt,
  type AllConversations,
  type Conversations,
} from '../conversations.js'
import {destinationField, octetText, sourceField, whyOption} from '../findings.js'
import {
  addSums,
  flowColumns,
  noFlows,
  sumFields,
  sumsAt,
  sumsOf,
  type FlowSums,
} from '../flow-sums.js'
import {conversationFilter, type FilterEnd} from '../record-filters.js'
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

/** From the lesser end to the greater one, and back. */
type Ways<T> = readonly [T, T]

interface End {
  readonly address: Uint8Array
  readonly port: number
}

interface Conversation {
  /** Its ends as octets, in an order that hangs on nothing else. */
  readonly name: string
  readonly ends: Ways<End>
  readonly protocol: number
  readonly observers: Ways<readonly string[]>
  readonly sums: FlowSums
}

function createState(oneWay: boolean, why: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([directionSpec], limits)

  function* records(): Iterable<ResultRecord> {
    const all = conversationsOf(tables, oneWay)
    const found: Conversation[] = []
    let asymmetric = 0
    let count = 0
    for (const of of all.classes) {
      count += of.rows.count()
      asymmetric += findParted(all, of, oneWay, found)
      of.rows.close()
    }
    let whole = noFlows
    for (const domain of tables.names()) {
      whole = addSums(whole, sumsOf(tables.of(domain)[0].select([]).totals))
    }
    yield {
      fields: [
        [ie.dartaStatistic, 'asymmetry'],
        [ie.dartaGroupCount, count],
        [ie.dartaMatchedCount, asymmetric],
        ...sumFields(whole),
      ],
      scopeCount: 1,
    }
    for (const of of found.sort((a, b) => a.protocol - b.protocol || (a.name < b.name ? -1 : 1))) {
      yield {fields: fieldsOf(of, why)}
    }
  }

  return tableState(tables, byDomain, records)
}

/** Adds what is worth telling to `found`; how many conversations took different ways. */
function findParted(
  {observers, observerWords}: AllConversations,
  {rows, octets: [a, b]}: Conversations,
  oneWay: boolean,
  found: Conversation[],
): number {
  // Whoever is alone saw both ways where they are.
  if (observers.names.length < 2 && !oneWay) return 0
  let asymmetric = 0
  rows.eachBlock((octets, words, n) => {
    for (let at = 0; at < n * rows.rowOctets; at += rows.rowOctets) {
      const columns = (at + rows.columnsAt) / 4
      const there = columns + 2 * flowColumns.length
      const back = there + observerWords
      let [anyThere, anyBack, shared] = [0, 0, 0]
      for (let i = 0; i < observerWords; i++) {
        anyThere |= words[there + i]
        anyBack |= words[back + i]
        shared |= words[there + i] & words[back + i]
      }
      const both = anyThere !== 0 && anyBack !== 0
      const parted = both && shared === 0
      if (parted) asymmetric++
      if (!parted && (!oneWay || both)) continue
      const end = (from: number, length: number): End => ({
        address: octets.slice(from, from + length),
        port: (octets[from + length] << 8) | octets[from + length + 1],
      })
      const ends: Ways<End> = [end(at, a), end(at + a + 2, b)]
      found.push({
        name: ends.map(nameOf).join(''),
        ends,
        protocol: octets[at + a + b + 4],
        observers: [
          observersAt(words, there, observers.names),
          observersAt(words, back, observers.names),
        ],
        sums: sumsAt(words, columns),
      })
    }
  })
  return asymmetric
}

/** IPv4 and IPv6 in one order. */
function nameOf({address, port}: End): string {
  return octetText(address).padEnd(16, '\0') + String.fromCharCode(port >>> 8, port & 255)
}

function fieldsOf({ends, protocol, observers, sums}: Conversation, why: boolean): ResultField[] {
  const both = observers.every((way) => way.length > 0)
  // Of a conversation that was seen one way, that way.
  const first = both || observers[0].length > 0 ? 0 : 1
  const source = ends[first]
  const destination = ends[1 - first]
  const fields: ResultField[] = [
    [ie.dartaFinding, both ? 'asymmetric' : 'one way'],
    sourceField(source.address),
    destinationField(destination.address),
    [ie.protocolIdentifier, protocol],
    [ie.sourceTransportPort, source.port],
    [ie.destinationTransportPort, destination.port],
    [ie.dartaObserver, observers[first].join(', ')],
    [ie.dartaOtherObserver, observers[1 - first].join(', ')],
    ...sumFields(sums),
  ]
  if (why) {
    const known = ({address, port}: End): FilterEnd => ({address, port: port || undefined})
    fields.push([ie.dartaFilter, conversationFilter(known(source), known(destination), protocol)])
  }
  return fields
}
