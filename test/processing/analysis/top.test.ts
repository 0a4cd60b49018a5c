import test from 'ava'
import top from '../../../src/processing/analysis/apps/top.js'
import {VARIABLE} from '../../../src/record/element.js'
import {toolbox} from '../../../src/processing/analysis/toolbox.js'
import type {DartaError} from '../../../src/record/errors.js'
import {ie, reverseOf} from '../../../src/registry/lookup.js'
import {analyse} from '../../support/analyse.js'
import {flowBatches, START} from '../../support/flows.js'
import {address, batchOf, templateOf} from '../../support/records.js'

const flows = flowBatches([
  {from: '192.0.2.1', to: '192.0.2.2', octets: 600, packets: 6, start: START, end: START + 2000},
  {
    from: '192.0.2.1',
    to: '192.0.2.3',
    octets: 300,
    packets: 1,
    start: START + 500,
    end: START + 9000,
  },
  {from: '192.0.2.2', to: '192.0.2.1', octets: 90, packets: 2, proto: 17, ports: [53, 5353]},
  {from: '2001:db8::1', to: '2001:db8::2', octets: 10, packets: 1},
])

test('the record of a row has its rank, key, sums, shares and times', (t) => {
  const {rows} = analyse(top, {top: 1}, flows)
  t.deepEqual(rows, [
    {
      dartaStatistic: 'srcip/octets',
      dartaRank: 1,
      sourceIPv4Address: '192.0.2.1',
      octetDeltaCount: 900,
      packetDeltaCount: 7,
      deltaFlowCount: 2,
      dartaOctetShare: 0.9,
      dartaPacketShare: 0.7,
      dartaFlowShare: 0.5,
      flowStartMilliseconds: START,
      flowEndMilliseconds: START + 9000,
    },
  ])
})

test('the totals, with the number of different keys, are a record of options that names the statistic', (t) => {
  const {summaries} = analyse(top, {top: 1}, flows)
  t.deepEqual(summaries, [
    {
      _scope: 1,
      dartaStatistic: 'srcip/octets',
      dartaGroupCount: 3,
      octetDeltaCount: 1000,
      packetDeltaCount: 10,
      deltaFlowCount: 4,
      flowStartMilliseconds: START,
      flowEndMilliseconds: START + 9000,
    },
  ])
})

test('people get a table with what is not shown and all', (t) => {
  const {table} = analyse(top, {top: 2}, flows)
  t.is(
    table,
    [
      'srcip/octets: 2 of 3',
      '#  source IP address  octets           packets           flows           first seen                last seen',
      '1  192.0.2.1             900   90.0 %        7   70.0 %      2   50.0 %  2023-11-14T22:13:20.000Z  2023-11-14T22:13:29.000Z',
      '2  192.0.2.2              90    9.0 %        2   20.0 %      1   25.0 %  2023-11-14T22:13:20.000Z  2023-11-14T22:13:21.000Z',
      '   1 others               10    1.0 %        1   10.0 %      1   25.0 %',
      '   all                  1000  100.0 %       10  100.0 %      4  100.0 %  2023-11-14T22:13:20.000Z  2023-11-14T22:13:29.000Z',
      '',
    ].join('\n'),
  )
})

function ranking(statistic: string, key: string, count = 10): unknown[] {
  return analyse(top, {statistic: [statistic], top: count}, flows).rows.map((row) => row[key])
}

test('orders: octets, packets, flows, bit and packet rate, octets per packet, least first', (t) => {
  t.deepEqual(ranking('dstip/octets', 'octetDeltaCount'), [600, 300, 90, 10])
  t.deepEqual(ranking('dstip/packets', 'packetDeltaCount'), [6, 2, 1, 1])
  t.deepEqual(ranking('srcip/flows', 'deltaFlowCount'), [2, 1, 1])
  t.deepEqual(ranking('dstip/bps', 'dartaBitRate'), [2400, 720, (8 * 300) / 8.5, 80])
  t.deepEqual(ranking('dstip/pps', 'dartaPacketRate'), [3, 2, 1, 1 / 8.5])
  t.deepEqual(ranking('dstip/bpp', 'dartaMeanPacketOctets'), [300, 100, 45, 10])
  t.deepEqual(ranking('dstip/octets:a', 'octetDeltaCount', 2), [10, 90])
  t.deepEqual(ranking('dstip/bpp:a', 'dartaMeanPacketOctets', 1), [10])
})

test('a group that did not last has no rate and comes last', (t) => {
  const moment = flowBatches([
    {from: '192.0.2.1', to: '192.0.2.2', octets: 9999, start: START, end: START},
    {from: '192.0.2.2', to: '192.0.2.1', octets: 1, start: START, end: START + 1000},
  ])
  const {rows} = analyse(top, {statistic: ['srcip/bps']}, moment)
  t.deepEqual(
    rows.map((row) => row.dartaBitRate),
    [8, 0],
  )
})

test('a key of either side credits both ends, once where they are equal', (t) => {
  const {rows, summaries, table} = analyse(
    top,
    {statistic: ['ip/octets', 'port/flows']},
    flowBatches([
      {from: '192.0.2.1', to: '192.0.2.2', octets: 10, ports: [53, 53]},
      {from: '192.0.2.2', to: '192.0.2.3', octets: 1, ports: [53, 80]},
      {from: '192.0.2.9', to: '192.0.2.9', octets: 3, ports: [1, 2]},
    ]),
  )
  const ip = rows.filter((row) => row.dartaStatistic === 'ip/octets')
  t.deepEqual(
    ip.map((row) => [row.dartaEndpointIPv4Address, row.octetDeltaCount, row.deltaFlowCount]),
    [
      ['192.0.2.2', 11, 2],
      ['192.0.2.1', 10, 1],
      ['192.0.2.9', 3, 1],
      ['192.0.2.3', 1, 1],
    ],
  )
  const port = rows.filter((row) => row.dartaStatistic === 'port/flows')
  t.deepEqual(
    port.map((row) => [row.dartaEndpointTransportPort, row.deltaFlowCount]),
    [
      [53, 2],
      [1, 1],
      [2, 1],
      [80, 1],
    ],
  )
  t.deepEqual(
    summaries.map((row) => [row.octetDeltaCount, row.deltaFlowCount]),
    [
      [14, 3],
      [14, 3],
    ],
  )
  t.is(ip[0].dartaOctetShare, 11 / 14)
  // Rows overlap, so nothing is "the others".
  t.notRegex(analyse(top, {statistic: ['ip/octets'], top: 1}, flows).table, /others/)
  t.regex(table, /^ip\/octets: 4 of 4$/m)
})

test(':p puts the protocol into the key, and several orders share it', (t) => {
  const {rows, table} = analyse(top, {statistic: ['dstport:p/flows,octets'], top: 1}, flows)
  t.deepEqual(
    rows.map((r) => [
      r.dartaStatistic,
      r.protocolIdentifier,
      r.destinationTransportPort,
      r.deltaFlowCount,
    ]),
    [
      ['proto,dstport/flows', 6, 443, 3],
      ['proto,dstport/octets', 6, 443, 3],
    ],
  )
  t.regex(table, /1 {2}TCP +443 /)
})

test('prefixes are told with their length', (t) => {
  const {rows, table, ledger} = analyse(top, {statistic: ['src4/30']}, flows)
  t.deepEqual(
    rows.map((r) => [r.sourceIPv4Prefix, r.sourceIPv4PrefixLength, r.octetDeltaCount]),
    [['192.0.2.0', 30, 990]],
  )
  t.regex(table, /192\.0\.2\.0\/30/)
  t.deepEqual([...ledger.skipped], [['not-applicable', 1]])
  t.is(ledger.out, 3)
})

test('any element can be a key, also text of any length', (t) => {
  const template = templateOf([[ie.userName, VARIABLE], ie.octetDeltaCount])
  const batch = batchOf(template, [
    ['alice', 5],
    ['bob\n', 7],
    ['alice', 5],
  ])
  const {rows, table} = analyse(top, {statistic: ['userName/octets']}, [batch])
  t.deepEqual(
    rows.map((r) => [r.userName, r.octetDeltaCount]),
    [
      ['alice', 10],
      ['bob\n', 7],
    ],
  )
  t.regex(table, /^2 {2}bob\? /m)
})

test('text that is not UTF-8 is told with replacement characters', (t) => {
  const batch = batchOf(templateOf([[ie.userName, 3]]), [[Uint8Array.of(0x61, 0xff, 0x62)]])
  t.is(analyse(top, {statistic: ['userName/flows']}, [batch]).rows[0].userName, 'a\ufffdb')
})

test('flags and unknown protocols are told as such in the table', (t) => {
  const batch = batchOf(templateOf([ie.tcpControlBits, ie.protocolIdentifier]), [[0x1b, 253]])
  const {rows, table} = analyse(top, {statistic: ['flags,proto/flows']}, [batch])
  t.is(rows[0].tcpControlBits, 0x1b)
  t.regex(table, /\.\.\.AP\.SF +253 /)
})

test('the reverse counters of a Biflow count for the reversed key', (t) => {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.octetDeltaCount,
    reverseOf(ie.octetDeltaCount)!,
  ])
  const batch = batchOf(template, [
    [address('192.0.2.1'), address('192.0.2.2'), 10, 1],
    [address('192.0.2.1'), address('192.0.2.3'), 20, 0],
  ])
  const {rows, summaries} = analyse(top, {}, [batch])
  t.deepEqual(
    rows.map((r) => [r.sourceIPv4Address, r.octetDeltaCount, r.deltaFlowCount]),
    [
      ['192.0.2.1', 30, 2],
      ['192.0.2.2', 1, 1],
    ],
  )
  t.is(summaries[0].octetDeltaCount, 31)
  t.is(summaries[0].deltaFlowCount, 3)
})

test('results can be ranked again: aggregated Flows keep their number', (t) => {
  const template = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount, ie.deltaFlowCount])
  const batch = batchOf(template, [[address('192.0.2.1'), 10, 5]])
  t.is(analyse(top, {}, [batch]).rows[0].deltaFlowCount, 5)
})

test('times are left out where no record has any', (t) => {
  const batch = batchOf(templateOf([ie.sourceIPv4Address, ie.octetDeltaCount]), [[1, 2]])
  const [row] = analyse(top, {}, [batch]).rows
  t.false('flowStartMilliseconds' in row)
  t.false('flowEndMilliseconds' in row)
})

test('no records give no rows and totals of nothing', (t) => {
  const {rows, summaries, table} = analyse(top, {}, [])
  t.deepEqual(rows, [])
  t.deepEqual(summaries[0].octetDeltaCount, 0)
  t.regex(table, /^srcip\/octets: 0 of 0$/m)
})

test('records of options and records without the key are counted and left out', (t) => {
  const options = batchOf(templateOf([ie.sourceIPv4Address], 257, 1), [[1], [2]])
  const without = batchOf(templateOf([ie.octetDeltaCount], 258), [[1]])
  const {ledger} = analyse(top, {}, [...flows, options, without])
  t.is(ledger.line(), 'test: 7 records in, 4 out, skipped 3 (options 2, not-applicable 1)')
})

test('of several statistics a record counts if any of them takes it', (t) => {
  const template = templateOf([ie.protocolIdentifier], 258)
  const {ledger} = analyse(top, {statistic: ['srcip/octets', 'proto/flows']}, [
    ...flows,
    batchOf(template, [[6]]),
    batchOf(templateOf([ie.octetDeltaCount], 259), [[6]]),
  ])
  t.is(ledger.line(), 'test: 6 records in, 5 out, skipped 1 (not-applicable 1)')
})

for (const [statistic, message] of [
  ['srcpi/octets', /no key 'srcpi'/],
  ['srcip/oktets', /no order 'oktets'; one of octets, packets, flows, bps, pps, bpp/],
  ['srcip/', /no order ''/],
  ['srcip,/octets', /empty key/],
  ['src4/33', /0 to 32 bits/],
  ['dst6/129/flows', /0 to 128 bits/],
  ['srcip/octets:b', /no order 'octets:b'/],
] as const) {
  test(`the statistic ${statistic} is refused with a hint`, (t) => {
    const error = t.throws<DartaError>(() =>
      top.prepare({statistic: [statistic], top: 1, why: false}, toolbox),
    )
    t.is(error?.code, 'DARTA_USAGE')
    t.regex(error?.message ?? '', message)
  })
}

test('one analysis says what it needs, how it is routed and that keys may be split', (t) => {
  const plain = top.prepare({statistic: ['srcip,dstport/octets'], top: 1, why: false}, toolbox)
  t.deepEqual(
    plain.needs.map((group) => group.map((e) => e.name).slice(0, 2)),
    [
      ['sourceIPv4Address', 'sourceIPv6Address'],
      ['destinationTransportPort', 'udpDestinationPort'],
    ],
  )
  t.is(plain.routingKey?.key.length, 2)
  t.true(plain.splittable)
  const shared = top.prepare(
    {statistic: ['srcip,dstport/octets', 'srcip/flows'], top: 1, why: false},
    toolbox,
  )
  t.deepEqual(
    shared.routingKey?.key.map((part) => part.elements[0].name),
    ['sourceIPv4Address'],
  )
  t.is(top.prepare({statistic: ['ip/octets'], top: 1, why: false}, toolbox).routingKey, undefined)
  t.is(
    top.prepare({statistic: ['srcip/octets', 'dstip/octets'], top: 1, why: false}, toolbox)
      .routingKey,
    undefined,
  )
})
