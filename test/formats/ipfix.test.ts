import test from 'ava'
import ipfix from '../../src/formats/ipfix.js'
import {Ledger} from '../../src/record/ledger.js'
import {hex} from '../hex.js'
import {join, message, named, accounts} from '../ipfix/octets.js'

const octets = join(
  message(hex`0002 000c 0100 0001 0008 0004 0100 0008 c0000201`),
  message(hex`0100 0008 c0000202`, {sequence: 1, time: 1_700_000_060}),
)

test('a Message is detected by its first octets, however few there are', (t) => {
  for (let size = 2; size <= octets.length; size++) {
    t.true(ipfix.detects(octets.subarray(0, size)), `${size} octets`)
  }
})

for (const [what, head] of [
  ['nothing', hex``],
  ['one octet', hex`00`],
  ['NetFlow 9', hex`0009 0001 ${new Uint8Array(30)}`],
  ['a Message shorter than its header', hex`000a 000c ${new Uint8Array(30)}`],
  ['Sets that do not fit their Message', hex`000a 0018 ${new Uint8Array(12)} 0002 0009 00000000`],
] as const) {
  test(`${what} is not detected as IPFIX`, (t) => t.false(ipfix.detects(head)))
}

test('what the format writes it reads, and the ledger has both sides', (t) => {
  const ledger = new Ledger()
  const decoder = ipfix.decoder({ledger, source: 'file.ipfix'})
  const batches = [...decoder.push(octets), ...decoder.end()]
  t.deepEqual(named(batches).flat(), [
    ['sourceIPv4Address', '192.0.2.1'],
    ['sourceIPv4Address', '192.0.2.2'],
  ])
  t.is(batches[0].message.exporter, 'file.ipfix')
  const encoder = ipfix.encoder({ledger, options: {}})
  t.deepEqual(join(...encoder.push(batches), ...encoder.end()), octets)
  t.deepEqual(ledger.lines(), [
    'ipfix-messages: 2 messages in, 2 out',
    'ipfix: 2 records in, 2 out',
    'ipfix-write: 2 records in, 2 out',
  ])
})

test('options say how long Messages may be and when Templates are sent again', (t) => {
  const ledger = new Ledger()
  const decoder = ipfix.decoder({ledger, source: '-'})
  const batches = [...decoder.push(octets), ...decoder.end()]
  const refreshed = ipfix.encoder({ledger, options: {templateRefresh: 60}})
  const written = join(...refreshed.push(batches), ...refreshed.end())
  t.is(written.length, octets.length + 12)
  const short = ipfix.encoder({ledger, options: {maxMessageOctets: 35}})
  t.is(join(...short.push(batches), ...short.end()).length, octets.length + 16)
})

test('several inputs share one account where their ledger does', (t) => {
  const ledger = new Ledger()
  for (const source of ['a', 'b']) {
    const decoder = ipfix.decoder({ledger, source})
    decoder.push(octets.slice())
    decoder.end()
  }
  t.is(ledger.stages.length, 2)
  t.is(accounts(ledger).records.out, 4)
})
