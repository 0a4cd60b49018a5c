import test from 'ava'
import {meterFields, type FieldRequest} from '../../src/metering/flow-fields.js'
import type {KeyPart} from '../../src/metering/meter.js'
import {lengthFits} from '../../src/record/element.js'
import {DEFAULT_KEY, FIVE_TUPLE} from './metering.js'

function request(choice: Partial<FieldRequest> = {}): FieldRequest {
  return {emit: 'flows', key: DEFAULT_KEY, biflow: false, decap: false, precision: 'ms', ...choice}
}

/** `name length` of the fields by version. */
function lists(choice: Partial<FieldRequest> = {}): {v4: string[]; v6: string[]} {
  const {v4, v6} = meterFields(request(choice))
  const text = (fields: typeof v4): string[] =>
    fields.map(({element, length}) => `${element.name} ${length}`)
  return {v4: text(v4), v6: text(v6)}
}

const begin = [
  'flowStartMilliseconds 8',
  'flowEndMilliseconds 8',
  'octetDeltaCount 8',
  'packetDeltaCount 8',
]
const ports = ['sourceTransportPort 2', 'destinationTransportPort 2']
const end = ['protocolIdentifier 1', 'ipClassOfService 1', 'flowEndReason 1']

test('has the default fields in their order, by IP version', (t) => {
  const middle = [...ports, 'dot1qVlanId 2', 'dot1qCustomerVlanId 2', 'tcpControlBits 2']
  t.deepEqual(lists(), {
    v4: [
      ...begin,
      'sourceIPv4Address 4',
      'destinationIPv4Address 4',
      ...middle,
      'icmpTypeCodeIPv4 2',
      ...end,
    ],
    v6: [
      ...begin,
      'sourceIPv6Address 16',
      'destinationIPv6Address 16',
      ...middle,
      'icmpTypeCodeIPv6 2',
      ...end,
    ],
  })
})

test('has the reverse fields of a biflow and the tunnel depth last', (t) => {
  t.deepEqual(lists({biflow: true, decap: true}).v4.slice(15), [
    'reverseOctetDeltaCount 8',
    'reversePacketDeltaCount 8',
    'reverseFlowStartMilliseconds 8',
    'reverseFlowEndMilliseconds 8',
    'reverseTcpControlBits 2',
    'biflowDirection 1',
    'dartaTunnelDepth 1',
  ])
})

test('has MAC addresses and interface where they are in the key', (t) => {
  const key: KeyPart[] = [...FIVE_TUPLE, 'interface', 'srcmac', 'dstmac']
  t.deepEqual(lists({key, biflow: true}).v6.slice(12, 17), [
    'flowEndReason 1',
    'sourceMacAddress 6',
    'destinationMacAddress 6',
    'ingressInterface 4',
    'reverseOctetDeltaCount 8',
  ])
})

const partFields: [KeyPart, string[]][] = [
  ['src', ['sourceIPv4Address 4']],
  ['dst', ['destinationIPv4Address 4']],
  ['proto', ['protocolIdentifier 1']],
  ['srcport', ['sourceTransportPort 2']],
  ['dstport', ['destinationTransportPort 2']],
  ['vlan', ['dot1qVlanId 2', 'dot1qCustomerVlanId 2']],
  ['tunnel', ['dartaTunnelDepth 1']],
]
for (const [part, fields] of partFields) {
  test(`leaves out the fields of ${part} where it is not in the key`, (t) => {
    const all = lists({decap: true}).v4
    const key = DEFAULT_KEY.filter((p) => p !== part)
    t.deepEqual(
      lists({decap: true, key}).v4,
      all.filter((field) => !fields.includes(field)),
    )
    for (const field of fields) {
      const [name] = field.split(' ')
      t.throws(() => lists({decap: true, key, fields: [name]}), {code: 'DARTA_USAGE'}, name)
    }
  })
}

test('has times in the precision asked for', (t) => {
  for (const [precision, unit] of [
    ['us', 'Microseconds'],
    ['ns', 'Nanoseconds'],
  ] as const) {
    const names = lists({precision, biflow: true}).v4
    t.deepEqual(
      names.filter((name) => name.includes('seconds')),
      [
        `flowStart${unit} 8`,
        `flowEnd${unit} 8`,
        `reverseFlowStart${unit} 8`,
        `reverseFlowEnd${unit} 8`,
      ],
    )
  }
})

const extra = [
  'flowStartSeconds 4',
  'flowEndSeconds 4',
  'flowDurationMilliseconds 4',
  'octetTotalCount 8',
  'packetTotalCount 8',
  'minimumIpTotalLength 8',
  'maximumIpTotalLength 8',
  'minimumTTL 1',
  'maximumTTL 1',
  'ipVersion 1',
  'sourceMacAddress 6',
  'destinationMacAddress 6',
  'ingressInterface 4',
  'mplsTopLabelStackSection 3',
  'fragmentFlags 1',
  'tcpSynTotalCount 8',
  'tcpFinTotalCount 8',
  'tcpRstTotalCount 8',
  'flowStartMicroseconds 8',
  'flowEndNanoseconds 8',
]

test('takes fields in the order they are named in', (t) => {
  const fields = extra.map((field) => field.split(' ')[0])
  t.deepEqual(lists({fields}), {v4: extra, v6: extra})
  t.deepEqual(lists({fields: fields.toReversed()}).v6, extra.toReversed())
})

test('puts in addresses and ICMP of the version of the record', (t) => {
  const fields = [
    'sourceIPv6Address',
    'destinationIPv4Address',
    'icmpTypeCodeIPv6',
    'flowLabelIPv6',
  ]
  t.deepEqual(lists({fields}), {
    v4: ['sourceIPv4Address 4', 'destinationIPv4Address 4', 'icmpTypeCodeIPv4 2'],
    v6: [
      'sourceIPv6Address 16',
      'destinationIPv6Address 16',
      'icmpTypeCodeIPv6 2',
      'flowLabelIPv6 4',
    ],
  })
  const both = ['sourceIPv6Address', 'sourceIPv4Address', 'octetDeltaCount']
  t.deepEqual(lists({fields: both}).v4, ['sourceIPv4Address 4', 'octetDeltaCount 8'])
})

test('takes elements by number too', (t) => {
  t.deepEqual(lists({fields: ['0/8', '0/1']}).v6, ['sourceIPv6Address 16', 'octetDeltaCount 8'])
})

test('takes the fields of biflows and tunnels where they are measured', (t) => {
  const fields = ['reverseFlowStartNanoseconds', 'biflowDirection', 'dartaTunnelDepth']
  t.is(lists({fields, biflow: true, decap: true}).v4.length, 3)
  for (const name of fields) {
    t.throws(() => lists({fields: [name]}), {code: 'DARTA_USAGE', message: new RegExp(`^${name} `)})
  }
})

test('refuses names that no element has', (t) => {
  for (const name of ['srcIp', 'sourceipv4address', '', 'reverseNothing']) {
    t.throws(() => lists({fields: ['octetDeltaCount', name]}), {code: 'DARTA_ELEMENT_UNKNOWN'})
  }
})

test('refuses elements that are not measured, fields named twice and no fields', (t) => {
  for (const fields of [
    ['postOctetDeltaCount'],
    ['99999/1'],
    ['reverseMinimumTTL'],
    ['octetDeltaCount', 'octetDeltaCount'],
    [],
    ['flowLabelIPv6'], // nothing is left for IPv4
  ]) {
    t.throws(() => lists({fields, biflow: true}), {code: 'DARTA_USAGE'}, String(fields))
  }
})

test('refuses fields for packets and pcap', (t) => {
  for (const emit of ['packets', 'pcap'] as const) {
    t.throws(() => lists({emit, fields: ['ipTotalLength']}), {code: 'DARTA_USAGE'})
  }
})

test('refuses biflows whose key does not have both directions', (t) => {
  const without = (...parts: KeyPart[]): KeyPart[] => DEFAULT_KEY.filter((p) => !parts.includes(p))
  for (const key of [
    without('src'),
    without('dst'),
    without('srcport'),
    without('dstport'),
    [...DEFAULT_KEY, 'srcmac'],
    [...DEFAULT_KEY, 'dstmac'],
  ] as KeyPart[][]) {
    t.throws(() => lists({key, biflow: true}), {code: 'DARTA_USAGE'})
    t.notThrows(() => lists({key}))
  }
  t.notThrows(() => lists({key: without('srcport', 'dstport'), biflow: true}))
})

test('has one template of Packet Reports for both IP versions, and none for pcap', (t) => {
  const report = [
    'observationTimeNanoseconds 8',
    'selectionSequenceId 8',
    'ipTotalLength 8',
    'ipHeaderPacketSection 65535',
  ]
  t.deepEqual(lists({emit: 'packets'}), {v4: report, v6: report})
  t.deepEqual(lists({emit: 'pcap'}), {v4: [], v6: []})
})

test('has lengths that the types of the elements can have', (t) => {
  const fields = [...lists({biflow: true, decap: true}).v4, ...extra, 'flowLabelIPv6 4'].map(
    (field) => field.split(' ')[0],
  )
  const unique = [...new Set(fields)]
  for (const list of Object.values(
    meterFields(request({fields: unique, biflow: true, decap: true})),
  )) {
    for (const {element, length} of list) t.true(lengthFits(element.type, length), element.name)
  }
})
