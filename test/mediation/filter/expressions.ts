import type {Row} from './records.js'

const START = 1_700_000_000_000

/** Whether an IPv4 address lies in `net`/`bits`. */
function inNet(value: unknown, net: string, bits: number): boolean {
  if (typeof value !== 'string' || value.includes(':')) return false
  const number = (text: string): number => text.split('.').reduce((n, part) => 256 * n + +part, 0)
  const size = 2 ** (32 - bits)
  return Math.floor(number(value) / size) === Math.floor(number(net) / size)
}

const ports = (r: Row): readonly unknown[] => [
  ...r.all('sourceTransportPort'),
  ...r.all('destinationTransportPort'),
]
const hosts = (r: Row): readonly unknown[] =>
  [
    'sourceIPv4Address',
    'destinationIPv4Address',
    'sourceIPv6Address',
    'destinationIPv6Address',
  ].flatMap((name) => r.all(name))
const duration = (r: Row): number =>
  r.has('flowDurationMilliseconds')
    ? r.number('flowDurationMilliseconds')
    : r.has('flowEndMilliseconds')
      ? r.number('flowEndMilliseconds') - r.number('flowStartMilliseconds')
      : r.has('flowEndNanoseconds')
        ? Math.floor(Number((r.get('flowEndNanoseconds') as bigint) / 1_000_000n)) -
          Math.floor(Number((r.get('flowStartMicroseconds') as bigint) / 1000n))
        : NaN
const first = (r: Row): number =>
  r.has('flowStartMilliseconds')
    ? r.number('flowStartMilliseconds')
    : r.has('flowStartSeconds')
      ? 1000 * r.number('flowStartSeconds')
      : r.has('flowStartMicroseconds')
        ? Number((r.get('flowStartMicroseconds') as bigint) / 1000n)
        : NaN
const big = (r: Row, name: string): bigint => BigInt((r.get(name) ?? -1) as number)
const unknownNumber = (r: Row): number => {
  const octets = r.get('35632/80')
  return octets instanceof Uint8Array ? octets.reduce((n, octet) => 256 * n + octet, 0) : NaN
}
const words = (value: unknown): string =>
  value instanceof Uint8Array ? new TextDecoder().decode(value) : ''
const label = (r: Row): number => {
  const octets = r.get('mplsTopLabelStackSection')
  return octets instanceof Uint8Array
    ? (octets[0] << 12) | (octets[1] << 4) | (octets[2] >> 4)
    : NaN
}
const flags = (r: Row): number => r.number('tcpControlBits')

/** Files that the expressions name. */
export const files: Readonly<Record<string, string>> = {
  'nets.txt': '# networks\n10.0.0.0/8\n2001:db8::/48, 192.0.2.9\n\n',
  'ports.txt': '53 80\n8000-8100 # web',
  'users.txt': 'alice\ncarol\n',
  empty: '',
  'web.filter': 'let web = port in [80 443]',
  'tcp.filter': 'proto tcp # everything else goes',
}

/** Expressions, and what they mean, said in the plainest way. */
export const expressions: readonly (readonly [string, (r: Row) => boolean])[] = [
  // Words that nfdump has, on records that it would not read.
  ['any', () => true],
  ['', () => true],
  ['not any', () => false],
  [
    'ipv4',
    (r) => /^(?!0\.0\.0\.0)/.test(r.text('sourceIPv4Address')) && r.has('sourceIPv4Address'),
  ],
  ['ipv6', (r) => r.has('sourceIPv6Address') && r.text('sourceIPv6Address') !== '::'],
  ['src as 64496', (r) => r.get('bgpSourceAsNumber') === 64496],
  ['dst as 64497', (r) => r.get('bgpDestinationAsNumber') === 64497],
  ['as 4200000000', (r) => r.get('bgpSourceAsNumber') === 4200000000],
  ['as in [0 1]', (r) => r.get('bgpSourceAsNumber') === 0 || r.get('bgpDestinationAsNumber') === 1],
  [
    'as > 64496',
    (r) => r.number('bgpSourceAsNumber') > 64496 || r.number('bgpDestinationAsNumber') > 64496,
  ],
  ['src as != 0', (r) => r.has('bgpSourceAsNumber') && r.get('bgpSourceAsNumber') !== 0],
  ['port = 80', (r) => ports(r).includes(80)],
  ['port http', (r) => ports(r).includes(80)],
  ['dst port domain', (r) => r.get('destinationTransportPort') === 53],
  ['port=443', (r) => ports(r).includes(443)],
  ['port != 80', (r) => ports(r).some((p) => p !== 80)],
  ['not port 80', (r) => !ports(r).includes(80)],
  ['either port 80', (r) => ports(r).includes(80)],
  ['src or dst port 80', (r) => ports(r).includes(80)],
  [
    'src and dst port 53',
    (r) => r.get('sourceTransportPort') === 53 && r.get('destinationTransportPort') === 53,
  ],
  [
    'dst and src port 443',
    (r) => r.get('sourceTransportPort') === 443 && r.get('destinationTransportPort') === 443,
  ],
  [
    'port in [80 443 8000-8100]',
    (r) => ports(r).some((p) => p === 80 || p === 443 || (Number(p) >= 8000 && Number(p) <= 8100)),
  ],
  ['port in [80, 443,]', (r) => ports(r).some((p) => p === 80 || p === 443)],
  ['port in 80,443', (r) => ports(r).some((p) => p === 80 || p === 443)],
  ['port 8000-8100', (r) => ports(r).some((p) => Number(p) >= 8000 && Number(p) <= 8100)],
  ['portrange 8000-8100', (r) => ports(r).some((p) => Number(p) >= 8000 && Number(p) <= 8100)],
  [
    'dst portrange 100..443',
    (r) =>
      r.number('destinationTransportPort') >= 100 && r.number('destinationTransportPort') <= 443,
  ],
  [
    'port in @ports.txt',
    (r) => ports(r).some((p) => p === 53 || p === 80 || (Number(p) >= 8000 && Number(p) <= 8100)),
  ],
  ['tcp', (r) => r.get('protocolIdentifier') === 6],
  ['tcp port 443', (r) => r.get('protocolIdentifier') === 6 && ports(r).includes(443)],
  [
    'udp dst port 53',
    (r) => r.get('protocolIdentifier') === 17 && r.get('destinationTransportPort') === 53,
  ],
  ['icmp or icmp6', (r) => r.get('protocolIdentifier') === 1 || r.get('protocolIdentifier') === 58],
  [
    'proto in [tcp udp]',
    (r) => r.get('protocolIdentifier') === 6 || r.get('protocolIdentifier') === 17,
  ],
  ['proto != tcp', (r) => r.has('protocolIdentifier') && r.get('protocolIdentifier') !== 6],
  ['proto ipv6-icmp', (r) => r.get('protocolIdentifier') === 58],
  ['host 10.0.0.1', (r) => hosts(r).includes('10.0.0.1')],
  ['src 10.0.0.1', (r) => r.get('sourceIPv4Address') === '10.0.0.1'],
  ['dst 203.0.113.5', (r) => r.get('destinationIPv4Address') === '203.0.113.5'],
  ['src 10.0.0.0/8', (r) => inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8)],
  [
    'src 10.0.0.1 and dst port 53',
    (r) => r.get('sourceIPv4Address') === '10.0.0.1' && r.get('destinationTransportPort') === 53,
  ],
  [
    'src and dst net 10.0.0.0/8',
    (r) =>
      inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8) &&
      inNet(r.get('destinationIPv4Address'), '10.0.0.0', 8),
  ],
  [
    'src and dst host 192.0.2.9',
    (r) =>
      r.get('sourceIPv4Address') === '192.0.2.9' && r.get('destinationIPv4Address') === '192.0.2.9',
  ],
  ['net 10/8', (r) => hosts(r).some((h) => inNet(h, '10.0.0.0', 8))],
  ['net 10', (r) => hosts(r).some((h) => inNet(h, '10.0.0.0', 8))],
  ['net 192.0.2', (r) => hosts(r).some((h) => inNet(h, '192.0.2.0', 24))],
  ['net 198.51.100.64/26', (r) => hosts(r).some((h) => inNet(h, '198.51.100.64', 26))],
  [
    'net 198.51.100.0 mask 255.255.255.192',
    (r) => hosts(r).some((h) => inNet(h, '198.51.100.0', 26)),
  ],
  ['net 192.0.2.77/24', (r) => hosts(r).some((h) => inNet(h, '192.0.2.0', 24))],
  ['net 0.0.0.0/0', (r) => hosts(r).some((h) => !String(h).includes(':'))],
  ['net ::/0', (r) => hosts(r).some((h) => String(h).includes(':'))],
  ['net 2001:db8::/48', (r) => hosts(r).some((h) => String(h).startsWith('2001:db8::'))],
  ['host 2001:DB8:0:0::1', (r) => hosts(r).includes('2001:db8::1')],
  [
    'host in [10.0.0.1 2001:db8::/32]',
    (r) => hosts(r).some((h) => h === '10.0.0.1' || String(h).startsWith('2001:db8')),
  ],
  ['host 10.0.0.0-10.0.0.9', (r) => hosts(r).includes('10.0.0.1') || hosts(r).includes('10.0.0.2')],
  [
    'src ip != 10.0.0.1',
    (r) =>
      (r.has('sourceIPv4Address') || r.has('sourceIPv6Address')) &&
      (r.has('sourceIPv6Address') || r.get('sourceIPv4Address') !== '10.0.0.1'),
  ],
  [
    'net in @nets.txt',
    (r) =>
      hosts(r).some(
        (h) => inNet(h, '10.0.0.0', 8) || h === '192.0.2.9' || String(h).startsWith('2001:db8::'),
      ),
  ],
  [
    'src in @nets.txt',
    (r) =>
      inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8) ||
      r.get('sourceIPv4Address') === '192.0.2.9' ||
      r.text('sourceIPv6Address').startsWith('2001:db8::'),
  ],
  [
    'src ip in @nets.txt and port in @ports.txt',
    (r) =>
      (inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8) ||
        r.get('sourceIPv4Address') === '192.0.2.9' ||
        r.text('sourceIPv6Address').startsWith('2001:db8::')) &&
      ports(r).some((p) => p === 53 || p === 80 || (Number(p) >= 8000 && Number(p) <= 8100)),
  ],
  ['host in @empty', () => false],
  ['vlan 20', (r) => r.all('vlanId').includes(20)],
  ['vlan 10', (r) => r.all('vlanId').includes(10)],
  ['mac 00:00:5e:00:53:01', (r) => r.get('sourceMacAddress') === '00:00:5e:00:53:01'],
  ['mac 00-00-5E-00-53-01', (r) => r.get('sourceMacAddress') === '00:00:5e:00:53:01'],
  ['in src mac in [00:00:5e:00:53:01, 02:00:00:00:00:02]', (r) => r.has('sourceMacAddress')],
  ['out mac 00:00:5e:00:53:01', () => false],
  ['flags S', (r) => (flags(r) & 2) === 2],
  ['flags SA', (r) => (flags(r) & 18) === 18],
  ['not flags FR', (r) => !((flags(r) & 5) !== 0)],
  ['flags = S', (r) => flags(r) === 2],
  ['flags 18', (r) => (flags(r) & 255) === 18],
  ['flags S/SA', (r) => (flags(r) & 18) === 2],
  ['flags & 0x11', (r) => (flags(r) & 0x11) !== 0],
  ['flags & 0x12 = 0x10', (r) => (flags(r) & 0x12) === 0x10],
  ['flags in [S SA]', (r) => flags(r) === 2 || flags(r) === 18],
  ['tos 184', (r) => r.get('ipClassOfService') === 184],
  ['dscp 46', (r) => r.number('ipClassOfService') >> 2 === 46 && r.has('ipClassOfService')],
  ['dscp > 0', (r) => r.number('ipClassOfService') >> 2 > 0],
  ['ecn 3', (r) => r.has('ipClassOfService') && (r.number('ipClassOfService') & 3) === 3],
  ['bytes > 1M', (r) => big(r, 'octetDeltaCount') > 1_000_000n],
  ['bytes >= 1m', (r) => big(r, 'octetDeltaCount') >= 1_000_000n],
  ['octets < 1k', (r) => r.has('octetDeltaCount') && big(r, 'octetDeltaCount') < 1000n],
  ['bytes > 8Gi', (r) => big(r, 'octetDeltaCount') > 2n ** 33n],
  ['bytes = 8Gi', (r) => big(r, 'octetDeltaCount') === 2n ** 33n],
  [
    'bytes 1.5k-2M',
    (r) => big(r, 'octetDeltaCount') >= 1500n && big(r, 'octetDeltaCount') <= 2_000_000n,
  ],
  ['bytes > 9007199254740991', (r) => big(r, 'octetDeltaCount') > 9007199254740991n],
  ['bytes = 10000000000000000000', (r) => big(r, 'octetDeltaCount') === 10n ** 19n],
  ['bytes <= 18446744073709551615', (r) => r.has('octetDeltaCount')],
  ['out bytes > 0', (r) => r.number('reverseOctetDeltaCount') > 0],
  [
    'packets in [1 100]',
    (r) => r.get('packetDeltaCount') === 1 || r.get('packetDeltaCount') === 100,
  ],
  ['packets > 0x40', (r) => r.number('packetDeltaCount') > 64],
  ['flows 1', (r) => (r.get('deltaFlowCount') ?? 1) === 1],
  ['flows > 2', (r) => r.number('deltaFlowCount') > 2],
  ['duration > 1m', (r) => duration(r) > 60_000],
  ['duration >= 1.5s', (r) => duration(r) >= 1500],
  ['duration 250', (r) => duration(r) === 250],
  ['duration = 0', (r) => duration(r) === 0],
  ['duration > 1m30s', (r) => duration(r) > 90_000],
  [
    'bpp > 500',
    (r) =>
      r.has('packetDeltaCount') &&
      Math.floor(r.number('octetDeltaCount') / r.number('packetDeltaCount')) > 500,
  ],
  [
    'bps > 1M',
    (r) => duration(r) > 0 && Math.floor((8000 * r.number('octetDeltaCount')) / duration(r)) > 1e6,
  ],
  [
    'pps > 100',
    (r) =>
      r.has('packetDeltaCount') &&
      duration(r) > 0 &&
      Math.floor((1000 * r.number('packetDeltaCount')) / duration(r)) > 100,
  ],
  ['first seen >= 2023-11-14T22:15:00Z', (r) => first(r) >= Date.UTC(2023, 10, 14, 22, 15)],
  ['first seen < 2023/11/14.22:15:00', (r) => first(r) < Date.UTC(2023, 10, 14, 22, 15)],
  [
    'first seen = 2023-11-14T22:15',
    (r) => first(r) >= Date.UTC(2023, 10, 14, 22, 15) && first(r) < Date.UTC(2023, 10, 14, 22, 16),
  ],
  [
    "first seen > '2023-11-14T22:15:00.500Z'",
    (r) => first(r) > Date.UTC(2023, 10, 14, 22, 15, 0, 500),
  ],
  [
    'first seen in 2023-11-14T22:14:00Z..2023-11-14T22:15:00Z',
    (r) =>
      first(r) >= Date.UTC(2023, 10, 14, 22, 14) && first(r) < Date.UTC(2023, 10, 14, 22, 15, 1),
  ],
  ['first seen > 1700000100', (r) => first(r) > 1_700_000_100_000],
  ['first seen > 1700000100250', (r) => first(r) > 1_700_000_100_250],
  ['first seen >= now', (r) => first(r) >= START],
  [
    'last seen > 2023-11-14T22:15:00Z',
    (r) =>
      (r.has('flowEndMilliseconds') &&
        r.number('flowEndMilliseconds') > Date.UTC(2023, 10, 14, 22, 15)) ||
      (r.has('flowEndNanoseconds') &&
        Number((r.get('flowEndNanoseconds') as bigint) / 1_000_000n) >
          Date.UTC(2023, 10, 14, 22, 15)),
  ],
  [
    'icmp-type 8',
    (r) =>
      r.get('protocolIdentifier') === 1 &&
      (r.has('icmpTypeCodeIPv4')
        ? r.number('icmpTypeCodeIPv4') >> 8 === 8
        : r.number('destinationTransportPort') >> 8 === 8),
  ],
  [
    'icmp-code 1',
    (r) =>
      r.get('protocolIdentifier') === 1 &&
      r.has('icmpTypeCodeIPv4') &&
      (r.number('icmpTypeCodeIPv4') & 255) === 1,
  ],
  ['user alice', (r) => r.get('userName') === 'alice'],
  ['user in [alice bob]', (r) => r.get('userName') === 'alice' || r.get('userName') === 'bob'],
  ['user in @users.txt', (r) => r.get('userName') === 'alice' || r.get('userName') === 'carol'],
  ["user 'a b'", (r) => r.get('userName') === 'a b'],
  ['user != bob', (r) => r.has('userName') && r.get('userName') !== 'bob'],
  ['user ~ /^a/', (r) => r.text('userName').startsWith('a')],
  ['uid 1000', (r) => r.get('dartaUserId') === 1000],
  ['uid in [0 4294967295]', (r) => r.has('dartaUserId') && r.get('dartaUserId') !== 1000],
  ['uid < 1000', (r) => r.get('dartaUserId') === 0],
  ['user Ålice', (r) => r.get('userName') === 'Ålice'],
  ['odid 7', (r) => (r.get('observationDomainId') ?? r.message.observationDomainId) === 7],
  ['odid > 8', (r) => Number(r.get('observationDomainId') ?? r.message.observationDomainId) > 8],
  [
    'observation domain id 70',
    (r) => (r.get('observationDomainId') ?? r.message.observationDomainId) === 70,
  ],
  [
    'exporter 192.0.2.33',
    (r) =>
      (r.get('exporterIPv4Address') ?? r.message.exporter?.replace(/:\d+$/, '')) === '192.0.2.33',
  ],
  ['router ip 192.0.2.34', (r) => r.get('exporterIPv4Address') === '192.0.2.34'],
  [
    'exporter in [2001:db8::/64]',
    (r) => !r.has('exporterIPv4Address') && r.message.exporter?.startsWith('[2001:db8') === true,
  ],
  ['ident 192.0.2.33:4739', (r) => r.message.exporter === '192.0.2.33:4739'],
  ['mpls label1 = 1600', (r) => label(r) === 1600],
  ['mpls label1 > 1615', (r) => label(r) > 1615],
  [
    'mpls exp1 5',
    (r) =>
      r.has('mplsTopLabelStackSection') &&
      (((r.get('mplsTopLabelStackSection') as Uint8Array)[2] >> 1) & 7) === 5,
  ],
  ["payload content 'HTTP'", (r) => words(r.get('ipPayloadPacketSection')).includes('HTTP')],
  ["payload regex '^ssh' i", (r) => /^ssh/i.test(words(r.get('ipPayloadPacketSection')))],
  // Elements by name.
  ['octetDeltaCount > 1M', (r) => big(r, 'octetDeltaCount') > 1_000_000n],
  ['octetDeltaCount gt 1M', (r) => big(r, 'octetDeltaCount') > 1_000_000n],
  ['sourceIPv4Address in 10.0.0.0/8', (r) => inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8)],
  ['sourceIPv4Address = 10.0.0.1', (r) => r.get('sourceIPv4Address') === '10.0.0.1'],
  [
    'sourceIPv4Address != 10.0.0.1',
    (r) => r.has('sourceIPv4Address') && r.get('sourceIPv4Address') !== '10.0.0.1',
  ],
  [
    'sourceIPv6Address in [2001:db8::/48 fe80::/10]',
    (r) =>
      r.text('sourceIPv6Address').startsWith('2001:db8::') ||
      r.text('sourceIPv6Address').startsWith('fe80'),
  ],
  [
    'sourceIPv4Address in @nets.txt',
    (r) =>
      inNet(r.get('sourceIPv4Address'), '10.0.0.0', 8) ||
      r.get('sourceIPv4Address') === '192.0.2.9',
  ],
  ['protocolIdentifier = udp', (r) => r.get('protocolIdentifier') === 17],
  [
    'destinationTransportPort in [https 8100]',
    (r) => [443, 8100].includes(r.number('destinationTransportPort')),
  ],
  ['tcpControlBits = SA', (r) => flags(r) === 18],
  ['tcpControlBits & 0x02', (r) => (flags(r) & 2) !== 0],
  ['tcpControlBits & 0xff = 0x12', (r) => (flags(r) & 255) === 18],
  ['tcpControlBits >= 256', (r) => flags(r) >= 256],
  ['29305/1 > 0', (r) => r.number('reverseOctetDeltaCount') > 0],
  ['reverseOctetDeltaCount = 500', (r) => r.get('reverseOctetDeltaCount') === 500],
  ['0/4 = 6', (r) => r.get('protocolIdentifier') === 6],
  ['pen 35632 id 80 = 5', (r) => unknownNumber(r) === 5],
  ['35632/80 > 255', (r) => unknownNumber(r) > 255],
  ['35632/80 in [5 261]', (r) => unknownNumber(r) === 5 || unknownNumber(r) === 261],
  ["pen 35632 id 81 = 'blue'", (r) => words(r.get('35632/81')) === 'blue'],
  ['35632/81 ~ /^gr/', (r) => words(r.get('35632/81')).startsWith('gr')],
  ['exists(userName)', (r) => r.has('userName') && r.get('userName') !== ''],
  ['exists userName', (r) => r.has('userName') && r.get('userName') !== ''],
  ['not exists(sourceIPv4Address)', (r) => !r.has('sourceIPv4Address')],
  ['exists(35632/80)', (r) => r.has('35632/80')],
  ['userName = alice', (r) => r.get('userName') === 'alice'],
  ["userName = ''", (r) => r.get('userName') === ''],
  ['userName contains lic', (r) => r.text('userName').includes('lic')],
  ['userName !~ /^.l/', (r) => r.has('userName') && !/^.l/.test(r.text('userName'))],
  ['userName matches /^[ab]/', (r) => /^[ab]/.test(r.text('userName'))],
  ['interfaceDescription ~ /^uplink/i', (r) => /^uplink/i.test(r.text('interfaceDescription'))],
  ['interfaceDescription ~ /core$/', (r) => r.text('interfaceDescription').endsWith('core')],
  [
    "interfaceDescription contains 'to core'",
    (r) => r.text('interfaceDescription').includes('to core'),
  ],
  [
    'ipPayloadPacketSection contains 0x535348',
    (r) => words(r.get('ipPayloadPacketSection')).includes('SSH'),
  ],
  [
    "ipPayloadPacketSection = 'SSH-2.0'",
    (r) => words(r.get('ipPayloadPacketSection')) === 'SSH-2.0',
  ],
  [
    'ipPayloadPacketSection ~ /^GET /',
    (r) => words(r.get('ipPayloadPacketSection')).startsWith('GET '),
  ],
  ['absoluteError < 0', (r) => r.number('absoluteError') < 0],
  ['absoluteError = 0.25', (r) => r.get('absoluteError') === 0.25],
  ['absoluteError >= 1G', (r) => r.number('absoluteError') >= 1e9],
  [
    'absoluteError in [-1.5 0.1..0.3]',
    (r) => r.get('absoluteError') === -1.5 || r.get('absoluteError') === 0.25,
  ],
  ['dataRecordsReliability = true', (r) => r.get('dataRecordsReliability') === true],
  ['dataRecordsReliability != true', (r) => r.get('dataRecordsReliability') === false],
  ['mibObjectValueInteger < 0', (r) => r.number('mibObjectValueInteger') < 0],
  [
    'mibObjectValueInteger in [-5 2147483647]',
    (r) => [-5, 2147483647].includes(r.number('mibObjectValueInteger')),
  ],
  [
    'mibObjectValueInteger != 0',
    (r) => r.has('mibObjectValueInteger') && r.get('mibObjectValueInteger') !== 0,
  ],
  [
    'sourceMacAddress = 02:00:00:00:00:02',
    (r) => r.get('sourceMacAddress') === '02:00:00:00:00:02',
  ],
  [
    'flowStartMilliseconds >= 2023-11-14T22:15:00Z',
    (r) => r.number('flowStartMilliseconds') >= Date.UTC(2023, 10, 14, 22, 15),
  ],
  ['flowStartSeconds = 1700000005', (r) => r.get('flowStartSeconds') === 1_700_000_005],
  [
    'flowStartSeconds < 2023-11-14T22:14:00.5Z',
    (r) => 1000 * r.number('flowStartSeconds') < Date.UTC(2023, 10, 14, 22, 14, 0, 500),
  ],
  [
    'flowStartMicroseconds <= 1700000000050',
    (r) =>
      r.has('flowStartMicroseconds') &&
      (r.get('flowStartMicroseconds') as bigint) < 1_700_000_000_051_000n,
  ],
  [
    'flowStartMicroseconds = 1700000000050',
    (r) =>
      r.has('flowStartMicroseconds') &&
      (r.get('flowStartMicroseconds') as bigint) / 1000n === 1_700_000_000_050n,
  ],
  [
    'flowEndNanoseconds > 2023-11-14T22:15:00Z',
    (r) =>
      r.has('flowEndNanoseconds') &&
      (r.get('flowEndNanoseconds') as bigint) / 1_000_000n > BigInt(Date.UTC(2023, 10, 14, 22, 15)),
  ],
  ['flowDurationMilliseconds >= 1.5s', (r) => r.number('flowDurationMilliseconds') >= 1500],
  ['flowDurationMilliseconds = 90000', (r) => r.get('flowDurationMilliseconds') === 90_000],
  ['samplingPacketInterval > 1', (r) => r.number('samplingPacketInterval') > 1],
  ['interfaceName = eth0', (r) => r.get('interfaceName') === 'eth0'],
  ['options', (r) => r.options],
  ['not options', (r) => !r.options],
  // Lists.
  ['any(dot1qVlanId = 5)', (r) => r.members().some((m) => m.get('dot1qVlanId') === 5)],
  [
    'any(basicList: dot1qVlanId = 5)',
    (r) => r.members('basicList').some((m) => m.get('dot1qVlanId') === 5),
  ],
  [
    'all(basicList: dot1qVlanId <= 6)',
    (r) =>
      r.members('basicList').length > 0 &&
      r.members('basicList').every((m) => m.number('dot1qVlanId') <= 6),
  ],
  [
    'any(subTemplateList: userName = alice and octetDeltaCount > 100)',
    (r) =>
      r
        .members('subTemplateList')
        .some((m) => m.get('userName') === 'alice' && m.number('octetDeltaCount') > 100),
  ],
  [
    'any(src net 10.0.0.0/8)',
    (r) => r.members().some((m) => inNet(m.get('sourceIPv4Address'), '10.0.0.0', 8)),
  ],
  [
    'any(subTemplateMultiList: octetDeltaCount = 7)',
    (r) => r.members('subTemplateMultiList').some((m) => m.get('octetDeltaCount') === 7),
  ],
  [
    'any(subTemplateMultiList: dot1qVlanId = 100)',
    (r) => r.members('subTemplateMultiList').some((m) => m.get('dot1qVlanId') === 100),
  ],
  [
    'any(subTemplateMultiList: any(dot1qVlanId = 100))',
    (r) =>
      r
        .members('subTemplateMultiList')
        .some((m) => m.members().some((n) => n.get('dot1qVlanId') === 100)),
  ],
  [
    'not any(dot1qVlanId in [5 6])',
    (r) => !r.members().some((m) => [5, 6].includes(m.number('dot1qVlanId'))),
  ],
  [
    'octetDeltaCount = 20 and any(userName ~ /^c/)',
    (r) =>
      r.get('octetDeltaCount') === 20 &&
      r.members().some((m) => m.text('userName').startsWith('c')),
  ],
  [
    'all(userName = alice)',
    (r) => r.members().length > 0 && r.members().every((m) => m.get('userName') === 'alice'),
  ],
  ['exists(subTemplateList)', (r) => r.has('subTemplateList')],
  // How tests are joined.
  [
    'proto tcp and port 443 or proto udp',
    (r) =>
      (r.get('protocolIdentifier') === 6 && ports(r).includes(443)) ||
      r.get('protocolIdentifier') === 17,
  ],
  [
    'proto tcp and (port 443 or proto udp)',
    (r) => r.get('protocolIdentifier') === 6 && ports(r).includes(443),
  ],
  [
    'not proto tcp and port 443',
    (r) => r.get('protocolIdentifier') !== 6 && ports(r).includes(443),
  ],
  [
    'not (proto tcp and port 443)',
    (r) => !(r.get('protocolIdentifier') === 6 && ports(r).includes(443)),
  ],
  ['not not proto tcp', (r) => r.get('protocolIdentifier') === 6],
  [
    '!(proto tcp) && !(proto udp)',
    (r) => r.get('protocolIdentifier') !== 6 && r.get('protocolIdentifier') !== 17,
  ],
  ['((((proto tcp))))', (r) => r.get('protocolIdentifier') === 6],
  [
    'PROTO Tcp AND NOT Port 443',
    (r) => r.get('protocolIdentifier') === 6 && !ports(r).includes(443),
  ],
  ['proto tcp # udp is left out\n or icmp', (r) => [1, 6].includes(r.number('protocolIdentifier'))],
  [
    'let web = port in [80 443]\nweb and proto tcp',
    (r) => r.get('protocolIdentifier') === 6 && ports(r).some((p) => p === 80 || p === 443),
  ],
  [
    'let web = port 80 or port 443; let lan = net 10/8; web and not lan',
    (r) =>
      ports(r).some((p) => p === 80 || p === 443) && !hosts(r).some((h) => inNet(h, '10.0.0.0', 8)),
  ],
  ['@include web.filter\nweb', (r) => ports(r).some((p) => p === 80 || p === 443)],
  [
    '(@include tcp.filter\n) and port 53',
    (r) => r.get('protocolIdentifier') === 6 && ports(r).includes(53),
  ],
  ["'octetDeltaCount' > 1M", (r) => big(r, 'octetDeltaCount') > 1_000_000n],
  ['host 10.0.0.1 and user alice', () => false],
]
