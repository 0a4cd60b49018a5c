import test, {type ExecutionContext} from 'ava'
import {VARIABLE} from '../../src/record/element.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {DartaError} from '../../src/record/errors.js'
import {StageLedger} from '../../src/record/ledger.js'
import {createSorter, type SorterOptions} from '../../src/mediation/sorting/sorter.js'
import {parseSortKeys} from '../../src/mediation/sorting/sort-key.js'
import {ie} from '../../src/registry/elements.js'
import {nfdumpFlows} from './filter/flows.js'
import {memoryStore, plain, type Plain} from './aggregation/aggregating.js'
import {address, batchOf, templateOf} from '../support/records.js'

interface Sorted {
  readonly rows: Plain[]
  readonly account: StageLedger
  readonly spills: number
}

async function sort(
  batches: readonly RecordBatch[],
  order: string,
  options: Partial<SorterOptions> = {},
): Promise<Sorted> {
  const account = new StageLedger('sort', 'records')
  const sorter = createSorter({
    keys: parseSortKeys(order),
    maxOctets: Infinity,
    openStore: memoryStore,
    account,
    ...options,
  })
  const out: RecordBatch[] = []
  for (const batch of batches) out.push(...sorter.push([batch]))
  for await (const some of sorter.results()) out.push(...some)
  sorter.close()
  return {rows: plain(out), account, spills: sorter.spills}
}

type Key = (row: Plain) => number | bigint | string | undefined

const startOf: Key = (row) => row.flowStartMilliseconds as number | undefined
const octets: Key = (row) => row.octetDeltaCount as number | undefined

/** As `Array.sort` orders them, which is stable; what is not there comes last. */
function slowly(rows: readonly Plain[], keys: readonly (readonly [Key, 1 | -1])[]): Plain[] {
  return [...rows].sort((a, b) => {
    for (const [key, direction] of keys) {
      const [x, y] = [key(a), key(b)]
      if (x === y) continue
      if (x === undefined) return 1
      if (y === undefined) return -1
      return x < y ? -direction : direction
    }
    return 0
  })
}

const flows = nfdumpFlows(2000)

const orders: readonly (readonly [order: string, keys: readonly (readonly [Key, 1 | -1])[]])[] = [
  ['tstart', [[startOf, 1]]],
  ['tstart:d', [[startOf, -1]]],
  ['bytes', [[octets, -1]]],
  [
    'octets:a,tstart',
    [
      [octets, 1],
      [startOf, 1],
    ],
  ],
  [
    'proto,dstport:d,bytes',
    [
      [(row) => row.protocolIdentifier as number, 1],
      [(row) => row.destinationTransportPort as number, -1],
      [octets, -1],
    ],
  ],
  ['ingressInterface', [[(row) => row.ingressInterface as number | undefined, 1]]],
]

for (const [order, keys] of orders) {
  test(`records in the order ${order} are those of a plain sort, in memory and from a store`, async (t) => {
    const expected = slowly(plain(flows), keys)
    const inMemory = await sort(flows, order)
    t.deepEqual(inMemory.rows, expected)
    const {rows, spills, account} = await sort(flows, order, {maxOctets: 20_000})
    t.true(spills > 2, `${spills} runs`)
    t.deepEqual(rows, expected)
    t.is(account.in, account.out)
  })
}

test('a limit gives the first of the whole order, whatever the memory, and counts the rest', async (t) => {
  const expected = slowly(plain(flows), [[octets, -1]]).slice(0, 25)
  for (const maxOctets of [Infinity, 20_000]) {
    const {rows, account} = await sort(flows, 'bytes', {most: 25, maxOctets})
    t.deepEqual(rows, expected)
    t.is(account.out, 25)
    t.is(account.skipped.get('behind-limit'), account.in - 25)
  }
})

const named = templateOf([[ie.userName, VARIABLE], ie.octetDeltaCount])
const names = ['b', 'a', '', 'ab', 'aa'.repeat(40), `${'aa'.repeat(40)}b`, 'ä', 'B']

test('text is compared octet by octet, however long, and none comes last in both directions', async (t) => {
  const batch = batchOf(
    named,
    names.map((name, i) => [name, i]),
  )
  const octetsOf = (text: string): string => Buffer.from(text).toString('latin1')
  const order = names
    .filter((name) => name !== '')
    .sort((a, b) => (octetsOf(a) < octetsOf(b) ? -1 : 1))
  for (const maxOctets of [Infinity, 60]) {
    const up = await sort([batch, batch], 'userName', {maxOctets})
    t.deepEqual(
      up.rows.map((row) => row.userName),
      [...order.flatMap((name) => [name, name]), '', ''],
    )
    const down = await sort([batch], 'userName:d,octetDeltaCount', {maxOctets})
    t.deepEqual(
      down.rows.map((row) => row.userName),
      [...order.reverse(), ''],
    )
    order.reverse()
  }
})

test('numbers below zero, fractions and reduced sizes have their order', async (t) => {
  const template = templateOf([
    [ie.dartaDelayMinimumNanoseconds, 8],
    [ie.dartaScore, 8],
    [ie.octetDeltaCount, 3],
  ])
  const real = (value: number): Uint8Array => {
    const octets = new Uint8Array(8)
    new DataView(octets.buffer).setFloat64(0, value)
    return octets
  }
  const values = [0, -1, 5, -300, 2 ** 40, -(2 ** 40)]
  const reals = [0.5, -0.25, 1e300, -1e300, 0, 3]
  const batch = batchOf(
    template,
    values.map((value, i) => [BigInt.asUintN(64, BigInt(value)), real(reals[i]), i]),
  )
  const short = templateOf([[ie.dartaDelayMinimumNanoseconds, 2]])
  const reduced = batchOf(short, [[0xfffe], [0x0007]])
  const {rows} = await sort([batch, reduced], 'dartaDelayMinimumNanoseconds')
  t.deepEqual(
    rows.map((row) => Number(row.dartaDelayMinimumNanoseconds)),
    [...values, -2, 7].sort((a, b) => a - b),
  )
  const byScore = await sort([batch], 'dartaScore')
  t.deepEqual(
    byScore.rows.map((row) => row.dartaScore),
    [...reals].sort((a, b) => a - b),
  )
})

test('times of all kinds are one order, to the part of a microsecond', async (t) => {
  const ntp = (ms: number, thousandths: number): Uint8Array => {
    const octets = new Uint8Array(8)
    const view = new DataView(octets.buffer)
    view.setUint32(0, Math.floor(ms / 1000) + 2208988800)
    view.setUint32(4, Math.floor(((ms % 1000) + thousandths / 1000) * (2 ** 32 / 1000)))
    return octets
  }
  const ms = 1_700_000_000_123
  const micro = batchOf(templateOf([ie.flowStartMicroseconds, ie.octetDeltaCount]), [
    [ntp(ms, 700), 3],
    [ntp(ms, 200), 1],
    [ntp(ms, 201), 2],
  ])
  const milli = batchOf(templateOf([ie.flowStartMilliseconds, ie.octetDeltaCount]), [
    [ms, 0],
    [ms + 1, 5],
  ])
  const seconds = batchOf(templateOf([ie.flowStartSeconds, ie.octetDeltaCount]), [
    [1_700_000_000, 8],
    [1_700_000_001, 6],
  ])
  const delta = batchOf(
    templateOf([ie.flowStartDeltaMicroseconds, ie.octetDeltaCount]),
    [[877_000 - 800, 4]],
    {exportTime: 1_700_000_001},
  )
  const late = batchOf(templateOf([ie.octetDeltaCount]), [[9]])
  const {rows} = await sort([late, micro, delta, seconds, milli], 'tstart')
  t.deepEqual(
    rows.map((row) => row.octetDeltaCount),
    [8, 0, 1, 2, 3, 4, 6, 5, 9].map((n) => n).sort((a, b) => place(a) - place(b)),
  )
  function place(n: number): number {
    // 5 is at .124, 6 at the next second, 9 has no time.
    return [8, 0, 1, 2, 3, 4, 5, 6, 9].indexOf(n)
  }
})

test('prefixes and addresses of both versions have an order, IPv4 first', async (t) => {
  const v4 = batchOf(templateOf([ie.sourceIPv4Address]), [
    [address('10.2.0.1')],
    [address('10.1.9.9')],
    [address('10.1.2.3')],
  ])
  const v6 = batchOf(templateOf([ie.sourceIPv6Address]), [
    [address('2001:db8::2')],
    [address('2001:db8::1')],
  ])
  const texts = ({rows}: Sorted): unknown[] => rows.map((row) => Object.values(row)[0])
  t.deepEqual(texts(await sort([v6, v4], 'srcip')), [
    '10.1.2.3',
    '10.1.9.9',
    '10.2.0.1',
    '2001:db8::1',
    '2001:db8::2',
  ])
  // Within a prefix records stay as they came.
  t.deepEqual(texts(await sort([v4], 'src4/16')), ['10.1.9.9', '10.1.2.3', '10.2.0.1'])
})

test('records that are the same in all fields stay once, in memory and from a store', async (t) => {
  const once = plain(flows)
  const distinct = new Set(once.map((row) => JSON.stringify(row, bigints))).size
  for (const maxOctets of [Infinity, 30_000]) {
    const {rows, account} = await sort([...flows, ...flows, ...flows], 'tstart', {
      drop: 'same',
      maxOctets,
    })
    t.is(rows.length, distinct)
    const texts = (list: readonly Plain[]): string =>
      [...new Set(list.map((row) => JSON.stringify(row, bigints)))].sort().join('\n')
    t.true(texts(rows) === texts(once))
    t.is(account.skipped.get('double'), account.in - distinct)
  }
})

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}

test('what is ignored makes no records different, wherever it stands and whether it is there', async (t) => {
  const a = templateOf([ie.octetDeltaCount, ie.exporterIPv4Address, [ie.userName, VARIABLE]])
  const b = templateOf([ie.exporterIPv4Address, ie.octetDeltaCount, [ie.userName, VARIABLE]])
  const c = templateOf([ie.octetDeltaCount, [ie.userName, VARIABLE]])
  const batches = [
    batchOf(a, [[5, address('192.0.2.1'), 'anna']]),
    batchOf(b, [[address('192.0.2.2'), 5, 'anna']]),
    batchOf(c, [[5, 'anna']]),
    batchOf(c, [[5, 'bert']]),
  ]
  const all = await sort(batches, 'tstart', {drop: 'same'})
  t.is(all.rows.length, 4)
  const {rows} = await sort(batches, 'tstart', {drop: 'same', ignored: [ie.exporterIPv4Address]})
  t.deepEqual(rows.map((row) => row.userName).sort(), ['anna', 'bert'])
})

test('of those that agree in the keys the first that came stays', async (t) => {
  const template = templateOf([ie.protocolIdentifier, ie.octetDeltaCount])
  const batch = batchOf(
    template,
    Array.from({length: 300}, (_, i) => [i % 7, i]),
  )
  for (const maxOctets of [Infinity, 400]) {
    const {rows} = await sort([batch], 'proto', {drop: 'key', maxOctets})
    t.deepEqual(
      rows.map((row) => row.octetDeltaCount),
      [0, 1, 2, 3, 4, 5, 6],
    )
  }
})

test('an order that is none is refused', (t: ExecutionContext) => {
  for (const [order, message] of [
    ['nothing', /no key 'nothing'/],
    ['tstart,', /has an empty key/],
    ['ip', /ip is of either side/],
    ['basicList', /is a list, which has no order/],
  ] as const) {
    t.throws(() => parseSortKeys(order), {instanceOf: DartaError, code: 'DARTA_USAGE', message})
  }
})
