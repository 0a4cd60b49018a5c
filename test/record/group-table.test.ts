import assert from 'node:assert/strict'
import type {ExecutionContext} from 'ava'
import type {RecordBatch} from '../../src/record/batch.js'
import {VARIABLE, type InformationElement} from '../../src/record/element.js'
import type {DartaError} from '../../src/record/errors.js'
import type {CreateGroups} from '../../src/record/group-kernel.js'
import {NO_VALUE, type GroupRow} from '../../src/record/group-row.js'
import {columnOrder} from '../../src/record/group-selection.js'
import type {GroupColumn, GroupSpec} from '../../src/record/group-spec.js'
import {createGroupTable, type GroupTable} from '../../src/record/group-table.js'
import {kernels} from '../../src/record/kernels.js'
import {createPlainGroups} from '../../src/record/plain-groups.js'
import {readRecord} from '../../src/record/readers.js'
import type {Value} from '../../src/record/value.js'
import {
  endColumn,
  flowsColumn,
  octetsColumn,
  packetsColumn,
  startColumn,
} from '../../src/registry/flow-columns.js'
import {flowKey, prefixKey, type FlowKey} from '../../src/registry/flow-keys.js'
import {ie, reverseOf} from '../../src/registry/lookup.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import fc from '../support/properties.js'
import {cook, someRecipe} from '../support/recipes.js'
import {address, batchOf, templateOf} from '../support/records.js'

const columns = [octetsColumn, packetsColumn, flowsColumn, startColumn, endColumn]

interface Kernel {
  name: string
  create: CreateGroups | undefined
}

const both: readonly Kernel[] = [
  {name: 'plain', create: createPlainGroups},
  {name: 'native', create: addon?.createGroups},
]

/** The same behaviour is asked of both kernels. */
function testBoth(title: string, run: (t: ExecutionContext) => void): void {
  for (const {name, create} of both) {
    // The slot is global; tests of one file run one after another as long as they do not wait.
    needing(name === 'native' ? native : undefined)(`${title} (${name})`, (t) => {
      withKernel(create!, () => run(t))
    })
  }
}

function withKernel<T>(create: CreateGroups, run: () => T): T {
  const before = kernels.groups
  kernels.groups = create
  try {
    return run()
  } finally {
    kernels.groups = before
  }
}

/** Rows of a table in words, sorted, so that tables can be compared. */
function wordsOf(table: GroupTable, spec: GroupSpec): string[] {
  const words: string[] = []
  table.eachRow((row) => words.push(rowWords(row, spec)))
  return words.sort()
}

function rowWords(row: GroupRow, spec: GroupSpec): string {
  const key = row.shape.fields.map((field, i) => {
    const octets = row.part(i)
    return octets === undefined
      ? 'none'
      : `${field.alternative}:${Buffer.from(octets).toString('hex')}`
  })
  return `${key.join(' ')} = ${spec.columns.map((_, c) => row.value(c)).join(' ')}`
}

// The evaluator that the table is held against: values, text and a Map, no octets, no programs.

interface Group {
  values: bigint[]
}

function groupsOf(
  spec: GroupSpec & {key: readonly FlowKey[]},
  batches: RecordBatch[],
): {rows: string[]; totals: bigint[]} {
  const groups = new Map<string, Group>()
  let totals = spec.columns.map(({kind}): bigint => (kind === 'min' ? NO_VALUE : 0n))
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++) {
      const record = new Map<string, Value>()
      for (const [element, value] of readRecord(batch, i)) {
        if (!record.has(element.name)) record.set(element.name, value)
      }
      for (const reverse of [false, true]) {
        if (reverse && !isBiflow(spec, record)) continue
        let first: string | undefined
        for (const far of spec.key.some((part) => part.either) ? [false, true] : [false]) {
          const key = keyOf(spec, record, reverse, far)
          if (key === undefined || key === first) continue
          if (spec.only !== undefined) {
            const {part, values} = spec.only
            if (!values.includes(record.get(spec.key[part].elements[0].name) as number)) continue
          }
          const values = spec.columns.map((column) => columnOf(column, record, reverse))
          if (reverse && !counted(spec, record)) continue
          if (first === undefined) {
            totals = totals.map((v, c) => combine(spec.columns[c], v, values[c]))
          }
          first ??= key
          const group = groups.get(key)
          if (group === undefined) groups.set(key, {values})
          else group.values = group.values.map((v, c) => combine(spec.columns[c], v, values[c]))
        }
      }
    }
  }
  const rows = [...groups].map(([key, {values}]) => `${key} = ${values.join(' ')}`).sort()
  return {rows, totals}
}

function keyOf(
  spec: GroupSpec,
  record: Map<string, Value>,
  reverse: boolean,
  far: boolean,
): string | undefined {
  const parts: string[] = []
  for (const part of spec.key) {
    const turned = reverse !== (far && part.either === true)
    const elements = turned ? (part.opposite ?? part.elements) : part.elements
    const there = elements
      .map((element, alternative) => ({element, alternative, value: record.get(element.name)}))
      .filter(({value}) => value !== undefined)
      .map(({element, alternative, value}) => {
        const twin = elements.findIndex((e) => e.type === element.type)
        const hex = hexOf(element, value!, part.bits?.[alternative])
        return {alternative: twin, hex, zero: /^0*$/.test(hexOf(element, value!))}
      })
    const found = there.find(({zero}) => !zero) ?? there[0]
    if (found === undefined) {
      if (part.optional !== true) return undefined
      parts.push('none')
    } else {
      parts.push(`${found.alternative}:${found.hex}`)
    }
  }
  const n = spec.symmetric ?? 0
  const left = parts.slice(0, n)
  const right = parts.slice(n, 2 * n)
  const pair = left.join() < right.join() ? [...left, ...right] : [...right, ...left]
  return [...pair, ...parts.slice(2 * n)].join(' ')
}

function hexOf(element: InformationElement, value: Value, bits?: number): string {
  if (typeof value === 'string' && element.type === 'string')
    return Buffer.from(value).toString('hex')
  if (typeof value === 'string') {
    const octets = element.type === 'macAddress' ? macOctets(value) : address(value)
    if (bits === undefined) return Buffer.from(octets).toString('hex')
    const binary = [...octets].map((o) => o.toString(2).padStart(8, '0')).join('')
    const kept = binary.slice(0, bits).padEnd(8 * Math.ceil(bits / 8), '0')
    return (kept.match(/.{8}/g) ?? [])
      .map((b) => parseInt(b, 2).toString(16).padStart(2, '0'))
      .join('')
  }
  const digits = {unsigned8: 2, unsigned16: 4, unsigned32: 8, unsigned64: 16}[
    element.type as string
  ]!
  return BigInt(value as number)
    .toString(16)
    .padStart(digits, '0')
}

function macOctets(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (s) => parseInt(s, 16))
}

function isBiflow(spec: GroupSpec, record: Map<string, Value>): boolean {
  return spec.columns.some((c) => c.kind === 'sum' && pairOf(c, record)?.twin !== undefined)
}

/** The first element of a column that the record has in any direction. */
function pairOf(column: GroupColumn, record: Map<string, Value>) {
  for (const [i, element] of column.elements.entries()) {
    const value = record.get(element.name)
    const twin = record.get(column.reverse[i]?.name ?? '')
    if (value !== undefined || twin !== undefined) {
      return {value, twin, type: element.type}
    }
  }
  return undefined
}

function columnOf(column: GroupColumn, record: Map<string, Value>, reverse: boolean): bigint {
  const pair = pairOf(column, record)
  const own = pair?.twin !== undefined || column.kind === 'sum' || column.present !== undefined
  const found = reverse && own ? pair?.twin : pair?.value
  if (found === undefined) {
    return column.kind === 'sum'
      ? BigInt(column.absent ?? 0)
      : column.kind === 'min'
        ? NO_VALUE
        : 0n
  }
  const value = BigInt(found as number | bigint) + BigInt(column.present ?? 0)
  if (pair!.type === 'dateTimeSeconds') return value * 1000n
  if (pair!.type === 'dateTimeMicroseconds') return value / 1000n
  if (pair!.type === 'dateTimeNanoseconds') return value / 1_000_000n
  return value
}

function counted(spec: GroupSpec, record: Map<string, Value>): boolean {
  return spec.columns.some(
    (c) => c.kind === 'sum' && BigInt((pairOf(c, record)?.twin as number) ?? 0) !== 0n,
  )
}

function combine(column: GroupColumn, a: bigint, b: bigint): bigint {
  if (column.kind === 'sum') return a + b
  if (column.kind === 'or') return a | b
  return (column.kind === 'min') === a < b ? a : b
}

const keys: Record<string, readonly FlowKey[]> = {
  none: [],
  srcip: [flowKey('srcip')],
  'dstip,dstport': [flowKey('dstip'), flowKey('dstport')],
  ip: [flowKey('ip')],
  'ip,proto': [flowKey('ip'), flowKey('proto')],
  'ip,port': [flowKey('ip'), flowKey('port')],
  port: [flowKey('port')],
  srcas: [flowKey('srcas')],
  srcmac: [flowKey('srcmac')],
  'mac,proto?': [flowKey('mac'), {...flowKey('proto'), optional: true}],
  name: [flowKey('interfaceName')],
  'name,srcip': [flowKey('interfaceName'), flowKey('srcip')],
  'src4/24': [flowKey('src4/24')],
  'ip4/13': [flowKey('ip4/13')],
  prefixes: [
    prefixKey('source', {v4: 16, v6: 47}, 'x'),
    prefixKey('destination', {v4: 0, v6: 128}, 'y'),
  ],
}
const pairs: Record<string, readonly FlowKey[]> = {
  'srcip,dstip': [flowKey('srcip'), flowKey('dstip')],
  '5-tuple': ['srcip', 'srcport', 'dstip', 'dstport', 'proto'].map(flowKey),
  'prefixes alike': [
    prefixKey('source', {v4: 12, v6: 47}, 'x'),
    prefixKey('destination', {v4: 12, v6: 47}, 'y'),
  ],
}

interface Specs {
  [name: string]: GroupSpec & {key: readonly FlowKey[]}
}
const specs: Specs = {}
for (const [name, key] of Object.entries({...keys, ...pairs})) specs[name] = {key, columns}
for (const [name, key] of Object.entries(pairs)) {
  specs[`${name} symmetric`] = {key, columns, symmetric: key.length >> 1}
}
const flags = {elements: [ie.tcpControlBits], reverse: [reverseOf(ie.tcpControlBits)]}
specs['srcip, flags'] = {
  key: keys.srcip,
  columns: [...columns, {kind: 'or', ...flags}, {kind: 'or', present: 0x10000, ...flags}],
}
specs['srcip,proto of UDP'] = {
  key: [flowKey('srcip'), flowKey('proto')],
  columns,
  only: {part: 1, values: [1, 17]},
}
const someSpec = fc.constantFrom(...Object.keys(specs))
const someRecipes = fc.array(someRecipe, {maxLength: 8})

testBoth('groups are those of an evaluator that only knows values and a Map', (t) => {
  fc.assert(
    fc.property(someSpec, someRecipes, (name, recipes) => {
      const spec = specs[name]
      const batches = recipes.map(cook)
      const table = createGroupTable(spec)
      table.add(batches)
      const expected = groupsOf(spec, batches)
      assert.deepEqual(wordsOf(table, spec), expected.rows)
      assert.deepEqual(table.select([]).totals, expected.totals)
      table.close()
    }),
    {numRuns: 1500},
  )
  t.pass()
})

testBoth('what is split over tables and merged is what one table has of the whole', (t) => {
  const split = fc.array(fc.tuple(someRecipe, fc.nat(2)), {maxLength: 10})
  fc.assert(
    fc.property(someSpec, split, fc.boolean(), (name, parts, backwards) => {
      const spec = specs[name]
      const whole = createGroupTable(spec)
      const tables = [0, 1, 2].map(() => createGroupTable(spec))
      for (const [recipe, owner] of parts) {
        const batch = cook(recipe)
        whole.add([batch])
        tables[owner].add([batch])
      }
      const merged = createGroupTable(spec)
      const snapshots = tables.map((table) => table.snapshot())
      for (const snapshot of backwards ? snapshots.reverse() : snapshots) merged.merge(snapshot)
      assert.deepEqual(wordsOf(merged, spec), wordsOf(whole, spec))
      assert.deepEqual(merged.select([]), whole.select([]))
    }),
    {numRuns: 300},
  )
  t.pass()
})

testBoth('a table restored from a snapshot gives the same snapshot', (t) => {
  fc.assert(
    fc.property(someSpec, someRecipes, (name, recipes) => {
      const table = createGroupTable(specs[name])
      table.add(recipes.map(cook))
      const restored = createGroupTable(specs[name])
      restored.merge(table.snapshot())
      assert.deepEqual(restored.snapshot(), table.snapshot())
    }),
    {numRuns: 200},
  )
  t.pass()
})

testBoth('a selection has the rows that sorting all of them puts first', (t) => {
  fc.assert(
    fc.property(
      someSpec,
      someRecipes,
      fc.nat(2),
      fc.boolean(),
      fc.nat(5),
      (name, recipes, column, ascending, count) => {
        const spec = specs[name]
        const table = createGroupTable(spec)
        table.add(recipes.map(cook))
        const order = columnOrder(column, ascending)
        const all = wordsOf(table, spec)
        const [some] = table.select([{order, count}]).rows
        const [sorted] = table.select([{order, count: 0}]).rows
        assert.deepEqual(sorted.map((row) => rowWords(row, spec)).sort(), all)
        for (const [i, row] of sorted.entries()) {
          if (i === 0) continue
          const [a, b] = [sorted[i - 1].value(column), row.value(column)]
          assert.ok(ascending ? a <= b : a >= b)
        }
        const expected = count === 0 ? sorted : sorted.slice(0, count)
        assert.deepEqual(
          some.map((row) => rowWords(row, spec)),
          expected.map((row) => rowWords(row, spec)),
        )
      },
    ),
    {numRuns: 400},
  )
  t.pass()
})

testBoth('rows that tie stand in the order of their keys, IPv4 before IPv6', (t) => {
  const table = createGroupTable(specs.srcip)
  const v6 = batchOf(templateOf([ie.sourceIPv6Address]), [
    [address('2001:db8::2')],
    [address('2001:db8::1')],
  ])
  const v4 = batchOf(templateOf([ie.sourceIPv4Address]), [
    [address('192.0.2.9')],
    [address('10.0.0.1')],
  ])
  table.add([v6, v4])
  const [rows] = table.select([{order: columnOrder(2), count: 3}]).rows
  t.deepEqual(
    rows.map((row) => Buffer.from(row.part(0)!).toString('hex')),
    ['0a000001', 'c0000209', '20010db8000000000000000000000001'],
  )
})

testBoth('counters beyond 2^53 are summed and ordered to the last unit', (t) => {
  const table = createGroupTable(specs.srcas)
  const template = templateOf([ie.bgpSourceAsNumber, ie.octetDeltaCount])
  const large = 2n ** 60n
  const records = [
    [1, large],
    [2, large + 1n],
    [1, 1n],
    [3, large - 1n],
    [1, 1n],
  ]
  table.add([batchOf(template, records)])
  const {rows, totals} = table.select([{order: columnOrder(0), count: 2}])
  t.deepEqual(
    rows[0].map((row) => [row.part(0)![3], row.value(0)]),
    [
      [1, large + 2n],
      [2, large + 1n],
    ],
  )
  t.is(totals[0], 3n * large + 2n)
})

testBoth('a sum that would be beyond 2^64 − 1 stays there and is told', (t) => {
  const template = templateOf([ie.protocolIdentifier, ie.octetDeltaCount])
  const large = batchOf(template, [[6, 2n ** 64n - 1n]])
  const small = batchOf(template, [[6, 5]])
  for (const spec of [specs.none, {key: [flowKey('proto')], columns}]) {
    const table = createGroupTable(spec)
    table.add([large, batchOf(template, [[6, 0]])])
    t.is(table.limited(), 0)
    table.add([small, large, small])
    t.is(table.limited(), 3)
    t.is(table.select([]).totals[0], 2n ** 64n - 1n)
    t.is(table.select([]).totals[2], 5n)
    const merged = createGroupTable(spec)
    merged.merge(table.snapshot())
    merged.merge(table.snapshot())
    t.is(merged.select([]).totals[0], 2n ** 64n - 1n)
    t.is(merged.limited(), 1)
  }
})

testBoth('totals of groups that are together beyond 2^64 − 1 stay there too', (t) => {
  const spec = {key: [flowKey('proto')], columns}
  const table = createGroupTable(spec)
  const template = templateOf([ie.protocolIdentifier, ie.octetDeltaCount])
  table.add([
    batchOf(template, [
      [6, 2n ** 63n],
      [17, 2n ** 63n],
    ]),
  ])
  const {totals, rows} = table.select([{order: columnOrder(0), count: 1}])
  t.is(totals[0], 2n ** 64n - 1n)
  t.is(table.limited(), 1)
  const reduced = createGroupTable(spec)
  reduced.merge(table.snapshot(rows[0]))
  t.is(reduced.select([]).groups, 2)
  t.deepEqual(reduced.select([]).totals, totals)
})

/** 100 000 sources in random order, some twice, with every 16-bit piece of the address in use. */
function manySources(count: number): RecordBatch {
  const template = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount])
  const records = Array.from({length: count}, (_, i) => {
    const scattered = Math.imul(i % Math.ceil(count * 0.7), 2654435761) >>> 0
    return [scattered, i]
  })
  return batchOf(template, records)
}

testBoth('a table that grew many times has every group once', (t) => {
  const batch = manySources(100_000)
  const expected = new Map<number, bigint>()
  for (let i = 0; i < batch.count; i++) {
    const source = batch.view.getUint32(12 * i)
    expected.set(source, (expected.get(source) ?? 0n) + batch.view.getBigUint64(12 * i + 4))
  }
  const table = createGroupTable(specs.srcip)
  table.add([batch])
  const found = new Map<number, bigint>()
  table.eachRow((row) => found.set(Buffer.from(row.part(0)!).readUInt32BE(), row.value(0)))
  t.deepEqual(found, expected)
  t.is(table.select([]).groups, expected.size)
})

testBoth('a full table fails with the name of the flag that bounds it', (t) => {
  const table = createGroupTable(specs.srcip, {maxOctets: 100_000})
  const error = t.throws<DartaError>(() => table.add([manySources(10_000)]))
  t.is(error.code, 'DARTA_MEMORY_LIMIT')
  t.regex(error.message, /--max-memory/)
})

testBoth('a full table that drops counts what it dropped, and its totals stay exact', (t) => {
  const table = createGroupTable(specs.srcip, {maxOctets: 100_000, onFull: 'drop'})
  const batch = manySources(10_000)
  t.is(table.add([batch]), 10_000)
  t.true(table.memoryOctets() <= 100_000)
  const {totals, groups} = table.select([])
  let rows = 0n
  table.eachRow((row) => (rows += row.value(2)))
  t.true(groups > 500)
  t.is(rows + BigInt(table.refused()), 10_000n)
  t.is(totals[0], BigInt((10_000 * 9_999) / 2))
  const other = createGroupTable(specs.srcip)
  other.merge(table.snapshot())
  t.deepEqual(other.select([]), table.select([]))
  t.is(other.refused(), table.refused())
})

needing(native)('both kernels refuse the same records at the same limit', (t) => {
  const results = [createPlainGroups, addon!.createGroups].map((create) =>
    withKernel(create, () => {
      const table = createGroupTable(specs.srcip, {maxOctets: 300_000, onFull: 'drop'})
      table.add([manySources(10_000)])
      return [table.refused(), table.memoryOctets(), ...wordsOf(table, specs.srcip)]
    }),
  )
  t.deepEqual(results[0], results[1])
})

testBoth('a snapshot of chosen rows leaves the others as their number and sums', (t) => {
  const table = createGroupTable(specs.srcip)
  table.add([manySources(1000)])
  const before = table.select([{order: columnOrder(0), count: 5}])
  const reduced = createGroupTable(specs.srcip)
  reduced.merge(table.snapshot(before.rows[0]))
  t.is(wordsOf(reduced, specs.srcip).length, 5)
  const after = reduced.select([{order: columnOrder(0), count: 5}])
  t.is(after.groups, before.groups)
  t.deepEqual(after.totals, before.totals)
  const words = (rows: readonly GroupRow[]) => rows.map((row) => rowWords(row, specs.srcip))
  t.deepEqual(words(after.rows[0]), words(before.rows[0]))
})

testBoth('a snapshot of other groups, cut anywhere or with octets added is refused', (t) => {
  const table = createGroupTable(specs['name,srcip'])
  const template = templateOf([[ie.interfaceName, VARIABLE], ie.sourceIPv4Address])
  table.add([batchOf(template, [['eth0', 1]])])
  const snapshot = table.snapshot()
  const refuses = (octets: Uint8Array, spec: GroupSpec) => {
    const error = t.throws<DartaError>(() => createGroupTable(spec).merge(octets))
    t.is(error.code, 'DARTA_VALUE')
  }
  refuses(snapshot, specs.name)
  refuses(snapshot, {...specs['name,srcip'], columns: columns.slice(1)})
  for (let cut = 0; cut < snapshot.length; cut++)
    refuses(snapshot.slice(0, cut), specs['name,srcip'])
  refuses(Uint8Array.from([...snapshot, 0]), specs['name,srcip'])
})

testBoth(
  'times that hang on the Message or on the boot time become milliseconds since 1970',
  (t) => {
    const table = createGroupTable(specs.none)
    const delta = templateOf([ie.flowStartDeltaMicroseconds, ie.flowEndDeltaMicroseconds])
    table.add([batchOf(delta, [[5_000_001, 1]], {exportTime: 1_700_000_000})])
    const uptime = templateOf([
      ie.flowStartSysUpTime,
      ie.flowEndSysUpTime,
      ie.systemInitTimeMilliseconds,
    ])
    table.add([batchOf(uptime, [[50_000, 70_000, 1_699_999_950_123n]])])
    const {totals} = table.select([])
    t.deepEqual(totals.slice(3), [1_699_999_994_999n, 1_700_000_020_123n])
  },
)

testBoth('a key may be what the Message says', (t) => {
  const spec = {key: [flowKey('odid'), flowKey('exporter')], columns}
  const table = createGroupTable(spec)
  const template = templateOf([ie.octetDeltaCount])
  const from = (exporter: string, observationDomainId: number) =>
    batchOf(template, [[10], [20]], {exporter, observationDomainId})
  t.is(
    table.add([from('192.0.2.1:4739', 7), from('[2001:db8::1]:4739', 7), from('192.0.2.1:99', 7)]),
    6,
  )
  t.is(table.add([from('some-file.ipfix', 7)]), 0)
  t.deepEqual(
    wordsOf(table, spec).map((words) => words.split(' ').slice(0, 4).join(' ')),
    ['0:00000007 0:c0000201 = 60', '0:00000007 1:20010db8000000000000000000000001 = 30'],
  )
})

testBoth('reduced-size signed numbers and floats meet their full-size twins', (t) => {
  const signed = ie.mibObjectValueInteger
  const spec = {key: [flowKey(signed.name)], columns}
  const table = createGroupTable(spec)
  table.add([batchOf(templateOf([[signed, 1]]), [[0xfe], [5]])])
  table.add([batchOf(templateOf([[signed, 4]]), [[0xfffffffe], [5]])])
  t.deepEqual(
    wordsOf(table, spec).map((w) => w.split(' = ')[0]),
    ['0:00000005', '0:fffffffe'],
  )
  const float = ie.dartaOctetShare
  const floats = {key: [flowKey(float.name)], columns}
  const ofFloats = createGroupTable(floats)
  ofFloats.add([batchOf(templateOf([[float, 4]]), [[0x3f000000]])])
  ofFloats.add([batchOf(templateOf([float]), [[0x3fe0000000000000n]])])
  t.is(ofFloats.select([]).groups, 1)
})

testBoth('of a ranked pair of ports the better known one is the key, in both directions', (t) => {
  const ranks = new Uint8Array(65536).fill(2)
  ranks[443] = 0
  ranks[53] = 1
  const part = {...flowKey('srcport'), ranks}
  const spec = {key: [part], columns}
  const table = createGroupTable(spec)
  const template = templateOf([
    ie.sourceTransportPort,
    ie.destinationTransportPort,
    ie.octetDeltaCount,
  ])
  table.add([
    batchOf(template, [
      [443, 40000, 1],
      [40000, 443, 2],
      [53, 443, 4],
      [53, 60000, 8],
      [60000, 50000, 16],
    ]),
  ])
  t.deepEqual(
    wordsOf(table, spec).map((words) => words.split(' ').slice(0, 3).join(' ')),
    ['0:0035 = 8', '0:01bb = 7', '0:c350 = 16'],
  )
})

needing(native)(
  'the native kernel refuses programs and spans that do not fit, and calls after close',
  (t) => {
    const kernel = addon!.createGroups(Uint8Array.of(0), 0, 1)
    const shape = kernel.shape(8)
    const fits = [8, shape, 0, 0, 1, 0, 0, 4, 0, 255, -1, 8, 4, 1, 0]
    const program = kernel.program(Int32Array.from(fits))
    for (const [i, wrong] of [
      [0, 0],
      [0, 7],
      [1, 9],
      [3, 5],
      [4, 2],
      [6, -1],
      [6, 5],
      [7, 9],
      [8, 5],
      [10, 1],
      [11, 3],
      [11, 9],
      [12, 9],
      [13, 0],
    ]) {
      const code = Int32Array.from(fits)
      code[i] = wrong
      t.throws(() => kernel.program(code), {instanceOf: TypeError}, `word ${i} = ${wrong}`)
    }
    const octets = new Uint8Array(24)
    for (const span of [
      [0, 4, program],
      [1, 3, program],
      [-8, 1, program],
      [0, -1, program],
      [0, 1, program + 1],
      [2147483640, 1, program],
    ]) {
      t.throws(
        () => kernel.add(octets, Int32Array.from(span), 1),
        {instanceOf: RangeError},
        span.join(),
      )
    }
    t.throws(() => kernel.add(octets, new Int32Array(3), 2), {instanceOf: RangeError})
    t.throws(() => kernel.count(5), {instanceOf: TypeError})
    t.throws(() => kernel.addRows(shape, octets, 2), {instanceOf: RangeError})
    kernel.add(octets, Int32Array.of(0, 3, program), 1)
    t.is(kernel.count(shape), 1)
    kernel.close()
    t.throws(() => kernel.count(shape), {instanceOf: TypeError})
  },
)
