import {fieldSpan, type RecordBatch} from '../../../record/batch.js'
import {lengthFits, type InformationElement} from '../../../record/element.js'
import {DartaError} from '../../../record/errors.js'
import {sourceOf} from '../../../record/group-view.js'
import {sharePrefix} from '../../../record/octets.js'
import {readBigUnsigned} from '../../../record/readers.js'
import {fieldIndex, type Template} from '../../../record/template.js'
import {ie} from '../../../registry/elements.js'
import {flowsColumn, octetsColumn, packetsColumn} from '../../../registry/flow-columns.js'
import {defineApp, type Analysis, type AnalysisState} from '../app.js'
import {eventTimeReader, type EventTimeReader} from '../event-time.js'
import {whyOption} from '../findings.js'
import {resultBatches, type ResultRecord} from '../result-records.js'
import {
  amountOf,
  NOBODY,
  parseRating,
  tariffAt,
  USUAL,
  type Rating,
  type TrafficClass,
} from '../rating.js'
import {parsePrefix, type Prefix} from '../prefix-table.js'
import {allOf, noneOf, oneOf, overWithin} from '../record-filters.js'
import {createUniflows} from '../../routing/uniflows.js'

export default defineApp({
  summary:
    'Usage of each account by class, tariff and direction, with what it costs: one record each',
  options: {
    rating: {
      kind: 'file',
      value: 'FILE',
      default: '',
      summary:
        'Accounts, classes of traffic, tariffs and prices, as JSON; without it all is one account.',
    },
    ...whyOption,
  },
  prepare({rating, why}): Analysis {
    const rates = parseRating(rating)
    return {
      needs: [[...octetsColumn.elements]],
      uses: [
        ie.sourceIPv4Address,
        ie.destinationIPv4Address,
        ie.sourceIPv6Address,
        ie.destinationIPv6Address,
        ie.userName,
        ie.protocolIdentifier,
        ie.sourceTransportPort,
        ie.destinationTransportPort,
        ie.ipClassOfService,
        ...packetsColumn.elements,
      ],
      // Sums only: any unit can have any record.
      routingKey: undefined,
      splittable: true,
      createState: () => createState(rates, why),
    }
  },
})

/** Exact sums: numbers while they are exact, then bigints. */
interface Exact {
  low: number
  high: bigint
}

interface Line {
  readonly octets: Exact
  readonly packets: Exact
  readonly flows: Exact
  first: number
  last: number
}

const ENOUGH = 2 ** 52

function add(sum: Exact, value: number | bigint): void {
  if (typeof value === 'bigint') sum.high += value
  else if ((sum.low += value) > ENOUGH) {
    sum.high += BigInt(sum.low)
    sum.low = 0
  }
}

const total = ({low, high}: Exact): bigint => high + BigInt(low)

/** Reads one counter exactly. */
type Counter = (batch: RecordBatch, index: number) => number | bigint

interface Reading {
  readonly time: EventTimeReader
  readonly octets: Counter
  readonly packets: Counter
  readonly flows: Counter
  readonly user: number
  readonly v4: readonly [number, number]
  readonly v6: readonly [number, number]
  readonly protocol: number
  readonly ports: readonly [number, number]
  readonly dscp: number
}

function createState(rating: Rating, why: boolean): AnalysisState {
  const lines = new Map<string, Line>()
  const readings = new WeakMap<Template, Reading>()
  const uniflows = createUniflows()
  const utf8 = new TextDecoder()

  function accountOf(batch: RecordBatch, i: number, of: Reading): [string, string] {
    if (of.user >= 0 && rating.users.size > 0) {
      const {start, length} = fieldSpan(batch, i, of.user)
      const account = rating.users.get(utf8.decode(batch.octets.subarray(start, start + length)))
      if (account !== undefined) return [account, 'user']
    }
    // What an account sends is its own; what it gets, unless another account sent it.
    for (const [side, direction] of SIDES) {
      let account: string | undefined
      if (of.v4[side] >= 0) {
        account = rating.accounts.v4(batch.view.getUint32(fieldSpan(batch, i, of.v4[side]).start))
      }
      if (account === undefined && of.v6[side] >= 0) {
        account = rating.accounts.v6(batch.octets, fieldSpan(batch, i, of.v6[side]).start)
      }
      if (account !== undefined) return [account, direction]
    }
    return [NOBODY, 'none']
  }

  function classOf(batch: RecordBatch, i: number, of: Reading): string {
    if (rating.classes.length === 0) return USUAL
    const octet = (field: number): number =>
      field < 0 ? -1 : batch.octets[fieldSpan(batch, i, field).start]
    const port = (field: number): number =>
      field < 0 ? -1 : batch.view.getUint16(fieldSpan(batch, i, field).start)
    for (const {name, protocol, ports, dscp} of rating.classes) {
      if (protocol !== undefined && octet(of.protocol) !== protocol) continue
      if (ports !== undefined && !ports.has(port(of.ports[0])) && !ports.has(port(of.ports[1]))) {
        continue
      }
      if (dscp !== undefined && (of.dscp < 0 || octet(of.dscp) >> 2 !== dscp)) continue
      return name
    }
    return USUAL
  }

  function lineOf(name: string): Line {
    let line = lines.get(name)
    if (line === undefined) {
      const zero = (): Exact => ({low: 0, high: 0n})
      line = {octets: zero(), packets: zero(), flows: zero(), first: Infinity, last: -Infinity}
      lines.set(name, line)
    }
    return line
  }

  function addBatch(batch: RecordBatch): void {
    let of = readings.get(batch.template)
    if (of === undefined) {
      of = readingOf(batch.template)
      readings.set(batch.template, of)
    }
    for (let i = 0; i < batch.count; i++) {
      const [account, direction] = accountOf(batch, i, of)
      const ms = of.time(batch, i)
      const tariff = rating.tariffs.length === 0 ? USUAL : tariffAt(rating.tariffs, ms)
      const line = lineOf(`${account}\0${direction}\0${classOf(batch, i, of)}\0${tariff}`)
      add(line.octets, of.octets(batch, i))
      add(line.packets, of.packets(batch, i))
      add(line.flows, of.flows(batch, i))
      if (ms < line.first) line.first = ms
      if (ms > line.last) line.last = ms
    }
  }

  function* records(): Iterable<ResultRecord> {
    for (const name of [...lines.keys()].sort()) {
      const {octets, packets, flows, first, last} = lines.get(name)!
      const [account, direction, trafficClass, tariff] = name.split('\0')
      const amount = amountOf(rating.prices, account, trafficClass, tariff, total(octets))
      const time = (ms: number): number => (Number.isSafeInteger(ms) && ms >= 0 ? ms : 0)
      yield {
        fields: [
          [ie.dartaAccount, account],
          [ie.dartaFeature, direction],
          [ie.dartaTrafficClass, trafficClass],
          [ie.dartaTariff, tariff],
          [ie.octetDeltaCount, limited(total(octets))],
          [ie.packetDeltaCount, limited(total(packets))],
          [ie.deltaFlowCount, limited(total(flows))],
          [ie.dartaAmountMicro, limited(amount)],
          [ie.flowStartMilliseconds, time(first)],
          [ie.flowEndMilliseconds, time(last)],
          ...(why
            ? [
                [
                  ie.dartaFilter,
                  filterOf(account, direction, trafficClass, tariff, first, last),
                ] as const,
              ]
            : []),
        ],
      }
    }
  }

  /** Of a tariff the language knows nothing but when its first and last record were. */
  function filterOf(
    account: string,
    direction: string,
    trafficClass: string,
    tariff: string,
    first: number,
    last: number,
  ): string {
    const timed = rating.tariffs.length > 0 && tariff !== USUAL && last > first
    const text = allOf([
      accountFilter(rating, account, direction),
      classFilter(rating.classes, trafficClass),
      timed ? overWithin(first, last + 1) : undefined,
    ])
    // A field has room for so many octets (RFC 7011 section 7).
    return text.length < 65_000 ? text : classFilter(rating.classes, trafficClass)
  }

  return {
    add(batches) {
      let counted = 0
      for (const batch of batches) {
        for (const part of uniflows(batch)) addBatch(part)
        counted += batch.count
      }
      return counted
    },
    merge(snapshot) {
      for (const [name, octets, packets, flows, first, last] of parseLines(snapshot)) {
        const line = lineOf(name)
        line.octets.high += BigInt(octets)
        line.packets.high += BigInt(packets)
        line.flows.high += BigInt(flows)
        line.first = Math.min(line.first, first ?? Infinity)
        line.last = Math.max(line.last, last ?? -Infinity)
      }
    },
    snapshot() {
      const all = [...lines.keys()].sort().map((name): SavedLine => {
        const {octets, packets, flows, first, last} = lines.get(name)!
        const sums = [octets, packets, flows].map((sum) => String(total(sum)))
        return [name, sums[0], sums[1], sums[2], first, last]
      })
      return new TextEncoder().encode(JSON.stringify(all))
    },
    results: (message) => resultBatches(message, records()),
    missing: () =>
      [...lines.values()].some(({octets}) => total(octets) > MOST) ? [['sum-limit', 1]] : [],
    memoryOctets: () => 400 * lines.size,
    close: () => lines.clear(),
  }
}

/** What `accountOf` asks, as a filter. */
function accountFilter({users, prefixes}: Rating, account: string, direction: string): string {
  const named = (names: Iterable<string>): string[] => [...names].map((name) => `user "${name}"`)
  const own = [...users].filter(([, of]) => of === account).map(([name]) => name)
  if (direction === 'user') return oneOf(named(own))
  const anyone = noneOf(named(users.keys()))
  const all = prefixes.map(([text, of]) => ({...parsePrefix(text), text, account: of}))
  const nets = (side: string, some: readonly (typeof all)[number][]): string[] =>
    some.map(({text}) => `${side} net ${text}`)
  // The longest prefix holds: what others have within one's own is theirs.
  const within = (side: string): string =>
    oneOf(
      all
        .filter((prefix) => prefix.account === account)
        .map((prefix) =>
          allOf([
            ...nets(side, [prefix]),
            noneOf(
              nets(
                side,
                all.filter((other) => isWithin(other, prefix)),
              ),
            ),
          ]),
        ),
    )
  switch (direction) {
    case 'sent':
      return allOf([anyone, within('src')])
    case 'received':
      return allOf([anyone, noneOf(nets('src', all)), within('dst')])
    default:
      return allOf([anyone, noneOf(nets('src', all)), noneOf(nets('dst', all))])
  }
}

/** Whether a prefix is a longer one in another. */
function isWithin(inner: Prefix, outer: Prefix): boolean {
  return inner.bits > outer.bits && sharePrefix(inner.octets, outer.octets, outer.bits)
}

/** What `classOf` asks. */
function classFilter(classes: readonly TrafficClass[], name: string): string {
  const test = ({protocol, ports, dscp}: TrafficClass): string =>
    allOf([
      protocol === undefined ? undefined : `proto ${protocol}`,
      ports && `port in [${[...ports].join(' ')}]`,
      dscp === undefined ? undefined : `dscp ${dscp}`,
    ])
  const before: string[] = []
  const own: string[] = []
  for (const of of classes) {
    if (of.name === name) own.push(allOf([test(of), noneOf(before)]))
    before.push(test(of))
  }
  if (name === USUAL) own.push(noneOf(before))
  return oneOf(own)
}

const SIDES = [
  [0, 'sent'],
  [1, 'received'],
] as const
const MOST = 2n ** 64n - 1n

function limited(value: bigint): bigint {
  return value > MOST ? MOST : value
}

type SavedLine = [string, string, string, string, number | null, number | null]

/** @throws DartaError DARTA_VALUE */
function parseLines(snapshot: Uint8Array): SavedLine[] {
  try {
    const lines: unknown = JSON.parse(new TextDecoder().decode(snapshot))
    if (Array.isArray(lines)) return lines as SavedLine[]
  } catch {
    // What was cut is no JSON.
  }
  throw new DartaError('DARTA_VALUE', 'a snapshot of usage is no list of lines', 0)
}

function readingOf(template: Template): Reading {
  const field = (element: InformationElement, octets: number): number => {
    const found = fieldIndex(template, element)
    return found >= 0 && template.fields[found].length === octets ? found : -1
  }
  const counter = (column: typeof octetsColumn): Counter => {
    const {field: from, constant} = sourceOf(column, false, template)
    if (from < 0) return () => constant
    return (batch, i) => {
      const {start, length} = fieldSpan(batch, i, from)
      if (length > 8) return 0
      let value = 0
      for (let k = start; k < start + length; k++) value = value * 256 + batch.octets[k]
      return value < ENOUGH ? value : readBigUnsigned(batch.octets, start, length)
    }
  }
  const user = fieldIndex(template, ie.userName)
  return {
    time: eventTimeReader(template),
    octets: counter(octetsColumn),
    packets: counter(packetsColumn),
    flows: counter(flowsColumn),
    user: user >= 0 && lengthFits('string', template.fields[user].length) ? user : -1,
    v4: [field(ie.sourceIPv4Address, 4), field(ie.destinationIPv4Address, 4)],
    v6: [field(ie.sourceIPv6Address, 16), field(ie.destinationIPv6Address, 16)],
    protocol: field(ie.protocolIdentifier, 1),
    ports: [field(ie.sourceTransportPort, 2), field(ie.destinationTransportPort, 2)],
    dscp: field(ie.ipClassOfService, 1),
  }
}
