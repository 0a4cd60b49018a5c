import test from 'ava'
import {
  follows,
  identifierOctets,
  identifierText,
  subIdentifiers,
  subIdentifiersBelow,
} from '../../src/record/object-identifier.js'

const digits = (octets: Uint8Array): string => Buffer.from(octets).toString('hex')

for (const [oid, octets] of [
  // RFC 8038 sections 6.1, 6.2 and 6.4.
  ['1.3.6.1.2.1.6.9', '06072b060102010609'],
  ['1.3.6.1.4.1.9.9.109.1.1.1.1.7', '060d2b0601040109096d0101010107'],
  ['1.3.6.1.2.1.31.1.1.1.1', '060a2b060102011f01010101'],
  // X.690 section 8.19.5.
  ['2.999.3', '0603883703'],
  ['0.0', '060100'],
  ['1.3.4294967295', '06062b8fffffff7f'],
] as const) {
  test(`${oid} is ${octets} in BER`, (t) => {
    t.is(digits(identifierOctets(oid)), octets)
    t.is(digits(identifierOctets(`.${oid}`)), octets)
    t.is(identifierText(identifierOctets(oid)), oid)
  })
}

test('an object identifier of more than 127 octets has a longer length', (t) => {
  const long = identifierOctets(`1.3${'.4294967295'.repeat(60)}`)
  t.is(digits(long.subarray(0, 4)), '0682012d')
  t.is(long.length, 4 + 301)
})

for (const wrong of [
  '',
  '1',
  '1.40',
  '3.1',
  '1.3.',
  '1..3',
  '1.3.4294967296',
  'ifTable',
  '1.3 .6',
]) {
  test(`'${wrong}' is no object identifier`, (t) => {
    t.throws(() => subIdentifiers(wrong), {code: 'DARTA_USAGE'})
  })
}

test('what lies below an identifier is told by its numbers and not by its letters', (t) => {
  t.deepEqual(subIdentifiersBelow('1.3.6.1.2.10', '1.3.6.1.2'), [10])
  t.deepEqual(subIdentifiersBelow('1.3.6.1.2', '1.3.6.1.2'), [])
  t.is(subIdentifiersBelow('1.3.6.1.21', '1.3.6.1.2'), undefined)
})

test('a walk goes on in the order of numbers', (t) => {
  t.true(follows('1.3.10', '1.3.9'))
  t.true(follows('1.3.9.1', '1.3.9'))
  t.false(follows('1.3.9', '1.3.9'))
  t.false(follows('1.3.9', '1.3.10'))
  t.false(follows('1.3', '1.3.9'))
})
