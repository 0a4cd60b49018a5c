import {ipv6Octets} from '../../src/record/address.js'
import {ipv6Text, type Value} from '../../src/record/value.js'
import {needing, shared} from '../support/needing.js'
import {collectFiles, expectedOf, exportCases, rowsOf, type Row} from './exports.js'

const test = needing(shared('fixtures/truth.json'))

type Get = (...names: string[]) => Value | undefined

/** The first of these elements that a record has. */
function reading({values}: Row): Get {
  return (...names) => {
    const name = names.find((one) => values.has(one))
    return name === undefined ? undefined : values.get(name)
  }
}

/* nfdump: addresses, ports, protocol, packets, octets and interfaces of each record. */

interface Nfdump {
  readonly src4_addr?: string
  readonly dst4_addr?: string
  readonly src6_addr?: string
  readonly dst6_addr?: string
  readonly src_port?: number
  readonly dst_port?: number
  readonly proto?: number
  readonly in_packets?: number
  readonly in_bytes?: number
  readonly input_snmp?: number
  readonly output_snmp?: number
}

const withPorts = new Set([6, 17, 132])

function canonical(address: string): string {
  return address.includes(':') ? ipv6Text(ipv6Octets(address), 0) : address
}

function line(
  source: string,
  destination: string,
  protocol: number,
  ports: readonly number[],
  counters: readonly (number | bigint)[],
): string {
  const used = withPorts.has(protocol) ? ports : []
  return [canonical(source), canonical(destination), protocol, ...used, ...counters].join(' ')
}

function theirs(one: Nfdump): string {
  return line(
    one.src4_addr ?? one.src6_addr ?? '',
    one.dst4_addr ?? one.dst6_addr ?? '',
    one.proto ?? 0,
    [one.src_port ?? 0, one.dst_port ?? 0],
    [one.in_packets ?? 0, one.in_bytes ?? 0, one.input_snmp ?? 0, one.output_snmp ?? 0],
  )
}

function ours(row: Row): string {
  const get = reading(row)
  const number = (...names: string[]): number => Number(get(...names) ?? 0)
  const sample = row.values.has('sflowHeaderProtocol')
  return line(
    (get('sourceIPv4Address', 'sourceIPv6Address') as string | undefined) ?? '',
    (get('destinationIPv4Address', 'destinationIPv6Address') as string | undefined) ?? '',
    number('protocolIdentifier'),
    [number('sourceTransportPort'), number('destinationTransportPort')],
    sample
      ? // nfdump counts frames, and as many as a sample stands for.
        [
          number('samplingInterval'),
          number('layer2OctetDeltaCount') * number('samplingInterval'),
          number('sflowInputValue'),
          number('sflowOutputValue'),
        ]
      : [
          number('packetDeltaCount', 'packetTotalCount', 'initiatorPackets'),
          number('octetDeltaCount', 'octetTotalCount', 'initiatorOctets'),
          number('ingressInterface'),
          number('egressInterface'),
        ],
  )
}

function differences(a: readonly string[], b: readonly string[]): string[] {
  const left = [...b]
  const only: string[] = []
  for (const one of a) {
    const at = left.indexOf(one)
    if (at < 0) only.push(`theirs ${one}`)
    else left.splice(at, 1)
  }
  return [...only, ...left.map((one) => `ours   ${one}`)]
}

/** Where nfdump finds otherwise, and why. */
const otherwise: Readonly<Record<string, readonly string[]>> = {
  // Octets 28–35 of the datagram are 06 07 08 09 00 01 02 03: packets, octets. nfdump multiplies both by what the reserved
  // octets of the header would be in version 5, a sampling interval.
  netflow_parser__v7: [
    'theirs 0.1.2.3 4.5.6.7 8 208012283985 135866907 515 1029',
    'ours   0.1.2.3 4.5.6.7 8 101124105 66051 515 1029',
  ],
  // There is no destination in these records; nfdump fills in 0.0.0.0.
  'rfc__7011-enterprise-varlen': [
    'theirs 192.0.2.12 0.0.0.0 0 0 0 0 0',
    'theirs 192.0.2.27 0.0.0.0 0 0 0 0 0',
    'ours   192.0.2.12  0 0 0 0 0',
    'ours   192.0.2.27  0 0 0 0 0',
  ],
  // Records with protocolIdentifier 4 and, further behind, 17 with ports, of the outer and the inner packet: darta keeps both in
  // their order, nfdump the last.
  'swisscom__106-IPFIXv10-HUAWEI-vrf_name': [
    'theirs 192.0.2.110 192.0.2.14 17 2222 1111 613 142216 10 65',
    'theirs 192.0.2.110 192.0.2.14 17 1111 2222 613 142216 10 65',
    'ours   192.0.2.110 192.0.2.14 4 613 142216 10 65',
    'ours   192.0.2.110 192.0.2.14 4 613 142216 10 65',
  ],
  'swisscom__500-IPFIXv10-BGP-CISCO-SRv6': [
    'theirs 192.0.41.1 192.0.42.1 1 59 7316 42 69',
    'theirs 192.0.41.144 192.0.42.154 17 1024 862 20 2240 42 0',
    'theirs 192.0.41.1 192.0.42.1 1 58 7192 42 69',
    'theirs 192.0.41.144 192.0.42.154 17 1024 862 20 2240 42 0',
    'ours   192.0.41.1 192.0.42.1 4 59 7316 42 69',
    'ours   192.0.41.144 192.0.42.154 4 20 2240 42 0',
    'ours   192.0.41.1 192.0.42.1 4 58 7192 42 69',
    'ours   192.0.41.144 192.0.42.154 4 20 2240 42 0',
  ],
  // Messages at octets 484 and 636 of the datagram: nfdump reads the first one.
  logstash__ipfix: [
    'ours   192.168.253.130 10.4.36.64 6 38254 9200 1 60 0 0',
    'ours   192.168.253.1 192.168.253.128 6 60560 22 4 256 0 0',
    'ours   192.168.253.128 192.168.253.1 6 22 60560 3 1916 0 0',
    'ours   192.168.253.1 192.168.253.128 6 65308 22 2 168 0 0',
    'ours   192.168.253.128 192.168.253.1 6 22 65308 1 84 0 0',
    'ours   192.168.253.1 224.0.0.251 17 5353 5353 1 232 0 0',
  ],
}

for (const truth of exportCases()) {
  const text = expectedOf(truth.name, 'nfdump.json')
  if (text === undefined) continue
  test(`collect finds the flows that nfdump finds in ${truth.name}`, async (t) => {
    // nfdump, like truth.json, takes what comes from one address for one session.
    const {batches} = await collectFiles(truth.files, {ignorePorts: true})
    const flows = rowsOf(batches).filter(
      ({options, values}) =>
        !options && (values.has('sflowHeaderProtocol') || !values.has('sflowSampleSequence')),
    )
    const found = differences((JSON.parse(text) as Nfdump[]).map(theirs), flows.map(ours))
    t.deepEqual(found, otherwise[truth.name] ?? [])
  })
}

/* logstash: what its tests expect of single events. */

const logstashNames: Readonly<Record<string, string>> = {
  application_description: 'applicationDescription',
  application_id: 'applicationId',
  application_name: 'applicationName',
  bgp_ipv4_next_hop: 'bgpNextHopIPv4Address',
  conn_id: 'flowId',
  direction: 'flowDirection',
  dst_as: 'bgpDestinationAsNumber',
  dst_mask: 'destinationIPv4PrefixLength',
  dst_traffic_index: 'dstTrafficIndex',
  dst_vlan: 'postVlanId',
  egress_acl_id: 'netflow9EgressAclId',
  engine_id: 'engineId',
  engine_type: 'engineType',
  event_time_msec: 'observationTimeMilliseconds',
  first_switched: 'flowStartSysUpTime',
  flow_active_timeout: 'flowActiveTimeout',
  flow_inactive_timeout: 'flowIdleTimeout',
  flow_sampler_id: 'samplerId',
  flow_start_msec: 'flowStartMilliseconds',
  forwarding_status: 'forwardingStatus',
  fw_event: 'netflow9FirewallEvent',
  fw_ext_event: 'netflow9FirewallExtendedEvent',
  icmp_code: 'icmpCodeIPv4',
  icmp_type: 'icmpTypeIPv4',
  in_bytes: 'octetDeltaCount',
  in_dst_mac: 'destinationMacAddress',
  in_permanent_bytes: 'octetTotalCount',
  in_pkts: 'packetDeltaCount',
  in_src_mac: 'sourceMacAddress',
  ingress_acl_id: 'netflow9IngressAclId',
  input_snmp: 'ingressInterface',
  ip_dscp: 'ipDiffServCodePoint',
  ip_protocol_version: 'ipVersion',
  ipv4_dst_addr: 'destinationIPv4Address',
  ipv4_next_hop: 'ipNextHopIPv4Address',
  ipv4_src_addr: 'sourceIPv4Address',
  l4_dst_port: 'destinationTransportPort',
  l4_src_port: 'sourceTransportPort',
  last_switched: 'flowEndSysUpTime',
  out_bytes: 'postOctetDeltaCount',
  out_pkts: 'postPacketDeltaCount',
  output_snmp: 'egressInterface',
  protocol: 'protocolIdentifier',
  sampling_algorithm: 'samplingAlgorithm',
  sampling_interval: 'samplingInterval',
  src_as: 'bgpSourceAsNumber',
  src_mask: 'sourceIPv4PrefixLength',
  src_tos: 'ipClassOfService',
  src_traffic_index: 'srcTrafficIndex',
  src_vlan: 'vlanId',
  staIPv4Address: 'staIPv4Address',
  tcp_flags: 'tcpControlBits',
  total_bytes_exp: 'exportedOctetTotalCount',
  total_flows_exp: 'exportedFlowRecordTotalCount',
  total_pkts_exp: 'exportedMessageTotalCount',
  username: 'netflow9UserName',
  xlate_dst_addr_ipv4: 'netflow9TranslatedDestinationIPv4Address',
  xlate_dst_port: 'netflow9TranslatedDestinationPort',
  xlate_src_addr_ipv4: 'netflow9TranslatedSourceIPv4Address',
  xlate_src_port: 'netflow9TranslatedSourcePort',
}

interface LogstashEvents {
  readonly field_facts: readonly (readonly [number | null, string, unknown])[]
  readonly expected_events: readonly {
    readonly index: number | null
    readonly json: {readonly netflow?: Readonly<Record<string, unknown>>}
  }[]
}

/** A value as logstash writes it; undefined where the element is none of the registry's. */
function logstashValue(row: Row, name: string): unknown {
  if (name === 'version' || name === 'flow_seq_num' || name === 'flowset_id') return undefined
  const get = reading(row)
  const element = logstashNames[name] ?? name
  const value = get(element)
  if (value === undefined) return undefined
  if (name === 'first_switched' || name === 'last_switched') {
    const ms = Number(get('systemInitTimeMilliseconds')) + Number(value)
    return new Date(ms).toISOString()
  }
  if (element === 'flowStartMilliseconds' || element === 'flowEndMilliseconds') {
    return name === element ? new Date(Number(value)).toISOString() : Number(value)
  }
  if (/^flow(Start|End)Seconds$/.test(element)) {
    return `${new Date(Number(value) * 1000).toISOString()} ${value as number}`
  }
  if (element === 'forwardingStatus') {
    return {status: Number(value) >> 6, reason: Number(value) & 0x3f}
  }
  if (element === 'applicationId' && value instanceof Uint8Array) {
    const octets = Buffer.from(value)
    return `${octets[0]}..${octets.readUIntBE(1, octets.length - 1)}`
  }
  if (/AclId$/.test(element) && value instanceof Uint8Array) {
    return Buffer.from(value)
      .toString('hex')
      .replace(/(.{8})(?=.)/g, '$1-')
  }
  if (typeof value === 'string') return value.replace(/\0+$/, '')
  return typeof value === 'bigint' ? Number(value) : value
}

function plain(value: unknown): unknown {
  // Ruby writes microseconds; darta has what the header says in milliseconds.
  if (typeof value === 'string') return value.replace(/(\.\d{3})\d*Z$/, '$1Z').replace(/\0+$/, '')
  return value
}

for (const truth of exportCases()) {
  const text = expectedOf(truth.name, 'logstash.json')
  if (text === undefined) continue
  test(`collect finds the values that logstash expects of ${truth.name}`, async (t) => {
    const {field_facts: facts, expected_events: events} = JSON.parse(text) as LogstashEvents
    const {batches} = await collectFiles(truth.files, {origin: true})
    const rows = rowsOf(batches)
    let checked = 0
    const check = (index: number | null, name: string, expected: unknown): void => {
      const row = rows[index ?? 0]
      const value = row === undefined ? undefined : logstashValue(row, name)
      if (value === undefined) return
      checked++
      const given = plain(expected)
      if (/_switched$/.test(name)) {
        // logstash takes whole seconds and the rest of an age off the export time, but the rest as what is missing to the next
        // second, so that most times are a second late: flows of its netflow-5-valid-01 end after their export.
        const late = Date.parse(given as string) - Date.parse(value as string)
        t.true(late === 0 || late === 1000, `record ${index ?? 0}: ${name} ${value as string}`)
      } else if (/^flow(Start|End)Seconds$/.test(name)) {
        t.true(
          (value as string).split(' ').includes(String(given)),
          `record ${index ?? 0}: ${name}`,
        )
      } else {
        t.deepEqual(plain(value), given, `record ${index ?? 0}: ${name}`)
      }
    }
    for (const [index, name, value] of facts) check(index, name, value)
    for (const {index, json} of events) {
      for (const [name, value] of Object.entries(json.netflow ?? {})) check(index, name, value)
    }
    t.true(checked > 0 || facts.length + events.length === 0)
    t.pass()
  })
}

/* telegraf: one line of tags and fields for each record. */

const telegrafNames: Readonly<Record<string, string>> = {
  agent_subid: '',
  dst: 'destinationIPv4Address',
  dst_port: 'destinationTransportPort',
  errors_fcs: 'sflowDot3FcsErrors',
  first_switched: 'flowStartSysUpTime',
  flow_end_ms: 'flowEndMilliseconds',
  flow_start_ms: 'flowStartMilliseconds',
  in_broadcast_packets_total: 'sflowIfInBroadcastPackets',
  in_bytes: 'octetDeltaCount',
  in_errors: 'sflowIfInErrors',
  in_mcast_packets_total: 'sflowIfInMulticastPackets',
  in_packets: 'packetDeltaCount',
  in_snmp: 'ingressInterface',
  in_total_bytes: 'octetTotalCount',
  in_total_packets: 'packetTotalCount',
  in_unicast_packets_total: 'sflowIfInUnicastPackets',
  interface: 'interfaceName',
  interface_desc: 'interfaceDescription',
  interface_type: 'sflowIfType',
  last_switched: 'flowEndSysUpTime',
  out_broadcast_packets_total: 'sflowIfOutBroadcastPackets',
  out_bytes: 'sflowIfOutOctets',
  out_mcast_packets_total: 'sflowIfOutMulticastPackets',
  out_snmp: 'egressInterface',
  out_unicast_packets_total: 'sflowIfOutUnicastPackets',
  port_name: 'sflowPortName',
  seq_number: 'sflowSampleSequence',
  speed: 'sflowIfSpeed',
  src: 'sourceIPv4Address',
  src_port: 'sourceTransportPort',
  sys_uptime: 'sflowAgentUptime',
  vlan_src: 'vlanId',
}

for (const truth of exportCases()) {
  const text = expectedOf(truth.name, 'telegraf-expected.lp')
  // A Message that does not fit its datagram; see exports.test.ts.
  if (text === undefined || truth.name === 'telegraf__issue_14370') continue
  test(`collect finds the values that telegraf expects of ${truth.name}`, async (t) => {
    const {batches} = await collectFiles(truth.files, {origin: true})
    const ours = rowsOf(batches).map((row) => reading(row))
    const lines = text.trim().split('\n')
    let checked = 0
    for (const [i, one] of lines.entries()) {
      const fields = one.slice(one.indexOf(' ') + 1).matchAll(/(\w+)=(?:"([^"]*)"|(\d+)u)/g)
      const wanted = [...fields].flatMap(([, name, words, digits]) => {
        let element = telegrafNames[name]
        if (element === undefined || element === '') return []
        // The same words for counters of interfaces and of flows.
        const counters = one.includes('sFlow')
        if (counters && name === 'in_bytes') element = 'sflowIfInOctets'
        if (counters && name === 'in_snmp') element = 'sflowIfIndex'
        if (counters && name === 'interface') element = 'sflowSourceIdIndex'
        // The scope System has number 1, as octetDeltaCount has; telegraf takes it for that.
        if (one.startsWith('netflow_options') && name === 'in_bytes') return []
        // Of NetFlow 5 that of the datagram.
        if (!counters && (name === 'seq_number' || name === 'sys_uptime')) return []
        return [[element, words ?? Number(digits)] as const]
      })
      const agrees = (get: Get): boolean =>
        wanted.every(([element, value]) => {
          const mine = get(element)
          return (typeof mine === 'string' ? mine.replace(/\0+$/, '') : Number(mine)) === value
        })
      t.true(ours.some(agrees), `line ${i}: ${one.slice(0, 300)}`)
      checked += wanted.length
    }
    t.true(checked > 0)
  })
}
