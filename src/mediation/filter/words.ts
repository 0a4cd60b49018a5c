import type {InformationElement} from '../../record/element.js'
import {reverseOf} from '../../registry/lookup.js'
import {ie} from '../../registry/elements.js'
import type {Source} from './expression.js'

/** Which side of a Flow a word is about; `either` holds if one side does, `both` if both do. */
export type Side = 'src' | 'dst' | 'either' | 'both'

export interface Sides {
  readonly src: Source
  readonly dst: Source
}

/** Addresses of both versions; each side may be none. */
export interface AddressWord {
  readonly v4: Sides
  readonly v6: Sides
}

function addresses(
  src4: InformationElement,
  dst4: InformationElement,
  src6: InformationElement,
  dst6: InformationElement,
): AddressWord {
  return {v4: {src: [src4], dst: [dst4]}, v6: {src: [src6], dst: [dst6]}}
}

const flowAddresses = addresses(
  ie.sourceIPv4Address,
  ie.destinationIPv4Address,
  ie.sourceIPv6Address,
  ie.destinationIPv6Address,
)
const translated = addresses(
  ie.postNATSourceIPv4Address,
  ie.postNATDestinationIPv4Address,
  ie.postNATSourceIPv6Address,
  ie.postNATDestinationIPv6Address,
)

/** Words before an address. */
export const addressWords: Readonly<Record<string, AddressWord>> = {
  ip: flowAddresses,
  host: flowAddresses,
  net: flowAddresses,
  xip: translated,
  nip: translated,
  xnet: translated,
}

/** Addresses that are one thing and have no sides, by the words before `ip`. */
export const singleAddresses: Readonly<Record<string, readonly [v4: Source, v6: Source]>> = {
  next: [[ie.ipNextHopIPv4Address], [ie.ipNextHopIPv6Address]],
  bgpnext: [[ie.bgpNextHopIPv4Address], [ie.bgpNextHopIPv6Address]],
}

function counters(...elements: (InformationElement | undefined)[]): readonly InformationElement[] {
  return elements.filter((element) => element !== undefined)
}

const reversed = (...elements: InformationElement[]): readonly InformationElement[] =>
  counters(...elements.map(reverseOf))

/** What a word of a number with two sides reads. */
export const sidedNumbers: Readonly<Record<string, Sides>> = {
  port: {
    src: [ie.sourceTransportPort, ie.udpSourcePort, ie.tcpSourcePort],
    dst: [ie.destinationTransportPort, ie.udpDestinationPort, ie.tcpDestinationPort],
  },
  as: {src: [ie.bgpSourceAsNumber], dst: [ie.bgpDestinationAsNumber]},
  if: {src: [ie.ingressInterface], dst: [ie.egressInterface]},
  vlan: {src: [ie.vlanId, ie.dot1qVlanId], dst: [ie.postVlanId, ie.postDot1qVlanId]},
  mask: {
    src: [ie.sourceIPv4PrefixLength, ie.sourceIPv6PrefixLength],
    dst: [ie.destinationIPv4PrefixLength, ie.destinationIPv6PrefixLength],
  },
  xport: {
    src: [ie.postNAPTSourceTransportPort],
    dst: [ie.postNAPTDestinationTransportPort],
  },
  vrf: {src: [ie.ingressVRFID], dst: [ie.egressVRFID]},
}

export const countries: Sides = {
  src: [ie.dartaSourceCountry],
  dst: [ie.dartaDestinationCountry],
}

const octets: Source = [
  ie.octetDeltaCount,
  ie.octetTotalCount,
  ie.initiatorOctets,
  ie.layer2OctetDeltaCount,
  ie.layer2OctetTotalCount,
]
const packets: Source = [ie.packetDeltaCount, ie.packetTotalCount, ie.initiatorPackets]
const reverseOctets: Source = [
  ...reversed(ie.octetDeltaCount, ie.octetTotalCount),
  ie.responderOctets,
  ie.postOctetDeltaCount,
  ie.postOctetTotalCount,
]
const reversePackets: Source = [
  ...reversed(ie.packetDeltaCount, ie.packetTotalCount),
  ie.responderPackets,
  ie.postPacketDeltaCount,
  ie.postPacketTotalCount,
]

/** Counters of the way out and of the way back. */
export const counterWords: Readonly<Record<string, {readonly in: Source; readonly out: Source}>> = {
  packets: {in: packets, out: reversePackets},
  bytes: {in: octets, out: reverseOctets},
  octets: {in: octets, out: reverseOctets},
}

/** Numbers without sides. */
export const numberWords: Readonly<Record<string, Source>> = {
  tos: [ie.ipClassOfService],
  ttl: [ie.ipTTL, ie.minimumTTL],
  flowlabel: [ie.flowLabelIPv6],
  nfversion: [ie.exportProtocolVersion],
  'engine-type': [ie.engineType],
  'engine-id': [ie.engineId],
  reason: [ie.flowEndReason],
}

export const macSources: Readonly<Record<'in' | 'out', Sides>> = {
  in: {src: [ie.sourceMacAddress], dst: [ie.destinationMacAddress]},
  out: {src: [ie.postSourceMacAddress], dst: [ie.postDestinationMacAddress]},
}

export const eventNames: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  // NAT event types, RFC 8158 section 4.3.
  nat: {invalid: 0, add: 1, create: 1, delete: 2},
  asa: {ignore: 0, create: 1, term: 2, delete: 2, deny: 3, alert: 4, update: 5},
}

/** nfdump's names of what became of packets, with the numbers of the registry (forwardingStatus). */
export const forwardingNames: Readonly<Record<string, number>> = {
  ...{ukwn: 0, forw: 64, frag: 65, drop: 128, dacld: 129, daclp: 130, noroute: 131, dadj: 132},
  ...{dfrag: 133, dbadh: 134, dbadtlen: 135, dbadhlen: 136, dbadttl: 137, dpolicy: 138},
  ...{dwred: 139, drpf: 140, dforus: 141, dbadof: 142, dhw: 143},
  ...{term: 192, tadj: 193, tincadj: 194, tforus: 195},
}

/** Why a firewall denied a Flow, as extended events of Cisco's. */
export const deniedReasons: Readonly<Record<string, number>> = {
  ingress: 1001,
  egress: 1002,
  interface: 1003,
  nosyn: 1004,
}

/** Words of nfdump that ask for what no record has, and what to do instead. */
export const refusals: Readonly<Record<string, string>> = {
  tunip:
    'no element carries the addresses of a tunnel; capture --decap makes records of what is inside',
  tun: 'no element carries the protocol of a tunnel; capture --decap makes records of what is inside',
  count: 'a record has no number; the first ones are filter --max-count N or print -c N',
  client:
    'no registered element carries latencies; ask for the element by its number: pen 35632 id N',
  server:
    'no registered element carries latencies; ask for the element by its number: pen 35632 id N',
  app: 'no registered element carries latencies; ask for the element by its number: pen 35632 id N',
  sysid: 'it is a number that nfcapd gives; ask for exporter ADDRESS, odid NUMBER or ident NAME',
}

/** Bits of the letters of `flags`, from FIN to CWR. */
export const flagLetters = 'FSRPAUEC'

/** Words that begin a primitive, for suggestions. */
export const vocabulary: readonly string[] = [
  ...Object.keys(addressWords),
  ...Object.keys(sidedNumbers),
  ...Object.keys(counterWords),
  ...Object.keys(numberWords),
  ...'any src dst either in out prev next bgpnext router exporter proto portrange mac flags'.split(
    ' ',
  ),
  ...'dscp ecn flows duration bps pps bpp first last ident odid user uid icmp-type icmp-code'.split(
    ' ',
  ),
  ...'ipv4 ipv6 inet inet6 tcp udp icmp icmp6 nat asa pblock mpls flowdir payload observation'.split(
    ' ',
  ),
  ...'exists pen options and or not let all ingress egress nport geo dir fwdstat previous'.split(
    ' ',
  ),
]
