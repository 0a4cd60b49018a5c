import test from 'ava'
import {collecting, ipfix, ipfixTemplate, netflow9, netflow9Template} from './collecting.js'

const A = '192.0.2.1:40000'
const B = '192.0.2.2:40000'

/** A Template of any number with any fields, as an IPFIX Message. */
function template(id: number, elements: readonly number[], sequence = 0, domain = 0): Uint8Array {
  const octets = new Uint8Array(24 + 4 * elements.length)
  const view = new DataView(octets.buffer)
  view.setUint16(0, 10)
  view.setUint16(2, octets.length)
  view.setUint32(4, 1_700_000_000)
  view.setUint32(8, sequence)
  view.setUint32(12, domain)
  view.setUint16(16, 2)
  view.setUint16(18, octets.length - 16)
  view.setUint16(20, id)
  view.setUint16(22, elements.length)
  elements.forEach((element, i) => {
    view.setUint16(24 + 4 * i, element)
    view.setUint16(26 + 4 * i, 4)
  })
  return octets
}

test('another source, port or domain that defines the same Template number changes nothing for the first', async (t) => {
  const {send, out} = await collecting()
  send(A, ipfixTemplate({sequence: 0}))
  for (let i = 0; i < 10_000; i++) {
    const element = 1 + (i % 400)
    if (i % 3 === 0) send(B, template(256, [element, 12]))
    else if (i % 3 === 1) send(`192.0.2.1:${1024 + (i % 1000)}`, template(256, [element, 12]))
    else send(A, template(256, [element, 12], 0, 1 + (i % 100)))
  }
  out.length = 0
  send(A, ipfix({sequence: 0, records: 3}))
  t.is(out.length, 1)
  t.deepEqual(
    out[0].template.fields.map(({element}) => element.name),
    ['sourceIPv4Address'],
  )
  t.is(out[0].count, 3)
})

test('a hundred thousand Templates of a hostile source stay within their room, and another Exporter loses nothing', async (t) => {
  const {send, records, account} = await collecting({
    pool: {maxTemplates: 2048, maxPerSession: 512},
  })
  send(A, ipfixTemplate({sequence: 0}))
  let sent = 0
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 100_000; i++) {
    // Each number once in 65,280, with fields that are never the same.
    send(B, template(256 + (i % 65_280), [1 + (i % 500), 1 + (i % 499), 1 + (i % 491)], 0, i % 64))
    if (i % 100 === 0) {
      send(A, ipfix({sequence: sent, records: 2}))
      sent += 2
    }
  }
  t.is(records(), sent)
  t.true(account('ipfix-messages').noted.get('template-evicted')! > 90_000)
  t.true(process.memoryUsage().heapUsed - before < 128 * 2 ** 20)
})

test('data for ten minutes without Templates is counted, and read as soon as there is one', async (t) => {
  const {send, records, account, collector} = await collecting()
  let sequence = 0
  for (let second = 0; second < 600; second++) {
    send(A, ipfix({sequence, records: 5, time: 1_700_000_000 + second}), 1.7e12 + 1000 * second)
    sequence += 5
  }
  t.is(records(), 0)
  send(A, ipfixTemplate({sequence, time: 1_700_000_600}))
  send(A, ipfix({sequence, records: 5, time: 1_700_000_600}))
  const read = records()
  // What waited for less than 30 s is read, the rest is lost; together they are all that came.
  t.true(read >= 5 + 5 * 29 && read <= 5 + 5 * 31, `${read} read`)
  collector.end()
  t.is(account('ipfix').lost.get('no-template')! + read, 601 * 5)
  t.is(account('ipfix').totalMissing(), 0)
})

test('NetFlow 9: data before its Template waits for it as well', async (t) => {
  const {send, records, account} = await collecting()
  send(A, netflow9({sequence: 0, records: 3}))
  send(A, netflow9Template({sequence: 1}))
  send(A, netflow9({sequence: 2, records: 4}))
  t.is(records(), 7)
  t.is(account('netflow9-messages').totalMissing(), 0)
})

test('a Template that was not sent again for its lifetime is forgotten', async (t) => {
  const {send, records, account} = await collecting({templateLifetime: 600})
  send(A, ipfixTemplate({sequence: 0, time: 1_700_000_000}))
  send(A, ipfix({sequence: 0, time: 1_700_000_600}))
  t.is(records(), 1)
  send(A, ipfix({sequence: 1, time: 1_700_000_601}))
  t.is(records(), 1)
  t.is(account('ipfix-messages').noted.get('template-expired'), 1)
})

test('a million datagrams of sources that are not allowed leave no trace but their number', async (t) => {
  const {send, records, account, collector} = await collecting({
    allows: ([a]) => a === 192,
    maxSessions: 64,
  })
  send(A, ipfixTemplate({sequence: 0}))
  const spoofed = ipfixTemplate({sequence: 0})
  for (let i = 0; i < 1_000_000; i++) {
    send(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}:4739`, spoofed)
  }
  send(A, ipfix({sequence: 0, records: 2}))
  t.is(records(), 2)
  t.is(account('datagrams').skipped.get('not-allowed'), 1_000_000)
  t.is([...collector.reports()].length, 1)
})

test('new Exporters beyond so many a second are lost, and counted; those that are known are not', async (t) => {
  const {send, records, account} = await collecting({maxNewPerSecond: 10})
  for (let i = 0; i < 100; i++) {
    send(`192.0.2.${i}:1`, ipfixTemplate({sequence: 0}))
    send(`192.0.2.0:1`, ipfix({sequence: i}))
  }
  t.is(records(), 100)
  t.is(account('datagrams').lost.get('new-session-rate'), 90)
})

test('the Exporter that was silent for longest goes for a new one, with its Templates', async (t) => {
  const {send, account, out} = await collecting({maxSessions: 2})
  send(A, ipfixTemplate({sequence: 0}))
  send(B, ipfixTemplate({sequence: 0}))
  send(A, ipfix({sequence: 0}))
  send('192.0.2.3:1', ipfixTemplate({sequence: 0}))
  t.is(account('datagrams').noted.get('session-evicted'), 1)
  out.length = 0
  send(A, ipfix({sequence: 1}))
  t.is(out.length, 1)
  send(B, ipfix({sequence: 0}))
  t.is(out.length, 1)
})
