import type {MessageContext, RecordBatch} from '../../../record/batch.js'
import {COMPOSE} from '../../../record/compose-rows.js'
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
import {
  createComposer,
  fieldText,
  type Composer,
  type ComposeStep,
  type ResultProgram,
} from '../composed-results.js'
import {GATHERED, orderedRows, type RowCursor} from '../group-rows.js'
import {resultKind, type ResultKind} from '../result-writer.js'
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
    const composer = createComposer(message)
    const observers = createObservers()
    const output = createOutput(composer, why, observers)
    for (const lanes of lanesOf(tables)) {
      composer.use(lanes[0].cursor.octets)
      const conversations = createConversations(lanes, observers, () => composer.flush())
      const {there, back} = conversations
      while (conversations.next()) {
        if (!uniflow && there.count > 0 && back.count > 0) {
          // Whoever began is the source; of two that began at once the lesser end.
          if (beginTime(back) < beginTime(there)) output.write(back, there)
          else output.write(there, back)
        } else {
          if (there.count > 0) output.write(there)
          if (back.count > 0) output.write(back)
        }
        const batches = composer.take()
        if (batches.length > 0) yield* batches
      }
    }
    composer.flush()
    yield* composer.take()
  }

  return {...tableState(tables, byDomain, () => []), results}
}

/** Rows of one table and shape, in the order of their conversations. */
interface Lane {
  readonly number: number
  readonly domain: string
  readonly shape: KeyShape
  readonly rowOctets: number
  readonly columnsAt: number
  readonly cursor: RowCursor
  /** All its rows are of one observer. */
  readonly one: boolean
  /** Which ports its rows have, as bits of what a record has: from the lesser end, and from the greater one. */
  readonly ports: readonly [number, number]
  /** Of results of one row, by what they have. */
  readonly programs: (ResultProgram | undefined)[]
}

/** Rows behind those of the lanes, for what is kept of those that have gone. */
const SPARE_ROWS = 3

/** Rows whose conversations can be the same, in one buffer: those of shapes with alike ends. */
function lanesOf(tables: TableSet): Lane[][] {
  const all = tables.names().flatMap((domain) =>
    tables
      .of(domain)[0]
      .ordered()
      .map((table) => ({domain, shape: table.shape, table})),
  )
  const alike = Map.groupBy(all, ({shape}) =>
    shape.fields
      .slice(0, OBSERVER)
      .map(({length}) => length)
      .join(),
  )
  const first = ([name]: [string, unknown]): number[] => name.split(',').map(Number)
  let number = 0
  return [...alike]
    .sort((a, b) => {
      const [x, y] = [first(a), first(b)]
      return x[LESSER] - y[LESSER] || x[GREATER] - y[GREATER] || x[1] - y[1] || x[3] - y[3]
    })
    .map(([, list]) => {
      const octets = list.map(({table}) => GATHERED * table.rowOctets)
      const rows = new Uint8Array(octets.reduce((a, b) => a + b, SPARE_ROWS * longestRow(list)))
      let begin = 0
      return list.map(({domain, shape, table}, i) => {
        const cursor = orderedRows(table, rows, begin)
        begin += octets[i]
        const {rowOctets, columnsAt} = table
        return {
          ...{number: number++, domain, shape, rowOctets, columnsAt, cursor},
          one: seesOne(shape),
          ports: [portsOf(shape, LESSER, GREATER), portsOf(shape, GREATER, LESSER)],
          programs: [],
        }
      })
    })
}

function portsOf({fields}: KeyShape, from: number, to: number): number {
  return (
    (fields[from + 1].length > 0 ? SOURCE_PORT : 0) |
    (fields[to + 1].length > 0 ? DESTINATION_PORT : 0)
  )
}

function longestRow(lanes: readonly {readonly table: {readonly rowOctets: number}}[]): number {
  return Math.max(...lanes.map(({table}) => table.rowOctets))
}

/** One direction of a conversation as the point saw it that saw most of it. */
interface Way {
  lane: Lane
  /** Octet at which its row begins. */
  at: number
  /** Points that saw it; 0: nobody did. */
  count: number
}

/** Goes through conversations: the way from the lesser end and the way back. */
interface Conversations {
  readonly there: Way
  readonly back: Way
  /** To the next one; false: there is none. */
  next(): boolean
}

/** @param leave called before rows change that were shown */
function createConversations(
  lanes: readonly Lane[],
  observers: Observers,
  leave: () => void,
): Conversations {
  const [first] = lanes
  const {octets, words} = first.cursor
  const room = Math.max(...lanes.map(({rowOctets}) => rowOctets))
  const spare = octets.length - SPARE_ROWS * room
  const there: Way = {lane: first, at: spare, count: 0}
  const back: Way = {lane: first, at: spare, count: 0}
  let key = spare
  const ends = first.shape.fields[PROTOCOL].offset + 1
  const lastWord = (ends - 1) >>> 2
  const lastMask = 0xffffffff >>> (8 * (3 - ((ends - 1) & 3)))

  /** Whether two rows are of one conversation. Where they differ, mostly what comes last does: they lie in order. */
  function areSame(a: number, b: number): boolean {
    const [x, y] = [a >>> 2, b >>> 2]
    if (((words[x + lastWord] ^ words[y + lastWord]) & lastMask) !== 0) return false
    for (let i = lastWord - 1; i >= 0; i--) if (words[x + i] !== words[y + i]) return false
    return true
  }

  /** Takes the only row of a conversation, if that is what the only lane has next and there are more in its buffer. */
  function takeAlone({cursor, shape, rowOctets}: Lane): boolean {
    const {at} = cursor
    const behind = at + rowOctets
    if (behind >= cursor.end || areSame(at, behind)) return false
    const way = octets[at + shape.wayAt] === 0 ? there : back
    way.lane = first
    way.at = at
    way.count = 1
    cursor.at = behind
    return true
  }

  /** Keeps a row beside the others; returns where it is. */
  function keep(at: number, place: number, length: number): number {
    const to = spare + place * room
    if (at < spare) octets.copyWithin(to, at, at + length)
    return at < spare ? to : at
  }

  /** Takes the rows of the conversation that a lane has next. */
  function take(lane: Lane): void {
    const {cursor, shape, rowOctets} = lane
    while (cursor.at >= 0 && areSame(cursor.at, key)) {
      const {at} = cursor
      const way = octets[at + shape.wayAt] === 0 ? there : back
      if (way.count === 0 || isBetter(lane, at, way, observers)) {
        way.lane = lane
        way.at = at
      }
      way.count++
      if (at + rowOctets === cursor.end) {
        leave()
        there.at = keep(there.at, 0, there.lane.rowOctets)
        back.at = keep(back.at, 1, back.lane.rowOctets)
        key = keep(key, 2, ends)
      }
      cursor.step()
    }
  }

  function earliest(): Lane | undefined {
    if (lanes.length === 1) return first.cursor.at < 0 ? undefined : first
    let next: Lane | undefined
    for (const lane of lanes) {
      if (lane.cursor.at < 0) continue
      if (next === undefined) next = lane
      else if (compare(octets, lane.cursor.at, next.cursor.at, ends) < 0) next = lane
    }
    return next
  }

  return {
    there,
    back,
    next() {
      const next = earliest()
      if (next === undefined) return false
      key = next.cursor.at
      there.count = 0
      back.count = 0
      if (lanes.length === 1 && takeAlone(first)) return true
      for (let i = 0; i < lanes.length; i++) take(lanes[i])
      return true
    },
  }
}

/** Points that saw less have lost something, sampled, or come from a part of the path; of two alike the first by name. */
function isBetter(lane: Lane, at: number, best: Way, observers: Observers): boolean {
  const {octets, words} = lane.cursor
  const columns = (at + lane.columnsAt) / 4
  const known = (best.at + best.lane.columnsAt) / 4
  for (const column of [PACKETS, OCTETS]) {
    for (const word of [2 * column + 1, 2 * column]) {
      const order = words[columns + word] - words[known + word]
      if (order !== 0) return order > 0
    }
  }
  const name = (l: Lane, row: number): string =>
    observers.names[observers.numberOf(l.domain, l.shape, OBSERVER, octets, row)]
  return name(lane, at) < name(best.lane, best.at)
}

function compare(octets: Uint8Array, a: number, b: number, length: number): number {
  for (let i = 0; i < length; i++) {
    if (octets[a + i] !== octets[b + i]) return octets[a + i] - octets[b + i]
  }
  return 0
}

/** When a way's first packet came, milliseconds since 1970; one without a time comes first. */
function beginTime({at, lane}: Way): number {
  const {words} = lane.cursor
  const start = (at + lane.columnsAt) / 4 + 2 * START
  const time = words[start + 1] * 4294967296 + words[start]
  return time >= 2 ** 64 - 2 ** 11 ? 0 : time
}

/** What a record has, as bits; together with the lengths of addresses they are its kind. */
const [SOURCE_PORT, DESTINATION_PORT, STARTS, ENDS, BIFLOW, BACK_STARTS, BACK_ENDS] = [
  1, 2, 4, 8, 16, 32, 64,
]

interface Output {
  /** Adds what is known of one way, or of both. */
  write(way: Way, back?: Way): void
}

function createOutput(composer: Composer, why: boolean, observers: Observers): Output {
  /** By what they have. */
  const kinds: (ResultKind | undefined)[] = []
  let made = 0
  /** Of results other than of one row, by lanes, observer, count and what they have. */
  const programs = new Map<string, ResultProgram>()
  const utf8 = new TextEncoder()

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
  function sumSteps(
    lane: Lane,
    what: number,
    has: number,
    starts: number,
    ends: number,
  ): ComposeStep[] {
    const column = (place: number, columns = 1): ComposeStep => [
      what,
      lane.columnsAt + 8 * place,
      8 * columns,
    ]
    // Columns that lie behind each other go together.
    const sums = column(OCTETS, 2)
    if ((has & starts) === 0) return (has & ends) === 0 ? [sums] : [sums, column(END)]
    return [sums, column(START, (has & ends) === 0 ? 1 : 2)]
  }

  function makeProgram(way: Way, back: Way | undefined, has: number): ResultProgram {
    const {lane, at, count} = way
    const {fields} = lane.shape
    const from = sourceOf(way)
    const to = LESSER + GREATER - from
    const part = (field: number): ComposeStep[] => {
      const {offset, length} = fields[field]
      return length === 0 ? [] : [[COMPOSE.octets, offset, length]]
    }
    const observer = observers.numberOf(lane.domain, lane.shape, OBSERVER, lane.cursor.octets, at)
    const name = fieldText(utf8.encode(observers.names[observer]))
    const text = new Uint8Array(name.length + 4)
    text.set(name)
    new DataView(text.buffer).setUint32(name.length, count)
    return composer.program(kindOf(fields[from].length, fields[to].length, has), [
      ...part(from),
      ...part(to),
      ...part(PROTOCOL),
      ...part(from + 1),
      ...part(to + 1),
      ...sumSteps(lane, COMPOSE.columns, has, STARTS, ENDS),
      [COMPOSE.columns, lane.columnsAt + 8 * FLOWS, 8],
      [COMPOSE.text, composer.text(text), text.length],
      ...(back === undefined
        ? []
        : sumSteps(back.lane, COMPOSE.otherColumns, has, BACK_STARTS, BACK_ENDS)),
    ])
  }

  function programOf(way: Way, back: Way | undefined, has: number): ResultProgram {
    const {lane, at, count} = way
    const {octets} = lane.cursor
    // Which end is the source.
    const name = 2 * has + octets[at + lane.shape.wayAt]
    if (back === undefined && count === 1 && lane.one) {
      return (lane.programs[name] ??= makeProgram(way, back, has))
    }
    const observer = observers.numberOf(lane.domain, lane.shape, OBSERVER, octets, at)
    const key = [name, lane.number, back?.lane.number ?? -1, observer, count].join()
    let program = programs.get(key)
    if (program === undefined) {
      program = makeProgram(way, back, has)
      programs.set(key, program)
    }
    return program
  }

  /** Of a Biflow both ways, else the one. */
  function filterOf({lane, at}: Way, isBiflow: boolean): Uint8Array {
    const {fields, wayAt} = lane.shape
    const row = lane.cursor.octets.subarray(at, at + lane.rowOctets)
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

  function timesOf({at, lane}: Way, starts: number, ends: number): number {
    const {words} = lane.cursor
    const columns = (at + lane.columnsAt) / 4
    return (hasStart(words, columns) ? starts : 0) | (hasEnd(words, columns) ? ends : 0)
  }

  return {
    write(way, back) {
      const has =
        way.lane.ports[sourceOf(way) === LESSER ? 0 : 1] |
        timesOf(way, STARTS, ENDS) |
        (back === undefined ? 0 : BIFLOW | timesOf(back, BACK_STARTS, BACK_ENDS))
      const program = programOf(way, back, has)
      const filter = why ? fieldText(filterOf(way, back !== undefined)) : undefined
      composer.add(program, way.at, back === undefined ? way.at : back.at, filter)
    },
  }
}

/** Which end a way begins at, as the part of the key that is its address. */
function sourceOf({lane, at}: Way): number {
  return lane.cursor.octets[at + lane.shape.wayAt] === 1 ? GREATER : LESSER
}
