import test from 'ava'
import {hex} from '../hex.js'
import {dissect, type FrameParts} from './dissecting.js'
import {ethernet, ipv4, ipv6, udp, V6_A} from './packets.js'

const v4 = ipv4({protocol: 17}, udp(1, 2))
const v6 = ipv6({next: 17}, udp(3, 4))
const macs = hex`020000000002 020000000001` // destination, source
const highMacs = hex`a20000000002 020000000001` // no version of IP in the first nibble, nor 0
const seen4 = {version: 4, src: '0a000001', dst: '0a000002', sport: 1, dport: 2}
const seen6 = {version: 6, src: V6_A, sport: 3, dport: 4}

/** Frames that end in an IPv4 packet, by what is before it. */
const carried: [title: string, linkType: number, before: Uint8Array][] = [
  ['Ethernet', 1, hex`${macs} 0800`],
  ['FabricPath', 1, hex`${macs} 8903 0001 ${macs} 0800`],
  ['a VLAN tag', 1, hex`${macs} 8100 0064 0800`],
  ['an 802.1ad tag', 1, hex`${macs} 88a8 0064 0800`],
  ['a 0x9100 tag', 1, hex`${macs} 9100 0064 0800`],
  ['a 0x9200 tag', 1, hex`${macs} 9200 0064 0800`],
  ['a PPPoE session', 1, hex`${macs} 8864 1100 0001 0024 0021`],
  ['a PPPoE session with one octet of protocol', 1, hex`${macs} 8864 1100 0001 0024 21`],
  ['one MPLS label', 1, hex`${macs} 8847 000641 40`],
  ['three MPLS labels', 1, hex`${macs} 8848 000640 40 000650 40 000661 40`],
  ['a pseudowire with control word', 1, hex`${macs} 8847 000641 40 00000000 ${macs} 0800`],
  ['a pseudowire without control word', 1, hex`${macs} 8847 000641 40 ${highMacs} 0800`],
  ['an E-Tag', 1, hex`${macs} 893f 0000 0000 0000 0800`],
  ['a VN-Tag', 1, hex`${macs} 8926 0000 0000 0800`],
  ['a PBB I-TAG', 1, hex`${macs} 88e7 00000000 ${macs} 0800`],
  ['NSH', 1, hex`${macs} 894f 0002 01 01 00000000`],
  ['NSH with metadata', 1, hex`${macs} 894f 0006 01 01 00000000 ${new Uint8Array(16)}`],
  ['NSH and Ethernet', 1, hex`${macs} 894f 0002 01 03 00000000 ${macs} 0800`],
  ['LLC and SNAP', 1, hex`${macs} 0030 aaaa03 000000 0800`],
  ['LLC of IP', 1, hex`${macs} 0030 060603`],
  ['a length of 1500', 1, hex`${macs} 05dc aaaa03 000000 0800`],
  ['LLC in a VLAN', 1, hex`${macs} 8100 0064 0030 aaaa03 000000 0800`],
  ['nothing (link type 12)', 12, hex``],
  ['nothing (link type 14)', 14, hex``],
  ['nothing (link type 101)', 101, hex``],
  ['nothing (link type 228)', 228, hex``],
  ['nothing (link type 229)', 229, hex``],
  ['Linux cooked capture', 113, hex`0000 0001 0006 020000000001 0000 0800`],
  ['Linux cooked capture 2', 276, hex`0800 0000 00000001 0001 00 06 020000000001 0000`],
  ['BSD loopback', 0, hex`02000000`],
  ['OpenBSD loopback', 108, hex`00000002`],
  ['PPP', 9, hex`0021`],
  ['PPP with address and control', 9, hex`ff03 0021`],
  ['PPP with one octet of protocol', 50, hex`ff03 21`],
  ['PPP and MPLS', 9, hex`0281 000641 40`],
  ['PPP and MPLS multicast', 9, hex`0283 000641 40`],
  ['Cisco HDLC', 104, hex`0f00 0800`],
  ['Frame Relay with NLPID', 107, hex`1841 03cc`],
  ['Frame Relay with Ethertype', 107, hex`1841 0800`],
  ['802.11 data', 105, hex`0800 0000 ${new Uint8Array(20)} aaaa03 000000 0800`],
  ['802.11 between access points', 105, hex`0803 0000 ${new Uint8Array(26)} aaaa03 000000 0800`],
  ['802.11 QoS data', 105, hex`8801 0000 ${new Uint8Array(22)} aaaa03 000000 0800`],
  ['802.11 QoS with HT control', 105, hex`8881 0000 ${new Uint8Array(26)} aaaa03 000000 0800`],
  ['802.11 order bit without QoS', 105, hex`0880 0000 ${new Uint8Array(20)} aaaa03 000000 0800`],
  ['radiotap', 127, hex`0000 0a00 000000000000 0801 0000 ${new Uint8Array(20)} aaaa03 000000 0800`],
  ['NFLOG', 239, hex`02 00 0000 0800 0100 0800 0000 0600 0a00 61 62 0000 ${hex`2000`} 0900`],
]
/** Cuts behind which the rest reads as something else. */
const readOtherwise: Record<string, string> = {
  'PPP with address and control/1': 'ppp-control',
  'PPP with one octet of protocol/1': 'ppp-control',
  // Behind a zero nibble it takes 19 octets to be a control word.
  'a pseudowire with control word/35': 'llc',
  'a pseudowire with control word/36': 'llc',
}
// Without its packet NFLOG is not told from NFLOG that has none.
for (let cut = 4; cut <= 25; cut++) readOtherwise[`NFLOG/${cut}`] = 'not-ip'

for (const [title, linkType, before] of carried) {
  test(`finds IPv4 behind ${title}`, (t) => {
    t.like(dissect(hex`${before} ${v4}`, {linkType}), seen4)
  })

  test(`skips a frame that ends before its IP header: ${title}`, (t) => {
    for (let cut = 0; cut < Math.max(before.length, 1); cut++) {
      const reason = readOtherwise[`${title}/${cut}`] ?? 'short-frame'
      t.is(dissect(before.subarray(0, cut), {linkType}), `skipped: ${reason}`, `cut to ${cut}`)
    }
  })
}

test('finds IPv6 where its own types stand', (t) => {
  t.like(dissect(ethernet(v6)), seen6)
  t.like(dissect(hex`0057 ${v6}`, {linkType: 9}), seen6)
  t.like(dissect(hex`1e000000 ${v6}`, {linkType: 0}), seen6)
  t.like(dissect(v6, {linkType: 101}), seen6)
  t.like(dissect(hex`${macs} 8847 000641 40 ${v6}`), seen6)
  t.like(dissect(hex`${macs} 894f 0002 01 02 00000000 ${v6}`), seen6)
})

test('goes by the version of the header, whatever the type before it said', (t) => {
  t.like(dissect(hex`${macs} 0800 ${v6}`), seen6)
  t.like(dissect(hex`${macs} 86dd ${v4}`), seen4)
})

test('keeps the ids of VLAN tags, outermost first', (t) => {
  const frame = hex`${macs} 88a8 e064 8100 0065 9100 0fff 9200 0000 8100 0007 0800 ${v4}`
  t.like(dissect(frame), {vlans: [100, 101, 4095, 0], vlanCount: 5})
  t.like(dissect(ethernet(v4)), {vlans: [], vlanCount: 0})
})

test('keeps VLAN tags on both sides of MPLS, PBB and NSH', (t) => {
  const inner = hex`${macs} 8100 0007 0800 ${v4}`
  const outer = hex`${macs} 8100 0005`
  t.like(dissect(hex`${outer} 8847 000641 40 00000000 ${inner}`), {vlans: [5, 7]})
  t.like(dissect(hex`${outer} 88e7 00000000 ${inner}`), {vlans: [5, 7]})
  t.like(dissect(hex`${outer} 894f 0002 01 03 00000000 ${inner}`), {vlans: [5, 7]})
})

test('keeps the first MPLS label met', (t) => {
  t.like(dissect(hex`${macs} 8847 0006e0 40 000650 40 000661 40 ${v4}`), {mpls: 0x0006e0})
  const pseudowire = hex`${macs} 8847 000641 40 00000000 ${macs} 8847 000771 40 ${v4}`
  t.like(dissect(pseudowire), {mpls: 0x000641})
  t.is((dissect(ethernet(v4)) as {mpls?: number}).mpls, undefined)
})

test('tells a control word by more than 18 octets behind a zero nibble', (t) => {
  const pseudowire = hex`${macs} 8847 000641 40 00000000 ${macs} 0806 00`
  t.is(dissect(pseudowire), 'skipped: arp')
  // With 18 the zeros begin a destination address, and the type is what stands 12 octets behind.
  t.is(dissect(pseudowire.subarray(0, -1)), 'skipped: llc')
})

test('has the MAC addresses of the Ethernet header of the frame', (t) => {
  const other = hex`020000000004 020000000003`
  t.like(dissect(ethernet(v4)), {macs: '020000000001020000000002'})
  t.like(dissect(hex`${macs} 8903 0001 ${other} 0800 ${v4}`), {macs: '020000000003020000000004'})
  t.like(dissect(hex`${macs} 88e7 00000000 ${other} 0800 ${v4}`), {
    macs: '020000000001020000000002',
  })
  t.like(dissect(hex`0281 000641 40 ${highMacs} 0800 ${v4}`, {linkType: 9}), {macs: ''})
})

test('looks for FabricPath at the start of the frame only', (t) => {
  t.is(dissect(hex`${macs} 8100 0001 8903 0001 ${macs} 0800 ${v4}`), 'skipped: ethertype-0x8903')
  t.is(dissect(hex`${macs} 8903 0001 ${macs} 8903 0001 ${v4}`), 'skipped: ethertype-0x8903')
})

/** Frames without a packet that can be metered. */
const refused: [title: string, reason: string, octets: Uint8Array, parts?: FrameParts][] = [
  ['ARP', 'arp', hex`${macs} 0806`],
  ['RARP', 'rarp', hex`${macs} 8035`],
  ['LLDP', 'lldp', hex`${macs} 88cc`],
  ['PPPoE discovery', 'pppoe-discovery', hex`${macs} 8863`],
  ['EAPOL', 'eapol', hex`${macs} 888e`],
  ['slow protocols', 'slow-protocols', hex`${macs} 8809`],
  ['PTP', 'ptp', hex`${macs} 88f7`],
  ['CFM', 'cfm', hex`${macs} 8902`],
  ['loopback test', 'loopback-test', hex`${macs} 9000`],
  ['another Ethertype', 'ethertype-0x88b5', hex`${macs} 88b5`],
  ['the first number that is no length', 'ethertype-0x05dd', hex`${macs} 05dd aaaa03 000000 0800`],
  ['other LLC', 'llc', hex`${macs} 0026 424203`],
  ['SNAP of another organisation', 'llc', hex`${macs} 0026 aaaa03 00000c 2000`],
  ['SNAP with unnumbered control other than 03', 'llc', hex`${macs} 0026 aaaabf 000000 0800`],
  ['NSH of another protocol', 'nsh', hex`${macs} 894f 0002 01 04 00000000 ${v4}`],
  ['NSH with next protocol 0', 'nsh', hex`${macs} 894f 0002 01 00 00000000 ${v4}`],
  ['NSH of less than 8 octets', 'nsh', hex`${macs} 894f 0001 01 01 00000000 ${v4}`],
  ['PPP control', 'ppp-control', hex`c021`, {linkType: 9}],
  ['PPP control in PPPoE', 'ppp-control', hex`${macs} 8864 1100 0001 0024 8021`],
  ['raw without IP', 'not-ip', hex`50`, {linkType: 101}],
  ['loopback without IP', 'not-ip', hex`02000000 00`, {linkType: 0}],
  ['Frame Relay with another protocol', 'not-ip', hex`1841 0308`, {linkType: 107}],
  ['NFLOG without a packet', 'not-ip', hex`02000000 0800 0100 08000000`, {linkType: 239}],
  [
    'NFLOG with an impossible length',
    'not-ip',
    hex`02000000 0300 0100 08000000 ${v4}`,
    {linkType: 239},
  ],
  ['NFLOG with something else', 'not-ip', hex`02000000 0500 0900 00`, {linkType: 239}],
  ['NFLOG with an empty packet', 'short-frame', hex`02000000 0400 0900`, {linkType: 239}],
  ['802.11 management', 'wlan-management', hex`8000`, {linkType: 105}],
  ['802.11 control', 'wlan-control', hex`d400`, {linkType: 105}],
  ['802.11 extension', 'wlan-extension', hex`0c00`, {linkType: 105}],
  ['802.11 null function', 'wlan-null', hex`4801`, {linkType: 105}],
  ['802.11 QoS null function', 'wlan-null', hex`c801`, {linkType: 105}],
  ['802.11 protected', 'wlan-protected', hex`0841`, {linkType: 105}],
  ['802.11 with other LLC', 'llc', hex`0801 0000 ${new Uint8Array(20)} 424203`, {linkType: 105}],
  ['radiotap longer than the frame', 'short-frame', hex`0000 ff00 00000000 0801`, {linkType: 127}],
  ['MPLS without bottom', 'short-frame', hex`${macs} 8847 000640 40 000650 40`],
  ['MPLS with nothing below', 'short-frame', hex`${macs} 8847 000641 40`],
  ['a link type that is not known', 'link-type-147', hex`00`, {linkType: 147}],
]
for (const [title, reason, octets, parts] of refused) {
  test(`skips ${title} as ${reason}`, (t) => {
    t.is(dissect(octets, parts), `skipped: ${reason}`)
  })
}

test('cuts a packet to its NFLOG attribute', (t) => {
  const attribute = hex`${Buffer.from([4 + 24, 0])} 0900 ${v4.subarray(0, 24)} 0800 0a00 00000000`
  t.like(dissect(hex`02000000 ${attribute}`, {linkType: 239}), {
    ...seen4,
    section: Buffer.from(v4.subarray(0, 24)).toString('hex'),
  })
})

test('follows 40 Ethertypes and no more', (t) => {
  const tags = (n: number): Uint8Array => hex`${macs} ${'81000001'.repeat(n)} 0800 ${v4}`
  t.like(dissect(tags(39)), {...seen4, vlanCount: 39})
  t.is(dissect(tags(40)), 'skipped: nesting')
})

test('counts Ethertypes of inner Ethernet, 802.3 lengths and MPLS below PPP', (t) => {
  const tags = (n: number): string => '81000001'.repeat(n)
  const pseudowire = (n: number): Uint8Array =>
    hex`${macs} ${tags(10)} 8847 000641 40 00000000 ${macs} ${tags(n)} 0800 ${v4}`
  t.like(dissect(pseudowire(28)), seen4) // 10 + 1 + 28 + 1
  t.is(dissect(pseudowire(29)), 'skipped: nesting')
  const lengths = (n: number): Uint8Array =>
    hex`${macs} ${'0030 aaaa03 000000'.repeat(n)} 0800 ${v4}`
  t.like(dissect(lengths(39)), seen4)
  t.is(dissect(lengths(40)), 'skipped: nesting')
  const ppp = (n: number): Uint8Array =>
    hex`${macs} ${tags(n)} 8864 1100 0001 0024 0281 000641 40 ${v4}`
  t.like(dissect(ppp(38)), seen4) // 38 + PPPoE + MPLS; IP below MPLS has no Ethertype
  t.is(dissect(ppp(39)), 'skipped: nesting')
})

test('loses what should be IP but is not', (t) => {
  t.is(dissect(hex`${macs} 0800 50`), 'lost: ip-version')
  t.is(dissect(hex`${macs} 86dd 00`), 'lost: ip-version')
  t.is(dissect(hex`0021 70`, {linkType: 9}), 'lost: ip-version')
  t.is(dissect(hex`1841 03cc 00`, {linkType: 107}), 'lost: ip-version')
  t.is(dissect(hex`${macs} 0800`), 'lost: ip-header-short')
  t.is(dissect(hex`0f00 0800`, {linkType: 104}), 'lost: ip-header-short')
})
