import {needing, shared} from '../support/needing.js'
import fc from '../support/properties.js'
import {
  imbalance,
  meterChunks,
  meterOptions,
  readFixture,
  type Metered,
  type OptionChoice,
} from './metering.js'
import {cutAt, mutate, mutations} from './mutations.js'

const test = needing(shared('fixtures/captures'))

/** Small captures of different formats, link types and contents. */
const names = [
  'arkime__mpls-basic.pcap',
  'gopacket__be_test010.pcapng',
  'gopacket__le_test102.pcapng',
  'ipfixprobe__mqtt.pcap',
  'ndpi__esp.pcapng',
  'pcpp__many_interfaces-1.pcapng',
  'suricata__bug-1450-04.pcap',
  'suricata__decode-sll2-01.pcap',
  'tcpdump__tcp-handshake-nano.pcap',
  'zeek__erspanII.pcap',
  'zeek__ipv6-fragmented-dns.pcap',
  'zeek__nflog-http.pcap',
  'zeek__pppoe.pcap',
  'zeek__radiotap.pcap',
]
const choices: OptionChoice[] = [
  {},
  {biflow: true, idleTimeoutMs: 1000, activeTimeoutMs: 2000},
  {decap: true, maxFlows: 3},
  {emit: 'packets'},
]

function fixture(name: string): Uint8Array {
  return readFixture(`captures/${name}`)
}

function summary({rows, counters}: Metered): unknown[] {
  return [rows, {...counters, memoryOctets: 0}]
}

/** Runs a property; what fails is told with its seed. */
function holds(property: fc.IRawProperty<unknown, false>, numRuns: number): void {
  fc.assert(property, {numRuns})
}

for (const name of names) {
  test(`meters ${name} in chunks cut anywhere as in one piece`, (t) => {
    const capture = fixture(name)
    for (const choice of choices) {
      const options = meterOptions(choice)
      const whole = summary(meterChunks([capture], options))
      holds(
        fc.property(fc.array(fc.nat(), {maxLength: 20}), (places) => {
          // A chunk may be reused by the caller once push has returned.
          const chunks = cutAt(capture, places)
          t.deepEqual(summary(meterReused(chunks, options)), whole)
        }),
        10,
      )
    }
    const octets = Array.from({length: Math.min(capture.length, 6000)}, (_, i) => i)
    const single = octets.map((i) => capture.subarray(i, i + 1))
    const rest = capture.subarray(octets.length)
    const options = meterOptions()
    t.deepEqual(
      summary(meterChunks([...single, rest], options)),
      summary(meterChunks([capture], options)),
    )
  })
}

/** Meters chunks that all come in the same memory. */
function meterReused(chunks: readonly Uint8Array[], options = meterOptions()): Metered {
  const memory = new Uint8Array(Math.max(...chunks.map((chunk) => chunk.length)))
  function* copies(): Generator<Uint8Array> {
    for (const chunk of chunks) {
      memory.fill(0xee)
      memory.set(chunk)
      yield memory.subarray(0, chunk.length)
    }
  }
  return meterChunks(copies(), options)
}

for (const name of [
  'zeek__nflog-http.pcap',
  'gopacket__le_test102.pcapng',
  'zeek__radiotap.pcap',
]) {
  test(`meters every prefix of ${name} up to the record that is cut`, (t) => {
    const capture = fixture(name)
    const options = meterOptions({emit: 'packets'})
    let before: Metered | undefined
    for (let end = 4; end <= capture.length; end++) {
      const metered = meterChunks([capture.subarray(0, end)], options)
      const {counters, rows} = metered
      if (counters.frames !== counters.ipPackets + total(counters.skipped) + total(counters.lost)) {
        t.fail(`${end} octets: frames are not accounted for`)
      }
      const {lost} = counters
      if (lost.size > 0) t.deepEqual([...lost], [['truncated', 1]])
      // What was metered of less is metered of more.
      t.deepEqual(rows.slice(0, before?.rows.length ?? 0), before?.rows ?? [])
      before = metered
    }
    t.is(total(before?.counters.lost ?? new Map()), 0)
  })
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((a, b) => a + b, 0)
}

for (const name of names) {
  test(`accounts for every frame of ${name} however it is damaged`, (t) => {
    const capture = fixture(name)
    // A section whose byte order cannot be told is no capture.
    const isSection = capture[0] === 0x0a
    const isFormat = (error: unknown): boolean =>
      isSection && (error as {code?: string}).code === 'DARTA_CAPTURE_FORMAT'
    holds(
      fc.property(mutations, fc.constantFrom(...choices.slice(0, 3)), (changes, choice) => {
        const damaged = mutate(capture, changes)
        let metered: Metered
        try {
          metered = meterChunks(cutAt(damaged, [damaged.length >> 1]), meterOptions(choice))
        } catch (error) {
          if (isFormat(error)) return
          throw error
        }
        t.is(imbalance(metered), undefined)
      }),
      40,
    )
  })
}
