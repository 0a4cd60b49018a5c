import test from 'ava'
import assert from 'node:assert/strict'
import top from '../../../src/processing/analysis/apps/top.js'
import {
  createProcessingUnit,
  type ProcessingUnit,
  type UnitWindow,
  type Windowing,
} from '../../../src/processing/analysis/processing-unit.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {toolbox} from '../../../src/processing/analysis/toolbox.js'
import type {DartaError} from '../../../src/record/errors.js'
import {StageLedger} from '../../../src/record/ledger.js'
import {ie, reverseOf} from '../../../src/registry/lookup.js'
import {flowBatches, START} from '../../support/flows.js'
import fc from '../../support/properties.js'
import {batchOf, templateOf} from '../../support/records.js'
import {plainRecords} from '../../support/results.js'

const analysis = top.prepare({statistic: ['srcip/octets'], top: 10, why: false}, toolbox)
const minutes: Windowing = {
  lengthMs: 60_000,
  slideMs: 60_000,
  latenessMs: 0,
  watermark: 'given',
}
const overlapping: Windowing = {...minutes, slideMs: 20_000}
// Begins a minute.
const MINUTE = 1_700_000_040_000

function unitOf(windowing?: Windowing, maxOctets = 0): {unit: ProcessingUnit; ledger: StageLedger} {
  const ledger = new StageLedger('unit', 'records')
  return {unit: createProcessingUnit(analysis, {windowing, maxOctets, ledger}), ledger}
}

/** A Flow of `octets` that ended at this millisecond of the first minute. */
function ended(at: number, octets = 1, exportTime = 1_800_000_000): RecordBatch[] {
  const end = MINUTE + at
  return flowBatches([{from: '192.0.2.1', to: '192.0.2.2', octets, start: end - 500, end}], {
    exportTime,
  })
}

/** Moves the watermark and takes what it closes. */
function close(unit: ProcessingUnit, watermark: number): UnitWindow[] {
  unit.advance(watermark)
  return unit.takeClosed()
}

/** Start of each window and octets in it, of windows that are taken out. */
function told(windows: readonly UnitWindow[]): unknown[] {
  return windows.map(({window, results}) => {
    const [summary] = plainRecords(results())
    return [window && window.startMs - MINUTE, summary.octetDeltaCount]
  })
}

test('without windows the whole input is one, also when there is none', (t) => {
  const {unit} = unitOf()
  t.deepEqual(told(close(unit, Infinity)), [])
  t.deepEqual(told(unit.finish()), [[undefined, 0]])
})

test('a record is of the window in which its Flow ended; the end of a window is not part of it', (t) => {
  const {unit, ledger} = unitOf(minutes)
  unit.add([...ended(0, 1), ...ended(59_999, 2), ...ended(60_000, 4), ...ended(200_000, 8)])
  t.deepEqual(told(unit.finish()), [
    [0, 3],
    [60_000, 4],
    [180_000, 8],
  ])
  t.is(ledger.line(), 'unit: 4 records in, 4 out')
})

test('each direction of a Biflow is of the window in which it ended', (t) => {
  const {unit, ledger} = unitOf(minutes)
  const template = templateOf([
    ...[ie.sourceIPv4Address, ie.destinationIPv4Address],
    ...[ie.octetDeltaCount, ie.flowEndMilliseconds],
    ...[reverseOf(ie.octetDeltaCount)!, reverseOf(ie.flowEndMilliseconds)!],
  ])
  unit.add([
    batchOf(template, [
      [1, 2, 10, MINUTE, 20, MINUTE + 60_000],
      [1, 2, 100, MINUTE, 0, 0],
      [1, 2, 1000, MINUTE + 60_000, 2000, MINUTE],
    ]),
  ])
  t.deepEqual(told(unit.finish()), [
    [0, 2110],
    [60_000, 1020],
  ])
  t.is(ledger.line(), 'unit: 5 records in, 5 out, noted of-biflows 2')
})

test('results say of which window they are, those of options in their scope', (t) => {
  const {unit} = unitOf(minutes)
  unit.add(ended(5))
  const [summary, row] = plainRecords(unit.finish()[0].results())
  t.is(summary._scope, 3)
  for (const record of [summary, row]) {
    t.is(record.dartaWindowStartMilliseconds, MINUTE)
    t.is(record.dartaWindowEndMilliseconds, MINUTE + 60_000)
  }
  t.is(row.octetDeltaCount, 1)
})

test('a window is closed when the watermark has passed its end and the lateness', (t) => {
  const {unit} = unitOf({...minutes, latenessMs: 10_000})
  unit.add([...ended(1_000), ...ended(61_000)])
  t.deepEqual(told(close(unit, MINUTE + 69_999)), [])
  t.deepEqual(told(close(unit, MINUTE + 70_000)), [[0, 1]])
  t.deepEqual(told(close(unit, MINUTE + 70_000)), [])
  t.deepEqual(told(unit.finish()), [[60_000, 1]])
})

test('what comes for a closed window is lost as late, and a watermark never goes back', (t) => {
  const {unit, ledger} = unitOf(minutes)
  unit.add(ended(1_000))
  close(unit, MINUTE + 60_000)
  close(unit, MINUTE)
  unit.add([...ended(59_999), ...ended(60_000)])
  t.deepEqual(told(unit.finish()), [[60_000, 1]])
  t.is(ledger.line(), 'unit: 3 records in, 2 out, lost 1 (late 1)')
})

test('windows that overlap count a record in each, the ledger counts it once', (t) => {
  const {unit, ledger} = unitOf(overlapping)
  unit.add(ended(30_000))
  t.deepEqual(told(unit.finish()), [
    [-20_000, 1],
    [0, 1],
    [20_000, 1],
  ])
  t.is(ledger.line(), 'unit: 1 records in, 1 out')
})

test('of windows that overlap only those that are closed miss a late record', (t) => {
  const {unit, ledger} = unitOf(overlapping)
  close(unit, MINUTE + 60_000)
  unit.add(ended(30_000))
  t.deepEqual(told(unit.finish()), [[20_000, 1]])
  t.is(ledger.lost.size, 0)
})

const own: Windowing = {...minutes, watermark: 'records'}

test('a watermark of its own goes with the records: windows close as they pass', (t) => {
  const {unit} = unitOf({...own, latenessMs: 10_000})
  unit.add(ended(69_999))
  t.deepEqual(told(unit.takeClosed()), [])
  unit.add(ended(5_000, 2))
  unit.add(ended(70_000, 4))
  t.deepEqual(told(unit.takeClosed()), [[0, 2]])
  unit.add(ended(5_000, 8))
  t.deepEqual(told(unit.finish()), [[60_000, 5]])
})

test('a record that claims to end after its export moves the watermark no further than that', (t) => {
  const {unit, ledger} = unitOf(own)
  const exportTime = MINUTE / 1000 + 10
  unit.add(ended(30 * 86_400_000, 1, exportTime))
  unit.add(ended(5_000, 2, exportTime))
  t.is(ledger.lost.size, 0)
  t.deepEqual(told(unit.takeClosed()), [])
  // Where the export time is not known, its word is taken.
  const other = unitOf(own)
  other.unit.add(ended(30 * 86_400_000, 1, 0))
  other.unit.add(ended(5_000, 2, 0))
  t.deepEqual([...other.ledger.lost], [['late', 1]])
})

test('in what pieces the records come decides nothing, not even what is late', (t) => {
  const records = fc.array(fc.record({at: fc.nat(300_000), cut: fc.boolean()}), {maxLength: 30})
  fc.assert(
    fc.property(records, fc.nat(40_000), (steps, latenessMs) => {
      const windowing = {...own, slideMs: 30_000, latenessMs}
      const whole = unitOf(windowing)
      whole.unit.add(steps.flatMap(({at}) => ended(at)))
      const pieces = unitOf(windowing)
      const results: unknown[] = []
      let piece: RecordBatch[] = []
      for (const {at, cut} of steps) {
        piece.push(...ended(at))
        if (!cut) continue
        pieces.unit.add(piece)
        results.push(...told(pieces.unit.takeClosed()))
        piece = []
      }
      pieces.unit.add(piece)
      results.push(...told(pieces.unit.finish()))
      assert.deepEqual(results, told(whole.unit.finish()))
      assert.equal(pieces.ledger.line(), whole.ledger.line())
    }),
    {numRuns: 200},
  )
  t.pass()
})

test('sums that stand at 2^64 − 1 are told as missing when the window is closed', (t) => {
  const {unit, ledger} = unitOf(minutes)
  const template = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount, ie.flowEndMilliseconds])
  unit.add([
    batchOf(template, [
      [1, 2n ** 64n - 1n, MINUTE],
      [1, 1, MINUTE],
      [2, 7, MINUTE],
    ]),
  ])
  const [window] = unit.finish()
  const [summary, row] = plainRecords(window.results())
  t.is(ledger.missing.size, 0)
  window.close()
  // One addition, and the sum of all.
  t.deepEqual([...ledger.missing], [['sum-limit', 2]])
  t.is(summary.octetDeltaCount, 2n ** 64n - 1n)
  t.is(row.octetDeltaCount, 2n ** 64n - 1n)
})

test('times beyond what a window can be made of are lost as impossible', (t) => {
  const {unit, ledger} = unitOf(minutes)
  const template = templateOf([ie.sourceIPv4Address, ie.flowEndMilliseconds])
  unit.add([
    batchOf(template, [
      [1, 2n ** 64n - 1n],
      [1, START],
    ]),
  ])
  t.is(ledger.line(), 'unit: 2 records in, 1 out, lost 1 (impossible-time 1)')
})

test('records without an end are of their start, without any time of their export', (t) => {
  const {unit} = unitOf(minutes)
  const exportTime = MINUTE / 1000 + 125
  const start = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount, ie.flowStartSeconds])
  const none = templateOf([ie.sourceIPv4Address, ie.octetDeltaCount], 257)
  unit.add([
    batchOf(start, [[1, 1, MINUTE / 1000 + 65]], {exportTime}),
    batchOf(none, [[1, 2]], {exportTime}),
  ])
  t.deepEqual(told(unit.finish()), [
    [60_000, 1],
    [120_000, 2],
  ])
})

test('the limit holds for all windows together', (t) => {
  const {unit} = unitOf(minutes, 5_000)
  const error = t.throws<DartaError>(() => {
    for (let minute = 0; minute < 100; minute++) unit.add(ended(minute * 60_000))
  })
  t.is(error?.code, 'DARTA_MEMORY_LIMIT')
  t.regex(error?.message ?? '', /--max-memory/)
})

test('units that share records and a watermark have the windows of one that has them all', (t) => {
  const step = fc.record({at: fc.nat(400_000), unit: fc.nat(2), octets: fc.nat(1000)})
  fc.assert(
    fc.property(fc.array(step, {maxLength: 30}), fc.nat(20_000), (steps, latenessMs) => {
      const windowing = {...minutes, slideMs: 30_000, latenessMs}
      const whole = unitOf(windowing)
      const shares = [0, 1, 2].map(() => unitOf(windowing))
      for (const {at, unit, octets} of steps) {
        whole.unit.add(ended(at, octets))
        shares[unit].unit.add(ended(at, octets))
      }
      const merged = unitOf(windowing)
      for (const {unit} of shares) merged.unit.merge(unit.snapshot(false))
      const watermark = MINUTE + 200_000
      assert.deepEqual(told(close(merged.unit, watermark)), told(close(whole.unit, watermark)))
      assert.deepEqual(told(merged.unit.finish()), told(whole.unit.finish()))
      assert.equal(
        shares.reduce((n, s) => n + s.ledger.out, 0),
        whole.ledger.out,
      )
    }),
    {numRuns: 100},
  )
  t.pass()
})

test('a snapshot of a unit that is cut anywhere inside is refused', (t) => {
  const {unit} = unitOf(minutes)
  unit.add(ended(1))
  const snapshot = unit.snapshot(false)
  for (let cut = 1; cut < snapshot.length; cut++) {
    const error = t.throws<DartaError>(() => unitOf(minutes).unit.merge(snapshot.subarray(0, cut)))
    t.is(error?.code, 'DARTA_VALUE', `cut to ${cut}`)
  }
})
