import {createGroupTable} from '../../../record/group-table.js'
import type {GroupSpec} from '../../../record/group-spec.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {serviceName, servicePortRanks} from '../../../registry/services.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {destinationField, octetText, partNumber, textOctets, whyOption} from '../findings.js'
import {addSums, flowColumns, noFlows, rowSums, sumFields, type FlowSums} from '../flow-sums.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {oneTableState} from '../table-set.js'

export default defineApp({
  summary:
    'Which hosts serve which ports, to how many clients, since when: an inventory from traffic',
  options: {
    minClients: {
      kind: 'number',
      min: 1,
      max: 1_000_000_000,
      default: 1,
      summary: 'Fewest clients of a service.',
    },
    ...whyOption,
  },
  prepare: ({minClients, why}): Analysis => ({
    needs: [
      [ie.sourceIPv4Address, ie.sourceIPv6Address],
      [ie.destinationIPv4Address, ie.destinationIPv6Address],
      [ie.sourceTransportPort],
      [ie.destinationTransportPort],
      [ie.protocolIdentifier],
    ],
    uses: [...flowColumns.flatMap(({elements}) => elements)],
    routingKey: {key: [flowKey('srcip'), flowKey('dstip')], symmetric: 1},
    splittable: true,
    createState: (limits) => createState(minClients, why, limits),
  }),
})

const spec: GroupSpec = {
  key: ['srcip', 'dstip', 'srcport', 'dstport', 'proto'].map(flowKey),
  columns: flowColumns,
}
const [SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, PROTOCOL] = [0, 1, 2, 3, 4]
const WITH_PORTS = new Set([6, 17, 33, 132, 136])

interface Service {
  readonly server: string
  readonly port: number
  readonly protocol: number
  readonly clients: Set<string>
  sums: FlowSums
}

function createState(minClients: number, why: boolean, limits: StateLimits): AnalysisState {
  const table = createGroupTable(spec, limits)
  const ranks = servicePortRanks()

  function services(): Map<string, Service> {
    const found = new Map<string, Service>()
    table.eachRow((row) => {
      const protocol = partNumber(row, PROTOCOL)
      if (!WITH_PORTS.has(protocol)) return
      const [a, b] = [partNumber(row, SOURCE_PORT), partNumber(row, DESTINATION_PORT)]
      // The better known port is the server's; of two alike the lower one.
      const fromServer = ranks[a] < ranks[b] || (ranks[a] === ranks[b] && a < b)
      const server = octetText(row.part(fromServer ? SOURCE : DESTINATION)!)
      const client = octetText(row.part(fromServer ? DESTINATION : SOURCE)!)
      const port = fromServer ? a : b
      const name = `${String.fromCharCode(server.length)}${server}${String.fromCharCode(protocol, port)}`
      let known = found.get(name)
      if (known === undefined) {
        known = {server, port, protocol, clients: new Set(), sums: noFlows}
        found.set(name, known)
      }
      known.clients.add(client)
      known.sums = addSums(known.sums, rowSums(row))
    })
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = services()
    for (const name of [...all.keys()].sort()) {
      const {server, port, protocol, clients, sums} = all.get(name)!
      if (clients.size < minClients) continue
      const address = textOctets(server)
      const fields: ResultField[] = [
        destinationField(address),
        [ie.protocolIdentifier, protocol],
        [ie.dartaServicePort, port],
        [ie.dartaFeature, serviceName(port) ?? ''],
        [ie.dartaPeerCount, clients.size],
        ...sumFields(sums),
      ]
      if (why) {
        fields.push([
          ie.dartaFilter,
          `ip ${addressText(address)} and proto ${protocol} and port ${port}`,
        ])
      }
      yield {fields}
    }
  }

  return oneTableState(table, records)
}
