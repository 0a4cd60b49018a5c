import test from 'ava'
import {createChecker, type Violation} from '../../src/ipfix/check.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {readMessageHeader} from '../../src/ipfix/message.js'
import {VARIABLE, type InformationElement} from '../../src/record/element.js'
import {Ledger} from '../../src/record/ledger.js'
import {createRecordBuilder} from '../../src/record/record-writer.js'
import {createTemplate} from '../../src/record/template.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import {decode, encode, join, message, named, recordsOf} from './octets.js'
import type {RecordBatch} from '../../src/record/batch.js'
import type {Value} from '../../src/record/value.js'

interface Context {
  readonly time?: number
  readonly domain?: number
}

/** A batch of these values; every element at its full or variable length. */
function batch(
  elements: readonly InformationElement[],
  rows: readonly (readonly Value[])[],
  {time = 1_700_000_000, domain = 1}: Context = {},
  lengths: readonly number[] = [],
  scopeCount = 0,
): RecordBatch {
  const full: Record<string, number> = {ipv4Address: 4, unsigned64: 8, unsigned16: 2, unsigned8: 1}
  const template = createTemplate(
    999,
    elements.map((element, i) => ({
      element,
      length: lengths[i] ?? full[element.type] ?? VARIABLE,
    })),
    scopeCount,
  )
  const builder = createRecordBuilder(template)
  for (const row of rows) builder.add(row)
  return builder.take({
    exportTime: time,
    sequenceNumber: 77,
    observationDomainId: domain,
    offset: 0,
  })!
}

const sources = (n: number, context?: Context): RecordBatch =>
  batch(
    [ie.sourceIPv4Address, ie.octetDeltaCount],
    Array.from({length: n}, (_, i) => [`10.0.${i >> 8}.${i & 255}`, i]),
    context,
  )
const names = (texts: readonly string[], context?: Context): RecordBatch =>
  batch(
    [ie.interfaceName],
    texts.map((text) => [text]),
    context,
  )

/** What a checker that shares only the registry with the encoder says of its output. */
function violations(octets: Uint8Array): Violation[] {
  const list: Violation[] = []
  const checker = createChecker((violation) => list.push(violation))
  checker.push(octets)
  checker.finish()
  return list
}

function headers(messages: readonly Uint8Array[]): ReturnType<typeof readMessageHeader>[] {
  return messages.map((one) =>
    readMessageHeader(new DataView(one.buffer, one.byteOffset, one.byteLength)),
  )
}

test('a Template goes ahead of its first record, in each domain, and not again', (t) => {
  const {octets} = encode([
    sources(1),
    names(['a']),
    sources(1),
    sources(1, {domain: 2}),
    names(['b'], {domain: 2}),
  ])
  const record = hex`0a000000 0000000000000000`
  t.deepEqual(
    octets,
    join(
      message(hex`
        0002 0010 0100 0002 0008 0004 0001 0008
        0100 0010 ${record}
        0002 000c 0101 0001 0052 ffff
        0101 0006 01 61
        0100 0010 ${record}
      `),
      message(
        hex`
          0002 0010 0100 0002 0008 0004 0001 0008
          0100 0010 ${record}
          0002 000c 0101 0001 0052 ffff
          0101 0006 01 62
        `,
        {domain: 2},
      ),
    ),
  )
})

test('an Options Template announces its scope, in a Set of its own', (t) => {
  const options = batch(
    [ie.observationDomainId, ie.exportedMessageTotalCount],
    [[1, 7]],
    {},
    [4, 8],
    1,
  )
  t.deepEqual(
    encode([sources(1), options]).octets,
    message(hex`
      0002 0010 0100 0002 0008 0004 0001 0008
      0100 0010 0a000000 0000000000000000
      0003 0012 0101 0002 0001 0095 0004 0029 0008
      0101 0010 00000001 0000000000000007
    `),
  )
})

test('sequence numbers count the Data Records before, options too, by domain, from 0 on', (t) => {
  const options = (context: Context): RecordBatch =>
    batch([ie.observationDomainId, ie.exportedMessageTotalCount], [[1, 7]], context, [4, 8], 1)
  const {messages} = encode(
    [
      sources(3, {time: 1}),
      options({time: 2}),
      sources(4, {time: 3, domain: 2}),
      names(['a', 'b'], {time: 4}),
      sources(1, {time: 5}),
      sources(1, {time: 6, domain: 2}),
    ],
    {messagePerArray: true},
  )
  t.deepEqual(
    headers(messages).map((h) => [h.exportTime, h.observationDomainId, h.sequenceNumber]),
    [
      [1, 1, 0],
      [2, 1, 3],
      [3, 2, 0],
      [4, 1, 4],
      [5, 1, 6],
      [6, 2, 4],
    ],
  )
})

for (const maxMessageOctets of [576, 1400, 9000, 65535]) {
  test(`no Message has more than ${maxMessageOctets} octets, and none could take one more record`, (t) => {
    const input = [
      sources(20000),
      names(Array.from({length: 3000}, (_, i) => 'x'.repeat(i % 400))),
      sources(5000),
    ]
    const {messages, octets, account} = encode(input, {maxMessageOctets, messagePerArray: true})
    t.deepEqual([account.in, account.out, account.totalLost()], [28000, 28000, 0])
    const sizes = headers(messages).map(({length}, i) => {
      t.is(length, messages[i].length)
      return length
    })
    t.true(Math.max(...sizes) <= maxMessageOctets)
    // The longest record here has 403 octets, a Set Header 4.
    for (const size of sizes.slice(0, -1)) t.true(size > maxMessageOctets - 407)
    t.deepEqual(violations(octets), [])
    const {batches, records} = decode(octets)
    t.is(records.totalMissing(), 0)
    // Text is compared faster than 28,000 arrays.
    const text = (list: readonly RecordBatch[]): string =>
      recordsOf(list)
        .map((record) => record.map(([{name}, value]) => `${name}=${value as number}`).join())
        .join('\n')
    t.true(text(batches) === text(input))
  })
}

test('a record that no Message has room for is counted and the others are sent', (t) => {
  const {octets, account} = encode([names(['a', 'b'.repeat(600), 'c'])], {maxMessageOctets: 576})
  t.deepEqual([account.in, account.out], [3, 2])
  t.deepEqual([...account.lost], [['record-too-long', 1]])
  t.deepEqual(named(decode(octets).batches).flat(), [
    ['interfaceName', 'a'],
    ['interfaceName', 'c'],
  ])
  const wide = batch(
    [ie.sourceIPv4Address, ie.interfaceName],
    [['192.0.2.1', 'x'.repeat(600)]],
    {},
    [4, 600],
  )
  t.deepEqual([...encode([wide], {maxMessageOctets: 576}).account.lost], [['record-too-long', 1]])
})

test('a Template that no Message has room for is counted with its records', (t) => {
  const many = batch(
    new Array<InformationElement>(200).fill(ie.octetDeltaCount),
    [new Array<number>(200).fill(1)],
    {},
    new Array<number>(200).fill(1),
  )
  const {octets, account} = encode([many, sources(1)], {maxMessageOctets: 576})
  t.deepEqual([...account.lost], [['template-too-long', 1]])
  t.deepEqual([account.in, account.out], [2, 1])
  t.is(decode(octets).records.out, 1)
})

test('one layout has one ID, whatever ID and session it came with', (t) => {
  const first = decode(message(hex`0002 000c 0200 0001 0008 0004 0200 0008 c0000201`)).batches
  const second = decode(message(hex`0002 000c 0300 0001 0008 0004 0300 0008 c0000202`)).batches
  t.deepEqual(
    encode([...first, ...second]).octets,
    message(hex`0002 000c 0100 0001 0008 0004 0100 000c c0000201 c0000202`),
  )
})

test('the same ID with other fields becomes another ID', (t) => {
  const {batches} = decode(
    join(
      message(hex`0002 000c 0100 0001 0008 0004 0100 0008 c0000201`),
      message(hex`0002 0008 0100 0000 0002 000c 0100 0001 000b 0002 0100 0006 0035`, {sequence: 1}),
    ),
  )
  t.deepEqual(
    encode(batches).octets,
    message(hex`
      0002 000c 0100 0001 0008 0004 0100 0008 c0000201
      0002 000c 0101 0001 000b 0002 0101 0006 0035
    `),
  )
})

test('what is held comes with flush, and later records go on behind it', (t) => {
  const encoder = createEncoder({ledger: new Ledger()})
  t.deepEqual(encoder.push([sources(2)]), [])
  const [first, ...none] = encoder.flush()
  t.deepEqual(none, [])
  t.deepEqual(encoder.flush(), [])
  const kept = first.slice()
  t.deepEqual(encoder.push([sources(3)]), [])
  const second = encoder.end()
  t.deepEqual(first, kept)
  const {batches, records} = decode(join(first, ...second))
  t.deepEqual(
    batches.map(({count, message: {sequenceNumber}}) => [count, sequenceNumber]),
    [
      [2, 0],
      [3, 2],
    ],
  )
  t.is(records.totalMissing(), 0)
})

test('full Messages come with push and without waiting for more', (t) => {
  const encoder = createEncoder({ledger: new Ledger()})
  const octets = join(...encoder.push([sources(20000)]))
  // 65,535 − 16 − 16 − 4 octets take 5,458 records, later ones one more.
  t.is(decode(octets).records.out, 5458 + 2 * 5459)
})

test('the same records give the same octets however they are pushed', (t) => {
  const input = [sources(3000), names(['a']), sources(10, {domain: 3}), sources(4000, {time: 9})]
  const whole = encode(input).octets
  const encoder = createEncoder({ledger: new Ledger()})
  const parts = input.flatMap((one) => encoder.push([one]))
  t.deepEqual(join(...parts, ...encoder.end()), whole)
})

test('Templates are sent again after so many seconds of export time, ahead of data', (t) => {
  const {octets} = encode(
    [0, 10, 20, 29, 30, 59, 60, 61].map((second) => sources(1, {time: 1000 + second})),
    {templateRefresh: 30},
  )
  const announced: number[] = []
  const {records} = decode(octets, undefined, {
    template: (_event, _template, context) => announced.push(context!.exportTime - 1000),
  })
  t.deepEqual(announced, [0, 30, 60])
  t.is(records.out, 8)
  t.deepEqual(violations(octets), [])
})

test('Templates sent again share Messages with what follows and never make one too long', (t) => {
  const many = Array.from({length: 60}, (_, i) =>
    batch([ie.interfaceName, ie.sourceIPv4Address], [['x'.repeat(300), '192.0.2.1']], {}, [
      300 + i,
      4,
    ]),
  )
  const later = many.map((one) => ({...one, message: {...one.message, exportTime: 2_000_000_000}}))
  const {messages, octets} = encode([...many, ...later], {
    maxMessageOctets: 576,
    templateRefresh: 1,
    messagePerArray: true,
  })
  t.true(Math.max(...messages.map(({length}) => length)) <= 576)
  t.deepEqual(violations(octets), [])
  const announced: number[] = []
  const {records} = decode(octets, undefined, {template: (_event, {id}) => announced.push(id)})
  t.is(records.out, 120)
  t.is(announced.length, 120)
})

test('refreshTemplates sends every Template of every domain once', (t) => {
  const encoder = createEncoder({ledger: new Ledger()})
  const octets = [
    ...encoder.push([sources(1), names(['a'], {domain: 2}), names(['b'])]),
    ...encoder.flush(),
  ]
  encoder.refreshTemplates(1_700_000_100)
  const again = join(...encoder.flush())
  const announced: number[][] = []
  decode(again, undefined, {
    template: (_event, {fields}, context) =>
      announced.push([context!.observationDomainId, fields.length, context!.exportTime]),
  })
  t.deepEqual(announced, [
    [1, 2, 1_700_000_100],
    [1, 1, 1_700_000_100],
    [2, 1, 1_700_000_100],
  ])
  t.deepEqual(
    violations(join(...octets, again, ...encoder.push([sources(1)]), ...encoder.end())),
    [],
  )
})

test('two outputs one after the other are read, also where their IDs mean different things', (t) => {
  const one = [sources(3), names(['a'])]
  const other = [names(['b', 'c']), sources(2)]
  const octets = join(encode(one).octets, encode(other).octets)
  const {batches, records} = decode(octets)
  t.deepEqual(recordsOf(batches), recordsOf([...one, ...other]))
  t.deepEqual([records.totalLost(), records.totalMissing()], [0, 0])
})

test('type records of our own elements go once, ahead of the first Template with them', (t) => {
  const depth = elementByName('dartaTunnelDepth')!
  const input = [batch([depth], [[3]]), batch([depth, ie.interfaceName], [[4, 'a']], {domain: 2})]
  const {octets, account} = encode(input)
  const {batches} = decode(octets)
  t.deepEqual(
    named(batches)[0].map(([name, value]) => [name, value]),
    [
      ['privateEnterpriseNumber', 32473],
      ['informationElementId', 1],
      ['informationElementDataType', 1],
      ['informationElementSemantics', 1],
      ['informationElementUnits', 0],
      ['informationElementRangeBegin', 0],
      ['informationElementRangeEnd', 8],
      ['informationElementName', 'dartaTunnelDepth'],
      ['informationElementDescription', depth.description],
    ],
  )
  t.deepEqual(
    batches.map(({template: {scopeCount}, count}) => [scopeCount, count]),
    [
      [2, 1],
      [0, 1],
      [0, 1],
    ],
  )
  t.deepEqual([account.in, account.out, account.noted.get('type-record')], [2, 2, 1])
  // They pass through another encoder without being doubled.
  t.deepEqual(encode(batches).octets, octets)
  t.deepEqual(violations(octets), [])
})

test('Template IDs in options follow the Templates they name', (t) => {
  // Flow Keys of RFC 7011 section 4.4, for a Template that is announced before and one that comes later.
  const {batches} = decode(
    message(hex`
      0002 000c 0400 0001 0008 0004
      0003 0012 0300 0002 0001 0091 0002 00ad 0008       # templateId, flowKeyIndicator
      0300 0018 0400 0000000000000001 0401 0000000000000003
      0002 000c 0401 0001 000b 0002
      0401 0006 0035
      0400 0008 c0000201
    `),
  )
  t.deepEqual(
    encode(batches).octets,
    message(hex`
      0003 0012 0100 0002 0001 0091 0002 00ad 0008
      0002 000c 0101 0001 0008 0004
      0100 0018 0101 0000000000000001 0102 0000000000000003
      0002 000c 0102 0001 000b 0002
      0102 0006 0035
      0101 0008 c0000201
    `),
  )
})

test('ill-formed strings are not sent: what is no UTF-8 in them becomes question marks, counted', (t) => {
  const {batches} = decode(
    message(hex`
      0002 0018 0100 0002 0004 0001 0052 ffff 0101 0001 0052 0004
      0100 0012 06 03 e28261 11 04 67c3bc67 06 01 ff
      0101 0008 6100c300
    `),
  )
  const {octets, account} = encode(batches)
  t.deepEqual(named(decode(octets).batches), [
    [
      ['protocolIdentifier', 6],
      ['interfaceName', '??a'],
    ],
    [
      ['protocolIdentifier', 17],
      ['interfaceName', 'güg'],
    ],
    [
      ['protocolIdentifier', 6],
      ['interfaceName', '?'],
    ],
    [['interfaceName', 'a\0?\0']],
  ])
  t.is(account.noted.get('ill-formed-string'), 3)
  t.deepEqual([account.in, account.out], [4, 4])
  t.deepEqual(
    violations(octets).filter(({rule}) => rule.includes('6.1')),
    [],
  )
})

test('ill-formed strings and header bits inside lists are seen to as well', (t) => {
  const {batches} = decode(
    message(hex`
      0002 001c
      0100 0001 0124 ffff                       # subTemplateList
      0101 0003 0052 ffff 0006 0002 0123 ffff   # interfaceName, tcpControlBits, basicList
      0100 0017 12 ff 0101
      02 61ff f012 09 ff 0052 ffff 01 62 01 c3
    `),
  )
  const {octets, account} = encode(batches)
  t.is(account.noted.get('ill-formed-string'), 2)
  t.deepEqual(octets.subarray(-15), hex`02 613f 0012 09 ff 0052 ffff 01 62 01 3f`)
})

test('the upper four bits of tcpControlBits are sent as 0 (RFC 9565)', (t) => {
  const {batches} = decode(
    message(hex`
      0002 001c 0100 0004 0006 0002 8006 0002 00007279 0006 0001 0007 0002
      0100 000b f012 a1ff fe ffff
    `),
  )
  t.deepEqual(encode(batches).octets.subarray(-7), hex`0012 01ff fe ffff`)
})

test('records with reverse elements and no direction are not sent', (t) => {
  const reverse = elementByName('reverseOctetDeltaCount')!
  const {account, octets} = encode([
    batch([reverse, ie.protocolIdentifier], [[1, 6]]),
    batch([reverse, ie.sourceIPv4Address], [[2, '192.0.2.1']]),
  ])
  t.deepEqual([...account.lost], [['reverse-without-direction', 1]])
  t.is(decode(octets).records.out, 1)
})

test('records of no count make no Message', (t) => {
  const {octets, account} = encode([{...sources(1), count: 0}])
  t.is(octets.length, 0)
  t.is(account.in, 0)
})

test('nothing encoded is nothing', (t) => {
  t.is(encode([]).octets.length, 0)
})
