import {SUM} from '../../../record/group-kernel.js'
import type {GroupSpec} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {servicePortRanks} from '../../../registry/services.js'
import {protocolName} from '../../../registry/protocols.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {destinationField, octetText, quantile, textOctets, whyOption} from '../findings.js'
import {flowColumns, FLOWS, OCTETS, PACKETS} from '../flow-sums.js'
import {
  columnAt,
  copyPart,
  createSieve,
  eachBlock,
  eachGroup,
  numberAt,
  type VisitGroup,
} from '../group-rows.js'
import {overWithin} from '../record-filters.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {createTableSet, tableState} from '../table-set.js'
import {createTimeBins} from '../time-bins.js'

export default defineApp({
  summary:
    'Floods: victims to which far more packets come at a time than at others, and by what vector',
  options: {
    minRate: {
      kind: 'number',
      min: 1,
      max: 1_000_000_000,
      default: 1000,
      summary: 'Fewest packets per second that are a flood.',
    },
    factor: {
      kind: 'number',
      min: 1,
      max: 1_000_000,
      default: 10,
      summary: 'How many times more than usual for the victim.',
    },
    minSources: {
      kind: 'number',
      min: 1,
      max: 1_000_000_000,
      default: 10,
      summary: 'Fewest sources; 1 finds floods by a single host.',
    },
    bin: {
      kind: 'number',
      min: 1,
      max: 86_400,
      default: 60,
      summary: 'Seconds that are looked at together.',
    },
    ...whyOption,
  },
  prepare: ({minRate, factor, minSources, bin, why}): Analysis => ({
    needs: [
      [ie.destinationIPv4Address, ie.destinationIPv6Address],
      [ie.sourceIPv4Address, ie.sourceIPv6Address],
      [ie.protocolIdentifier],
    ],
    uses: [
      ie.sourceTransportPort,
      ie.destinationTransportPort,
      ie.tcpControlBits,
      ...flowColumns.flatMap(({elements}) => elements),
    ],
    routingKey: {key: [flowKey('dstip')]},
    splittable: true,
    createState: (limits) => createState({minRate, factor, minSources, bin, why}, limits),
  }),
})

interface Options {
  readonly minRate: number
  readonly factor: number
  readonly minSources: number
  /** Seconds. */
  readonly bin: number
  readonly why: boolean
}

const vectors: GroupSpec = {
  key: [
    flowKey('dstip'),
    flowKey('proto'),
    {...flowKey('srcport'), ranks: servicePortRanks(), optional: true},
    {...flowKey('flags'), optional: true},
  ],
  columns: flowColumns,
}
/** Only which there are; octets and packets tell whether a direction of a Biflow saw any. */
const sources: GroupSpec = {
  key: [flowKey('dstip'), flowKey('srcip')],
  columns: [flowColumns[OCTETS], flowColumns[PACKETS]],
}
/** Of a victim; its length is behind it. */
const ADDRESS_OCTETS = 16
const [VICTIM, PROTOCOL, SERVICE, FLAGS] = [0, 1, 2, 3]

interface Vector {
  readonly protocol: number
  readonly port: number | undefined
  readonly flags: number | undefined
  packets: number
}

interface Sums {
  readonly packets: bigint
  readonly octets: bigint
  readonly flows: bigint
}

interface Attack {
  readonly victim: string
  readonly bins: number[]
  packets: bigint
  octets: bigint
  flows: bigint
  peak: number
  baseline: number
}

function createState(options: Options, limits: StateLimits): AnalysisState {
  const {minRate, factor, minSources, bin: seconds, why} = options
  const tables = createTableSet([vectors, sources], limits)
  const sort = createTimeBins(seconds * 1000)

  function* records(): Iterable<ResultRecord> {
    const bins = tables
      .names()
      .map(Number)
      .sort((a, b) => a - b)
    const found = attacks(bins)
    for (const attack of found) {
      const from = sourcesOf(attack)
      if (from < minSources) continue
      const vector = vectorOf(attack)
      const victim = textOctets(attack.victim)
      const fields: ResultField[] = [
        [ie.dartaFinding, vectorText(vector)],
        destinationField(victim),
        [ie.protocolIdentifier, vector.protocol],
        ...(vector.port === undefined ? [] : [[ie.dartaServicePort, vector.port] as const]),
        [ie.dartaScore, attack.peak / Math.max(1 / seconds, attack.baseline)],
        [ie.dartaPacketRate, attack.peak],
        [ie.dartaBaseline, attack.baseline],
        [ie.dartaPeerCount, from],
        [ie.octetDeltaCount, attack.octets],
        [ie.packetDeltaCount, attack.packets],
        [ie.deltaFlowCount, attack.flows],
        [ie.flowStartMilliseconds, Math.max(0, attack.bins[0]) * seconds * 1000],
        [ie.flowEndMilliseconds, (Math.max(0, attack.bins.at(-1)!) + 1) * seconds * 1000],
      ]
      if (why) {
        const [first, last] = [attack.bins[0], attack.bins.at(-1)!]
        const when = overWithin(first * seconds * 1000, (last + 1) * seconds * 1000)
        fields.push([ie.dartaFilter, `dst ip ${addressText(victim)} and ${when}`])
      }
      yield {fields}
    }
  }

  /** Sums of each victim in a bin. */
  function victimsIn(bin: number): RowTable {
    const victims = createRowTable(ADDRESS_OCTETS + 1, [SUM, SUM, SUM])
    eachBlock(tables.of(String(bin))[0], ({shape, rows, rowOctets, columnsAt}) => {
      const {offset, length} = shape.fields[VICTIM]
      const program = victims.program({
        rowOctets,
        moves: [[offset, length, 0]],
        constants: [[ADDRESS_OCTETS, length]],
        columns: [PACKETS, OCTETS, FLOWS].map((c) => ({at: columnsAt + 8 * c})),
      })
      victims.addFrom(rows, Int32Array.of(0, rows.length / rowOctets, program), 1)
    })
    return victims
  }

  /** What those get in each bin who get much in any: all others can be no victims, and nothing is kept of them. */
  function suspects(bins: readonly number[]): Map<string, Map<number, Sums>> {
    const suspected = new Map<string, Map<number, Sums>>()
    const sieve = createSieve()
    const tablesOf = bins.map(victimsIn)
    for (const victims of tablesOf) {
      victims.eachBlock((octets, words, n) => {
        for (let at = 0; at < n * victims.rowOctets; at += victims.rowOctets) {
          const packets = columnAt(words, (at + victims.columnsAt) / 4, 0)
          if (packets / seconds < minRate) continue
          const length = octets[at + ADDRESS_OCTETS]
          suspected.set(octetText(octets.subarray(at, at + length)), new Map<number, Sums>())
          sieve.add(octets, at, length)
        }
      })
    }
    for (const [i, victims] of tablesOf.entries()) {
      if (suspected.size > 0) {
        victims.eachBlock((octets, words, n) => {
          for (let at = 0; at < n * victims.rowOctets; at += victims.rowOctets) {
            const length = octets[at + ADDRESS_OCTETS]
            if (!sieve.mayHave(octets, at, length)) continue
            const of = suspected.get(octetText(octets.subarray(at, at + length)))
            if (of === undefined) continue
            const word = (at + victims.columnsAt) / 4
            const sum = (c: number): bigint =>
              (BigInt(words[word + 2 * c + 1]) << 32n) | BigInt(words[word + 2 * c])
            of.set(bins[i], {packets: sum(0), octets: sum(1), flows: sum(2)})
          }
        })
      }
      victims.close()
    }
    return suspected
  }

  /** Bins in a row in which a victim gets far more than in the others. */
  function attacks(bins: readonly number[]): Attack[] {
    const victims = suspects(bins)
    const found: Attack[] = []
    const names = [...victims.keys()].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    for (const victim of names) {
      const of = victims.get(victim)!
      const rate = (bin: number): number => Number(of.get(bin)?.packets ?? 0n) / seconds
      // Usual is the middle of all bins: an attack may fill almost half of them.
      const baseline = quantile(Float64Array.from(bins, rate).sort(), 0.5)
      const usual = bins.length < 3 ? 0 : baseline
      let current: Attack | undefined
      for (const bin of bins) {
        if (rate(bin) < minRate || rate(bin) < factor * usual) {
          current = undefined
          continue
        }
        if (current === undefined) {
          const none = {packets: 0n, octets: 0n, flows: 0n, peak: 0}
          current = {victim, bins: [], ...none, baseline: usual}
          found.push(current)
        }
        const sums = of.get(bin)!
        current.bins.push(bin)
        current.packets += sums.packets
        current.octets += sums.octets
        current.flows += sums.flows
        current.peak = Math.max(current.peak, rate(bin))
      }
    }
    return found
  }

  /** Visits the rows of a table of the attack's bins that are its victim's. */
  function eachOf({victim, bins}: Attack, table: 0 | 1, visit: VisitGroup): void {
    const wanted = textOctets(victim)
    for (const bin of bins) {
      eachGroup(tables.of(String(bin))[table], (...group) => {
        const [shape, rows, at] = group
        const {offset, length} = shape.fields[VICTIM]
        if (length !== wanted.length) return
        for (let i = 0; i < length; i++) if (rows[at + offset + i] !== wanted[i]) return
        visit(...group)
      })
    }
  }

  /** How many sources it has. */
  function sourcesOf(attack: Attack): number {
    const from = createRowTable(ADDRESS_OCTETS + 1, [])
    eachOf(attack, 1, (shape, rows, at) => {
      const start = from.next()
      from.octets[start + ADDRESS_OCTETS] = copyPart(rows, at, shape, 1, from.octets, start)
    })
    const count = from.count()
    from.close()
    return count
  }

  /** What most of the packets have in common. */
  function vectorOf(attack: Attack): Vector {
    const all = new Map<string, Vector>()
    eachOf(attack, 0, (shape, rows, at, words, columns) => {
      const known = (part: number): number | undefined =>
        shape.fields[part].element && numberAt(rows, at, shape, part)
      const protocol = numberAt(rows, at, shape, PROTOCOL)
      const [port, flags] = [known(SERVICE), known(FLAGS)]
      const name = [protocol, port ?? -1, flags ?? -1].join()
      const packets = columnAt(words, columns, PACKETS)
      const vector = all.get(name)
      if (vector === undefined) all.set(name, {protocol, port, flags, packets})
      else vector.packets += packets
    })
    const sorted = [...all].sort(([a, x], [b, y]) => y.packets - x.packets || (a < b ? -1 : 1))
    return sorted[0][1]
  }

  return tableState(tables, sort, records)
}

/** Ports whose answers are far longer than the questions. */
const REFLECTORS: Readonly<Record<number, string>> = {
  17: 'QOTD',
  19: 'chargen',
  53: 'DNS',
  111: 'portmap',
  123: 'NTP',
  137: 'NetBIOS',
  161: 'SNMP',
  389: 'CLDAP',
  1900: 'SSDP',
  5353: 'mDNS',
  11211: 'memcached',
}

function vectorText({protocol, port, flags}: Vector): string {
  if (protocol === 6 && flags !== undefined) {
    if ((flags & 0x12) === 2) return 'SYN flood'
    if ((flags & 4) !== 0) return 'RST flood'
    return 'TCP flood'
  }
  const reflector = protocol === 17 && port !== undefined ? REFLECTORS[port] : undefined
  if (reflector !== undefined) return `${reflector} flood`
  return `${protocolName(protocol) ?? `protocol ${protocol}`} flood`
}
