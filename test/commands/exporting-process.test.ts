import test from 'ava'
import {createExportingProcess} from '../../src/commands/capture/exporting-process.js'
import {
  meterOptions,
  parseKey,
  type MeterFlagValues,
} from '../../src/commands/capture/meter-options.js'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {createChecker} from '../../src/ipfix/check.js'
import type {MeterCounters, MeterOptions, MeterOutput} from '../../src/metering/meter.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'

const plain: MeterFlagValues = {
  emit: 'flows',
  biflow: false,
  decap: false,
  precision: 'ms',
  section: 64,
  'on-full': 'evict',
}

const nothing: MeterCounters = {
  frames: 0,
  ipPackets: 0,
  ipOctets: 0,
  skipped: new Map(),
  lost: new Map(),
  firstOffset: new Map(),
  lostOctets: 0,
  firstLostNs: undefined,
  lastLostNs: undefined,
  inputOctets: 0,
  flowsCreated: 0,
  flowsExported: 0,
  flowsLive: 0,
  flowsEvicted: 0,
  memoryOctets: 0,
  firstTimeNs: undefined,
  lastTimeNs: undefined,
}

/** A buffer as a meter fills it: `count` records of zeros. */
function buffer(options: MeterOptions, template: 0 | 1, count: number, time: number): MeterOutput {
  const fields = template === 0 ? options.fields.v4 : options.fields.v6
  const size = fields.reduce((sum, {length}) => sum + length, 0)
  const octets = new Uint8Array(20 + count * size)
  const view = new DataView(octets.buffer)
  view.setUint16(16, 256 + template)
  view.setUint16(18, 4 + count * size)
  return {octets, template, count, exportTime: time}
}

/** All records, as objects, of Messages that must break no rule. */
function read(
  t: {deepEqual(a: unknown, b: unknown): unknown},
  messages: readonly Uint8Array[],
): Record<string, unknown>[] {
  const faults: string[] = []
  const checker = createChecker(({message}) => faults.push(message))
  for (const message of messages) checker.push(message)
  checker.finish()
  t.deepEqual(faults, [])
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  const batches = messages.flatMap((message) => decoder.push(message.slice()))
  return [...batches, ...decoder.end()].flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => ({
      template: batch.template.id,
      ...Object.fromEntries(readRecord(batch, i).map(([{name}, value]) => [name, value])),
    })),
  )
}

function times(messages: readonly Uint8Array[]): number[] {
  return messages.map((message) => new DataView(message.buffer, message.byteOffset).getUint32(4))
}

test('Templates and Flow Keys come before the first buffer, whose own octets are used', (t) => {
  const options = meterOptions(plain)
  const process = createExportingProcess(options, 5)
  const output = buffer(options, 0, 3, 1000)
  const messages = process.export([output])
  t.is(messages.length, 2)
  t.is(messages[1], output.octets)
  t.deepEqual(times(messages), [1000, 1000])
  const records = read(t, messages)
  t.deepEqual(
    records.slice(0, 2).map(({templateId}) => templateId),
    [256, 257],
  )
  t.is(records.length, 5)
  t.is(process.export([buffer(options, 1, 1, 1001)]).length, 1)
  t.is(process.records, 4)
})

// Bit n stands for field n: 0 to 3 are times and counters, then come addresses, ports, VLANs, flags, ICMP, protocol, class.
const indicators: [key: string, bits: bigint][] = [
  ['src,dst,proto,srcport,dstport,vlan,tunnel', 0b1_0011_1111_0000n],
  ['5tuple', 0b100_1111_0000n],
  ['src', 0b1_0000n],
  ['proto,tos', 0b1100_0000n],
]
for (const [key, bits] of indicators) {
  test(`the Flow Key record of ${key} has the bits of the fields that are keys`, (t) => {
    const options = meterOptions({...plain, key: parseKey(key)})
    const records = read(t, createExportingProcess(options, 0).finish(nothing))
    t.deepEqual(
      records.filter((one) => 'flowKeyIndicator' in one).map((one) => one.flowKeyIndicator),
      [Number(bits), Number(bits)],
    )
  })
}

test('statistics at the end tell of all Messages before, the sequence goes on over options', (t) => {
  const options = meterOptions(plain)
  const process = createExportingProcess(options, 9)
  const messages = [
    ...process.export([buffer(options, 0, 3, 1000), buffer(options, 1, 2, 1000)]),
    ...process.finish({...nothing, lastTimeNs: 1_001_000_000_000n}),
  ]
  const before = messages.slice(0, -1)
  const [statistics] = read(t, messages).filter((one) => 'exportedMessageTotalCount' in one)
  t.like(statistics, {
    observationDomainId: 9,
    exportedMessageTotalCount: before.length,
    exportedFlowRecordTotalCount: 5,
    exportedOctetTotalCount: before.reduce((sum, {length}) => sum + length, 0),
  })
  t.deepEqual(times(messages).at(-1), 1001)
})

test('what was ignored is told with its times, and not at all if nothing was', (t) => {
  const options = meterOptions(plain)
  const finish = (counters: Partial<MeterCounters>): Record<string, unknown>[] =>
    read(t, createExportingProcess(options, 1).finish({...nothing, ...counters})).filter(
      (one) => 'ignoredPacketTotalCount' in one,
    )
  t.deepEqual(finish({}), [])
  const lost = new Map([
    ['flow-table-full', 3],
    ['truncated', 1],
  ])
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  const messages = createExportingProcess(options, 1).finish({
    ...nothing,
    lost,
    lostOctets: 180,
    firstLostNs: 1_000_000_000n,
    lastLostNs: 2_500_000_000n,
    lastTimeNs: 9_000_000_000n,
  })
  const batches = [...messages.flatMap((message) => decoder.push(message)), ...decoder.end()]
  const batch = batches.find(({template}) =>
    template.fields.some(({element}) => element.name === 'ignoredPacketTotalCount'),
  )
  t.deepEqual(
    readRecord(batch!, 0).map(([, value]) => value),
    [1, 4, 180, 1000, 2500],
  )
  // A cut record has no time of its own: it was lost about when the last packet was seen.
  const [cut] = finish({lost: new Map([['truncated', 1]]), lastTimeNs: 7_000_000_000n})
  t.is(cut.observationTimeMilliseconds, 7000)
})

test('own elements are described before records that have them', (t) => {
  const options = meterOptions({...plain, decap: true})
  const process = createExportingProcess(options, 0)
  const records = read(t, process.export([buffer(options, 0, 1, 1)]))
  t.deepEqual(
    records.map((one) => one.informationElementName ?? one.templateId ?? one.template),
    [256, 257, 'dartaTunnelDepth', 256],
  )
})
