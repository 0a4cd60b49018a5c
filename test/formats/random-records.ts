import type {MessageContext, RecordBatch} from '../../src/record/batch.js'
import {
  VARIABLE,
  fullLength,
  isControlBits,
  isList,
  type InformationElement,
} from '../../src/record/element.js'
import {createTemplate, type FieldSpecifier, type Template} from '../../src/record/template.js'
import {allElements, createSessionElements, reverseOf} from '../../src/registry/lookup.js'
import {unknownElement} from '../../src/record/element.js'
import fc from '../support/properties.js'
import {noMessage} from '../support/records.js'

const registered = allElements()
/** One element of each type that is no list, and more of those whose text is hardest. */
const scalars = [
  ...new Map(registered.filter((e) => !isList(e.type)).map((e) => [e.type, e])).values(),
]
const lists = [
  ...new Map(registered.filter((e) => isList(e.type)).map((e) => [e.type, e])).values(),
]

/** An element that only its session describes. RFC 5610. */
const described: InformationElement = {
  ...unknownElement(6871, 106),
  name: 'flowKeyHash',
  type: 'unsigned32',
  status: 'current',
}

export const anyScalar = fc.oneof(
  {weight: 6, arbitrary: fc.constantFrom(...scalars)},
  {weight: 4, arbitrary: fc.constantFrom(...registered.filter((e) => !isList(e.type)))},
  {
    weight: 1,
    arbitrary: fc.constantFrom(...registered.filter((e) => e.enterpriseNumber === 0)).map((e) => {
      const twin = reverseOf(e)
      return twin !== undefined && !isList(e.type) ? twin : scalars[0]
    }),
  },
  {weight: 1, arbitrary: fc.constantFrom(unknownElement(35632, 80), described)},
)

/** A length as Exporters use them: mostly full, some reduced, some variable, a few that do not fit. */
export function anyLength(element: InformationElement): fc.Arbitrary<number> {
  const full = fullLength(element.type)
  return fc.oneof(
    {weight: 6, arbitrary: fc.constant(full)},
    {weight: 2, arbitrary: fc.constant(VARIABLE)},
    {weight: 2, arbitrary: fc.integer({min: 1, max: 12})},
    {weight: 1, arbitrary: fc.integer({min: 0, max: 40})},
  )
}

const awkward = fc.constantFrom(
  '',
  '=1+1',
  '@x',
  '-1',
  '+',
  'a,b',
  'a"b',
  "'",
  'a\nb',
  'a\r\nb',
  'a\tb',
  '\u0000',
  '\u001b[31m',
  '\u007f',
  '\u0085',
  '\u009b',
  '\u2028',
  '\u2029',
  '\u202e',
  '\ufeff',
  'é',
  '漢字',
  '😀',
  '__proto__',
  '\\u0041',
  '\\',
)

function textOctets(): fc.Arbitrary<Uint8Array> {
  const encoder = new TextEncoder()
  return fc.oneof(
    fc.string({unit: 'binary', maxLength: 20}).map((text) => encoder.encode(text)),
    fc.array(awkward, {maxLength: 4}).map((parts) => encoder.encode(parts.join(''))),
    fc.uint8Array({maxLength: 12}),
    fc.integer({min: 250, max: 300}).map((n) => encoder.encode('x'.repeat(n))),
  )
}

/** Numbers where digits, signs and texts change their shape. */
function numberOctets(length: number): fc.Arbitrary<Uint8Array> {
  const edges = fc
    .constantFrom(
      0n,
      1n,
      9n,
      10n,
      99n,
      100n,
      255n,
      256n,
      99999n,
      100000n,
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 53n + 1n,
      2n ** 63n,
      2n ** 64n - 1n,
      -1n,
      -128n,
      -(2n ** 53n),
      253402300799999n,
      253402300800000n,
      1_700_000_000_123n,
      0x3fb999999999999an,
      0x7ff0000000000000n,
      0xfff0000000000000n,
      0x7ff8000000000000n,
      0x7ff8000000000001n,
      0x8000000000000000n,
      0x7fc00000n,
      0x7f800000n,
      0x3f8ccccdn,
      0x4415af1d78b58c40n,
      0x444b1ae4d6e2ef50n,
      0x3eb0c6f7a0b5ed8dn,
      0x3e7ad7f29abcaf48n,
      0xe000000000000000n,
      0x83aa7e8000000000n,
      0x83aa7e7f00000000n,
    )
    .map((value) => {
      const octets = new Uint8Array(length)
      let rest = BigInt.asUintN(8 * Math.max(length, 1), value)
      for (let i = length - 1; i >= 0; i--) {
        octets[i] = Number(rest & 255n)
        rest >>= 8n
      }
      return octets
    })
  const sparse = fc
    .array(fc.constantFrom(0, 0, 0, 1, 2, 255, 16), {minLength: length, maxLength: length})
    .map((octets) => Uint8Array.from(octets))
  return fc.oneof(edges, sparse, fc.uint8Array({minLength: length, maxLength: length}))
}

/** Octets of one field with its length octets, now and then in the three-octet form. */
function fieldOctets(specifier: FieldSpecifier): fc.Arbitrary<number[]> {
  const {element, length} = specifier
  // Of TCP control bits in 2 octets the upper four are not read.
  const upper = length === VARIABLE ? 1 : 0
  return anyFieldOctets(specifier).map((octets) => {
    const n = length === VARIABLE ? octets[0] : length
    if (isControlBits(element) && n === 255) return [2, 0, octets.at(-1)!]
    return isControlBits(element) && n === 2
      ? octets.map((octet, i) => (i === upper ? octet & 15 : octet))
      : octets
  })
}

function anyFieldOctets({element, length}: FieldSpecifier): fc.Arbitrary<number[]> {
  const isText = element.type === 'string' || element.type === 'octetArray'
  if (length !== VARIABLE) {
    const octets = isText
      ? textOctets().map((text) => {
          const padded = new Uint8Array(length)
          padded.set(text.subarray(0, length))
          return padded
        })
      : numberOctets(length)
    return octets.map((value) => [...value])
  }
  const value = isText
    ? textOctets()
    : fc
        .oneof(fc.constant(fullLength(element.type)), fc.integer({min: 0, max: 20}))
        .chain((n) => numberOctets(n === VARIABLE ? 5 : n))
  return fc
    .tuple(value, fc.integer({min: 0, max: 9}))
    .map(([octets, dice]) => withLength(octets, dice === 0))
}

export function withLength(octets: ArrayLike<number>, long: boolean): number[] {
  const n = octets.length
  const prefix = n < 255 && !long ? [n] : [255, n >> 8, n & 255]
  return [...prefix, ...Array.from(octets)]
}

const sessionElements = createSessionElements()
sessionElements.learn(described)

/** Octets of a list: well made ones of all kinds, and now and then just octets. */
function listOctets(
  {type}: InformationElement,
  templates: ReadonlyMap<number, Template>,
  depth: number,
): fc.Arbitrary<number[]> {
  const semantic = fc.constantFrom(0, 1, 2, 3, 4, 255, 77)
  const garbage = fc.uint8Array({maxLength: 12}).map((octets) => [...octets])
  let made: fc.Arbitrary<number[]>
  if (type === 'basicList') {
    const element =
      depth < 2
        ? fc.oneof(
            {weight: 4, arbitrary: anyScalar},
            {weight: 1, arbitrary: fc.constantFrom(...lists)},
          )
        : anyScalar
    made = fc
      .tuple(semantic, element)
      .chain(([s, e]) =>
        fc.tuple(
          fc.constant(s),
          fc.constant(e),
          isList(e.type) ? fc.constant(VARIABLE) : anyLength(e),
        ),
      )
      .chain(([s, e, length]) => {
        const item = isList(e.type)
          ? listOctets(e, templates, depth + 1).map((octets) => withLength(octets, true))
          : fieldOctets({element: e, length})
        return fc.array(item, {maxLength: length === 0 ? 0 : 4}).map((items) => {
          const id = e.elementId | (e.enterpriseNumber === 0 ? 0 : 0x8000)
          const pen = e.enterpriseNumber
          const number =
            pen === 0 ? [] : [pen >>> 24, (pen >> 16) & 255, (pen >> 8) & 255, pen & 255]
          return [s, id >> 8, id & 255, length >> 8, length & 255, ...number, ...items.flat()]
        })
      })
  } else {
    const records = fc.constantFrom(...templates.keys(), 999).chain((id) => {
      const template = templates.get(id)
      if (template === undefined) return fc.constant([id, []] as [number, number[]])
      return fc
        .array(recordOctetsOf(template, templates, depth + 1), {maxLength: 3})
        .map((all) => [id, all.flat()] as [number, number[]])
    })
    made =
      type === 'subTemplateList'
        ? fc.tuple(semantic, records).map(([s, [id, octets]]) => [s, id >> 8, id & 255, ...octets])
        : fc.tuple(semantic, fc.array(records, {maxLength: 3})).map(([s, groups]) => [
            s,
            ...groups.flatMap(([id, octets]) => {
              const n = octets.length + 4
              return [id >> 8, id & 255, n >> 8, n & 255, ...octets]
            }),
          ])
  }
  return fc.oneof({weight: 6, arbitrary: made}, {weight: 1, arbitrary: garbage})
}

function recordOctetsOf(
  {fields}: Template,
  templates: ReadonlyMap<number, Template>,
  depth: number,
): fc.Arbitrary<number[]> {
  const parts = fields.map((field) => {
    if (!isList(field.element.type)) return fieldOctets(field)
    if (depth > 2) return fc.constant([255, 0, 0])
    return fc
      .tuple(listOctets(field.element, templates, depth), fc.integer({min: 0, max: 7}))
      .map(([octets, dice]) => withLength(octets, dice > 0))
  })
  return fc.tuple(...parts).map((octets) => octets.flat())
}

function anySpecifiers(withLists: boolean): fc.Arbitrary<FieldSpecifier[]> {
  const scalar = anyScalar.chain((element) =>
    anyLength(element).map((length) => ({element, length})),
  )
  const list = fc.constantFrom(...lists).map((element) => ({element, length: VARIABLE}))
  const field = withLists
    ? fc.oneof({weight: 5, arbitrary: scalar}, {weight: 1, arbitrary: list})
    : scalar
  return fc
    .array(field, {minLength: 1, maxLength: 8})
    .chain((fields) =>
      // Equal elements, side by side or not.
      fc.integer({min: 0, max: 3}).map((dice) => (dice === 0 ? [...fields, fields[0]] : fields)),
    )
    .filter((fields) => fields.some(({length}) => length > 0))
}

export const anyMessage: fc.Arbitrary<MessageContext> = fc
  .tuple(
    fc.nat({max: 0xffffffff}),
    fc.nat({max: 0xffffffff}),
    fc.constantFrom(undefined, 'file.ipfix', '192.0.2.1:4739', '[2001:db8::1]:4739'),
  )
  .map(([exportTime, observationDomainId, exporter]) => ({
    ...noMessage,
    exportTime,
    observationDomainId,
    exporter,
  }))

/** A batch of random records of a random Template. */
export function anyBatch({lists: withLists}: {lists: boolean}): fc.Arbitrary<RecordBatch> {
  const inner = fc
    .tuple(anySpecifiers(false), anySpecifiers(false), anySpecifiers(true))
    .map((all) => new Map(all.map((fields, i) => [300 + i, createTemplate(300 + i, fields)])))
  return fc
    .tuple(anySpecifiers(withLists), inner, fc.nat({max: 3}), anyMessage)
    .chain(([fields, templates, dice, message]) => {
      const template = createTemplate(256, fields, dice === 0 ? Math.min(fields.length, 2) : 0)
      return fc
        .array(recordOctetsOf(template, templates, 0), {minLength: 1, maxLength: 4})
        .map((records) => batchFrom(template, records, message, templates))
    })
}

export function batchFrom(
  template: Template,
  records: readonly (readonly number[])[],
  message: MessageContext = noMessage,
  templates?: ReadonlyMap<number, Template>,
): RecordBatch {
  const octets = Uint8Array.from(records.flat())
  const offsets = [0]
  for (const record of records) offsets.push(offsets.at(-1)! + record.length)
  return {
    template,
    octets,
    view: new DataView(octets.buffer),
    start: 0,
    count: records.length,
    offsets: template.recordOctets > 0 ? undefined : Uint32Array.from(offsets),
    message,
    templates,
    elements: sessionElements,
  }
}
