import type {GroupSpec} from '../../../record/group-spec.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {servicePortRanks} from '../../../registry/services.js'
import {protocolName} from '../../../registry/protocols.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  destinationField,
  knownNumber,
  octetText,
  partNumber,
  quantile,
  textOctets,
  whyOption,
} from '../findings.js'
import {flowColumns, FLOWS, OCTETS, PACKETS} from '../flow-sums.js'
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
const sources: GroupSpec = {key: [flowKey('dstip'), flowKey('srcip')], columns: flowColumns}
const [VICTIM, PROTOCOL, SERVICE, FLAGS] = [0, 1, 2, 3]

interface Vector {
  readonly protocol: number
  readonly port: number | undefined
  readonly flags: number | undefined
  packets: number
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
      if (from.size < minSources) continue
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
        [ie.dartaPeerCount, from.size],
        [ie.octetDeltaCount, attack.octets],
        [ie.packetDeltaCount, attack.packets],
        [ie.deltaFlowCount, attack.flows],
        [ie.flowStartMilliseconds, Math.max(0, attack.bins[0]) * seconds * 1000],
        [ie.flowEndMilliseconds, (Math.max(0, attack.bins.at(-1)!) + 1) * seconds * 1000],
      ]
      if (why) {
        const port = vector.port === undefined ? '' : ` and port ${vector.port}`
        const text = `dst ip ${addressText(victim)} and proto ${vector.protocol}${port}`
        fields.push([ie.dartaFilter, text])
      }
      yield {fields}
    }
  }

  /** Bins in a row in which a victim gets far more than in the others. */
  function attacks(bins: readonly number[]): Attack[] {
    const victims = new Map<string, Map<number, {packets: bigint; octets: bigint; flows: bigint}>>()
    for (const bin of bins) {
      tables.of(String(bin))[0].eachRow((row) => {
        const victim = octetText(row.part(VICTIM)!)
        let of = victims.get(victim)
        if (of === undefined) victims.set(victim, (of = new Map<number, never>()))
        const sums = of.get(bin)
        if (sums === undefined) {
          const [packets, octets, flows] = [PACKETS, OCTETS, FLOWS].map((c) => row.value(c))
          of.set(bin, {packets, octets, flows})
        } else {
          sums.packets += row.value(PACKETS)
          sums.octets += row.value(OCTETS)
          sums.flows += row.value(FLOWS)
        }
      })
    }
    const found: Attack[] = []
    const names = [...victims.keys()].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    for (const victim of names) {
      const of = victims.get(victim)!
      const rate = (bin: number): number => Number(of.get(bin)?.packets ?? 0n) / seconds
      if (![...of.keys()].some((bin) => rate(bin) >= minRate)) continue
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

  function sourcesOf({victim, bins}: Attack): Set<string> {
    const from = new Set<string>()
    for (const bin of bins) {
      tables.of(String(bin))[1].eachRow((row) => {
        if (octetText(row.part(0)!) === victim) from.add(octetText(row.part(1)!))
      })
    }
    return from
  }

  /** What most of the packets have in common. */
  function vectorOf({victim, bins}: Attack): Vector {
    const all = new Map<string, Vector>()
    for (const bin of bins) {
      tables.of(String(bin))[0].eachRow((row) => {
        if (octetText(row.part(VICTIM)!) !== victim) return
        const protocol = partNumber(row, PROTOCOL)
        const port = knownNumber(row, SERVICE)
        const flags = knownNumber(row, FLAGS)
        const name = [protocol, port ?? -1, flags ?? -1].join()
        const known = all.get(name)
        if (known === undefined)
          all.set(name, {protocol, port, flags, packets: row.number(PACKETS)})
        else known.packets += row.number(PACKETS)
      })
    }
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
