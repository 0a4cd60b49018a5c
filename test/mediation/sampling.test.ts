import test from 'ava'
import {createSampling} from '../../src/mediation/sampling.js'
import type {MessageContext, RecordBatch} from '../../src/record/batch.js'
import {readRecord} from '../../src/record/readers.js'
import type {Value} from '../../src/record/value.js'
import {ie} from '../../src/registry/lookup.js'
import {batchOf, templateOf} from '../support/records.js'

function values(batch: RecordBatch, index = 0): Record<string, Value> {
  return Object.fromEntries(readRecord(batch, index).map(([{name}, value]) => [name, value]))
}

const from = (last: number): Partial<MessageContext> => ({
  exporterAddress: Uint8Array.of(192, 0, 2, last),
})

const flows = templateOf([
  [ie.samplerId, 1],
  [ie.packetDeltaCount, 4],
  [ie.octetDeltaCount, 4],
  ie.interfaceName,
])
const samplers = templateOf([[ie.samplerId, 1], ie.samplerMode, ie.samplerRandomInterval], 257, 1)

function flow(sampler: number, packets: number, octets: number, last = 1): RecordBatch {
  return batchOf(flows, [[sampler, packets, octets, 'eth0']], from(last))
}

test('counters are multiplied by the rate of the sampler that the record names, and marked', (t) => {
  const sampling = createSampling('auto')
  sampling.apply([batchOf(samplers, [[7, 2, 1000]], from(1))])
  const [scaled, other, elsewhere] = sampling.apply([
    flow(7, 3, 4_000_000_000),
    flow(8, 3, 200),
    flow(7, 3, 200, 2),
  ])
  t.like(values(scaled), {
    samplerId: 7,
    packetDeltaCount: 3000,
    octetDeltaCount: 4_000_000_000_000,
    interfaceName: 'eth0',
    dartaSamplingFactor: 1000,
  })
  // Another sampler, and one of the same number elsewhere: not known is not known.
  t.is(other.template, flows)
  t.is(elsewhere.template, flows)
})

test('records with known and unknown rates in one batch: the factor 0 says which are which', (t) => {
  const sampling = createSampling('auto')
  sampling.apply([batchOf(samplers, [[7, 2, 10]], from(1))])
  const [batch] = sampling.apply([
    batchOf(
      flows,
      [
        [7, 1, 100, 'a'],
        [9, 1, 100, 'b'],
      ],
      from(1),
    ),
  ])
  t.like(values(batch, 0), {packetDeltaCount: 10, octetDeltaCount: 1000, dartaSamplingFactor: 10})
  t.like(values(batch, 1), {packetDeltaCount: 1, octetDeltaCount: 100, dartaSamplingFactor: 0})
})

test('a rate in the record itself goes before all others', (t) => {
  const own = templateOf([
    [ie.samplingInterval, 2],
    [ie.octetTotalCount, 8],
  ])
  const [batch] = createSampling('auto').apply([batchOf(own, [[512, 2]], from(1))])
  t.like(values(batch), {octetTotalCount: 1024, dartaSamplingFactor: 512})
})

test('systematic sampling: so many packets taken, so many left', (t) => {
  const selectors = templateOf(
    [[ie.selectorId, 2], ie.selectorAlgorithm, ie.samplingPacketInterval, ie.samplingPacketSpace],
    257,
    1,
  )
  const chosen = templateOf([
    [ie.selectorId, 2],
    [ie.packetDeltaCount, 4],
  ])
  const sampling = createSampling('auto')
  sampling.apply([batchOf(selectors, [[1, 1, 2, 198]], from(1))])
  const [batch] = sampling.apply([batchOf(chosen, [[1, 5]], from(1))])
  t.like(values(batch), {packetDeltaCount: 500, dartaSamplingFactor: 100})
})

test('a number multiplies all records, none leaves all as they are, and none is multiplied twice', (t) => {
  const [batch] = createSampling(4).apply([flow(1, 2, 200)])
  t.like(values(batch), {packetDeltaCount: 8, octetDeltaCount: 800, dartaSamplingFactor: 4})
  t.is(createSampling(4).apply([batch])[0], batch)
  const same = flow(1, 2, 200)
  t.is(createSampling('none').apply([same])[0], same)
})

test('options records pass as they are', (t) => {
  const options = batchOf(samplers, [[7, 2, 1000]], from(1))
  t.is(createSampling('auto').apply([options])[0], options)
})
