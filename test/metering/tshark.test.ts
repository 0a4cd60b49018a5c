import {execFileSync} from 'node:child_process'
import {createCaptureReader} from '../../src/metering/capture-file.js'
import {createDissector} from '../../src/metering/dissect.js'
import type {Packet} from '../../src/metering/packet.js'
import {needing, root, shared, tools} from '../support/needing.js'
import {readFixture} from './metering.js'
import {addressHex} from './rows.js'

const test = needing(shared('fixtures/captures'), tools('tshark'))

/** Of many link types, with options, fragments, tunnels, extension headers and all kinds of ICMP. */
const names = [
  'ipfixprobe__mixed.pcap',
  'ndpi__rtp.pcapng',
  'pcpp__raw_ip.pcap',
  'suricata__decode-chdlc-01.pcap',
  'tcpdump__ipv6-srh-ext-header.pcap',
  'zeek__icmp6.pcap',
  'zeek__ipv6-http-atomic-frag.pcap',
  'zeek__ipv4-fragmented-3.pcap',
  'zeek__mixed-vlan-mpls.pcap',
  'zeek__ppp-quic-interop-retry.pcap',
]

const fields = [
  'frame.protocols',
  'ip.src',
  'ip.dst',
  'ip.proto',
  'ip.ttl',
  'ip.dsfield',
  'ip.flags',
  'ip.frag_offset',
  'ipv6.src',
  'ipv6.dst',
  'ipv6.hlim',
  'ipv6.tclass',
  'ipv6.flow',
  'tcp.srcport',
  'tcp.dstport',
  'tcp.flags',
  'udp.srcport',
  'udp.dstport',
  'icmp.type',
  'icmp.code',
  'icmpv6.type',
  'icmpv6.code',
  'vlan.id',
  'mpls.label',
] as const
type Line = Record<(typeof fields)[number], string>

/** tshark's first occurrence of each field, frame by frame; fragments are not put together. */
function askTshark(name: string): Line[] {
  const path = `${root}../shared/fixtures/captures/${name}`
  const options = [
    'ip.defragment:FALSE',
    'ipv6.defragment:FALSE',
    'tcp.desegment_tcp_streams:FALSE',
  ]
  const text = execFileSync(
    'tshark',
    [
      ...['-n', '-r', path, '-T', 'fields', '-E', 'occurrence=f', '-E', 'separator=|'],
      ...options.flatMap((option) => ['-o', option]),
      ...fields.flatMap((field) => ['-e', field]),
    ],
    {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']},
  )
  return text
    .trimEnd()
    .split('\n')
    .map((line) => Object.fromEntries(line.split('|').map((v, i) => [fields[i], v])) as Line)
}

function fromTshark(line: Line): unknown {
  const protocols = line['frame.protocols'].split(':')
  const at = protocols.findIndex((protocol) => protocol === 'ip' || protocol === 'ipv6')
  if (at < 0) return 'no IP'
  const isV4 = protocols[at] === 'ip'
  const number = (name: keyof Line): number => Number(line[name])
  const isLater = isV4 && number('ip.frag_offset') > 0
  // What is behind ICMP, or another IP header, is not this packet's.
  const behind = protocols.slice(at + 1)
  const end = behind.findIndex((protocol) => /^(ip|ipv6|icmp|icmpv6)$/.test(protocol))
  const own = end < 0 ? behind : behind.slice(0, end)
  const has = (protocol: string): boolean => own.includes(protocol) && !isLater
  const last = behind[end]
  const icmp = last === 'icmp' || last === 'icmpv6' ? last : undefined
  const transport = has('tcp') ? 'tcp' : has('udp') ? 'udp' : undefined
  return {
    src: addressHex(line[isV4 ? 'ip.src' : 'ipv6.src']),
    dst: addressHex(line[isV4 ? 'ip.dst' : 'ipv6.dst']),
    ttl: number(isV4 ? 'ip.ttl' : 'ipv6.hlim'),
    classOfService: number(isV4 ? 'ip.dsfield' : 'ipv6.tclass'),
    flowLabel: isV4 ? 0 : number('ipv6.flow'),
    fragmentFlags: isV4 ? number('ip.flags') << 5 : 0,
    protocol: isV4 ? number('ip.proto') : undefined,
    sourcePort: transport ? number(`${transport}.srcport`) : 0,
    destinationPort: transport ? number(`${transport}.dstport`) : 0,
    tcpBits: has('tcp') ? number('tcp.flags') : 0,
    icmpTypeCode: icmp ? number(`${icmp}.type`) * 256 + number(`${icmp}.code`) : 0,
    vlan: number('vlan.id'),
    label: number('mpls.label'),
  }
}

function fromDissector({layers, ...packet}: Packet): unknown {
  const text = (at: number): string =>
    Buffer.from(packet.octets.subarray(at, at + packet.addressOctets)).toString('hex')
  // Later fragments have the ports of their first one, which tshark does not give them.
  const isLater = packet.fragmentOffset > 0
  return {
    src: text(packet.source),
    dst: text(packet.destination),
    ttl: packet.ttl,
    classOfService: packet.classOfService,
    flowLabel: packet.flowLabel,
    fragmentFlags: packet.version === 4 ? packet.fragmentFlags : 0,
    protocol: packet.version === 4 ? packet.protocol : undefined,
    sourcePort: isLater ? 0 : packet.sourcePort,
    destinationPort: isLater ? 0 : packet.destinationPort,
    tcpBits: packet.tcpBits,
    icmpTypeCode: packet.icmpTypeCode,
    vlan: layers.vlans[0],
    label: (layers.mplsLabel ?? 0) >> 4,
  }
}

for (const name of names) {
  test(`reads the headers of ${name} as tshark does`, (t) => {
    const dissector = createDissector(false, {ms: 0, ns: 0})
    const seen: unknown[] = []
    const reader = createCaptureReader({
      frame(frame) {
        const result = dissector.dissect(frame)
        seen.push(result === 'metered' ? fromDissector(dissector.packet) : 'no IP')
      },
      lost: (reason) => t.fail(reason),
      full: () => false,
    })
    reader.push(readFixture(`captures/${name}`))
    reader.finish()
    t.deepEqual(seen, askTshark(name).map(fromTshark))
  })
}
