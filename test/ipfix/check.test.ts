import test from 'ava'
import {createChecker, type Violation} from '../../src/ipfix/check.js'

/** Octets of hex digits; blanks and `# …` to the end of the line are for the reader. */
function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, '').replace(/\s+/g, '')
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

/** A Message around Sets; its length is computed, so that only the fault under test is wrong. */
function message(sets: string, sequence = 0, domain = 1): Uint8Array {
  const body = hex(sets)
  const octets = new Uint8Array(16 + body.length)
  const view = new DataView(octets.buffer)
  view.setUint16(0, 10)
  view.setUint16(2, octets.length)
  view.setUint32(4, 1_700_000_000)
  view.setUint32(8, sequence)
  view.setUint32(12, domain)
  octets.set(body, 16)
  return octets
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** What the checker says of `octets` fed `step` at a time. */
function check(octets: Uint8Array, step = octets.length): Violation[] {
  const violations: Violation[] = []
  const checker = createChecker((violation) => violations.push(violation))
  for (let at = 0; at < octets.length; at += step) checker.push(octets.subarray(at, at + step))
  checker.finish()
  return violations
}

const template = `
  0002 0014   # Template Set of 20 octets
  0100 0003   # Template 256 with 3 fields
  0008 0004   # sourceIPv4Address
  0001 0004   # octetDeltaCount in reduced size
  0052 ffff   # interfaceName of variable length
`
const data = `
  0100 0014
  c0000201 00000064 03 657468   # 192.0.2.1, 100, "eth"
  00000000                      # padding
`

const sound: [title: string, octets: Uint8Array][] = [
  ['a Template, a record and padding', message(template + data)],
  [
    'a sequence that counts records and passes 2^32',
    join(message(template + data, 2 ** 32 - 1), message(data, 0)),
  ],
  ['two domains with their own sequences', join(message(template), message(template, 7, 2))],
  ['a Template said again', join(message(template), message(template))],
  [
    'a withdrawal before another Template takes the number',
    join(
      message(template),
      message('0002 0008 0100 0000'),
      message('0002 000c 0100 0001 0001 0008'),
    ),
  ],
  ['all Templates withdrawn at once', join(message(template), message('0002 0008 0002 0000'))],
  ['a Message without Sets', message('')],
  [
    'an enterprise element nobody knows',
    message('0002 0010 0100 0001 8001 0005 0000f00f 0100 0009 0102030405'),
  ],
]
for (const [title, octets] of sound) {
  test(`finds nothing wrong with ${title}, however the stream is cut`, (t) => {
    for (const step of [octets.length, 1, 17]) t.deepEqual(check(octets, step), [])
  })
}

const wrong: [title: string, octets: Uint8Array, faults: [number, string, RegExp][]][] = [
  [
    'octets behind the last Message',
    join(message(template), hex('0102')),
    [[36, '7011 3.1', /2 octets behind/]],
  ],
  [
    'a Message that is cut',
    message(template).subarray(0, 30),
    [[0, '7011 3.1', /of 36 octets is cut to 30/]],
  ],
  [
    'another version, and what follows is checked again',
    join(message(template), hex('0009 0010 00000000 00000000 00000001'), message('0001 0004')),
    [
      [36, '7011 3.1', /version 9/],
      [68, '7011 3.3.2', /Set ID 1 is reserved/],
    ],
  ],
  [
    'a Message length below 16',
    join(hex('000a 000f 00000000 00000000 00000001'), message(template)),
    [[0, '7011 3.1', /length 15/]],
  ],
  ['a Set shorter than its header', message('0100 0003'), [[16, '7011 3.3.2', /Set length 3/]]],
  [
    'a Set past its Message',
    message('0100 0009 00000000'),
    [[16, '7011 3.3.2', /9 octets reaches past/]],
  ],
  [
    'octets behind the last Set',
    message(`${template} 0000`),
    [[36, '7011 3.3.2', /2 octets behind/]],
  ],
  [
    'a gap in the sequence',
    join(message(template + data), message(data, 4)),
    [[64, '7011 3.1', /3 records missing/]],
  ],
  [
    'a repeated Message',
    join(message(template + data), message(data)),
    [[64, '7011 3.1', /1 records back/]],
  ],
  ['data before their Template', message(data), [[16, '7011 8', /Data Set 256 in domain 1/]]],
  [
    'data with a Template of another domain',
    join(message(template), message(data, 0, 2)),
    [[52, '7011 8', /Data Set 256 in domain 2/]],
  ],
  [
    'a Template ID below 256',
    message('0002 000c 00ff 0001 0001 0008'),
    [[20, '7011 3.4.1', /ID 255/]],
  ],
  [
    'a Template cut in its fields',
    message('0002 000c 0100 0002 0001 0008'),
    [[20, '7011 3.4.1', /2 fields but ends after 1/]],
  ],
  [
    'a Template cut in an enterprise number',
    message('0002 000c 0100 0001 8001 0008'),
    [[24, '7011 3.2', /cut in an enterprise/]],
  ],
  [
    'a length that cannot carry the type',
    message('0002 000c 0100 0001 0008 0003'),
    [[24, '7011 6.2', /3 octets cannot carry sourceIPv4Address/]],
  ],
  [
    'records of no octets',
    message('0002 000c 0100 0001 0052 0000'),
    [[20, '7011 3.4.1', /no octets/]],
  ],
  [
    'a Template that changes without withdrawal',
    join(message(template), message('0002 000c 0100 0001 0001 0008')),
    [[56, '7011 8.1', /defined anew/]],
  ],
  ['a withdrawal of nothing', message('0002 0008 0100 0000'), [[20, '7011 8.1', /withdrawn but/]]],
  [
    'an Options Template without scope',
    message('0003 000e 0100 0001 0000 0001 0008'),
    [[24, '7011 3.4.2.2', /no scope/]],
  ],
  [
    'more scope fields than fields',
    message('0003 000e 0100 0001 0002 0001 0008'),
    [[24, '7011 3.4.2.2', /2 scope fields of 1/]],
  ],
  [
    'an empty Template Set',
    message('0002 0004'),
    [[16, '7011 3.3.1', /without a Template Record/]],
  ],
  [
    'a Data Set without record',
    message(`${template} 0100 0004`),
    [[36, '7011 3.3.1', /no record/]],
  ],
  [
    'padding that is not zero',
    message(`${template} 0100 0012 c0000201 00000064 00 000001 0001`),
    [[49, '7011 3.3.1', /padding is not zero/]],
  ],
  [
    'padding long enough for a Template',
    message('0002 0010 0100 0001 0001 0008 00000000'),
    [[28, '7011 3.3.1', /padding of 4 octets/]],
  ],
  [
    'a variable length past its Set',
    message(`${template} 0100 000f c0000201 00000064 03 6574`),
    [[40, '7011 7', /past its Set in interfaceName/]],
  ],
  [
    'a long variable length cut in its own octets',
    message(`${template} 0100 000d c0000201 00000064 ff`),
    [[40, '7011 7', /past its Set in interfaceName/]],
  ],
  [
    'a string that is not UTF-8',
    message(`${template} 0100 000f c0000201 00000064 02 c328`),
    [[49, '7011 6.1.6', /interfaceName: not UTF-8/]],
  ],
  [
    'a boolean of 0', // dataRecordsReliability
    message('0002 000c 0100 0001 0114 0001 0100 0005 00'),
    [[32, '7011 6.1.5', /dataRecordsReliability/]],
  ],
  [
    'a prefix longer than an address',
    message('0002 000c 0100 0001 0009 0001 0100 0005 21'),
    [[32, '7012 2.1', /33 lies outside 0..32/]],
  ],
]
for (const [title, octets, faults] of wrong) {
  test(`reports ${title}, at its octet, however the stream is cut`, (t) => {
    for (const step of [octets.length, 1, 17]) {
      const found = check(octets, step)
      t.deepEqual(
        found.map(({offset, rule}) => [offset, rule]),
        faults.map(([offset, rule]) => [offset, rule]),
      )
      for (const [i, [, , pattern]] of faults.entries()) t.regex(found[i].message, pattern)
    }
  })
}
