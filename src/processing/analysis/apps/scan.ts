import {OR} from '../../../record/group-kernel.js'
import {createGroupTable, type GroupTable} from '../../../record/group-table.js'
import type {GroupColumn, KeyShape} from '../../../record/group-spec.js'
import {createRowTable, type RowTable} from '../../../record/row-table.js'
import {addressText} from '../../../record/value.js'
import {ie} from '../../../registry/elements.js'
import {flowKey} from '../../../registry/flow-keys.js'
import {reverseOf} from '../../../registry/lookup.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {sourceField, whyOption} from '../findings.js'
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
import {columnAt, eachBlock, someRows} from '../group-rows.js'
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
const [SOURCE, DESTINATION, PROTOCOL] = [0, 1, 2]
const controlBits = {elements: [ie.tcpControlBits], reverse: [reverseOf(ie.tcpControlBits)]}
/** Behind the sums: the flags of all records, and a bit that any said theirs. */
const FLAGS = flowColumns.length
const FLAGGED = 0x10000
const columns: readonly GroupColumn[] = [
  ...flowColumns,
  {kind: 'or', present: FLAGGED, ...controlBits},
]
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

/** Sources whose addresses have so many octets. */
interface Sources {
  readonly addressOctets: number
  /** Their addresses. */
  readonly table: RowTable
  /** By their numbers: contacts that can be told from others, and those of them that failed. */
  contacts: Uint32Array
  failed: Uint32Array
}

type ContactRows = ReturnType<GroupTable['ordered']>[number]

/** Contacts whose keys have one shape. */
interface Contacts {
  readonly rows: ContactRows
  /** For each the number of its source, doubled; odd where it failed; UNTOLD. */
  readonly of: Uint32Array
}

/** Of a contact of which it cannot be told whether it failed. */
const UNTOLD = 0xffffffff

/** Milliseconds since 1970 between which contacts began. */
interface TimeRange {
  first: number
  last: number
}

/** When contacts began, milliseconds, doubled; odd where they failed. */
type Walks = Uint32Array | Float64Array

/** What is told of a source that scans. */
interface Scan {
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
  const only = {part: PROTOCOL, values: udp ? [TCP, UDP] : [TCP]}
  const table = createGroupTable({key, columns, only}, limits)

  /** Whether nobody answered; undefined: it cannot be told. */
  function isFailed(
    rows: Uint8Array,
    protocolAt: number,
    words: Uint32Array,
    columns: number,
  ): boolean | undefined {
    const protocol = rows[protocolAt]
    const flags = words[columns + 2 * FLAGS]
    if (protocol === TCP && (flags & FLAGGED) !== 0) {
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

  /** Tells failed contacts from others, and of which sources they are; by sources, those with the shorter addresses first. */
  function contactsOf(range: TimeRange): Map<Sources, Contacts[]> {
    const all = new Map<Sources, Contacts[]>()
    for (const addressOctets of [4, 16]) {
      const counts = {contacts: new Uint32Array(1024), failed: new Uint32Array(1024)}
      all.set({addressOctets, table: createRowTable(addressOctets, []), ...counts}, [])
    }
    const places = new Map<
      KeyShape,
      {sources: Sources; of: Uint32Array; program: number; next: number}
    >()
    for (const rows of table.ordered()) {
      const {shape, rowOctets} = rows
      const {offset, length} = shape.fields[SOURCE]
      const [sources, own] = [...all].find(([{addressOctets}]) => addressOctets === length)!
      const of = new Uint32Array(rows.count())
      own.push({rows, of})
      const moves = [[offset, length, 0]] as const
      const program = sources.table.program({rowOctets, moves, columns: []})
      places.set(shape, {sources, of, program, next: 0})
    }
    eachBlock(table, ({shape, rows, rowOctets, columnsAt}) => {
      const place = places.get(shape)!
      const {sources, of, program, next} = place
      const n = rows.length / rowOctets
      place.next += n
      const own = of.subarray(next, next + n)
      sources.table.addFrom(rows, Int32Array.of(0, n, program), 1, own)
      makeRoom(sources)
      const {contacts: told, failed} = sources
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
      let protocolAt = shape.fields[PROTOCOL].offset
      let columns = columnsAt / 4
      for (let row = 0; row < n; row++) {
        const number = own[row]
        const fails = isFailed(rows, protocolAt, words, columns)
        if (fails === undefined) {
          own[row] = UNTOLD
        } else {
          told[number]++
          if (fails) failed[number]++
          own[row] = 2 * number + (fails ? 1 : 0)
          const start = startAt(words, columns)
          if (start < range.first) range.first = start
          if (start > range.last) range.last = start
        }
        protocolAt += rowOctets
        columns += rowOctets / 4
      }
    })
    return all
  }

  /** Numbers of sources that scan, with what their walks came to. */
  function scannersOf(
    {table: addresses, contacts: told, failed}: Sources,
    contacts: readonly Contacts[],
    {first, last}: TimeRange,
  ): Map<number, Scan> {
    const found = new Map<number, Scan>()
    const count = addresses.count()
    // Where the walk of each source begins; of those with too few failures there is none.
    const ends = new Uint32Array(count + 1)
    for (let source = 0; source < count; source++) {
      const enough = failed[source] >= minFailed
      ends[source + 1] = ends[source] + (enough ? told[source] : 0)
    }
    const places = ends.slice(0, count)
    // From the first one on most fit 4 octets.
    const short = 2 * (last - first) < 2 ** 32 - 1
    const walks: Walks = short ? new Uint32Array(ends[count]) : new Float64Array(ends[count])
    for (const {rows: table, of} of contacts) {
      const wanted = (i: number): boolean => of[i] !== UNTOLD && failed[of[i] >>> 1] >= minFailed
      for (const {rows, numbers} of someRows(table, wanted)) {
        const words = new Uint32Array(rows.buffer, 0, rows.length / 4)
        for (let i = 0, columns = table.columnsAt / 4; i < numbers.length; i++) {
          const own = of[numbers[i]]
          walks[places[own >>> 1]++] = 2 * (startAt(words, columns) - first) + (own & 1)
          columns += table.rowOctets / 4
        }
      }
    }
    for (let source = 0; source < count; source++) {
      const [from, to] = [ends[source], ends[source + 1]]
      if (from === to) continue
      // In whatever order: a walk of failures only goes one way.
      if (failed[source] < to - from) sortPart(walks, from, to)
      const score = walkThrough(walks, from, to)
      if (score < CERTAIN) continue
      found.set(source, {failed: failed[source], answered: to - from - failed[source], score})
    }
    return found
  }

  function* records(): Iterable<ResultRecord> {
    const range: TimeRange = {first: Infinity, last: 0}
    const all = contactsOf(range)
    for (const [sources, own] of all) {
      const scanners = scannersOf(sources, own, range)
      if (scanners.size > 0) {
        const {addressOctets, table: addresses} = sources
        const details = detailsOf(sources, own, scanners)
        const numbers = addresses.order().filter((number) => scanners.has(number))
        const octets = new Uint8Array(numbers.length * addresses.rowOctets)
        addresses.gather(numbers, octets)
        for (const [i, number] of numbers.entries()) {
          const at = i * addresses.rowOctets
          const address = octets.subarray(at, at + addressOctets)
          yield {fields: fieldsOf(address, scanners.get(number)!, details.of(number), why)}
        }
        details.close()
      }
      sources.table.close()
    }
  }

  /** Sums, hosts and ports of the failed contacts of scanners. */
  function detailsOf(
    {table: addresses}: Sources,
    contacts: readonly Contacts[],
    scanners: ReadonlyMap<number, Scan>,
  ): Details {
    const details = createDetails(addresses.count())
    const scans = new Uint8Array(addresses.count())
    for (const number of scanners.keys()) scans[number] = 1
    for (const {rows: table, of} of contacts) {
      const wanted = (i: number): boolean =>
        of[i] !== UNTOLD && (of[i] & 1) === 1 && scans[of[i] >>> 1] === 1
      for (const {rows, numbers} of someRows(table, wanted)) {
        details.add(
          table,
          rows,
          numbers.map((i) => of[i] >>> 1),
        )
      }
    }
    details.settle()
    return details
  }

  return oneTableState(table, records)
}

function makeRoom(sources: Sources): void {
  const room = sources.contacts.length
  const count = sources.table.count()
  if (count <= room) return
  for (const name of ['contacts', 'failed'] as const) {
    const counts = new Uint32Array(Math.max(2 * room, count))
    counts.set(sources[name])
    sources[name] = counts
  }
}

function startAt(words: Uint32Array, columns: number): number {
  return Math.min(columnAt(words, columns, START), LAST_TIME)
}

/** Failed contacts of sources that scan. */
interface Details {
  /** Takes rows of a table of contacts, of sources with these numbers, and writes into the rows. */
  add(table: ContactRows, rows: Uint8Array, sources: Uint32Array): void
  settle(): void
  of(source: number): FoundDetails
  close(): void
}

interface FoundDetails {
  readonly sums: FlowSums
  readonly hosts: number
  readonly ports: number
  readonly tcp: boolean
  readonly udp: boolean
}

/** In the upper word of the column behind the sums; the lower one has the number of the source. */
const TCP_BIT = 1
const UDP_BIT = 2

/** @param count of sources */
function createDetails(count: number): Details {
  // Keys begin with the number of the source, 4 octets.
  const sums = createRowTable(4, [...flowKinds, OR])
  /** The other hosts, by the octets of their addresses. */
  const hosts = new Map([4, 16].map((length) => [length, createRowTable(4 + length, [])]))
  const ports = createRowTable(7, [])
  const found = new Map<number, FoundDetails>()
  const programs = new Map<KeyShape, readonly [sums: number, hosts: number, ports: number]>()

  function programsOf({shape, rowOctets, columnsAt}: ContactRows): readonly number[] {
    let own = programs.get(shape)
    if (own === undefined) {
      const [, destination, protocol, port] = shape.fields
      const number = [columnsAt + 8 * FLAGS, 4, 0] as const
      const columns = [...columnsFrom(columnsAt), {at: columnsAt + 8 * FLAGS}]
      own = [
        sums.program({rowOctets, moves: [number], columns}),
        hosts.get(destination.length)!.program({
          rowOctets,
          moves: [number, [destination.offset, destination.length, 4]],
          columns: [],
        }),
        ports.program({
          rowOctets,
          moves: [number, [port.offset, port.length, 4], [protocol.offset, 1, 6]],
          columns: [],
        }),
      ]
      programs.set(shape, own)
    }
    return own
  }

  /** How many rows each source has. */
  function countRows(tables: Iterable<RowTable>): Uint32Array {
    const counts = new Uint32Array(count)
    for (const table of tables) {
      table.eachBlock((_, words, rows) => {
        for (let i = 0; i < rows; i++) counts[words[(i * table.rowOctets) / 4]]++
      })
    }
    return counts
  }

  return {
    add(table, rows, sources) {
      const {shape, rowOctets, columnsAt} = table
      const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length / 4)
      let at = columnsAt / 4 + 2 * FLAGS
      let protocolAt = shape.fields[PROTOCOL].offset
      for (const source of sources) {
        words[at] = source
        words[at + 1] = rows[protocolAt] === TCP ? TCP_BIT : UDP_BIT
        at += rowOctets / 4
        protocolAt += rowOctets
      }
      const tables = [sums, hosts.get(shape.fields[DESTINATION].length)!, ports]
      for (const [i, program] of programsOf(table).entries()) {
        tables[i].addFrom(rows, Int32Array.of(0, sources.length, program), 1)
      }
    },
    settle() {
      const hostCounts = countRows(hosts.values())
      const portCounts = countRows([ports])
      sums.eachBlock((_, words, rows) => {
        for (let i = 0; i < rows; i++) {
          const at = (i * sums.rowOctets) / 4
          const source = words[at]
          const columns = at + sums.columnsAt / 4
          const bits = words[columns + 2 * FLAGS + 1]
          found.set(source, {
            sums: sumsAt(words, columns),
            hosts: hostCounts[source],
            ports: portCounts[source],
            tcp: (bits & TCP_BIT) !== 0,
            udp: (bits & UDP_BIT) !== 0,
          })
        }
      })
    },
    of: (source) => found.get(source)!,
    close() {
      for (const table of [sums, ...hosts.values(), ports]) table.close()
    },
  }
}

function fieldsOf(
  address: Uint8Array,
  {failed, answered, score}: Scan,
  {sums, hosts, ports, tcp, udp}: FoundDetails,
  why: boolean,
): ResultField[] {
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
 * How certain it is at most, on a walk through contacts in their order, that the source is a scanner; of several that began at
 * once, those that were answered come first.
 */
function walkThrough(walks: Walks, from: number, to: number): number {
  let place = 0
  let score = 0
  for (let i = from; i < to; i++) {
    // Below 0 it is honest, and the walk begins anew: a host may turn into a scanner.
    place = Math.max(0, place + (walks[i] % 2 === 1 ? FAILURE : ANSWER))
    score = Math.max(score, place)
  }
  return score
}

/** Sorts numbers from `from` to before `to`. Most sources have few, for which a call of the engine's costs more than sorting. */
function sortPart(numbers: Walks, from: number, to: number): void {
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
