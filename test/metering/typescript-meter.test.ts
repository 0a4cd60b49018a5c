import test from 'ava'
import type {Meter, MeterOptions, MeterOutput} from '../../src/metering/meter.js'
import {createTypescriptMeter} from '../../src/metering/typescript-meter.js'
import {hex} from '../hex.js'
import {blocks, concat, pcap} from './captures.js'
import {imbalance, meterOptions, meterWhole, type OptionChoice} from './metering.js'
import {udpFrame} from './packets.js'
import {numberOf, rowsOf} from './rows.js'

function createMeter(choice: OptionChoice = {}): {meter: Meter; options: MeterOptions} {
  const options = meterOptions(choice)
  return {meter: createTypescriptMeter(options), options}
}

const frames = [1, 2, 3].map((sport) => ({time: sport * 1e9, octets: udpFrame({sport})}))

function octetsOf(outputs: readonly MeterOutput[]): Uint8Array {
  return concat(...outputs.map(({octets}) => octets))
}

test('meters several captures as one stream of packets', (t) => {
  const {meter, options} = createMeter()
  const b = blocks(false)
  const outputs = meter.push(pcap(frames))
  meter.endCapture()
  outputs.push(
    ...meter.push(concat(b.section(), b.description(1), b.enhanced(0, 4e6, frames[0].octets))),
  )
  meter.endCapture()
  outputs.push(...meter.finish())
  const rows = rowsOf(outputs, options.fields)
  t.deepEqual(
    rows.map((row) => numberOf(row, 'packetDeltaCount')),
    [2, 1, 1],
  )
  t.like(meter.counters(), {frames: 4, ipPackets: 4, inputOctets: 24 + 3 * 58 + 28 + 20 + 76})
})

test('counts the cut end of each capture, and offsets from the start of each', (t) => {
  const {meter} = createMeter()
  meter.push(pcap(frames).subarray(0, -1))
  meter.endCapture()
  meter.push(pcap(frames.slice(0, 1)).subarray(0, -1))
  meter.finish()
  const {lost, firstOffset, frames: count} = meter.counters()
  t.deepEqual([...lost], [['truncated', 2]])
  t.is(firstOffset.get('truncated'), 24 + 2 * 58)
  t.is(count, 4)
})

test('needs no end of a capture before the end of all', (t) => {
  const once = createMeter()
  const twice = createMeter()
  for (const {meter} of [once, twice]) meter.push(pcap(frames))
  twice.meter.endCapture()
  t.deepEqual(twice.meter.finish(), once.meter.finish())
})

test('refuses captures of no octets', (t) => {
  const {meter} = createMeter()
  t.throws(() => meter.finish(), {code: 'DARTA_CAPTURE_FORMAT'})
  const {meter: other} = createMeter()
  other.push(pcap(frames))
  other.endCapture()
  t.throws(() => other.endCapture(), {code: 'DARTA_CAPTURE_FORMAT'})
  t.is(other.finish().length, 1)
})

test('goes on with the next capture behind input that is none', (t) => {
  const {meter, options} = createMeter()
  meter.push(pcap(frames))
  meter.endCapture()
  t.throws(() => meter.push(hex`00112233 44556677`), {code: 'DARTA_CAPTURE_FORMAT'})
  t.deepEqual(meter.push(hex`8899aabb`), []) // the rest of it
  meter.endCapture()
  meter.push(pcap(frames))
  t.is(rowsOf(meter.finish(), options.fields).length, 3)
  t.is(meter.counters().ipPackets, 6)
})

test('takes no more than the frames wanted, of whatever kind', (t) => {
  const arp = hex`020000000002 020000000001 0806`
  const kinds = [
    frames[0],
    {octets: arp},
    {octets: hex`020000000002 020000000001 0800 50`},
    frames[1],
  ]
  for (let maxFrames = 1; maxFrames <= 4; maxFrames++) {
    const {meter} = createMeter({maxFrames})
    t.false(meter.full())
    meter.push(concat(pcap(kinds), hex`00`))
    t.is(meter.full(), true)
    meter.push(hex`ffff`)
    meter.endCapture()
    meter.push(pcap(frames))
    meter.finish()
    const {frames: read, ipPackets, skipped, lost} = meter.counters()
    t.is(read, maxFrames)
    t.is(ipPackets, maxFrames === 4 ? 2 : 1)
    t.is(skipped.get('arp'), maxFrames > 1 ? 1 : undefined)
    t.deepEqual([...lost.keys()], maxFrames > 2 ? ['ip-version'] : [])
  }
})

test('counts damage as a frame of those wanted', (t) => {
  const {meter} = createMeter({maxFrames: 2})
  meter.push(concat(pcap(frames.slice(0, 1)), hex`00000000 00000000 ffffffff ffffffff`))
  meter.push(pcap(frames).subarray(24))
  meter.finish()
  t.like(meter.counters(), {frames: 2, ipPackets: 1})
})

test('fails when the table is full and that was asked for, and gives what was metered', (t) => {
  const {meter, options} = createMeter({maxFlows: 2, onFull: 'fail'})
  t.throws(() => meter.push(pcap(frames)), {code: 'DARTA_FLOW_TABLE_FULL'})
  t.deepEqual(meter.push(pcap(frames)), [])
  meter.endCapture()
  t.deepEqual(meter.push(pcap(frames)), [])
  const rows = rowsOf(meter.finish(), options.fields)
  t.is(rows.length, 2)
  const counters = meter.counters()
  t.like(counters, {frames: 3, ipPackets: 2})
  t.deepEqual([...counters.lost], [['flow-table-full', 1]])
  t.is(imbalance({rows, counters}), undefined)
})

test('gives the records made so far when it is flushed, and goes on', (t) => {
  const {meter, options} = createMeter({idleTimeoutMs: 0})
  t.deepEqual(meter.push(pcap(frames)), [])
  t.is(rowsOf(meter.flush(), options.fields).length, 2) // the third is live
  t.deepEqual(meter.flush(), [])
  t.is(rowsOf(meter.finish(), options.fields).length, 1)
})

test('tells its counters at any time', (t) => {
  const {meter} = createMeter()
  t.like(meter.counters(), {frames: 0, flowsLive: 0, firstTimeNs: undefined, lastTimeNs: undefined})
  const capture = pcap(frames)
  meter.push(capture.subarray(0, 24 + 58))
  const early = meter.counters()
  t.like(early, {frames: 1, flowsLive: 1, flowsExported: 0, firstTimeNs: 1000000000n})
  t.true(early.memoryOctets > 0)
  meter.push(capture.subarray(24 + 58))
  t.like(meter.counters(), {frames: 3, flowsLive: 3, lastTimeNs: 3000000000n})
  t.is(early.frames, 1)
})

test('tells earliest and latest time of what was lost', (t) => {
  const bad = hex`020000000002 020000000001 0800 50`
  const times = [5, 2, 9]
  const records = [...times.map((s) => ({time: s * 1e9, octets: bad, original: 100})), ...frames]
  const {counters} = meterWhole(pcap(records))
  t.like(counters, {firstLostNs: 2000000000n, lastLostNs: 9000000000n, lostOctets: 300})
  t.like(meterWhole(pcap(frames)).counters, {firstLostNs: undefined, lostOctets: 0})
})

// pcap

const NS_PCAP = {magic: '4d3cb2a1'}

function written(capture: Uint8Array, choice: OptionChoice = {}): Uint8Array {
  const {meter} = createMeter({emit: 'pcap', ...choice})
  return octetsOf([...meter.push(capture), ...meter.finish()])
}

test('writes frames as they are into a pcap file of nanoseconds', (t) => {
  const kinds = [
    {time: 1700000000123456789n, octets: udpFrame(), original: 1000},
    {time: 5, octets: hex`020000000002 020000000001 0806`},
    {time: 0, octets: hex``},
  ]
  const capture = pcap(kinds, NS_PCAP)
  t.deepEqual(written(capture), capture)
  for (const magic of ['a1b2c3d4', 'a1b23c4d', '34cdb2a1']) {
    const micro = kinds.map((kind) => ({...kind, time: (BigInt(kind.time) / 1000n) * 1000n}))
    t.deepEqual(written(pcap(micro, {magic})), pcap(micro, NS_PCAP))
  }
})

test('writes frames of link types that are not metered', (t) => {
  const capture = pcap([{octets: hex`0102`}], {...NS_PCAP, linkType: 147})
  t.deepEqual(written(capture), capture)
})

test('loses frames of another link type than the first one', (t) => {
  const b = blocks(true)
  const capture = concat(
    b.section(),
    b.description(1),
    b.description(101),
    b.enhanced(1, 1, hex`0101`),
    b.enhanced(0, 2, hex`0202`, 60),
    b.enhanced(1, 3, hex`0303`),
  )
  const {meter} = createMeter({emit: 'pcap'})
  const outputs = [...meter.push(capture), ...meter.finish()]
  const expected = [
    {time: 1000, octets: hex`0101`},
    {time: 3000, octets: hex`0303`},
  ]
  t.deepEqual(octetsOf(outputs), pcap(expected, {...NS_PCAP, linkType: 101}))
  t.is(outputs[0].count, 2)
  const {lost, firstOffset, ...counters} = meter.counters()
  t.like(counters, {frames: 3, ipPackets: 2, ipOctets: 4, lostOctets: 60, firstLostNs: 2000n})
  t.deepEqual([...lost], [['link-type-differs', 1]])
  t.is(firstOffset.get('link-type-differs'), 68 + 36)
})

test('writes a file header without any frame', (t) => {
  t.deepEqual(written(pcap([], {linkType: 113})), pcap([], {...NS_PCAP, linkType: 113}))
  const b = blocks(true)
  const described = concat(b.section(), b.description(127), b.description(1))
  t.deepEqual(written(described), pcap([], {...NS_PCAP, linkType: 127}))
  t.deepEqual(written(b.section()), pcap([], {...NS_PCAP, linkType: 1}))
})

test('hands on pcap in buffers as they fill', (t) => {
  const big = {octets: new Uint8Array(50000).fill(3)}
  const records = Array.from({length: 20}, () => big)
  const {meter} = createMeter({emit: 'pcap'})
  const outputs = meter.push(pcap(records, NS_PCAP))
  t.is(outputs.length, 19)
  outputs.push(...meter.finish())
  t.deepEqual(octetsOf(outputs), pcap(records, NS_PCAP))
  const huge = pcap([{octets: new Uint8Array(200000).fill(4)}, big], NS_PCAP)
  t.deepEqual(written(huge), huge)
})
