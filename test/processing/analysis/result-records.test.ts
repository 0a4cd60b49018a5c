import test from 'ava'
import {flowColumns} from '../../../src/processing/analysis/flow-sums.js'
import {keyFields, keyText} from '../../../src/processing/analysis/key-values.js'
import {resultBatches, withWindow} from '../../../src/processing/analysis/result-records.js'
import {createGroupTable} from '../../../src/record/group-table.js'
import {ie} from '../../../src/registry/elements.js'
import {flowKey} from '../../../src/registry/flow-keys.js'
import {batchOf, noMessage, templateOf} from '../../support/records.js'
import {plainRecords} from '../../support/results.js'

test('records come in their order, in batches of one Template each', (t) => {
  const port = {fields: [[ie.sourceTransportPort, 1]] as const}
  const mixed = {
    fields: [
      [ie.userName, 'a'],
      [ie.octetDeltaCount, 2n ** 63n],
    ] as const,
    scopeCount: 1,
  }
  const batches = [...resultBatches(noMessage, [port, mixed, mixed, port])]
  t.deepEqual(
    batches.map(({template, count}) => [template.id, template.scopeCount, count]),
    [
      [256, 0, 1],
      [257, 1, 2],
      [256, 0, 1],
    ],
  )
  t.deepEqual(plainRecords(batches), [
    {sourceTransportPort: 1},
    {_scope: 1, userName: 'a', octetDeltaCount: 2n ** 63n},
    {_scope: 1, userName: 'a', octetDeltaCount: 2n ** 63n},
    {sourceTransportPort: 1},
  ])
})

test('many records come in several batches, made as they are asked for', (t) => {
  let made = 0
  function* records() {
    for (let i = 0; i < 10_000; i++) {
      made++
      yield {fields: [[ie.dartaRank, i]] as const}
    }
  }
  const batches = []
  for (const batch of resultBatches(noMessage, records())) {
    if (batches.length === 0) t.true(made < 5_000)
    batches.push(batch)
  }
  t.true(batches.length > 2)
  t.deepEqual(
    plainRecords(batches).map((record) => record.dartaRank),
    Array.from({length: 10_000}, (_, i) => i),
  )
})

test('a window stands in front of records of any size', (t) => {
  const names = ['a', 'bcd'].map((name) => ({fields: [[ie.userName, name]] as const}))
  const window = {startMs: 60_000, endMs: 120_000}
  const batches = [...withWindow(resultBatches(noMessage, names), window)]
  t.is(batches.length, 1)
  t.deepEqual(
    plainRecords(batches),
    ['a', 'bcd'].map((userName) => ({
      dartaWindowStartMilliseconds: 60_000,
      dartaWindowEndMilliseconds: 120_000,
      userName,
    })),
  )
})

test('fields of keys may be kept while rows go by', (t) => {
  const table = createGroupTable({key: [flowKey('srcip')], columns: flowColumns})
  const sources = Array.from({length: 5_000}, (_, i) => [Math.imul(i, 2654435761) >>> 0])
  table.add([batchOf(templateOf([ie.sourceIPv4Address]), sources)])
  const kept: [string, {fields: ReturnType<typeof keyFields>}][] = []
  table.eachRow((row) => kept.push([keyText(row, 0), {fields: keyFields(row, 0)}]))
  t.is(kept.length, 5_000)
  const records = plainRecords(
    resultBatches(
      noMessage,
      kept.map(([, record]) => record),
    ),
  )
  t.deepEqual(
    records.map((record) => record.sourceIPv4Address),
    kept.map(([text]) => text),
  )
})
