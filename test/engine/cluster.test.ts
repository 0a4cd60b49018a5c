import assert from 'node:assert/strict'
import test from 'ava'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {defaultOptions, type Analysis, type AnalysisApp} from '../../src/processing/analysis/app.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import {ie} from '../../src/registry/lookup.js'
import {jainIndex} from '../../src/processing/routing/rendezvous.js'
import type {RecordBatch} from '../../src/record/batch.js'
import fc from '../support/properties.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {cook, someRecipe} from '../support/recipes.js'
import {zipf} from '../support/zipf.js'
import {isSendable, resultsOfOne, runCluster, sourceFlow, type Course} from './cluster.js'

/** Some recipes have times from any century: nothing is late. */
const windowing = {lengthMs: 20_000, slideMs: 20_000, latenessMs: 1e14}

async function analysisOf(name: keyof typeof apps): Promise<Analysis> {
  const app = (await apps[name]()).default as unknown as AnalysisApp
  return app.prepare(defaultOptions(app), toolbox)
}

const someCourse = fc.record({
  seed: fc.nat(),
  units: fc.integer({min: 1, max: 8}),
  parts: fc.constantFrom(1, 4, 8),
  publishers: fc.integer({min: 1, max: 2}),
  windowing: fc.constantFrom(windowing, windowing, undefined),
  crashes: fc.nat(3),
  freezes: fc.nat(2),
  joins: fc.nat(2),
  leaves: fc.nat(2),
  faults: fc.constantFrom<Course['faults']>(
    {},
    {unansweredAppend: 0.05},
    {skippingRead: 0.1, repeatingRead: 0.1},
  ),
})

for (const name of Object.keys(apps) as (keyof typeof apps)[]) {
  test(`${name}: one to eight units that come, go, freeze and crash give the results of one`, async (t) => {
    const analysis = await analysisOf(name)
    await fc.assert(
      fc.asyncProperty(
        fc.array(someRecipe, {maxLength: 6}),
        someCourse,
        async (recipes, course) => {
          const batches = recipes.map(cook).filter(isSendable)
          const {results, lost, late} = await runCluster(analysis, batches, course)
          const expected = resultsOfOne(analysis, course.windowing, batches)
          if (course.windowing !== undefined || results.size > 0) {
            assert.deepEqual(new Map([...results].sort()), expected)
          }
          assert.equal(lost, 0)
          assert.equal(late, 0)
        },
      ),
      {numRuns: 4, endOnFailure: true},
    )
    t.pass()
  })
}

/** Flows in the order of their time, a few seconds out of place at most. */
function trafficOf(records: number): RecordBatch[] {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.octetDeltaCount,
    ie.packetDeltaCount,
    ie.flowStartMilliseconds,
    ie.flowEndMilliseconds,
  ])
  return Array.from({length: records / 50}, (_, batch) =>
    batchOf(
      template,
      Array.from({length: 50}, (_, i) => {
        const n = batch * 50 + i
        const ms = 1_700_000_000_000 + n * 100 + ((n * 7919) % 5000)
        const source = address(`10.0.${n % 7}.${n % 11}`)
        return [source, address('192.0.2.1'), 100 + (n % 13), 1, ms - 50, ms]
      }),
      {exportTime: 1_700_000_100 + batch * 5},
    ),
  )
}

test('windows close while the records come, however many units there were and died', async (t) => {
  const analysis = await analysisOf('top')
  const batches = trafficOf(1500)
  const short = {lengthMs: 20_000, slideMs: 20_000, latenessMs: 10_000}
  const expected = resultsOfOne(analysis, short, batches)
  for (const units of [1, 3, 8]) {
    const {results, late, lost, analysed} = await runCluster(analysis, batches, {
      seed: units,
      units,
      parts: 8,
      publishers: 1,
      windowing: short,
      crashes: 4,
      freezes: 2,
      joins: 1,
      leaves: 1,
      faults: {},
    })
    t.is(late + lost, 0)
    t.is(analysed, 1500)
    t.deepEqual(new Map([...results].sort()), expected)
  }
})

test('a leader that has many windows to merge says meanwhile that it is alive', async (t) => {
  const analysis = await analysisOf('top')
  const batches = trafficOf(3000)
  const short = {lengthMs: 1000, slideMs: 1000, latenessMs: 10_000}
  const {results, notes} = await runCluster(analysis, batches, {
    ...{seed: 1, units: 3, parts: 8, publishers: 1, windowing: short, hurried: true},
    ...{crashes: 0, freezes: 0, joins: 0, leaves: 0, faults: {}},
  })
  t.true(results.size > 200)
  t.deepEqual(new Map([...results].sort()), resultsOfOne(analysis, short, batches))
  t.deepEqual(
    notes.filter((note) => /is dead|another owner/.test(note)),
    [],
  )
})

/** 100,000 records of which source number n is as frequent as 1 / n^s, over 100 s. */
function zipfTraffic(s: number): RecordBatch[] {
  const pick = zipf(s, 20_000)
  return Array.from({length: 20}, (_, batch) =>
    batchOf(
      sourceFlow,
      Array.from({length: 5000}, (_, i) => {
        const ms = 1_700_000_000_000 + batch * 5000 + i
        return [0x0a000000 + Math.imul(pick(), 7919), 40 + (i % 1400), 1, ms - 5, ms]
      }),
      {exportTime: 1_700_000_006 + batch * 5},
    ),
  )
}

const evenness = (burden: readonly number[], units: number) => ({
  most: (Math.max(...burden) * units) / burden.reduce((a, b) => a + b, 0),
  jain: jainIndex(
    Array.from({length: units}, (_, i) => burden[i] ?? 0),
    Array<number>(units).fill(1),
  ),
})

test('zipf keys burden eight units alike where they may be split, with the results of one', async (t) => {
  const analysis = await analysisOf('top')
  const batches = zipfTraffic(1.2)
  const short = {lengthMs: 50_000, slideMs: 50_000, latenessMs: 10_000}
  const course: Course = {
    ...{seed: 1, units: 8, parts: 32, publishers: 2, windowing: short},
    ...{crashes: 0, freezes: 0, joins: 0, leaves: 0, faults: {}},
  }
  const expected = resultsOfOne(analysis, short, batches)
  const split = await runCluster(analysis, batches, {...course, splitHot: true})
  t.is(split.analysed, 100_000)
  t.deepEqual(new Map([...split.results].sort()), expected)
  const {most, jain} = evenness(split.burden, 8)
  t.log(`most ${most.toFixed(3)} of the mean, Jain ${jain.toFixed(3)}`)
  t.true(most <= 1.2 && jain >= 0.95, split.burden.join())
  // It is the splitting that does it, and units may crash.
  const whole = await runCluster(analysis, batches, {...course, parts: 16})
  t.true(evenness(whole.burden, 8).most > 1.2, whole.burden.join())
  const rough = await runCluster(analysis, batches, {
    ...{...course, splitHot: true, parts: 8, crashes: 2, freezes: 1, joins: 1, leaves: 1},
  })
  t.deepEqual(new Map([...rough.results].sort()), expected)
})

test('the same seed gives the same course', async (t) => {
  const analysis = await analysisOf('top')
  const batches = trafficOf(500)
  const course: Course = {
    seed: 5,
    units: 3,
    parts: 4,
    publishers: 2,
    windowing,
    crashes: 2,
    freezes: 1,
    joins: 1,
    leaves: 1,
    faults: {unansweredAppend: 0.1},
  }
  const [a, b] = [
    await runCluster(analysis, batches, course),
    await runCluster(analysis, batches, course),
  ]
  t.deepEqual(a.notes, b.notes)
  t.is(a.virtualMs, b.virtualMs)
  t.true(a.notes.some((note) => note.endsWith('is dead')))
})
