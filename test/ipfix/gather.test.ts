import assert from 'node:assert/strict'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {
  createRecordFilter,
  type RecordFilterOptions,
} from '../../src/mediation/filter/record-filter.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {recordEnd, recordStart} from '../../src/record/batch.js'
import {kernels} from '../../src/record/kernels.js'
import {Ledger} from '../../src/record/ledger.js'
import {parse} from '../mediation/filter/filtering.js'
import {addon, native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'
import {hex} from '../hex.js'
import fc from '../support/properties.js'
import {join, message, accounts, type Decoded} from './octets.js'

const templates = message(hex`
  0002 0028
  0100 0002 0008 0004 0001 0008   # 256: sourceIPv4Address, octetDeltaCount
  0101 0002 001b 0010 0002 0004   # 257: sourceIPv6Address, packetDeltaCount
  0102 0002 0004 0001 0052 ffff   # 258: protocolIdentifier, interfaceName
`)

/** Records of each Template have so many octets; of 258 those with a name of three. */
const sizes: Readonly<Record<number, number>> = {256: 12, 257: 20, 258: 5}

interface SetRecipe {
  readonly id: 256 | 257 | 258
  readonly records: number
  readonly padding: number
}

interface MessageRecipe {
  readonly sets: readonly SetRecipe[]
  readonly domain: number
  /** Seconds since the Message before. */
  readonly later: number
  readonly what: 'plain' | 'templates' | 'withdrawn' | 'gap' | 'again' | 'broken' | 'unknown'
}

const someSet: fc.Arbitrary<SetRecipe> = fc.record({
  id: fc.constantFrom<SetRecipe['id'][]>(
    ...Array<256>(20).fill(256),
    ...Array<257>(19).fill(257),
    258,
  ),
  records: fc.constantFrom(0, 1, 1, 2, 2, 3, 3, 4),
  // Of zeros, and of others.
  padding: fc.constantFrom(...Array<number>(40).fill(0), 2, 2, 2, -1),
})

const someMessage: fc.Arbitrary<MessageRecipe> = fc.record({
  sets: fc.array(someSet, {minLength: 1, maxLength: 4}),
  domain: fc.constantFrom(...Array<number>(15).fill(1), 2),
  later: fc.constantFrom(...Array<number>(15).fill(0), 1),
  what: fc.constantFrom<MessageRecipe['what'][]>(
    ...Array<'plain'>(60).fill('plain'),
    ...(['templates', 'withdrawn', 'gap', 'again', 'broken', 'unknown'] as const),
  ),
})

/** Each record is different from all others. */
function cook(recipes: readonly MessageRecipe[]): Uint8Array {
  const sequence = new Map<number, number>()
  let time = 1_700_000_000
  let octet = 0
  const made: Uint8Array[] = []
  const set = (id: number, body: Uint8Array): Uint8Array => {
    const header = new Uint8Array(4)
    new DataView(header.buffer).setUint16(0, id)
    new DataView(header.buffer).setUint16(2, 4 + body.length)
    return join(header, body)
  }
  for (const domain of [1, 2]) {
    made.push(join(...[templates].map((octets) => octets.with(15, domain))))
  }
  for (const {sets, domain, later, what} of recipes) {
    time += later
    let count = 0
    const body = sets.map(({id, records, padding}) => {
      count += records
      const rows = Array.from({length: records}, () => {
        const row = new Uint8Array(sizes[id]).map(() => octet++ * 37)
        if (id === 258) row[1] = 3
        return row
      })
      const fill = new Uint8Array(Math.abs(padding)).fill(padding < 0 ? 7 : 0)
      return set(what === 'unknown' ? id + 100 : id, join(...rows, fill))
    })
    const number = ((sequence.get(domain) ?? 0) + (what === 'gap' ? 3 : 0)) % 2 ** 32
    sequence.set(domain, number + count)
    if (what === 'templates') body.unshift(templates.slice(16))
    if (what === 'withdrawn') body.push(hex`0002 0008 0101 0000`, templates.slice(16))
    const octets = message(join(...body), {sequence: number, domain, time})
    if (what === 'broken') new DataView(octets.buffer).setUint16(18, 3)
    made.push(octets)
    if (what === 'again') made.push(octets)
  }
  return join(...made)
}

interface Read extends Pick<Decoded, 'records' | 'messages' | 'ledger'> {
  /** Octets of the records of each Template in each domain and export time, in their order. */
  readonly octets: ReadonlyMap<string, string[]>
  readonly batches: number
}

/** @param how see `DecodeContext` */
function read(
  octets: Uint8Array,
  cuts: readonly number[],
  how: {anyOrder?: boolean; passing?: boolean} = {},
): Read {
  const ledger = new Ledger()
  const before = kernels.gather
  kernels.gather = addon?.gatherMessages
  const decoder = createDecoder({ledger, source: 'test', ...how})
  kernels.gather = before
  const read = new Map<string, string[]>()
  let batches = 0
  const take = (taken: readonly RecordBatch[]): void => {
    for (const batch of taken) {
      batches++
      const {observationDomainId, exportTime, exporter} = batch.message
      const key = [observationDomainId, exportTime, exporter, batch.template.layout].join(' ')
      const list = read.get(key) ?? []
      read.set(key, list)
      for (let i = 0; i < batch.count; i++) {
        const of = batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i))
        list.push(Buffer.from(of).toString('hex'))
      }
    }
  }
  let at = 0
  for (const cut of [...cuts, octets.length]) {
    // Chunks lie in memory of their own, and what is let go may hold anything from now on.
    const chunk = octets.slice(at, at + cut)
    take(decoder.push(chunk))
    assert.equal(decoder.lets, how.passing === true)
    if (decoder.lets === true) chunk.fill(0xa5)
    at = Math.min(at + cut, octets.length)
  }
  take(decoder.end())
  return {octets: read, batches, ...accounts(ledger)}
}

needing(native)(
  'Messages that are taken apart in one go give the records and accounts of those read one by one, whatever is wrong with others and wherever octets are cut, and need none that were let go',
  (t) => {
    let fewer = 0
    fc.assert(
      fc.property(
        fc.array(someMessage, {minLength: 1, maxLength: 80}),
        fc.array(fc.integer({min: 1, max: 900}), {maxLength: 6}),
        fc.boolean(),
        // Whether Templates come only when they are said again, so that records wait for them.
        fc.constantFrom(false, false, false, true),
        (recipes, cuts, passing, late) => {
          const octets = cook(recipes).slice(late ? 2 * templates.length : 0)
          const one = read(octets, cuts)
          const together = read(octets, cuts, {anyOrder: true, passing})
          const passed = read(octets, cuts, {passing: true})
          assert.deepEqual([...passed.octets], [...one.octets])
          assert.deepEqual(passed.ledger.lines(), one.ledger.lines())
          assert.deepEqual([...together.octets].sort(), [...one.octets].sort())
          assert.deepEqual(together.ledger.lines(), one.ledger.lines())
          assert.ok(together.batches <= one.batches)
          fewer += one.batches - together.batches
        },
      ),
      {numRuns: 800},
    )
    t.true(fewer > 1000, `${fewer} batches fewer`)
  },
)

needing(native)('a Message that repeats what was taken in one go is a duplicate', (t) => {
  const sets: SetRecipe[] = [{id: 256, records: 2, padding: 0}]
  const plain: MessageRecipe = {sets, domain: 1, later: 0, what: 'plain'}
  const octets = cook(Array<MessageRecipe>(80).fill(plain))
  // The 70th of 80: 64 are remembered.
  const size = 16 + 4 + 24
  const again = octets.slice(octets.length - 11 * size, octets.length - 10 * size)
  const {ledger, messages, records} = read(join(octets, again), [], {anyOrder: true})
  t.is(messages.out, 83)
  t.is(records.out, 162)
  t.regex(ledger.lines().join('\n'), /duplicate 1/)
})

/**
 * What a filter lets pass, record by record in order, its counts, and the Messages that are written of it.
 *
 * @param sifting whether the decoder is told of the filter
 */
function filterRead(
  octets: Uint8Array,
  cuts: readonly number[],
  text: string,
  options: RecordFilterOptions['options'],
  sifting: boolean,
): {
  passed: string[]
  counts: number[]
  lines: readonly string[]
  written: string
  batches: number
} {
  const ledger = new Ledger()
  const before = {...kernels}
  Object.assign(kernels, {gather: addon?.gatherMessages, filter: addon?.createFilter})
  const counts = [0, 0, 0]
  const count = (...some: number[]): void => some.forEach((n, i) => (counts[i] += n))
  const filter = createRecordFilter(parse(text), {options, sifted: count})
  const sift = sifting ? () => filter.sift : undefined
  const decoder = createDecoder({ledger, source: 'test', sift})
  Object.assign(kernels, before)
  const encoder = createEncoder({ledger: new Ledger()})
  assert.equal(decoder.lets, sifting)
  const passed: string[] = []
  const written: Uint8Array[] = []
  let batches = 0
  const take = (taken: readonly RecordBatch[]): void => {
    batches += taken.length
    const {tested, matched, options: asIs, ...result} = filter.run(taken)
    count(tested, matched, asIs)
    for (const batch of result.passed) {
      const {observationDomainId, exportTime} = batch.message
      for (let i = 0; i < batch.count; i++) {
        const of = batch.octets.subarray(recordStart(batch, i), recordEnd(batch, i))
        passed.push([observationDomainId, exportTime, batch.template.id, of.join()].join(' '))
      }
    }
    written.push(...encoder.push(result.passed))
  }
  let at = 0
  for (const cut of [...cuts, octets.length]) {
    const chunk = octets.slice(at, at + cut)
    take(decoder.push(chunk))
    // What is let go may hold anything from now on.
    if (decoder.lets === true) chunk.fill(0xa5)
    at = Math.min(at + cut, octets.length)
  }
  take(decoder.end())
  filter.close()
  written.push(...encoder.end())
  const lines = ledger.lines()
  return {passed, counts, lines, written: Buffer.concat(written).toString('hex'), batches}
}

needing(native)(
  'a filter that decides while Messages are taken apart passes the same records in the same order with the same accounts, and needs no octets that were let go',
  (t) => {
    let fewer = 0
    fc.assert(
      fc.property(
        fc.array(someMessage, {minLength: 1, maxLength: 80}),
        fc.array(fc.integer({min: 1, max: 900}), {maxLength: 12}),
        fc.constantFrom(
          'any',
          'not any',
          'octetDeltaCount >= 0x8000000000000000',
          'src ip in [0.0.0.0/1 2001:db8::/32] or packetDeltaCount > 2000000000',
          'exists(packetDeltaCount) and not octetDeltaCount < 1k',
          'interfaceName ~ /a/ or src net 128.0.0.0/2',
          'proto 17',
        ),
        fc.constantFrom('pass', 'drop', 'test'),
        // Whether Templates come only when they are said again, so that records wait for them.
        fc.boolean(),
        (recipes, cuts, text, options, late) => {
          const octets = cook(recipes).slice(late ? 2 * templates.length : 0)
          const one = filterRead(octets, cuts, text, options, false)
          const sifted = filterRead(octets, cuts, text, options, true)
          assert.deepEqual(sifted.passed, one.passed)
          assert.deepEqual(sifted.counts, one.counts)
          assert.deepEqual(sifted.lines, one.lines)
          assert.equal(sifted.written, one.written)
          fewer += one.batches - sifted.batches
        },
      ),
      {numRuns: 400},
    )
    t.true(fewer > 1000, `${fewer} batches fewer`)
  },
)
