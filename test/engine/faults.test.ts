import assert from 'node:assert/strict'
import test from 'ava'
import {readEntry} from '../../src/engine/entry.js'
import {apps} from '../../src/processing/analysis/apps/index.js'
import {defaultOptions, type AnalysisApp} from '../../src/processing/analysis/app.js'
import {toolbox} from '../../src/processing/analysis/toolbox.js'
import {Ledger} from '../../src/record/ledger.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {random} from '../metering/coordination/simulation.js'
import {address, batchOf} from '../support/records.js'
import {
  newDecoder,
  resultsOfOne,
  runCluster,
  sourceFlow,
  type Course,
  type Outcome,
} from './cluster.js'

/** How many of each kind, and from which seed on, `npm run schedules:engine -- faults` says. */
const {DARTA_CASES = '2', DARTA_SEED = '1'} = process.env
const windowing = {lengthMs: 20_000, slideMs: 20_000, latenessMs: 10_000}

const app = (await apps.top()).default as unknown as AnalysisApp
const analysis = app.prepare({...defaultOptions(app), top: 0}, toolbox)

function trafficOf(next: () => number): RecordBatch[] {
  return Array.from({length: 25}, (_, batch) => {
    const start = 1_700_000_000_000 + batch * 4000
    const rows = Array.from({length: 5 + Math.floor(next() * 40)}, () => {
      const ms = start + Math.floor(next() * 5000)
      const source = address(`10.0.${Math.floor(next() * 4)}.${Math.floor(next() * 16)}`)
      return [source, 40 + Math.floor(next() * 1400), 1, ms - 10, ms]
    })
    return batchOf(sourceFlow, rows, {exportTime: Math.floor(start / 1000) + 10})
  })
}

/** Records that the log took, each once. */
function recordsOf(log: Outcome['log']): RecordBatch[] {
  const seen = new Set<string>()
  return log.flatMap(({part, octets}) => {
    const {header, messages} = readEntry(octets)
    const key = `${header.publisher} ${part} ${header.before}`
    if (header.kind !== 'records' || seen.has(key)) return []
    seen.add(key)
    const decoder = newDecoder(new Ledger())
    return [...decoder.push(messages), ...decoder.end()]
  })
}

const countOf = (batches: readonly RecordBatch[]): number =>
  batches.reduce((n, {count}) => n + count, 0)

type Kind = Pick<Course, 'faults'> & Partial<Course>

/** One message, a few of them, and all at once. */
const kinds: Readonly<Record<string, Kind>> = {
  'a message that was acknowledged is dropped': {faults: {lostAppend: 0.01, most: 1}},
  'messages that were acknowledged are dropped': {faults: {lostAppend: 0.01}},
  'messages are dropped before they arrive': {faults: {refusedAppend: 0.05}},
  'acknowledgements are dropped': {faults: {unansweredAppend: 0.05, unansweredPut: 0.01}},
  'messages arrive once more, much later': {faults: {repeatedAppend: 0.05}},
  'messages are dropped on their way to units': {faults: {skippingRead: 0.1}},
  'messages overtake one another': {faults: {reorderingRead: 0.1}},
  'messages come twice': {faults: {repeatingRead: 0.1}},
  'nothing arrives for 10 s': {faults: {stall: 0.0005}},
  'others write to the log': {faults: {foreignAppend: 0.05}},
  'a publisher dies and messages are dropped': {
    publisherDies: true,
    faults: {lostAppend: 0.003, refusedAppend: 0.01, skippingRead: 0.05},
  },
  'all of it, with units that die, freeze, come and go': {
    ...{crashes: 2, freezes: 2, joins: 1, leaves: 1, publisherDies: true},
    faults: {
      ...{lostAppend: 0.002, refusedAppend: 0.01, unansweredAppend: 0.01, repeatedAppend: 0.02},
      ...{skippingRead: 0.03, reorderingRead: 0.03, repeatingRead: 0.03, stall: 0.0002},
      unansweredPut: 0.002,
    },
  },
}

for (const [what, kind] of Object.entries(kinds)) {
  test(`${what}: healed or counted`, async (t) => {
    let faults = 0
    let dropped = 0
    for (let i = 0; i < Number(DARTA_CASES); i++) {
      const seed = Number(DARTA_SEED) + i
      const next = random(seed)
      const batches = trafficOf(next)
      const outcome = await runCluster(analysis, batches, {
        ...{seed, units: 1 + Math.floor(next() * 4), parts: 4, publishers: 2, windowing},
        ...{crashes: 0, freezes: 0, joins: 0, leaves: 0},
        ...kind,
      }).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${String(error)}`, {cause: error})
      })
      faults += outcome.faults
      const had = recordsOf(outcome.log)
      const gone = outcome.dropped.reduce((n, octets) => n + readEntry(octets).header.records, 0)
      dropped += gone
      const why = `seed ${seed}: ${outcome.notes.join('\n')}`
      const expected = resultsOfOne(analysis, {...windowing, latenessMs: 1e12}, had)
      assert.deepEqual(new Map([...outcome.results].sort()), expected, why)
      assert.equal(outcome.late, 0, why)
      assert.equal(outcome.foreign, outcome.written, why)
      assert.equal(outcome.analysed, countOf(had), why)
      // What a publisher was told last before it died it could tell nobody.
      if (kind.publisherDies === true) assert.ok(outcome.lost <= gone, why)
      else {
        assert.equal(outcome.lost, gone, why)
        assert.equal(outcome.analysed + outcome.lost, countOf(batches), why)
      }
    }
    t.true(faults > 0)
    t.log(`${DARTA_CASES} cases, ${faults} faults, ${dropped} records dropped`)
  })
}
