import test from 'ava'
import {
  columnMeasure,
  distinctMeasure,
  meanMeasure,
  quantileMeasure,
} from '../../../src/mediation/aggregation/measure.js'
import {DISTINCT_ERROR, QUANTILE_ERROR} from '../../../src/mediation/aggregation/sketch.js'
import {distributions} from '../../../src/mediation/aggregation/derive.js'
import {columnOrder} from '../../../src/record/group-selection.js'
import {createRecordBuilder} from '../../../src/record/record-writer.js'
import {createTemplate} from '../../../src/record/template.js'
import {ie} from '../../../src/registry/lookup.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {numbers} from '../../ipfix/generate.js'
import {nfdumpFlows, withoutReverse} from '../filter/flows.js'
import {aggregate, database, plain, query, sorted, type Plain} from './aggregating.js'

/** Of one direction only: SQL knows nothing of Biflows. */
const flows = nfdumpFlows(3000).map(withoutReverse)
const db = database(flows)

const sums =
  'sum(octetDeltaCount) octetDeltaCount, sum(packetDeltaCount) packetDeltaCount, count(*) deltaFlowCount, ' +
  'min(flowStartMilliseconds) flowStartMilliseconds, max(flowEndMilliseconds) flowEndMilliseconds'

const questions: readonly (readonly [keys: string, columns: string, where?: string])[] = [
  ['proto', 'protocolIdentifier'],
  ['srcip', 'sourceIPv4Address, sourceIPv6Address'],
  [
    'srcip,dstip',
    'sourceIPv4Address, sourceIPv6Address, destinationIPv4Address, destinationIPv6Address',
  ],
  [
    'proto,srcip,srcport,dstip,dstport',
    'protocolIdentifier, sourceIPv4Address, sourceIPv6Address, sourceTransportPort, destinationIPv4Address, destinationIPv6Address, destinationTransportPort',
  ],
  ['dstport,proto', 'destinationTransportPort, protocolIdentifier'],
  ['srcas,dstas', 'bgpSourceAsNumber, bgpDestinationAsNumber'],
  ['inif,outif', 'ingressInterface, egressInterface'],
  ['tos,flags', 'ipClassOfService, tcpControlBits'],
  ['srcmac', 'sourceMacAddress'],
  ['sourceIPv6Address', 'sourceIPv6Address', 'sourceIPv6Address is not null'],
  ['flowDirection', 'flowDirection'],
]

for (const [keys, columns, where = 'true'] of questions) {
  test(`groups by ${keys} are those of an SQL query`, (t) => {
    const {rows, line} = aggregate(flows, keys.split(','))
    const theirs = query(db, `select ${columns}, ${sums} from r where ${where} group by ${columns}`)
    t.true(theirs.length > 1)
    t.deepEqual(sorted(rows), sorted(theirs))
    t.regex(line, /^aggregate: 3000 records in/)
  })
}

test('prefixes are groups of their addresses', (t) => {
  const {rows} = aggregate(flows, ['src4/24'])
  const theirs = query(
    db,
    `select rtrim(sourceIPv4Address, '0123456789') || '0' sourceIPv4Prefix, 24 sourceIPv4PrefixLength, ${sums} from r where sourceIPv4Address is not null group by 1`,
  )
  t.deepEqual(sorted(rows), sorted(theirs))
})

test('sums, extremes, means and distinct counts are those of an SQL query', (t) => {
  const {rows} = aggregate(flows, ['proto'], {
    measures: [
      columnMeasure('sum', 'ipClassOfService'),
      columnMeasure('min', 'octets'),
      columnMeasure('max', 'packets'),
      columnMeasure('max', 'flowStartMilliseconds'),
      meanMeasure('octets'),
      distinctMeasure('distinct', 'srcip'),
      distinctMeasure('distinct', 'dstport'),
      distinctMeasure('distinct', 'sourceIPv4Address'),
    ],
  })
  const theirs = query(
    db,
    `select protocolIdentifier, ${sums}, sum(ipClassOfService) sumOfIpClassOfService, min(octetDeltaCount) minimumOfOctets,
     max(packetDeltaCount) maximumOfPackets, max(flowStartMilliseconds) maximumOfFlowStartMilliseconds,
     avg(octetDeltaCount) meanOfOctets, count(distinct coalesce(sourceIPv4Address, sourceIPv6Address)) distinctCountOfSourceIPAddress,
     count(distinct destinationTransportPort) distinctCountOfDstport, count(distinct sourceIPv4Address) distinctCountOfSourceIPv4Address
     from r group by protocolIdentifier`,
  )
  t.deepEqual(sorted(rows), sorted(theirs))
})

test('a mean is that of the records that have the value, and absent where none has', (t) => {
  const template = createTemplate(256, [
    {element: ie.protocolIdentifier, length: 1},
    {element: ie.ipTTL, length: 1},
  ])
  const bare = createTemplate(257, [{element: ie.protocolIdentifier, length: 1}])
  const message = {exportTime: 1, sequenceNumber: 0, observationDomainId: 0, offset: 0}
  const with_ = createRecordBuilder(template)
  with_.add([6, 10])
  with_.add([6, 21])
  const without = createRecordBuilder(bare)
  without.add([6])
  without.add([17])
  const batches = [with_.take(message)!, without.take(message)!]
  const {rows} = aggregate(batches, ['proto'], {
    measures: [meanMeasure('ipTTL'), columnMeasure('min', 'ipTTL')],
  })
  const of = (protocol: number) => rows.find((row) => row.protocolIdentifier === protocol)!
  t.is(of(6).meanOfIpTTL, 15.5)
  t.is(of(6).minimumOfIpTTL, 10)
  t.is(of(6).deltaFlowCount, 3)
  t.false('meanOfIpTTL' in of(17))
  t.false('minimumOfIpTTL' in of(17))
})

const order = columnOrder(0)

test('an order is that of an SQL query, whole and cut', (t) => {
  const theirs = query(
    db,
    `select octetDeltaCount from (select ${sums} from r group by sourceIPv4Address, sourceIPv6Address, destinationTransportPort) order by 1 desc`,
  ).map((row) => row.octetDeltaCount)
  const keys = ['srcip', 'dstport']
  const octets = (options: Parameters<typeof aggregate>[2]) =>
    aggregate(flows, keys, options).rows.map((row) => row.octetDeltaCount)
  t.deepEqual(octets({order}), theirs)
  t.deepEqual(octets({order, count: 7}), theirs.slice(0, 7))
  t.deepEqual(octets({order: columnOrder(0, true)}), [...theirs].reverse())
})

test('groups that do not fit memory go to a store and come back the same', (t) => {
  const keys = ['proto', 'srcip', 'srcport', 'dstip', 'dstport']
  const measures = [
    distinctMeasure('distinct', 'inif'),
    quantileMeasure('octets:0.5'),
    distinctMeasure('approximate', 'dstas'),
  ]
  const whole = aggregate(flows, keys, {measures})
  const small = aggregate(flows, keys, {measures, maxOctets: 400_000})
  t.is(whole.spills, 0)
  t.true(small.spills > 2, `${small.spills}`)
  t.deepEqual(sorted(small.rows), sorted(whole.rows))
  const octets = (options: Parameters<typeof aggregate>[2]) =>
    aggregate(flows, keys, options).rows.map((row) => row.octetDeltaCount)
  t.deepEqual(octets({order, maxOctets: 400_000}), octets({order}))
  t.deepEqual(octets({order, count: 20, maxOctets: 400_000}), octets({order, count: 20}))
})

test('names of variable length are keys too, also in a store', (t) => {
  const template = createTemplate(256, [
    {element: ie.userName, length: 65535},
    {element: ie.octetDeltaCount, length: 8},
  ])
  const builder = createRecordBuilder(template)
  const below = numbers(3)
  for (let i = 0; i < 5000; i++) builder.add([`user ${below(2000)}`, below(1000)])
  const message = {exportTime: 1, sequenceNumber: 0, observationDomainId: 0, offset: 0}
  const all = builder.take(message)!
  const batches = Array.from({length: 50}, (_, i): RecordBatch => ({
    ...all,
    count: 100,
    offsets: all.offsets!.slice(100 * i, 100 * i + 101),
  }))
  const theirs = query(
    database(batches),
    'select userName, sum(octetDeltaCount) octetDeltaCount, 0 packetDeltaCount, count(*) deltaFlowCount from r group by userName',
  )
  for (const maxOctets of [0, 300_000]) {
    const {rows, spills} = aggregate(batches, ['userName'], {maxOctets})
    t.is(spills > 0, maxOctets > 0)
    t.deepEqual(sorted(rows), sorted(theirs))
  }
})

for (const distribution of distributions) {
  test(`intervals with ${distribution} distribution lose no octet, packet or Flow`, (t) => {
    const intervalMs = 1000
    const {rows, batches} = aggregate(flows, ['proto'], {intervalMs, distribution})
    const sumOf = (name: string) => rows.reduce((sum, row) => sum + Number(row[name]), 0)
    const [all] = query(db, `select ${sums} from r`)
    t.is(sumOf('octetDeltaCount'), Number(all.octetDeltaCount))
    t.is(sumOf('packetDeltaCount'), Number(all.packetDeltaCount))
    t.is(batches[0].template.scopeCount, 1)
    const spread = distribution === 'uniform' || distribution === 'proportional'
    // Each Flow begins once and ends once, and is present wherever it reaches into.
    if (spread) {
      t.is(sumOf('originalFlowsInitiated'), 3000)
      t.is(sumOf('originalFlowsCompleted'), 3000)
      t.true(sumOf('originalFlowsPresent') > 3000)
    } else t.is(sumOf('deltaFlowCount'), 3000)
    for (const row of rows) {
      t.is(Number(row.flowEndMilliseconds) - Number(row.flowStartMilliseconds), intervalMs)
      t.is(Number(row.flowStartMilliseconds) % intervalMs, 0)
    }
  })
}

test('the octets of each interval are those that the plainest computation gives', (t) => {
  const intervalMs = 10_000
  for (const distribution of distributions) {
    const expected = new Map<number, number>()
    for (const row of plain(flows)) {
      const [start, end, octets] = [
        row.flowStartMilliseconds,
        row.flowEndMilliseconds,
        row.octetDeltaCount,
      ].map(Number)
      const first = Math.floor(start / intervalMs)
      const last = Math.floor(end / intervalMs)
      const put = (interval: number, part: number) =>
        expected.set(interval, (expected.get(interval) ?? 0) + part)
      if (distribution === 'start') put(first, octets)
      else if (distribution === 'end') put(last, octets)
      else if (distribution === 'mid') put(Math.floor((start + end) / 2 / intervalMs), octets)
      else {
        for (let i = first; i <= last; i++) {
          const overlap = Math.min(end + 1, (i + 1) * intervalMs) - Math.max(start, i * intervalMs)
          const part =
            distribution === 'uniform' ? 1 / (last - first + 1) : overlap / (end - start + 1)
          put(i, octets * part)
        }
      }
    }
    const {rows} = aggregate(flows, ['flowDirection'], {intervalMs, distribution})
    const found = new Map<number, number>()
    for (const row of rows) {
      const interval = Number(row.flowStartMilliseconds) / intervalMs
      found.set(interval, (found.get(interval) ?? 0) + Number(row.octetDeltaCount))
    }
    t.deepEqual([...found.keys()].sort(), [...expected.keys()].sort())
    // Whole octets: each Flow's part is off by less than one.
    for (const [interval, octets] of expected)
      t.true(Math.abs(found.get(interval)! - octets) < 3000)
  }
})

function hostOf(row: Plain): string {
  return (row.sourceIPv4Address ?? row.sourceIPv6Address) as string
}

function valueBatches(seed: number, count: number, spread: number): RecordBatch[] {
  const below = numbers(seed)
  const template = createTemplate(256, [
    {element: ie.protocolIdentifier, length: 1},
    {element: ie.sourceIPv4Address, length: 4},
    {element: ie.octetDeltaCount, length: 8},
  ])
  const builder = createRecordBuilder(template)
  for (let i = 0; i < count; i++) {
    const host = below(spread)
    builder.add([
      6,
      Uint8Array.of(10, (host >> 16) & 255, (host >> 8) & 255, host & 255),
      Math.floor(Math.exp(below(2000) / 100)),
    ])
  }
  return [builder.take({exportTime: 1, sequenceNumber: 0, observationDomainId: 0, offset: 0})!]
}

test('approximate counts are within the stated error, and quantiles of 100 inputs too', (t) => {
  let squares = 0
  for (let seed = 1; seed <= 100; seed++) {
    const batches = valueBatches(seed, 1500, [50, 1000, 4000, 100_000][seed % 4])
    const {rows} = aggregate(batches, ['proto'], {
      measures: [
        distinctMeasure('distinct', 'srcip'),
        distinctMeasure('approximate', 'srcip'),
        quantileMeasure('octets:0.5'),
        quantileMeasure('octets:p99'),
      ],
    })
    const exact = Number(rows[0].distinctCountOfSourceIPAddress)
    const error = Number(rows[0].approximateCountOfSrcip) / exact - 1
    squares += error * error
    t.true(Math.abs(error) < 4.5 * DISTINCT_ERROR, `seed ${seed}: ${error}`)
    const values = plain(batches)
      .map((row) => Number(row.octetDeltaCount))
      .sort((a, b) => a - b)
    for (const [name, part] of [
      ['percentile50OfOctets', 0.5],
      ['percentile99OfOctets', 0.99],
    ] as const) {
      const value = values[Math.ceil(part * values.length) - 1]
      const off = Math.abs(Number(rows[0][name]) - value)
      // A whole number: half of one more.
      t.true(off <= QUANTILE_ERROR * value + 0.5, `seed ${seed} ${name}: ${off} of ${value}`)
    }
  }
  t.true(Math.sqrt(squares / 100) < 1.2 * DISTINCT_ERROR, `${Math.sqrt(squares / 100)}`)
})

test('both directions of Biflows count as the Flows that they are', (t) => {
  const biflows = nfdumpFlows(500)
  const {rows} = aggregate(biflows, ['srcip'])
  const expected = new Map<string, number>()
  for (const row of plain(biflows)) {
    const add = (host: unknown, octets: unknown) =>
      expected.set(String(host), (expected.get(String(host)) ?? 0) + Number(octets))
    add(row.sourceIPv4Address ?? row.sourceIPv6Address, row.octetDeltaCount)
    if (Number(row.reversePacketDeltaCount) > 0) {
      add(row.destinationIPv4Address ?? row.destinationIPv6Address, row.reverseOctetDeltaCount)
    }
  }
  const found = new Map(rows.map((row) => [hostOf(row), Number(row.octetDeltaCount)]))
  t.deepEqual([...found].sort(), [...expected].sort())
})
