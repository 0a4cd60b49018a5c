// What is fuzzed in this process: each target makes seeds, changes one at random and reads the result with the
// product's own code; it throws where a promise is broken.
import {existsSync, readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {mutateCapture} from './capture.mjs'
import {datagramTargets} from './datagrams.mjs'
import {diameter} from './diameter.mjs'
import {ipdr} from './ipdr.mjs'
import {mutateIpfix, splitMessages} from './ipfix.mjs'
import {mappedTargets} from './mapped.mjs'
import {loadComparison} from './meters.mjs'
import {mutateNdjson} from './ndjson.mjs'
import {tables} from './tables.mjs'
import {snmp} from './snmp.mjs'
import {built, checkBalance, promise, root, sum} from './support.mjs'

/** Files of a folder that are no bigger than `most` octets, in name order; none where the folder is absent. */
function files(folder, pattern, most) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => new Uint8Array(readFileSync(join(path, name))))
    .filter((octets) => octets.length > 0 && octets.length <= most)
}

/** The octets in pieces: whole, of one size, or cut anywhere. */
function pieces(random, octets) {
  const step = random.of([Infinity, Infinity, 1400, 65536, 17])
  if (step === Infinity || octets.length / step > 4096) return [octets]
  const parts = []
  for (let at = 0; at < octets.length; at += step) parts.push(octets.subarray(at, at + step))
  return parts
}

/** Decodes, reads every value of every record and sums up; `encode` gets the batches. */
async function formatTarget(name) {
  const {default: format} = await built(`src/formats/${name}.js`)
  const {Ledger} = await built('src/record/ledger.js')
  const {readRecord} = await built('src/record/readers.js')
  const decodeOnce = (parts, encode) => {
    const ledger = new Ledger()
    const decoder = format.decoder({ledger, source: 'fuzz'})
    let records = 0
    const take = (batches) => {
      for (const batch of batches) {
        records += batch.count
        for (let i = 0; i < batch.count; i++) readRecord(batch, i)
      }
      encode?.(batches)
    }
    for (const part of parts) take(decoder.push(part))
    take(decoder.end())
    checkBalance(ledger)
    const out = ledger.stages.find((stage) => stage.unit === 'records')
    promise(out === undefined || out.out === records, `${records} records, ${out?.line()}`)
    return ledger.lines().join('\n')
  }
  return (random, octets, encode) => {
    // The decoder owns what it is given; chunks of a pipe lie behind each other in one buffer, others do not.
    const own = octets.slice()
    const parts = pieces(random, own)
    const account = decodeOnce(random.once(2) ? parts : parts.map((part) => part.slice()), encode)
    if (!random.once(8)) return
    const whole = decodeOnce([octets.slice()])
    // Behind damage a decoder may look at what is at hand, and goes by it.
    if (account.includes('lost') || whole.includes('lost')) return
    promise(account === whole, `cut otherwise:\n${account}\n${whole}`)
  }
}

/** Writes batches as `name` and holds the text against JSON's own reader. */
async function ndjsonEncoder() {
  const {default: format} = await built('src/formats/ndjson.js')
  const {Ledger} = await built('src/record/ledger.js')
  const decoder = new TextDecoder('utf-8', {fatal: true})
  return () => {
    const encoder = format.encoder({ledger: new Ledger(), options: {}})
    const check = (chunks) => {
      for (const chunk of chunks) {
        for (const line of decoder.decode(chunk).split('\n')) if (line !== '') JSON.parse(line)
      }
    }
    return {push: (batches) => check(encoder.push(batches)), end: () => check(encoder.end())}
  }
}

/** Why a target has no seeds; where they should be there, that is a fault. */
export function absence() {
  if (existsSync(join(root, '../shared/fixtures'))) throw new Error('no seeds')
  return 'no ../shared/fixtures to take seeds from'
}

/** Messages in the datagrams of the shared exports, found by their header; seeds need not be exact. */
function messagesInCapture(octets) {
  const found = []
  for (let at = 0; at + 16 <= octets.length; at++) {
    if (octets[at] !== 0 || octets[at + 1] !== 10) continue
    const length = (octets[at + 2] << 8) | octets[at + 3]
    if (length < 20 || length > octets.length - at) continue
    const [message] = splitMessages(octets.subarray(at, at + length))
    const set = (message[16] << 8) | message[17]
    const setLength = (message[18] << 8) | message[19]
    if (setLength < 4 || setLength > length - 16 || (set > 3 && set < 256) || set < 2) continue
    found.push(message)
    at += length - 1
  }
  return found
}

/** Captures small enough to be read thousands of times. */
export function captureSeeds(most = 1 << 15) {
  return [
    ...files('test/fixtures', /\.(pcap|pcapng|cap)$/, most),
    ...files('../shared/fixtures/captures', /\.(pcap|pcapng|cap)$/, most),
  ]
}

export const targets = {
  ...datagramTargets,
  ...mappedTargets,
  diameter,
  ipdr,
  tables,
  snmp,

  async ipfix() {
    const exports_ = '../shared/fixtures/exports'
    const streams = [
      ...files('test/fixtures', /\.ipfix$/, 1 << 17),
      ...files('test/fixtures/ipfix', /\.ipfix$/, 1 << 17),
      ...files(exports_, /\.ipfix$/, 1 << 17),
    ]
    for (const capture of files(exports_, /ipfix.*\.pcap$/i, 1 << 20)) {
      const messages = messagesInCapture(capture)
      const octets = Buffer.concat(messages.slice(0, 40))
      if (octets.length > 0) streams.push(new Uint8Array(octets))
    }
    const decode = await formatTarget('ipfix')
    const createEncoder = await ndjsonEncoder()
    return {
      seeds: streams,
      mutate: mutateIpfix,
      units: (octets) => Math.max(1, splitMessages(octets).length),
      run(random, octets) {
        if (!random.once(4)) return decode(random, octets)
        const encoder = createEncoder()
        decode(random, octets, encoder.push)
        encoder.end()
      },
    }
  },

  async ndjson() {
    const seeds = files('test/fixtures', /\.ndjson$/, 1 << 16)
    const lines =
      '{"flowStartMilliseconds":"2024-01-01T00:00:00.123Z","octetDeltaCount":18446744073709551615,' +
      '"sourceIPv4Address":"192.0.2.1","sourceIPv6Address":"2001:db8::1","sourceMacAddress":"02:00:5e:10:00:01",' +
      '"interfaceName":"eth\\u0030 \\"x\\"","dataRecordsReliability":true,"paddingOctets":"00ff",' +
      '"reverseOctetDeltaCount":3,"9999/17":"c0ffee","absoluteError":1.5e-3}\n' +
      '{"templateId":256,"flowKeyIndicator":55,"_scope":["templateId"]}\n'
    seeds.push(new TextEncoder().encode(lines))
    const decode = await formatTarget('ndjson')
    return {seeds, mutate: mutateNdjson, units: () => 8, run: decode}
  },

  async meter() {
    const {createTypescriptMeter} = await built('src/metering/typescript-meter.js')
    const {meterFields} = await built('src/metering/flow-fields.js')
    const key = ['src', 'dst', 'proto', 'srcport', 'dstport', 'vlan', 'tunnel']
    return {
      seeds: captureSeeds(),
      mutate: mutateCapture,
      // A frame takes microseconds; what is bounded is the whole capture.
      units: (octets) => Math.max(1, octets.length / 4096),
      run(random, octets) {
        const emit = random.of(['flows', 'flows', 'packets', 'pcap'])
        const biflow = random.once(2)
        const decap = random.once(2)
        const request = {emit, key, biflow: biflow && emit === 'flows', decap, precision: 'ms'}
        const meter = createTypescriptMeter({
          ...request,
          idleTimeoutMs: 60000,
          activeTimeoutMs: 300000,
          tcpFinTimeoutMs: 5000,
          tcpRstTimeoutMs: 5000,
          maxMemoryOctets: 0,
          maxFlows: random.of([0, 0, 4]),
          onFull: random.of(['evict', 'drop']),
          sectionOctets: random.of([0, 64, 65535]),
          maxFrames: random.of([0, 0, 3]),
          seed: 1,
          fields: meterFields(request),
        })
        let records = 0
        const take = (outputs) => {
          for (const {octets: message, count} of outputs) {
            records += count
            if (emit === 'pcap') continue
            const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
            promise(message.length <= 65535, `a buffer of ${message.length} octets`)
            promise(view.getUint16(18) === message.length - 16, 'a Set of another length')
          }
        }
        // What is no capture at all is refused; what was metered until then counts all the same.
        const unlessRefused = (fn) => {
          try {
            return fn()
          } catch (error) {
            if (error.code !== 'DARTA_CAPTURE_FORMAT') throw error
            return []
          }
        }
        for (const part of pieces(random, octets)) take(unlessRefused(() => meter.push(part)))
        unlessRefused(() => meter.endCapture() ?? [])
        take(unlessRefused(() => meter.finish()))
        const c = meter.counters()
        promise(
          c.frames === c.ipPackets + sum(c.skipped) + sum(c.lost),
          `${c.frames} frames, ${c.ipPackets} metered, ${sum(c.skipped)} skipped, ${sum(c.lost)} lost`,
        )
        promise(c.flowsLive === 0, `${c.flowsLive} Flows left after the end`)
        promise(emit !== 'flows' || records === c.flowsExported, `${records} records`)
        promise(emit === 'flows' || records === c.ipPackets, `${records} packets`)
        meter.close()
      },
    }
  },

  /** Both meters on the same capture: each tells what the other does wrong. */
  async equal() {
    const difference = await loadComparison()
    const {meterFields} = await built('src/metering/flow-fields.js')
    const keys = [
      ['src', 'dst', 'proto', 'srcport', 'dstport', 'vlan', 'tunnel'],
      ['src', 'dst', 'proto', 'srcport', 'dstport'],
      ['src', 'dst', 'interface', 'tos', 'srcmac', 'dstmac'],
    ]
    return {
      seeds: captureSeeds(),
      mutate: mutateCapture,
      units: (octets) => Math.max(1, octets.length / 512),
      run(random, octets) {
        const emit = random.of(['flows', 'flows', 'flows', 'packets', 'pcap'])
        const request = {
          emit,
          key: random.of(keys),
          biflow: emit === 'flows' && random.once(2),
          decap: random.once(2),
          precision: random.of(['ms', 'us', 'ns']),
        }
        const options = {
          ...request,
          idleTimeoutMs: random.of([60000, 1000, 0]),
          activeTimeoutMs: random.of([300000, 1000]),
          tcpFinTimeoutMs: random.of([5000, 0]),
          tcpRstTimeoutMs: random.of([5000, 0]),
          maxMemoryOctets: 0,
          maxFlows: random.of([0, 0, 0, 1, 4]),
          onFull: random.of(['evict', 'drop', 'fail']),
          sectionOctets: random.of([0, 64, 65000]),
          maxFrames: random.of([0, 0, 0, 3]),
          seed: random.next(),
          fields: meterFields(request),
        }
        const parts = pieces(random, octets)
        const captures = random.once(8) ? [parts, parts] : [parts]
        const found = difference(captures, options)
        promise(found === undefined, found)
      },
    }
  },
}
