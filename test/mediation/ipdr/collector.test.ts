import test from 'ava'
import {createIpdrCollector, type ReceivedRecord} from '../../../src/mediation/ipdr/collector.js'
import {isIpdrConnection} from '../../../src/mediation/ipdr/message.js'
import {
  identityOf,
  readStoredRecord,
  storedRecord,
} from '../../../src/mediation/ipdr/stored-record.js'
import {KIND, message, type Kind} from '../../support/ipdr-exporter.js'
import {counted, text, u16, u32, u64, u8} from '../../support/ipdr-writer.js'

function collector(sessions?: readonly number[]) {
  const sent: number[] = []
  const records: ReceivedRecord[] = []
  const closed: string[] = []
  const one = createIpdrCollector(
    'responder',
    {
      ...{vendor: 'darta', address: Uint8Array.of(192, 0, 2, 1), port: 4737},
      ...{keepAliveSeconds: 20, sessions, allFields: false},
    },
    {
      send: (octets) => void sent.push(octets[1]),
      opened() {},
      started() {},
      record: (record) => void records.push(record),
      refused() {},
      missing() {},
      note() {},
      closed: (reason) => void closed.push(reason),
    },
  )
  one.start(0)
  return {
    one,
    records,
    closed,
    countOf: (kind: Kind) => sent.filter((id) => id === KIND[kind]).length,
    take: (nowMs: number, ...messages: readonly Buffer[]): void =>
      one.receive(new Uint8Array(Buffer.concat(messages)), nowMs),
  }
}

const id = Buffer.from([127, 0, 0, 1])
const hello = message('CONNECT', 0, id, u16(0), u32(2), u32(30), text('peer'))
const start = (session: number): Buffer =>
  message(
    'SESSION_START',
    session,
    ...[u32(1), u64(0), u64(0), u8(1), u32(10), u32(100), Buffer.alloc(16, session)],
  )
const data = (session: number, config: number, sequence: number, record: Buffer): Buffer =>
  message('DATA', session, u16(1), u16(config), u8(0), u64(sequence), counted(record))

test('what waits for templates of all sessions of an exporter is bounded, and then goes as it came', (t) => {
  const every = Array.from({length: 256}, (_, session) => session)
  const {one, take, records} = collector(every)
  take(0, hello, ...every.map(start))
  const record = Buffer.alloc(10_000)
  let most = 0
  for (let n = 0; n < 300; n++) {
    take(n, data(n & 255, 1, n >> 8, record))
    most = Math.max(most, n + 1 - records.length)
  }
  t.true(most <= 105, `${most} of 10,000 octets each`)
  one.stop()
  t.is(records.length, 300)
  t.true(records.every(({template}) => template === undefined))
})

test('an exporter is not asked about any number of configurations', (t) => {
  const {one, take, records, countOf} = collector([1])
  take(0, hello, start(1))
  for (let n = 0; n < 1000; n++) {
    take(n, data(1, n, n, Buffer.from('x')))
    // Who does not answer is not waited for.
    one.tick(n + 6000)
  }
  t.is(countOf('GET_TEMPLATES'), 16)
  t.is(records.length, 1000)
})

test('records that wait for their template go in the order in which they came', (t) => {
  const {take, records} = collector([1])
  take(0, hello, start(1), data(1, 2, 0, text('a')), data(1, 2, 1, text('b')))
  t.is(records.length, 0)
  const block = Buffer.concat([
    ...[u32(1), u16(1), text('s'), text('T'), u32(1)],
    ...[u32(0x28), u32(1), text('name'), u8(1)],
  ])
  take(1, message('GET_TEMPLATES_RESPONSE', 1, u16(1), u16(2), block), data(1, 2, 2, text('c')))
  t.deepEqual(
    records.map(({sequence, template}) => [sequence, template?.typeName]),
    [
      [0n, 'T'],
      [1n, 'T'],
      [2n, 'T'],
    ],
  )
  for (const record of records) {
    const kept = readStoredRecord(storedRecord(record))!
    t.deepEqual(kept.template, record.template)
    t.deepEqual(Buffer.from(kept.octets), Buffer.from(record.octets))
    t.deepEqual(identityOf(kept, 'x'), identityOf(record, 'x'))
  }
})

test('a stored record that is cut is none, or has a shorter record', (t) => {
  const {take, records} = collector([1])
  const block = Buffer.concat([u32(1), u16(1), text('s'), text('T'), u32(0)])
  take(0, hello, start(1), message('TEMPLATE_DATA', 1, u16(1), u8(1), block))
  take(0, data(1, 1, 0, Buffer.from('record')))
  const whole = storedRecord(records[0])
  for (let cut = 0; cut < whole.length; cut++) {
    const read = readStoredRecord(whole.subarray(0, cut))
    if (cut < whole.length - 6) t.is(read, undefined, String(cut))
    else t.is(read!.octets.length, cut - (whole.length - 6))
  }
})

test('an exporter whose octets wait here is not taken for dead', (t) => {
  const {one, take, closed} = collector([1])
  take(0, hello)
  one.hold(true, 10_000)
  one.tick(100_000)
  t.deepEqual(closed, [])
  one.hold(false, 100_000)
  one.tick(129_000)
  t.deepEqual(closed, [])
  one.tick(one.dueMs + 30_000)
  t.is(closed.length, 1)
})

test('a connection is one of IPDR only if its first message is CONNECT or its answer to the last octet', (t) => {
  const answer = message('CONNECT_RESPONSE', 0, u32(2), u32(30), text('peer'))
  for (const whole of [hello, answer]) {
    t.true(isIpdrConnection(whole))
    t.true(isIpdrConnection(Buffer.concat([whole, start(1)])))
    const longer = Buffer.from(whole)
    longer.writeUInt32BE(whole.length + 1, 4)
    t.false(isIpdrConnection(longer))
  }
  t.false(isIpdrConnection(start(1)))
  t.false(isIpdrConnection(hello.subarray(0, 10)))
})
