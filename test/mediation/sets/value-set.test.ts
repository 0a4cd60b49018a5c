import test from 'ava'
import {
  contains,
  differenceOf,
  intersectionOf,
  linesOf,
  networksOf,
  readValueSet,
  sizeOf,
  unionOf,
  type Spelling,
  type ValueSet,
} from '../../../src/mediation/sets/value-set.js'
import {DartaError} from '../../../src/record/errors.js'
import {numbers} from '../../ipfix/generate.js'

const read = (text: string): ValueSet => readValueSet(new TextEncoder().encode(text), 'a file')
const lines = (set: ValueSet, spelling: Spelling = 'prefixes'): string[] => [
  ...linesOf(set, spelling),
]
/** How many values each kind has to draw from, at the beginning or the end of all that there are. */
const DOMAIN = 64

interface Kind {
  readonly kind: string
  readonly spell: (n: number) => string
}

const kinds: readonly Kind[] = [
  {kind: 'the first IPv4 addresses', spell: (n) => `0.0.0.${n}`},
  {kind: 'the last IPv4 addresses', spell: (n) => `255.255.255.${256 - DOMAIN + n}`},
  {kind: 'the first IPv6 addresses', spell: (n) => `::${n.toString(16)}`},
  {
    kind: 'the last IPv6 addresses',
    spell: (n) => `ffff:ffff:ffff:ffff:ffff:ffff:ffff:${(65536 - DOMAIN + n).toString(16)}`,
  },
  {
    kind: 'IPv6 addresses where a word ends',
    spell: (n) =>
      n < DOMAIN / 2
        ? `2001:db8::ffff:${(65536 - DOMAIN / 2 + n).toString(16)}`
        : `2001:db8::1:0:${(n - DOMAIN / 2).toString(16)}`,
  },
  {kind: 'small numbers', spell: (n) => String(n)},
  {kind: 'numbers around 2^32', spell: (n) => String(2 ** 32 - DOMAIN / 2 + n)},
  {kind: 'the last numbers', spell: (n) => String(2n ** 64n - BigInt(DOMAIN - n))},
]

for (const [seed, {kind, spell}] of kinds.entries()) {
  const below = numbers(40 + seed)
  const some = (): Set<number> => {
    const values = new Set<number>()
    for (let ranges = below(6); ranges > 0; ranges--) {
      const low = below(DOMAIN)
      const high = Math.min(DOMAIN - 1, low + below(1 + below(20)))
      for (let n = low; n <= high; n++) values.add(n)
    }
    return values
  }
  const textOf = (values: Set<number>): string => [...values].map(spell).join('\n')
  const whole = spell(0) + '-' + spell(DOMAIN - 1)

  test(`sets of ${kind} are joined, cut and asked as sets of single values are`, (t) => {
    for (let round = 0; round < 60; round++) {
      const [a, b] = [some(), some()]
      const [setA, setB] = [read(textOf(a)), read(textOf(b))]
      const spelt = (values: Iterable<number>): string[] =>
        [...values].sort((x, y) => x - y).map(spell)
      t.deepEqual(lines(setA, 'values'), spelt(a).map(plain))
      t.is(sizeOf(setA), BigInt(a.size))
      t.deepEqual(lines(unionOf([setA, setB]), 'values'), spelt(new Set([...a, ...b])).map(plain))
      const both = [...a].filter((n) => b.has(n))
      t.deepEqual(lines(intersectionOf(setA, setB), 'values'), spelt(both).map(plain))
      const less = [...a].filter((n) => !b.has(n))
      t.deepEqual(lines(differenceOf(setA, setB), 'values'), spelt(less).map(plain))
      t.is(
        contains(setA, setB),
        [...b].every((n) => a.has(n)),
      )
      // Whatever is left of everything, taken out of everything, is what there was.
      const everything = read(whole)
      t.deepEqual(lines(differenceOf(everything, differenceOf(everything, setA))), lines(setA))
    }
  })

  test(`sets of ${kind} are the same when they are read again, however they are spelt`, (t) => {
    for (let round = 0; round < 60; round++) {
      const set = read(textOf(some()))
      for (const spelling of ['prefixes', 'ranges', 'values'] as const) {
        t.deepEqual(read(lines(set, spelling).join('\n')), set)
      }
    }
  })
}

/** As darta spells it. */
function plain(text: string): string {
  return text.includes(':') ? lines(read(text))[0] : text
}

test('prefixes are the fewest that make up a range', (t) => {
  const cases: [text: string, prefixes: string][] = [
    ['10.0.0.0-10.0.0.255', '10.0.0.0/24'],
    ['10.0.0.1-10.0.0.6', '10.0.0.1 10.0.0.2/31 10.0.0.4/31 10.0.0.6'],
    ['10.0.0.0/25 10.0.0.128/25', '10.0.0.0/24'],
    ['0.0.0.0/1 128.0.0.0/1', '0.0.0.0/0'],
    ['2001:db8::/33 2001:db8:8000::/33 ::1', '::1 2001:db8::/32'],
    ['::/1,8000::/1', '::/0'],
    ['443 80 81 82', '80-82 443'],
  ]
  for (const [text, prefixes] of cases) t.is(lines(read(text)).join(' '), prefixes)
})

test('networks are those that an address of the set is in', (t) => {
  const set = read('192.0.2.9 192.0.2.200 198.51.100.255-198.51.101.0 2001:db8::1 2001:db8:0:1::')
  t.deepEqual(lines(networksOf(set, 24, 64)), ['192.0.2.0/24', '198.51.100.0/23', '2001:db8::/63'])
  t.deepEqual(lines(networksOf(set, 32, 128)), lines(set))
  t.deepEqual(lines(networksOf(set, 0, 0)), ['0.0.0.0/0', '::/0'])
  t.deepEqual(lines(networksOf(read('80'), 8, 8)), ['80'])
})

const faults: [text: string, says: RegExp][] = [
  ['10.0.0.1\n10.0.0.300', /a file, line 2: '10\.0\.0\.300' is no address/],
  ['# fine\n\n  10.0.0.0/33', /line 3: '10\.0\.0\.0\/33' is no/],
  ['10.0.0.1\n80', /line 2: '80' stands in a set of the other kind/],
  ['80 443\n::1', /line 2: '::1' stands in a set of the other kind/],
  ['9-5', /'9-5' is no/],
  ['18446744073709551616', /is no/],
  ['-5', /is no/],
  ['www.example.com', /is no/],
]
for (const [text, says] of faults) {
  test(`refuses ${JSON.stringify(text)} and says where`, (t) => {
    const error = t.throws(() => read(text), {instanceOf: DartaError})
    t.is(error.code, 'DARTA_VALUE')
    t.regex(error.message, says)
  })
}
