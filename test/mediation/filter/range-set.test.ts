import test from 'ava'
import {
  bigRanges,
  complement,
  createRangeSetBuilder,
  has1,
  has2,
  has4,
  ofWords,
  rangeSet,
  type BigRange,
} from '../../../src/mediation/filter/range-set.js'
import {readerOf, octetsReader} from '../../../src/record/readers.js'
import {createRecordBuilder} from '../../../src/record/record-writer.js'
import {createTemplate} from '../../../src/record/template.js'
import {ie} from '../../../src/registry/elements.js'
import {numbers} from '../../ipfix/generate.js'
import {filtered, parse, ways} from './filtering.js'

const below = numbers(2026)

/** A number of up to `bits` bits, often near the ends and near others. */
function someNumber(bits: number): bigint {
  let value = 0n
  for (let i = 0; i < bits; i += 16)
    value = (value << 16n) | BigInt([0, 1, 65535, below(65536)][below(4)])
  return value & ((1n << BigInt(bits)) - 1n)
}

for (const words of [1, 2, 4] as const) {
  test(`sets of ranges of ${words} words hold exactly the numbers of their ranges`, (t) => {
    const bits = 32 * words
    const most = (1n << BigInt(bits)) - 1n
    for (const count of [0, 1, 2, 7, 64, 65, 300]) {
      const ranges = Array.from({length: count}, (): BigRange => {
        const low = someNumber(bits)
        const high = low + BigInt(below(4) === 0 ? below(2 ** 30) : below(3))
        return [low, high > most ? most : high]
      })
      const set = rangeSet(words, ranges)
      const asked = ranges.flatMap(([low, high]) => [low - 1n, low, high, high + 1n])
      asked.push(0n, most, ...Array.from({length: 50}, () => someNumber(bits)))
      for (const value of asked) {
        if (value < 0n || value > most) continue
        const parts = Uint32Array.from({length: words}, (_, w) =>
          Number((value >> BigInt(32 * (words - 1 - w))) & 0xffffffffn),
        )
        const holds =
          words === 1
            ? has1(set, parts[0])
            : words === 2
              ? has2(set, parts[0], parts[1])
              : has4(set, parts)
        t.is(
          holds,
          ranges.some(([low, high]) => value >= low && value <= high),
          `${value}`,
        )
      }
      // Sorted, apart from each other, and the same again in another width.
      const kept = [...bigRanges(set)]
      for (let i = 1; i < kept.length; i++) t.true(kept[i][0] > kept[i - 1][1] + 1n)
      if (words < 4) t.deepEqual([...bigRanges(ofWords(ofWords(set, 4), words))], kept)
      t.deepEqual(complement(complement(kept, 0n, most), 0n, most), kept)
    }
  })
}

test('a file of many prefixes passes the addresses that lie in one of them, with the addon and without', (t) => {
  const prefixes = Array.from({length: 3000}, () => {
    const length = 8 + below(25)
    return {address: (below(65536) * 65536 + below(65536)) >>> 0, length}
  }).filter(({length}) => length > 12)
  const text = (n: number): string => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255).join('.')
  const file = prefixes.map(({address, length}) => `${text(address)}/${length}`).join('\n')
  const template = createTemplate(256, [
    {element: ie.sourceIPv4Address, length: 4},
    {element: ie.destinationIPv4Address, length: 4},
  ])
  const builder = createRecordBuilder(template)
  const addresses = Array.from({length: 4000}, (_, i) => {
    const near = prefixes[below(prefixes.length)].address
    return i % 2 === 0 ? (near + below(65536)) >>> 0 : below(65536) * 65536 + below(65536)
  })
  for (const address of addresses) builder.add([text(address), '0.0.0.0'])
  const message = {exportTime: 1, sequenceNumber: 0, observationDomainId: 0, offset: 0}
  const batch = builder.take(message)!
  const inside = addresses.filter((address) =>
    prefixes.some(
      ({address: net, length}) =>
        Math.floor(address / 2 ** (32 - length)) === Math.floor(net / 2 ** (32 - length)),
    ),
  )
  t.true(inside.length > 100 && inside.length < addresses.length - 100)
  const expression = parse('src ip in @nets', {nets: file})
  for (const native of ways) {
    const {passed} = filtered(expression, [batch], native)
    const found = passed.flatMap((of) => {
      const read = readerOf(of.template, ie.sourceIPv4Address, octetsReader)!
      return Array.from({length: of.count}, (_, i) => {
        const octets = read(of, i)
        return new DataView(octets.buffer, octets.byteOffset).getUint32(0)
      })
    })
    t.deepEqual(found, inside)
  }
})

test('ranges may be added in any order and twice', (t) => {
  const builder = createRangeSetBuilder(1)
  for (const [low, high] of [
    [80, 90],
    [10, 20],
    [85, 100],
    [21, 30],
    [10, 20],
  ]) {
    builder.add([low], [high])
  }
  t.deepEqual(
    [...bigRanges(builder.build())],
    [
      [10n, 30n],
      [80n, 100n],
    ],
  )
})
