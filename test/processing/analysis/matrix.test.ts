import test from 'ava'
import matrix from '../../../src/processing/analysis/apps/matrix.js'
import {defaultOptions} from '../../../src/processing/analysis/app.js'
import {toolbox} from '../../../src/processing/analysis/toolbox.js'
import type {DartaError} from '../../../src/record/errors.js'
import {analyse} from '../../support/analyse.js'
import {flowBatches} from '../../support/flows.js'

const flows = flowBatches([
  {from: '10.1.0.1', to: '10.2.0.1', octets: 100},
  {from: '10.1.9.9', to: '10.2.8.8', octets: 50},
  {from: '10.2.0.1', to: '10.1.0.1', octets: 7},
  {from: '10.3.0.1', to: '10.3.0.2', octets: 3},
  {from: '2001:db8:1::1', to: '2001:db8:2::1', octets: 40},
])

test('pairs of prefixes come as records, most octets first', (t) => {
  const {rows, summaries} = analyse(matrix, {}, flows)
  t.deepEqual(
    rows.map((r) => [
      r.sourceIPv4Prefix ?? r.sourceIPv6Prefix,
      r.sourceIPv4PrefixLength ?? r.sourceIPv6PrefixLength,
      r.destinationIPv4Prefix ?? r.destinationIPv6Prefix,
      r.destinationIPv4PrefixLength ?? r.destinationIPv6PrefixLength,
      r.octetDeltaCount,
      r.dartaOctetShare,
    ]),
    [
      ['10.1.0.0', 16, '10.2.0.0', 16, 150, 0.75],
      ['2001:db8:1::', 48, '2001:db8:2::', 48, 40, 0.2],
      ['10.2.0.0', 16, '10.1.0.0', 16, 7, 0.035],
      ['10.3.0.0', 16, '10.3.0.0', 16, 3, 0.015],
    ],
  )
  t.is(summaries[0].dartaGroupCount, 4)
  t.is(summaries[0].octetDeltaCount, 200)
})

test('people get a square for each IP version, with what is not shown and sums', (t) => {
  t.is(
    analyse(matrix, {top: 2}, flows).table,
    [
      String.raw`from \ to    10.2.0.0/16  10.1.0.0/16  others  all`,
      '10.1.0.0/16          150            -       -  150',
      '10.2.0.0/16            -            7       -    7',
      'others                 -            -       3    3',
      'all                  150            7       3  160',
      '',
      String.raw`from \ to        2001:db8:2::/48  all`,
      '2001:db8:1::/48               40   40',
      'all                           40   40',
      '',
    ].join('\n'),
  )
})

test('--symmetric adds both directions under the lesser address, and counts each pair once in the sum of all', (t) => {
  const {rows, table} = analyse(matrix, {symmetric: true}, flows)
  t.deepEqual(
    rows.slice(0, 1).map((r) => [r.sourceIPv4Prefix, r.destinationIPv4Prefix, r.octetDeltaCount]),
    [['10.1.0.0', '10.2.0.0', 157]],
  )
  t.is(
    table.split('\n\n')[0],
    [
      'octets       10.1.0.0/16  10.2.0.0/16  10.3.0.0/16  all',
      '10.1.0.0/16            -          157            -  157',
      '10.2.0.0/16          157            -            -  157',
      '10.3.0.0/16            -            -            3    3',
      'all                  157          157            3  160',
    ].join('\n'),
  )
})

test('autonomous systems make a square too', (t) => {
  const {rows} = analyse(
    matrix,
    {by: 'as'},
    flowBatches([
      {from: '192.0.2.1', to: '192.0.2.2', octets: 5, as: [64496, 64497]},
      {from: '2001:db8::1', to: '2001:db8::2', octets: 6, as: [64496, 64497]},
    ]),
  )
  t.deepEqual(
    rows.map((r) => [r.bgpSourceAsNumber, r.bgpDestinationAsNumber, r.octetDeltaCount]),
    [[64496, 64497, 11]],
  )
})

test('the lengths of prefixes are options, for each IP version and side', (t) => {
  const {rows} = analyse(
    matrix,
    {srcPrefix: 0, dstPrefix: 24, srcPrefix6: 32, dstPrefix6: 0},
    flows,
  )
  t.deepEqual(
    rows.map(
      (r) =>
        `${r.sourceIPv4Prefix ?? r.sourceIPv6Prefix} ${r.destinationIPv4Prefix ?? r.destinationIPv6Prefix}`,
    ),
    [
      '0.0.0.0 10.2.0.0',
      '0.0.0.0 10.2.8.0',
      '2001:db8:: ::',
      '0.0.0.0 10.1.0.0',
      '0.0.0.0 10.3.0.0',
    ],
  )
})

test('--symmetric with prefixes of different lengths makes no sense and is refused', (t) => {
  for (const options of [{srcPrefix: 8}, {dstPrefix6: 64}]) {
    const error = t.throws<DartaError>(() =>
      matrix.prepare({...defaultOptions(matrix), symmetric: true, ...options}, toolbox),
    )
    t.is(error?.code, 'DARTA_USAGE')
  }
})
