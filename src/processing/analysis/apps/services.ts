import {SUM} from '../../../record/group-kernel.js'
import {createGroupTable} from '../../../record/group-table.js'
import type {GroupSpec, KeyShape} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import type {MessageContext, RecordBatch} from '../../../record/batch.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {serviceName, servicePortRanks} from '../../../registry/services.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {whyOption} from '../findings.js'
import {columnsFrom, END, flowColumns, flowKinds, hasEnd, hasStart, START} from '../flow-sums.js'
import {columnAt, createSpans, eachBlock, orderedRows} from '../group-rows.js'
import {createResultWriter, resultKind, type ResultKind} from '../result-writer.js'
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

/** The server first; of two ports alike the destination's is the server's. A client's port is left out, so that each is one row. */
const spec: GroupSpec = {
  key: ['dstip', 'dstport', 'srcip', 'srcport', 'proto'].map(flowKey),
  symmetric: 2,
  ranked: servicePortRanks(),
  columns: flowColumns,
}
const [SERVER, PORT, PROTOCOL] = [0, 1, 4]
const WITH_PORTS = new Set([6, 17, 33, 132, 136])

/** Behind the sums of a service. */
const CLIENTS = flowColumns.length

/** Services whose address has so many octets; the key is the address, the protocol and the port. */
interface Services {
  readonly addressOctets: number
  readonly table: RowTable
}

function createServices(addressOctets: number): Services {
  return {addressOctets, table: createRowTable(addressOctets + 3, [...flowKinds, SUM])}
}

function createState(minClients: number, why: boolean, limits: StateLimits): AnalysisState {
  const table = createGroupTable(spec, limits)

  /** By the octets of their addresses, 4 and 16. */
  function services(): Services[] {
    const all = [createServices(4), createServices(16)]
    const programs = new Map<KeyShape, number>()
    const spans = createSpans()
    eachBlock(table, ({shape, rows, rowOctets, columnsAt}) => {
      const {fields} = shape
      const {addressOctets: n, table: into} = all.find(
        ({addressOctets}) => addressOctets === fields[SERVER].length,
      )!
      let program = programs.get(shape)
      if (program === undefined) {
        program = into.program({
          rowOctets,
          moves: [
            [fields[SERVER].offset, n, 0],
            [fields[PROTOCOL].offset, 1, n],
            [fields[PORT].offset, 2, n + 1],
          ],
          columns: [...columnsFrom(columnsAt), {constant: 1}],
        })
        programs.set(shape, program)
      }
      const protocolAt = fields[PROTOCOL].offset
      for (let at = 0; at < rows.length; at += rowOctets) {
        if (WITH_PORTS.has(rows[at + protocolAt])) spans.add(at, rowOctets, program)
      }
      spans.take((list, count) => into.addFrom(rows, list, count))
    })
    return all
  }

  function* results(message: MessageContext): Iterable<RecordBatch> {
    const writer = createResultWriter(message)
    const kinds = resultKinds(why)
    const names: (Uint8Array | undefined)[] = []
    const utf8 = new TextEncoder()
    for (const {table: found, addressOctets: n} of services()) {
      const row = orderedRows(found)
      const {octets, words} = row
      for (; row.at >= 0; row.step()) {
        const {at} = row
        const columns = (at + found.columnsAt) / 4
        if (columnAt(words, columns, CLIENTS) < minClients) continue
        const protocol = octets[at + n]
        const port = (octets[at + n + 1] << 8) | octets[at + n + 2]
        const name = (names[port] ??= utf8.encode(serviceName(port) ?? ''))
        const start = columns + 2 * START
        const end = columns + 2 * END
        const started = hasStart(words, columns)
        const ended = hasEnd(words, columns)
        let filter: Uint8Array | undefined
        if (why) {
          const address = addressText(octets.subarray(at, at + n))
          filter = utf8.encode(`ip ${address} and proto ${protocol} and port ${port}`)
        }
        const batch = writer.begin(
          kinds[(n === 4 ? 0 : 4) + (started ? 2 : 0) + (ended ? 1 : 0)],
          1 + name.length + (filter === undefined ? 0 : 3 + filter.length),
        )
        if (batch !== undefined) yield batch
        writer.copy(octets, at, n)
        writer.octet(protocol)
        writer.port(port)
        writer.text(name)
        writer.long(words[columns + 2 * CLIENTS], words[columns + 2 * CLIENTS + 1])
        for (let c = columns; c < start; c += 2) writer.long(words[c], words[c + 1])
        if (started) writer.long(words[start], words[start + 1])
        if (ended) writer.long(words[end], words[end + 1])
        if (filter !== undefined) writer.text(filter)
      }
      found.close()
    }
    const last = writer.end()
    if (last !== undefined) yield last
  }

  return {...oneTableState(table, () => []), results}
}

/** Of IPv4 and IPv6, by whether they have a first time and whether they have a last one. */
function resultKinds(why: boolean): ResultKind[] {
  return Array.from({length: 8}, (_, i) =>
    resultKind(256 + i, [
      i < 4 ? ie.destinationIPv4Address : ie.destinationIPv6Address,
      ie.protocolIdentifier,
      ie.dartaServicePort,
      ie.dartaFeature,
      ie.dartaPeerCount,
      ie.octetDeltaCount,
      ie.packetDeltaCount,
      ie.deltaFlowCount,
      ...((i & 2) === 0 ? [] : [ie.flowStartMilliseconds]),
      ...((i & 1) === 0 ? [] : [ie.flowEndMilliseconds]),
      ...(why ? [ie.dartaFilter] : []),
    ]),
  )
}
