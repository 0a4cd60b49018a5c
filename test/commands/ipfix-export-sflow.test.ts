import ava, {type ExecutionContext} from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {udpCollector} from '../support/collector.js'
import {sflowEncoder} from '../../src/commands/ipfix-export/sflow.js'
import {StageLedger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'
import {darta, folder} from '../support/darta.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {needing, root, shared} from '../support/needing.js'

// One after another: each starts processes.
const test = ava.serial

type Plain = Record<string, unknown>

/** What stands in records of collect about their way and not about their samples. */
const ofTheWay = [
  ...['_ipfix', 'collectionTimeMilliseconds', 'originalObservationDomainId'],
  ...['originalExporterIPv4Address', 'originalExporterIPv6Address'],
]

/** Records in NDJSON that are no options, without what another way changes. */
function plain(ndjson: string): Plain[] {
  return ndjson
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Plain)
    .filter((record) => !('_scope' in record))
    .map((record) =>
      Object.fromEntries(Object.entries(record).filter(([name]) => !ofTheWay.includes(name))),
    )
}

async function collected(
  t: ExecutionContext,
  files: readonly string[],
  ...args: string[]
): Promise<{records: Plain[]; ipfix: string}> {
  const ipfix = join(folder(t), 'collected.ipfix')
  const read = files.flatMap((file) => ['-r', file])
  const {code, stderr} = await darta(t, ['collect', ...read, ...args, '-w', ipfix])
  t.is(code, 0, stderr)
  const {stdout} = await darta(t, ['print', '-r', ipfix, '-o', 'ndjson'])
  return {records: plain(stdout.toString()), ipfix}
}

/** Sends records as sFlow; gives what came, one file for each datagram, and what the sender said. */
async function sent(
  t: ExecutionContext,
  args: readonly string[],
  input = '',
): Promise<{files: string[]; words: string; datagrams: readonly Buffer[]}> {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const {code, stderr} = await darta(t, ['ipfix-export', ...args, '--as', 'sflow', to], input)
  t.is(code, 0, stderr)
  const samples = (): number =>
    collector.datagrams.reduce((n, octets) => n + octets.readUInt32BE(octets[7] === 1 ? 24 : 36), 0)
  // A Flow may be several samples; none is less than one.
  const records = Number(/: sflow: \d+ records in, (\d+) out/.exec(stderr)?.[1])
  await collector.until(() => samples() >= records)
  const place = folder(t)
  const files = collector.datagrams.map((octets, i) => {
    const path = join(place, `${String(i).padStart(5, '0')}.bin`)
    writeFileSync(path, octets)
    return path
  })
  return {files, words: stderr, datagrams: collector.datagrams}
}

for (const [name, records, sampling] of [
  ['gen__pmacct-sflow-mixed.pcap', 153, 'auto'],
  ['ndpi__sflow.pcap', 9, 'auto'],
  ['tcpdump__sflow_expanded.pcap', 1, 'auto'],
  ['tcpdump__sflow_expanded.pcap', 1, 'none'],
  ['telegraf__sflow_v5_example.bin', 1, 'auto'],
  ['telegraf__sflow_issue_18876.bin', 1, 'auto'],
] as const) {
  needing(shared('fixtures'))(
    `${name} collected (--sampling ${sampling}), sent as sFlow and collected again is the same`,
    async (t) => {
      const file = join(root, '../shared/fixtures/exports', name)
      const once = await collected(t, [file], '--sampling', sampling)
      t.is(once.records.length, records)
      const {files} = await sent(t, ['-r', once.ipfix])
      const again = await collected(t, files, '--sampling', sampling)
      t.deepEqual(again.records, once.records)
    },
  )
}

const v4 = {
  sourceIPv4Address: '192.0.2.1',
  destinationIPv4Address: '198.51.100.2',
  protocolIdentifier: 17,
  sourceTransportPort: 1234,
  destinationTransportPort: 53,
}
const v6 = {
  sourceIPv6Address: '2001:db8::1',
  destinationIPv6Address: '2001:db8::2',
  protocolIdentifier: 6,
  sourceTransportPort: 50000,
  destinationTransportPort: 443,
  tcpControlBits: 27,
}

function lines(...records: Plain[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('')
}

function sums(records: readonly Plain[]): {packets: number; octets: number} {
  const of = (name: string): number => records.reduce((n, record) => n + Number(record[name]), 0)
  return {packets: of('packetDeltaCount'), octets: of('octetDeltaCount')}
}

test('a Flow becomes samples that give its packets and octets when they are multiplied', async (t) => {
  const flows = [
    {...v4, packetDeltaCount: 7, octetDeltaCount: 1000, ingressInterface: 3, egressInterface: 4},
    {...v4, packetDeltaCount: 1, octetDeltaCount: 60},
    {...v6, packetDeltaCount: 10, octetDeltaCount: 15000},
    // Too short for its headers, and too long for one packet.
    {...v6, packetDeltaCount: 3, octetDeltaCount: 100},
    {...v4, packetDeltaCount: 2, octetDeltaCount: 200_001},
    // More than a rate can say.
    {...v4, packetDeltaCount: 2 ** 33, octetDeltaCount: 2 ** 33 * 40},
  ]
  const {files, words} = await sent(t, [], lines(...flows))
  const {records} = await collected(t, files)
  t.deepEqual(sums(records), sums(flows))
  for (const record of records) {
    t.like(record, 'sourceIPv4Address' in record ? v4 : v6)
  }
  t.like(records[0], {ingressInterface: 3, egressInterface: 4, sflowSourceIdIndex: 3})
  t.regex(words, /: sflow: 6 records in, 6 out/)
})

test('a Biflow becomes samples of both directions', async (t) => {
  const flow = {
    ...v4,
    packetDeltaCount: 3,
    octetDeltaCount: 300,
    reversePacketDeltaCount: 4,
    reverseOctetDeltaCount: 401,
    biflowDirection: 1,
  }
  const {files} = await sent(t, [], lines(flow))
  const {records} = await collected(t, files)
  const [there, back] = ['192.0.2.1', '198.51.100.2'].map((source) =>
    records.filter((record) => record.sourceIPv4Address === source),
  )
  t.deepEqual(sums(there), {packets: 3, octets: 300})
  t.deepEqual(sums(back), {packets: 4, octets: 401})
  t.like(back[0], {sourceTransportPort: 53, destinationTransportPort: 1234})
})

test('what sFlow has no place for is listed, and records without packets are counted', async (t) => {
  const {words} = await sent(
    t,
    [],
    lines(
      {...v4, packetDeltaCount: 1, octetDeltaCount: 40, flowStartSeconds: '2026-01-01T00:00:00Z'},
      {...v4, packetDeltaCount: 0, octetDeltaCount: 0, flowStartSeconds: '2026-01-01T00:00:00Z'},
      {...v4, octetDeltaCount: 40},
      {octetDeltaCount: 40},
    ),
  )
  t.regex(
    words,
    /: sflow: 4 records in, 1 out, skipped 3 \(without-packets 2, without-addresses 1\)/,
  )
  t.regex(words, /: sflow-fields: 8 fields in, 7 out, skipped 1 \(flowStartSeconds 1\)/)
})

test('Packet Reports become samples of their packets, at the rate of their selectors', async (t) => {
  const packet =
    '4500002800000000400600000a0000010a000002005000511234567800000000500200000000000000'
  const {files} = await sent(
    t,
    [],
    lines(
      {
        selectorId: 5,
        selectorAlgorithm: 1,
        samplingPacketInterval: 1,
        samplingPacketSpace: 9,
        _scope: ['selectorId'],
      },
      {
        selectionSequenceId: 8,
        observationPointId: 2,
        selectorId: 5,
        _scope: ['selectionSequenceId'],
      },
      {selectionSequenceId: 8, ipTotalLength: 1400, ipHeaderPacketSection: packet.slice(0, 80)},
      {selectionSequenceId: 9, ipTotalLength: 1400, ipHeaderPacketSection: packet.slice(0, 80)},
    ),
  )
  const {records} = await collected(t, files, '--sampling', 'none')
  t.is(records.length, 2)
  for (const [i, samplingInterval] of [10, 1].entries()) {
    t.like(records[i], {
      samplingInterval,
      sflowHeaderProtocol: 11,
      layer2OctetDeltaCount: 1400,
      ipHeaderPacketSection: packet.slice(0, 80),
      sourceIPv4Address: '10.0.0.1',
    })
  }
})

test('datagrams are numbered by agent and hold no more than the path carries', async (t) => {
  const flow = (i: number): Plain => ({
    ...v4,
    packetDeltaCount: 1,
    octetDeltaCount: 100 + i,
    originalExporterIPv4Address: i % 2 === 0 ? '203.0.113.1' : '203.0.113.2',
  })
  const {datagrams} = await sent(
    t,
    ['--max-message', '400'],
    lines(...Array.from({length: 40}, (_, i) => flow(i))),
  )
  const numbers = new Map<string, number[]>()
  for (const octets of datagrams) {
    t.true(octets.length <= 400)
    const agent = octets.subarray(8, 12).join('.')
    numbers.set(agent, [...(numbers.get(agent) ?? []), octets.readUInt32BE(16)])
  }
  t.deepEqual([...numbers.keys()].sort(), ['203.0.113.1', '203.0.113.2'])
  for (const list of numbers.values()) t.deepEqual(list, [...list.keys()])
})

test('an address of another length than addresses have is no agent', (t) => {
  const template = templateOf([
    ie.sourceIPv4Address,
    ie.destinationIPv4Address,
    ie.protocolIdentifier,
    ie.packetDeltaCount,
    ie.octetDeltaCount,
    [ie.originalExporterIPv6Address, 8],
  ])
  const row = [address('192.0.2.1'), address('198.51.100.2'), 17, 1, 100, new Uint8Array(8)]
  const accounts = {
    records: new StageLedger('sflow', 'records'),
    fields: new StageLedger('sflow-fields', 'fields'),
  }
  const encoder = sflowEncoder(accounts, () => 1400)
  encoder.push(batchOf(template, [row]))
  const [datagram] = encoder.flush().messages
  // Version 5, the agent's address type and 4 octets of nobody, sub-agent, sequence, uptime, one sample.
  t.is(Buffer.from(datagram.subarray(0, 12)).toString('hex'), '000000050000000100000000')
  t.is(Buffer.from(datagram.subarray(24, 28)).toString('hex'), '00000001')
})

test('a Flow whose addresses have another length than addresses have is passed over', (t) => {
  const rest = [ie.protocolIdentifier, ie.packetDeltaCount, ie.octetDeltaCount]
  const accounts = {
    records: new StageLedger('sflow', 'records'),
    fields: new StageLedger('sflow-fields', 'fields'),
  }
  const encoder = sflowEncoder(accounts, () => 1400)
  for (const [source, destination] of [
    [30, 4],
    [4, 16],
  ]) {
    const template = templateOf([
      [ie.sourceIPv4Address, source],
      [ie.destinationIPv4Address, destination],
      ...rest,
    ])
    const row = [new Uint8Array(source), new Uint8Array(destination), 17, 1, 100]
    encoder.push(batchOf(template, [row]))
  }
  t.deepEqual(encoder.flush().messages, [])
  t.is(accounts.records.skipped.get('without-addresses'), 2)
})
