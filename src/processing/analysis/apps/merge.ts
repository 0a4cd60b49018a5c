import type {MessageContext, RecordBatch} from '../../../record/batch.js'
import type {KeyShape} from '../../../record/group-spec.js'
import {ie} from '../../../registry/elements.js'
import {reverseOf} from '../../../registry/lookup.js'
import {defineApp, type Analysis, type AnalysisState, type StateLimits} from '../app.js'
import {
  conversationNeeds,
  directionSpec,
  GREATER,
  LESSER,
  OBSERVER,
  PROTOCOL,
  seesOne,
} from '../conversations.js'
import {createObservers, whyOption, type Observers} from '../findings.js'
import {END, FLOWS, hasEnd, hasStart, OCTETS, PACKETS, START} from '../flow-sums.js'
import {orderedRows, type RowCursor} from '../group-rows.js'
import {
  createResultWriter,
  resultKind,
  type ResultKind,
  type ResultWriter,
} from '../result-writer.js'
import {allOf, conversationFilter, wayFilter, type FilterEnd} from '../record-filters.js'
import {byDomain, createTableSet, tableState, type TableSet} from '../table-set.js'

export default defineApp({
  summary: 'Each conversation once: what several exporters, timeouts and directions made of it',
  options: {
    uniflow: {
      kind: 'flag',
      summary: 'Leave the two directions apart instead of making Biflows (RFC 5103).',
    },
    ...whyOption,
  },
  prepare: ({uniflow, why}): Analysis => ({
    ...conversationNeeds,
    createState: (limits) => createState(uniflow, why, limits),
  }),
})

function createState(uniflow: boolean, why: boolean, limits: StateLimits): AnalysisState {
  const tables = createTableSet([directionSpec], limits)

  function* results(message: MessageContext): Iterable<RecordBatch> {
    const output = createOutput(createResultWriter(message), why)
    const observers = createObservers()
    for (const lanes of lanesOf(tables)) {
      const conversations = createConversations(lanes, observers)
      const {there, back} = conversations
      while (conversations.next()) {
        if (!uniflow && there.count > 0 && back.count > 0) {
          // Whoever began is the source; of two that began at once the lesser end.
          const turned = beginTime(back) < beginTime(there)
          const batch = turned
            ? output.write(back, there, observers)
            : output.write(there, back, observers)
          if (batch !== undefined) yield batch
          continue
        }
        if (there.count > 0) {
          const batch = output.write(there, undefined, observers)
          if (batch !== undefined) yield batch
        }
        if (back.count > 0) {
          const batch = output.write(back, undefined, observers)
          if (batch !== undefined) yield batch
        }
      }
    }
    const last = output.end()
    if (last !== undefined) yield last
  }

  return {...tableState(tables, byDomain, () => []), results}
}

/** Rows of one table and shape, in the order of their conversations. */
interface Lane {
  readonly domain: string
  readonly shape: KeyShape
  readonly rowOctets: number
  readonly columnsAt: number
  readonly cursor: RowCursor
  /** All its rows are of one observer. */
  readonly one: boolean
}

/** Rows whose conversations can be the same: those of shapes with alike ends. */
function lanesOf(tables: TableSet): Lane[][] {
  const all = tables.names().flatMap((domain) =>
    tables
      .of(domain)[0]
      .ordered()
      .map((table) => ({
        ...{domain, shape: table.shape, one: seesOne(table.shape), table},
        ...{rowOctets: table.rowOctets, columnsAt: table.columnsAt},
      })),
  )
  const alike = Map.groupBy(all, ({shape}) =>
    shape.fields
      .slice(0, OBSERVER)
      .map(({length}) => length)
      .join(),
  )
  const first = ([name]: [string, unknown]): number[] => name.split(',').map(Number)
  return [...alike]
    .sort((a, b) => {
      const [x, y] = [first(a), first(b)]
      return x[LESSER] - y[LESSER] || x[GREATER] - y[GREATER] || x[1] - y[1] || x[3] - y[3]
    })
    .map(([, lanes]) => lanes.map((lane) => ({...lane, cursor: orderedRows(lane.table)})))
}

/** A row, where it lies as long as it lies there, then a copy of it. */
interface HeldRow {
  octets: Uint8Array
  /** The same as words. */
  words: Uint32Array
  /** Octet at which it begins. */
  at: number
  readonly copy: Uint8Array
  readonly copyWords: Uint32Array
}

/** One direction of a conversation as the point saw it that saw most of it. */
interface Way extends HeldRow {
  lane: Lane
  /** Points that saw it; 0: nobody did. */
  count: number
}

function hold(row: HeldRow): void {
  const {octets, at, copy} = row
  if (octets === copy) return
  for (let i = 0; i < copy.length; i++) copy[i] = octets[at + i]
  row.octets = copy
  row.words = row.copyWords
  row.at = 0
}

/** Goes through conversations: the way from the lesser end and the way back. */
interface Conversations {
  readonly there: Way
  readonly back: Way
  /** To the next one; false: there is none. */
  next(): boolean
}

function createConversations(lanes: readonly Lane[], observers: Observers): Conversations {
  const [first] = lanes
  const room = Math.max(...lanes.map(({rowOctets}) => rowOctets))
  const newRow = (): HeldRow => {
    const copy = new Uint8Array(room)
    const copyWords = new Uint32Array(copy.buffer)
    return {octets: copy, words: copyWords, at: 0, copy, copyWords}
  }
  const there: Way = {...newRow(), lane: first, count: 0}
  const back: Way = {...newRow(), lane: first, count: 0}
  const key = newRow()
  const ends = first.shape.fields[PROTOCOL].offset + 1

  function put(row: HeldRow, {octets, words, at}: RowCursor): void {
    row.octets = octets
    row.words = words
    row.at = at
  }

  /** Takes the rows of the conversation that a lane has next. */
  function take(lane: Lane): void {
    const {cursor, shape, rowOctets, columnsAt} = lane
    const {octets, words} = cursor
    while (cursor.at >= 0 && compare(octets, cursor.at, key.octets, key.at, ends) === 0) {
      const {at} = cursor
      const way = octets[at + shape.wayAt] === 0 ? there : back
      if (way.count === 0 || isBetter(words, (at + columnsAt) / 4, way, lane, at, observers)) {
        way.lane = lane
        put(way, cursor)
      }
      way.count++
      if (at + rowOctets === cursor.end) {
        hold(there)
        hold(back)
        hold(key)
      }
      cursor.step()
    }
  }

  function earliest(): Lane | undefined {
    if (lanes.length === 1) return first.cursor.at < 0 ? undefined : first
    let next: Lane | undefined
    for (const lane of lanes) {
      if (lane.cursor.at < 0) continue
      const {octets, at} = lane.cursor
      if (next === undefined) next = lane
      else if (compare(octets, at, next.cursor.octets, next.cursor.at, ends) < 0) next = lane
    }
    return next
  }

  return {
    there,
    back,
    next() {
      const next = earliest()
      if (next === undefined) return false
      put(key, next.cursor)
      there.count = 0
      back.count = 0
      for (let i = 0; i < lanes.length; i++) take(lanes[i])
      return true
    },
  }
}

/** Points that saw less have lost something, sampled, or come from a part of the path; of two alike the first by name. */
function isBetter(
  words: Uint32Array,
  columns: number,
  {words: best, lane: of, octets, at: row}: Way,
  lane: Lane,
  at: number,
  observers: Observers,
): boolean {
  const known = (row + of.columnsAt) / 4
  for (const column of [PACKETS, OCTETS]) {
    for (const word of [2 * column + 1, 2 * column]) {
      const order = words[columns + word] - best[known + word]
      if (order !== 0) return order > 0
    }
  }
  const name = (l: Lane, rows: Uint8Array, from: number): string =>
    observers.names[observers.numberOf(l.domain, l.shape, OBSERVER, rows, from)]
  return name(lane, lane.cursor.octets, at) < name(of, octets, row)
}

function compare(a: Uint8Array, at: number, b: Uint8Array, from: number, length: number): number {
  for (let i = 0; i < length; i++) {
    if (a[at + i] !== b[from + i]) return a[at + i] - b[from + i]
  }
  return 0
}

/** When a way's first packet came, milliseconds since 1970; one without a time comes first. */
function beginTime({words, at: row, lane}: Way): number {
  const at = (row + lane.columnsAt) / 4 + 2 * START
  const time = words[at + 1] * 4294967296 + words[at]
  return time >= 2 ** 64 - 2 ** 11 ? 0 : time
}

/** What a record has, as bits; together with the lengths of addresses they are its kind. */
const [SOURCE_PORT, DESTINATION_PORT, STARTS, ENDS, BIFLOW, BACK_STARTS, BACK_ENDS] = [
  1, 2, 4, 8, 16, 32, 64,
]

interface Output {
  write(way: Way, back: Way | undefined, observers: Observers): RecordBatch | undefined
  end(): RecordBatch | undefined
}

function createOutput(writer: ResultWriter, why: boolean): Output {
  /** By what they have. */
  const kinds: (ResultKind | undefined)[] = []
  let made = 0
  const names: Uint8Array[] = []
  const utf8 = new TextEncoder()
  /** A lane of one observer, and its name. */
  let named: Lane | undefined
  let nameOfIt: Uint8Array = new Uint8Array(0)

  function kindOf(source: number, destination: number, has: number): ResultKind {
    const name = has + 128 * (source === 4 ? 0 : 1) + 256 * (destination === 4 ? 0 : 1)
    let kind = kinds[name]
    if (kind === undefined) {
      const only = <T>(bit: number, ...list: T[]): T[] => ((has & bit) === 0 ? [] : list)
      const back = (element: typeof ie.octetDeltaCount): typeof ie.octetDeltaCount =>
        reverseOf(element)!
      kind = resultKind(256 + made++, [
        source === 4 ? ie.sourceIPv4Address : ie.sourceIPv6Address,
        destination === 4 ? ie.destinationIPv4Address : ie.destinationIPv6Address,
        ie.protocolIdentifier,
        ...only(SOURCE_PORT, ie.sourceTransportPort),
        ...only(DESTINATION_PORT, ie.destinationTransportPort),
        ie.octetDeltaCount,
        ie.packetDeltaCount,
        ...only(STARTS, ie.flowStartMilliseconds),
        ...only(ENDS, ie.flowEndMilliseconds),
        ie.deltaFlowCount,
        ie.dartaObserver,
        ie.dartaObserverCount,
        ...only(BIFLOW, back(ie.octetDeltaCount), back(ie.packetDeltaCount)),
        ...only(BACK_STARTS, back(ie.flowStartMilliseconds)),
        ...only(BACK_ENDS, back(ie.flowEndMilliseconds)),
        ...(why ? [ie.dartaFilter] : []),
      ])
      kinds[name] = kind
    }
    return kind
  }

  /** Octets, packets and times; which times there are is in `has`. */
  function writeSums(way: Way, has: number, starts: number, ends: number): void {
    writeColumn(way, OCTETS)
    writeColumn(way, PACKETS)
    if ((has & starts) !== 0) writeColumn(way, START)
    if ((has & ends) !== 0) writeColumn(way, END)
  }

  function writeColumn({words, at, lane}: Way, column: number): void {
    const word = (at + lane.columnsAt) / 4 + 2 * column
    writer.long(words[word], words[word + 1])
  }

  /** Of a Biflow both ways, else the one. */
  function filterOf({lane, octets, at}: Way, isBiflow: boolean): Uint8Array {
    const {fields, wayAt} = lane.shape
    const row = octets.subarray(at, at + lane.rowOctets)
    const end = (part: number): FilterEnd => {
      const [address, port] = [fields[part], fields[part + 1]]
      return {
        address: row.subarray(address.offset, address.offset + address.length),
        port: port.length === 0 ? undefined : (row[port.offset] << 8) | row[port.offset + 1],
      }
    }
    const ends = [end(LESSER), end(GREATER)] as const
    const [from, to] = row[wayAt] === 1 ? [ends[1], ends[0]] : ends
    const protocol = row[fields[PROTOCOL].offset]
    return utf8.encode(
      isBiflow
        ? conversationFilter(from, to, protocol)
        : allOf([wayFilter(from, to), `proto ${protocol}`]),
    )
  }

  function nameOf({lane, octets, at}: Way, observers: Observers): Uint8Array {
    const number = observers.numberOf(lane.domain, lane.shape, OBSERVER, octets, at)
    const name = (names[number] ??= utf8.encode(observers.names[number]))
    if (lane.one) {
      named = lane
      nameOfIt = name
    }
    return name
  }

  function timesOf({words, at, lane}: Way, starts: number, ends: number): number {
    const columns = (at + lane.columnsAt) / 4
    return (hasStart(words, columns) ? starts : 0) | (hasEnd(words, columns) ? ends : 0)
  }

  return {
    write(way, back, observers) {
      const {lane, octets, at, count} = way
      const {fields, wayAt} = lane.shape
      const from = octets[at + wayAt] === 1 ? GREATER : LESSER
      const to = LESSER + GREATER - from
      const source = fields[from]
      const destination = fields[to]
      const fromPort = fields[from + 1]
      const toPort = fields[to + 1]
      const name = lane === named ? nameOfIt : nameOf(way, observers)
      const has =
        (fromPort.length > 0 ? SOURCE_PORT : 0) |
        (toPort.length > 0 ? DESTINATION_PORT : 0) |
        timesOf(way, STARTS, ENDS) |
        (back === undefined ? 0 : BIFLOW | timesOf(back, BACK_STARTS, BACK_ENDS))
      const filter = why ? filterOf(way, back !== undefined) : undefined
      // Texts below 255 octets have one octet of length before them, longer ones three. RFC 7011 section 7.
      const room = filter === undefined ? 0 : filter.length + 3
      const batch = writer.begin(
        kindOf(source.length, destination.length, has),
        1 + name.length + room,
      )
      writer.copy(octets, at + source.offset, source.length)
      writer.copy(octets, at + destination.offset, destination.length)
      writer.octet(octets[at + fields[PROTOCOL].offset])
      writer.copy(octets, at + fromPort.offset, fromPort.length)
      writer.copy(octets, at + toPort.offset, toPort.length)
      writeSums(way, has, STARTS, ENDS)
      writeColumn(way, FLOWS)
      writer.text(name)
      writer.word(count)
      if (back !== undefined) writeSums(back, has, BACK_STARTS, BACK_ENDS)
      if (filter !== undefined) writer.text(filter)
      return batch
    },
    end: () => writer.end(),
  }
}
