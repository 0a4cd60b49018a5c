import test from 'ava'
import {createRoutingKeyReader} from '../../../src/processing/analysis/routing-key.js'
import {VARIABLE} from '../../../src/record/element.js'
import {flowKey, prefixKey} from '../../../src/registry/flow-keys.js'
import {ie} from '../../../src/registry/elements.js'
import {address, batchOf, templateOf} from '../../support/records.js'

function hex(octets: Uint8Array | undefined): string | undefined {
  return octets && Buffer.from(octets).toString('hex')
}

test('a key is the same however the record is encoded', (t) => {
  const read = createRoutingKeyReader({key: [flowKey('srcip'), flowKey('srcas')]})
  const full = templateOf([ie.sourceIPv4Address, ie.bgpSourceAsNumber])
  const reduced = templateOf([
    [ie.bgpSourceAsNumber, 2],
    [ie.userName, VARIABLE],
    ie.sourceIPv4Address,
  ])
  const one = hex(read(batchOf(full, [[address('192.0.2.1'), 64496]]), 0))
  const other = hex(read(batchOf(reduced, [[64496, 'x', address('192.0.2.1')]]), 0))
  t.is(one, '00c0000201' + '000000fbf0')
  t.is(other, one)
})

test('IPv4 and IPv6 never share a key, nor do a missing part and a value', (t) => {
  const read = createRoutingKeyReader({
    key: [prefixKey('source', {v4: 0, v6: 0}, 'x'), {...flowKey('proto'), optional: true}],
  })
  const keys = [
    batchOf(templateOf([ie.sourceIPv4Address, ie.protocolIdentifier]), [[1, 0]]),
    batchOf(templateOf([ie.sourceIPv6Address, ie.protocolIdentifier]), [[1, 0]]),
    batchOf(templateOf([ie.sourceIPv4Address]), [[1]]),
    batchOf(templateOf([ie.sourceIPv6Address]), [[1]]),
  ].map((batch) => hex(read(batch, 0)))
  t.deepEqual(keys, ['000000', '010000', '00ff', '01ff'])
})

test('texts are part of the key with their length, so that neighbours cannot be mixed up', (t) => {
  const read = createRoutingKeyReader({key: [flowKey('userName'), flowKey('interfaceName')]})
  const template = templateOf([
    [ie.userName, VARIABLE],
    [ie.interfaceName, VARIABLE],
  ])
  const batch = batchOf(template, [
    ['ab', 'c'],
    ['a', 'bc'],
  ])
  t.is(hex(read(batch, 0)), '0000000002616200' + '0000000163')
  t.is(hex(read(batch, 1)), '00000000016100' + '000000026263')
})

test('both directions of a symmetric key are one', (t) => {
  const read = createRoutingKeyReader({key: [flowKey('srcip'), flowKey('dstip')], symmetric: 1})
  const template = templateOf([ie.sourceIPv4Address, ie.destinationIPv4Address])
  const batch = batchOf(template, [
    [9, 5],
    [5, 9],
  ])
  t.is(hex(read(batch, 0)), hex(Uint8Array.from(read(batch, 1)!)))
})

test('a record without the key has none', (t) => {
  const read = createRoutingKeyReader({key: [flowKey('srcip')]})
  t.is(read(batchOf(templateOf([ie.octetDeltaCount]), [[1]]), 0), undefined)
})
