import type {ExecutionContext} from 'ava'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {darta} from '../support/darta.js'
import {needing, optionalPackage} from '../support/needing.js'
import {createRandom} from '../support/random.js'

/** What is used of the npm package `@duckdb/node-api`. */
interface DuckDb {
  readonly DuckDBInstance: {create(path: string): Promise<{connect(): Promise<Connection>}>}
}
interface Connection {
  run(sql: string): Promise<unknown>
  runAndReadAll(sql: string): Promise<{getRowObjects(): Record<string, unknown>[]}>
}

const absent = optionalPackage('@duckdb/node-api')
const test = needing(absent)
const RECORDS = 20_000
/** 2023-11-14T22:13:20Z */
const START = 1_700_000_000_000

/** A record, and its row in the table of DuckDB; numbers beyond 2^53 are texts of digits. */
interface Made {
  readonly line: string
  readonly row: string
}

const columns = [
  ['src4', 'UINTEGER'],
  ['dst4', 'UINTEGER'],
  ['src6', 'VARCHAR'],
  ['dst6', 'VARCHAR'],
  ['sport', 'USMALLINT'],
  ['dport', 'USMALLINT'],
  ['proto', 'UTINYINT'],
  ['octets', 'UBIGINT'],
  ['packets', 'UBIGINT'],
  ['first', 'UBIGINT'],
  ['last', 'UBIGINT'],
  ['asn', 'UINTEGER'],
  ['username', 'VARCHAR'],
] as const

function make(below: (limit: number) => number): Made {
  const v6 = below(4) === 0
  const address4 = (): number => (10 << 24) | (below(3) << 16) | (below(6) << 8) | below(20)
  const address6 = (): string => `2001:db8::${(1 + below(40)).toString(16)}`
  const text4 = (a: number): string =>
    [a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255].join('.')
  const [src4, dst4, src6, dst6] = [address4(), address4(), address6(), address6()]
  const proto = [6, 17, 1, 47][below(4)]
  const [sport, dport] = [1024 + below(500), [53, 80, 443, 8080][below(4)]]
  // Now and then more than a number of JavaScript holds.
  const octets = below(500) === 0 ? 2n ** 54n + BigInt(below(1000)) : BigInt(40 + below(100_000))
  const packets = 1 + below(300)
  const first = START + below(3_600_000)
  const last = first + below(120_000)
  const asn = below(3) === 0 ? undefined : 64500 + below(30)
  const user = below(3) === 0 ? undefined : ['anna', 'bert', 'Zoë, the "third"'][below(3)]
  const fields = [
    v6 ? `"sourceIPv6Address":"${src6}"` : `"sourceIPv4Address":"${text4(src4)}"`,
    v6 ? `"destinationIPv6Address":"${dst6}"` : `"destinationIPv4Address":"${text4(dst4)}"`,
    `"sourceTransportPort":${sport},"destinationTransportPort":${dport},"protocolIdentifier":${proto}`,
    `"octetDeltaCount":${octets},"packetDeltaCount":${packets}`,
    `"flowStartMilliseconds":"${new Date(first).toISOString()}"`,
    `"flowEndMilliseconds":"${new Date(last).toISOString()}"`,
    ...(asn === undefined ? [] : [`"bgpSourceAsNumber":${asn}`]),
    ...(user === undefined ? [] : [`"userName":${JSON.stringify(user)}`]),
  ]
  const cells = [
    ...(v6 ? ['', '', src6, dst6] : [src4, dst4, '', '']),
    ...[sport, dport, proto, octets, packets, first, last, asn ?? ''],
    user === undefined ? '' : `"${user.replaceAll('"', '""')}"`,
  ]
  return {line: `{${fields.join(',')}}\n`, row: `${cells.join(',')}\n`}
}

const place = mkdtempSync(join(tmpdir(), 'darta-test-'))
process.on('exit', () => rmSync(place, {recursive: true, force: true}))
const below = createRandom(2024)
const made = Array.from({length: RECORDS}, () => make(below))
const [records, table] = [join(place, 'flows.ndjson'), join(place, 'flows.csv')]
writeFileSync(records, made.map(({line}) => line).join(''))
writeFileSync(table, made.map(({row}) => row).join(''))

let opened: Promise<Connection> | undefined

/** The records as table `r`. */
async function open(): Promise<Connection> {
  // By a name that the compiler does not look for.
  const name: string = '@duckdb/node-api'
  const {DuckDBInstance} = (await import(name)) as DuckDb
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const types = columns.map(([column, type]) => `${column}: '${type}'`).join(', ')
  await connection.run(
    `create table r as select * from read_csv('${table}', header = false, quote = '"', escape = '"', columns = {${types}})`,
  )
  return connection
}

/** A row by the names of elements: all values are texts, what is not there is left out. */
type Row = Record<string, string>

async function query(sql: string): Promise<Row[]> {
  const database = await (opened ??= open())
  const reader = await database.runAndReadAll(sql)
  return reader.getRowObjects().map((row) =>
    Object.fromEntries(
      Object.entries(row)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => [name, String(value)]),
    ),
  )
}

/** The rows of an aggregate, digit for digit. */
async function aggregate(t: ExecutionContext, args: readonly string[]): Promise<Row[]> {
  const {stdout, stderr, code} = await darta(t, [
    'aggregate',
    '-r',
    records,
    '-o',
    'ndjson',
    ...args,
  ])
  t.is(code, 0, stderr)
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => rowOf(line))
    .filter((row) => !('_scope' in row))
}

function rowOf(line: string): Row {
  const digits = (_key: string, value: unknown, context?: {source?: string}): unknown =>
    typeof value === 'number' ? context?.source : value
  const parsed = JSON.parse(line, digits) as Row
  const row: Row = {}
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '_ipfix') continue
    row[name] = /^\d{4}-.*Z$/.test(value) ? String(Date.parse(value)) : value
  }
  return row
}

const sorted = (rows: readonly Row[]): string[] =>
  rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort()

const text4 = (column: string): string =>
  `concat_ws('.', ${column} >> 24, (${column} >> 16) & 255, (${column} >> 8) & 255, ${column} & 255)`
const address = (side: 'src' | 'dst', name: string): string =>
  `case when ${side}4 is not null then ${text4(`${side}4`)} end "${name}IPv4Address", ${side}6 "${name}IPv6Address"`
const cut = (side: 'src' | 'dst', name: string, bits: number): string =>
  `case when ${side}4 is not null then ${text4(`((${side}4 >> ${32 - bits}) << ${32 - bits})`)} end "${name}IPv4Prefix", case when ${side}4 is not null then ${bits} end "${name}IPv4PrefixLength"`

const sums =
  'sum(octets) "octetDeltaCount", sum(packets) "packetDeltaCount", count(*) "deltaFlowCount", ' +
  'min(first) "flowStartMilliseconds", max(last) "flowEndMilliseconds"'

interface Question {
  readonly args: readonly string[]
  /** Columns that are the key. */
  readonly key: string
  readonly where?: string
  /** Columns besides the sums. */
  readonly more?: string
}

const mean = (column: string): string =>
  `case when sum(${column})::double / count(${column}) = floor(sum(${column})::double / count(${column})) then (sum(${column})::double / count(${column}))::bigint::varchar else (sum(${column})::double / count(${column}))::varchar end`

const questions: readonly Question[] = [
  {args: ['-A', 'proto'], key: 'proto "protocolIdentifier"'},
  {
    args: ['-A', 'srcip,dstip'],
    key: `${address('src', 'source')}, ${address('dst', 'destination')}`,
  },
  {
    args: ['-a'],
    key: `proto "protocolIdentifier", ${address('src', 'source')}, sport "sourceTransportPort", ${address('dst', 'destination')}, dport "destinationTransportPort"`,
  },
  {args: ['-A', 'src4/24', 'ipv4'], key: cut('src', 'source', 24), where: 'src4 is not null'},
  {
    args: ['-A', 'src4/16,dst4/20,dstport', 'ipv4 and proto in [6 17]'],
    key: `${cut('src', 'source', 16)}, ${cut('dst', 'destination', 20)}, dport "destinationTransportPort"`,
    where: 'src4 is not null and proto in (6, 17)',
  },
  {
    args: ['-A', 'userName,proto'],
    key: 'username "userName", proto "protocolIdentifier"',
    // A record without the key is in no group.
    where: 'username is not null',
  },
  {
    args: ['-A', 'srcas', 'bytes > 50k and dst port 443 or userName = anna'],
    key: 'asn "bgpSourceAsNumber"',
    where: `asn is not null and ((octets > 50000 and dport = 443) or username = 'anna')`,
  },
  {
    args: [
      ...['-A', 'dstport', '--min', 'octets', '--max', 'packets', '--mean', 'packets'],
      ...['--sum', 'bgpSourceAsNumber', '--distinct', 'srcip', '--distinct', 'srcport'],
    ],
    key: 'dport "destinationTransportPort"',
    more: `min(octets) "minimumOfOctets", max(packets) "maximumOfPackets", ${mean('packets')} "meanOfPackets", sum(asn) "sumOfBgpSourceAsNumber", count(distinct coalesce(src4::varchar, src6)) "distinctCountOfSourceIPAddress", count(distinct sport) "distinctCountOfSrcport"`,
  },
]

for (const {args, key, where = 'true', more} of questions) {
  const sql = `select ${key}, ${sums}${more === undefined ? '' : `, ${more}`} from r where ${where} group by all`
  test(`aggregate ${args.join(' ')} is what DuckDB makes of the same records`, async (t) => {
    const expected = sorted(await query(sql))
    t.true(expected.length > 1)
    t.deepEqual(sorted(await aggregate(t, args)), expected)
  })
}

test('groups that went to disk are what DuckDB makes of the same records', async (t) => {
  const {args, key} = questions[2]
  const rows = await aggregate(t, [...args, '--max-memory', '256Ki'])
  t.deepEqual(sorted(rows), sorted(await query(`select ${key}, ${sums} from r group by all`)))
})

test('intervals are what DuckDB makes of the starts of the same records', async (t) => {
  const bin = 300_000
  const rows = await aggregate(t, ['-A', 'proto', '--bin', '5m'])
  const expected = await query(
    `select first // ${bin} * ${bin} "flowStartMilliseconds", (first // ${bin} + 1) * ${bin} "flowEndMilliseconds", proto "protocolIdentifier", sum(octets) "octetDeltaCount", sum(packets) "packetDeltaCount", count(*) "deltaFlowCount" from r group by all`,
  )
  const names = Object.keys(expected[0])
  const only = rows
    .map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => names.includes(name))))
    // Intervals into which Flows only reach have none of their counters.
    .filter((row) => row.deltaFlowCount !== '0')
  t.deepEqual(sorted(only), sorted(expected))
})

test('the first of an order are those of DuckDB, in its order', async (t) => {
  for (const [order, column] of [
    ['bytes', 'sum(octets)'],
    ['packets', 'sum(packets)'],
    // Several groups have as many: which comes first says nothing.
    ['flows', 'count(*)'],
  ]) {
    const rows = await aggregate(t, ['-A', 'src4/24,dstport', '-O', order, '-k', '7', 'ipv4'])
    const expected = await query(
      `select ${cut('src', 'source', 24)}, dport "destinationTransportPort", ${sums} from r where src4 is not null group by all order by ${column} desc limit 7`,
    )
    if (order === 'flows') {
      const flows = (list: readonly Row[]): string[] => list.map((row) => row.deltaFlowCount)
      t.deepEqual(flows(rows), flows(expected))
      continue
    }
    t.deepEqual(
      rows.map((row) => sorted([row])),
      expected.map((row) => sorted([row])),
    )
  }
})

test('quantiles and approximate counts are within what is stated of what DuckDB finds', async (t) => {
  const rows = await aggregate(t, [
    ...['-A', 'proto', '--quantile', 'octets:0.5', '--quantile', 'packets:p95'],
    ...['--approx-distinct', 'srcip'],
  ])
  const expected = await query(
    'select proto, quantile_disc(octets, 0.5) median, quantile_disc(packets, 0.95) high, count(distinct coalesce(src4::varchar, src6)) sources from r group by all',
  )
  for (const {proto, median, high, sources} of expected) {
    const row = rows.find(({protocolIdentifier}) => protocolIdentifier === proto)!
    const off = (name: string, exact: string): number => Math.abs(Number(row[name]) - Number(exact))
    t.true(off('percentile50OfOctets', median) <= 0.01 * Number(median) + 0.5)
    t.true(off('percentile95OfPackets', high) <= 0.01 * Number(high) + 0.5)
    t.true(off('approximateCountOfSrcip', sources) <= 4.5 * 0.023 * Number(sources))
  }
})

test('records without the key are skipped and counted', async (t) => {
  const {stderr} = await darta(t, ['aggregate', '-r', records, '-A', 'userName', '-o', 'null'])
  const [{missing}] = await query('select count(*) missing from r where username is null')
  t.regex(stderr, new RegExp(`skipped ${missing} \\(`))
})
