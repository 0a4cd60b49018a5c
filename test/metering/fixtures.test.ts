import {needing, shared} from '../support/needing.js'
import {expectedFlows, fiveTuple, flowLine} from './flow-tables.js'
import {
  FIVE_TUPLE,
  imbalance,
  meterWhole,
  noTimeouts,
  readFixture,
  readTruth,
  sum,
  type Truth,
} from './metering.js'
import {numberOf, type Row} from './rows.js'

const test = needing(shared('fixtures/truth.json'))

/**
 * An octet was put into this capture at 5035, and truth.json ends there. Behind the damage we find seven more
 * packets of 371 octets; tshark has them too when the octet is taken out.
 */
const DAMAGED = 'captures/suricata__bug-1450-04.pcap'
const behindDamage = {packets: 7, octets: 371}

/**
 * Flows of truth.json that are later fragments alone: here they are part of the flow of the first fragment
 * that stood before them.
 */
const mergedFragments: Record<string, number> = {
  'captures/pcpp__ip4_fragments.pcap': 1,
  'captures/zeek__gtp1-outer-frag.pcap': 2,
  'captures/zeek__ipv4-fragmented-1.pcap': 1,
  'captures/zeek__ipv4-fragmented-3.pcap': 1,
}

/** Frames with something else where their type says IP; the rest of the captures are whole. */
const losses: Record<string, Record<string, number>> = {
  [DAMAGED]: {malformed: 1},
  'captures/ndpi__fuzz-2006-06-26-2594.pcap': {'ip-version': 5, 'ip-header-short': 1},
}

const truths = readTruth().map(([name, truth]): [string, Truth] =>
  name === DAMAGED ? [name, withBehindDamage(truth)] : [name, truth],
)

function withBehindDamage(truth: Truth): Truth {
  const {packets, octets} = behindDamage
  const [tcpPackets, tcpOctets] = truth.by_proto['6']
  return {
    ...truth,
    packets: truth.packets + packets + 1, // the stretch of damage counts as a frame
    ip_packets: truth.ip_packets + packets,
    ip4: truth.ip4 + packets,
    ip_bytes: truth.ip_bytes + octets,
    by_proto: {'6': [tcpPackets + packets, tcpOctets + octets]},
  }
}

for (const [name, truth] of truths) {
  test(`meters every packet and octet of ${name}`, (t) => {
    const metered = meterWhole(readFixture(name))
    const {rows, counters} = metered
    t.is(imbalance(metered), undefined)
    t.is(counters.frames, truth.packets)
    t.is(counters.ipPackets, truth.ip_packets)
    t.is(counters.ipOctets, truth.ip_bytes)
    const v4 = rows.filter((row) => 'sourceIPv4Address' in row)
    t.is(sum(v4.map((row) => numberOf(row, 'packetDeltaCount'))), truth.ip4)
    t.deepEqual(byProtocol(rows), truth.by_proto)
    t.deepEqual(Object.fromEntries(counters.lost), losses[name] ?? {})
    if (name === DAMAGED) t.is(counters.firstOffset.get('malformed'), 5035)
    else if (counters.frames > 0) {
      // Simple Packet Blocks have no time: here they get 0, in truth.json none.
      t.is(seconds(counters.firstTimeNs), truth.min_ts ?? '0.000000000')
      t.is(seconds(counters.lastTimeNs), truth.max_ts ?? '0.000000000')
    }
  })

  test(`makes a Flow of each VLAN stack and 5-tuple of ${name}`, (t) => {
    const key = [...FIVE_TUPLE, 'vlan'] as const
    const {counters} = meterWhole(readFixture(name), {key, ...noTimeouts})
    t.is(counters.flowsCreated, truth.flows_vlan - (mergedFragments[name] ?? 0))
  })

  test(`counts ${name} in biflows as in uniflows`, (t) => {
    const metered = meterWhole(readFixture(name), {key: FIVE_TUPLE, biflow: true, ...noTimeouts})
    const merged = mergedFragments[name] === undefined ? 0 : 1 // two of one capture are one biflow
    t.is(metered.counters.flowsCreated, truth.biflows - merged)
    t.is(metered.counters.ipPackets, truth.ip_packets)
    t.is(metered.counters.ipOctets, truth.ip_bytes)
    t.is(imbalance(metered), undefined)
  })

  test(`finds the inner packets of the tunnels of ${name}`, (t) => {
    const {rows, counters} = meterWhole(readFixture(name), {decap: true, ...noTimeouts})
    const inner = rows.filter((row) => numberOf(row, 'dartaTunnelDepth') > 0)
    t.is(sum(inner.map((row) => numberOf(row, 'packetDeltaCount'))), truth.inner_ip_packets)
    t.is(counters.ipPackets, truth.ip_packets)
    // What is in later fragments is not looked into: they have flows of their own here, none in truth.json.
    if (truth.later_fragments === 0) {
      t.is(new Set(rows.map((row) => fiveTuple(row).join(' '))).size, truth.inner_flows)
    }
  })

  // The tables were made with all first fragments in view, wherever they stand; in these captures none
  // comes behind its later ones, except where the table has the flow with ports 0 as we do.
  if (name !== DAMAGED) {
    test(`has packets, octets, times and flags of every 5-tuple of ${name}`, (t) => {
      const choice = {key: FIVE_TUPLE, precision: 'ns', ...noTimeouts} as const
      const {rows} = meterWhole(readFixture(name), choice)
      t.deepEqual(rows.map(flowLine).sort(), expectedFlows(name))
    })
  }
}

test('meters what truth.json has of captures', (t) => {
  t.true(truths.length >= 70)
})

function byProtocol(rows: readonly Row[]): Record<string, [number, number]> {
  const sums: Record<string, [number, number]> = {}
  for (const row of rows) {
    const entry = (sums[String(numberOf(row, 'protocolIdentifier'))] ??= [0, 0])
    entry[0] += numberOf(row, 'packetDeltaCount')
    entry[1] += numberOf(row, 'octetDeltaCount')
  }
  return sums
}

function seconds(ns: bigint | undefined): string {
  const text = String(ns).padStart(10, '0')
  return `${text.slice(0, -9)}.${text.slice(-9)}`
}
