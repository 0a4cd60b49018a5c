import test from 'ava'
import {hex} from '../hex.js'
import {blocks, concat, pcap} from './captures.js'
import {meterChunks, meterOptions, meterWhole, type OptionChoice} from './metering.js'
import {answer, ethernet, ipv4, ipv6, tcpFrame, udp, udpFrame} from './packets.js'
import {numberOf, rowsOf, type Row} from './rows.js'
import {createTypescriptMeter} from '../../src/metering/typescript-meter.js'

const NS = {magic: '4d3cb2a1'}
const T = 1700000000n * 1000000000n

/** The record of a Flow of frames, a nanosecond less than a second apart. */
function recordOf(frames: readonly Uint8Array[], choice: OptionChoice): Row {
  const records = frames.map((octets, i) => ({time: T + BigInt(i) * 999999999n, octets}))
  const {rows} = meterWhole(pcap(records, NS), choice)
  if (rows.length !== 1) throw new Error(`${rows.length} Flows`)
  return rows[0]
}

/** Values of the fields that are numbers. */
function numbersOf(frames: readonly Uint8Array[], ...fields: string[]): number[] {
  const row = recordOf(frames, {fields})
  return Object.keys(row).map((name) => numberOf(row, name))
}

test('fills counters that are never reset like delta counters', (t) => {
  const frames = [udpFrame({payload: 10}), udpFrame({payload: 20})]
  t.deepEqual(numbersOf(frames, 'octetTotalCount', 'packetTotalCount'), [86, 2])
})

test('fills least and greatest length and time to live', (t) => {
  const frame = (ttl: number, payload: number): Uint8Array =>
    ethernet(ipv4({protocol: 17, ttl}, udp(1, 2, new Uint8Array(payload))))
  const frames = [frame(60, 10), frame(0, 30), frame(255, 20)]
  const names = ['minimumIpTotalLength', 'maximumIpTotalLength', 'minimumTTL', 'maximumTTL']
  t.deepEqual(numbersOf(frames, ...names), [38, 58, 0, 255])
  const six = ethernet(ipv6({next: 17, hopLimit: 3}, udp(1, 2)))
  t.deepEqual(numbersOf([six], ...names), [48, 48, 3, 3])
})

test('fills counts of SYN, FIN and RST', (t) => {
  const frames = [2, 18, 16, 17, 1, 1, 4].map((flags) => tcpFrame(flags))
  const names = ['tcpSynTotalCount', 'tcpFinTotalCount', 'tcpRstTotalCount']
  t.deepEqual(numbersOf(frames, ...names), [2, 3, 1])
  t.deepEqual(numbersOf([udpFrame()], ...names), [0, 0, 0])
})

test("fills type of service, IP version and flow label with the first packet's", (t) => {
  const four = (tos: number): Uint8Array => ethernet(ipv4({protocol: 17, tos}, udp(1, 2)))
  t.deepEqual(numbersOf([four(0xb8), four(4)], 'ipClassOfService', 'ipVersion'), [0xb8, 4])
  const six = (classAndLabel: string): Uint8Array =>
    ethernet(ipv6({next: 17, classAndLabel}, udp(1, 2)))
  const names = ['ipVersion', 'ipClassOfService', 'flowLabelIPv6']
  t.deepEqual(numbersOf([six('abfedcb'), six('0000000')], ...names), [6, 0xab, 0xfedcb])
})

test('fills the union of fragment flags', (t) => {
  const frame = (fragment: number): Uint8Array =>
    ethernet(ipv4({protocol: 1, fragment}, hex`0000 0000`))
  t.deepEqual(numbersOf([frame(0x4000)], 'fragmentFlags'), [0x40])
  t.deepEqual(numbersOf([frame(0x2000), frame(0x8005), frame(0)], 'fragmentFlags'), [0xa0])
})

test('fills ids of the two outer VLAN tags', (t) => {
  const tagged = (...vlans: number[]): Uint8Array =>
    ethernet(ipv4({protocol: 17}, udp(1, 2)), {vlans})
  const names = ['dot1qVlanId', 'dot1qCustomerVlanId']
  t.deepEqual(numbersOf([tagged()], ...names), [0, 0])
  t.deepEqual(numbersOf([tagged(5)], ...names), [5, 0])
  t.deepEqual(numbersOf([tagged(5, 4095, 7)], ...names), [5, 4095])
})

test("fills MAC addresses, label and interface with the first packet's", (t) => {
  const packet = ipv4({protocol: 17}, udp(1, 2))
  const labelled = hex`020000000002 020000000001 8847 abcdef 40 ${packet}`
  const fields = ['sourceMacAddress', 'destinationMacAddress', 'mplsTopLabelStackSection']
  t.deepEqual(recordOf([labelled, ethernet(packet, {source: '0a0b0c0d0e0f'})], {fields}), {
    sourceMacAddress: '020000000001',
    destinationMacAddress: '020000000002',
    mplsTopLabelStackSection: 'abcdef',
  })
  const raw = pcap([{octets: packet}], {linkType: 101})
  t.deepEqual(meterWhole(raw, {fields: [...fields, 'ingressInterface']}).rows, [
    {
      sourceMacAddress: '000000000000',
      destinationMacAddress: '000000000000',
      mplsTopLabelStackSection: '000000',
      ingressInterface: '00000000',
    },
  ])
  const b = blocks(false)
  const interfaces = Array.from({length: 3}, () => b.description(101))
  const capture = concat(
    b.section(),
    ...interfaces,
    b.enhanced(2, 0, packet),
    b.enhanced(1, 0, packet),
  )
  const {rows} = meterWhole(capture, {fields: ['ingressInterface']})
  t.deepEqual(rows, [{ingressInterface: '00000002'}])
})

test('tells of the forward direction of a biflow in fields without reverse', (t) => {
  const fields = [
    'octetTotalCount',
    'maximumIpTotalLength',
    'tcpSynTotalCount',
    'flowDurationMilliseconds',
    'flowEndSeconds',
  ]
  const frames = [
    tcpFrame(2),
    tcpFrame(18, {...answer(), payload: 9}),
    tcpFrame(16),
    tcpFrame(16, answer()),
  ]
  const row = recordOf(frames, {fields, biflow: true})
  t.deepEqual(
    fields.map((name) => numberOf(row, name)),
    [80, 40, 1, 1999, 1700000001],
  )
})

test('cuts times and durations off', (t) => {
  const ns = T + 1999999998n
  const records = [
    {time: T + 999999n, octets: udpFrame()},
    {time: ns, octets: udpFrame()},
  ]
  const fields = [
    'flowStartSeconds',
    'flowEndSeconds',
    'flowEndMilliseconds',
    'flowDurationMilliseconds', // 1998.999999 ms
  ]
  const {rows} = meterWhole(pcap(records, NS), {fields})
  t.deepEqual(
    fields.map((name) => numberOf(rows[0], name)),
    [1700000000, 1700000001, 1700000001999, 1998],
  )
})

test('has the least NTP fraction that reads back as the time cut off', (t) => {
  for (const nanosecond of [0n, 1n, 999n, 1000n, 123456789n, 500000000n, 999999000n, 999999999n]) {
    const fields = ['flowStartMicroseconds', 'flowStartNanoseconds']
    const capture = pcap([{time: T + nanosecond, octets: udpFrame()}], NS)
    const [row] = meterWhole(capture, {fields}).rows
    const [micro, nano] = fields.map((name) => BigInt(`0x${row[name]}`))
    const seconds = (T / 1000000000n + 2208988800n) << 32n
    const unit = 2n ** 32n
    t.is(nano & ~0xffffffffn, seconds)
    t.is(((nano & 0xffffffffn) * 1000000000n) / unit, nanosecond)
    if (nanosecond > 0n) {
      t.true((((nano & 0xffffffffn) - 1n) * 1000000000n) / unit < nanosecond)
    }
    t.is(micro & ~0xffffffffn, seconds)
    t.is(((micro & 0xffffffffn) * 1000000n) / unit, nanosecond / 1000n)
    t.is(micro & 2047n, 0n)
    if (nanosecond >= 1000n) {
      t.true((((micro & 0xffffffffn) - 2048n) * 1000000n) / unit < nanosecond / 1000n)
    }
  }
})

test('writes what is too great for its field as the greatest value, and seconds modulo 2^32', (t) => {
  const b = blocks(true)
  const seconds = [b.option(9, hex`00`)]
  const capture = concat(
    b.section(),
    b.description(1, 0, ...seconds),
    b.enhanced(0, 2n ** 32n + 5n, udpFrame()),
    b.enhanced(0, 0, udpFrame()),
  )
  const fields = ['flowStartSeconds', 'flowEndSeconds', 'flowDurationMilliseconds']
  const {rows} = meterWhole(capture, {fields, idleTimeoutMs: 2 ** 45, activeTimeoutMs: 2 ** 45})
  t.deepEqual(rows, [
    {
      flowStartSeconds: '00000000',
      flowEndSeconds: '00000005',
      flowDurationMilliseconds: 'ffffffff',
    },
  ])
})

test('counts octets beyond 2^32', (t) => {
  const offload = ethernet(ipv4({protocol: 17, totalLength: 0}, udp(1, 2)))
  const records = Array.from({length: 3}, () => ({octets: offload, original: 0xffffffff}))
  const {rows, counters} = meterWhole(pcap(records))
  t.is(numberOf(rows[0], 'octetDeltaCount'), 3 * (0xffffffff - 14))
  t.is(counters.ipOctets, 3 * (0xffffffff - 14))
})

test('hands on a buffer when it is as full as a Message can be', (t) => {
  const frames = Array.from({length: 3000}, (_, i) => ({octets: udpFrame({sport: i})}))
  const options = meterOptions()
  const meter = createTypescriptMeter({...options, idleTimeoutMs: 0, activeTimeoutMs: 0})
  const outputs = meter.push(pcap(frames.map((f, i) => ({...f, time: i * 1000000}))))
  t.is(outputs.length, 2)
  for (const {octets, exportTime} of outputs) {
    t.true(octets.length > 65535 - 56 && octets.length <= 65535)
    t.true(exportTime >= 0 && exportTime < 3)
  }
  outputs.push(...meter.finish())
  t.is(rowsOf(outputs, options.fields).length, 3000)
  t.is(outputs.at(-1)?.exportTime, 2)
})

const section = ipv4({protocol: 17}, udp(1, 2, new Uint8Array(200).fill(7)))

test('reports each packet with time, length and section', (t) => {
  const padded = concat(ethernet(ipv4({protocol: 17}, udp(1, 2))), hex`ffff`)
  const records = [
    {time: T + 1n, octets: ethernet(section)},
    {time: T + 2n, octets: padded},
    {time: T + 3n, octets: ethernet(ipv6({next: 59}))},
    {time: T + 4n, octets: ethernet(section).subarray(0, 34), original: 242},
  ]
  const {rows, counters} = meterWhole(pcap(records, NS), {emit: 'packets'})
  t.deepEqual(
    rows.map((row) => [numberOf(row, 'ipTotalLength'), row.ipHeaderPacketSection]),
    [
      [228, Buffer.from(section.subarray(0, 64)).toString('hex')],
      [28, Buffer.from(ipv4({protocol: 17}, udp(1, 2))).toString('hex')],
      [40, Buffer.from(ipv6({next: 59})).toString('hex')],
      [228, Buffer.from(section.subarray(0, 20)).toString('hex')],
    ],
  )
  for (const row of rows) t.is(numberOf(row, 'selectionSequenceId'), 1)
  t.deepEqual(
    rows.map((row) => BigInt(`0x${row.observationTimeNanoseconds}`) & 0xffffffffn),
    [5n, 9n, 13n, 18n], // 1, 2, 3, 4 ns
  )
  t.like(counters, {frames: 4, ipPackets: 4, ipOctets: 524, flowsCreated: 0, flowsExported: 0})
})

test('reports sections of any length, with one or three octets of length before', (t) => {
  for (const sectionOctets of [0, 1, 227, 228, 229, 1000]) {
    const capture = pcap([{octets: ethernet(section)}])
    const {rows} = meterWhole(capture, {emit: 'packets', sectionOctets})
    t.is(rows[0].ipHeaderPacketSection.length, 2 * Math.min(sectionOctets, 228))
  }
  const big = ipv4({protocol: 17}, udp(1, 2, new Uint8Array(60000).fill(7)))
  for (const sectionOctets of [253, 254, 255, 256, 60028, 65535]) {
    const {rows} = meterWhole(pcap([{octets: ethernet(big)}]), {emit: 'packets', sectionOctets})
    const expected = Buffer.from(big.subarray(0, sectionOctets)).toString('hex')
    t.is(rows[0].ipHeaderPacketSection, expected)
  }
})

test('reports the metered packet of a tunnel', (t) => {
  const capture = pcap([{octets: ethernet(ipv4({protocol: 4}, section))}])
  const {rows} = meterChunks([capture], meterOptions({emit: 'packets', decap: true}))
  t.is(numberOf(rows[0], 'ipTotalLength'), 228)
  t.is(rows[0].ipHeaderPacketSection, Buffer.from(section.subarray(0, 64)).toString('hex'))
})
