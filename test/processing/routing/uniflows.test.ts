import assert from 'node:assert/strict'
import test from 'ava'
import {createUniflows, isDirected} from '../../../src/processing/routing/uniflows.js'
import {createGroupTable} from '../../../src/record/group-table.js'
import {flowColumns} from '../../../src/processing/analysis/flow-sums.js'
import {columnOrder} from '../../../src/record/group-selection.js'
import {hexText} from '../../../src/record/value.js'
import {flowKey} from '../../../src/registry/flow-keys.js'
import {ie, reverseOf} from '../../../src/registry/lookup.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import fc from '../../support/properties.js'
import {address, batchOf, templateOf} from '../../support/records.js'
import {cook, someRecipe} from '../../support/recipes.js'
import {plainRecords} from '../../support/results.js'

test('a Biflow becomes two records, each as its side would have sent it', (t) => {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.sourceTransportPort,
    ie.destinationTransportPort,
    ie.protocolIdentifier,
    ie.octetDeltaCount,
    ie.flowStartMilliseconds,
    reverseOf(ie.octetDeltaCount)!,
    reverseOf(ie.flowStartMilliseconds)!,
    ie.biflowDirection,
  ])
  const ends = [address('192.0.2.1'), address('192.0.2.2'), 40000, 443, 6]
  const batch = batchOf(template, [
    [...ends, 100, 1000, 2000, 1001, 1],
    [...ends, 100, 1000, 0, 0, 1],
  ])
  const forward = {
    sourceIPv4Address: '192.0.2.1',
    destinationIPv4Address: '192.0.2.2',
    sourceTransportPort: 40000,
    destinationTransportPort: 443,
    protocolIdentifier: 6,
    octetDeltaCount: 100,
    flowStartMilliseconds: 1000,
  }
  const reverse = {
    destinationIPv4Address: '192.0.2.1',
    sourceIPv4Address: '192.0.2.2',
    destinationTransportPort: 40000,
    sourceTransportPort: 443,
    protocolIdentifier: 6,
    octetDeltaCount: 2000,
    flowStartMilliseconds: 1001,
  }
  t.deepEqual(plainRecords(createUniflows()(batch)), [forward, forward, reverse])
})

test('what the responder sent is its own where initiator and responder are counted', (t) => {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.initiatorOctets,
    ie.responderOctets,
  ])
  const batch = batchOf(template, [[1, 2, 10, 20]])
  t.deepEqual(plainRecords(createUniflows()(batch)), [
    {sourceIPv4Address: '0.0.0.1', destinationIPv4Address: '0.0.0.2', initiatorOctets: 10},
    {destinationIPv4Address: '0.0.0.1', sourceIPv4Address: '0.0.0.2', initiatorOctets: 20},
  ])
})

test('groups of the two records are the groups of the Biflow', (t) => {
  const groups = (batches: readonly RecordBatch[]): unknown => {
    const table = createGroupTable({
      key: [flowKey('srcip'), flowKey('dstport')],
      columns: flowColumns,
    })
    table.add(batches)
    const {rows, totals} = table.select([{order: columnOrder(0), count: 0}])
    return [
      totals,
      rows[0].map((row) => [hexText(row.key), flowColumns.map((_, i) => row.value(i))]),
    ]
  }
  fc.assert(
    fc.property(fc.array(someRecipe, {maxLength: 6}), (recipes) => {
      const batches = recipes.map(cook)
      const uniflows = createUniflows()
      assert.deepEqual(groups(batches.flatMap((batch) => uniflows(batch))), groups(batches))
    }),
    {numRuns: 500},
  )
  t.pass()
})

test('a key that has both directions as one needs no two records', (t) => {
  const pair = [flowKey('srcip'), flowKey('dstip')]
  t.false(isDirected({key: pair, symmetric: 1}))
  t.true(isDirected({key: pair}))
  t.false(isDirected({key: [flowKey('proto')]}))
})
