import {closeSync, mkdtempSync, openSync, rmSync, writeSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {loadNative, nativeAbsence} from '../../src/io/native.js'
import type {MeterOutput} from '../../src/metering/meter.js'
import {createNativeMeter} from '../../src/metering/native.js'
import {needing} from '../support/needing.js'
import {pcap, type RecordParts} from './captures.js'
import {difference} from './equivalence.js'
import {meterChunks, meterOptions, noTimeouts, type OptionChoice} from './metering.js'
import {tcpFrame, udpFrame} from './packets.js'
import {rowsOf, sortedRows} from './rows.js'

const test = needing(nativeAbsence())

/** Repeatable numbers, 0 up to `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Packets of so many conversations in both directions, 0.2 ms apart, of which some are often met. */
function traffic(packets: number, conversations: number, seed: number): Uint8Array {
  const next = numbers(seed)
  const records: RecordParts[] = []
  for (let i = 0; i < packets; i++) {
    const index = next(4) === 0 ? next(50) : next(conversations)
    const client = 0x0a000000 + (index >> 4)
    const there = next(2) === 0
    const [src, dst] = [client.toString(16).padStart(8, '0'), 'c0a80001']
    const [sport, dport] = [1024 + (index & 15), 443]
    const parts = there
      ? {src, dst, sport, dport}
      : {src: dst, dst: src, sport: dport, dport: sport}
    const octets =
      index % 3 === 0 ? udpFrame(parts) : tcpFrame([16, 16, 24, 2, 17, 4][next(6)], parts)
    records.push({time: 1700000000000000000n + BigInt(i) * 200000n, octets})
  }
  return pcap(records, {magic: '4d3cb2a1'})
}

const whole = traffic(60000, 25000, 7)

const choices: Record<string, OptionChoice> = {
  'default options': {},
  'biflows and short timeouts': {
    biflow: true,
    idleTimeoutMs: 700,
    activeTimeoutMs: 1500,
    tcpFinTimeoutMs: 300,
    tcpRstTimeoutMs: 0,
  },
  'room for 3000 Flows, evicting': {maxFlows: 3000},
  'room for 3000 biflows, evicting': {maxFlows: 3000, biflow: true, idleTimeoutMs: 900},
  'room for 9000 Flows, dropping': {maxFlows: 9000, onFull: 'drop', idleTimeoutMs: 2000},
  'no timeouts': noTimeouts,
}
for (const [title, choice] of Object.entries(choices)) {
  test(`C++ and TypeScript meter thousands of Flows alike with ${title}`, (t) => {
    t.is(difference([[whole]], meterOptions(choice)), undefined)
  })
}

test('C++ meters a file as it meters the same octets pushed', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'darta-meter-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  const path = join(folder, 'capture.pcap')
  const file = openSync(path, 'wx')
  writeSync(file, whole)
  closeSync(file)
  const addon = loadNative()
  if (addon === undefined) return t.fail('the addon is gone')
  const options = meterOptions()
  const pushed = meterChunks([whole], options, (o) => createNativeMeter(addon, o))
  for (const step of [1, 4096, 1 << 20, 2 ** 40]) {
    const meter = createNativeMeter(addon, options)
    const outputs: MeterOutput[] = []
    meter.open(path)
    let done = false
    // A step takes at least a record, so that this ends.
    for (let i = 0; !done && i <= 60001; i++) {
      const result = meter.step(step)
      outputs.push(...result.outputs)
      done = result.done
    }
    t.true(done)
    outputs.push(...meter.finish())
    t.deepEqual({...meter.counters(), memoryOctets: 0}, {...pushed.counters, memoryOctets: 0})
    meter.close()
    t.deepEqual(sortedRows(rowsOf(outputs, options.fields)), sortedRows(pushed.rows))
  }
})
