import type {MessageContext} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import type {InformationElement} from '../record/element.js'
import type {KeyPart, MessageValue} from '../record/group-spec.js'
import {ie} from './elements.js'
import {elementByName} from './lookup.js'

/** One part of a key under the name that users give it, and how results name its values. */
export interface FlowKey extends KeyPart {
  /** As users write it: `srcip`, `src4/24`, `protocolIdentifier`. */
  readonly name: string
  /** Column head of tables. */
  readonly title: string
  /** Per element, what carries the value in results and, for prefixes, the length. */
  readonly results: readonly KeyResult[]
  /** Fields that records get before they are grouped, those that have what these are made of. */
  readonly derived?: readonly DerivedField[]
}

/** A field that has the leading bits of another one, and zeros behind. */
export interface DerivedField {
  /** What it is; a record that has it already, and not only what it is made of, keeps its own. */
  readonly element: InformationElement
  readonly of: InformationElement
  /** How many bits, or what in the record says so. */
  readonly bits: InformationElement | number
}

export interface KeyResult {
  readonly value: InformationElement
  readonly prefixLength?: InformationElement
}

type Pair = readonly [source: InformationElement, destination: InformationElement]

interface Sided {
  readonly title: string
  readonly pairs: readonly Pair[]
  /** Carries either side's value, by pair. */
  readonly endpoint: readonly InformationElement[]
}

const addresses: Sided = {
  title: 'IP address',
  pairs: [
    [ie.sourceIPv4Address, ie.destinationIPv4Address],
    [ie.sourceIPv6Address, ie.destinationIPv6Address],
  ],
  endpoint: [ie.dartaEndpointIPv4Address, ie.dartaEndpointIPv6Address],
}
const ports: Sided = {
  title: 'port',
  pairs: [
    [ie.sourceTransportPort, ie.destinationTransportPort],
    [ie.udpSourcePort, ie.udpDestinationPort],
    [ie.tcpSourcePort, ie.tcpDestinationPort],
  ],
  endpoint: [
    ie.dartaEndpointTransportPort,
    ie.dartaEndpointTransportPort,
    ie.dartaEndpointTransportPort,
  ],
}
const systems: Sided = {
  title: 'AS',
  pairs: [[ie.bgpSourceAsNumber, ie.bgpDestinationAsNumber]],
  endpoint: [ie.dartaEndpointAsNumber],
}
const interfaces: Sided = {
  title: 'interface',
  pairs: [[ie.ingressInterface, ie.egressInterface]],
  endpoint: [ie.dartaEndpointInterface],
}
const vlans: Sided = {
  title: 'VLAN',
  pairs: [
    [ie.vlanId, ie.postVlanId],
    [ie.dot1qVlanId, ie.postDot1qVlanId],
  ],
  endpoint: [ie.dartaEndpointVlanId, ie.dartaEndpointVlanId],
}
const macs: Sided = {
  title: 'MAC address',
  pairs: [[ie.sourceMacAddress, ie.destinationMacAddress]],
  endpoint: [ie.dartaEndpointMacAddress],
}

const translatedAddresses: Sided = {
  title: 'translated IP address',
  pairs: [
    [ie.postNATSourceIPv4Address, ie.postNATDestinationIPv4Address],
    [ie.postNATSourceIPv6Address, ie.postNATDestinationIPv6Address],
  ],
  endpoint: [ie.dartaEndpointIPv4Address, ie.dartaEndpointIPv6Address],
}
const translatedPorts: Sided = {
  title: 'translated port',
  pairs: [[ie.postNAPTSourceTransportPort, ie.postNAPTDestinationTransportPort]],
  endpoint: [ie.dartaEndpointTransportPort],
}
const masks: Sided = {
  title: 'mask',
  pairs: [
    [ie.sourceIPv4PrefixLength, ie.destinationIPv4PrefixLength],
    [ie.sourceIPv6PrefixLength, ie.destinationIPv6PrefixLength],
  ],
  endpoint: [ie.dartaEndpointPrefixLength, ie.dartaEndpointPrefixLength],
}
const countries: Sided = {
  title: 'country',
  pairs: [[ie.dartaSourceCountry, ie.dartaDestinationCountry]],
  endpoint: [ie.dartaSourceCountry],
}
const systemsBeside: Sided = {
  title: 'AS',
  pairs: [[ie.bgpPrevAdjacentAsNumber, ie.bgpNextAdjacentAsNumber]],
  endpoint: [ie.dartaEndpointAsNumber],
}
const virtualRouters: Sided = {
  title: 'VRF',
  pairs: [[ie.ingressVRFID, ie.egressVRFID]],
  endpoint: [ie.ingressVRFID],
}
const outMacs: Sided = {
  title: 'out MAC address',
  pairs: [[ie.postSourceMacAddress, ie.postDestinationMacAddress]],
  endpoint: [ie.dartaEndpointMacAddress],
}
const interfaceNames: Sided = {
  title: 'interface name',
  pairs: [[ie.dartaIngressInterfaceName, ie.dartaEgressInterfaceName]],
  endpoint: [ie.dartaIngressInterfaceName],
}

type Side = 'source' | 'destination' | 'either'

function sided(name: string, {title, pairs, endpoint}: Sided, side: Side, head = ''): FlowKey {
  const source = pairs.map(([s]) => s)
  const destination = pairs.map(([, d]) => d)
  const elements = side === 'destination' ? destination : source
  const opposite = side === 'destination' ? source : destination
  const results = (side === 'either' ? endpoint : elements.map(() => elements[0])).map(
    (value, i) => ({value: value.type === elements[i].type ? value : elements[i]}),
  )
  return {
    name,
    title: `${head}${title}`,
    elements,
    opposite,
    results,
    ...(side === 'either' && {either: true}),
  }
}

function single(name: string, title: string, elements: readonly InformationElement[]): FlowKey {
  return {name, title, elements, results: elements.map((value) => ({value}))}
}

const makers: Readonly<Record<string, () => FlowKey>> = {
  srcip: () => sided('srcip', addresses, 'source', 'source '),
  dstip: () => sided('dstip', addresses, 'destination', 'destination '),
  ip: () => sided('ip', addresses, 'either'),
  srcport: () => sided('srcport', ports, 'source', 'source '),
  dstport: () => sided('dstport', ports, 'destination', 'destination '),
  port: () => sided('port', ports, 'either'),
  srcas: () => sided('srcas', systems, 'source', 'source '),
  dstas: () => sided('dstas', systems, 'destination', 'destination '),
  as: () => sided('as', systems, 'either'),
  inif: () => sided('inif', interfaces, 'source', 'in '),
  outif: () => sided('outif', interfaces, 'destination', 'out '),
  if: () => sided('if', interfaces, 'either'),
  srcvlan: () => sided('srcvlan', vlans, 'source', 'source '),
  dstvlan: () => sided('dstvlan', vlans, 'destination', 'destination '),
  vlan: () => single('vlan', 'VLAN', [ie.dot1qVlanId, ie.vlanId]),
  srcmac: () => sided('srcmac', macs, 'source', 'source '),
  dstmac: () => sided('dstmac', macs, 'destination', 'destination '),
  mac: () => sided('mac', macs, 'either'),
  proto: () => single('proto', 'protocol', [ie.protocolIdentifier, ie.nextHeaderIPv6]),
  tos: () => single('tos', 'TOS', [ie.ipClassOfService]),
  dir: () => single('dir', 'direction', [ie.flowDirection]),
  flags: () => single('flags', 'TCP flags', [ie.tcpControlBits]),
  nexthop: () => single('nexthop', 'next hop', [ie.ipNextHopIPv4Address, ie.ipNextHopIPv6Address]),
  bgpnexthop: () =>
    single('bgpnexthop', 'BGP next hop', [ie.bgpNextHopIPv4Address, ie.bgpNextHopIPv6Address]),
  odid: () => ({
    ...single('odid', 'observation domain', [ie.observationDomainId]),
    ofMessage: domainOf,
  }),
  exporter: () => ({
    ...single('exporter', 'exporter', [ie.exporterIPv4Address, ie.exporterIPv6Address]),
    ofMessage: exporterOf,
  }),
  router: () => ({...makers.exporter(), name: 'router'}),
  // As nfdump has them.
  srcmask: () => sided('srcmask', masks, 'source', 'source '),
  dstmask: () => sided('dstmask', masks, 'destination', 'destination '),
  srcgeo: () => sided('srcgeo', countries, 'source', 'source '),
  dstgeo: () => sided('dstgeo', countries, 'destination', 'destination '),
  prevas: () => sided('prevas', systemsBeside, 'source', 'previous '),
  nextas: () => sided('nextas', systemsBeside, 'destination', 'next '),
  ivrf: () => sided('ivrf', virtualRouters, 'source', 'in '),
  evrf: () => sided('evrf', virtualRouters, 'destination', 'out '),
  inam: () => sided('inam', interfaceNames, 'source', 'in '),
  onam: () => sided('onam', interfaceNames, 'destination', 'out '),
  xsrcip: () => sided('xsrcip', translatedAddresses, 'source', 'source '),
  xdstip: () => sided('xdstip', translatedAddresses, 'destination', 'destination '),
  xsrcport: () => sided('xsrcport', translatedPorts, 'source', 'source '),
  xdstport: () => sided('xdstport', translatedPorts, 'destination', 'destination '),
  insrcmac: () => single('insrcmac', 'in source MAC', [ie.sourceMacAddress]),
  indstmac: () => single('indstmac', 'in destination MAC', [ie.destinationMacAddress]),
  outsrcmac: () => single('outsrcmac', 'out source MAC', [ie.postSourceMacAddress]),
  outdstmac: () => single('outdstmac', 'out destination MAC', [ie.postDestinationMacAddress]),
  dsttos: () => single('dsttos', 'TOS on the way out', [ie.postIpClassOfService]),
  opid: () => single('opid', 'observation point', [ie.observationPointId]),
  inmac: () => sided('inmac', macs, 'either', 'in '),
  outmac: () => sided('outmac', outMacs, 'either'),
  mask: () => sided('mask', masks, 'either'),
  ivrfnam: () => single('ivrfnam', 'VRF name', [ie.VRFname]),
  nbar: () => single('nbar', 'application', [ie.applicationId]),
  xevent: () => single('xevent', 'extended event', [elementByName('9/234')!]),
  ...Object.fromEntries(
    Array.from({length: 10}, (_, i): [string, () => FlowKey] => {
      const name = `mpls${i + 1}`
      const entry = i === 0 ? 'mplsTopLabelStackSection' : `mplsLabelStackSection${i + 1}`
      const make = (): FlowKey => {
        const element = elementByName(entry)!
        // Of the 24 bits of an entry the first 20 are the label; class and bottom bit make no other group. RFC 3032 section 2.1.
        const derived = [{element, of: element, bits: 20}]
        return {...single(name, `MPLS label ${i + 1}`, [element]), derived}
      }
      return [name, make]
    }),
  ),
  event: () => single('event', 'firewall event', [ie.firewallEvent]),
  nevent: () => single('nevent', 'NAT event', [ie.natEvent]),
}

/** Other names that nfdump has for these. */
const otherNames: Readonly<Record<string, string>> = {
  ...{next: 'nexthop', nhip: 'nexthop', bgpnext: 'bgpnexthop', nhbip: 'bgpnexthop'},
  ...{srctos: 'tos', vrf: 'ivrf'},
  ...{nsrcip: 'xsrcip', ndstip: 'xdstip', nsrcport: 'xsrcport', ndstport: 'xdstport'},
}

/** Names that users may give besides any element's own. */
export const flowKeyNames: readonly string[] = Object.keys(makers)

/** Keys of nfdump that no record has a value of, and why. */
const refusals: Readonly<Record<string, string>> = {
  sysid: 'it is a number that nfcapd gives; exporter, odid or router tell sources apart',
  ja3: 'no hash is made of payload',
  evrfnam: 'an exporter tells one name of a VRF: ivrfnam',
  srcnet: 'records are cut by their own masks only in aggregate -A; src4/24 cuts all alike',
  dstnet: 'records are cut by their own masks only in aggregate -A; dst4/24 cuts all alike',
  ...Object.fromEntries(
    [...'iacl iace ixace'.split(' '), ...'eacl eace exace'.split(' ')].map((name) => [
      name,
      `it is four of twelve octets; group by all of them: ${name.startsWith('i') ? '9/232' : '9/233'}`,
    ]),
  ),
}

const prefixName = /^(src|dst|)(?:ip|net|)([46])\/(\d{1,3})$/

/**
 * The key of this name: one of `flowKeyNames`, a prefix (`src4/24`, `dst6/48`, `ip4/16` for either side), or any
 * element by its registered name.
 *
 * @throws DartaError DARTA_USAGE
 */
export function flowKey(name: string): FlowKey {
  if (Object.hasOwn(makers, name)) return makers[name]()
  if (Object.hasOwn(otherNames, name)) return {...makers[otherNames[name]](), name}
  const prefix = prefixName.exec(name)
  if (prefix !== null) {
    const [, side, version, bits] = prefix
    const most = version === '4' ? 32 : 128
    if (Number(bits) > most) {
      throw new DartaError('DARTA_USAGE', `${name}: an IPv${version} prefix has 0 to ${most} bits`)
    }
    const of = {src: 'source', dst: 'destination', '': 'either'}[side] as Side
    return prefixKey(of, version === '4' ? {v4: Number(bits)} : {v6: Number(bits)}, name)
  }
  const element = elementByName(name)
  if (element === undefined) {
    if (Object.hasOwn(refusals, name)) {
      throw new DartaError('DARTA_USAGE', `no key '${name}': ${refusals[name]}`)
    }
    const near = flowKeyNames.filter((n) => n.startsWith(name.slice(0, 3).toLowerCase()))
    const hint = near.length > 0 ? near.join(', ') : flowKeyNames.join(', ')
    throw new DartaError('DARTA_USAGE', `no key '${name}': an element's name, src4/24, or ${hint}`)
  }
  const twin = oppositeOf(element)
  return {
    ...single(name, name, [element]),
    ...(twin !== undefined && {opposite: [twin]}),
  }
}

/**
 * `srcnet` and `dstnet`: the networks that addresses are in by the prefix lengths that their records have, and these lengths.
 * Undefined: another name.
 */
export function networkKeys(name: string): readonly FlowKey[] | undefined {
  const side = ({srcnet: 'source', dstnet: 'destination'} as const)[name]
  if (side === undefined) return undefined
  const lengths = flowKey(side === 'source' ? 'srcmask' : 'dstmask')
  const elements = prefixResults[side].map(({value}) => value)
  const twin = side === 'source' ? 'destination' : 'source'
  const opposite = prefixResults[twin].map(({value}) => value)
  const derived = [0, 1].flatMap((version) =>
    (['source', 'destination'] as const).map((end, at) => ({
      element: prefixResults[end][version].value,
      of: addresses.pairs[version][at],
      bits: masks.pairs[version][at],
    })),
  )
  const results = elements.map((value) => ({value}))
  return [{name, title: `${side} network`, elements, opposite, results, derived}, lengths]
}

/** Addresses cut to prefixes: of one IP version, or of both, each with its own length. */
export function prefixKey(
  side: Side,
  bits: {readonly v4?: number; readonly v6?: number},
  name: string,
): FlowKey {
  const wanted = [bits.v4, bits.v6].flatMap((n, i) => (n === undefined ? [] : [{i, bits: n}]))
  const pairs = wanted.map(({i}) => addresses.pairs[i])
  const endpoint = wanted.map(({i}) => addresses.endpoint[i])
  const head = {source: 'source ', destination: 'destination ', either: ''}[side]
  const key = sided(name, {title: 'prefix', pairs, endpoint}, side, head)
  const results = wanted.map(({i}) => prefixResults[side][i])
  return {...key, bits: wanted.map((w) => w.bits), results}
}

const prefixResults: Record<Side, readonly KeyResult[]> = {
  source: [
    {value: ie.sourceIPv4Prefix, prefixLength: ie.sourceIPv4PrefixLength},
    {value: ie.sourceIPv6Prefix, prefixLength: ie.sourceIPv6PrefixLength},
  ],
  destination: [
    {value: ie.destinationIPv4Prefix, prefixLength: ie.destinationIPv4PrefixLength},
    {value: ie.destinationIPv6Prefix, prefixLength: ie.destinationIPv6PrefixLength},
  ],
  either: addresses.endpoint.map((value) => ({
    value,
    prefixLength: ie.dartaEndpointPrefixLength,
  })),
}

const opposites = [
  ['source', 'destination'],
  ['Source', 'Destination'],
  ['ingress', 'egress'],
] as const

/** The element that means the same seen from the other side: sourceMacAddress and destinationMacAddress. */
export function oppositeOf(element: InformationElement): InformationElement | undefined {
  for (const [a, b] of opposites) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      if (!element.name.includes(from)) continue
      const twin = elementByName(element.name.replace(from, to))
      if (twin !== undefined && twin.type === element.type) return twin
    }
  }
  return undefined
}

function domainOf({observationDomainId}: MessageContext): MessageValue {
  const octets = new Uint8Array(4)
  new DataView(octets.buffer).setUint32(0, observationDomainId)
  return {alternative: 0, octets}
}

/** The address in `192.0.2.1:4739` or `[2001:db8::1]:4739`; a file has none. */
function exporterOf({exporter = ''}: MessageContext): MessageValue | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::\d+)?$/.exec(exporter)
  if (v4 !== null) {
    const octets = Uint8Array.from(v4.slice(1, 5), Number)
    return v4.slice(1, 5).every((n) => Number(n) < 256) ? {alternative: 0, octets} : undefined
  }
  const v6 = /^\[?([0-9a-fA-F:]*:[0-9a-fA-F:]*?)(?:\]:\d+|\])?$/.exec(exporter)
  const octets = v6 === null ? undefined : ipv6Octets(v6[1])
  return octets && {alternative: 1, octets}
}

function ipv6Octets(text: string): Uint8Array | undefined {
  const [head, tail, more] = text.split('::').map((s) => (s === '' ? [] : s.split(':')))
  const gap = 8 - head.length - (tail?.length ?? 0)
  if (more !== undefined || (tail === undefined ? gap !== 0 : gap < 1)) return undefined
  const groups = [
    ...head,
    ...Array<string>(tail === undefined ? 0 : gap).fill('0'),
    ...(tail ?? []),
  ]
  if (!groups.every((g) => /^[0-9a-fA-F]{1,4}$/.test(g))) return undefined
  return Uint8Array.from(groups.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]))
}
