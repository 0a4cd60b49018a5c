import test from 'ava'
import {hex} from '../hex.js'
import {createBench, dissect} from './dissecting.js'
import {ethernet, ipv4, ipv6, udp, V6_A} from './packets.js'

const RAW = {linkType: 101}
const INSIDE = {...RAW, decap: true}

const inner4 = ipv4({src: 'c0000201', protocol: 17, tos: 4, ttl: 9}, udp(11, 12, hex`aabb`))
const inner6 = ipv6({next: 17}, udp(13, 14))
const seen4 = {
  depth: 1,
  version: 4,
  src: 'c0000201',
  sport: 11,
  dport: 12,
  ipOctets: 30,
  tos: 4,
  ttl: 9,
}
const seen6 = {depth: 1, version: 6, src: V6_A, sport: 13, dport: 14, ipOctets: 48}
const frame4 = ethernet(inner4)

const gre = (header: Uint8Array, inner: Uint8Array): Uint8Array =>
  ipv4({protocol: 47}, hex`${header} ${inner}`)
const overUdp = (sport: number, dport: number, ...parts: Uint8Array[]): Uint8Array =>
  ipv4({protocol: 17}, udp(sport, dport, hex`${Buffer.concat(parts)}`))

/** Packets with another IP packet in them. */
const tunnels: [title: string, packet: Uint8Array, seen: object][] = [
  ['IPv4 in IPv4', ipv4({protocol: 4}, inner4), seen4],
  ['IPv6 in IPv4', ipv4({protocol: 41}, inner6), seen6],
  ['IPv4 in IPv6', ipv6({next: 4}, inner4), seen4],
  ['IPv6 in IPv6', ipv6({next: 41}, inner6), seen6],
  ['IPv6 behind extension headers', ipv6({next: 60}, hex`2900 0104 00000000 ${inner6}`), seen6],
  ['GRE', gre(hex`0000 0800`, inner4), seen4],
  ['GRE with IPv6', gre(hex`0000 86dd`, inner6), seen6],
  ['GRE with checksum', gre(hex`8000 0800 11112222`, inner4), seen4],
  ['GRE with key', gre(hex`2000 0800 33333333`, inner4), seen4],
  ['GRE with sequence number', gre(hex`1000 0800 44444444`, inner4), seen4],
  ['GRE with all three', gre(hex`b000 0800 11112222 33333333 44444444`, inner4), seen4],
  ['GRE with Ethernet', gre(hex`0000 6558`, frame4), seen4],
  ['GRE with a VLAN', gre(hex`0000 8100`, hex`0005 0800 ${inner4}`), seen4],
  ['GRE with MPLS', gre(hex`0000 8847`, hex`00064140 ${inner4}`), seen4],
  ['GRE with PPP', gre(hex`0000 880b`, hex`ff03 0021 ${inner4}`), seen4],
  ['ERSPAN I', gre(hex`0000 88be`, frame4), seen4],
  ['ERSPAN II', gre(hex`1000 88be 00000001`, hex`1000 0000 00000000 ${frame4}`), seen4],
  ['ERSPAN III', gre(hex`1000 22eb 00000001`, hex`2000 0000 00000000 00000000 ${frame4}`), seen4],
  [
    'ERSPAN III with platform header',
    gre(hex`1000 22eb 00000001`, hex`2000 0000 00000000 00000001 1122334455667788 ${frame4}`),
    seen4,
  ],
  ['enhanced GRE', gre(hex`2001 880b 00260001`, hex`21 ${inner4}`), seen4],
  ['enhanced GRE with sequence', gre(hex`3001 880b 00260001 00000001`, hex`21 ${inner4}`), seen4],
  [
    'enhanced GRE with sequence and acknowledgement',
    gre(hex`3081 880b 00260001 00000001 00000002`, hex`21 ${inner4}`),
    seen4,
  ],
  ['VXLAN', overUdp(40000, 4789, hex`08000000 00000100`, frame4), seen4],
  ['VXLAN from its port', overUdp(4789, 40000, hex`08000000 00000100`, frame4), seen4],
  ['VXLAN on its old port', overUdp(40000, 8472, hex`08000000 00000100`, frame4), seen4],
  ['Geneve', overUdp(40000, 6081, hex`0000 6558 00000100`, frame4), seen4],
  ['Geneve with options', overUdp(40000, 6081, hex`0100 6558 00000100 00000000`, frame4), seen4],
  ['Geneve with IP', overUdp(40000, 6081, hex`0000 0800 00000100`, inner4), seen4],
  ['GTP-U', overUdp(40000, 2152, hex`30ff 001e 00000001`, inner4), seen4],
  ['GTP-U from its port', overUdp(2152, 40000, hex`30ff 001e 00000001`, inner4), seen4],
  ['GTP-U with sequence', overUdp(1, 2152, hex`32ff 0022 00000001 00010000`, inner4), seen4],
  [
    'GTP-U with extension headers',
    overUdp(1, 2152, hex`34ff 002a 00000001 00000085 01100085 0210000000000000`, inner4),
    seen4,
  ],
  ['Teredo', overUdp(40000, 3544, inner6), seen6],
  ['Teredo from its port', overUdp(3544, 40000, inner6), seen6],
  ['Teredo with origin', overUdp(40000, 3544, hex`0000 1111 22222222`, inner6), seen6],
  [
    'Teredo with authentication',
    overUdp(40000, 3544, hex`0001 0203 1122 334455 0011223344556677 00`, inner6),
    seen6,
  ],
  [
    'Teredo with authentication and origin',
    overUdp(40000, 3544, hex`0001 0000 0011223344556677 00 0000 1111 22222222`, inner6),
    seen6,
  ],
]
for (const [title, packet, seen] of tunnels) {
  test(`meters the packet inside ${title}`, (t) => {
    t.like(dissect(packet, INSIDE), seen)
    t.like(dissect(packet, RAW), {depth: 0, ipOctets: packet.length})
  })

  test(`meters the outer packet where the inner one is cut: ${title}`, (t) => {
    const inner = seen === seen4 ? 20 : 40
    const innerOctets = seen === seen4 ? inner4.length : inner6.length
    for (let cut = 20; cut < packet.length; cut++) {
      const depth = cut >= packet.length - innerOctets + inner ? 1 : 0
      if (packet[0] >> 4 === 6 && cut < 40) continue
      t.like(dissect(packet.subarray(0, cut), INSIDE), {depth}, `cut to ${cut}`)
    }
  })
}

/** Packets that look like tunnels and are metered as they are. */
const closed: [title: string, packet: Uint8Array][] = [
  ['GRE with source routes', gre(hex`4000 0800`, inner4)],
  ['GRE of version 2', gre(hex`0002 0800`, inner4)],
  ['GRE with another protocol', gre(hex`0000 88b5`, inner4)],
  ['IPIP with something else', ipv4({protocol: 4}, hex`50 ${inner4}`)],
  ['IPIP with an impossible header length', ipv4({protocol: 4}, hex`44 ${inner4.subarray(1)}`)],
  ['VXLAN without network identifier', overUdp(1, 4789, hex`00000000 00000100`, frame4)],
  ['VXLAN of 8 octets', overUdp(1, 4789, hex`08000000 00000100`)],
  ['Geneve from its port', overUdp(6081, 1, hex`0000 6558 00000100`, frame4)],
  ['Geneve of 8 octets', overUdp(1, 6081, hex`0000 0800 00000100`)],
  ['GTP-U of version 2', overUdp(1, 2152, hex`50ff 001e 00000001`, inner4)],
  ['a GTP-U echo', overUdp(1, 2152, hex`3001 001e 00000001`, inner4)],
  ['GTP-U with an empty extension', overUdp(1, 2152, hex`34ff 0022 00000001 00000085 00`, inner4)],
  ['Teredo with IPv4', overUdp(1, 3544, inner4)],
  ['a later fragment', ipv4({protocol: 4, fragment: 5}, inner4)],
  ['another port', overUdp(1, 4790, hex`08000000 00000100`, frame4)],
  [
    'TCP on a port of VXLAN',
    ipv4({protocol: 6}, hex`0001 12b5 00000000 08000000 00000100 ${frame4}`),
  ],
]
for (const [title, packet] of closed) {
  test(`meters ${title} as it is`, (t) => {
    t.like(dissect(packet, INSIDE), {depth: 0, ipOctets: packet.length})
  })
}

test('lets the first kind whose port is there decide', (t) => {
  // VXLAN's port without its bit: not Geneve then, though that fits.
  t.like(dissect(overUdp(4789, 6081, hex`0000 0800 00000100`, inner4), INSIDE), {depth: 0})
  t.like(dissect(overUdp(2152, 6081, hex`0000 0800 00000100`, inner4), INSIDE), seen4)
  t.like(dissect(overUdp(3544, 2152, hex`30ff 001e 00000001`, inner4), INSIDE), seen4)
  t.like(dissect(overUdp(3544, 2152, inner6), INSIDE), {depth: 0})
})

test('enters eight tunnels and no more', (t) => {
  const nested = (depth: number): Uint8Array =>
    depth === 0 ? inner4 : ipv4({protocol: 4}, nested(depth - 1))
  t.like(dissect(nested(8), INSIDE), {...seen4, depth: 8})
  t.like(dissect(nested(9), INSIDE), {depth: 8, protocol: 4, src: '0a000001', ipOctets: 50})
})

test('enters tunnels of different kinds one in another', (t) => {
  const inVxlan = overUdp(1, 4789, hex`08000000 00000100`, ethernet(ipv4({protocol: 4}, inner4)))
  t.like(dissect(gre(hex`0000 0800`, inVxlan), INSIDE), {...seen4, depth: 3})
})

test('follows 40 Ethertypes anew in each tunnel', (t) => {
  const macs = hex`020000000002 020000000001`
  const tags = (n: number): string => '81000001'.repeat(n)
  const packet = (n: number): Uint8Array =>
    hex`${macs} ${tags(39)} 0800
        ${gre(hex`0000 6558`, hex`${macs} ${tags(n)} 0800 ${inner4}`)}`
  t.like(dissect(packet(39), {decap: true}), seen4)
  t.like(dissect(packet(40), {decap: true}), {depth: 0})
})

test('keeps VLAN ids and labels outside of tunnels only', (t) => {
  const inner = hex`020000000002 020000000001 8100 0007 8847 00064140 ${inner4}`
  t.like(dissect(ethernet(gre(hex`0000 6558`, inner), {vlans: [5]}), {decap: true}), {
    ...seen4,
    vlans: [5],
    mpls: undefined,
    macs: '020000000001020000000002',
  })
})

test('cuts the inner packet to the outer one', (t) => {
  const outer = ipv4({protocol: 4, totalLength: 20 + 24}, inner4)
  t.like(dissect(outer, INSIDE), {
    ...seen4,
    section: Buffer.from(inner4.subarray(0, 24)).toString('hex'),
  })
})

test("takes octets that the inner header does not write from the outer packet's", (t) => {
  const offload = ipv4({src: 'c0000201', protocol: 17, totalLength: 0}, udp(11, 12))
  const packet = ipv4({protocol: 47, totalLength: 1000}, hex`0000 0800 ${offload}`)
  t.like(dissect(packet, INSIDE), {depth: 1, ipOctets: 1000 - 24, sport: 11})
  const both = ipv4({protocol: 47, totalLength: 0}, hex`0000 0800 ${offload}`)
  t.like(dissect(ethernet(both), {decap: true, original: 5014}), {ipOctets: 5000 - 24})
})

test('remembers first fragments outside and inside of tunnels', (t) => {
  const {see} = createBench(true)
  const inner = (fragment: number): Uint8Array => ipv4({protocol: 17, id: 3, fragment}, udp(11, 12))
  const outer = (fragment: number, payload: Uint8Array): Uint8Array =>
    ipv4({protocol: 17, id: 4, fragment, src: '0a000009'}, payload)
  const vxlan = udp(21, 4789, hex`08000000 00000100 ${ethernet(inner(0x2000))}`)
  t.like(see(outer(0x2000, vxlan), RAW), {depth: 1, sport: 11})
  t.like(see(outer(5, vxlan), RAW), {depth: 0, sport: 21, dport: 4789})
  t.like(see(ipv4({protocol: 4}, inner(5)), RAW), {depth: 1, sport: 11, dport: 12})
})
