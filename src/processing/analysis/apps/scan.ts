import {OR, padKey, SUM} from '../../../record/group-kernel.js'
import {createGroupTable, type GroupBlock} from '../../../record/group-table.js'
import type {GroupSpec, KeyShape} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {reverseOf} from '../../../registry/lookup.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {octetText, sourceField, whyOption} from '../findings.js'
import {
  columnsFrom,
  FLOWS,
  flowColumns,
  flowKinds,
  PACKETS,
  START,
  sumFields,
  sumsAt,
  type FlowSums,
} from '../flow-sums.js'
import {columnAt, createSpans, eachBlock} from '../group-rows.js'
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
]
const [SOURCE, DESTINATION, PROTOCOL, PORT] = [0, 1, 2, 3]
const controlBits = {elements: [ie.tcpControlBits], reverse: [reverseOf(ie.tcpControlBits)]}
/** Behind the sums: the flags of all records, and how many said theirs. */
const FLAGS = flowColumns.length
const FLAGGED = FLAGS + 1
const contacts: GroupSpec = {
  key,
  columns: [...flowColumns, {kind: 'or', ...controlBits}, {kind: 'count', ...controlBits}],
}
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

/** Contacts of sources whose addresses have so many octets, one after the other, each with the number of its source. */
interface Contacts {
  readonly addressOctets: number
  /** The sources by address, with how many contacts failed and how many there are. */
  readonly sources: RowTable
  numbers: Uint32Array
  /** When each began, milliseconds since 1970, doubled; odd where it failed. */
  walks: Float64Array
  count: number
}

/** What is told of a source that scans. */
interface Scan {
  readonly source: Uint8Array
  readonly failed: number
  readonly answered: number
  readonly score: number
}

/** Times beyond are taken for it: doubled, a number still holds it. */
const LAST_TIME = 2 ** 52 - 1

function createState(
  minFailed: number,
  udp: boolean,
  why: boolean,
  limits: StateLimits,
): AnalysisState {
  const table = createGroupTable(contacts, limits)

  /** Whether nobody answered; undefined: it cannot be told. */
  function isFailed(
    rows: Uint8Array,
    protocolAt: number,
    words: Uint32Array,
    columns: number,
  ): boolean | undefined {
    const protocol = rows[protocolAt]
    if (protocol === TCP && words[columns + 2 * FLAGGED] > 0) {
      const flags = words[columns + 2 * FLAGS]
      // Whoever got an answer acknowledged it. Without a SYN the beginning was not seen, or it is a scan by FIN, NULL or the like.
      if ((flags & ACK) !== 0) return false
      if ((flags & SYN) !== 0) return true
      return columnAt(words, columns, PACKETS) <= 2 * columnAt(words, columns, FLOWS)
    }
    if (protocol === UDP && udp) {
      return columnAt(words, columns, PACKETS) <= columnAt(words, columns, FLOWS)
    }
    return undefined
  }

  /** Visits the rows that can be told from others, block by block, in the same order each time. */
  function eachContact(
    begin: (block: GroupBlock & {columnsAt: number}) => (at: number, failed: boolean) => void,
    end: (block: GroupBlock) => void,
  ): void {
    eachBlock(table, (block) => {
      const {shape, rows, rowOctets, columnsAt} = block
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
      const protocolAt = shape.fields[PROTOCOL].offset
      const visit = begin(block)
      for (let at = 0; at < rows.length; at += rowOctets) {
        const failed = isFailed(rows, at + protocolAt, words, (at + columnsAt) / 4)
        if (failed !== undefined) visit(at, failed)
      }
      end(block)
    })
  }

  function contactsOf(): Contacts[] {
    const all = [4, 16].map((addressOctets): Contacts => ({
      addressOctets,
      sources: createRowTable(addressOctets, [SUM, SUM]),
      numbers: new Uint32Array(4096),
      walks: new Float64Array(4096),
      count: 0,
    }))
    const programs = new Map<KeyShape, number[]>()
    const spans = createSpans()
    let of = all[0]
    eachContact(
      ({shape, rows, rowOctets, columnsAt}) => {
        const {offset, length} = shape.fields[SOURCE]
        of = all.find(({addressOctets}) => addressOctets === length)!
        let own = programs.get(shape)
        if (own === undefined) {
          own = [0, 1].map((failed) =>
            of.sources.program({
              rowOctets,
              moves: [[offset, length, 0]],
              columns: [{constant: failed}, {constant: 1}],
            }),
          )
          programs.set(shape, own)
        }
        const [answered, failed] = own
        makeRoom(of, rows.length / rowOctets)
        const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
        let next = of.count
        const {walks} = of
        return (at, fails) => {
          spans.add(at, rowOctets, fails ? failed : answered)
          const start = columnAt(words, (at + columnsAt) / 4, START)
          walks[next++] = 2 * Math.min(start, LAST_TIME) + (fails ? 1 : 0)
        }
      },
      ({rows}) => {
        spans.take((list, count) => {
          let added = 0
          for (let i = 0; i < count; i++) added += list[3 * i + 1]
          const numbers = of.numbers.subarray(of.count, of.count + added)
          of.sources.addFrom(rows, list, count, numbers)
          of.count += added
        })
      },
    )
    return all
  }

  /** Numbers of sources that scan, with what their walks came to. */
  function scannersOf({sources, numbers, walks, count}: Contacts): Map<number, Scan> {
    const found = new Map<number, Scan>()
    const all = sources.count()
    // Where the walk of each source begins; of those with too few failures there is none.
    const ends = new Uint32Array(all + 1)
    const addresses: Uint8Array[] = []
    let number = 0
    sources.eachBlock((octets, words, n) => {
      for (let at = 0; at < n * sources.rowOctets; at += sources.rowOctets, number++) {
        const columns = (at + sources.columnsAt) / 4
        const enough = columnAt(words, columns, 0) >= minFailed
        ends[number + 1] = ends[number] + (enough ? columnAt(words, columns, 1) : 0)
        if (enough) addresses[number] = octets.slice(at, at + sources.columnsAt)
      }
    })
    const places = ends.slice(0, all)
    const ordered = new Float64Array(ends[all])
    for (let i = 0; i < count; i++) {
      const source = numbers[i]
      if (ends[source] < ends[source + 1]) ordered[places[source]++] = walks[i]
    }
    for (let source = 0; source < all; source++) {
      if (ends[source] === ends[source + 1]) continue
      const [from, to] = [ends[source], ends[source + 1]]
      sortPart(ordered, from, to)
      const {failed, score} = walkThrough(ordered, from, to)
      if (score < CERTAIN) continue
      const answered = to - from - failed
      found.set(source, {source: addresses[source], failed, answered, score})
    }
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const all = contactsOf()
    const scanners = all.map(scannersOf)
    if (scanners.some(({size}) => size > 0)) {
      for (const [i, details] of detailsOf(all, scanners).entries()) {
        for (const number of all[i].sources.order()) {
          const scan = scanners[i].get(number)
          if (scan !== undefined) yield {fields: fieldsOf(scan, all[i].addressOctets, details, why)}
        }
        details.close()
      }
    }
    for (const {sources} of all) sources.close()
  }

  /** Sums, hosts and ports of the failed contacts of scanners, by the octets of their addresses. */
  function detailsOf(all: readonly Contacts[], scanners: readonly Map<number, Scan>[]): Details[] {
    const details = all.map(({addressOctets}) => createDetails(addressOctets))
    const places = all.map(() => 0)
    const flags = all.map(({sources}, of) => {
      const scans = new Uint8Array(sources.count())
      for (const number of scanners[of].keys()) scans[number] = 1
      return scans
    })
    const spans = createSpans()
    let i = 0
    eachContact(
      ({shape, rowOctets}) => {
        i = all.findIndex(({addressOctets}) => addressOctets === shape.fields[SOURCE].length)
        const {numbers} = all[i]
        const scans = flags[i]
        return (at, failed) => {
          const number = numbers[places[i]++]
          if (failed && scans[number] === 1) spans.add(at, rowOctets, 0)
        }
      },
      (block) => spans.take((list, count) => details[i].add(block, list, count)),
    )
    for (const of of details) of.settle()
    return details
  }

  return oneTableState(table, records)
}

function makeRoom(of: Contacts, more: number): void {
  if (of.count + more <= of.numbers.length) return
  const room = Math.max(2 * of.numbers.length, of.count + more)
  const {numbers, walks} = of
  of.numbers = new Uint32Array(room)
  of.numbers.set(numbers)
  of.walks = new Float64Array(room)
  of.walks.set(walks)
}

/** Failed contacts of sources that scan. */
interface Details {
  /** Takes rows of contacts as spans, whose programs are none. */
  add(block: GroupBlock, spans: Int32Array, count: number): void
  settle(): void
  of(source: Uint8Array): FoundDetails
  close(): void
}

interface FoundDetails {
  readonly sums: FlowSums
  readonly hosts: number
  readonly ports: number
  readonly tcp: boolean
  readonly udp: boolean
}

/** Behind the sums. */
const TCP_BIT = 1
const UDP_BIT = 2

function createDetails(addressOctets: number): Details {
  const n = addressOctets
  const sums = createRowTable(n, [...flowKinds, OR])
  // The other host, whose address has 4 or 16 octets, and how many.
  const hosts = createRowTable(n + 17, [])
  const ports = createRowTable(n + 3, [])
  const hostCounts = createRowTable(n, [SUM])
  const portCounts = createRowTable(n, [SUM])
  const tables = [sums, hosts, ports, hostCounts, portCounts]
  const found = new Map<string, FoundDetails>()
  const programs = new Map<KeyShape, readonly [number, number, number, number]>()

  function programsOf({shape, rowOctets}: GroupBlock): readonly [number, number, number, number] {
    const known = programs.get(shape)
    if (known !== undefined) return known
    const {fields} = shape
    const columnsAt = padKey(shape.octets)
    const moves = [[fields[SOURCE].offset, n, 0]] as const
    const protocol = [fields[PROTOCOL].offset, 1] as const
    const columns = columnsFrom(columnsAt)
    const sum = (bit: number): number =>
      sums.program({rowOctets, moves, columns: [...columns, {constant: bit}]})
    const {offset, length} = fields[DESTINATION]
    const made = [
      sum(TCP_BIT),
      sum(UDP_BIT),
      hosts.program({
        rowOctets,
        moves: [...moves, [offset, length, n]],
        constants: [[n + 16, length]],
        columns: [],
      }),
      ports.program({
        rowOctets,
        moves: [...moves, [fields[PORT].offset, fields[PORT].length, n], [...protocol, n + 2]],
        columns: [],
      }),
    ] as const
    programs.set(shape, made)
    return made
  }

  /** How many rows of `from` each source has. */
  function countInto(counts: RowTable, from: RowTable): void {
    const program = counts.program({
      rowOctets: from.rowOctets,
      moves: [[0, n, 0]],
      columns: [{constant: 1}],
    })
    from.eachBlock((octets, _, rows) => counts.addFrom(octets, Int32Array.of(0, rows, program), 1))
  }

  return {
    add(block, spans, count) {
      const [tcp, udp, host, port] = programsOf(block)
      const protocolAt = block.shape.fields[PROTOCOL].offset
      const kinds = createSpans()
      for (let i = 0; i < count; i++) {
        for (let k = 0; k < spans[3 * i + 1]; k++) {
          const at = spans[3 * i] + k * block.rowOctets
          kinds.add(at, block.rowOctets, block.rows[at + protocolAt] === TCP ? tcp : udp)
        }
      }
      kinds.take((list, own) => sums.addFrom(block.rows, list, own))
      for (const [table, program] of [
        [hosts, host],
        [ports, port],
      ] as const) {
        for (let i = 0; i < count; i++) spans[3 * i + 2] = program
        table.addFrom(block.rows, spans, count)
      }
    },
    settle() {
      countInto(hostCounts, hosts)
      countInto(portCounts, ports)
      const counts = [hostCounts, portCounts].map((table) => {
        const of = new Map<string, number>()
        table.eachBlock((octets, words, rows) => {
          for (let at = 0; at < rows * table.rowOctets; at += table.rowOctets) {
            const name = octetText(octets.subarray(at, at + n))
            of.set(name, columnAt(words, (at + table.columnsAt) / 4, 0))
          }
        })
        return of
      })
      sums.eachBlock((octets, words, rows) => {
        for (let at = 0; at < rows * sums.rowOctets; at += sums.rowOctets) {
          const name = octetText(octets.subarray(at, at + n))
          const columns = (at + sums.columnsAt) / 4
          const bits = words[columns + 2 * flowColumns.length]
          found.set(name, {
            sums: sumsAt(words, columns),
            hosts: counts[0].get(name)!,
            ports: counts[1].get(name)!,
            tcp: (bits & TCP_BIT) !== 0,
            udp: (bits & UDP_BIT) !== 0,
          })
        }
      })
    },
    of: (source) => found.get(octetText(source.subarray(0, n)))!,
    close() {
      for (const table of tables) table.close()
    },
  }
}

function fieldsOf(
  {source, failed, answered, score}: Scan,
  addressOctets: number,
  details: Details,
  why: boolean,
): ResultField[] {
  const {sums, hosts, ports, tcp, udp} = details.of(source)
  const address = source.subarray(0, addressOctets)
  const fields: ResultField[] = [
    [ie.dartaFinding, kindOf(hosts, ports)],
    sourceField(address),
    [ie.dartaScore, score],
    [ie.dartaFailedCount, failed],
    [ie.dartaSucceededCount, answered],
    [ie.dartaPeerCount, hosts],
    [ie.dartaPortCount, ports],
    ...sumFields(sums),
  ]
  if (why) {
    const only = 'proto tcp and not flags A'
    const rest = tcp && udp ? `(${only} or proto udp)` : tcp ? only : 'proto udp'
    fields.push([ie.dartaFilter, `src ip ${addressText(address)} and ${rest}`])
  }
  return fields
}

function kindOf(hosts: number, ports: number): string {
  if (hosts < 2) return 'vertical scan'
  if (ports > hosts) return ports > 10 * hosts && hosts <= 4 ? 'vertical scan' : 'block scan'
  return ports > 4 ? 'block scan' : 'horizontal scan'
}

/**
 * Walks through contacts in their order, those that were answered first where several began at once. The source is a scanner if it
 * is certain at any time.
 */
function walkThrough(
  walks: Float64Array,
  from: number,
  to: number,
): {failed: number; score: number} {
  let place = 0
  let score = 0
  let failed = 0
  for (let i = from; i < to; i++) {
    const fails = walks[i] % 2 === 1
    if (fails) failed++
    // Below 0 it is honest, and the walk begins anew: a host may turn into a scanner.
    place = Math.max(0, place + (fails ? FAILURE : ANSWER))
    score = Math.max(score, place)
  }
  return {failed, score}
}

/** Sorts numbers from `from` to before `to`. Most sources have few, for which a call of the engine's costs more than sorting. */
function sortPart(numbers: Float64Array, from: number, to: number): void {
  if (to - from > 32) {
    numbers.subarray(from, to).sort()
    return
  }
  for (let i = from + 1; i < to; i++) {
    const number = numbers[i]
    let at = i
    for (; at > from && numbers[at - 1] > number; at--) numbers[at] = numbers[at - 1]
    numbers[at] = number
  }
}
