import test from 'ava'
import {
  percent,
  scaledNumber,
  textTable,
  utcTime,
} from '../../../src/processing/analysis/text-table.js'

test('numbers are scaled by 1000, by 1024 or not at all', (t) => {
  const cases: [bigint | number, 'none' | 'si' | 'iec', string][] = [
    [0n, 'si', '0'],
    [999n, 'si', '999'],
    [1000n, 'si', '1.0 k'],
    [999_949n, 'si', '999.9 k'],
    [999_951n, 'si', '1.0 M'],
    [1_234_567n, 'none', '1234567'],
    [18446744073709551615n, 'none', '18446744073709551615'],
    [18446744073709551615n, 'si', '18.4 E'],
    [1023n, 'iec', '1023'],
    [1024n, 'iec', '1.0 Ki'],
    [1_572_864n, 'iec', '1.5 Mi'],
    [12.6, 'none', '13'],
    [1500.5, 'si', '1.5 k'],
  ]
  for (const [value, units, text] of cases) t.is(scaledNumber(value, units), text)
})

test('shares are in percent, times are RFC 3339 and empty beyond the calendar', (t) => {
  t.is(percent(0.1234), '12.3 %')
  t.is(utcTime(1_700_000_000_123n), '2023-11-14T22:13:20.123Z')
  t.is(utcTime(2n ** 63n), '')
})

test('columns are as wide as their widest cell and lines have no trailing spaces', (t) => {
  t.is(
    textTable(
      ['a', 'number', 'c'],
      [
        ['xyz', '1', ''],
        ['', '12345678', 'q'],
      ],
      [false, true, false],
    ),
    ['a      number  c', 'xyz         1', '     12345678  q', ''].join('\n'),
  )
})
