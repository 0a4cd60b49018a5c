import {SUM} from '../../../record/group-kernel.js'
import {createGroupTable} from '../../../record/group-table.js'
import type {GroupSpec} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {serviceName, servicePortRanks} from '../../../registry/services.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {destinationField, octetText, whyOption} from '../findings.js'
import {flowColumns, flowKinds, sumFields, sumsAt, type FlowSums} from '../flow-sums.js'
import {columnAt, copyPart, eachGroup, numberAt} from '../group-rows.js'
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

/** Keys of services: the server's address, 16 octets, the port, the protocol and how many octets the address has. */
const PORT_AT = 16
const PROTOCOL_AT = 18
const LENGTH_AT = 19
const SERVICE_OCTETS = 20
/** Behind the sums of a service. */
const CLIENTS = flowColumns.length

function createState(minClients: number, why: boolean, limits: StateLimits): AnalysisState {
  const table = createGroupTable(spec, limits)
  const ranks = servicePortRanks()

  /** Services and their clients, each client once: the key of a service, then the client's address and how long it is. */
  function clients(): RowTable {
    const found = createRowTable(SERVICE_OCTETS + 17, flowKinds)
    const {octets} = found
    eachGroup(table, (shape, rows, at, words, columns) => {
      const protocol = numberAt(rows, at, shape, PROTOCOL)
      if (!WITH_PORTS.has(protocol)) return
      const a = numberAt(rows, at, shape, SOURCE_PORT)
      const b = numberAt(rows, at, shape, DESTINATION_PORT)
      // The better known port is the server's; of two alike the lower one.
      const fromServer = ranks[a] < ranks[b] || (ranks[a] === ranks[b] && a < b)
      const [server, client] = fromServer ? [SOURCE, DESTINATION] : [DESTINATION, SOURCE]
      const port = fromServer ? a : b
      const start = found.next()
      octets[start + LENGTH_AT] = copyPart(rows, at, shape, server, octets, start)
      octets[start + PORT_AT] = port >>> 8
      octets[start + PORT_AT + 1] = port
      octets[start + PROTOCOL_AT] = protocol
      const behind = start + SERVICE_OCTETS
      octets[behind + 16] = copyPart(rows, at, shape, client, octets, behind)
      const into = (start + found.columnsAt) / 4
      for (let i = 0; i < 2 * flowColumns.length; i++) found.words[into + i] = words[columns + i]
    })
    return found
  }

  function services(): RowTable {
    const found = createRowTable(SERVICE_OCTETS, [...flowKinds, SUM])
    const each = clients()
    each.eachBlock((octets, words, n) => {
      for (let at = 0; at < n * each.rowOctets; at += each.rowOctets) {
        const start = found.next()
        for (let i = 0; i < SERVICE_OCTETS; i++) found.octets[start + i] = octets[at + i]
        const into = (start + found.columnsAt) / 4
        const columns = (at + each.columnsAt) / 4
        for (let i = 0; i < 2 * flowColumns.length; i++) found.words[into + i] = words[columns + i]
        found.words[into + 2 * CLIENTS] = 1
      }
    })
    each.close()
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = services()
    const found: {order: string; key: Uint8Array; clients: number; sums: FlowSums}[] = []
    all.eachBlock((octets, words, n) => {
      for (let at = 0; at < n * all.rowOctets; at += all.rowOctets) {
        const columns = (at + all.columnsAt) / 4
        const count = columnAt(words, columns, CLIENTS)
        if (count < minClients) continue
        const key = octets.slice(at, at + SERVICE_OCTETS)
        const address = octetText(key.subarray(0, key[LENGTH_AT]))
        const order = `${String.fromCharCode(key[LENGTH_AT])}${address}${String.fromCharCode(key[PROTOCOL_AT], key[PORT_AT], key[PORT_AT + 1])}`
        found.push({order, key, clients: count, sums: sumsAt(words, columns)})
      }
    })
    all.close()
    for (const {key, clients: count, sums} of found.sort((a, b) => (a.order < b.order ? -1 : 1))) {
      const address = key.subarray(0, key[LENGTH_AT])
      const port = (key[PORT_AT] << 8) | key[PORT_AT + 1]
      const protocol = key[PROTOCOL_AT]
      const fields: ResultField[] = [
        destinationField(address),
        [ie.protocolIdentifier, protocol],
        [ie.dartaServicePort, port],
        [ie.dartaFeature, serviceName(port) ?? ''],
        [ie.dartaPeerCount, count],
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
