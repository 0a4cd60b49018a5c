import test from 'ava'
import {netflow5Encoder} from '../../src/commands/ipfix-export/netflow5.js'
import {VARIABLE} from '../../src/record/element.js'
import {StageLedger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'
import {address, batchOf, templateOf, type FieldOctets} from '../support/records.js'
import fc from '../support/properties.js'

const MOST = 2 ** 32 - 1
const SPREAD = 2 ** 44
/** 49 days, less the minute that a device has been up before. */
const LONGEST_MS = 2 ** 32 - 60_000

/** What is copied as it is, what is cut or has a stand-in, counters and times; in no order of NetFlow 5's. */
const elements = [
  ie.bgpSourceAsNumber,
  ie.protocolIdentifier,
  ie.octetDeltaCount,
  ie.sourceIPv4Address,
  ie.flowEndMilliseconds,
  [ie.ingressInterface, 4],
  ie.sourceTransportPort,
  ie.packetDeltaCount,
  ie.destinationIPv4Address,
  ie.tcpControlBits,
  ie.flowStartMilliseconds,
  ie.ipNextHopIPv4Address,
  [ie.egressInterface, 2],
] as const
const plain = templateOf(elements, 300)
/** The same records with a name behind them: none has its fields at a known place. */
const named = templateOf([[ie.interfaceName, VARIABLE], ...elements], 301)

const counter = fc.oneof(
  {weight: 12, arbitrary: fc.nat(100_000)},
  fc.constantFrom(0, MOST, MOST + 1, 3 * MOST, SPREAD, SPREAD + 1),
)
const time = fc.oneof(
  {weight: 12, arbitrary: fc.integer({min: 0, max: 600_000}).map((ms) => 1.7e12 + ms)},
  fc.constantFrom(1e12, 1.7e12 - LONGEST_MS, 1.7e12 + LONGEST_MS, 1.8e12),
)
const flow = fc.record({
  sourceAs: fc.constantFrom(0, 65535, 65536),
  protocol: fc.nat(255),
  octets: counter,
  source: fc.ipV4(),
  end: time,
  input: fc.constantFrom(7, 65535, 65536),
  port: fc.nat(65535),
  packets: counter,
  destination: fc.ipV4(),
  flags: fc.constantFrom(0, 0x12, 0x112),
  start: time,
  hop: fc.ipV4(),
  output: fc.nat(65535),
})
type Flow = typeof flow extends fc.Arbitrary<infer T> ? T : never

function fieldsOf(f: Flow): FieldOctets[] {
  return [
    ...[f.sourceAs, f.protocol, f.octets, address(f.source), f.end, f.input, f.port, f.packets],
    ...[address(f.destination), f.flags, f.start, address(f.hop), f.output],
  ]
}

/** The rows that a Flow becomes, as text; none where it has no place. */
function rowsOf(f: Flow): string[] {
  if (f.octets > SPREAD || f.packets > SPREAD || f.end - f.start >= LONGEST_MS) return []
  const rows: string[] = []
  let {octets, packets} = f
  do {
    const part = [Math.min(packets, MOST), Math.min(octets, MOST)]
    rows.push(
      [
        ...[f.source, f.destination, f.hop, f.input > 65535 ? 0 : f.input, f.output, ...part],
        ...[f.start, Math.max(f.start, f.end), f.port, Math.min(f.flags, 255), f.protocol],
        f.sourceAs > 65535 ? 23456 : f.sourceAs,
      ].join(' '),
    )
    packets -= part[0]
    octets -= part[1]
  } while (packets > 0 || octets > 0)
  return rows
}

/** Rows of datagrams in order, as text; their headers must be right. */
function readRows(messages: readonly Uint8Array[]): string[] {
  let sequence = 0
  return messages.flatMap((octets) => {
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
    const count = view.getUint16(2)
    if (view.getUint16(0) !== 5 || octets.length !== 24 + 48 * count || count > 30) {
      throw new Error(`${octets.length} octets for ${count} rows`)
    }
    if (view.getUint32(16) !== sequence) throw new Error(`numbered ${view.getUint32(16)}`)
    sequence += count
    const boot = view.getUint32(8) * 1000 + view.getUint32(12) / 1e6 - view.getUint32(4)
    const ip = (at: number): string => octets.subarray(at, at + 4).join('.')
    return Array.from({length: count}, (_, n) => {
      const at = 24 + 48 * n
      return [
        ...[ip(at), ip(at + 4), ip(at + 8), view.getUint16(at + 12), view.getUint16(at + 14)],
        ...[view.getUint32(at + 16), view.getUint32(at + 20)],
        ...[boot + view.getUint32(at + 24), boot + view.getUint32(at + 28)],
        ...[view.getUint16(at + 32), octets[at + 37], octets[at + 38], view.getUint16(at + 40)],
      ].join(' ')
    })
  })
}

test('records become the rows of NetFlow 5 that they are, however many come together and wherever their fields are', (t) => {
  fc.assert(
    fc.property(fc.array(flow, {maxLength: 100, size: 'max'}), fc.nat(50), (flows, before) => {
      const expected = flows.flatMap(rowsOf)
      const rows = flows.map(fieldsOf)
      const batches = [
        [batchOf(plain, rows, {}, before)],
        rows.map((row) => batchOf(plain, [row])),
        [
          batchOf(
            named,
            [...rows.entries()].map(([n, row]) => ['x'.repeat(n % 5), ...row]),
          ),
        ],
      ]
      for (const some of batches) {
        const records = new StageLedger('as', 'records')
        const encoder = netflow5Encoder({records, fields: new StageLedger('fields', 'fields')})
        for (const batch of some) encoder.push(batch)
        const {messages, counts} = encoder.flush()
        if (readRows(messages).join('\n') !== expected.join('\n')) return false
        const fit = flows.filter((one) => rowsOf(one).length > 0).length
        if (records.in !== flows.length || records.out !== fit) return false
        if (counts.reduce((sum, n) => sum + n, 0) !== fit) return false
      }
      return true
    }),
    {numRuns: 25},
  )
  t.pass()
})
