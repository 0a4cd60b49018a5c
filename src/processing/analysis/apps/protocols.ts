import {createGroupTable, type GroupTable} from '../../../record/group-table.js'
import type {KeyPart, KeyShape} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {protocolName} from '../../../registry/protocols.js'
import {serviceName, servicePortRanks} from '../../../registry/services.js'
import {defineApp, type AnalysisState, type StateLimits, type TableStyle} from '../app.js'
import {
  columnsFrom,
  flowColumns,
  flowKinds,
  limitedSums,
  noFlows,
  OCTETS,
  share,
  sumFields,
  sumsAt,
  type FlowSums,
} from '../flow-sums.js'
import {createSpans, eachBlock} from '../group-rows.js'
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
    const lines = linesOf(table)
    return {
      whole: lines.of(WHOLE)[0]?.sums ?? noFlows,
      versions: lines.of(VERSION),
      protocols: lines.of(PROTOCOL),
      services: lines.of(SERVICE, top === 0 ? Infinity : top),
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

/** The first octet of a line's key; then come its version, protocol and port, 0 where it has none. */
const [WHOLE, VERSION, PROTOCOL, SERVICE] = [0, 1, 2, 3]
const [VERSION_AT, PROTOCOL_AT, PORT_AT, LINE_OCTETS] = [1, 2, 3, 5]

/** The groups summed by line, without an object for each: ports may be of any number. */
function sumLines(table: GroupTable): RowTable {
  const sums = createRowTable(LINE_OCTETS, flowKinds)
  const programs = new Map<KeyShape, readonly number[]>()
  const spans = createSpans()

  /** By kind of line. */
  function programsOf({fields}: KeyShape, rowOctets: number, columnsAt: number): number[] {
    // 4 or 6; 0 where records have no address.
    const version = VERSIONS[fields[0].alternative] ?? 0
    const move = (part: number, to: number) =>
      [fields[part].offset, fields[part].length, to] as const
    const program = (kind: number, moves: ReturnType<typeof move>[], known = 0): number =>
      sums.program({
        ...{rowOctets, moves, columns: columnsFrom(columnsAt)},
        constants: [
          [0, kind],
          [VERSION_AT, known],
        ],
      })
    return [
      program(WHOLE, []),
      program(VERSION, [], version),
      program(PROTOCOL, [move(1, PROTOCOL_AT)]),
      program(SERVICE, [move(1, PROTOCOL_AT), move(2, PORT_AT)]),
    ]
  }

  eachBlock(table, ({shape, rows, rowOctets, columnsAt}) => {
    const of = programs.get(shape) ?? programsOf(shape, rowOctets, columnsAt)
    programs.set(shape, of)
    const all = [WHOLE, VERSION, PROTOCOL].flatMap((kind) => [0, rows.length / rowOctets, of[kind]])
    sums.addFrom(rows, Int32Array.from(all), 3)
    if (shape.fields[2].length === 0) return
    for (let at = 0; at < rows.length; at += rowOctets) {
      if (WITH_PORTS.has(rows[at + shape.fields[1].offset])) spans.add(at, rowOctets, of[SERVICE])
    }
    spans.take((list, count) => sums.addFrom(rows, list, count))
  })
  return sums
}

interface Lines {
  /** Those of a kind, by octets, then by number; at most so many. */
  of(kind: number, most?: number): Line[]
}

function linesOf(table: GroupTable): Lines {
  const sums = sumLines(table)
  const {rowOctets, columnsAt} = sums
  const order = sums.order()
  const octets = new Uint8Array(order.length * rowOctets)
  sums.gather(order, octets)
  sums.close()
  const words = new Uint32Array(octets.buffer)
  const columnsOf = (row: number): number => (row * rowOctets + columnsAt) / 4
  return {
    of(kind, most = Infinity) {
      const rows = [...order.keys()].filter((row) => octets[row * rowOctets] === kind)
      rows.sort((a, b) => {
        const [x, y] = [columnsOf(a) + 2 * OCTETS, columnsOf(b) + 2 * OCTETS]
        return words[y + 1] - words[x + 1] || words[y] - words[x] || a - b
      })
      return rows.slice(0, most).map((row) => {
        const at = row * rowOctets
        return {
          ...(kind === VERSION && {version: octets[at + VERSION_AT]}),
          ...(kind >= PROTOCOL && {protocol: octets[at + PROTOCOL_AT]}),
          ...(kind === SERVICE && {port: (octets[at + PORT_AT] << 8) | octets[at + PORT_AT + 1]}),
          sums: sumsAt(words, columnsOf(row)),
        }
      })
    },
  }
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
