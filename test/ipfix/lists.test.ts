import test from 'ava'
import {isDeepStrictEqual} from 'node:util'
import {VARIABLE, type InformationElement} from '../../src/record/element.js'
import {MAX_LIST_DEPTH} from '../../src/record/lists.js'
import {createRecordBuilder, encodeValue} from '../../src/record/record-writer.js'
import {createSubTemplates} from '../../src/record/sub-templates.js'
import {createTemplate} from '../../src/record/template.js'
import {createSessionElements, elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import fc from '../support/properties.js'
import {decode, encode, join, message, named, recordsOf} from './octets.js'
import type {RecordBatch} from '../../src/record/batch.js'
import type {
  BasicListValue,
  ListValue,
  RecordValue,
  SubTemplateListValue,
  SubTemplateMultiListValue,
  Value,
} from '../../src/record/value.js'

const context = {exportTime: 5, sequenceNumber: 0, observationDomainId: 9, offset: 0}

/** One record of one list, by way of a builder. */
function built(value: ListValue): RecordBatch {
  const subTemplates = createSubTemplates()
  const template = createTemplate(256, [{element: ie[value.kind], length: VARIABLE}])
  const builder = createRecordBuilder(template, {
    subTemplates,
    elements: createSessionElements(),
  })
  builder.add([value])
  return builder.take(context)!
}

/** Values without the Template IDs, which each session has its own of. */
function withoutIds(value: Value): unknown {
  if (typeof value !== 'object' || value instanceof Uint8Array) return value
  const {semantic} = value
  const fields = (record: RecordValue): unknown =>
    record.map(([element, inner]) => [element.name, withoutIds(inner)])
  switch (value.kind) {
    case 'basicList': {
      const {element, length} = value
      return [semantic, element.name, length, value.items.map(withoutIds)]
    }
    case 'subTemplateList':
      return [semantic, value.records.map(fields)]
    case 'subTemplateMultiList':
      return [semantic, value.groups.map(({records}) => records.map(fields))]
  }
}

function roundTrip(value: ListValue): Value {
  const {octets} = encode([built(value)])
  // Type records of our own elements come along.
  const [record, ...others] = recordsOf(
    decode(octets).batches.filter(({template}) => template.scopeCount === 0),
  )
  if (others.length > 0) throw new Error('not one record')
  return record[0][1]
}

test('a basicList is semantic, element, length, and its enterprise number where it has one', (t) => {
  const list = (element: InformationElement, length: number, items: Value[]): BasicListValue => ({
    kind: 'basicList',
    semantic: 3,
    element,
    length,
    items,
  })
  const octets = (value: ListValue): Uint8Array => encodeValue(ie.basicList, VARIABLE, value)
  t.deepEqual(
    octets(list(ie.egressInterface, 4, [1, 4, 8])),
    hex`03 000e 0004 00000001 00000004 00000008`,
  )
  t.deepEqual(octets(list(ie.egressInterface, 2, [1, 4])), hex`03 000e 0002 0001 0004`)
  t.deepEqual(
    octets(list(elementByName('reverseInterfaceName')!, VARIABLE, ['a', 'bc'])),
    hex`03 8052 ffff 00007279 01 61 02 6263`,
  )
  // An empty list keeps element and length. RFC 6313 section 4.5.1.
  t.deepEqual(octets(list(ie.sourceMacAddress, 6, [])), hex`03 0038 0006`)
  t.throws(() => octets(list(ie.egressInterface, 0, [1])), {code: 'DARTA_RANGE'})
  t.throws(() => octets(list(ie.egressInterface, 4, [1, -1])), {code: 'DARTA_RANGE'})
})

test('a list is read with its element and length when it is empty', (t) => {
  const {batches} = decode(
    message(
      join(
        hex`0002 000c 0100 0001 0123 ffff   # basicList`,
        hex`0100 0017 05 ff 0038 0006 09 00 8001 0003 0000f00f 02 0038   # undefined, noneOf, and one cut`,
      ),
    ),
  )
  const [first, second, third] = recordsOf(batches).map((record) => record[0][1])
  t.deepEqual(first, {
    kind: 'basicList',
    semantic: 255,
    element: ie.sourceMacAddress,
    length: 6,
    items: [],
  })
  const list = second as BasicListValue
  t.deepEqual([list.semantic, list.element.name, list.length, list.items], [0, '61455/1', 3, []])
  // What does not fit its octets stays octets.
  t.deepEqual(third, hex`0038`)
})

test('unknown semantics are kept', (t) => {
  for (const semantic of [0, 4, 5, 77, 254, 255]) {
    const value = roundTrip({
      kind: 'basicList',
      semantic,
      element: ie.egressInterface,
      length: 4,
      items: [7],
    })
    t.is((value as ListValue).semantic, semantic)
  }
})

test('records in a subTemplateList are read by the Template that was there when their Message came', (t) => {
  const {batches} = decode(
    join(
      message(hex`
        0002 0018
        0100 0002 0004 0001 0124 ffff      # protocolIdentifier, subTemplateList
        0200 0001 0008 0004                # 512: sourceIPv4Address
      `),
      message(hex`0100 0011 06 0b ff 0200 c0000201 c0000202`),
      message(hex`0002 0010 0200 0002 0007 0002 000b 0002`, {sequence: 1}),
      message(hex`0100 000d 06 07 ff 0200 0035 01bb`, {sequence: 1}),
    ),
  )
  const [before, after] = recordsOf(batches).map((r) => r[1][1] as SubTemplateListValue)
  t.deepEqual(
    before.records.map((r) => r.map(([, value]) => value)),
    [['192.0.2.1'], ['192.0.2.2']],
  )
  t.deepEqual(
    after.records.map((r) => r.map(([, value]) => value)),
    [[53, 443]],
  )
})

test('a withdrawn Template is not used inside lists: their octets are kept', (t) => {
  const {batches} = decode(
    join(
      message(hex`0002 0014 0100 0001 0124 ffff 0200 0001 0008 0004`),
      message(hex`0002 0008 0200 0000 0100 000c 07 ff 0200 c0000201`),
    ),
  )
  t.deepEqual(named(batches), [[['subTemplateList', hex`ff 0200 c0000201`]]])
})

test('items and records of no octets cannot be counted and stay octets', (t) => {
  const {batches} = decode(
    message(hex`
      0002 000c 0100 0001 0123 ffff
      0100 000b 06 ff 000a 0000 07
    `),
  )
  t.deepEqual(named(batches), [[['basicList', hex`ff 000a 0000 07`]]])
})

test('lists are read to a depth of eight and no deeper, however deep they are nested', (t) => {
  const nest = (depth: number): Uint8Array => {
    let octets = hex`ff 000e 0004 00000007`
    for (let i = 1; i < depth; i++) {
      octets = hex`ff 0123 ffff ff ${octets.length.toString(16).padStart(4, '0')} ${octets}`
    }
    return octets
  }
  const depthOf = (value: Value): number =>
    typeof value === 'object' && !(value instanceof Uint8Array) && value.kind === 'basicList'
      ? 1 + Math.max(0, ...value.items.map(depthOf))
      : 0
  for (const [depth, seen] of [
    [1, 1],
    [8, 8],
    [9, 8],
    [5000, 8],
  ]) {
    const list = nest(depth)
    const set = hex`0100 0000 ff ${list.length.toString(16).padStart(4, '0')} ${list}`
    new DataView(set.buffer).setUint16(2, set.length)
    const octets = message(join(hex`0002 000c 0100 0001 0123 ffff`, set))
    const {batches} = decode(octets)
    t.is(depthOf(recordsOf(batches)[0][0][1]), seen)
    // It passes through us whatever its depth.
    t.deepEqual(encode(batches).octets, octets)
  }
  t.is(MAX_LIST_DEPTH, 8)
})

test('lists deeper than eight, or with items of other kinds than they say, are not written', (t) => {
  let list: ListValue = {
    kind: 'basicList',
    semantic: 255,
    element: ie.egressInterface,
    length: 4,
    items: [7],
  }
  const wrap = (value: ListValue): ListValue => ({
    kind: 'basicList',
    semantic: 255,
    element: ie[value.kind],
    length: VARIABLE,
    items: [value],
  })
  for (let i = 1; i < 8; i++) list = wrap(list)
  t.deepEqual(withoutIds(roundTrip(list)), withoutIds(list))
  t.throws(() => built(wrap(list)), {code: 'DARTA_RANGE'})
  // And the next list is written again.
  t.deepEqual(withoutIds(roundTrip(list)), withoutIds(list))

  const subTemplateList = (records: RecordValue[]): ListValue => ({
    kind: 'subTemplateList',
    semantic: 255,
    templateId: 300,
    records,
  })
  t.throws(
    () => built(subTemplateList([[[ie.sourceTransportPort, 1]], [[ie.protocolIdentifier, 1]]])),
    {
      code: 'DARTA_VALUE',
    },
  )
  t.throws(() => built(subTemplateList([[]])), {code: 'DARTA_VALUE'})
  t.throws(() => built({...subTemplateList([]), semantic: 256}), {code: 'DARTA_RANGE'})
  t.throws(
    () =>
      encodeValue(ie.subTemplateList, VARIABLE, subTemplateList([[[ie.protocolIdentifier, 1]]])),
    {code: 'DARTA_VALUE'},
  )
})

test('lists that do not fit a field of 65,535 octets are not written', (t) => {
  const record: RecordValue = [[ie.interfaceName, 'a'.repeat(30000)]]
  const groups = (n: number): SubTemplateMultiListValue => ({
    kind: 'subTemplateMultiList',
    semantic: 255,
    groups: [{templateId: 300, records: new Array<RecordValue>(n).fill(record)}],
  })
  t.notThrows(() => built(groups(2)))
  t.throws(() => built(groups(3)), {code: 'DARTA_RANGE'})
  t.throws(() => built({...groups(2), groups: [...groups(1).groups, ...groups(2).groups]}), {
    code: 'DARTA_RANGE',
  })
})

test('Template IDs in lists become ours, and what they name goes ahead of them', (t) => {
  const {batches} = decode(
    join(
      message(hex`
        0002 0028
        0400 0001 0008 0004                  # 1024: sourceIPv4Address
        0401 0002 0004 0001 0124 ffff        # 1025: protocolIdentifier, subTemplateList
        0402 0001 0125 ffff                  # 1026: subTemplateMultiList
        0403 0001 0007 0002                  # 1027: sourceTransportPort
        0402 0027 22 ff
        0401 0011 06 0b ff 0400 c0000201 c0000202   # a record of 1025; the list in it names 1024
        0403 0008 0035 01bb
        0402 0004                            # no records
        03ff 0004                            # 1023 has not come
      `),
      message(hex`0002 000c 0404 0001 0001 0008 0404 000c 0000000000000007`, {sequence: 1}),
      message(hex`0002 000c 03ff 0001 0002 0008 03ff 000c 0000000000000008`, {sequence: 2}),
    ),
  )
  t.deepEqual(
    encode(batches).octets,
    message(hex`
      0002 0028
      0100 0001 0125 ffff
      0101 0002 0004 0001 0124 ffff
      0102 0001 0008 0004
      0103 0001 0007 0002
      0100 0027 22 ff
      0101 0011 06 0b ff 0102 c0000201 c0000202
      0103 0008 0035 01bb
      0100 0004
      0104 0004                              # kept free for it
      0002 000c 0105 0001 0001 0008
      0105 000c 0000000000000007
      0002 000c 0104 0001 0002 0008
      0104 000c 0000000000000008
    `),
  )
})

/** Any list, with lists inside it down to some depth. */
const {list: anyList} = fc.letrec<{list: ListValue; record: RecordValue}>((tie) => {
  const scalar: fc.Arbitrary<[InformationElement, number, Value]> = fc.oneof(
    fc.nat(65535).map((n) => [ie.sourceTransportPort, 2, n] as [InformationElement, number, Value]),
    fc.ipV4().map((a) => [ie.sourceIPv4Address, 4, a] as [InformationElement, number, Value]),
    fc
      .string({maxLength: 300})
      .map((s) => [ie.interfaceName, VARIABLE, s] as [InformationElement, number, Value]),
    fc
      .nat()
      .map(
        (n) =>
          [elementByName('reverseOctetDeltaCount')!, 8, n] as [InformationElement, number, Value],
      ),
    fc
      .nat(255)
      .map(
        (n) =>
          [elementByName('dartaTunnelDepth')!, 1, n % 9] as [InformationElement, number, Value],
      ),
  )
  const semantic = fc.nat(255)
  return {
    record: fc.array(
      fc.oneof(
        {depthSize: 'small', withCrossShrink: true},
        scalar.map(([element, , value]) => [element, value] as const),
        tie('list').map((value) => [ie[value.kind], value] as const),
      ),
      {minLength: 1, maxLength: 4},
    ),
    list: fc.oneof(
      {depthSize: 'small'},
      fc.tuple(semantic, scalar, fc.nat(5)).map(([s, [element, length, value], n]): ListValue => ({
        kind: 'basicList',
        semantic: s,
        element,
        length,
        items: new Array<Value>(n).fill(value),
      })),
      fc.tuple(semantic, fc.array(tie('list'), {maxLength: 3})).map(([s, items]): ListValue => ({
        kind: 'basicList',
        semantic: s,
        element: ie[items[0]?.kind ?? 'basicList'],
        length: VARIABLE,
        items: items.filter(({kind}) => kind === items[0].kind),
      })),
      fc.tuple(semantic, tie('record'), fc.nat(3)).map(([s, record, n]): ListValue => ({
        kind: 'subTemplateList',
        semantic: s,
        templateId: 999,
        records: new Array<RecordValue>(n).fill(record),
      })),
      fc
        .tuple(semantic, fc.array(fc.tuple(tie('record'), fc.nat(2)), {maxLength: 3}))
        .map(([s, groups]): ListValue => ({
          kind: 'subTemplateMultiList',
          semantic: s,
          groups: groups.map(([record, n]) => ({
            templateId: 999,
            records: new Array<RecordValue>(n).fill(record),
          })),
        })),
    ),
  }
})

function depthOf(value: Value): number {
  if (typeof value !== 'object' || value instanceof Uint8Array) return 0
  const records = (list: readonly RecordValue[]): number =>
    Math.max(0, ...list.flatMap((record) => record.map(([, inner]) => depthOf(inner))))
  switch (value.kind) {
    case 'basicList':
      return 1 + Math.max(0, ...value.items.map(depthOf))
    case 'subTemplateList':
      return 1 + records(value.records)
    case 'subTemplateMultiList':
      return 1 + Math.max(0, ...value.groups.map((group) => records(group.records)))
  }
}

test('any list, nested as it may be, is written, encoded, decoded and read as it was', (t) => {
  fc.assert(
    fc.property(
      anyList.filter((list) => depthOf(list) <= 8),
      (list) => isDeepStrictEqual(withoutIds(roundTrip(list)), withoutIds(list)),
    ),
    {numRuns: 800},
  )
  t.pass()
})

test('lists stay what they are when they pass through another session with other Template IDs', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        anyList.filter((list) => depthOf(list) <= 8),
        {minLength: 1, maxLength: 4},
      ),
      (lists) => {
        const first = decode(encode(lists.map(built)).octets)
        // The other session has one more Template ahead of them.
        const other = decode(
          encode([
            ...decode(message(hex`0002 000c 0100 0001 0001 0008 0100 000c 0000000000000007`))
              .batches,
            ...first.batches,
          ]).octets,
        )
        const values = recordsOf(other.batches)
          .map((record) => record[0][1])
          .filter((value) => typeof value === 'object')
        return isDeepStrictEqual(values.map(withoutIds), lists.map(withoutIds))
      },
    ),
    {numRuns: 300},
  )
  t.pass()
})
