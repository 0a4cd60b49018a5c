import test from 'ava'
import {
  checkPattern,
  MOST_EMPTY_PERIODS,
  periodStart,
  periodsUntil,
  placeName,
} from '../../src/cli/rotation.js'

const noon = Date.UTC(2026, 10, 25, 12)
const minute = 60_000

test('%d and %i are the number of the part, %n of the file, with zeros if asked for', (t) => {
  t.is(placeName('part-%d.pcap', {part: 7, file: 1}), 'part-7.pcap')
  t.is(placeName('%03i-%02n-100%%', {part: 7, file: 3}), '007-03-100%')
  t.is(placeName('%x %Y', {part: 7, file: 3}), '%x %Y')
})

test('files of the only series are the parts', (t) => {
  t.is(placeName('%d.pcap', {file: 4}, {octets: 1}), '4.pcap')
  t.is(placeName('%i.pcap', {file: 4, startMs: noon}, {periodMs: minute}), '4.pcap')
})

test('with periods the letters are those of strftime(3) in UTC, %d among them', (t) => {
  const name = (pattern: string): string =>
    placeName(pattern, {part: 2, file: 1, startMs: noon + minute}, {periodMs: minute})
  t.is(name('%Y%m%d-%H%M%S.%i'), '20261125-120100.2')
  t.is(name('%s'), String((noon + minute) / 1000))
})

test('names without a number get one behind them as tcpdump(1) does it', (t) => {
  const names = (files?: number): string[] =>
    [1, 2, 3, 12].map((file) => placeName('x.pcap', {file}, {octets: 1, files}))
  t.deepEqual(names(), ['x.pcap', 'x.pcap1', 'x.pcap2', 'x.pcap11'])
  t.deepEqual(names(11), ['x.pcap00', 'x.pcap01', 'x.pcap02', 'x.pcap00'])
  t.is(placeName('%d-%n', {part: 3, file: 5}, {octets: 1, files: 4}), '3-1')
})

test('periods are aligned to the clock and leave nothing out, but for gaps as a wrong clock makes them', (t) => {
  t.is(periodStart(noon + 1, 5 * minute), noon)
  t.is(periodStart(-1, minute), -minute)
  t.deepEqual(periodsUntil(noon, noon + minute - 1, minute), [])
  t.deepEqual(periodsUntil(noon, noon + 3 * minute + 5, minute), [
    ...[1, 2, 3].map((n) => noon + n * minute),
  ])
  const far = noon + (MOST_EMPTY_PERIODS + 1) * minute
  t.is(periodsUntil(noon, far - minute, minute).length, MOST_EMPTY_PERIODS)
  t.deepEqual(periodsUntil(noon, far, minute), [far])
})

test('patterns that name two files alike are refused', (t) => {
  const refused = (pattern: string, parts: number, rotation: object): void => {
    t.throws(() => checkPattern(pattern, parts, rotation), {code: 'DARTA_USAGE'}, pattern)
  }
  refused('x.pcap', 2, {})
  refused('%d.pcap', 2, {periodMs: minute})
  refused('%i.pcap', 2, {periodMs: minute})
  refused('%H.pcap', 0, {periodMs: 86_400_000})
  refused('%d.pcap', 1, {files: 3})
  refused('%H%M.pcap', 0, {periodMs: minute, octets: 1, files: 3})
  t.notThrows(() => checkPattern('%H%M-%i.pcap', 2, {periodMs: minute}))
  t.notThrows(() => checkPattern('%n.pcap', 0, {periodMs: minute}))
  t.notThrows(() => checkPattern('x.pcap', 0, {octets: 1, files: 3}))
})
