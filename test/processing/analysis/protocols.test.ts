import test from 'ava'
import protocols from '../../../src/processing/analysis/apps/protocols.js'
import {ie} from '../../../src/registry/elements.js'
import {analyse} from '../../support/analyse.js'
import {flowBatches} from '../../support/flows.js'
import {batchOf, templateOf} from '../../support/records.js'

const flows = flowBatches([
  {from: '192.0.2.1', to: '192.0.2.2', octets: 500, ports: [40000, 443]},
  {from: '192.0.2.2', to: '192.0.2.1', octets: 200, ports: [443, 40000]},
  {from: '192.0.2.1', to: '192.0.2.3', octets: 100, ports: [3306, 1500]},
  {from: '192.0.2.1', to: '192.0.2.3', octets: 70, ports: [777, 1500]},
  {from: '192.0.2.1', to: '192.0.2.3', octets: 50, ports: [50000, 49999]},
  {from: '192.0.2.1', to: '192.0.2.3', octets: 40, proto: 17, ports: [53, 53]},
  {from: '192.0.2.1', to: '192.0.2.3', octets: 10, proto: 1, ports: [0, 2048]},
  {from: '2001:db8::1', to: '2001:db8::2', octets: 30, proto: 17, ports: [443, 5353]},
])

test('there are rows by IP version, by protocol and by service', (t) => {
  const {rows, summaries} = analyse(protocols, {}, flows)
  t.is(summaries[0].octetDeltaCount, 1000)
  t.deepEqual(
    rows.flatMap((r) =>
      r.ipVersion === undefined ? [] : [[r.ipVersion, r.octetDeltaCount, r.dartaOctetShare]],
    ),
    [
      [4, 970, 0.97],
      [6, 30, 0.03],
    ],
  )
  t.deepEqual(
    rows.flatMap((r) =>
      r.protocolIdentifier === undefined || r.dartaServicePort !== undefined
        ? []
        : [[r.protocolIdentifier, r.octetDeltaCount]],
    ),
    [
      [6, 920],
      [17, 70],
      [1, 10],
    ],
  )
})

test('a service is named by the better known port: listed, then below 1024, then the lower one', (t) => {
  const {rows} = analyse(protocols, {}, flows)
  t.deepEqual(
    rows.flatMap((r) =>
      r.dartaServicePort === undefined
        ? []
        : [[r.protocolIdentifier, r.dartaServicePort, r.octetDeltaCount]],
    ),
    [
      [6, 443, 700],
      [6, 3306, 100],
      [6, 777, 70],
      [6, 49999, 50],
      [17, 53, 40],
      // Both are listed.
      [17, 443, 30],
    ],
  )
})

test('people get three tables, services with their names', (t) => {
  t.is(
    analyse(protocols, {top: 2}, flows).table,
    [
      'IP version  octets          packets          flows',
      'IPv4           970  97.0 %        7  87.5 %      7  87.5 %',
      'IPv6            30   3.0 %        1  12.5 %      1  12.5 %',
      '',
      'protocol  octets          packets          flows',
      'TCP          920  92.0 %        5  62.5 %      5  62.5 %',
      'UDP           70   7.0 %        2  25.0 %      2  25.0 %',
      'ICMP          10   1.0 %        1  12.5 %      1  12.5 %',
      '',
      'service           octets          packets          flows',
      'TCP 443 (https)      700  70.0 %        2  25.0 %      2  25.0 %',
      'TCP 3306 (mysql)     100  10.0 %        1  12.5 %      1  12.5 %',
      '',
    ].join('\n'),
  )
})

test('records without addresses or ports count for what they have', (t) => {
  const batch = batchOf(templateOf([ie.protocolIdentifier, ie.octetDeltaCount]), [[6, 5]])
  const {rows, table} = analyse(protocols, {}, [batch])
  t.deepEqual(
    rows.map((r) => [r.ipVersion, r.protocolIdentifier, r.octetDeltaCount]),
    [
      [0, undefined, 5],
      [undefined, 6, 5],
    ],
  )
  t.regex(table, /not said/)
})
