import test from 'ava'
import ndjson from '../../src/formats/ndjson.js'
import {needing} from '../support/needing.js'
import {native} from '../support/native-addon.js'
import fc from '../support/properties.js'
import {decode, encode, formats, lines, recordOctets} from './coding.js'
import {anyBatch} from './random-records.js'

const seed = 7373

test('records without lists keep their octets and Templates through NDJSON', (t) => {
  fc.assert(
    fc.property(anyBatch({lists: false}), (batch) => {
      const {batches, account} = decode(ndjson, encode(ndjson, [batch]).octets)
      t.is(account.totalLost(), 0, account.line())
      t.deepEqual(recordOctets(batches), recordOctets([batch]))
      t.is(batches[0].template.scopeCount, batch.template.scopeCount)
      t.is(batches[0].message.exportTime, batch.message.exportTime)
      t.is(batches[0].message.observationDomainId, batch.message.observationDomainId)
    }),
    {numRuns: 600, seed},
  )
})

test('NDJSON of records with lists, read and written again, is the same text', (t) => {
  let structured = 0
  fc.assert(
    fc.property(anyBatch({lists: true}), (batch) => {
      const text = encode(ndjson, [batch]).octets
      const {batches, account} = decode(ndjson, text)
      t.is(account.totalLost(), 0, account.line())
      // Octets in marked form do not show the Templates of lists in them, which the second text then lacks.
      if (/"octets":"[^"]{6,}/.test(text.toString())) return
      if (/"semantic"/.test(text.toString())) structured++
      t.is(encode(ndjson, batches).text, text.toString())
    }),
    {numRuns: 600, seed},
  )
  t.true(structured > 10, String(structured))
})

test('a line is one JSON object without control characters, whatever the octets are', (t) => {
  fc.assert(
    fc.property(anyBatch({lists: true}), (batch) => {
      const written = lines([batch])
      t.is(written.length, batch.count)
      for (const line of written) {
        t.notRegex(line, /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        const object = JSON.parse(line) as Record<string, unknown>
        t.is('_scope' in object, batch.template.scopeCount > 0)
        t.is(Object.keys(object).at(-1), '_ipfix')
      }
    }),
    {numRuns: 200, seed},
  )
})

test('NDJSON that is cut anywhere reads the same', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyBatch({lists: true}), {maxLength: 3}),
      fc.integer({min: 1, max: 60}),
      (batches, step) => {
        const text = encode(ndjson, batches).octets
        const whole = decode(ndjson, text)
        const cut = decode(ndjson, text, step)
        t.deepEqual(recordOctets(cut.batches), recordOctets(whole.batches))
        t.deepEqual(cut.account, whole.account)
      },
    ),
    {numRuns: 100, seed},
  )
})

test('a JSON array holds the objects of the lines and reads the same, cut anywhere', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyBatch({lists: true}), {maxLength: 3}),
      fc.integer({min: 1, max: 60}),
      (batches, step) => {
        const {text} = encode(formats.json, batches)
        const joined = lines(batches).join(',\n')
        t.is(text, joined === '' ? '[]\n' : `[\n${joined}\n]\n`)
        const spread = JSON.stringify(JSON.parse(text), undefined, 1)
        t.deepEqual(
          recordOctets(decode(formats.json, text, step).batches),
          recordOctets(decode(ndjson, lines(batches).join('\n')).batches),
        )
        const {account} = decode(formats.json, spread, step)
        t.is(
          account.in,
          batches.reduce((sum, {count}) => sum + count, 0),
        )
        t.is(account.out + account.totalLost(), account.in)
      },
    ),
    {numRuns: 100, seed},
  )
})

const forms = [
  {format: 'ndjson', argument: undefined},
  {format: 'ndjson', argument: 'all'},
  {format: 'ndjson', argument: 'bare'},
  {format: 'json', argument: undefined},
  {format: 'csv', argument: undefined},
  {format: 'tsv', argument: undefined},
] as const
for (const {format, argument} of forms) {
  const name = argument === undefined ? format : `${format}:${argument}`
  needing(native)(
    `the native kernel writes ${name} octet for octet as the plain writer does`,
    (t) => {
      fc.assert(
        fc.property(
          fc.array(anyBatch({lists: false}), {maxLength: 4}),
          fc.constantFrom('number', 'string'),
          (batches, bigint) => {
            const options = {bigint}
            const plain = encode(formats[format], batches, {argument, options})
            const fast = encode(formats[format], batches, {argument, options, native: true})
            t.is(fast.text, plain.text)
            t.true(fast.octets.equals(plain.octets))
            t.deepEqual(fast.account, plain.account)
          },
        ),
        {numRuns: 100, seed},
      )
    },
  )
}
