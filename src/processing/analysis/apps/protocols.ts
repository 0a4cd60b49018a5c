import type {GroupRow} from '../../../record/group-row.js'
import {createGroupTable} from '../../../record/group-table.js'
import type {KeyPart} from '../../../record/group-spec.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {protocolName} from '../../../registry/protocols.js'
import {serviceName, servicePortRanks} from '../../../registry/services.js'
import {defineApp, type AnalysisState, type StateLimits, type TableStyle} from '../app.js'
import {
  addSums,
  flowColumns,
  limitedSums,
  noFlows,
  rowSums,
  share,
  sumFields,
  type FlowSums,
} from '../flow-sums.js'
import {whyOption} from '../findings.js'
import {allOf} from '../record-filters.js'
import {resultBatches, type ResultField, type ResultRecord} from '../result-records.js'
import {percent, scaledNumber, textTable} from '../text-table.js'

/** Protocols whose ports name a service: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS = new Set([6, 17, 33, 132, 136])

export default defineApp({
  summary: 'What the traffic consists of: IP versions, protocols, services',
  options: {
    top: {
      kind: 'number',
      char: 'k',
      min: 0,
      max: 65536,
      default: 20,
      summary:
        'How many services; 0 is all. Of the two ports the better known one names the service.',
    },
    ...whyOption,
  },
  prepare: ({top, why}) => ({
    needs: [[ie.protocolIdentifier]],
    uses: [
      ...key.flatMap(({elements, opposite = []}) => [...elements, ...opposite]),
      ...flowColumns.flatMap((c) => [...c.elements, ...c.reverse]).filter((e) => e !== undefined),
    ],
    // Its groups are few: any unit can take any record, and what they know is small enough to merge.
    routingKey: undefined,
    splittable: true,
    createState: (limits) => createState(top, why, limits),
  }),
})

/** Of the addresses only the type is looked at: no bit of them is kept. */
const versionPart: KeyPart = {
  elements: [
    ie.sourceIPv4Address,
    ie.sourceIPv6Address,
    ie.destinationIPv4Address,
    ie.destinationIPv6Address,
  ],
  bits: [0, 0, 0, 0],
  optional: true,
}
const key: readonly KeyPart[] = [
  versionPart,
  flowKey('proto'),
  {...flowKey('srcport'), ranks: servicePortRanks(), optional: true},
]
const VERSIONS = [4, 6]
/** By version; 0: records without an address. */
const VERSION_TESTS: Readonly<Record<number, string>> = {
  0: 'not ipv4 and not ipv6',
  4: 'ipv4',
  6: 'ipv6',
}

/** One line of the result; version and protocol undefined: of any. */
interface Line {
  readonly version?: number
  readonly protocol?: number
  /** 0..65535 */
  readonly port?: number
  readonly sums: FlowSums
}

interface Breakdown {
  readonly whole: FlowSums
  readonly versions: readonly Line[]
  readonly protocols: readonly Line[]
  readonly services: readonly Line[]
}

function createState(top: number, why: boolean, {maxOctets}: StateLimits): AnalysisState {
  const table = createGroupTable({key, columns: flowColumns}, {maxOctets})

  function breakdown(): Breakdown {
    let whole = noFlows
    const versions = new Map<string, Line>()
    const protocols = new Map<string, Line>()
    const services = new Map<string, Line>()
    table.eachRow((row) => {
      const sums = rowSums(row)
      const protocol = row.part(1)!.at(-1)!
      whole = addSums(whole, sums)
      fold(versions, {version: versionOf(row), sums})
      fold(protocols, {protocol, sums})
      const port = row.part(2)
      if (port !== undefined && WITH_PORTS.has(protocol)) {
        fold(services, {protocol, port: (port[0] << 8) | port[1], sums})
      }
    })
    const some = greatestFirst(services)
    return {
      whole,
      versions: greatestFirst(versions),
      protocols: greatestFirst(protocols),
      services: top === 0 ? some : some.slice(0, top),
    }
  }

  function* records(): Iterable<ResultRecord> {
    const {whole, versions, protocols, services} = breakdown()
    yield {fields: [[ie.dartaStatistic, 'protocols'], ...sumFields(whole)], scopeCount: 1}
    for (const {version, protocol, port, sums} of [...versions, ...protocols, ...services]) {
      const fields: ResultField[] = []
      if (version !== undefined) fields.push([ie.ipVersion, version])
      if (protocol !== undefined) fields.push([ie.protocolIdentifier, protocol])
      if (port !== undefined) fields.push([ie.dartaServicePort, port])
      const filter = allOf([
        version === undefined ? undefined : VERSION_TESTS[version],
        protocol === undefined ? undefined : `proto ${protocol}`,
        port === undefined ? undefined : `port ${port}`,
      ])
      const rest = why ? [[ie.dartaFilter, filter] as const] : []
      yield {fields: [...fields, ...sumFields(sums, whole), ...rest]}
    }
  }

  return {
    add: (batches) => table.add(batches),
    merge: (snapshot) => table.merge(snapshot),
    snapshot: () => table.snapshot(),
    results: (message) => resultBatches(message, records()),
    table(style) {
      const {whole, versions, protocols, services} = breakdown()
      const blocks = [
        lines('IP version', versions, whole, style, ({version}) =>
          version === 0 ? 'not said' : `IPv${String(version)}`,
        ),
        lines('protocol', protocols, whole, style, ({protocol}) => nameOf(protocol!, style)),
        lines('service', services, whole, style, ({protocol, port}) => {
          const name = style.names ? serviceName(port!) : undefined
          const number = `${nameOf(protocol!, style)} ${String(port)}`
          return name === undefined ? number : `${number} (${name})`
        }),
      ]
      return blocks.join('\n')
    },
    missing: () => limitedSums(table),
    memoryOctets: () => table.memoryOctets(),
    close: () => table.close(),
  }
}

/** 4 or 6; 0 where records have no address. */
function versionOf(row: GroupRow): number {
  return VERSIONS[row.shape.fields[0].alternative] ?? 0
}

function fold(lines: Map<string, Line>, line: Line): void {
  const key = [line.version, line.protocol, line.port].join()
  const known = lines.get(key)
  lines.set(key, known === undefined ? line : {...known, sums: addSums(known.sums, line.sums)})
}

/** By octets, then by number. */
function greatestFirst(lines: ReadonlyMap<string, Line>): Line[] {
  const place = ({version = 0, protocol = 0, port = 0}: Line): number =>
    version + protocol * 65536 + port
  return [...lines.values()].sort((a, b) =>
    a.sums.octets === b.sums.octets ? place(a) - place(b) : a.sums.octets > b.sums.octets ? -1 : 1,
  )
}

function nameOf(protocol: number, style: TableStyle): string {
  return (style.names ? protocolName(protocol) : undefined) ?? String(protocol)
}

function lines(
  head: string,
  of: readonly Line[],
  whole: FlowSums,
  style: TableStyle,
  name: (line: Line) => string,
): string {
  const number = (value: bigint): string => scaledNumber(value, style.units)
  const rows = of.map((line) => [
    name(line),
    number(line.sums.octets),
    percent(share(line.sums.octets, whole.octets)),
    number(line.sums.packets),
    percent(share(line.sums.packets, whole.packets)),
    number(line.sums.flows),
    percent(share(line.sums.flows, whole.flows)),
  ])
  const heads = [head, 'octets', '', 'packets', '', 'flows', '']
  return textTable(
    heads,
    rows,
    heads.map((_, i) => i > 0),
  )
}
