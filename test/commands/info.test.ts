import test from 'ava'
import {darta} from '../support/darta.js'

interface InfoReport {
  readonly messages: number
  readonly templates: readonly unknown[]
  readonly moreTemplates: number
  readonly observationDomains: readonly number[]
  readonly sequence: readonly {event: string; records: number; sequenceNumber: number}[]
  readonly moreSequenceEvents: number
  readonly missingRecords: number
}

/** A Message with one Set: Template 256, which is octetDeltaCount alone, or one record of it, 0. */
function message(domain: number, sequence: number, template: boolean): Buffer {
  const octets = Buffer.alloc(28)
  octets.writeUInt16BE(10, 0)
  octets.writeUInt16BE(28, 2)
  octets.writeUInt32BE(1_700_000_000, 4)
  octets.writeUInt32BE(sequence, 8)
  octets.writeUInt32BE(domain, 12)
  octets.writeUInt16BE(template ? 2 : 256, 16)
  octets.writeUInt16BE(12, 18)
  if (template) {
    octets.writeUInt16BE(256, 20)
    octets.writeUInt16BE(1, 22)
    octets.writeUInt16BE(1, 24)
    octets.writeUInt16BE(8, 26)
  }
  return octets
}

test('info bounds what it lists of a flood of Templates and counts the rest', async (t) => {
  const flood = Array.from({length: 25_000}, (_, domain) => message(domain, 0, true))
  const {code, stdout} = await darta(t, ['info', '-q', '-o', 'ndjson'], Buffer.concat(flood))
  t.is(code, 0)
  const report = JSON.parse(stdout.toString()) as InfoReport
  t.is(report.messages, 25_000)
  t.is(report.templates.length, 10_000)
  t.is(report.moreTemplates, 15_000)
  t.is(report.observationDomains.length, 10_000)
})

test('info --templates writes the fields of Templates as specifiers of RFC 7013', async (t) => {
  const input =
    '{"sourceIPv4Address":"192.0.2.1","reverseOctetDeltaCount":7,"octetDeltaCount":7,"biflowDirection":1}\n'
  const ipfix = await darta(t, ['print', '-o', 'ipfix'], input)
  const {stdout, code} = await darta(t, ['info', '-q', '--templates'], ipfix.stdout)
  t.is(code, 0)
  t.deepEqual(stdout.toString().trim().split('\n').slice(1), [
    'sourceIPv4Address(8)<ipv4Address>[4]',
    'reverseOctetDeltaCount(29305/1)<unsigned64>[8]',
    'octetDeltaCount(1)<unsigned64>[8]',
    'biflowDirection(239)<unsigned8>[1]',
  ])
})

test('info lists the first thousand breaks of the sequence and counts all', async (t) => {
  // One record in each Message, and one missing before each but the first.
  const broken = Array.from({length: 1501}, (_, i) => message(7, 2 * i, false))
  const stream = Buffer.concat([message(7, 0, true), ...broken])
  const {stdout} = await darta(t, ['info', '-q', '-o', 'ndjson'], stream)
  const report = JSON.parse(stdout.toString()) as InfoReport
  t.is(report.missingRecords, 1500)
  t.is(report.sequence.length, 1000)
  t.is(report.moreSequenceEvents, 500)
  t.like(report.sequence[0], {event: 'gap', records: 1, sequenceNumber: 2})
})

test('sums beyond 2^64 are told as such, not wrong', async (t) => {
  const great = message(1, 0, false)
  great.fill(0xff, 20)
  const stream = Buffer.concat([message(1, 0, true), great, Buffer.from(great)])
  stream.writeUInt32BE(1, 2 * 28 + 8)
  const {code, stdout} = await darta(t, ['info', '-q', '--totals', '-o', 'ndjson'], stream)
  t.is(code, 0)
  t.is(stdout.toString(), '{"file":"-","records":2,"octets":null,"packets":null}\n')
})

test('counters beyond 2^53 keep all their digits', async (t) => {
  const great = message(1, 0, false)
  great.writeBigUInt64BE(2n ** 64n - 2n, 20)
  const stream = Buffer.concat([message(1, 0, true), great])
  const {stdout} = await darta(t, ['info', '-q', '--totals', '-o', 'ndjson'], stream)
  t.is(stdout.toString(), '{"file":"-","records":1,"octets":18446744073709551614,"packets":0}\n')
})
