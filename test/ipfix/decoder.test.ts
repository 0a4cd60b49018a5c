import test from 'ava'
import {hex} from '../hex.js'
import {decode, encode, join, message, named} from './octets.js'

/** The example of RFC 7011 appendix A.4 and A.5, in one Message. */
const template = hex`
  0002 001c        # Template Set, 28 octets
  0100 0005        # Template 256, 5 fields
  0008 0004        # sourceIPv4Address
  000c 0004        # destinationIPv4Address
  000f 0004        # ipNextHopIPv4Address
  0002 0004        # packetDeltaCount, reduced size
  0001 0004        # octetDeltaCount, reduced size
`
const data = hex`
  0100 0040        # Data Set, 64 octets
  c000020c c00002fe c0000201 00001391 00518f4c   # 5009 packets, 5345100 octets
  c000021b c0000217 c0000202 0000037c 0006a1b1
  c0000238 c0000241 c0000203 00000c8d 001f8ef4
`

test('decodes the example of RFC 7011 appendix A however its octets are cut', (t) => {
  const octets = join(message(template), message(data), message(data, {sequence: 3}))
  const whole = decode(octets)
  t.deepEqual(named(whole.batches)[0], [
    ['sourceIPv4Address', '192.0.2.12'],
    ['destinationIPv4Address', '192.0.2.254'],
    ['ipNextHopIPv4Address', '192.0.2.1'],
    ['packetDeltaCount', 5009],
    ['octetDeltaCount', 5345100],
  ])
  t.is(whole.records.in, 6)
  t.is(whole.records.out, 6)
  t.deepEqual([...whole.records.missing], [])
  for (let step = 1; step < octets.length; step++) {
    const cut = decode(octets, step)
    t.deepEqual(named(cut.batches), named(whole.batches), `${step} at a time`)
    t.deepEqual(cut.ledger.lines(), whole.ledger.lines())
    t.deepEqual(
      cut.batches.map((batch) => batch.message),
      whole.batches.map((batch) => batch.message),
    )
  }
})

test('what is decoded and encoded again is the same records in one Message', (t) => {
  const {batches} = decode(join(message(template), message(data), message(data, {sequence: 3})))
  const {octets, account} = encode(batches)
  t.deepEqual(octets, message(join(template, hex`0100 007c`, data.subarray(4), data.subarray(4))))
  t.deepEqual([account.in, account.out, account.totalLost()], [6, 6, 0])
})
