import test from 'ava'
import {nearest} from '../../src/cli/suggest.js'
import {
  parseCompression,
  parseCount,
  parseDuration,
  parsePositive,
  parseSize,
  parseTime,
  parseTimeouts,
  parseTimeRange,
  parseTimeStyle,
} from '../../src/cli/values.js'
import {DartaError} from '../../src/record/errors.js'
import fc from '../support/properties.js'

const now = Date.UTC(2026, 7, 20, 12, 0, 0)
const utc = (text: string): number => Date.parse(text)

for (const [parse, good, bad] of [
  [
    parseDuration,
    {
      '30': 30_000,
      '0': 0,
      '0.5': 500,
      '5m': 300_000,
      '1h30m': 5_400_000,
      '250ms': 250,
      '1.5s': 1500,
      '2d': 172_800_000,
      '1w': 604_800_000,
      '1m1s1ms': 61_001,
    },
    ['', '-5', '5x', 'm', '5 m', '1e3', '5m3', 'NaN', '1h-3m'],
  ],
  [
    parseSize,
    {
      '1500': 1500,
      '64M': 64e6,
      '64Mi': 64 * 2 ** 20,
      '64MiB': 64 * 2 ** 20,
      '1k': 1000,
      '1KB': 1000,
      '1.5G': 1.5e9,
      '0.5Ki': 512,
    },
    ['', 'M', '-1', '1X', '64 M', '0.3', '1i', '9999999P', '0x10'],
  ],
  [
    parseCount,
    {'0': 0, '100': 100, '10k': 10_000, '1M': 1e6, '2Ki': 2048},
    ['', '-1', '1.5', 'ten', '1e6', '9007199254740993'],
  ],
  [parsePositive, {'1': 1, '7k': 7000}, ['0', '-1', '']],
] as const) {
  test(`${parse.name} reads what it should and nothing else`, (t) => {
    for (const [input, value] of Object.entries(good)) t.is(parse(input), value, input)
    for (const input of bad) {
      const error = t.throws(() => parse(input), {instanceOf: DartaError}, input)
      t.is(error.code, 'DARTA_USAGE')
      t.true(error.message.endsWith(`, not '${input}'`))
    }
  })
}

test('a duration is the sum of its parts, in whatever units it is written', (t) => {
  const parts = fc.record({h: fc.nat(999), m: fc.nat(999), s: fc.nat(999), ms: fc.nat(999)})
  fc.assert(
    fc.property(parts, ({h, m, s, ms}) => {
      const sum = ((h * 60 + m) * 60 + s) * 1000 + ms
      return (
        parseDuration(`${h}h${m}m${s}s${ms}ms`) === sum &&
        parseDuration(`${ms}ms${s}s${m}m${h}h`) === sum
      )
    }),
  )
  t.pass()
})

for (const [input, time] of [
  ['2026-08-01T10:00:00Z', '2026-08-01T10:00:00Z'],
  ['2026-08-01T10:00:00.123456Z', '2026-08-01T10:00:00.123Z'],
  ['2026-08-01t10:00:00z', '2026-08-01T10:00:00Z'],
  ['2026-08-01T10:00:00+02:00', '2026-08-01T08:00:00Z'],
  ['2026-08-01T10:00:00-09:30', '2026-08-01T19:30:00Z'],
  ['2026-08-01 10:00', '2026-08-01T10:00:00Z'],
  ['2026-08-01', '2026-08-01T00:00:00Z'],
  ['2026/08/01.10:11:12.5', '2026-08-01T10:11:12.500Z'],
  ['2026/08/01.10', '2026-08-01T10:00:00Z'],
  ['2026/08', '2026-08-01T00:00:00Z'],
  ['1785578400', '2026-08-01T10:00:00Z'],
  ['1785578400.25', '2026-08-01T10:00:00.250Z'],
  ['now', '2026-08-20T12:00:00Z'],
  ['-10m', '2026-08-20T11:50:00Z'],
  ['-1d12h', '2026-08-19T00:00:00Z'],
  ['2024-02-29', '2024-02-29T00:00:00Z'],
] as const) {
  test(`${input} is ${time}`, (t) => {
    t.is(parseTime(input, now), utc(time))
  })
}

for (const input of [
  '',
  'yesterday',
  '2026-02-30',
  '2025-02-29',
  '2026/13/01',
  '2026-08-01T24:00:00Z',
  '2026-08-01T10:61',
  '2026-08-01Z',
  '2026-08/01',
  '10m',
  '2026/*/01',
]) {
  test(`'${input}' is no time, and the error says what one looks like`, (t) => {
    const error = t.throws(() => parseTime(input, now), {instanceOf: DartaError})
    t.is(error.code, 'DARTA_USAGE')
    t.regex(error.message, /^expected a time like 2026-08-01T10:00:00Z/)
  })
}

for (const [input, from, to] of [
  ['2026-08-01T10:00:00Z..2026-08-01T11:00:00Z', '2026-08-01T10:00:00Z', '2026-08-01T11:00:01Z'],
  ['2026-08-01T10:00:00Z-2026-08-01T11:00:00Z', '2026-08-01T10:00:00Z', '2026-08-01T11:00:01Z'],
  ['2026/08/01.10:00-2026/08/01.10:04', '2026-08-01T10:00:00Z', '2026-08-01T10:05:00Z'],
  ['2026-08-01-2026-08-02', '2026-08-01T00:00:00Z', '2026-08-03T00:00:00Z'],
  ['1785578400-1785582000', '2026-08-01T10:00:00Z', '2026-08-01T11:00:01Z'],
  ['2026/08/*', '2026-08-01T00:00:00Z', '2026-09-01T00:00:00Z'],
  ['2026/12/*', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['2026/*', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['2026/08/01.*', '2026-08-01T00:00:00Z', '2026-08-02T00:00:00Z'],
  ['2026/08/01', '2026-08-01T00:00:00Z', '2026-08-02T00:00:00Z'],
  ['-10m', '2026-08-20T11:50:00Z', '2026-08-20T12:00:00Z'],
  ['-1d+2h', '2026-08-19T12:00:00Z', '2026-08-19T14:00:00Z'],
  ['2026/08/01.10:00+30m', '2026-08-01T10:00:00Z', '2026-08-01T10:30:00Z'],
  ['-2h..-1h', '2026-08-20T10:00:00Z', '2026-08-20T11:00:00Z'],
  ['2026-08-01T10:00:00+02:00', '2026-08-01T08:00:00Z', '2026-08-01T08:00:01Z'],
  ['..2026-08-01', undefined, '2026-08-02T00:00:00Z'],
  ['2026-08-01..', '2026-08-01T00:00:00Z', undefined],
] as const) {
  test(`the range ${input} is from ${from ?? 'the beginning'} until ${to ?? 'the end'}`, (t) => {
    const range = parseTimeRange(input, now)
    t.is(range.from, from && utc(from))
    t.is(range.to, to && utc(to))
  })
}

for (const input of ['2026-08-02..2026-08-01', 'x..y', '2026/*/01', '-1d+x', '']) {
  test(`'${input}' is no range`, (t) => {
    t.is(t.throws(() => parseTimeRange(input, now), {instanceOf: DartaError}).code, 'DARTA_USAGE')
  })
}

test('every time that darta prints in RFC 3339 is read as that time', (t) => {
  fc.assert(
    fc.property(fc.integer({min: 0, max: 4e12}), (time) => {
      const text = new Date(time).toISOString()
      return text.length > 24 || parseTime(text) === time
    }),
  )
  t.pass()
})

test('timeouts, time styles and compression are read or refused', (t) => {
  t.deepEqual(parseTimeouts('300,60'), {activeMs: 300_000, idleMs: 60_000})
  t.deepEqual(parseTimeouts('5m,500ms'), {activeMs: 300_000, idleMs: 500})
  for (const bad of ['300', '300,', ',60', '1,2,3'])
    t.throws(() => parseTimeouts(bad), undefined, bad)
  t.deepEqual(parseTimeStyle('epoch-ms'), {style: 'epoch-ms'})
  t.deepEqual(parseTimeStyle('strftime:%H:%M'), {style: 'strftime', pattern: '%H:%M'})
  t.throws(() => parseTimeStyle('iso'), {message: /^expected one of rfc3339, epoch/})
  t.deepEqual(parseCompression('zstd:19'), {codec: 'zstd', level: 19})
  t.deepEqual(parseCompression('none'), {codec: 'none'})
  for (const bad of ['zip', 'gzip:0', 'gzip:10', 'none:1', 'gzip:', 'zstd:1:2']) {
    t.throws(() => parseCompression(bad), {instanceOf: DartaError}, bad)
  }
})

test('suggests the names that a word was meant to be, nearest first', (t) => {
  const names = ['capture', 'print', 'analyze', 'ie', 'info']
  t.deepEqual(nearest('captrue', names), ['capture'])
  t.deepEqual(nearest('pritn', names), ['print'])
  t.deepEqual(nearest('INFO', names), ['info'])
  t.deepEqual(nearest('xyzzy', names), [])
  t.deepEqual(nearest('aaaa', ['aaab', 'aaaa', 'aabb']), ['aaaa', 'aaab'])
})
