import {readFileSync, readdirSync} from 'node:fs'
import {needing, root, shared} from '../support/needing.js'
import {FIVE_TUPLE, meterWhole, noTimeouts, readFixture, type OptionChoice} from './metering.js'
import {addressHex, numberOf, type Row} from './rows.js'

const test = needing(shared('fixtures/expected'))
const folder = `${root}../shared/fixtures/expected/`

/** Packets and octets by direction of a conversation. */
type Totals = Map<string, [packets: number, octets: number]>

function expectedFiles(ending: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(ending))
  } catch {
    return []
  }
}

/** ICMP has no ports; these tools put type and code in their place. Of SCTP they have none. */
function keyOf(src: string, sport: number, dst: string, dport: number, protocol: number): string {
  const ports = [1, 58, 132].includes(protocol) ? [0, 0] : [sport, dport]
  return [src, ports[0], dst, ports[1], protocol].join(' ')
}

function add(totals: Totals, key: string, packets: number, octets: number): void {
  if (packets === 0) return
  const sums = totals.get(key) ?? [0, 0]
  totals.set(key, [sums[0] + packets, sums[1] + octets])
}

function ours(capture: string, choice: OptionChoice, keep: (row: Row) => boolean): Totals {
  const totals: Totals = new Map()
  const {rows} = meterWhole(readFixture(`captures/${capture}`), {...choice, ...noTimeouts})
  for (const row of rows.filter(keep)) {
    const version = 'sourceIPv4Address' in row ? 'IPv4' : 'IPv6'
    const [src, dst] = [row[`source${version}Address`], row[`destination${version}Address`]]
    const number = (name: string): number => numberOf(row, name)
    const [sport, dport] = [number('sourceTransportPort'), number('destinationTransportPort')]
    const key = keyOf(src, sport, dst, dport, number('protocolIdentifier'))
    add(totals, key, number('packetDeltaCount'), number('octetDeltaCount'))
  }
  return totals
}

/** Both directions of a line that has a conversation. */
function addLine(
  totals: Totals,
  [src, sport, dst, dport]: readonly string[],
  protocol: number,
  [packets, octets, backPackets, backOctets]: readonly string[],
): void {
  const [from, to] = [addressHex(src), addressHex(dst)]
  const there = keyOf(from, Number(sport), to, Number(dport), protocol)
  const back = keyOf(to, Number(dport), from, Number(sport), protocol)
  add(totals, there, Number(packets), Number(octets))
  add(totals, back, Number(backPackets), Number(backOctets))
}

function sorted(totals: Totals): [string, number, number][] {
  return [...totals].map(([key, sums]): [string, number, number] => [key, ...sums]).sort()
}

// Zeek

/** Connections of a conn.log: those in tunnels, or the others. */
function zeek(name: string, inTunnels: boolean): Totals {
  const totals: Totals = new Map()
  const lines = readFileSync(folder + name, 'utf8').split('\n')
  const header = lines.find((line) => line.startsWith('#fields')) ?? ''
  const names = header.split('\t').slice(1)
  for (const line of lines.filter((l) => l !== '' && !l.startsWith('#'))) {
    const values = line.split('\t')
    const value = (field: string): string => values[names.indexOf(field)]
    if ((value('tunnel_parents') !== '-') !== inTunnels) continue
    const ends = ['id.orig_h', 'id.orig_p', 'id.resp_h', 'id.resp_p'].map(value)
    const counts = ['orig_pkts', 'orig_ip_bytes', 'resp_pkts', 'resp_ip_bytes'].map(value)
    addLine(totals, ends, Number(value('ip_proto')), counts)
  }
  return totals
}

/** Captures of which Zeek and we rightly count something else. */
const otherInZeek: Record<string, string> = {
  'zeek__gtp1-outer-frag.pcap': 'Zeek puts fragments together and counts whole packets',
}
for (const file of expectedFiles('.zeek-conn.log')) {
  const capture = file.replace('.zeek-conn.log', '')
  if (capture in otherInZeek) continue
  test(`counts ${capture} as Zeek does`, (t) => {
    // Zeek has no connections of GRE and IPIP themselves.
    const isConnection = (row: Row): boolean =>
      ![4, 41, 47].includes(numberOf(row, 'protocolIdentifier'))
    const outside = ours(capture, {key: FIVE_TUPLE}, isConnection)
    t.deepEqual(sorted(outside), sorted(zeek(file, false)))
  })

  // Zeek follows Teredo between peers, on any port.
  if (capture === 'zeek__Teredo.pcap') continue
  test(`counts the insides of tunnels in ${capture} as Zeek does`, (t) => {
    const isInside = (row: Row): boolean => numberOf(row, 'dartaTunnelDepth') > 0
    const inside = ours(capture, {decap: true}, isInside)
    t.deepEqual(sorted(inside), sorted(zeek(file, true)))
  })
}

// YAF

function yaf(name: string): Totals {
  const totals: Totals = new Map()
  const [header, ...lines] = readFileSync(folder + name, 'utf8')
    .trimEnd()
    .split('\n')
  const names = header.split('|').map((column) => column.trim())
  for (const line of lines) {
    const values = line.split('|').map((column) => column.trim())
    const value = (field: string): string => values[names.indexOf(field)]
    const counts = ['pkt', 'oct', 'rpkt', 'roct'].map(value)
    addLine(totals, ['sip', 'sp', 'dip', 'dp'].map(value), Number(value('proto')), counts)
  }
  return totals
}

/** Captures of which YAF and we rightly count something else. */
const otherInYaf: Record<string, string> = {
  'ipfixprobe__tls.pcap': 'YAF drops packets that are older than the last one',
  'zeek__ipv6-http-atomic-frag.pcap': 'YAF drops packets that are older than the last one',
  'zeek__ppp-quic-interop-retry.pcap': 'YAF drops the packet of time 0',
  'ndpi__fuzz-2006-06-26-2594.pcap': 'YAF drops packets that are damaged behind their IP header',
  'zeek__tcp-truncated-header.pcap': 'YAF drops packets that are cut in their TCP header',
  'pcpp__ip4_fragments.pcap': 'YAF puts fragments together and counts whole packets',
  'zeek__gtp1-outer-frag.pcap': 'YAF puts fragments together and counts whole packets',
  'zeek__ipv4-fragmented-1.pcap': 'YAF puts fragments together, and these have a gap',
  'zeek__ipv6-fragmented-dns.pcap': 'YAF puts fragments together, and these have a gap',
  'tcpdump__bigtcp-ipv4.pcap': 'YAF takes the length that is not written as 0',
  'zeek__cisco-fabric-path.pcap': 'YAF does not know FabricPath, as half of the frames have',
}
for (const file of expectedFiles('.yaf.tsv')) {
  const capture = file.replace('.yaf.tsv', '')
  if (capture in otherInYaf) continue
  test(`counts ${capture} as YAF does`, (t) => {
    const all = ours(capture, {key: FIVE_TUPLE}, () => true)
    t.deepEqual(sorted(all), sorted(yaf(file)))
  })
}

test('finds what the peers said of captures', (t) => {
  t.true(expectedFiles('.zeek-conn.log').length >= 11)
  t.true(expectedFiles('.yaf.tsv').length >= 60)
})
