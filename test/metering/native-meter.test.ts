import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {execFileSync} from 'node:child_process'
import type {ExecutionContext} from 'ava'
import {loadNative, nativeAbsence} from '../../src/io/native.js'
import type {FileMeter, MeterCounters, MeterOutput} from '../../src/metering/meter.js'
import {createNativeMeter} from '../../src/metering/native.js'
import {needing, root, shared} from '../support/needing.js'
import {concat, pcap, type RecordParts} from './captures.js'
import {expectedFlows, flowLine} from './flow-tables.js'
import {
  FIVE_TUPLE,
  imbalance,
  meterOptions,
  noTimeouts,
  readFixture,
  readTruth,
  sum,
  type Metered,
  type OptionChoice,
} from './metering.js'
import {answer, ethernet, ipv6, tcpFrame, udp, udpFrame} from './packets.js'
import {ntpSeconds, numberOf, rowsOf, sortedRows} from './rows.js'

const test = needing(nativeAbsence())
const testFixture = needing(nativeAbsence(), shared('fixtures/truth.json'))

const addon = loadNative()

function create(choice?: OptionChoice): FileMeter {
  if (addon === undefined) throw new Error('the addon is gone')
  return createNativeMeter(addon, meterOptions(choice))
}

interface Run {
  readonly outputs: readonly MeterOutput[]
  readonly counters: MeterCounters
}

/** All octets of the records, in order. */
function octetsOf({outputs}: Run): Buffer {
  return Buffer.concat(outputs.map(({octets}) => octets))
}

function end(meter: FileMeter, outputs: MeterOutput[]): Run {
  outputs.push(...meter.finish())
  const counters = meter.counters()
  meter.close()
  return {outputs, counters}
}

function push(chunks: Iterable<Uint8Array>, choice?: OptionChoice): Run {
  const meter = create(choice)
  const outputs: MeterOutput[] = []
  for (const chunk of chunks) outputs.push(...meter.push(chunk))
  return end(meter, outputs)
}

function readMapped(path: string, choice?: OptionChoice, step = 1 << 20): Run {
  const meter = create(choice)
  const outputs: MeterOutput[] = []
  meter.open(path)
  for (let done = false; !done;) {
    const result = meter.step(step)
    outputs.push(...result.outputs)
    done = result.done
  }
  return end(meter, outputs)
}

function metered(capture: Uint8Array, choice?: OptionChoice): Metered {
  const {outputs, counters} = push([capture], choice)
  return {rows: rowsOf(outputs, meterOptions(choice).fields), counters}
}

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-native-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  return folder
}

/** Repeatable numbers from 0 up to `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Pieces of 1 octet to 4 KiB, short ones often. */
function* pieces(octets: Uint8Array, seed: number): Generator<Uint8Array> {
  const next = numbers(seed)
  for (let at = 0; at < octets.length;) {
    const length = 1 + next(1 << next(13))
    // A buffer that is used again, as pipes do: nothing of it may be kept.
    yield octets.slice(at, at + length)
    at += length
  }
}

function at(seconds: number, octets: Uint8Array): RecordParts {
  return {time: BigInt(Math.round(seconds * 1e9)), octets}
}

function nanoPcap(records: readonly RecordParts[]): Uint8Array {
  return pcap(records, {magic: '4d3cb2a1'})
}

// Ground truth

/** An octet was put into it; truth.json ends there, we go on behind (see fixtures.test.ts). */
const DAMAGED = 'captures/suricata__bug-1450-04.pcap'

/** One of these for each capture in turn. */
const choices: OptionChoice[] = [
  {},
  {biflow: true, idleTimeoutMs: 1000, activeTimeoutMs: 2500},
  {decap: true, precision: 'us'},
  {emit: 'packets'},
  {emit: 'pcap'},
  {maxFlows: 3},
]

for (const [index, [name, truth]] of readTruth().entries()) {
  const path = `${root}../shared/fixtures/${name}`
  testFixture(`the C++ meter has the packets, octets and Flows of ${name}`, (t) => {
    const choice = {key: FIVE_TUPLE, precision: 'ns', ...noTimeouts} as const
    const result = metered(readFixture(name), choice)
    t.is(imbalance(result), undefined)
    if (name === DAMAGED) {
      t.deepEqual(Object.fromEntries(result.counters.firstOffset), {malformed: 5035})
      t.is(result.counters.ipPackets, truth.ip_packets + 7)
      t.is(result.counters.ipOctets, truth.ip_bytes + 371)
      return
    }
    t.is(result.counters.frames, truth.packets)
    t.is(result.counters.ipPackets, truth.ip_packets)
    t.is(result.counters.ipOctets, truth.ip_bytes)
    t.deepEqual(result.rows.map(flowLine).sort(), expectedFlows(name))
  })

  testFixture(`${name} gives the same octets mapped and in pieces cut anywhere`, (t) => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.log(`seed ${seed}`)
    const choice = {...choices[index % choices.length], seed: 1}
    const mapped = readMapped(path, choice)
    const inPieces = push(pieces(readFixture(name), seed), choice)
    t.true(octetsOf(mapped).equals(octetsOf(inPieces)))
    t.deepEqual(mapped.counters, inPieces.counters)
  })
}

// Files

test('a file is read in steps of any size, with the same octets of records', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'capture.pcap')
  const next = numbers(3)
  const frames = Array.from({length: 20000}, (_, i) =>
    at(1700000000 + i / 1000, udpFrame({sport: next(3000), payload: next(200)})),
  )
  writeFileSync(path, nanoPcap(frames))
  const expected = octetsOf(readMapped(path, {}, 2 ** 40))
  for (const step of [0, 1, 100000, 1 << 20]) {
    t.true(octetsOf(readMapped(path, {}, step)).equals(expected))
  }
})

test('open tells what cannot be read, and the meter goes on with the next file', (t) => {
  const folder = temporaryFolder(t)
  const good = join(folder, 'good.pcap')
  writeFileSync(good, nanoPcap([at(1, udpFrame())]))
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  mkdirSync(join(folder, 'folder'))
  writeFileSync(join(folder, 'text'), 'no capture at all')
  const meter = create()
  t.throws(() => meter.open(join(folder, 'absent')), {code: 'DARTA_FILE_READ', message: /no such/})
  t.throws(() => meter.open(join(folder, 'folder')), {code: 'DARTA_FILE_READ', message: /director/})
  t.throws(() => meter.open(pipe), {code: 'DARTA_FILE_READ', message: /not a regular file/})
  t.throws(() => meter.open(`${good}\0`), {code: 'DARTA_FILE_READ'})
  meter.open(join(folder, 'text'))
  t.throws(() => meter.step(1 << 20), {code: 'DARTA_CAPTURE_FORMAT', message: /6e6f2063/})
  meter.open(good)
  t.true(meter.step(1 << 20).done)
  t.is(meter.finish().length, 1)
  t.is(meter.counters().ipPackets, 1)
  meter.close()
})

test('a file that shrinks while it is read ends in an error and not in SIGBUS', (t) => {
  const path = join(temporaryFolder(t), 'shrinking.pcap')
  const frame = udpFrame({payload: 1400})
  const records = Array.from({length: 1000}, (_, i) => at(1 + i, frame))
  const file = openSync(path, 'wx')
  writeSync(file, nanoPcap(records))
  const more = nanoPcap(records).subarray(24)
  for (let i = 0; i < 7; i++) writeSync(file, more)
  closeSync(file)
  const meter = create()
  meter.open(path)
  t.false(meter.step(1 << 20).done)
  truncateSync(path, 4096)
  t.throws(
    () => {
      for (let done = false; !done;) done = meter.step(1 << 20).done
    },
    {code: 'DARTA_FILE_READ', message: /shorter/},
  )
  t.true(sum(meter.finish().map(({count}) => count)) > 0)
  meter.close()
})

test('a closed meter and what is no meter are refused, closing twice is not', (t) => {
  const meter = create()
  meter.close()
  meter.close()
  t.throws(() => meter.push(nanoPcap([])), {code: 'DARTA_INTERNAL'})
  t.throws(() => meter.counters(), {code: 'DARTA_INTERNAL'})
  t.throws(() => addon?.meterPush({} as never, new Uint8Array(1)), {code: 'DARTA_INTERNAL'})
  t.throws(() => addon?.meterCreate(null as never), {code: 'DARTA_INTERNAL'})
})

// Ends of Flows

test('C++ ends a Flow one nanosecond behind its limits', (t) => {
  const choice = {idleTimeoutMs: 1000, activeTimeoutMs: 1500} as const
  const reasons = (...seconds: number[]): number[] =>
    metered(nanoPcap(seconds.map((s) => at(s, udpFrame()))), choice)
      .rows.map((row) => numberOf(row, 'flowEndReason'))
      .sort()
  t.deepEqual(reasons(1, 2), [4])
  t.deepEqual(reasons(1, 2.000000001), [1, 4])
  t.deepEqual(reasons(1, 1.9, 2.5), [4])
  t.deepEqual(reasons(1, 1.9, 2.500000001), [2, 4])
})

test('C++ ends TCP Flows by FIN and RST, keeps them for late packets, and begins anew at SYN', (t) => {
  const [ack, fin, rst, syn] = [16, 17, 4, 2]
  const lives = (...packets: [seconds: number, flags: number][]): number[][] =>
    metered(nanoPcap(packets.map(([s, flags]) => at(s, tcpFrame(flags))))).rows.map((row) => [
      numberOf(row, 'packetDeltaCount'),
      numberOf(row, 'flowEndReason'),
    ])
  t.deepEqual(lives([1, syn], [2, fin], [7, ack], [12, ack]), [[4, 3]])
  t.deepEqual(lives([1, syn], [2, fin], [7.001, ack]), [
    [2, 3],
    [1, 4],
  ])
  t.deepEqual(lives([1, rst], [1.5, syn], [2, ack]), [
    [1, 3],
    [2, 4],
  ])
  t.deepEqual(lives([1, syn], [1.5, syn], [2, ack]), [[3, 4]])
})

test('C++ puts both directions in one record, from the first packet on', (t) => {
  const there = {sport: 5000, dport: 80, payload: 10}
  const frames = [tcpFrame(2, there), tcpFrame(18, answer(there)), tcpFrame(17, there)]
  const {rows} = metered(nanoPcap(frames.map((frame, i) => at(10 + i, frame))), {biflow: true})
  t.is(rows.length, 1)
  const names = ['sourceTransportPort', 'packetDeltaCount', 'octetDeltaCount', 'tcpControlBits']
  const reversed = ['reversePacketDeltaCount', 'reverseOctetDeltaCount', 'reverseTcpControlBits']
  const values = [...names, ...reversed].map((name) => numberOf(rows[0], name))
  t.deepEqual(values, [5000, 2, 100, 19, 1, 50, 18])
  const times = ['flowStart', 'flowEnd', 'reverseFlowStart', 'reverseFlowEnd']
  const milliseconds = times.map((name) => numberOf(rows[0], `${name}Milliseconds`))
  t.deepEqual(milliseconds, [10000, 12000, 11000, 11000])
})

test('times have the precision that is asked for, cut off', (t) => {
  const capture = nanoPcap([{time: 1700000000123456789n, octets: udpFrame()}])
  const [ms] = metered(capture).rows
  t.is(numberOf(ms, 'flowStartMilliseconds'), 1700000000123)
  const [us] = metered(capture, {precision: 'us'}).rows
  t.is(ntpSeconds(us.flowStartMicroseconds).slice(0, -3), '1700000000.123456')
  t.is(BigInt(`0x${us.flowStartMicroseconds}`) & 2047n, 0n)
  const [ns] = metered(capture, {precision: 'ns'}).rows
  t.is(ntpSeconds(ns.flowStartNanoseconds), '1700000000.123456789')
})

test('Packet Reports carry the section that is asked for', (t) => {
  const capture = nanoPcap([at(1, udpFrame({payload: 400})), at(2, udpFrame({payload: 10}))])
  const lengths = (sectionOctets: number): number[] =>
    metered(capture, {emit: 'packets', sectionOctets}).rows.map(
      (row) => row.ipHeaderPacketSection.length / 2,
    )
  t.deepEqual(lengths(0), [0, 0])
  t.deepEqual(lengths(64), [64, 38])
  t.deepEqual(lengths(300), [300, 38])
  t.deepEqual(lengths(65535), [428, 38])
})

test('pcap output, metered again as pcap, is the same file', (t) => {
  const next = numbers(11)
  const frames = Array.from({length: 5000}, (_, i) =>
    at(1e9 + i * 1.000000001, udpFrame({payload: next(1400)})),
  )
  const file = (capture: Uint8Array): Uint8Array =>
    concat(...push([capture], {emit: 'pcap'}).outputs.map(({octets}) => octets))
  const once = file(pcap(frames))
  t.is(once.length, 24 + sum(frames.map(({octets}) => 16 + octets.length)))
  t.true(Buffer.from(file(once)).equals(once))
  t.deepEqual(sortedRows(metered(once).rows), sortedRows(metered(pcap(frames)).rows))
})

// The table

/** One packet of each of so many Flows, `gapNs` apart; every third is IPv6. */
function* manyFlows(count: number, gapNs: number): Generator<Uint8Array> {
  yield nanoPcap([])
  let records: RecordParts[] = []
  for (let i = 0; i < count; i++) {
    const host = i.toString(16).padStart(8, '0')
    const octets =
      i % 3 === 0
        ? ethernet(ipv6({src: `20010db8${'0'.repeat(16)}${host}`, next: 17}, udp(1, 2)))
        : udpFrame({src: host, dst: '0a000001'})
    records.push({time: 1700000000000000000n + BigInt(i) * BigInt(gapNs), octets})
    if (records.length === 4096 || i + 1 === count) {
      yield nanoPcap(records).subarray(24)
      records = []
    }
  }
}

test('the table takes at most 200 octets for each live Flow and 8 MiB, at any time', (t) => {
  const meter = create()
  for (const chunk of manyFlows(400_000, 100)) {
    meter.push(chunk)
    const {memoryOctets, flowsLive} = meter.counters()
    if (memoryOctets > 200 * flowsLive + (8 << 20)) {
      t.fail(`${memoryOctets} octets for ${flowsLive} Flows`)
    }
  }
  t.is(meter.counters().flowsLive, 400_000)
  meter.close()
})

test('memory that many Flows took is given back when they have ended', (t) => {
  const meter = create({idleTimeoutMs: 1000})
  for (const chunk of manyFlows(300_000, 100)) meter.push(chunk)
  const full = meter.counters().memoryOctets
  const later = Array.from({length: 10}, (_, i) => at(1700000100 + i, udpFrame()))
  meter.push(nanoPcap(later).subarray(24))
  const {memoryOctets, flowsLive, flowsExported} = meter.counters()
  t.deepEqual([flowsLive, flowsExported], [1, 300_000])
  t.true(memoryOctets < full / 3, `${memoryOctets} of ${full}`)
  meter.close()
})

test('a limit of memory is kept, and eviction loses no packet', (t) => {
  const meter = create({maxMemoryOctets: 4 << 20})
  const outputs: MeterOutput[] = []
  let greatest = 0
  for (const chunk of manyFlows(100_000, 1000)) {
    outputs.push(...meter.push(chunk))
    greatest = Math.max(greatest, meter.counters().memoryOctets)
  }
  const {counters} = end(meter, outputs)
  t.true(greatest <= 4 << 20, `${greatest} octets`)
  t.true(counters.flowsEvicted > 50_000)
  const rows = rowsOf(outputs, meterOptions().fields)
  t.is(imbalance({rows, counters}), undefined)
  t.is(counters.flowsExported, 100_000)
  // Those that would have ended first are the ones that came first.
  const evicted = rows.filter((row) => numberOf(row, 'flowEndReason') === 5)
  t.is(evicted.length, counters.flowsEvicted)
})

test('records and their order do not depend on the seed of the hash', (t) => {
  const chunks = [...manyFlows(5000, 1_000_000)]
  const choice = {idleTimeoutMs: 500, maxFlows: 300, biflow: true}
  const [first, ...others] = [0, 1, 2 ** 53 - 1].map((seed) =>
    octetsOf(push(chunks, {...choice, seed})),
  )
  for (const other of others) t.true(other.equals(first))
})

test('fields that the C++ meter cannot fill are refused by number', (t) => {
  const options = meterOptions()
  const [field] = options.fields.v4
  const bad = {...field, element: {...field.element, elementId: 999}}
  const fields = {...options.fields, v4: [bad]}
  if (addon === undefined) return t.fail('the addon is gone')
  t.throws(() => createNativeMeter(addon, {...options, fields}), {
    code: 'DARTA_USAGE',
    message: /0\/999 of length 8/,
  })
})
