import test from 'ava'
import {netflow9Encoder} from '../../src/commands/ipfix-export/netflow9.js'
import {sflowEncoder} from '../../src/commands/ipfix-export/sflow.js'
import {StageLedger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'
import {address, batchOf, templateOf} from '../support/records.js'

function accounts(): {records: StageLedger; fields: StageLedger} {
  return {records: new StageLedger('as', 'records'), fields: new StageLedger('fields', 'fields')}
}

/** IDs of the FlowSets of a datagram, which fill it. RFC 3954 section 5. */
function flowSets(datagram: Uint8Array): number[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength)
  const ids: number[] = []
  let at = 20
  while (at < datagram.length) {
    const length = view.getUint16(at + 2)
    if (length <= 4) throw new Error(`a FlowSet of ${length} octets at ${at}`)
    ids.push(view.getUint16(at))
    at += length
  }
  if (at !== datagram.length) throw new Error(`FlowSets end at ${at} of ${datagram.length}`)
  return ids
}

const source = templateOf([ie.sourceIPv4Address, ie.packetDeltaCount], 300)
const destination = templateOf([ie.destinationIPv4Address], 300)
const wide = templateOf([ie.sourceIPv4Address, [ie.applicationName, 200]], 300)

test('another Template under an ID in use is announced again', (t) => {
  const encoder = netflow9Encoder(accounts(), () => 1400)
  encoder.push(batchOf(source, [[address('192.0.2.1'), 1]]))
  encoder.push(batchOf(destination, [[address('192.0.2.2')]]))
  encoder.push(batchOf(source, [[address('192.0.2.3'), 3]]))
  const sets = encoder.flush().messages.flatMap(flowSets)
  t.deepEqual(sets, [0, 300, 0, 300, 0, 300])
})

test('records that no datagram has room for are counted, also under an ID that others have used', (t) => {
  const account = accounts()
  const encoder = netflow9Encoder(account, () => 100)
  encoder.push(batchOf(source, [[address('192.0.2.1'), 1]]))
  encoder.push(batchOf(wide, [[address('192.0.2.2'), new Uint8Array(200)]]))
  encoder.push(batchOf(source, [[address('192.0.2.3'), 3]]))
  const {messages} = encoder.flush()
  t.deepEqual(messages.flatMap(flowSets), [0, 300])
  t.is(account.records.out, 2)
  t.deepEqual([...account.records.lost], [['record-too-long', 1]])
})

test('a Flow that lasts longer than 32 bits of milliseconds hold is counted, and not told with another end', (t) => {
  const timed = templateOf([ie.flowStartMilliseconds, ie.flowEndMilliseconds], 302)
  const account = accounts()
  const encoder = netflow9Encoder(account, () => 1400)
  const longest = 2 ** 32 - 60_001
  const start = 1_700_000_000_000
  for (const more of [0, 1]) {
    encoder.push(batchOf(timed, [[start, start + longest + more]]))
  }
  const octets = encoder.flush().messages.at(-1)!
  t.is(account.records.out, 1)
  t.deepEqual([...account.records.skipped], [['time-range', 1]])
  // Behind the headers of the packet and of its FlowSet.
  const view = new DataView(octets.buffer, octets.byteOffset + 20 + 4)
  t.is(view.getUint32(4) - view.getUint32(0), longest)
})

test('a sampler whose number is beyond 2^53 ends nothing', (t) => {
  const told = templateOf(
    [ie.selectorId, ie.samplingPacketInterval, ie.samplingPacketSpace],
    301,
    1,
  )
  const encoder = sflowEncoder(accounts(), () => 1400)
  t.notThrows(() => encoder.push(batchOf(told, [[2n ** 60n, 1, 99]])))
})
