import test from 'ava'
import {isIPv4, isIPv6} from 'node:net'
import {ipv4Octets, ipv6Octets, macOctets} from '../../src/record/address.js'
import {hexText, ipv4Text, ipv6Text, macText} from '../../src/record/value.js'
import fc from '../support/properties.js'

const v6: [text: string, octets: string][] = [
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['1::', `0001${'0'.repeat(28)}`],
  ['2001:DB8::8:800:200C:417A', '20010db80000000000080800200c417a'],
  ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
  ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
  ['1:2:3:4:5:6:1.2.3.4', '00010002000300040005000601020304'],
]
for (const [text, octets] of v6) {
  test(`${text} is ${octets}`, (t) => t.is(hexText(ipv6Octets(text)), octets))
}

for (const text of [
  '',
  ':',
  ':::',
  '1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7:8::',
  '1::2::3',
  '12345::',
  'g::',
  ':1::',
  '1:',
  'fe80::1%eth0',
  '1.2.3.4::',
  '::1.2.3',
  '::1.2.3.4:1',
  '192.0.2.1',
  ' ::1',
]) {
  test(`${JSON.stringify(text)} is no IPv6 address`, (t) => {
    t.false(isIPv6(text.replace(/%.*/, '!')))
    t.throws(() => ipv6Octets(text), {code: 'DARTA_VALUE'})
  })
}

for (const text of [
  '',
  '1.2.3',
  '1.2.3.4.5',
  '256.0.0.1',
  '01.2.3.4',
  '1.2.3.x',
  '1.2.3.',
  '0x1.2.3.4',
]) {
  test(`${JSON.stringify(text)} is no IPv4 address`, (t) => {
    t.false(isIPv4(text))
    t.throws(() => ipv4Octets(text), {code: 'DARTA_VALUE'})
  })
}

for (const text of [
  '',
  '02:00:5e:10:00',
  '02:00:5e:10:00:01:02',
  '02:00-5e:10:00:01',
  '2:0:5e:10:0:1',
  '02005e100001',
  'gg:00:5e:10:00:01',
]) {
  test(`${JSON.stringify(text)} is no MAC address`, (t) => {
    t.throws(() => macOctets(text), {code: 'DARTA_VALUE'})
  })
}

test('addresses are read as node reads them and written back the same', (t) => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV6(), fc.uint8Array({minLength: 16, maxLength: 16}), (a, b, c) => {
      const octets = ipv6Octets(b)
      return (
        ipv4Text(ipv4Octets(a), 0) === a &&
        hexText(ipv6Octets(ipv6Text(octets, 0))) === hexText(octets) &&
        isIPv6(ipv6Text(c, 0)) &&
        hexText(ipv6Octets(ipv6Text(c, 0))) === hexText(c) &&
        hexText(macOctets(macText(c, 0))) === hexText(c.subarray(0, 6)) &&
        hexText(macOctets(macText(c, 0).toUpperCase().replaceAll(':', '-'))) ===
          hexText(c.subarray(0, 6))
      )
    }),
    {numRuns: 3000},
  )
  t.pass()
})

test('text is an address exactly when node takes it for one', (t) => {
  const part = fc.constantFrom('0', '1', '00', 'ff', 'abcd', '12345', '255', '256', '')
  const text = fc
    .array(fc.tuple(part, fc.constantFrom(':', '::', '.')), {maxLength: 9})
    .map((parts) => parts.flat().slice(0, -1).join(''))
  const accepts = (read: (text: string) => unknown, s: string): boolean => {
    try {
      read(s)
      return true
    } catch {
      return false
    }
  }
  fc.assert(
    fc.property(
      text,
      (s) => accepts(ipv4Octets, s) === isIPv4(s) && accepts(ipv6Octets, s) === isIPv6(s),
    ),
    {numRuns: 5000},
  )
  t.pass()
})
