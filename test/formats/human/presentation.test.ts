import test from 'ava'
import {
  durationText,
  flagsText,
  presentationOf,
  scaled,
  timeText,
  visible,
} from '../../../src/formats/human/presentation.js'
import {widthOf} from '../../../src/formats/human/table-encoder.js'
import fc from '../../support/properties.js'

test('counters are scaled by 1000 or 1024 to one decimal, or not at all', (t) => {
  t.deepEqual(
    [0, 999, 1000, 1234, 999_949, 999_950, 1_000_000, 5_558_250_500].map((n) => scaled(n, 'si')),
    ['0', '999', '1.0 k', '1.2 k', '999.9 k', '1.0 M', '1.0 M', '5.6 G'],
  )
  t.deepEqual(
    [1023, 1024, 1536, 1048576].map((n) => scaled(n, 'iec')),
    ['1023', '1.0 Ki', '1.5 Ki', '1.0 Mi'],
  )
  t.is(scaled(18446744073709551615n, 'none'), '18446744073709551615')
  t.is(scaled(18446744073709551615n, 'si'), '18.4 E')
})

test('-N is the same as --units none, and -nn leaves protocols as numbers', (t) => {
  t.is(presentationOf({plain: true, units: 'iec'}).units, 'none')
  t.true(presentationOf({numeric: 1}).names)
  t.false(presentationOf({numeric: 2}).names)
})

test('times are shown in each style with the precision that they have', (t) => {
  const ms = 1_700_000_000_123n
  const show = (style: 'rfc3339' | 'epoch' | 'epoch-ms' | 'relative'): string =>
    timeText(ms, 3, {style}, ms - 1_500n)
  t.is(show('rfc3339'), '2023-11-14T22:13:20.123Z')
  t.is(show('epoch'), '1700000000.123')
  t.is(show('epoch-ms'), '1700000000123')
  t.is(show('relative'), '+1.500')
  t.is(timeText(1_700_000_000n, 0, {style: 'rfc3339'}, 0n), '2023-11-14T22:13:20Z')
  t.is(timeText(1_700_000_000_123_456_789n, 9, {style: 'epoch'}, 0n), '1700000000.123456789')
  t.is(timeText(ms, 3, {style: 'relative'}, ms + 250n), '-0.250')
  t.is(
    timeText(ms, 3, {style: 'strftime', pattern: '%d.%m.%Y %H:%M:%S.%f %j %a 100%%'}, 0n),
    '14.11.2023 22:13:20.123 318 Tue 100%',
  )
})

test('TCP control bits are letters in the order of the header, a dot for each that is off', (t) => {
  t.is(flagsText(0x12), '...A..S.')
  t.is(flagsText(0xff), 'CEUAPRSF')
  t.is(flagsText(0), '........')
})

test('durations are seconds, and hours, minutes and seconds from an hour on', (t) => {
  t.deepEqual([0, 1, 61_500, 3_723_000].map(durationText), ['0.000', '0.001', '61.500', '1h02m03s'])
})

test('whatever would act on a terminal is shown, in 100,000 random strings', (t) => {
  const hostile = fc.oneof(
    fc.string({unit: 'binary'}),
    fc.constantFrom(
      '\u001b[2J',
      '\u001b]0;title\u0007',
      '\u202eabc',
      '\u0000',
      '\n',
      '\u2028',
      '\ud800',
      '\u009b31m',
    ),
  )
  fc.assert(
    fc.property(
      fc.array(hostile, {maxLength: 4}).map((parts) => parts.join('')),
      (text) => {
        const shown = visible(text)

        return (
          !/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(shown) &&
          shown.isWellFormed()
        )
      },
    ),
    {numRuns: 100_000},
  )
  t.is(visible('a\u001b[31mb\u202ec'), 'a\\x1b[31mb\\u{202e}c')
  t.is(visible('Zürich 東京 😀'), 'Zürich 東京 😀')
})

test('the width of a text is that on a terminal', (t) => {
  t.deepEqual(['abc', '東京', 'e\u0301', '😀', ''].map(widthOf), [3, 4, 1, 2, 0])
})
