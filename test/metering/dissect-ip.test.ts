import test from 'ava'
import {hex} from '../hex.js'
import {concat} from './captures.js'
import {createBench, dissect} from './dissecting.js'
import {ethernet, ipv4, ipv6, tcp, udp, V6_A, V6_B} from './packets.js'

const RAW = {linkType: 101}

test('reads an IPv4 header', (t) => {
  const packet = hex`
    45 b8 001c   # version, header length; type of service; total length
    1234 4000    # identification; don't fragment
    3f 11 0000   # time to live, UDP, checksum
    c0000201 c6336402
    04d2 0035 0008 0000 ffff   # UDP; two octets of padding behind it
  `
  t.deepEqual(dissect(packet, RAW), {
    version: 4,
    src: 'c0000201',
    dst: 'c6336402',
    protocol: 17,
    sport: 1234,
    dport: 53,
    ipOctets: 28,
    tcpBits: 0,
    icmp: 0,
    tos: 0xb8,
    ttl: 63,
    flowLabel: 0,
    fragmentFlags: 0x40,
    vlans: [],
    vlanCount: 0,
    mpls: undefined,
    macs: '',
    depth: 0,
    section: Buffer.from(packet.subarray(0, 28)).toString('hex'),
  })
})

test('reads an IPv6 header', (t) => {
  const packet = hex`
    6 ab 12345       # version, traffic class, flow label
    0008 11 07       # payload length, UDP, hop limit
    ${V6_A} ${V6_B}
    04d2 0035 0008 0000 ffff
  `
  t.like(dissect(packet, RAW), {
    version: 6,
    src: V6_A,
    dst: V6_B,
    protocol: 17,
    sport: 1234,
    dport: 53,
    ipOctets: 48,
    tos: 0xab,
    ttl: 7,
    flowLabel: 0x12345,
    fragmentFlags: 0,
    section: Buffer.from(packet.subarray(0, 48)).toString('hex'),
  })
})

test('loses IPv4 of less than 20 octets, and with a header length below 20', (t) => {
  const packet = ipv4({protocol: 17}, udp(1, 2))
  for (let cut = 1; cut < 20; cut++) {
    t.is(dissect(packet.subarray(0, cut), RAW), 'lost: ip-header-short')
  }
  t.like(dissect(packet.subarray(0, 20), RAW), {ipOctets: 28, sport: 0})
  packet[0] = 0x44
  t.is(dissect(packet, RAW), 'lost: ip-header-short')
})

test('loses IPv6 of less than 40 octets', (t) => {
  const packet = ipv6({next: 17}, udp(1, 2))
  for (let cut = 1; cut < 40; cut++) {
    t.is(dissect(packet.subarray(0, cut), RAW), 'lost: ip-header-short')
  }
  t.like(dissect(packet.subarray(0, 40), RAW), {ipOctets: 48, sport: 0})
})

test('takes octets that IPv4 does not write from the length on the wire', (t) => {
  const packet = ipv4({protocol: 17, totalLength: 0}, udp(1, 2))
  t.like(dissect(ethernet(packet), {original: 70000}), {ipOctets: 70000 - 14, sport: 1})
  t.like(dissect(ethernet(packet, {vlans: [1]}), {original: 70000}), {ipOctets: 70000 - 18})
  // Less than what stands before it: the capture lies.
  t.like(dissect(ethernet(packet), {original: 10}), {ipOctets: 0, sport: 0, section: ''})
})

test('takes octets that IPv6 does not write from the length on the wire', (t) => {
  const offload = ipv6({next: 6, payloadLength: 0}, tcp(1, 2, 16, 100))
  t.like(dissect(ethernet(offload), {original: 70000}), {ipOctets: 70000 - 14, sport: 1})
  const jumbogram = ipv6({next: 0, payloadLength: 0}, hex`1100 c204 00011170 ${udp(1, 2)}`)
  t.like(dissect(ethernet(jumbogram), {original: 70000}), {ipOctets: 70000 - 14, protocol: 17})
  // Nothing behind the header, and other protocols: the header's word is good.
  t.like(dissect(ethernet(offload), {original: 54}), {ipOctets: 40, sport: 0})
  t.like(dissect(ethernet(offload), {original: 0}), {ipOctets: 40})
  const other = ipv6({next: 17, payloadLength: 0}, udp(1, 2))
  t.like(dissect(ethernet(other), {original: 70000}), {ipOctets: 40, sport: 0})
})

test('counts a total length below the header length as it stands, with ports 0', (t) => {
  const packet = ipv4({protocol: 17, totalLength: 19}, udp(1, 2))
  t.like(dissect(packet, RAW), {ipOctets: 19, sport: 0, dport: 0})
})

test('does not need IPv4 options to be captured', (t) => {
  const options = hex`46 00 0020 0000 0000 40 11 0000 0a000001 0a000002 94040000 0001 0002 000a 0000`
  t.like(dissect(options, RAW), {sport: 1, dport: 2})
  t.like(dissect(options.subarray(0, 22), RAW), {ipOctets: 32, sport: 0})
})

test('cuts the payload to the IP length', (t) => {
  // Four octets of UDP would be there, but three belong to the packet.
  t.like(dissect(ipv4({protocol: 17, totalLength: 23}, udp(1, 2)), RAW), {sport: 0, dport: 0})
  t.like(dissect(ipv4({protocol: 17, totalLength: 24}, udp(1, 2)), RAW), {sport: 1, dport: 2})
  t.like(dissect(ipv6({next: 17, payloadLength: 3}, udp(1, 2)), RAW), {sport: 0, dport: 0})
  t.like(dissect(ipv6({next: 17, payloadLength: 4}, udp(1, 2)), RAW), {sport: 1, dport: 2})
})

const ported: [string, number][] = [
  ['TCP', 6],
  ['UDP', 17],
  ['DCCP', 33],
  ['SCTP', 132],
  ['UDP-Lite', 136],
]
for (const [name, protocol] of ported) {
  test(`reads the ports of ${name} when 4 octets of it were captured`, (t) => {
    const packet = ipv4({protocol}, hex`04d2 0035 0000`)
    t.like(dissect(packet.subarray(0, 23), RAW), {protocol, sport: 0, dport: 0})
    t.like(dissect(packet.subarray(0, 24), RAW), {protocol, sport: 1234, dport: 53})
    t.like(dissect(ipv6({next: protocol}, hex`04d2 0035`), RAW), {sport: 1234, dport: 53})
  })
}

test('has ports 0 for all other protocols', (t) => {
  for (let protocol = 0; protocol < 256; protocol++) {
    if (ported.some(([, p]) => p === protocol)) continue
    t.like(dissect(ipv4({protocol}, hex`04d2 0035 0000 0000`), RAW), {protocol, sport: 0, dport: 0})
  }
})

test('reads 12 TCP control bits when 14 octets of it were captured', (t) => {
  const packet = ipv4({protocol: 6}, tcp(1, 2, 0x12))
  t.like(dissect(packet.subarray(0, 33), RAW), {sport: 1, tcpBits: 0})
  t.like(dissect(packet.subarray(0, 34), RAW), {sport: 1, tcpBits: 0x12})
  packet[32] = 0x5f // data offset 5; the reserved bits and what was NS
  t.like(dissect(packet, RAW), {tcpBits: 0xf12})
  t.like(dissect(ipv4({protocol: 17}, tcp(1, 2, 0x12)), RAW), {tcpBits: 0})
})

test('reads type and code of ICMP in IPv4 and of ICMPv6 in IPv6', (t) => {
  const message = hex`03 0d 0000`
  t.like(dissect(ipv4({protocol: 1}, message), RAW), {icmp: 0x030d})
  t.like(dissect(ipv6({next: 58}, message), RAW), {icmp: 0x030d})
  t.like(dissect(ipv4({protocol: 1}, message).subarray(0, 21), RAW), {icmp: 0})
  t.like(dissect(ipv4({protocol: 1}, message).subarray(0, 22), RAW), {icmp: 0x030d})
  t.like(dissect(ipv4({protocol: 58}, message), RAW), {icmp: 0})
  t.like(dissect(ipv6({next: 1}, message), RAW), {icmp: 0})
})

/** Extension headers with UDP behind them; `XX` is where the next header stands. */
const extensions: [name: string, number: number, header: string][] = [
  ['hop-by-hop options', 0, 'XX00 0104 00000000'],
  ['hop-by-hop options of 24 octets', 0, `XX02 0114 00000000 ${'00'.repeat(16)}`],
  ['a routing header', 43, `XX02 0200 00000000 ${V6_B}`],
  ['destination options', 60, 'XX00 0104 00000000'],
  ['an authentication header', 51, 'XX01 0000 00000001 00000002'],
  ['an authentication header with a digest', 51, `XX04 0000 00000001 00000002 ${'ab'.repeat(12)}`],
  ['a mobility header', 135, 'XX00 0100 00000000'],
  ['a HIP header', 139, 'XX00 0100 00000000'],
  ['a Shim6 header', 140, 'XX00 0100 00000000'],
  ['an atomic fragment header', 44, 'XX00 0000 00000007'],
]
for (const [name, number, header] of extensions) {
  test(`looks behind ${name} of IPv6`, (t) => {
    const with17 = hex`${header.replace('XX', '11')}`
    const packet = ipv6({next: number}, concat(with17, udp(1, 2)))
    t.like(dissect(packet, RAW), {protocol: 17, sport: 1, dport: 2, fragmentFlags: 0})
    t.like(dissect(packet.subarray(0, 47), RAW), {protocol: number, sport: 0})
    t.like(dissect(packet.subarray(0, 48), RAW), {protocol: 17, sport: 0})
    const twice = concat(hex`${header.replace('XX', '3c')} 1100 0104 00000000`, udp(1, 2))
    t.like(dissect(ipv6({next: number}, twice), RAW), {protocol: 17, sport: 1})
  })
}

test('ends the chain at mobility, HIP and Shim6 with no next header', (t) => {
  for (const number of [135, 139, 140]) {
    t.like(dissect(ipv6({next: number}, hex`3b00 0100 00000000`), RAW), {protocol: number})
  }
  t.like(dissect(ipv6({next: 0}, hex`3b00 0104 00000000`), RAW), {protocol: 59})
})

test('is told by an extension header that is cut what comes next, and reads nothing of that', (t) => {
  const packet = ipv6({next: 0}, hex`11ff 0104 00000000 ${udp(1, 2)}`)
  t.like(dissect(packet, RAW), {protocol: 17, sport: 0, ipOctets: 56})
})

test('follows 64 extension headers and no more', (t) => {
  const chain = (n: number): Uint8Array => hex`${'3c00 0104 00000000'.repeat(n)}`
  const last = hex`1100 0104 00000000 ${udp(1, 2)}`
  t.like(dissect(ipv6({next: 60}, concat(chain(63), last)), RAW), {protocol: 17, sport: 1})
  t.like(dissect(ipv6({next: 60}, concat(chain(64), last)), RAW), {protocol: 60, sport: 0})
})

test('tells the fragment flags as fragmentFlags has them', (t) => {
  const flags = (fragment: number): unknown =>
    dissect(ipv4({protocol: 17, fragment}, udp(1, 2)), RAW)
  t.like(flags(0x8000), {fragmentFlags: 0x80})
  t.like(flags(0x4000), {fragmentFlags: 0x40})
  t.like(flags(0x2000), {fragmentFlags: 0x20})
  t.like(flags(0xffff), {fragmentFlags: 0xe0})
  t.like(dissect(ipv6({next: 44}, hex`1100 0001 00000007 ${udp(1, 2)}`), RAW), {
    fragmentFlags: 0x20,
  })
  t.like(dissect(ipv6({next: 44}, hex`1100 0008 00000007 ${udp(1, 2)}`), RAW), {fragmentFlags: 0})
})

const MORE = 0x2000

test('gives later fragments of IPv4 the ports of the first one', (t) => {
  const {see} = createBench()
  const part = (fragment: number, parts = {}): Uint8Array =>
    ipv4({protocol: 17, id: 7, fragment, ...parts}, udp(1, 2))
  t.like(see(part(5), RAW), {sport: 0, dport: 0}) // before the first one
  t.like(see(part(MORE), RAW), {sport: 1, dport: 2})
  t.like(see(part(MORE | 1), RAW), {sport: 1, dport: 2})
  t.like(see(part(8191), RAW), {sport: 1, dport: 2})
  for (const other of [{id: 8}, {src: '0a000003'}, {dst: '0a000003'}, {protocol: 132}]) {
    t.like(see(part(5, other), RAW), {sport: 0, dport: 0})
  }
})

test('reads no ports, flags or ICMP of a later fragment', (t) => {
  t.like(dissect(ipv4({protocol: 6, fragment: 5}, tcp(1, 2, 18)), RAW), {sport: 0, tcpBits: 0})
  t.like(dissect(ipv4({protocol: 1, fragment: 5}, hex`0800 0000`), RAW), {icmp: 0})
})

/** A fragment of IPv6: `field` has offset and M flag, `next` what stands behind the header. */
function part6(field: string, next = '11', parts = {}): Uint8Array {
  return ipv6({next: 44, ...parts}, hex`${next}00 ${field} 00000007 ${udp(1, 2)}`)
}

test('gives later fragments of IPv6 ports and protocol of the first one', (t) => {
  const {see} = createBench()
  // Destination options belong to what is fragmented; a later fragment tells of them only.
  const first = ipv6({next: 44}, hex`3c00 0001 00000007 1100 0104 00000000 ${udp(1, 2)}`)
  t.like(see(part6('0009', '3c'), RAW), {protocol: 60, sport: 0})
  t.like(see(first, RAW), {protocol: 17, sport: 1})
  t.like(see(part6('0009', '3c'), RAW), {protocol: 17, sport: 1, dport: 2, fragmentFlags: 0x20})
  t.like(see(part6('0010', '3c'), RAW), {protocol: 17, sport: 1, dport: 2, fragmentFlags: 0})
  t.like(see(part6('0010', '3c', {src: V6_B}), RAW), {protocol: 60, sport: 0})
})

test('reads nothing behind the header of a later fragment of IPv6', (t) => {
  const packet = ipv6({next: 44}, hex`3c00 0010 00000007 1100 0104 00000000 ${udp(1, 2)}`)
  t.like(dissect(packet, RAW), {protocol: 60, sport: 0})
})

test('takes an atomic fragment for none', (t) => {
  const {see} = createBench()
  t.like(see(part6('0000'), RAW), {sport: 1})
  t.like(see(part6('0010'), RAW), {sport: 0}) // the atomic one was not remembered
  t.like(see(part6('0006'), RAW), {sport: 1}) // reserved bits
  t.like(see(part6('0010'), RAW), {sport: 0})
})

test('goes by the last of several fragment headers', (t) => {
  const {see} = createBench()
  const two = (first: string, second: string): Uint8Array =>
    ipv6({next: 44}, hex`2c00 ${first} 00000007 1100 ${second} 00000008 ${udp(1, 2)}`)
  t.like(see(two('0001', '0000'), RAW), {fragmentFlags: 0, sport: 1})
  t.like(see(part6('0010'), RAW), {sport: 0}) // 7 was not remembered
  t.like(see(two('0000', '0001'), RAW), {fragmentFlags: 0x20, sport: 1})
  t.like(see(two('0000', '0010'), RAW), {sport: 1})
  t.like(see(two('0010', '0000'), RAW), {protocol: 44, sport: 0})
})

test('forgets a first fragment when more than 30 s of clock have passed', (t) => {
  const {see, clock} = createBench()
  const part = (fragment: number): Uint8Array => ipv4({protocol: 17, id: 7, fragment}, udp(1, 2))
  clock.ns = 5
  see(part(MORE), RAW)
  clock.ms = 30000
  t.like(see(part(5), RAW), {sport: 1})
  clock.ns = 6
  t.like(see(part(5), RAW), {sport: 0})
  see(part(MORE), RAW) // made anew
  clock.ms = 60000
  t.like(see(part(5), RAW), {sport: 1})
})

test('remembers 4096 first fragments and drops the oldest, of any protocol', (t) => {
  const {see} = createBench()
  const part = (id: number, fragment: number, protocol = 17): Uint8Array =>
    ipv4({protocol, id, fragment}, udp(id + 1, 2))
  for (let id = 0; id < 4096; id++) see(part(id, MORE), RAW)
  see(part(1, MORE), RAW) // made anew, so it is the youngest now
  t.like(see(part(0, 5), RAW), {sport: 1})
  see(part(5000, MORE, 1), RAW)
  t.like(see(part(0, 5), RAW), {sport: 0})
  see(part(5001, MORE), RAW)
  t.like(see(part(1, 5), RAW), {sport: 2})
  t.like(see(part(2, 5), RAW), {sport: 0})
  t.like(see(part(3, 5), RAW), {sport: 4})
})
