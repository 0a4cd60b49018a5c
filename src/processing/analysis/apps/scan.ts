import {SUM} from '../../../record/group-kernel.js'
import {createGroupTable} from '../../../record/group-table.js'
import {createRowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {octetText, sourceField, textOctets, whyOption} from '../findings.js'
import {END, FLOWS, flowColumns, PACKETS, START, sumsAt} from '../flow-sums.js'
import {
  columnAt,
  copyPart,
  createSieve,
  eachGroup,
  numberAt,
  partAt,
  type Sieve,
  type VisitGroup,
} from '../group-rows.js'
import type {ResultField, ResultRecord} from '../result-records.js'
import {oneTableState} from '../table-set.js'

/*
 * Threshold Random Walk (Jung, Paxson, Berger, Balakrishnan 2004): of a host's first contacts to each other host and port, in the order
 * of their time, a failure speaks for a scanner and an answer for an honest one. Sums per contact are exact, so the
 * walk is the same whoever saw which records.
 */
export default defineApp({
  summary: 'Hosts that scan others: many first contacts that nobody answers',
  options: {
    minFailed: {
      kind: 'number',
      min: 1,
      max: 1_000_000,
      default: 10,
      summary: 'Fewest contacts without an answer that are a scan.',
    },
    udp: {
      kind: 'flag',
      summary: 'UDP too: a single packet to a port is a contact without an answer.',
    },
    ...whyOption,
  },
  prepare: ({minFailed, udp, why}): Analysis => ({
    needs: [
      [ie.sourceIPv4Address, ie.sourceIPv6Address],
      [ie.destinationIPv4Address, ie.destinationIPv6Address],
      [ie.protocolIdentifier],
    ],
    uses: [
      ie.destinationTransportPort,
      ie.tcpControlBits,
      ...flowColumns.flatMap(({elements}) => elements),
    ],
    routingKey: {key: [flowKey('srcip')]},
    splittable: true,
    createState: (limits) => createState(minFailed, udp, why, limits),
  }),
})

const key = [
  flowKey('srcip'),
  flowKey('dstip'),
  flowKey('proto'),
  {...flowKey('dstport'), optional: true},
  {...flowKey('flags'), optional: true},
]
const [SOURCE, DESTINATION, PROTOCOL, PORT, FLAGS] = [0, 1, 2, 3, 4]
const MOST_ADDRESS_OCTETS = 16
const TCP = 6
const UDP = 17
const SYN = 2
const ACK = 16

/** How often contacts succeed, of honest hosts and of scanners. */
const HONEST = 0.8
const SCANNER = 0.2
const FAILURE = Math.log((1 - SCANNER) / (1 - HONEST))
const ANSWER = Math.log(SCANNER / HONEST)
/** A host of a hundred thousand may be taken for a scanner by chance. */
const CERTAIN = Math.log(0.99 / 1e-5)

interface Contact {
  readonly host: string
  readonly port: number
  readonly protocol: number
  start: number
  end: number
  answered: boolean
  octets: bigint
  packets: bigint
  flows: bigint
}

interface Scan {
  readonly source: string
  readonly contacts: readonly Contact[]
  readonly failed: number
  readonly score: number
}

function createState(
  minFailed: number,
  udp: boolean,
  why: boolean,
  limits: StateLimits,
): AnalysisState {
  const table = createGroupTable({key, columns: flowColumns}, limits)

  /** Whether nobody answered; undefined: it cannot be told. */
  const failed = (
    ...[shape, rows, at, words, columns]: Parameters<VisitGroup>
  ): boolean | undefined => {
    const protocol = numberAt(rows, at, shape, PROTOCOL)
    const packets = columnAt(words, columns, PACKETS)
    const flows = columnAt(words, columns, FLOWS)
    if (protocol === TCP && shape.fields[FLAGS].element !== undefined) {
      const flags = numberAt(rows, at, shape, FLAGS)
      // Whoever got an answer acknowledged it. Without a SYN the beginning was not seen, or it is a scan by FIN, NULL or the like.
      if ((flags & ACK) !== 0) return false
      return (flags & SYN) !== 0 || packets <= 2 * flows
    }
    if (protocol === UDP && udp) return packets <= flows
    return undefined
  }

  /** Sources with enough contacts that failed, before anything is kept of each contact. */
  function suspects(): {wanted: Set<string>; sieve: Sieve} {
    const counts = createRowTable(MOST_ADDRESS_OCTETS + 1, [SUM])
    eachGroup(table, (...group) => {
      if (failed(...group) !== true) return
      const [shape, rows, at] = group
      const start = counts.next()
      const length = copyPart(rows, at, shape, SOURCE, counts.octets, start)
      counts.octets[start + MOST_ADDRESS_OCTETS] = length
      counts.words[(start + counts.columnsAt) / 4] = 1
    })
    const wanted = new Set<string>()
    const sieve = createSieve()
    counts.eachBlock((octets, words, n) => {
      for (let at = 0; at < n * counts.rowOctets; at += counts.rowOctets) {
        if (columnAt(words, (at + counts.columnsAt) / 4, 0) < minFailed) continue
        const length = octets[at + MOST_ADDRESS_OCTETS]
        wanted.add(octetText(octets.subarray(at, at + length)))
        sieve.add(octets, at, length)
      }
    })
    counts.close()
    return {wanted, sieve}
  }

  function scans(): Scan[] {
    const sources = new Map<string, Map<string, Contact>>()
    const {wanted, sieve} = suspects()
    eachGroup(table, (...group) => {
      const [shape, rows, at, words, columns] = group
      const {offset, length} = shape.fields[SOURCE]
      if (!sieve.mayHave(rows, at + offset, length)) return
      const source = octetText(partAt(rows, at, shape, SOURCE))
      if (!wanted.has(source)) return
      const fails = failed(...group)
      if (fails === undefined) return
      let contacts = sources.get(source)
      if (contacts === undefined) sources.set(source, (contacts = new Map<string, Contact>()))
      const host = octetText(partAt(rows, at, shape, DESTINATION))
      const port = numberAt(rows, at, shape, PORT)
      const protocol = numberAt(rows, at, shape, PROTOCOL)
      const name = `${host}/${port}/${protocol}`
      const known = contacts.get(name)
      const start = columnAt(words, columns, START)
      const end = columnAt(words, columns, END)
      const {octets, packets, flows} = sumsAt(words, columns)
      if (known === undefined) {
        contacts.set(name, {
          ...{host, port, protocol, start, end, answered: !fails},
          ...{octets, packets, flows},
        })
        return
      }
      known.start = Math.min(known.start, start)
      known.end = Math.max(known.end, end)
      known.answered ||= !fails
      known.octets += octets
      known.packets += packets
      known.flows += flows
    })
    return [...sources]
      .sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1))
      .flatMap(([source, contacts]) => scanOf(source, [...contacts.values()], minFailed) ?? [])
  }

  function* records(): Iterable<ResultRecord> {
    for (const {source, contacts, failed: count, score} of scans()) {
      const open = contacts.filter(({answered}) => !answered)
      const hosts = new Set(open.map(({host}) => host)).size
      const ports = new Set(open.map(({port, protocol}) => `${port}/${protocol}`)).size
      const kind =
        hosts > 1 && ports > hosts
          ? ports > 10 * hosts && hosts <= 4
            ? 'vertical scan'
            : 'block scan'
          : hosts > 1
            ? ports > 4
              ? 'block scan'
              : 'horizontal scan'
            : 'vertical scan'
      const sum = (of: (c: Contact) => bigint): bigint => open.reduce((n, c) => n + of(c), 0n)
      const address = textOctets(source)
      const fields: ResultField[] = [
        [ie.dartaFinding, kind],
        sourceField(address),
        [ie.dartaScore, score],
        [ie.dartaFailedCount, count],
        [ie.dartaSucceededCount, contacts.length - open.length],
        [ie.dartaPeerCount, hosts],
        [ie.dartaPortCount, ports],
        [ie.octetDeltaCount, sum((c) => c.octets)],
        [ie.packetDeltaCount, sum((c) => c.packets)],
        [ie.deltaFlowCount, sum((c) => c.flows)],
        ...times(open),
      ]
      if (why) {
        const only = new Set(open.map(({protocol}) => protocol))
        const tcp = 'proto tcp and not flags A'
        const rest = only.size > 1 ? `(${tcp} or proto udp)` : only.has(TCP) ? tcp : 'proto udp'
        fields.push([ie.dartaFilter, `src ip ${addressText(address)} and ${rest}`])
      }
      yield {fields}
    }
  }

  return oneTableState(table, records)
}

function times(contacts: readonly Contact[]): ResultField[] {
  const start = contacts.reduce((least, c) => Math.min(least, c.start), Infinity)
  const end = contacts.reduce((most, c) => Math.max(most, c.end), 0)
  return [
    ...(start < 2 ** 53 ? [[ie.flowStartMilliseconds, start] as const] : []),
    ...(end > 0 && end < 2 ** 53 ? [[ie.flowEndMilliseconds, end] as const] : []),
  ]
}

/** Walks through the contacts in their order; the source is a scanner if it is certain at any time and has enough failures. */
function scanOf(source: string, contacts: readonly Contact[], minFailed: number): Scan | undefined {
  const ordered = [...contacts].sort(
    (a, b) =>
      a.start - b.start ||
      (a.host === b.host ? 0 : a.host < b.host ? -1 : 1) ||
      a.port - b.port ||
      a.protocol - b.protocol,
  )
  let walk = 0
  let score = 0
  let failed = 0
  for (const {answered} of ordered) {
    if (!answered) failed++
    // Below 0 it is honest, and the walk begins anew: a host may turn into a scanner.
    walk = Math.max(0, walk + (answered ? ANSWER : FAILURE))
    score = Math.max(score, walk)
  }
  return failed >= minFailed && score >= CERTAIN ? {source, contacts, failed, score} : undefined
}
