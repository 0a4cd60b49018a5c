import test from 'ava'
import split2 from 'split2'
import {Readable} from 'node:stream'
import ndjson from '../../src/formats/ndjson.js'
import {VARIABLE} from '../../src/record/element.js'
import {append, createOctetWriter} from '../../src/record/octet-writer.js'
import {encodeValue} from '../../src/record/record-writer.js'
import {createTemplate} from '../../src/record/template.js'
import type {Value} from '../../src/record/value.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import fc from '../support/properties.js'
import {decode, lines, recordOctets} from './coding.js'
import {withLength} from './random-records.js'

test('keys and values are enough: everything else has a default', (t) => {
  const {batches, account} = decode(
    ndjson,
    '{"sourceIPv4Address":"192.0.2.1","flowEndSeconds":"2013-01-01T00:00:00Z","octetDeltaCount":1}\n' +
      '{"sourceIPv4Address":"192.0.2.2","flowEndSeconds":"2013-01-01T00:00:09Z","octetDeltaCount":2}\n',
  )
  t.is(account.line(), 'ndjson: 2 lines in, 2 out')
  t.is(batches.length, 1)
  t.is(batches[0].message.observationDomainId, 0)
  t.is(batches[0].message.exporter, 'test')
  // The greatest time in the records, so that the same text gives the same Messages.
  t.is(batches[0].message.exportTime, Date.parse('2013-01-01T00:00:09Z') / 1000)
  t.deepEqual(recordOctets(batches), [
    '0,0/8:4,0/151:4,0/1:8 c000020150e227000000000000000001',
    '0,0/8:4,0/151:4,0/1:8 c000020250e227090000000000000002',
  ])
})

test('consecutive lines of the same keys are one batch, others begin a new one', (t) => {
  const {batches} = decode(
    ndjson,
    ['{"vlanId":1}', '{"vlanId":2}', '{"vlanId":3,"ipVersion":4}', '{"vlanId":4}'].join('\n'),
  )
  t.deepEqual(
    batches.map(({count, template}) => [count, template.fields.length]),
    [
      [2, 1],
      [1, 2],
      [1, 1],
    ],
  )
  t.is(batches[0].template, batches[2].template)
})

test('lines of another Message begin a new batch', (t) => {
  const line = (domain: number, time: string): string =>
    `{"vlanId":1,"_ipfix":{"exportTime":"${time}","observationDomainId":${domain}}}`
  const {batches} = decode(
    ndjson,
    [
      line(1, '2013-01-01T00:00:00Z'),
      line(1, '2013-01-01T00:00:00Z'),
      line(2, '2013-01-01T00:00:00Z'),
      line(2, '2013-01-01T00:00:01Z'),
    ].join('\n'),
  )
  t.deepEqual(
    batches.map(({count, message}) => [count, message.observationDomainId, message.exportTime]),
    [
      [2, 1, 1356998400],
      [1, 2, 1356998400],
      [1, 2, 1356998401],
    ],
  )
})

/** Lines that hold the same record, in other words. */
const same: readonly (readonly [string, string])[] = [
  ['{"octetDeltaCount":1000}', '{"octetDeltaCount":1e3}'],
  ['{"octetDeltaCount":1000}', '{"octetDeltaCount":10000.0e-1}'],
  ['{"octetDeltaCount":18446744073709551615}', '{"octetDeltaCount":"18446744073709551615"}'],
  ['{"octetDeltaCount":7}', ' {\t"octetDeltaCount" : 7 } \r'],
  ['{"octetDeltaCount":7}', '{"\\u006fctetDeltaCount":7}'],
  ['{"octetDeltaCount":7}', '{"octetDeltaCount":7,"vlanId":null}'],
  ['{"octetDeltaCount":7}', '{"octetDeltaCount":[7]}'],
  ['{"octetDeltaCount":7}', '{"vlanId":[],"octetDeltaCount":7}'],
  ['{"octetDeltaCount":7}', '{"octetDeltaCount":{"octets":"0000000000000007"}}'],
  ['{"octetDeltaCount":7}', '{"octetDeltaCount":{ "octets" : "0000000000000007" }}'],
  [
    '{"flowStartSeconds":"2013-01-01T00:00:00Z"}',
    '{"flowStartSeconds":"2013-01-01T02:30:00.999+02:30"}',
  ],
  ['{"flowStartSeconds":"2013-01-01T00:00:00Z"}', '{"flowStartSeconds":"2012-12-31t23:59:60z"}'],
  [
    '{"flowStartMilliseconds":"2013-01-01T00:00:00.120Z"}',
    '{"flowStartMilliseconds":"2013-01-01T00:00:00.12Z"}',
  ],
  ['{"sourceIPv6Address":"2001:db8::1"}', '{"sourceIPv6Address":"2001:0DB8:0:0:0:0:0:1"}'],
  ['{"sourceIPv6Address":"::ffff:192.0.2.1"}', '{"sourceIPv6Address":"::FFFF:C000:201"}'],
  ['{"sourceMacAddress":"02:00:5e:10:00:0a"}', '{"sourceMacAddress":"02:00:5E:10:00:0A"}'],
  ['{"interfaceName":"é😀\\n"}', '{"interfaceName":"\\u00e9\\ud83d\\ude00\\u000a"}'],
  ['{"ipPayloadPacketSection":"00ff"}', '{"ipPayloadPacketSection":"00FF"}'],
  ['{"samplingProbability":0.5}', '{"samplingProbability":5E-1}'],
]
for (const [usual, other] of same) {
  test(`reads ${JSON.stringify(other)} as ${usual}`, (t) => {
    const {batches, account} = decode(ndjson, other)
    t.is(account.totalLost(), 0, account.line())
    t.deepEqual(recordOctets(batches), recordOctets(decode(ndjson, usual).batches))
  })
}

/** Lines that are refused, and why. */
const refused: readonly (readonly [string, string])[] = [
  ['nonsense', 'not-json'],
  ['{"vlanId":1', 'not-json'],
  ['{"vlanId":1}}', 'not-json'],
  ['{"vlanId":1} {"vlanId":2}', 'not-json'],
  ['{"vlanId":01}', 'not-json'],
  ['{"vlanId":+1}', 'not-json'],
  ['{"vlanId":1.}', 'not-json'],
  ['{"vlanId":.5}', 'not-json'],
  ['{"vlanId":1e}', 'not-json'],
  ['{"vlanId":NaN}', 'not-json'],
  ['{"vlanId":}', 'not-json'],
  ['{"vlanId":1,}', 'not-json'],
  ["{'vlanId':1}", 'not-json'],
  ['{"vlanId":tru}', 'not-json'],
  ['{"interfaceName":"a\tb"}', 'not-json'],
  ['{"interfaceName":"\\x41"}', 'not-json'],
  ['{"interfaceName":"\\u00g0"}', 'not-json'],
  ['[1]', 'not-json'],
  ['{}', 'value'],
  ['{"vlanId":null}', 'value'],
  ['{"comment":"no element at all"}', 'value'],
  ['{"vlanId":65536}', 'value'],
  ['{"vlanId":-1}', 'value'],
  ['{"vlanId":1.5}', 'value'],
  ['{"vlanId":1e400}', 'value'],
  ['{"vlanId":"twelve"}', 'value'],
  ['{"vlanId":true}', 'value'],
  ['{"vlanId":{"octets":"000001"}}', 'value'],
  ['{"vlanId":{"octets":"00 1"}}', 'value'],
  ['{"vlanId":{"hex":"0001"}}', 'value'],
  ['{"octetDeltaCount":18446744073709551616}', 'value'],
  ['{"mibObjectValueInteger":2147483648}', 'value'],
  ['{"vlanId":1,"vlanId":2}', 'value'],
  ['{"vlanId":1,"0/58":2}', 'value'],
  ['{"sourceIPv4Address":"192.0.2.256"}', 'value'],
  ['{"sourceIPv4Address":"192.0.2.01"}', 'value'],
  ['{"sourceIPv4Address":"192.0.2"}', 'value'],
  ['{"sourceIPv4Address":3221225985}', 'value'],
  ['{"sourceIPv6Address":"2001:db8::1::2"}', 'value'],
  ['{"sourceIPv6Address":"1:2:3:4:5:6:7:8:9"}', 'value'],
  ['{"sourceIPv6Address":"1:2:3:4:5:6:7"}', 'value'],
  ['{"sourceIPv6Address":"1:2:3:4:5:6:7:"}', 'value'],
  ['{"sourceIPv6Address":"fe80::1%eth0"}', 'value'],
  ['{"sourceMacAddress":"02-00-5e-10-00-01"}', 'value'],
  ['{"flowStartSeconds":"2013-02-29T00:00:00Z"}', 'value'],
  ['{"flowStartSeconds":"2013-01-01T00:00:00"}', 'value'],
  ['{"flowStartSeconds":"1969-12-31T23:59:59Z"}', 'value'],
  ['{"flowStartSeconds":"2106-02-07T06:28:16Z"}', 'value'],
  ['{"flowStartSeconds":1356998400}', 'value'],
  ['{"dataRecordsReliability":1}', 'value'],
  ['{"samplingProbability":"0.5"}', 'value'],
  ['{"samplingProbability":1e999}', 'value'],
  ['{"interfaceName":"\\ud83d"}', 'value'],
  ['{"interfaceName":"\\ude00\\ud83d"}', 'value'],
  ['{"interfaceName":5}', 'value'],
  ['{"ipPayloadPacketSection":"0g"}', 'value'],
  ['{"ipPayloadPacketSection":"000"}', 'value'],
  ['{"basicList":[1]}', 'value'],
  ['{"basicList":{"semantic":"allOf"}}', 'value'],
  ['{"basicList":{"semantic":"some","element":"vlanId","items":[]}}', 'value'],
  ['{"basicList":{"semantic":"allOf","element":"vlanId","items":[1],"more":2}}', 'value'],
  ['{"subTemplateList":{"semantic":"allOf","records":[{"vlanId":1},{"ipVersion":4}]}}', 'value'],
  ['{"vlanId":1,"_scope":["ipVersion"]}', 'value'],
  ['{"vlanId":1,"_scope":"vlanId"}', 'value'],
  ['{"vlanId":1,"_ipfix":[]}', 'value'],
  ['{"vlanId":1,"_ipfix":{"observationDomainId":-1}}', 'value'],
  ['{"vlanId":1,"_ipfix":{"exportTime":"yesterday"}}', 'value'],
  ['{"vlanId":1,"_ipfix":{"lengths":{"vlanId":70000}}}', 'value'],
  ['{"vlanId":1,"_ipfix":{"fields":["vlanId","vlanId"]}}', 'value'],
  ['{"hash":1,"_ipfix":{"elements":{"hash":"unsigned32"}}}', 'value'],
]
for (const [line, reason] of refused) {
  test(`refuses ${JSON.stringify(line)}, says where, and reads the next line`, (t) => {
    const before = '{"ipVersion":4}\n'
    const {batches, account} = decode(ndjson, `${before}${line}\n{"ipVersion":6}\n`)
    t.is(account.in, 3)
    t.is(account.out, 2)
    t.deepEqual([...account.lost], [[reason, 1]])
    t.is(account.firstLine.get(reason), 2)
    const at = account.firstOffset.get(reason)!
    t.true(at >= before.length && at <= before.length + line.length, String(at))
    t.deepEqual(recordOctets(batches), ['0,0/60:1 04', '0,0/60:1 06'])
  })
}

test('input that ends inside a line says that it is cut short', (t) => {
  const {account} = decode(ndjson, '{"vlanId":1}\n{"vlanId":')
  t.is(account.line(), 'ndjson: 2 lines in, 1 out, lost 1 (cut-short 1 from octet 23, line 2)')
})

test('octets that are no UTF-8 are refused, wherever they are', (t) => {
  for (const octets of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    const line = Buffer.concat([
      Buffer.from('{"interfaceName":"'),
      Buffer.from(octets),
      Buffer.from('"}\n{"vlanId":1}\n'),
    ])
    const {account} = decode(ndjson, line)
    t.is(account.line(), 'ndjson: 2 lines in, 1 out, lost 1 (not-utf8 1 from octet 18, line 1)')
  }
})

test('a line longer than 1 MiB is counted and not kept, cut anywhere', (t) => {
  const long = `{"interfaceName":"${'x'.repeat(1 << 20)}"}`
  const text = `{"vlanId":1}\n${long}\n{"vlanId":2}\n`
  for (const step of [undefined, 4096, 65537, 1 << 20]) {
    const {batches, account} = decode(ndjson, text, step)
    t.is(
      account.line(),
      'ndjson: 3 lines in, 2 out, lost 1 (longer-than-1-mib 1 from octet 13, line 2)',
    )
    t.deepEqual(recordOctets(batches), ['0,0/58:2 0001', '0,0/58:2 0002'])
  }
})

test('a value of 65535 octets is read, one more is refused', (t) => {
  const line = (n: number): string =>
    `{"wtpMacAddress":"02:00:5e:10:00:01","interfaceName":"${'x'.repeat(n)}"}`
  t.is(decode(ndjson, line(65535 - 20 - 6 - 3)).account.out, 1)
  t.is(decode(ndjson, line(65535 - 20 - 6 - 2)).account.out, 0)
})

test('nesting deeper than 32 is refused before it is read', (t) => {
  const nested = (depth: number): string =>
    `{"vlanId":1,"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  t.is(decode(ndjson, nested(32)).account.out, 1)
  t.deepEqual([...decode(ndjson, nested(33)).account.lost], [['nesting', 1]])
  t.deepEqual([...decode(ndjson, nested(400000)).account.lost], [['nesting', 1]])
  t.deepEqual([...decode(ndjson, '{"a":'.repeat(100000)).account.lost], [['nesting', 1]])
})

test('members that are no elements are counted and left out, the record is read', (t) => {
  const {batches, account, foreign} = decode(
    ndjson,
    '{"vlanId":1,"country":"CH","seen":[1,{"a":null}]}\n{"vlanId":2}\n',
  )
  t.is(account.line(), 'ndjson: 2 lines in, 2 out')
  t.is(foreign.line(), 'ndjson members: 2 fields in, 0 out, lost 2 (no-element 2 from octet 0)')
  t.deepEqual(recordOctets(batches), ['0,0/58:2 0001', '0,0/58:2 0002'])
})

test('keys of prototypes change nothing', (t) => {
  const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']
  const usual = decode(ndjson, '{"vlanId":1,"_ipfix":{"lengths":{"vlanId":1}}}')
  for (const key of keys) {
    for (const line of [
      `{"${key}":{"vlanId":2},"vlanId":1,"_ipfix":{"lengths":{"vlanId":1}}}`,
      `{"vlanId":1,"_ipfix":{"${key}":{"lengths":{"vlanId":2}},"lengths":{"vlanId":1}}}`,
      `{"vlanId":1,"_ipfix":{"lengths":{"${key}":2,"vlanId":1},"elements":{"${key}":"0/1 unsigned8"}}}`,
    ]) {
      const {batches} = decode(ndjson, line)
      t.deepEqual(recordOctets(batches), recordOctets(usual.batches), line)
    }
  }
  t.is(({} as Record<string, unknown>).vlanId, undefined)
  t.is(({} as Record<string, unknown>).lengths, undefined)
  t.deepEqual(
    recordOctets(
      decode(ndjson, '{"vlanId":1,"_ipfix":{"__proto__":{"lengths":{"vlanId":1}}}}').batches,
    ),
    ['0,0/58:2 0001'],
  )
})

test('a byte order mark, empty lines and line ends of Windows are passed over', (t) => {
  const {batches, account} = decode(ndjson, '\ufeff{"vlanId":1}\r\n\r\n  \n{"vlanId":2}')
  t.is(account.line(), 'ndjson: 2 lines in, 2 out')
  t.deepEqual(recordOctets(batches), ['0,0/58:2 0001', '0,0/58:2 0002'])
})

test('garbage of any kind never throws, and every line is accounted for', (t) => {
  const line =
    '{"sourceIPv4Address":"192.0.2.1","vlanId":[1,2],"basicList":{"semantic":"allOf","element":"vlanId","items":[1]},"_ipfix":{"lengths":{"vlanId":[1,2]}}}'
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({max: line.length - 1}), fc.nat({max: 255})), {maxLength: 4}),
      (edits) => {
        const octets = Buffer.from(`${line}\n${line}\n`)
        for (const [at, octet] of edits) octets[at] = octet
        const {batches, account} = decode(ndjson, octets)
        t.is(account.in, account.out + account.totalLost())
        t.is(
          batches.reduce((sum, {count}) => sum + count, 0),
          account.out,
        )
        t.true(account.out >= 1)
      },
    ),
    {numRuns: 5000, seed: 40},
  )
})

/** What a reader does that takes lines from split2 and values from JSON.parse: the slow way, and for safe integers only. */
async function naive(text: string): Promise<string[]> {
  const records: string[] = []
  for await (const line of Readable.from([Buffer.from(text)]).pipe(
    split2(),
  ) as AsyncIterable<string>) {
    const object = JSON.parse(line) as Record<string, unknown>
    const writer = createOctetWriter()
    const specifiers = Object.entries(object).map(([name, value]) => {
      const element = elementByName(name)!
      const isText = element.type === 'string' || element.type === 'octetArray'
      const length = isText
        ? VARIABLE
        : encodeValue(element, VARIABLE, toValue(element.type, value)).length
      const octets = encodeValue(element, length, toValue(element.type, value))
      append(writer, isText ? Uint8Array.from(withLength(octets, false)) : octets)
      return {element, length}
    })
    const {layout} = createTemplate(256, specifiers)
    records.push(
      `${layout} ${Buffer.from(writer.octets.subarray(0, writer.length)).toString('hex')}`,
    )
  }
  return records
}

function toValue(type: string, value: unknown): Value {
  const text = String(value)
  if (type === 'dateTimeSeconds') return Date.parse(text) / 1000
  if (type === 'dateTimeMilliseconds') return Date.parse(text)
  if (type === 'dateTimeMicroseconds')
    return BigInt(Date.parse(text)) * 1000n + BigInt(text.slice(23, -1) || 0)
  if (type === 'octetArray') return new Uint8Array(Buffer.from(text, 'hex'))
  return value as Value
}

test('reads what split2 and JSON.parse read', async (t) => {
  const time = fc.integer({min: 1, max: 4e12}).map((ms) => new Date(ms).toISOString())
  const number = (most: number): fc.Arbitrary<number> =>
    fc.oneof(
      fc.integer({min: 0, max: Math.min(most, 300)}),
      fc.maxSafeInteger().map((n) => Math.abs(n) % (most + 1)),
    )
  const record = fc.record(
    {
      flowStartMilliseconds: time,
      flowEndSeconds: time.map((text) => `${text.slice(0, 19)}Z`),
      observationTimeMicroseconds: fc
        .tuple(time, fc.nat({max: 999}))
        .map(([text, n]) => `${text.slice(0, 23)}${String(n).padStart(3, '0')}Z`),
      sourceIPv4Address: fc.ipV4(),
      destinationIPv6Address: fc
        .tuple(fc.nat({max: 65535}), fc.nat({max: 65535}))
        .map(([a, b]) => `2001:db8:${a.toString(16)}::${b.toString(16)}`),
      sourceTransportPort: number(65535),
      octetDeltaCount: number(Number.MAX_SAFE_INTEGER),
      protocolIdentifier: number(255),
      ingressInterface: number(4294967295),
      samplingProbability: fc.double({noNaN: true, noDefaultInfinity: true}).map((x) => x + 0),
      dataRecordsReliability: fc.boolean(),
      sourceMacAddress: fc.constant('02:00:5e:10:00:01'),
      interfaceName: fc.string({unit: 'grapheme', maxLength: 300}),
      ipPayloadPacketSection: fc
        .uint8Array({maxLength: 300})
        .map((octets) => Buffer.from(octets).toString('hex')),
    },
    {requiredKeys: ['protocolIdentifier']},
  )
  await fc.assert(
    fc.asyncProperty(fc.array(record, {minLength: 1, maxLength: 5}), async (records) => {
      const text = records.map((r) => `${JSON.stringify(r)}\n`).join('')
      const {batches, account} = decode(ndjson, text)
      t.is(account.totalLost(), 0, account.line())
      t.deepEqual(recordOctets(batches), await naive(text))
    }),
    {numRuns: 300, seed: 54},
  )
})

test('100,000 strings of any characters are each one line of good JSON and come back', (t) => {
  const strings = fc.sample(fc.string({unit: 'binary', maxLength: 24}), {
    numRuns: 100_000,
    seed: 36,
  })
  const text = strings.map((s) => `{"userName":${JSON.stringify(s)}}\n`).join('')
  const {batches, account} = decode(ndjson, text)
  t.is(account.out, strings.length, account.line())
  const written = lines(batches, {argument: 'bare'})
  t.is(written.length, strings.length)

  const raw = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
  for (const [i, line] of written.entries()) {
    if (raw.test(line) || (JSON.parse(line) as {userName: string}).userName !== strings[i])
      t.fail(line)
  }
})

test('65535 octets of control characters are one line', (t) => {
  const {batches} = decode(ndjson, `{"userName":${JSON.stringify('\u0001'.repeat(65000))}}\n`)
  const [line] = lines(batches)
  t.true(line.length > 390_000)
  t.is((JSON.parse(line) as {userName: string}).userName.length, 65000)
  t.is(ie.userName.type, 'string')
})
