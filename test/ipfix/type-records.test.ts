import test from 'ava'
import {abstractTypes} from '../../src/record/element.js'
import {createRecordBuilder} from '../../src/record/record-writer.js'
import {createTemplate} from '../../src/record/template.js'
import {typeRecordValues, typeTemplate} from '../../src/ipfix/type-records.js'
import {hex} from '../hex.js'
import {decode, encode, join, message, named, type Decoded} from './octets.js'
import type {InformationElement} from '../../src/record/element.js'
import type {Value} from '../../src/record/value.js'

const described: InformationElement = {
  name: 'vendorThing',
  enterpriseNumber: 61455,
  elementId: 5,
  type: 'unsigned32',
  semantics: 'deltaCounter',
  units: 'packets',
  status: 'current',
  description: 'Things seen',
  range: [0, 100],
}

/** A Message with a type record, whose sequence number is 0. */
function typeRecord(
  change: Partial<InformationElement> & {values?: (values: Value[]) => Value[]} = {},
): Uint8Array {
  const {values = (same) => same, ...element} = change
  const builder = createRecordBuilder({...typeTemplate, id: 300})
  builder.add(values(typeRecordValues({...described, ...element})))
  const batch = builder.take({
    exportTime: 1_700_000_000,
    sequenceNumber: 0,
    observationDomainId: 1,
    offset: 0,
  })!
  return encode([batch]).octets
}

/** A Message that uses the element, and takes ID 1024 for it. */
const use = message(hex`0002 0010 0400 0001 8005 0004 0000f00f 0400 0008 00000007`, {sequence: 1})

function read(...messages: Uint8Array[]): {name: string; value: unknown} & Decoded {
  const decoded = decode(join(...messages))
  const data = decoded.batches.filter(({template}) => template.scopeCount === 0)
  const [[name, value]] = named(data)[0]
  return {...decoded, name, value}
}

test('an element that a type record describes is read by its name and type', (t) => {
  const {name, value, batches} = read(typeRecord(), use)
  t.deepEqual([name, value], ['vendorThing', 7])
  t.deepEqual(batches.at(-1)!.template.fields[0].element, described)
})

test('without a type record the element has its number and its octets', (t) => {
  const {name, value} = read(use)
  t.deepEqual([name, value], ['61455/5', hex`00000007`])
})

test('a type record that comes after the Template counts from then on', (t) => {
  const more = message(hex`0400 0008 00000008`, {sequence: 2})
  const {batches} = read(use, typeRecord(), more)
  t.deepEqual(
    named(batches)
      .filter((record) => record.length === 1)
      .flat(),
    [
      ['61455/5', hex`00000007`],
      ['vendorThing', 8],
    ],
  )
})

test('type records are valid in their own session only', (t) => {
  read(typeRecord(), use)
  t.is(read(use).name, '61455/5')
})

for (const [what, change] of [
  ['a NUL in its name', {name: 'vendor\0Thing'}],
  ['a NUL in its description', {description: 'Things\0seen'}],
  ['no name', {name: ''}],
  ['a line feed in its name', {name: 'vendor\nThing'}],
  ['the name of another element', {name: 'octetDeltaCount'}],
  ['the name of a reverse element', {name: 'reverseOctetDeltaCount'}],
  ['a number for a name', {name: '61455/5'}],
  ['a type that is not assigned', {values: (v: Value[]) => v.with(2, abstractTypes.length)}],
  ['enterprise number 0', {values: (v: Value[]) => v.with(0, 0)}],
  ['element number 0', {values: (v: Value[]) => v.with(1, 0)}],
] as const) {
  test(`a type record with ${what} is ignored`, (t) => {
    const {name, records} = read(typeRecord(change), use)
    t.is(name, '61455/5')
    t.is(records.noted.get('type-record-ignored'), 1)
    t.is(records.out, 2)
  })
}

test('a type record never changes an element that is known', (t) => {
  const ours = typeRecord({enterpriseNumber: 32473, elementId: 1, name: 'dartaTunnelDepth'})
  const {records, batches} = decode(
    join(ours, message(hex`0002 0010 0400 0001 8001 0001 00007ed9 0400 0005 03`, {sequence: 1})),
  )
  t.is(records.noted.get('type-record-ignored'), 1)
  t.is(batches.at(-1)!.template.fields[0].element.type, 'unsigned8')
  // Nor one that another type record described.
  const again = read(typeRecord(), typeRecord({type: 'string'}), use)
  t.is(again.name, 'vendorThing')
  t.is(again.value, 7)
  t.is(again.records.noted.get('type-record-ignored'), 1)
})

test('the enterprise bit in informationElementId is not part of the number', (t) => {
  const {name} = read(typeRecord({values: (v) => v.with(1, 0x8005)}), use)
  t.is(name, 'vendorThing')
})

test('options whose scope is not enterprise and element number are no type records', (t) => {
  const {fields} = typeTemplate
  const template = createTemplate(
    300,
    fields.map(({element, length}) => ({element, length})),
    1,
  )
  const builder = createRecordBuilder(template)
  builder.add(typeRecordValues(described))
  const {octets} = encode([
    builder.take({
      exportTime: 1_700_000_000,
      sequenceNumber: 0,
      observationDomainId: 1,
      offset: 0,
    })!,
  ])
  t.is(read(octets, use).name, '61455/5')
})

test('what was learned is passed on: the next reader knows the element too', (t) => {
  const learned = decode(join(typeRecord(), use)).batches
  const {batches} = decode(encode(learned).octets)
  t.deepEqual(named(batches).at(-1), [['vendorThing', 7]])
  // Also where the type record itself was filtered out on the way.
  const data = learned.filter(({template}) => template.scopeCount === 0)
  t.deepEqual(named(decode(encode(data).octets).batches).at(-1), [['vendorThing', 7]])
})

test('a type record in a Message that is malformed is not learned', (t) => {
  const broken = join(typeRecord().subarray(16), hex`0002 000c 0401 0001 0052 ffff 0401 0006 05 61`)
  const {name, messages} = read(use, message(broken, {sequence: 1}), use)
  t.is(name, '61455/5')
  t.deepEqual([...messages.lost], [['malformed-message', 1]])
  const {batches} = decode(
    join(use, message(broken, {sequence: 2}), message(use.subarray(16), {sequence: 2})),
  )
  t.deepEqual(named(batches).flat(), [
    ['61455/5', hex`00000007`],
    ['61455/5', hex`00000007`],
  ])
})
