import test, {type ExecutionContext} from 'ava'
import {createChecker} from '../../src/ipfix/check.js'
import {fieldSpan, type RecordBatch} from '../../src/record/batch.js'
import fc from '../support/properties.js'
import {generate, type Expected} from './generate.js'
import {decode, encode, join} from './octets.js'

/** Templates with their records: 2,000 sessions of 50, 100,000 in all. */
const sessions = 2000
const setsPerSession = 50

/** The same as what went in, from batches. */
function records(batches: readonly RecordBatch[]): Expected[] {
  const list: Expected[] = []
  for (const batch of batches) {
    const {template, octets, message} = batch
    for (let i = 0; i < batch.count; i++) {
      list.push({
        time: message.exportTime,
        domain: message.observationDomainId,
        scope: template.scopeCount,
        fields: template.fields.map(({element, length}, field) => {
          const {start, length: size} = fieldSpan(batch, i, field)
          const text = Buffer.from(octets.buffer, octets.byteOffset + start, size).toString('hex')
          return `${element.enterpriseNumber}/${element.elementId}:${length} ${text}`
        }),
      })
    }
  }
  return list
}

function same(t: ExecutionContext, ours: readonly Expected[], theirs: readonly Expected[]): void {
  // Text is compared faster than objects.
  const text = (list: readonly Expected[]): string =>
    list.map((one) => JSON.stringify(one)).join('\n')
  if (text(ours) !== text(theirs)) t.deepEqual(ours, theirs)
}

test('any Templates and records are decoded as they were sent, and again after encoding', (t) => {
  let total = 0
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({min: 1, max: 5000}),
      fc.constantFrom(600, 1400, 65535),
      (seed, step, maxMessageOctets) => {
        const sent = generate(seed, setsPerSession)
        total += sent.templates
        const first = decode(join(...sent.messages), step)
        same(t, records(first.batches), sent.records)
        const {octets, account} = encode(first.batches, {maxMessageOctets})
        // Records that are too long for small Messages are counted, all others are there.
        const lost = account.totalLost()
        if (account.in !== sent.records.length || account.out !== account.in - lost) return false
        const second = decode(octets)
        if (lost === 0) same(t, records(second.batches), sent.records)
        return [first, second].every(
          ({records: {in: came, out, noted}, messages}) =>
            came === out &&
            messages.in === messages.out &&
            messages.noted.size === 0 &&
            noted.size === 0,
        )
      },
    ),
    {numRuns: sessions},
  )
  t.true(total >= 100000)
})

test('what is encoded breaks no rule that a checker of its own knows', (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(600, 65535), (seed, maxMessageOctets) => {
      const {batches} = decode(join(...generate(seed, 30).messages))
      const faults: string[] = []
      const checker = createChecker((violation) => {
        // Values are as they came; the generator writes any octets, also where a file would say something of itself.
        if (!/^7011 6\.|^7012|^RFC 7012|^5655/.test(violation.rule))
          faults.push(JSON.stringify(violation))
      })
      checker.push(encode(batches, {maxMessageOctets}).octets)
      checker.finish()
      t.deepEqual(faults, [])
    }),
    {numRuns: 100},
  )
})
