import test, {type ExecutionContext} from 'ava'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fieldValue} from '../../../src/formats/map/field-value.js'
import {readMapping} from '../../../src/formats/map/mapping.js'
import map from '../../../src/formats/map.js'
import {Ledger} from '../../../src/record/ledger.js'
import {bash, darta, folder} from '../../support/darta.js'
import {needing, root, shared} from '../../support/needing.js'
import {plainRecords, type Plain} from '../../support/results.js'
import {hex} from '../../hex.js'

interface Read {
  readonly records: Plain[]
  readonly lines: string[]
}

/** What a mapping makes of octets that come in pieces of `size`. */
function read(mapping: object, octets: Uint8Array | string, size = Infinity): Read {
  const input = typeof octets === 'string' ? new TextEncoder().encode(octets) : octets
  const ledger = new Ledger()
  const decoder = map.decoder({ledger, source: 'test', argument: JSON.stringify(mapping)})
  const batches = []
  for (let at = 0; at < input.length; at += size)
    batches.push(...decoder.push(input.slice(at, at + size)))
  batches.push(...decoder.end())
  return {records: plainRecords(batches), lines: ledger.lines()}
}

const csv = {
  format: 'csv',
  comment: '#',
  absent: ['-'],
  fields: {
    src: 'sourceIPv4Address',
    kib: {element: 'octetDeltaCount', unit: 'Ki'},
    proto: {element: 'protocolIdentifier', names: {TCP: 6, udp: 17}},
    at: {element: 'flowStartMilliseconds', time: 'epoch'},
    note: {},
    junk: null,
  },
}
const table = [
  '# made by hand',
  'src,kib,proto,at,note,junk,extra',
  '192.0.2.1,1.5,tcp,1700000000.25,"a ""quoted"", long\nnote",x,y',
  '192.0.2.999,-,99999,yesterday,n,x,',
  '192.0.2.3,2',
  '"open',
].join('\n')

test('a mapping makes records of CSV, and counts what of it is in none', (t) => {
  const expected = [
    {
      sourceIPv4Address: '192.0.2.1',
      octetDeltaCount: 1536,
      protocolIdentifier: 6,
      flowStartMilliseconds: 1_700_000_000_250,
      note: 'a "quoted", long\nnote',
      extra: 'y',
    },
    {note: 'n'},
  ]
  for (const size of [1, 7, Infinity]) {
    const {records, lines} = read(csv, table, size)
    t.deepEqual(records, expected)
    t.regex(
      lines[0],
      /^map: 6 lines in, 2 out, skipped 2 \(comment 1, header 1\), lost 2 \(columns 1 .*quote 1 /,
    )
    t.regex(
      lines[1],
      /14 fields in, 7 out, skipped 4 \(empty 2, left-out 2\), lost 3 \(value-of-at 1 .*value-of-proto 1 .*value-of-src 1 /,
    )
    t.regex(lines[1], /noted .*no element for extra: 32473\/\d+ 1/)
  }
})

test('pairs of keys and values, quoted or not, are fields', (t) => {
  const fields = {srcip: 'sourceIPv6Address', sent: 'octetDeltaCount', user: 'userName'}
  const {records} = read(
    {format: 'kv', fields},
    'srcip=2001:db8::1  sent=12 user="o \\"x\\""\nno pair\n',
  )
  t.deepEqual(records, [{sourceIPv6Address: '2001:db8::1', octetDeltaCount: 12, userName: 'o "x"'}])
  const piped = read({format: 'kv', separator: '|', assignment: ':', fields}, 'sent:5|user:a b')
  t.deepEqual(piped.records, [{octetDeltaCount: 5, userName: 'a b'}])
})

test('members of JSON lines are fields, all digits of their numbers kept', (t) => {
  const fields = {'flow.bytes': 'octetDeltaCount', up: {element: 'dataRecordsReliability'}}
  const {records, lines} = read(
    {format: 'jsonl', fields},
    '{"flow":{"bytes":9223372036854775807},"up":true,"gone":null}\n[1]\n{"bad\n',
  )
  t.deepEqual(records, [{octetDeltaCount: 9223372036854775807n, dataRecordsReliability: true}])
  t.regex(lines[0], /3 lines in, 1 out, lost 2 \(syntax 2 from octet 61/)
})

test('fixed binary records are cut at their octets, in either order of octets', (t) => {
  const fields = {
    src: {at: 0, octets: 4, as: 'address', element: 'sourceIPv4Address'},
    n: {at: 4, octets: 3, element: 'octetDeltaCount'},
    delta: {at: 7, octets: 1, as: 'signed', element: 'mibObjectValueInteger'},
    name: {at: 8, octets: 4, as: 'text', element: 'userName'},
  }
  const octets = hex`c0000201 000102 ff 62 6f 62 00   c0000202 010000 02 61 00 00 00   aabb`
  for (const size of [1, 5, Infinity]) {
    const {records, lines} = read({format: 'binary', recordOctets: 12, fields}, octets, size)
    t.deepEqual(records, [
      {
        sourceIPv4Address: '192.0.2.1',
        octetDeltaCount: 258,
        mibObjectValueInteger: -1,
        userName: 'bob',
      },
      {
        sourceIPv4Address: '192.0.2.2',
        octetDeltaCount: 65536,
        mibObjectValueInteger: 2,
        userName: 'a',
      },
    ])
    t.regex(lines[0], /3 records in, 2 out, lost 1 \(truncated 1 from octet 24\)/)
  }
  const little = read({format: 'binary', recordOctets: 12, endian: 'little', fields}, octets)
  t.is(little.records[1].octetDeltaCount, 1)
})

test('times are read in the form that is told, to the last digit', (t) => {
  const at = (time: string, element: string, text: string) =>
    fieldValue(
      readMapping(JSON.stringify({format: 'kv', fields: {x: {element, time}}}), 'm').of('x')!,
      text,
    )
  t.is(
    at('iso', 'flowStartNanoseconds', '2023-11-14 22:13:20.123456789'),
    1_700_000_000_123_456_789n,
  )
  t.is(at('iso', 'flowStartSeconds', '2023-11-14T23:13:20+0100'), 1_700_000_000)
  t.is(at('epoch', 'flowStartMicroseconds', '1700000000.000001'), 1_700_000_000_000_001n)
  t.is(at('epoch-ms', 'flowStartMilliseconds', '1700000000001'), 1_700_000_000_001)
  t.is(at('iso', 'flowStartSeconds', '1700000000'), undefined)
  t.is(at('iso', 'flowStartSeconds', '2023-02-30T99:00:00Z'), undefined)
})

for (const [what, mapping] of Object.entries({
  'no JSON': 'x',
  'no format': '{"fields":{}}',
  'an element that there is not': '{"format":"csv","fields":{"a":"noSuchThing"}}',
  'a word that means nothing': '{"format":"csv","fields":{},"colums":[]}',
  'a rule that means nothing': '{"format":"csv","fields":{"a":{"elemnt":"userName"}}}',
  'a field behind its record':
    '{"format":"binary","recordOctets":4,"fields":{"a":{"at":2,"octets":4}}}',
})) {
  test(`a mapping with ${what} is refused`, (t) => {
    t.throws(() => readMapping(mapping, 'm.json'), {code: 'DARTA_USAGE', message: /^m\.json: /})
  })
}

function write(t: ExecutionContext, mapping: object): string {
  const path = join(folder(t), 'mapping.json')
  writeFileSync(path, JSON.stringify(mapping))
  return path
}

const voip = {
  format: 'csv',
  skipLines: 2,
  fields: {
    subscriberID: 'userName',
    ipAddress: 'sourceIPv4Address',
    inboundByteCount: 'octetTotalCount',
    inboundPacketCount: 'packetTotalCount',
  },
}

needing(shared('fixtures/ipdr'))(
  'each cell of the VoIP records of IPDR survives, those without an element in described ones',
  async (t) => {
    const file = join(root, '../shared/fixtures/ipdr/voip-records.csv')
    const path = write(t, voip)
    const {code, stdout, stderr} = await bash(
      t,
      `darta collect -q --no-losses -r ${file} --input-format map:${path} | darta print -o ndjson`,
    )
    t.is(code, 0, stderr)
    const records = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const described = records.filter((one) => '_scope' in one)
    const data = records.filter((one) => !('_scope' in one))
    const rows = readFileSync(file, 'utf8')
      .split(/\r?\n/)
      .slice(2)
      .filter((row) => row.trim() !== '')
      .map((row) => row.split(','))
    const [header, ...cells] = rows
    const filled = cells.filter((row) => row.some((cell) => cell !== ''))
    t.is(data.length, filled.length)
    for (const [i, row] of filled.entries()) {
      const {_ipfix, ...record} = data[i]
      t.is(Object.keys(record).length, row.filter((cell) => cell !== '').length)
      for (const [c, cell] of row.entries()) {
        if (cell === '') continue
        const element = (voip.fields as Record<string, string>)[header[c]] ?? header[c]
        // Its addresses are numbers with a sign.
        const expected = header[c] === 'ipAddress' ? '192.168.1.243' : cell
        t.is(String(record[element]), expected, `${header[c]} of row ${i}`)
      }
    }
    t.true(described.some((one) => one.informationElementName === 'callCompletionCode'))
  },
)

test('ie --map shows what becomes of each field', async (t) => {
  const path = write(t, {...csv, columns: ['src', 'other']})
  const {code, stdout} = await darta(t, ['ie', '--map', path])
  t.is(code, 0)
  const rows = stdout.toString().split('\n')
  t.regex(rows[1], /^src +sourceIPv4Address +0\/8 +ipv4Address/)
  t.regex(rows[2], /^kib +octetDeltaCount +0\/1 +unsigned64 +times 1024$/)
  t.regex(rows[3], /^proto .*tcp=6 udp=17$/)
  t.regex(rows[4], /^at +flowStartMilliseconds .* epoch$/)
  t.regex(rows[6], /^junk +- +left out$/)
  t.regex(rows[7], /^other +other +32473\/\d+ +string +no element/)
  const absent = await darta(t, ['print', '--input-format', 'map:/nowhere/m.json'], 'x')
  t.is(absent.code, 1)
})
