import test from 'ava'
import {countDeltas, type Counter, type Reading} from '../../../src/mediation/snmp/counters.js'

type Read = Reading<'in' | 'out'>

const wide = (value: bigint): Counter => ({value, bits: 64, mostPerSecond: 1e9})
const narrow = (value: number, mostPerSecond: number | undefined = 1_250_000): Counter => ({
  value: BigInt(value),
  bits: 32,
  mostPerSecond,
})

/** A reading at so many seconds, of a device that was started at second `since`. */
function reading(s: number, counters: Record<string, Counter>, more: Partial<Read> = {}): Read {
  const {since = 0, ...others} = more as Partial<Read> & {since?: number}
  return {
    askedMs: 1000 * s,
    answeredMs: 1000 * s + 5,
    upTime: (100 * (s - since)) % 2 ** 32,
    discontinuityTime: 0,
    counters: new Map(Object.entries(counters)) as Read['counters'],
    ...others,
  }
}

const started = (since: number): Partial<Read> => ({since}) as Partial<Read>

test('of a first reading nothing is counted', (t) => {
  t.deepEqual(countDeltas(undefined, reading(0, {in: wide(5n)})), {
    continuity: 'first',
    deltas: new Map(),
  })
})

test('counters that go on give what was counted, beyond 2^53 too', (t) => {
  const {continuity, deltas} = countDeltas(
    reading(1000, {in: wide(2n ** 63n), out: wide(7n)}),
    reading(1060, {in: wide(2n ** 63n + 2n ** 60n), out: wide(7n)}),
  )
  t.is(continuity, 'continued')
  t.deepEqual(
    [...deltas],
    [
      ['in', 2n ** 60n],
      ['out', 0n],
    ],
  )
})

test('a counter of 32 bits passes its greatest value once where its link is no faster', (t) => {
  const from = reading(1000, {in: narrow(2 ** 32 - 1)})
  t.deepEqual(countDeltas(from, reading(1060, {in: narrow(0)})), {
    continuity: 'wrapped',
    deltas: new Map([['in', 1n]]),
  })
})

for (const [what, from, to, seconds, speed] of [
  ['twice in the time between', 100, 200, 8000, 1_250_000],
  ['once or twice', 200, 100, 4000, 1_250_000],
  ['who knows how often', 200, 100, 60, undefined],
] as const) {
  test(`a counter of 32 bits that may have gone round ${what} is not subtracted`, (t) => {
    const {continuity, deltas} = countDeltas(
      reading(1000, {in: {...narrow(from), mostPerSecond: speed}}),
      reading(1000 + seconds, {in: {...narrow(to), mostPerSecond: speed}}),
    )
    t.is(continuity, 'ambiguous')
    t.is(deltas.size, 0)
  })
}

test('what is less than it was, and more than the link carries, was set back', (t) => {
  const before = reading(1000, {in: narrow(2_000_000_000)})
  t.is(countDeltas(before, reading(1060, {in: narrow(5)})).continuity, 'discontinuous')
  const old = reading(1000, {in: wide(6n)})
  t.is(countDeltas(old, reading(1060, {in: wide(5n)})).continuity, 'discontinuous')
})

test('ifCounterDiscontinuityTime that changes ends what was counted', (t) => {
  const {continuity, deltas} = countDeltas(
    reading(1000, {in: wide(5n)}),
    reading(1060, {in: wide(6n)}, {discontinuityTime: 103_000}),
  )
  t.is(continuity, 'discontinuous')
  t.is(deltas.size, 0)
})

for (const [what, since] of [
  ['a moment ago', 1059],
  ['at once after the reading before, and runs longer than it had then', 1001],
] as const) {
  test(`a device that was started ${what} has restarted`, (t) => {
    const {continuity, deltas} = countDeltas(
      reading(1000, {in: wide(5n)}, started(980)),
      reading(1060, {in: wide(60n)}, started(since)),
    )
    t.is(continuity, 'restarted')
    t.is(deltas.size, 0)
  })
}

test('sysUpTime that passes 2^32 after 497 days is no restart', (t) => {
  const lap = 2 ** 32 / 100
  const {continuity} = countDeltas(
    reading(lap - 10, {in: wide(5n)}),
    reading(lap + 50, {in: wide(6n)}),
  )
  t.is(continuity, 'continued')
})

test('an answer that came late, since its request had to be sent again, is no restart', (t) => {
  const before: Read = {...reading(1000, {in: wide(5n)}), answeredMs: 1_009_000}
  t.is(countDeltas(before, reading(1060, {in: wide(6n)})).continuity, 'continued')
})
