import test from 'ava'
import ndjson from '../../src/formats/ndjson.js'
import {VARIABLE, unknownElement, type InformationElement} from '../../src/record/element.js'
import {createTemplate} from '../../src/record/template.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import {decode as decodeIpfix, encode as encodeIpfix} from '../ipfix/octets.js'
import {addon} from '../support/native-addon.js'
import {batchOf, templateOf, type FieldOctets} from '../support/records.js'
import {decode, encode, lines, recordOctets} from './coding.js'
import {batchFrom, withLength} from './random-records.js'

/** Element, encoded length, octets, and the JSON of the value. */
type Row = readonly [element: InformationElement, length: number, octets: FieldOctets, json: string]

const rows: readonly Row[] = [
  [ie.protocolIdentifier, 1, 6, '6'],
  [ie.octetDeltaCount, 8, 18446744073709551615n, '18446744073709551615'],
  [ie.octetDeltaCount, 8, 9007199254740993n, '9007199254740993'],
  [ie.octetDeltaCount, 7, 35725254694818078n, '35725254694818078'],
  [ie.octetDeltaCount, 3, 0xfffffe, '16777214'],
  [ie.mibObjectValueInteger, 4, hex`ffffff85`, '-123'],
  [ie.mibObjectValueInteger, 1, hex`80`, '-128'],
  [ie.samplingProbability, 8, hex`3fb9 9999 9999 999a`, '0.1'],
  [ie.samplingProbability, 8, hex`8000 0000 0000 0000`, '-0'],
  [ie.samplingProbability, 8, hex`4415 af1d 78b5 8c40`, '100000000000000000000'],
  [ie.samplingProbability, 8, hex`444b 1ae4 d6e2 ef50`, '1e+21'],
  [ie.samplingProbability, 8, hex`3e7a d7f2 9abc af48`, '1e-7'],
  [ie.samplingProbability, 4, hex`3f00 0000`, '0.5'],
  [ie.samplingProbability, 8, hex`7ff8 0000 0000 0000`, '"NaN"'],
  [ie.samplingProbability, 8, hex`7ff0 0000 0000 0000`, '"+inf"'],
  [ie.samplingProbability, 8, hex`fff0 0000 0000 0000`, '"-inf"'],
  [ie.samplingProbability, 8, hex`7ff8 0000 0000 0001`, '{"octets":"7ff8000000000001"}'],
  [ie.dataRecordsReliability, 1, 1, 'true'],
  [ie.dataRecordsReliability, 1, 2, 'false'],
  [ie.dataRecordsReliability, 1, 0, '{"octets":"00"}'],
  [ie.sourceMacAddress, 6, hex`02005E100001`, '"02:00:5e:10:00:01"'],
  [ie.sourceIPv4Address, 4, hex`c0000201`, '"192.0.2.1"'],
  [ie.sourceIPv4Address, 5, hex`c000020100`, '{"octets":"c000020100"}'],
  [ie.sourceIPv6Address, 16, hex`20010db8 00000000 00000000 00000001`, '"2001:db8::1"'],
  [ie.sourceIPv6Address, 16, hex`20010db8 00000001 00010001 00010001`, '"2001:db8:0:1:1:1:1:1"'],
  [ie.sourceIPv6Address, 16, hex`20010000 00000001 00000000 00000001`, '"2001:0:0:1::1"'],
  [ie.sourceIPv6Address, 16, hex`00000000 00000000 00000000 00000000`, '"::"'],
  [ie.sourceIPv6Address, 16, hex`00000000 00000000 0000ffff c0000201`, '"::ffff:192.0.2.1"'],
  [ie.flowStartSeconds, 4, 1357000000, '"2013-01-01T00:26:40Z"'],
  [ie.flowStartSeconds, 4, 4294967295, '"2106-02-07T06:28:15Z"'],
  [ie.flowStartMilliseconds, 8, 951782400123n, '"2000-02-29T00:00:00.123Z"'],
  [ie.flowStartMilliseconds, 8, 253402300799999n, '"9999-12-31T23:59:59.999Z"'],
  [ie.flowStartMilliseconds, 8, 253402300800000n, '{"octets":"0000e677d21fdc00"}'],
  // RFC 7011 section 6.1.9: seconds since 1900, and a fraction of which the low 11 bits do not count.
  [ie.flowStartMicroseconds, 8, hex`d48ca580 80000000`, '"2013-01-01T00:00:00.500000Z"'],
  [ie.flowStartNanoseconds, 8, hex`d48ca580 00000005`, '"2013-01-01T00:00:00.000000001Z"'],
  [ie.flowStartNanoseconds, 8, hex`00000000 00000000`, '"2036-02-07T06:28:16.000000000Z"'],
  [ie.interfaceName, VARIABLE, 'eth0', '"eth0"'],
  [ie.interfaceName, 8, hex`65746830 00000000`, '"eth0"'],
  [ie.interfaceName, VARIABLE, hex`0065 00`, '"\\u0000e\\u0000"'],
  [
    ie.interfaceName,
    VARIABLE,
    '\b\t\n\f\r"\\/\u001b\u007f\u0085',
    '"\\b\\t\\n\\f\\r\\"\\\\/\\u001b\\u007f\\u0085"',
  ],
  [ie.interfaceName, VARIABLE, 'é\u2028\u2029漢😀', '"é\\u2028\\u2029漢😀"'],
  [ie.interfaceName, VARIABLE, hex`c328`, '{"octets":"c328"}'],
  [ie.interfaceName, VARIABLE, hex`eda080`, '{"octets":"eda080"}'],
  [ie.interfaceName, VARIABLE, hex`c080`, '{"octets":"c080"}'],
  [ie.ipPayloadPacketSection, VARIABLE, hex`00ff10`, '"00ff10"'],
  [unknownElement(35632, 80), 2, hex`abcd`, '"abcd"'],
  [elementByName('reverseOctetDeltaCount')!, 8, 7, '7'],
]

for (const [element, length, octets, json] of rows) {
  const shown = `${element.name}[${length}] ${typeof octets === 'string' ? JSON.stringify(octets) : octets instanceof Uint8Array ? Buffer.from(octets).toString('hex') : octets}`
  test(`writes ${shown} as ${json} and reads it back`, (t) => {
    const batch = batchOf(templateOf([[element, length]]), [[octets]])
    const [line] = lines([batch])
    t.true(line.startsWith(`{${JSON.stringify(element.name)}:${json},"_ipfix":{`), line)
    const {batches, account} = decode(ndjson, line)
    t.is(account.totalLost(), 0, account.line())
    t.deepEqual(recordOctets(batches), recordOctets([batch]))
  })
}

test('the upper four bits of tcpControlBits are left out', (t) => {
  const template = templateOf([ie.tcpControlBits, [ie.tcpControlBits, 1]])
  const batch = batchOf(template, [[0xf012, 0xf2]])
  t.deepEqual(lines([batch], {argument: 'bare'}), ['{"tcpControlBits":[18,242]}'])
})

test('keys are in the order of the Template, then come _scope and _ipfix', (t) => {
  const template = templateOf(
    [ie.exportingProcessId, ie.exportedOctetTotalCount, ie.interfaceName],
    257,
    1,
  )
  const batch = batchOf(template, [[5, 77, 'x']])
  t.deepEqual(lines([batch]), [
    '{"exportingProcessId":5,"exportedOctetTotalCount":77,"interfaceName":"x","_scope":["exportingProcessId"],' +
      '"_ipfix":{"exportTime":"2023-11-14T22:13:20Z","observationDomainId":1}}',
  ])
})

test('lengths that are not the full ones are told in _ipfix, others are not', (t) => {
  const template = templateOf([
    [ie.octetDeltaCount, 4],
    ie.packetDeltaCount,
    [ie.interfaceName, 16],
  ])
  const [line] = lines([batchOf(template, [[1, 2, new Uint8Array(16)]])])
  t.true(line.endsWith('"lengths":{"octetDeltaCount":4,"interfaceName":16}}}'), line)
})

test('equal elements are an array; where they are not side by side, fields has their order', (t) => {
  const beside = templateOf([ie.vlanId, ie.vlanId, ie.protocolIdentifier])
  t.true(
    lines([batchOf(beside, [[1, 2, 3]])])[0].startsWith(
      '{"vlanId":[1,2],"protocolIdentifier":3,"_ipfix":{"exportTime":"2023-11-14T22:13:20Z","observationDomainId":1}',
    ),
  )
  const apart = batchOf(templateOf([ie.vlanId, ie.protocolIdentifier, [ie.vlanId, 1]]), [[1, 2, 3]])
  const [line] = lines([apart])
  t.true(line.startsWith('{"vlanId":[1,3],"protocolIdentifier":2,'), line)
  t.true(
    line.includes('"lengths":{"vlanId":[2,1]},"fields":["vlanId","protocolIdentifier","vlanId"]'),
    line,
  )
  t.deepEqual(recordOctets(decode(ndjson, line).batches), recordOctets([apart]))
})

test('--bigint=string writes integers beyond 2^53 - 1 as strings, others as numbers', (t) => {
  const template = templateOf([
    ie.octetDeltaCount,
    ie.packetDeltaCount,
    [ie.mibObjectValueInteger, 8],
  ])
  const batch = batchOf(template, [
    [9007199254740991n, 9007199254740992n, hex`ffe0 0000 0000 0000`],
  ])
  const [line] = lines([batch], {options: {bigint: 'string'}})
  t.true(
    line.startsWith(
      '{"octetDeltaCount":9007199254740991,"packetDeltaCount":"9007199254740992","mibObjectValueInteger":"-9007199254740992",',
    ),
    line,
  )
  t.deepEqual(recordOctets(decode(ndjson, line).batches), recordOctets([batch]))
})

test('what a session described of an element goes with the line', (t) => {
  const hash: InformationElement = {
    ...unknownElement(6871, 106),
    name: 'flowKeyHash',
    type: 'unsigned32',
    status: 'current',
  }
  const batch = batchOf(templateOf([hash, unknownElement(6871, 107)]), [[1234, hex`00`]])
  const [line] = lines([batch])
  t.true(line.startsWith('{"flowKeyHash":1234,"6871/107":"00",'), line)
  t.true(line.endsWith('"elements":{"flowKeyHash":"6871/106 unsigned32"}}}'), line)
  const {batches} = decode(ndjson, line)
  t.deepEqual(recordOctets(batches), recordOctets([batch]))
  t.is(batches[0].template.fields[0].element.type, 'unsigned32')
  t.deepEqual(lines(batches), [line])
})

test('a described element that bears the name of another goes by its number', (t) => {
  for (const name of ['octetDeltaCount', '_ipfix', '__proto__', 'a b', 'reverseOctetDeltaCount']) {
    const element: InformationElement = {
      ...unknownElement(6871, 106),
      name,
      type: 'unsigned32',
      status: 'current',
    }
    const batch = batchOf(templateOf([element]), [[1234]])
    const [line] = lines([batch])
    t.true(line.startsWith('{"6871/106":1234,'), line)
    t.deepEqual(recordOctets(decode(ndjson, line).batches), recordOctets([batch]))
  }
})

test('the Exporter is told if it is an address, not if it is a file', (t) => {
  const template = templateOf([ie.protocolIdentifier])
  const line = (exporter: string): string => lines([batchOf(template, [[6]], {exporter})])[0]
  t.true(line('192.0.2.1:4739').includes('"exporter":"192.0.2.1:4739"'))
  t.true(line('[2001:db8::1]:4739').includes('"exporter":"[2001:db8::1]:4739"'))
  t.false(line('lan.ipfix').includes('exporter'))
  t.false(line('"},"x":{"').includes('exporter'))
  t.is(decode(ndjson, line('192.0.2.1:4739')).batches[0].message.exporter, '192.0.2.1:4739')
})

test('ndjson:all tells all of the Message, ndjson:bare nothing of it', (t) => {
  const template = templateOf([[ie.tcpControlBits, 1]], 999)
  const batch = batchOf(template, [[2]], {sequenceNumber: 4294967295})
  t.deepEqual(lines([batch], {argument: 'all'}), [
    '{"tcpControlBits":2,"_ipfix":{"exportTime":"2023-11-14T22:13:20Z","observationDomainId":1,' +
      '"sequenceNumber":4294967295,"templateId":999,"lengths":{"tcpControlBits":1}}}',
  ])
  t.deepEqual(lines([batch], {argument: 'bare'}), ['{"tcpControlBits":2}'])
  t.is(decode(ndjson, lines([batch], {argument: 'all'})[0]).batches[0].template.id, 999)
  const error = t.throws(() => encode(ndjson, [], {argument: 'everything'}))
  t.is((error as {code?: string}).code, 'DARTA_USAGE')
})

test('a value in three length octets, a number of reduced size, an NTP fraction: hidden in _ipfix', (t) => {
  const template = templateOf([
    ie.interfaceName,
    [ie.octetDeltaCount, VARIABLE],
    ie.flowStartNanoseconds,
  ])
  const record = [
    ...withLength([0x78], true),
    ...withLength([1, 2], false),
    ...hex`d48ca580 00000006`,
  ]
  const batch = batchFrom(template, [record])
  const [line] = lines([batch])
  t.true(
    line.endsWith(
      '"lengths":{"octetDeltaCount":65535},"lengthOctets":{"interfaceName":3},"sizes":{"octetDeltaCount":2},' +
        '"fractions":{"flowStartNanoseconds":6}}}',
    ),
    line,
  )
  t.deepEqual(recordOctets(decode(ndjson, line).batches), recordOctets([batch]))
})

test('an edited value that its encoded length cannot hold gets the full length', (t) => {
  const line = (value: string): string =>
    `{"octetDeltaCount":${value},"interfaceName":"abcd","_ipfix":{"lengths":{"octetDeltaCount":4,"interfaceName":4}}}`
  const {batches, account} = decode(ndjson, [line('4294967295'), line('4294967296')].join('\n'))
  t.is(account.totalLost(), 0)
  t.deepEqual(recordOctets(batches), [
    '0,0/1:4,0/82:4 ffffffff61626364',
    '0,0/1:8,0/82:65535 00000001000000000461626364',
  ])
})

test('a time that was edited loses the NTP fraction it had', (t) => {
  const line = (time: string): string =>
    `{"flowStartNanoseconds":"${time}","_ipfix":{"fractions":{"flowStartNanoseconds":6}}}`
  const {batches} = decode(
    ndjson,
    [line('2013-01-01T00:00:00.000000001Z'), line('2013-01-01T00:00:00.5Z')].join('\n'),
  )
  t.deepEqual(recordOctets(batches), ['0,0/156:8 d48ca58000000006', '0,0/156:8 d48ca58080000000'])
})

test('lists are objects with semantic, element and items, or records, or groups', (t) => {
  const inner = createTemplate(300, [
    {element: ie.sourceTransportPort, length: 2},
    {element: ie.octetDeltaCount, length: 4},
  ])
  const template = templateOf([ie.basicList, ie.subTemplateList, ie.subTemplateMultiList])
  const record = [
    ...withLength([...hex`03 0052 ffff 0161 00`], true), // allOf interfaceName, variable: "a", ""
    ...withLength([...hex`04 012c 0050 00000001 0051 00000002`], true), // ordered, 300
    ...withLength([...hex`ff 012c 000a 0050 00000003 012c 0004`], true), // undefined, 300 twice
  ]
  const batch = batchFrom(template, [record], undefined, new Map([[300, inner]]))
  const port = (n: number, octets: number): string =>
    `{"sourceTransportPort":${n},"octetDeltaCount":${octets},"_ipfix":{"lengths":{"octetDeltaCount":4}}}`
  const [line] = lines([batch])
  t.true(
    line.startsWith(
      '{"basicList":{"semantic":"allOf","element":"interfaceName","items":["a",""]},' +
        `"subTemplateList":{"semantic":"ordered","records":[${port(80, 1)},${port(81, 2)}]},` +
        `"subTemplateMultiList":{"semantic":"undefined","groups":[{"records":[${port(80, 3)}]},` +
        '{"template":{"lengths":{"octetDeltaCount":4},"fields":["sourceTransportPort","octetDeltaCount"]},"records":[]}]},',
    ),
    line,
  )
  const {batches} = decode(ndjson, line)
  t.deepEqual(lines(batches), [line])
  t.is(batches[0].templates!.size, 1)
})

test('an empty basicList keeps its element and length', (t) => {
  const batch = batchFrom(templateOf([ie.basicList]), [withLength([...hex`02 0001 0004`], true)])
  const [line] = lines([batch])
  t.true(
    line.startsWith(
      '{"basicList":{"semantic":"oneOrMoreOf","element":"octetDeltaCount","length":4,"items":[]},',
    ),
    line,
  )
  t.deepEqual(recordOctets(decode(ndjson, line).batches), recordOctets([batch]))
})

test('a list of elements of an enterprise, and one of lists, keep their octets', (t) => {
  const described: InformationElement = {
    ...unknownElement(6871, 106),
    name: 'flowKeyHash',
    type: 'unsigned32',
    status: 'current',
  }
  const batch = {
    ...batchFrom(templateOf([ie.basicList]), [
      withLength([...hex`03 806a 0004 00001ad7 00000005`], true),
      withLength([...hex`03 0123 ffff ff0007 03 0001 0002 0009`], true), // basicList of a basicList
    ]),
    elements: {
      get: (pen: number, id: number) =>
        pen === 6871 ? described : pen === 0 && id === 291 ? ie.basicList : ie.octetDeltaCount,
    },
  }
  const written = lines([batch])
  t.true(
    written[0].includes(
      '{"semantic":"allOf","element":"flowKeyHash","type":"6871/106 unsigned32","items":[5]}',
    ),
    written[0],
  )
  t.true(
    written[1].includes(
      '{"semantic":"allOf","element":"basicList","items":[{"semantic":"allOf","element":"octetDeltaCount","length":2,"items":[9]}]}',
    ),
    written[1],
  )
  const {batches} = decode(ndjson, written.join('\n'))
  t.deepEqual(recordOctets(batches), recordOctets([batch]))
  t.deepEqual(lines(batches), written)
})

test('what is no list, or of a Template that is not known, is octets in marked form', (t) => {
  const batch = batchFrom(templateOf([ie.subTemplateList]), [
    withLength([...hex`03 03e7 0050`], true), // Template 999
    withLength([...hex`03 03`], true), // cut
    withLength([], true),
  ])
  t.deepEqual(
    lines([batch], {argument: 'bare'}),
    ['0303e70050', '0303', ''].map((octets) => `{"subTemplateList":{"octets":"${octets}"}}`),
  )
  t.deepEqual(
    recordOctets(decode(ndjson, lines([batch]).join('\n')).batches),
    recordOctets([batch]),
  )
})

test('lists whose text would make the line longer than 1 MiB are octets in marked form', (t) => {
  const inner = createTemplate(300, [{element: ie.protocolIdentifier, length: 1}])
  const octets = [...hex`04 012c`, ...Array<number>(60000).fill(6)]
  const batch = batchFrom(
    templateOf([ie.subTemplateList]),
    [withLength(octets, true)],
    undefined,
    new Map([[300, inner]]),
  )
  const [line] = lines([batch])
  t.true(line.startsWith('{"subTemplateList":{"octets":"04012c0606'), line.slice(0, 100))
  const {batches, account} = decode(ndjson, line)
  t.is(account.totalLost(), 0)
  t.is(recordOctets(batches)[0].length, recordOctets([batch])[0].length)
})

test('a Template that options records name keeps its ID with its records, through NDJSON and IPFIX', (t) => {
  const v4 = templateOf([ie.sourceIPv4Address], 300)
  const v6 = templateOf([ie.sourceIPv6Address], 301)
  const keys = templateOf([ie.templateId, ie.flowKeyIndicator], 302, 1)
  const batches = [
    batchOf(v6, [[new Uint8Array(16)]], {observationDomainId: 2}),
    batchOf(keys, [
      [300, 1],
      [301, 1],
    ]),
    batchOf(v4, [[1]]),
    batchOf(v6, [[new Uint8Array(16)]]),
    batchOf(v6, [[new Uint8Array(16)]], {observationDomainId: 2}),
  ]
  for (const native of addon === undefined ? [false] : [false, true]) {
    const written = lines(batches, {native})
    const idOf = (line: string): unknown =>
      (JSON.parse(line) as {_ipfix: {templateId?: number}})._ipfix.templateId
    // In another domain an ID is another Template's.
    t.deepEqual(written.map(idOf), [undefined, undefined, undefined, 300, 301, undefined])
  }
  // The other way round in the file: what names them comes last, and our IDs are given anew.
  const [, first, second, four, six] = lines(batches)
  const mixed = decode(ndjson, [six, four, second, first].join('\n')).batches
  const again = decodeIpfix(encodeIpfix(mixed).octets).batches
  const read = lines(again, {argument: 'all'}).map(
    (line) =>
      JSON.parse(line) as {
        templateId?: number
        sourceIPv4Address?: string
        _ipfix: {templateId: number}
      },
  )
  const [idOfSix, idOfFour] = read.map((record) => record._ipfix.templateId)
  t.deepEqual(
    read.slice(2).map((record) => record.templateId),
    [idOfSix, idOfFour],
  )
})
