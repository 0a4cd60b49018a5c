import test from 'ava'
import {spawnSync} from 'node:child_process'
import {unknownElement} from '../../src/record/element.js'
import {createTemplate} from '../../src/record/template.js'
import {ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import {needing, tools} from '../support/needing.js'
import fc from '../support/properties.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {encode, formats} from './coding.js'
import {batchFrom, withLength} from './random-records.js'

const {csv, tsv} = formats

test('columns are the elements of the first data Template, those of the other IP version beside them', (t) => {
  const v4 = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount])
  const v6 = templateOf([ie.octetDeltaCount, ie.sourceIPv6Address, ie.vlanId], 257)
  const options = templateOf([ie.exportingProcessId, ie.exportedOctetTotalCount], 258, 1)
  const {text, account} = encode(csv, [
    batchOf(options, [[1, 2]]),
    batchOf(v4, [[address('192.0.2.1'), 5]]),
    batchOf(v6, [[6, address('2001:db8::1'), 7]]),
    batchOf(templateOf([ie.interfaceName]), [['eth0'], ['eth1']]),
  ])
  t.is(text, 'sourceIPv4Address,sourceIPv6Address,octetDeltaCount\n192.0.2.1,,5\n,2001:db8::1,6\n')
  t.is(
    account.line(),
    'csv-write: 5 records in, 2 out, skipped 3 (no-column 2, options-record 1), noted value-without-column 1',
  )
})

test('csv:a,b chooses columns, with titles, alternatives and occurrences', (t) => {
  const v4 = templateOf([ie.sourceIPv4Address, ie.vlanId, ie.vlanId])
  const v6 = templateOf([ie.sourceIPv6Address], 257)
  const {text, account} = encode(
    csv,
    [batchOf(v4, [[address('192.0.2.1'), 5, 6]]), batchOf(v6, [[address('2001:db8::1')]])],
    {
      argument:
        'vlanId.2,from=sourceIPv4Address|sourceIPv6Address,0/58,_ipfix.observationDomainId,_ipfix.exportTime,_ipfix.exporter',
    },
  )
  t.is(
    text,
    'vlanId.2,from,0/58,_ipfix.observationDomainId,_ipfix.exportTime,_ipfix.exporter\n' +
      '6,192.0.2.1,5,1,2023-11-14T22:13:20Z,\n' +
      ',2001:db8::1,,1,2023-11-14T22:13:20Z,\n',
  )
  t.is(account.line(), 'csv-write: 2 records in, 2 out')
})

test('options records are rows where their elements were asked for', (t) => {
  const options = templateOf([ie.exportingProcessId, ie.exportedOctetTotalCount], 258, 1)
  const {text} = encode(csv, [batchOf(options, [[1, 2]])], {argument: 'exportedOctetTotalCount'})
  t.is(text, 'exportedOctetTotalCount\n2\n')
})

test('asked for columns the header line comes even without records, else nothing does', (t) => {
  t.is(encode(csv, [], {argument: 'vlanId'}).text, 'vlanId\n')
  t.is(encode(csv, []).text, '')
})

test('a column that is no element is refused', (t) => {
  const error = t.throws(() => encode(csv, [], {argument: 'vlanId,srcIp'})) as {code?: string}
  t.is(error.code, 'DARTA_USAGE')
  t.is((error as Error).message, "-o csv: no Information Element 'srcIp'; see darta ie")
})

test('equal elements have columns of their own', (t) => {
  const template = templateOf([ie.vlanId, ie.protocolIdentifier, ie.vlanId])
  t.is(
    encode(csv, [batchOf(template, [[1, 6, 2]])]).text,
    'vlanId,protocolIdentifier,vlanId.2\n1,6,2\n',
  )
})

/** A string, its cell in CSV, its cell between tabs. */
const cells: readonly (readonly [string, string, string])[] = [
  ['', '""', ''],
  ['plain', 'plain', 'plain'],
  ['two words', 'two words', 'two words'],
  ['a,b', '"a,b"', 'a,b'],
  ['say "x"', '"say ""x"""', 'say "x"'],
  ['a\nb', '"a\nb"', 'a\\nb'],
  ['a\r\nb', '"a\r\nb"', 'a\\r\\nb'],
  ['a\tb', 'a\tb', 'a\\tb'],
  ['back\\slash', 'back\\slash', 'back\\\\slash'],
  ['=1+1', "'=1+1", "'=1+1"],
  ['+49', "'+49", "'+49"],
  ['-1', "'-1", "'-1"],
  ['@SUM(A1)', "'@SUM(A1)", "'@SUM(A1)"],
  ['\t=1', "'\t=1", "'\\t=1"],
  ['\r=1', '"\'\r=1"', "'\\r=1"],
  ['=a,"b"', '"\'=a,""b"""', '\'=a,"b"'],
  ['\u001b[31mred\u0000\u009b', '\\u001b[31mred\\u0000\\u009b', '\\u001b[31mred\\u0000\\u009b'],
  ['é漢😀', 'é漢😀', 'é漢😀'],
]
for (const [value, comma, tab] of cells) {
  test(`the string ${JSON.stringify(value)} is ${JSON.stringify(comma)} in CSV and ${JSON.stringify(tab)} between tabs`, (t) => {
    const batch = batchOf(templateOf([ie.vlanId, ie.userName]), [[1, value]])
    t.is(encode(csv, [batch]).text, `vlanId,userName\n1,${comma}\n`)
    t.is(encode(tsv, [batch]).text, `vlanId\tuserName\n1\t${tab}\n`)
  })
}

test('numbers are never taken for formulas, and have all digits', (t) => {
  const template = templateOf([
    [ie.mibObjectValueInteger, 4],
    ie.octetDeltaCount,
    ie.samplingProbability,
  ])
  const batch = batchOf(template, [
    [hex`ffffffff`, 18446744073709551615n, hex`bfe0 0000 0000 0000`],
    [0, 0, hex`fff0 0000 0000 0000`],
    [0, 0, hex`7ff8 0000 0000 0000`],
  ])
  t.is(
    encode(csv, [batch]).text,
    'mibObjectValueInteger,octetDeltaCount,samplingProbability\n-1,18446744073709551615,-0.5\n0,0,-inf\n0,0,NaN\n',
  )
})

test('octets are hex, those that do not fit their type with 0x before them', (t) => {
  const template = templateOf([
    [unknownElement(9, 1), 2],
    [ie.sourceIPv4Address, 3],
    ie.userName,
    ie.dataRecordsReliability,
  ])
  const batch = batchOf(template, [[hex`00ff`, hex`0a0000`, hex`c328`, 7]])
  t.is(
    encode(csv, [batch], {argument: '9/1,sourceIPv4Address,userName,dataRecordsReliability'}).text,
    '9/1,sourceIPv4Address,userName,dataRecordsReliability\n00ff,0x0a0000,0xc328,0x07\n',
  )
})

test('a list is JSON in a cell', (t) => {
  const batch = batchFrom(templateOf([ie.basicList]), [
    withLength([...hex`03 003a 0002 0005 0006`], true),
  ])
  t.is(
    encode(csv, [batch]).text,
    'basicList\n"{""semantic"":""allOf"",""element"":""vlanId"",""items"":[5,6]}"\n',
  )
})

needing(tools('python3'))('the csv module of Python reads back every string', (t) => {
  const strings = fc
    .sample(fc.string({unit: 'binary', maxLength: 12}), {numRuns: 5000, seed: 4180})
    .concat(cells.map(([value]) => value))
    // What is escaped or guarded is not the string any more.

    .filter((s) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]|^[=+\-@\t\r]/.test(s))
  const template = createTemplate(256, templateOf([ie.vlanId, ie.userName, ie.vlanId]).fields)
  const batch = batchOf(
    template,
    strings.map((s, i) => [i & 65535, s, 7]),
  )
  const {stdout, status} = spawnSync(
    'python3',
    [
      '-c',
      "import csv,io,json,sys;print(json.dumps(list(csv.reader(io.TextIOWrapper(sys.stdin.buffer,encoding='utf-8',newline=''),strict=True))))",
    ],
    {input: encode(csv, [batch]).octets, encoding: 'utf8', maxBuffer: 2 ** 26},
  )
  t.is(status, 0)
  const rows = JSON.parse(stdout) as string[][]
  t.deepEqual(rows[0], ['vlanId', 'userName', 'vlanId.2'])
  t.is(rows.length, strings.length + 1)
  t.deepEqual(
    rows.slice(1),
    strings.map((s, i) => [String(i & 65535), s, '7']),
  )
})

test('flushed after every batch, the rows are the same', (t) => {
  const batches = Array.from({length: 5}, (_, i) => batchOf(templateOf([ie.vlanId]), [[i], [i]]))
  t.is(encode(csv, batches, {step: 1}).text, encode(csv, batches).text)
})

test('--time writes times in another style', (t) => {
  const template = templateOf([ie.flowStartMilliseconds, ie.flowEndSeconds])
  const batch = batchOf(template, [
    [1_700_000_000_500, 1_700_000_003],
    [1_699_999_999_000, 1_700_000_000],
  ])
  const rows = (style: string, pattern?: string): string[] =>
    encode(csv, [batch], {options: {time: {style, pattern}}})
      .text.trimEnd()
      .split('\n')
      .slice(1)
  t.deepEqual(rows('rfc3339'), encode(csv, [batch]).text.trimEnd().split('\n').slice(1))
  t.deepEqual(rows('epoch'), ['1700000000.500,1700000003', '1699999999.000,1700000000'])
  t.deepEqual(rows('epoch-ms'), ['1700000000500,1700000003000', '1699999999000,1700000000000'])
  t.deepEqual(rows('relative'), ['+0.000,+3', '-1.500,+0'])
  t.deepEqual(rows('strftime', '=%d, %H'), [`"'=14, 22","'=14, 22"`, `"'=14, 22","'=14, 22"`])
})
