// Prints what tshark says of a capture: packets and IP octets of every 5-tuple, one line each, sorted.
// A second opinion on the meter's counts, with nothing of darta's in it.
//
// - Octets are IPv4 total length, IPv6 payload length + 40, of the outermost header.
// - Fragments have the ports and protocol of the packet that tshark puts together from them.
// - Protocols without ports have ports 0; an ICMP error's quoted packet counts for nothing.
import {spawnSync} from 'node:child_process'

const fields = [
  'frame.number',
  'ip.src',
  'ip.dst',
  'ip.proto',
  'ip.len',
  'ip.reassembled_in',
  'ipv6.src',
  'ipv6.dst',
  'ipv6.plen',
  'ipv6.reassembled.in',
  'tcp.srcport',
  'tcp.dstport',
  'udp.srcport',
  'udp.dstport',
  'frame.protocols',
]
const capture = process.argv[2]
// -2: only a second pass knows, at a first fragment, where the packet ends.
const tshark = spawnSync(
  'tshark',
  [
    '-2',
    '-n',
    '-r',
    capture,
    '-T',
    'fields',
    '-E',
    'occurrence=f',
    ...fields.flatMap((f) => ['-e', f]),
  ],
  {encoding: 'utf8', maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'pipe']},
)
if (tshark.status !== 0) {
  console.error(tshark.error?.message ?? tshark.stderr)
  process.exit(1)
}

const packets = new Map()
for (const line of tshark.stdout.trimEnd().split('\n')) {
  const cells = line.split('\t')
  const row = Object.fromEntries(fields.map((field, i) => [field, cells[i] ?? '']))
  const six = row['ip.src'] === ''
  if (six && row['ipv6.src'] === '') continue
  // The layers after the first IP header, up to the next IP header (which is a quoted packet or a tunnel).
  const layers = row['frame.protocols'].split(':')
  const from = layers.findIndex((layer) => layer === 'ip' || layer === 'ipv6')
  const upper = []
  for (const layer of layers.slice(from + 1)) {
    if (layer === 'ip' || layer === 'ipv6') break
    upper.push(layer)
  }
  const transport = upper.find((l) => ['tcp', 'udp', 'icmp', 'icmpv6', 'igmp'].includes(l))
  packets.set(row['frame.number'], {
    source: six ? row['ipv6.src'] : row['ip.src'],
    destination: six ? row['ipv6.dst'] : row['ip.dst'],
    protocol: {tcp: 6, udp: 17, icmp: 1, icmpv6: 58, igmp: 2}[transport],
    ports:
      transport === 'tcp' || transport === 'udp'
        ? [row[`${transport}.srcport`], row[`${transport}.dstport`]]
        : ['0', '0'],
    octets: six ? Number(row['ipv6.plen']) + 40 : Number(row['ip.len']),
    wholeIn: six ? row['ipv6.reassembled.in'] : row['ip.reassembled_in'],
    frame: row['frame.number'],
  })
}

const flows = new Map()
for (const packet of packets.values()) {
  const whole = packet.wholeIn === '' ? packet : packets.get(packet.wholeIn)
  if (whole.protocol === undefined) {
    console.error(`frame ${packet.frame}: no transport that this script knows`)
    process.exit(1)
  }
  const key = [packet.source, packet.destination, whole.protocol, ...whole.ports].join('\t')
  const flow = flows.get(key) ?? [0, 0]
  flows.set(key, [flow[0] + 1, flow[1] + packet.octets])
}
console.log('source\tdestination\tprotocol\tsource port\tdestination port\tpackets\toctets')
for (const key of [...flows.keys()].sort()) console.log(`${key}\t${flows.get(key).join('\t')}`)
