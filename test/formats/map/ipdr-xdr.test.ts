import test from 'ava'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import ipdr from '../../../src/formats/ipdr.js'
import {Ledger} from '../../../src/record/ledger.js'
import {bash, darta, folder} from '../../support/darta.js'
import {
  counted,
  documentDescriptor,
  documentEnd,
  documentHeader,
  documentRecord,
  ipv6,
  text,
  u32,
  type Field,
  type FieldData,
  type TypeName,
} from '../../support/ipdr-writer.js'
import {needing, root, shared} from '../../support/needing.js'
import {plainRecords, type Plain} from '../../support/results.js'

function read(octets: Buffer, size = Infinity): {records: Plain[]; line: string; fields: string} {
  const ledger = new Ledger()
  const decoder = ipdr.decoder({ledger, source: 'test'})
  const batches = []
  for (let at = 0; at < octets.length; at += size)
    batches.push(...decoder.push(new Uint8Array(octets.subarray(at, at + size))))
  batches.push(...decoder.end())
  const [line, fields] = ledger.lines()
  return {records: plainRecords(batches), line, fields}
}

const every: readonly (readonly [string, TypeName, FieldData, unknown])[] = [
  ['anInt', 'int', -7, -7],
  ['anUnsignedInt', 'unsignedInt', 4_000_000_000, 4_000_000_000],
  ['aLong', 'long', -(2n ** 60n), -(2n ** 60n)],
  ['anUnsignedLong', 'unsignedLong', 2n ** 63n, 2n ** 63n],
  ['aFloat', 'float', 0.5, 0.5],
  ['aDouble', 'double', Math.PI, Math.PI],
  ['someOctets', 'hexBinary', Buffer.from('c0ffee', 'hex'), 'c0ffee'],
  ['someText', 'string', 'Zoë', 'Zoë'],
  ['aBoolean', 'boolean', true, true],
  ['aByte', 'byte', -1, -1],
  ['anUnsignedByte', 'unsignedByte', 255, 255],
  ['aShort', 'short', -300, -300],
  ['anUnsignedShort', 'unsignedShort', 65535, 65535],
  ['aDateTime', 'dateTime', 1_700_000_000, 1_700_000_000],
  ['aDateTimeMsec', 'dateTimeMsec', 1_700_000_000_001, 1_700_000_000_001],
  ['anIpv4Address', 'ipV4Addr', '192.0.2.1', '192.0.2.1'],
  ['anIpv6Address', 'ipV6Addr', ipv6('2001:db8:0:0:0:0:0:1'), '2001:db8::1'],
  ['aUuid', 'uuid', 'bd2e0a36-1dd1-11b2-95aa-e6b6e797e7c4', 'bd2e0a36-1dd1-11b2-95aa-e6b6e797e7c4'],
  ['aDateTimeUsec', 'dateTimeUsec', 1_700_000_000_000_001n, 1_700_000_000_000_001n],
  ['aMacAddress', 'macAddress', '02:00:5e:10:00:01', '02:00:5e:10:00:01'],
  ['anAddress', 'ipAddr', Buffer.from([192, 0, 2, 2]), '192.0.2.2'],
  ['anotherAddress', 'ipAddr', ipv6('2001:db8:0:0:0:0:0:2'), '2001:db8::2'],
]

const v4 = {version: 4} as const
const everyField = every.map(([name, type]): Field => ({name, type}))
const everyValue = every.map(([, , value]) => value)

const normal = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value

test('every type of a document in XDR is a value of an element of that type, however its octets come', (t) => {
  for (const mark of [true, false]) {
    const octets = Buffer.concat([
      documentHeader(v4),
      documentDescriptor(v4, 5, 'Every', everyField),
      documentRecord(v4, 5, everyField, everyValue, mark),
      documentRecord(v4, 5, everyField, everyValue, mark),
      documentEnd(2),
    ])
    for (const size of [1, 13, Infinity]) {
      const {records, line} = read(octets, size)
      t.is(line, 'ipdr: 2 records in, 2 out')
      for (const record of records) {
        t.is(record.type, 'Every')
        for (const [name, , , expected] of every) t.deepEqual(normal(record[name]), expected, name)
      }
    }
  }
})

test('fields with an element of IANA have it where the type fits, and keep their value where it does not', (t) => {
  const fields: Field[] = [
    {name: 'http://www.ipdr.org/namespace:subscriberId', type: 'string'},
    {name: 'ipAddress', type: 'ipAddr'},
    {name: 'startTime', type: 'dateTime'},
    {name: 'CmIpv6Addr', type: 'hexBinary'},
    {name: 'ServicePktsPassed', type: 'unsignedInt'},
    {name: 'inboundByteCount', type: 'string'},
    {name: 'endTime', type: 'boolean'},
  ]
  const six = ipv6('2001:db8:0:0:0:0:0:1')
  const values: FieldData[] = ['alice', six, 1_700_000_000, six, 7, '9', true]
  const octets = Buffer.concat([
    documentHeader(v4),
    documentDescriptor(v4, 1, 'T', fields),
    documentRecord(v4, 1, fields, values),
    documentEnd(1),
  ])
  const {records, fields: line} = read(octets)
  t.deepEqual(records, [
    {
      type: 'T',
      userName: 'alice',
      ipAddress: '2001:db8::1',
      flowStartMilliseconds: 1_700_000_000_000,
      sourceIPv6Address: '2001:db8::1',
      packetTotalCount: 7,
      octetTotalCount: 9,
      endTime: true,
    },
  ])
  t.regex(line, /8 fields in, 8 out/)
})

test('structures and arrays of a document are fields with a dot and JSON', (t) => {
  const descriptor = Buffer.concat([
    ...[u32(1), u32(1), text('T'), u32(3)],
    ...[text('call'), u32(0x80000000), u32(2), text('from'), u32(0x28), text('to'), u32(0x28)],
    ...[text('codecs'), u32(0x40000022), u32(9)],
    ...[text('legs'), u32(0xc0000000), u32(1), u32(9), text('n'), u32(0x2b)],
  ])
  const record = Buffer.concat([
    ...[u32(2), u32(1), u32(0xffffffff), text('a'), text('b')],
    ...[u32(2), u32(7), u32(8), u32(2), Buffer.from([1, 2])],
  ])
  const {records, line} = read(
    Buffer.concat([documentHeader(v4), descriptor, record, documentEnd(1)]),
  )
  t.is(line, 'ipdr: 1 records in, 1 out')
  t.deepEqual(records, [
    {type: 'T', callFrom: 'a', callTo: 'b', codecs: '[7,8]', legs: '[{"n":1},{"n":2}]'},
  ])
})

const small: Field[] = [
  {name: 'userName', type: 'string'},
  {name: 'n', type: 'int'},
]

function smallDocument(records: number, end: number, elements = -1): Buffer {
  return Buffer.concat([
    documentHeader({...v4, elements}),
    documentDescriptor(v4, 1, 'T', small),
    ...Array.from({length: records}, (_, i) => documentRecord(v4, 1, small, [`u${i}`, i])),
    ...(end < 0 ? [] : [documentEnd(end)]),
  ])
}

test('a record has no more fields than a Template that can be read', (t) => {
  const fields = Array.from({length: 600}, (_, i): Field => ({name: `f${i}`, type: 'byte'}))
  const octets = Buffer.concat([
    documentHeader(v4),
    documentDescriptor(v4, 1, 'T', fields),
    documentRecord(v4, 1, fields, Array<number>(600).fill(1)),
    documentEnd(1),
  ])
  const {records, line, fields: of} = read(octets)
  t.is(line, 'ipdr: 1 records in, 1 out')
  t.is(Object.keys(records[0]).length, 480)
  t.regex(of, /601 fields in, 480 out, lost 121 \(too-many-fields 121 /)
})

test('documents behind each other are all read, and each is held against its own count', (t) => {
  const all = Buffer.concat([smallDocument(3, 5), smallDocument(2, -1, 3), smallDocument(4, 3)])
  const {records, line} = read(all, 7)
  t.is(records.length, 9)
  t.is(line, 'ipdr: 9 records in, 9 out, missing 2 (document-count 2), noted more-than-told 1')
  t.regex(read(smallDocument(2, -1, 5)).line, /missing 2 \(document-elements 2 from octet/)
  t.regex(read(smallDocument(2, -1)).line, /2 out, noted no-end 1/)
})

test('a document in XDR that ends in the middle gives what is whole of it', (t) => {
  const octets = smallDocument(3, 3)
  const record = documentRecord(v4, 1, small, ['u0', 0]).length
  const first = octets.length - documentEnd(3).length - 3 * record
  for (let cut = 4; cut < octets.length; cut++) {
    const {records, line} = read(octets.subarray(0, cut))
    t.is(records.length, Math.max(0, Math.min(3, Math.floor((cut - first) / record))), `${cut}`)
    const [, lost = '0'] = /truncated (\d)/.exec(line) ?? []
    const isBetween = cut >= first && (cut - first) % record === 0 && cut <= first + 3 * record
    const isBehindHeader = cut === first - documentDescriptor(v4, 1, 'T', small).length
    t.is(lost, isBetween || isBehindHeader ? '0' : '1', `${cut}: ${line}`)
  }
})

test('behind what cannot be read the count at the end says what is missing, and where it began', (t) => {
  const octets = smallDocument(5, 5)
  const record = documentRecord(v4, 1, small, ['u0', 0]).length
  const second = octets.length - documentEnd(3).length - 4 * record
  octets.writeUInt32BE(9, second + 4)
  for (const size of [1, 100, Infinity]) {
    const {records, line} = read(octets, size)
    t.is(records.length, 1)
    t.is(
      line,
      `ipdr: 2 records in, 1 out, lost 1 (syntax 1 from octet ${second}), missing 3 (document-count 3)`,
    )
  }
})

test('only what begins with the whole header of a document is taken for one', (t) => {
  const header = documentHeader(v4)
  t.true(ipdr.detects(header))
  t.true(ipdr.detects(documentHeader({version: 3})))
  t.false(ipdr.detects(header.subarray(0, header.length - 1)))
  t.false(ipdr.detects(Buffer.concat([u32(5), header.subarray(4)])))
  // sFlow 4 begins with the same number.
  t.false(ipdr.detects(Buffer.concat([u32(4), u32(1), counted(Buffer.alloc(300))])))
})

needing(shared('fixtures/ipdr'))(
  'the VoIP document says the same in XDR of both versions as in XML',
  async (t) => {
    const at = join(root, '../shared/fixtures/ipdr')
    const xsd = readFileSync(join(at, 'VoIP3.0-A.0.xsd'), 'utf8')
    const types = new Map(
      [...xsd.matchAll(/<element name = "(\w+)" type = "(?:ipdr:)?(\w+)"/g)].map(
        ([, name, type]) => [name, type as TypeName],
      ),
    )
    const xml = readFileSync(join(at, 'voip-doc.xml'), 'utf8')
    const records = xml.split('<IPDR ').slice(1)
    const values = records.map((record) =>
      [...record.matchAll(/^<(\w+)>([^<]+)<\/\1>$/gm)].map(([, name, value]) => [name, value]),
    )
    t.is(values.length, 30)
    for (const version of [3, 4] as const) {
      const document = {version}
      const parts = [documentHeader(document)]
      values.forEach((pairs, id) => {
        const fields = pairs.map(([name]): Field => {
          const type = types.get(name) ?? (name === 'IPDRCreationTime' ? 'dateTimeMsec' : 'int')
          // Version 3 knows eight types only.
          if (version === 4) return {name, type}
          return {
            name,
            type:
              type === 'dateTimeMsec' ? 'unsignedLong' : type === 'ipV4Addr' ? 'unsignedInt' : type,
          }
        })
        const data = pairs.map(([name, value], i): FieldData => {
          if (fields[i].type === 'string') return value
          if (types.get(name) === 'ipV4Addr') {
            return version === 4
              ? value
              : value.split('.').reduce((sum, n) => sum * 256 + Number(n), 0)
          }
          return value.includes('T') ? Date.parse(value) : Number(value)
        })
        parts.push(documentDescriptor(document, id, 'IPDR-VoIP-Type', fields))
        parts.push(documentRecord(document, id, fields, data))
      })
      parts.push(documentEnd(30))
      const file = join(folder(t), 'voip.xdr')
      writeFileSync(file, Buffer.concat(parts))
      const {code, stdout, stderr} = await bash(
        t,
        `darta collect --no-losses -r ${file} | darta print -q -o ndjson`,
      )
      t.is(code, 0, stderr)
      t.regex(stderr, /ipdr: 30 records in, 30 out\n/)
      t.regex(stderr, /ipdr fields: (\d+) fields in, \1 out, noted/)
      const got = stdout
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((record) => !('_scope' in record))
      t.is(got.length, 30)
      if (version === 3) continue
      const named: Record<string, string> = {
        subscriberID: 'userName',
        ipAddress: 'sourceIPv4Address',
        startTime: 'flowStartMilliseconds',
        endTime: 'flowEndMilliseconds',
        IPDRCreationTime: 'ipdrCreationTime',
      }
      values.forEach((pairs, n) => {
        for (const [name, value] of pairs) {
          t.is(String(got[n][named[name] ?? name]), value, `${name} of ${n}`)
        }
      })
    }
  },
)

test('darta ie shows which fields of IPDR have an element of IANA', async (t) => {
  const {code, stdout} = await darta(t, ['ie', '--map', 'ipdr'])
  t.is(code, 0)
  t.regex(stdout.toString(), /^CmMacAddr +sourceMacAddress +0\/56 +macAddress/m)
})

needing(shared('fixtures/ipdr'))(
  'darta ie shows what becomes of each field of a service definition, as its records have it',
  async (t) => {
    const at = join(root, '../shared/fixtures/ipdr')
    const show = async (file: string): Promise<Map<string, string[]>> => {
      const {code, stdout, stderr} = await darta(t, ['ie', '--map', join(at, file)])
      t.is(code, 0, stderr)
      const lines = stdout.toString().trimEnd().split('\n').slice(1)
      return new Map(lines.map((line) => [line.split(/ +/)[0], line.split(/ +/).slice(1)]))
    }
    const media = await show('SM3.5-A.0.xsd')
    t.deepEqual(media.get('sourceAddress'), ['sourceIPv4Address', '0/8', 'ipv4Address'])
    t.deepEqual(media.get('charge')!.slice(2, 4), ['float32', 'no'])
    const voice = await show('VoIP3.0-A.0.xsd')
    t.is(voice.size, 66)
    t.is(voice.get('outboundByteCount')![0], 'reverseOctetTotalCount')
    t.is(voice.get('packetLossPercentage')![2], 'float32')
    // The elements that it shows are those that a document in XDR gets.
    const fields: Field[] = [{name: 'callDuration', type: 'int'}]
    const file = join(folder(t), 'one.xdr')
    writeFileSync(
      file,
      Buffer.concat([
        documentHeader(v4),
        documentDescriptor(v4, 1, 'T', fields),
        documentRecord(v4, 1, fields, [7]),
        documentEnd(1),
      ]),
    )
    const {stderr} = await darta(t, ['print', '--input-format', 'ipdr', '-r', file, '-o', 'null'])
    t.true(
      stderr.includes(`no element for callDuration: ${voice.get('callDuration')![1]} 1`),
      stderr,
    )
  },
)
