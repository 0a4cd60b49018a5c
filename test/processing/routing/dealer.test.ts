import assert from 'node:assert/strict'
import test from 'ava'
import {createRoutingKeyReader} from '../../../src/processing/analysis/routing-key.js'
import {createDealer, type Dealer, type Dealt} from '../../../src/processing/routing/dealer.js'
import {assignSlots, jainIndex} from '../../../src/processing/routing/rendezvous.js'
import {sharedKey} from '../../../src/processing/routing/shared-key.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {DEAL_SLOTS, hashRoutingKey} from '../../../src/record/deal-kernel.js'
import {kernels} from '../../../src/record/kernels.js'
import {dealPlainly} from '../../../src/record/plain-deal.js'
import {flowKey} from '../../../src/registry/flow-keys.js'
import {ie} from '../../../src/registry/lookup.js'
import {addon, native} from '../../support/native-addon.js'
import {needing} from '../../support/needing.js'
import fc from '../../support/properties.js'
import {address, batchOf, templateOf} from '../../support/records.js'
import {cook, someRecipe} from '../../support/recipes.js'
import {plainRecords, type Plain} from '../../support/results.js'
import {zipf} from '../../support/zipf.js'

const units = (n: number) => Array.from({length: n}, (_, i) => ({id: `unit-${i + 1}`, weight: 1}))
const keyOf = (names: string, symmetric?: number) => ({
  key: names.split(',').map(flowKey),
  ...(symmetric && {symmetric}),
})
const keys = {
  'one address': keyOf('srcip'),
  'a pair in both orders': keyOf('srcip,dstip', 1),
  'both ends in both orders': keyOf('srcip,srcport,dstip,dstport', 2),
  'prefixes and a port': keyOf('src4/17,dstport'),
  'text of any length': keyOf('interfaceName'),
  'octets of a counter': keyOf('octetDeltaCount'),
}

/** Records by unit; batches are read at once, since their octets are good only so long. */
function recordsOf({batches}: Dealt): Plain[][] {
  return batches.map((of) => plainRecords(of))
}

function dealAll(dealer: Dealer, batches: readonly RecordBatch[]): Plain[][] {
  return recordsOf(dealer.deal(batches))
}

const spelled = (record: Plain): string =>
  JSON.stringify(record, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))

/** One by one, for comparing without their order. */
const sorted = (records: readonly Plain[]): string[] => records.map(spelled).sort()

for (const [title, key] of Object.entries(keys)) {
  test(`records dealt by ${title} are the records that have the key, each once, in the unit of its key`, (t) => {
    const read = createRoutingKeyReader(key)
    fc.assert(
      fc.property(
        fc.array(someRecipe, {maxLength: 6}),
        fc.integer({min: 1, max: 9}),
        (recipes, n) => {
          const dealer = createDealer(units(n), {key, seed: 7, splitHot: false})
          const batches = recipes.map(cook)
          const expected: Plain[][] = units(n).map(() => [])
          let homeless = 0
          for (const batch of batches) {
            const records = plainRecords([batch])
            for (let i = 0; i < batch.count; i++) {
              const explained = dealer.explain(batch, i)
              assert.deepEqual(explained?.key, read(batch, i)?.slice())
              if (explained === undefined) homeless++
              else expected[explained.unit!].push(records[i])
            }
          }
          const dealt = dealer.deal(batches)
          assert.equal(dealt.homeless, homeless)
          assert.deepEqual(
            dealt.counts,
            expected.map(({length}) => length),
          )
          assert.deepEqual(recordsOf(dealt).map(sorted), expected.map(sorted))
        },
      ),
      {numRuns: 150},
    )
    t.pass()
  })

  needing(native)(`the native kernel deals by ${title} as the one in TypeScript does`, (t) => {
    const before = kernels.deal
    fc.assert(
      fc.property(fc.array(someRecipe, {maxLength: 6}), fc.boolean(), (recipes, splitHot) => {
        const batches = recipes.map(cook)
        const under = (deal: typeof before): unknown => {
          kernels.deal = deal
          try {
            return dealAll(createDealer(units(5), {key, seed: 3, splitHot}), batches)
          } finally {
            kernels.deal = before
          }
        }
        assert.deepEqual(under(addon!.dealRecords), under(dealPlainly))
      }),
      {numRuns: 100},
    )
    t.pass()
  })
}

test('the hash of a key does not change between versions and machines', (t) => {
  const hash = (octets: number[], seed: number): number => {
    const padded = new Uint8Array((octets.length + 3) & ~3)
    padded.set(octets)
    return hashRoutingKey(new Uint32Array(padded.buffer), octets.length, seed)
  }
  t.is(hash([], 0), 0)
  t.is(hash([], 1), 0x514e28b7)
  t.is(hash([0, 192, 0, 2, 1], 0), 0x0da8e0cb)
  t.is(hash([0, 192, 0, 2, 1], 4294967295), 0x2582c072)
  t.is(hash([1, 2, 3, 4, 5, 6, 7, 8], 42), 0x373e78aa)
})

/** Flows of which the n-th source is as frequent as 1 / n^s. */
function zipfBatches(s: number, sources: number, records: number): RecordBatch[] {
  const template = templateOf([ie.sourceIPv4Address, ie.destinationIPv4Address])
  const pick = zipf(s, sources)
  const destination = address('192.0.2.1')
  return Array.from({length: records / 1000}, () =>
    batchOf(
      template,
      Array.from({length: 1000}, () => [0x0a000000 + Math.imul(pick(), 7919), destination]),
    ),
  )
}

test('a hundred thousand flows are dealt to eight units in like shares', (t) => {
  const template = templateOf([ie.sourceIPv4Address])
  const batch = batchOf(
    template,
    Array.from({length: 100_000}, (_, i) => [0x0a000000 + 3 * i]),
  )
  const dealer = createDealer(units(8), {key: keyOf('srcip'), seed: 0, splitHot: false})
  const {counts} = dealer.deal([batch])
  t.true(jainIndex(counts, Array<number>(8).fill(1)) >= 0.95)
  t.true(Math.max(...counts) / 12_500 <= 1.2, counts.join())
})

test('of a hundred thousand flows a ninth unit takes at most 1.2 ninths from eight, and nothing else moves', (t) => {
  const template = templateOf([ie.sourceIPv4Address])
  const batch = batchOf(
    template,
    Array.from({length: 100_000}, (_, i) => [0x0a000000 + 3 * i]),
  )
  const dealer = (n: number): Dealer =>
    createDealer(units(n), {key: keyOf('srcip'), seed: 0, splitHot: false})
  const [eight, nine] = [dealer(8), dealer(9)]
  let moved = 0
  for (let i = 0; i < batch.count; i++) {
    const [before, after] = [eight.explain(batch, i)!.unit, nine.explain(batch, i)!.unit]
    if (before === after) continue
    moved++
    if (after !== 8) t.fail(`flow ${i} went from ${String(before)} to ${String(after)}`)
  }
  t.true(moved > 0 && moved <= (1.2 * 100_000) / 9, String(moved))
})

for (const s of [0.8, 1, 1.2]) {
  test(`where keys may be split, zipf keys with s = ${s} burden eight units alike`, (t) => {
    const batches = zipfBatches(s, 20_000, 200_000)
    const loads = (splitHot: boolean): number[] => {
      const dealer = createDealer(units(8), {key: keyOf('srcip'), seed: 0, splitHot})
      const sums = Array<number>(8).fill(0)
      for (const batch of batches) dealer.deal([batch]).counts.forEach((n, i) => (sums[i] += n))
      return sums
    }
    const split = loads(true)
    t.true(jainIndex(split, Array<number>(8).fill(1)) >= 0.95, split.join())
    t.true(Math.max(...split) / 25_000 <= 1.2, split.join())
    t.is(
      split.reduce((a, b) => a + b),
      200_000,
    )
    // It is the splitting that does it.
    if (s > 1) t.true(Math.max(...loads(false)) / 25_000 > 1.2)
  })
}

test('hot keys are split at the same records however the input came in pieces', (t) => {
  const [whole] = [zipfBatches(1.2, 1000, 30_000)]
  const pieces = whole.flatMap((batch) => {
    const cut = (from: number, count: number): RecordBatch => ({
      ...batch,
      start: batch.start + from * batch.template.recordOctets,
      count,
    })
    return [cut(0, 333), cut(333, 1), cut(334, 666)]
  })
  const run = (calls: RecordBatch[][]): string[][] => {
    const dealer = createDealer(units(4), {key: keyOf('srcip'), seed: 0, splitHot: true})
    const all: string[][] = units(4).map(() => [])
    for (const call of calls) {
      for (const [i, records] of dealAll(dealer, call).entries()) {
        all[i].push(...records.map((r) => JSON.stringify(r)))
      }
    }
    return all
  }
  t.deepEqual(run([whole]), run(pieces.map((piece) => [piece])))
})

for (const n of [1, 3, 8, 40]) {
  test(`a unit that joins ${n} others takes its part of the keys and nothing else moves`, (t) => {
    const before = assignSlots(units(n), DEAL_SLOTS)
    const after = assignSlots(units(n + 1), DEAL_SLOTS)
    let moved = 0
    for (let slot = 0; slot < DEAL_SLOTS; slot++) {
      if (before[slot] === after[slot]) continue
      moved++
      t.is(after[slot], n)
    }
    t.true(moved / DEAL_SLOTS <= 1.2 / (n + 1), String(moved))
    t.true(moved / DEAL_SLOTS >= 0.8 / (n + 1), String(moved))
  })
}

test('a unit that goes leaves its keys to the others, and theirs stay where they are', (t) => {
  const all = units(5)
  const before = assignSlots(all, DEAL_SLOTS)
  const after = assignSlots(
    all.map((unit, i) => (i === 2 ? {...unit, weight: 0} : unit)),
    DEAL_SLOTS,
  )
  for (let slot = 0; slot < DEAL_SLOTS; slot++) {
    if (before[slot] === 2) t.not(after[slot], 2)
    else t.is(after[slot], before[slot])
  }
})

test('parts of the keys are as large as the weights say', (t) => {
  const weights = [1, 2, 5]
  const owners = assignSlots(
    weights.map((weight, i) => ({id: `unit-${i + 1}`, weight})),
    DEAL_SLOTS,
  )
  const counts = weights.map((_, i) => owners.filter((owner) => owner === i).length)
  for (const [i, weight] of weights.entries()) {
    t.true(Math.abs(counts[i] / DEAL_SLOTS - weight / 8) < 0.02, counts.join())
  }
})

test('records that any unit may have are dealt in turn, by weight', (t) => {
  const members = [1, 3].map((weight, i) => ({id: `unit-${i + 1}`, weight}))
  const dealer = createDealer(members, {key: undefined, seed: 0, splitHot: false})
  const batch = batchOf(
    templateOf([ie.octetDeltaCount]),
    Array.from({length: 1024}, (_, i) => [i]),
  )
  t.deepEqual(dealer.deal([batch]).counts, [256, 768])
})

test('without any unit records have no home', (t) => {
  const members = units(2).map((unit) => ({...unit, weight: 0}))
  const dealer = createDealer(members, {key: keyOf('srcip'), seed: 0, splitHot: false})
  const batch = batchOf(templateOf([ie.sourceIPv4Address]), [[1], [2]])
  t.is(dealer.deal([batch]).homeless, 2)
})

test('applications share a key where records that one of them joins are never parted', (t) => {
  const names = (of: ReturnType<typeof sharedKey>): string | undefined =>
    of && `${of.symmetric ?? 0}:${of.key.map((part) => part.elements[0].name).join()}`
  const address = '0:sourceIPv4Address'
  t.is(names(sharedKey([keyOf('srcip'), keyOf('srcip,dstport'), keyOf('dstip,srcip')])), address)
  t.is(names(sharedKey([keyOf('srcip'), keyOf('dstip')])), undefined)
  t.is(names(sharedKey([keyOf('srcip,dstip', 1), keyOf('srcip')])), undefined)
  t.is(
    names(sharedKey([keyOf('srcip,dstip', 1), keyOf('srcip,dstip', 1)])),
    '1:sourceIPv4Address,destinationIPv4Address',
  )
  t.is(
    names(sharedKey([keyOf('srcip,dstip,proto', 1), keyOf('srcip,proto')])),
    '0:protocolIdentifier',
  )
  t.is(names(sharedKey([keyOf('src4/24'), keyOf('srcip')])), undefined)
})
