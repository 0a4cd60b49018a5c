import test from 'ava'
import {
  abstractTypes,
  fullLength,
  VARIABLE,
  type AbstractType,
  type InformationElement,
} from '../../src/record/element.js'
import {readRecord, readValue} from '../../src/record/readers.js'
import {createRecordBuilder, encodeValue} from '../../src/record/record-writer.js'
import {createTemplate} from '../../src/record/template.js'
import {hexText, type Value} from '../../src/record/value.js'
import {elementByName, ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import fc from '../support/properties.js'

/** An element of this type and no other rule. */
function of(type: AbstractType, range?: [number, number]): InformationElement {
  return {
    name: `some${type}`,
    enterpriseNumber: 32473,
    elementId: 1000 + abstractTypes.indexOf(type),
    type,
    semantics: 'default',
    units: '',
    status: 'current',
    description: '',
    range,
  }
}

function read(element: InformationElement, octets: Uint8Array): Value {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  return readValue(element, {octets, view}, 0, octets.length)
}

const written: [type: AbstractType, length: number, value: Value, octets: string][] = [
  ['unsigned8', 1, 255, 'ff'],
  ['unsigned16', 2, 443, '01bb'],
  ['unsigned16', 1, 200, 'c8'],
  ['unsigned32', 4, 4294967295, 'ffffffff'],
  ['unsigned32', 3, 0x010203, '010203'],
  ['unsigned64', 8, 2 ** 53 - 1, '001fffffffffffff'],
  ['unsigned64', 8, 2n ** 64n - 1n, 'ffffffffffffffff'],
  ['unsigned64', 5, 0x0102030405, '0102030405'],
  ['unsigned64', 7, 2n ** 56n - 1n, 'ffffffffffffff'],
  ['unsigned64', VARIABLE, 7, '0000000000000007'],
  ['unsigned256', 32, 2n ** 200n, `${'00'.repeat(6)}01${'00'.repeat(25)}`],
  ['signed8', 1, -1, 'ff'],
  ['signed16', 2, -2, 'fffe'],
  ['signed32', 3, -8388608, '800000'],
  ['signed32', 4, -2147483648, '80000000'],
  ['signed64', 8, -1, 'ffffffffffffffff'],
  ['signed64', 8, -(2n ** 63n), '8000000000000000'],
  ['signed64', 6, -3, 'fffffffffffd'],
  ['float32', 4, 1.5, '3fc00000'],
  ['float64', 8, -2.25, 'c002000000000000'],
  ['float64', 4, 0.5, '3f000000'],
  ['float64', 8, Infinity, '7ff0000000000000'],
  ['boolean', 1, true, '01'],
  ['boolean', 1, false, '02'],
  ['macAddress', 6, '02:00:5e:10:00:FF', '02005e1000ff'],
  ['string', VARIABLE, 'grüße', '6772c3bcc39f65'],
  ['string', VARIABLE, '', ''],
  ['string', 6, 'eth0', '657468300000'],
  ['ipv4Address', 4, '192.0.2.255', 'c00002ff'],
  ['ipv6Address', 16, '2001:db8::1', '20010db8000000000000000000000001'],
  ['ipv6Address', 16, '::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['octetArray', VARIABLE, hex`0102`, '0102'],
  ['octetArray', 2, hex`0102`, '0102'],
  ['dateTimeSeconds', 4, 1700000000, '6553f100'],
  ['dateTimeMilliseconds', 8, 1700000000123, '0000018bcfe5687b'],
  ['dateTimeMicroseconds', 8, 0n, '83aa7e8000000000'],
  ['dateTimeNanoseconds', 8, 1n, '83aa7e8000000005'],
  // Octets that another reader could not take apart go as they are.
  ['unsigned32', 4, hex`01020304`, '01020304'],
  ['ipv4Address', 5, hex`c000020100`, 'c000020100'],
]
for (const [type, length, value, octets] of written) {
  const text = value instanceof Uint8Array ? hexText(value) : `${value as number}`
  const size = length === VARIABLE ? 'variable length' : `${length} octets`
  test(`${type} ${JSON.stringify(text)} in ${size} is ${octets || 'nothing'}`, (t) => {
    t.is(hexText(encodeValue(of(type), length, value)), octets)
  })
}

const refused: [type: AbstractType, length: number, value: Value, code: string][] = [
  ['unsigned8', 1, 256, 'DARTA_RANGE'],
  ['unsigned8', 1, -1, 'DARTA_RANGE'],
  ['unsigned16', 1, 256, 'DARTA_RANGE'],
  ['unsigned8', 2, 256, 'DARTA_RANGE'],
  ['unsigned64', 8, 2 ** 53, 'DARTA_RANGE'],
  ['unsigned64', 8, 2n ** 64n, 'DARTA_RANGE'],
  ['unsigned64', 8, -1n, 'DARTA_RANGE'],
  ['unsigned32', 4, 1.5, 'DARTA_VALUE'],
  ['unsigned32', 4, NaN, 'DARTA_VALUE'],
  ['unsigned32', 4, '7', 'DARTA_VALUE'],
  ['unsigned32', 4, true, 'DARTA_VALUE'],
  ['signed8', 1, 128, 'DARTA_RANGE'],
  ['signed32', 3, -8388609, 'DARTA_RANGE'],
  ['signed64', 8, 2n ** 63n, 'DARTA_RANGE'],
  ['float32', 4, 1e39, 'DARTA_RANGE'],
  ['float32', 8, 1, 'DARTA_RANGE'],
  ['float64', 2, 1, 'DARTA_RANGE'],
  ['float64', 8, '1', 'DARTA_VALUE'],
  ['boolean', 1, 1, 'DARTA_VALUE'],
  ['boolean', 2, true, 'DARTA_RANGE'],
  ['macAddress', 6, '02:00:5e:10:00', 'DARTA_VALUE'],
  ['macAddress', 8, '02:00:5e:10:00:01', 'DARTA_RANGE'],
  ['ipv4Address', 4, '192.0.2', 'DARTA_VALUE'],
  ['ipv4Address', 4, '2001:db8::', 'DARTA_VALUE'],
  ['ipv4Address', 3, '192.0.2.1', 'DARTA_RANGE'],
  ['ipv4Address', 4, 3221225985, 'DARTA_VALUE'],
  ['ipv6Address', 16, '192.0.2.1', 'DARTA_VALUE'],
  ['string', VARIABLE, '\ud800', 'DARTA_VALUE'],
  ['string', VARIABLE, hex`c328`, 'DARTA_VALUE'],
  ['string', VARIABLE, 7, 'DARTA_VALUE'],
  ['string', 3, 'eth0', 'DARTA_RANGE'],
  ['string', VARIABLE, 'a'.repeat(65536), 'DARTA_RANGE'],
  ['octetArray', 2, hex`010203`, 'DARTA_RANGE'],
  ['octetArray', VARIABLE, 'aa', 'DARTA_VALUE'],
  ['octetArray', VARIABLE, new Uint8Array(65536), 'DARTA_RANGE'],
  ['unsigned32', 4, hex`0102`, 'DARTA_RANGE'],
  ['dateTimeSeconds', 4, 2 ** 32, 'DARTA_RANGE'],
  ['dateTimeSeconds', 8, 0, 'DARTA_RANGE'],
  ['dateTimeMilliseconds', 8, -1, 'DARTA_RANGE'],
  ['dateTimeMicroseconds', 8, -1n, 'DARTA_RANGE'],
  ['dateTimeNanoseconds', 8, 2n ** 32n * 1000000000n, 'DARTA_RANGE'],
  ['dateTimeNanoseconds', 8, '2024-01-01', 'DARTA_VALUE'],
  ['basicList', VARIABLE, 7, 'DARTA_VALUE'],
  [
    'basicList',
    VARIABLE,
    {kind: 'subTemplateList', semantic: 0, templateId: 256, records: []},
    'DARTA_VALUE',
  ],
]
for (const [i, [type, length, value, code]] of refused.entries()) {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 20)) : typeof value
  test(`refuses ${shown} as ${type} in ${length} octets, case ${i + 1}`, (t) => {
    const error = t.throws(() => encodeValue(of(type), length, value))
    t.is((error as Error & {code: string}).code, code)
    t.regex(error.message, new RegExp(`some${type}`))
  })
}

test('values outside the range that the registry states are not written', (t) => {
  const ranged = of('unsigned8', [0, 32])
  t.is(hexText(encodeValue(ranged, 1, 32)), '20')
  t.throws(() => encodeValue(ranged, 1, 33), {code: 'DARTA_RANGE'})
  t.throws(() => encodeValue(ie.sourceIPv4PrefixLength, 1, 33), {code: 'DARTA_RANGE'})
})

test('the upper four bits of tcpControlBits are sent as 0, in both directions', (t) => {
  t.is(hexText(encodeValue(ie.tcpControlBits, 2, 0xf1ff)), '01ff')
  t.is(hexText(encodeValue(ie.tcpControlBits, 1, 0x12)), '12')
  t.is(hexText(encodeValue(elementByName('reverseTcpControlBits')!, 2, 0xf002)), '0002')
})

for (const [size, head] of [
  [0, '00'],
  [254, 'fe'],
  [255, 'ff00ff'],
  [65535, 'ffffff'],
] as const) {
  test(`a variable-length field of ${size} octets begins with ${head}`, (t) => {
    const template = createTemplate(256, [{element: ie.interfaceName, length: VARIABLE}])
    const builder = createRecordBuilder(template)
    builder.add(['a'.repeat(size)])
    const {octets} = builder.take(context)!
    t.is(hexText(octets.subarray(0, head.length / 2)), head)
    t.is(octets.length, size + head.length / 2)
  })
}

const integer = (type: AbstractType, length: number): fc.Arbitrary<number | bigint> => {
  const bits = BigInt(8 * length)
  const signed = type.startsWith('signed')
  return fc
    .bigInt(signed ? -(1n << (bits - 1n)) : 0n, (1n << (signed ? bits - 1n : bits)) - 1n)
    .map((n) => (n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER ? Number(n) : n))
}

/** Values that have one spelling, so that what is read is what was written. */
function valueOf(type: AbstractType): fc.Arbitrary<[number, Value]> {
  const fixed = (arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<[number, Value]> =>
    fc.tuple(fc.constantFrom(fullLength(type), VARIABLE), arbitrary)
  switch (type) {
    case 'float32':
      return fixed(fc.float({noNaN: true}))
    case 'float64':
      return fc.oneof(
        fixed(fc.double({noNaN: true})),
        fc.tuple(fc.constant(4), fc.float({noNaN: true})),
      )
    case 'boolean':
      return fixed(fc.boolean())
    case 'macAddress':
      return fixed(
        fc
          .uint8Array({minLength: 6, maxLength: 6})
          .map((octets) => hexText(octets).replace(/..(?!$)/g, '$&:')),
      )
    case 'ipv4Address':
      return fixed(fc.ipV4())
    case 'ipv6Address':
      return fixed(
        fc
          .uint8Array({minLength: 16, maxLength: 16})
          .map((octets) => read(of('ipv6Address'), octets)),
      )
    case 'string':
      return fc.tuple(
        fc.constant(VARIABLE),
        fc.string({unit: 'binary', maxLength: 400}).filter((text) => text.isWellFormed()),
      )
    case 'octetArray':
      return fc
        .uint8Array({maxLength: 400})
        .chain((octets) =>
          fc.constantFrom(VARIABLE, octets.length).map((length) => [length, octets]),
        )
    case 'dateTimeSeconds':
      return fixed(fc.integer({min: 0, max: 2 ** 32 - 1}))
    case 'dateTimeMilliseconds':
      return fixed(integer('unsigned64', 8))
    case 'dateTimeMicroseconds':
      return fixed(fc.bigInt(0n, 4294967296n * 1000000n - 1n))
    case 'dateTimeNanoseconds':
      return fixed(fc.bigInt(0n, 4294967296n * 1000000000n - 1n))
    default:
      return fc
        .integer({min: 1, max: fullLength(type)})
        .chain((length) => integer(type, length).map((value) => [length, value]))
  }
}

const scalarTypes = abstractTypes.filter(
  (type) => type !== 'basicList' && !type.startsWith('subTemplate'),
)
for (const type of scalarTypes) {
  test(`${type}: what is written in any length it may have is read again`, (t) => {
    const element = of(type)
    fc.assert(
      fc.property(valueOf(type), ([length, value]) => {
        const octets = encodeValue(element, length, value)
        if (length !== VARIABLE && octets.length !== length) return false
        // 0 and −0 are two values of a float.
        return typeof value === 'object' && value instanceof Uint8Array
          ? hexText(read(element, octets) as Uint8Array) === hexText(value)
          : Object.is(read(element, octets), value)
      }),
      {numRuns: 400},
    )
    t.pass()
  })
}

test('microseconds have the low 11 bits of their fraction zero and do not drift over round trips', (t) => {
  fc.assert(
    fc.property(fc.bigInt(0n, 4294967296n * 1000000n - 1n), (micros) => {
      let value: Value = micros
      for (let i = 0; i < 3; i++) {
        const octets = encodeValue(ie.flowStartMicroseconds, 8, value)
        if ((octets[7] | ((octets[6] & 7) << 8)) !== 0) return false
        value = read(ie.flowStartMicroseconds, octets)
      }
      return value === micros
    }),
    {numRuns: 2000},
  )
  t.pass()
})

test('on receipt the low 11 bits of a microsecond fraction are ignored', (t) => {
  const octets = encodeValue(ie.flowStartMicroseconds, 8, 1700000000123456n)
  for (const low of [0x001, 0x3ff, 0x7ff]) {
    const changed = octets.slice()
    changed[7] |= low & 0xff
    changed[6] |= low >> 8
    t.is(read(ie.flowStartMicroseconds, changed), 1700000000123456n)
  }
})

const context = {exportTime: 1, sequenceNumber: 2, observationDomainId: 3, offset: 0}
const template = createTemplate(300, [
  {element: ie.sourceIPv4Address, length: 4},
  {element: ie.interfaceName, length: VARIABLE},
  {element: ie.octetDeltaCount, length: 8},
])

test('a builder makes one batch of its records and begins anew', (t) => {
  const builder = createRecordBuilder(template)
  t.is(builder.take(context), undefined)
  const rows: Value[][] = Array.from({length: 1000}, (_, i) => [
    `10.0.${i >> 8}.${i & 255}`,
    'e'.repeat(i % 300),
    i,
  ])
  for (const row of rows) builder.add(row)
  t.is(builder.count, 1000)
  const batch = builder.take(context)!
  t.is(builder.count, 0)
  builder.add(['192.0.2.1', 'late', 1])
  t.is(batch.count, 1000)
  t.is(batch.message, context)
  rows.forEach((row, i) =>
    t.deepEqual(
      readRecord(batch, i).map(([, value]) => value),
      row,
    ),
  )
})

test('a record that cannot be written leaves no trace in the batch', (t) => {
  const builder = createRecordBuilder(template)
  builder.add(['192.0.2.1', 'a', 1])
  const before = builder.octets
  t.throws(() => builder.add(['192.0.2.2', 'b', -1]), {code: 'DARTA_RANGE'})
  t.throws(() => builder.add(['192.0.2.2', '\udc00', 1]), {code: 'DARTA_VALUE'})
  t.throws(() => builder.add(['192.0.2.2', 'b']), {code: 'DARTA_VALUE'})
  t.is(builder.octets, before)
  builder.add(['192.0.2.3', 'c', 3])
  const batch = builder.take(context)!
  t.is(batch.count, 2)
  t.deepEqual(
    readRecord(batch, 1).map(([, value]) => value),
    ['192.0.2.3', 'c', 3],
  )
})

test('records of one size have no offsets, others have one more than there are records', (t) => {
  const fixed = createRecordBuilder(createTemplate(256, [{element: ie.octetDeltaCount, length: 4}]))
  fixed.add([7])
  t.is(fixed.take(context)!.offsets, undefined)
  const builder = createRecordBuilder(template)
  builder.add(['192.0.2.1', 'ab', 1])
  t.deepEqual([...builder.take(context)!.offsets!], [0, 15])
})

test('padding of a fixed-length string is zeros wherever it lies', (t) => {
  const builder = createRecordBuilder(createTemplate(256, [{element: ie.interfaceName, length: 4}]))
  builder.add(['abcd'])
  builder.take(context)
  builder.add(['x'])
  t.is(hexText(builder.take(context)!.octets), '78000000')
})
