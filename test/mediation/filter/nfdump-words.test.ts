import test from 'ava'
import {VARIABLE, type InformationElement} from '../../../src/record/element.js'
import {DartaError} from '../../../src/record/errors.js'
import {elementByName, ie} from '../../../src/registry/lookup.js'
import {address, batchOf, templateOf, type FieldOctets} from '../../support/records.js'
import {filtered, parse, ways} from './filtering.js'
import {nfdumpExpressions, nfdumpRareExpressions} from './nfdump-expressions.js'

/** The words of nfdump 1.7.1: those of its scanner, and of options behind them. */
const words =
  'any ip host tunip if mac mpls in ident out flags nfversion count proto tun tos dir flowdir net port as geo packets bytes ' +
  'flowlabel flows bpp bps pps duration ipv4 inet ipv6 inet6 icmp-type icmp-code engine-type engine-id src dst next prev ' +
  'previous ingress egress bgpnext router vlan mask fwdstat client server app sysid observation asa xip xnet xport acl ace ' +
  'xace nat vrf nport pblock nip payload and or not eq gt lt ge le @include'

/** Of words that nfdump has for what no record of ours can say: how they are refused. */
const refused: readonly (readonly [expression: string, says: RegExp])[] = [
  ['tunip 10.0.0.1', /no element carries the addresses of a tunnel/],
  ['src tunip 10.0.0.1', /has no place here|nothing is named|no element carries/],
  ['tun proto tcp', /no element carries the protocol of a tunnel/],
  ['count > 5', /a record has no number/],
  ['client latency > 5', /no registered element carries latencies/],
  ['server latency > 5', /no registered element carries latencies/],
  ['app latency > 5', /no registered element carries latencies/],
  ['sysid 1', /a number that nfcapd gives/],
  ['payload ja3 defined', /no hash is made of payload/],
]

for (const [expression, says] of refused) {
  test(`'${expression}' is refused with the reason`, (t) => {
    const error = t.throws(() => parse(expression), {instanceOf: DartaError})
    t.is(error.code, 'DARTA_FILTER_SYNTAX')
    t.regex(error.message, says)
  })
}

const cisco = (id: number): InformationElement => elementByName(`9/${id}`)!

type Fields = readonly (readonly [InformationElement, number, FieldOctets])[]

/**
 * Words that cannot be held against nfdump: nfcapd keeps nothing of what they ask (prev and next AS without a database, forwarding
 * status, port blocks and what NetFlow 9 of firewalls has), or nfdump itself passes what it prints otherwise (labels from the third
 * on, `mpls any`). Each with a record that it passes and one that it does not.
 */
const alone: readonly (readonly [expression: string, yes: Fields, no: Fields])[] = [
  ['prev as 64496', [[ie.bgpPrevAdjacentAsNumber, 4, 64496]], [[ie.bgpPrevAdjacentAsNumber, 4, 1]]],
  ['previous as > 9', [[ie.bgpPrevAdjacentAsNumber, 4, 10]], [[ie.bgpPrevAdjacentAsNumber, 4, 9]]],
  ['next as 64496', [[ie.bgpNextAdjacentAsNumber, 4, 64496]], [[ie.bgpNextAdjacentAsNumber, 4, 1]]],
  ['fwdstat 129', [[ie.forwardingStatus, 1, 129]], [[ie.forwardingStatus, 1, 128]]],
  ['fwdstat Forw', [[ie.forwardingStatus, 1, 64]], [[ie.forwardingStatus, 1, 65]]],
  ['fwdstat DbadTTL', [[ie.forwardingStatus, 1, 137]], [[ie.forwardingStatus, 1, 138]]],
  ['nfversion 9', [[ie.exportProtocolVersion, 1, 9]], [[ie.exportProtocolVersion, 1, 10]]],
  ['flowlabel 77', [[ie.flowLabelIPv6, 4, 77]], [[ie.flowLabelIPv6, 4, 78]]],
  ['dir egress', [[ie.flowDirection, 1, 1]], [[ie.flowDirection, 1, 0]]],
  ['geo CH', [[ie.dartaSourceCountry, 2, 'CH']], [[ie.dartaSourceCountry, 2, 'DE']]],
  ['dst geo ch', [[ie.dartaDestinationCountry, 2, 'CH']], [[ie.dartaSourceCountry, 2, 'CH']]],
  ['geo != CH', [[ie.dartaSourceCountry, VARIABLE, 'DE']], [[ie.dartaSourceCountry, VARIABLE, '']]],
  [
    'mpls label3 4095',
    [[elementByName('mplsLabelStackSection3')!, 3, 4095 * 16 + 7]],
    [[elementByName('mplsLabelStackSection3')!, 3, 1048575 * 16]],
  ],
  [
    'mpls any 16',
    [
      [ie.mplsTopLabelStackSection, 3, 17 * 16],
      [elementByName('mplsLabelStackSection2')!, 3, 16 * 16 + 6],
    ],
    [
      [ie.mplsTopLabelStackSection, 3, 17 * 16],
      [elementByName('mplsLabelStackSection2')!, 3, 1],
    ],
  ],
  ['pblock start 1024', [[ie.portRangeStart, 2, 1024]], [[ie.portRangeStart, 2, 1025]]],
  ['pblock end < 9', [[ie.portRangeEnd, 2, 8]], [[ie.portRangeEnd, 2, 9]]],
  ['pblock step 64', [[ie.portRangeStepSize, 2, 64]], [[ie.portRangeStepSize, 2, 1]]],
  ['pblock size >= 64', [[ie.portRangeNumPorts, 2, 64]], [[ie.portRangeNumPorts, 2, 63]]],
  ...(
    [
      ['port in pblock', 1087, 9],
      ['src port in pblock', 1024, 1087],
    ] as const
  ).map(
    ([expression, source, destination]) =>
      [
        expression,
        block(source, destination),
        block(expression.startsWith('src') ? 1023 : 1088, expression.startsWith('src') ? 1030 : 1),
      ] as const,
  ),
  [
    'asa event denied nosyn',
    [
      [ie.firewallEvent, 1, 3],
      [cisco(234), 2, 1004],
    ],
    [
      [ie.firewallEvent, 1, 3],
      [cisco(234), 2, 1003],
    ],
  ],
  [
    'asa event denied ingress',
    [
      [ie.firewallEvent, 1, 3],
      [cisco(234), 2, 1001],
    ],
    [
      [ie.firewallEvent, 1, 2],
      [cisco(234), 2, 1001],
    ],
  ],
  ['asa event deny', [[ie.firewallEvent, 1, 3]], [[ie.firewallEvent, 1, 1]]],
  ['asa xevent > 2000', [[cisco(234), 2, 2001]], [[cisco(234), 2, 2000]]],
  ['ingress acl 5', [[cisco(232), 12, list(5, 6, 7)]], [[cisco(232), 12, list(6, 5, 5)]]],
  ['ingress ace 6', [[cisco(232), 12, list(5, 6, 7)]], [[cisco(232), 12, list(6, 5, 6)]]],
  ['ingress xace 7', [[cisco(232), 12, list(5, 6, 7)]], [[cisco(232), 12, list(7, 7, 6)]]],
  ['egress ACL = 5', [[cisco(233), 12, list(5, 6, 7)]], [[cisco(232), 12, list(5, 5, 5)]]],
  ['engine-type 3', [[ie.engineType, 1, 3]], [[ie.engineType, 1, 4]]],
  ['engine-id 3', [[ie.engineId, 1, 3]], [[ie.engineId, 1, 4]]],
  [
    'router ip 192.0.2.1',
    [[ie.exporterIPv4Address, 4, address('192.0.2.1')]],
    [[ie.exporterIPv4Address, 4, address('192.0.2.2')]],
  ],
  [
    "payload content 'GET'",
    [[ie.ipPayloadPacketSection, VARIABLE, 'xGET /']],
    [[ie.ipPayloadPacketSection, VARIABLE, 'xget /']],
  ],
  [
    "payload regex '^get' i",
    [[ie.ipPayloadPacketSection, VARIABLE, 'GET /']],
    [[ie.ipPayloadPacketSection, VARIABLE, 'xGET /']],
  ],
]

function block(source: number, destination: number): Fields {
  return [
    [ie.sourceTransportPort, 2, source],
    [ie.destinationTransportPort, 2, destination],
    [ie.portRangeStart, 2, 1024],
    [ie.portRangeEnd, 2, 1087],
  ]
}

function list(...numbers: number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((n) => [0, 0, 0, n]))
}

for (const [expression, yes, no] of alone) {
  test(`'${expression}' passes what has it and nothing else`, (t) => {
    for (const native of ways) {
      for (const [fields, passes] of [
        [yes, 1],
        [no, 0],
        [[[ie.octetDeltaCount, 8, 5]], 0],
      ] as const) {
        const template = templateOf(fields.map(([element, length]) => [element, length] as const))
        const batch = batchOf(template, [fields.map(([, , octets]) => octets)])
        t.is(filtered(parse(expression), [batch], native).matched, passes)
      }
    }
  })
}

test('every word of nfdump is compared with it, tried alone, or refused', (t) => {
  const expressions = [
    ...nfdumpExpressions,
    ...nfdumpRareExpressions,
    ...alone.map(([expression]) => expression),
    ...refused.map(([expression]) => expression),
    // These have tests of their own: an exporter's name, and files.
    'ident name',
    '@include file',
  ]
  const used = new Set(
    expressions.flatMap((expression) => expression.toLowerCase().split(/[\s()[\],]+/)),
  )
  t.deepEqual(
    words.split(' ').filter((word) => !used.has(word)),
    [],
  )
})
