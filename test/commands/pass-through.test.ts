/* What other documents than RFC 7011 define passes from Exporter to Collector as it came, with the options that explain it. */
import ava, {type ExecutionContext} from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {createRecordBuilder} from '../../src/record/record-writer.js'
import {createTemplate, type FieldSpecifier} from '../../src/record/template.js'
import type {Value} from '../../src/record/value.js'
import {ie} from '../../src/registry/elements.js'
import {udpCollector} from '../support/collector.js'
import {darta, folder} from '../support/darta.js'
import {address} from '../support/records.js'

// One after another: each starts processes.
const test = ava.serial

type Plain = Record<string, unknown>
type Field = readonly [element: FieldSpecifier['element'], length: number, value: Value]

const VARIABLE = 65535

/** A stream of one record each, of a Template of its own; `scope` fields of options come first. */
function stream(...records: readonly {fields: readonly Field[]; scope?: number}[]): Uint8Array {
  const encoder = createEncoder({ledger: new Ledger()})
  const message = {exportTime: 1_700_000_000, sequenceNumber: 0, observationDomainId: 5, offset: 0}
  const chunks = records.flatMap(({fields, scope = 0}, i) => {
    const specifiers = fields.map(([element, length]) => ({element, length}))
    const builder = createRecordBuilder(createTemplate(256 + i, specifiers, scope))
    builder.add(fields.map(([, , value]) => value))
    return encoder.push([builder.take(message)!])
  })
  return Buffer.concat([...chunks, ...encoder.end()])
}

/** What darta collect makes of what ipfix-export sends over UDP of it. */
async function passed(t: ExecutionContext, octets: Uint8Array): Promise<Plain[]> {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const {code, stderr} = await darta(t, ['ipfix-export', '--max-message', '300', to], octets)
  t.is(code, 0, stderr)
  const place = folder(t)
  const last = Buffer.from(octets.subarray(-8))
  await collector.until(() => collector.datagrams.some((datagram) => datagram.includes(last)))
  const files = collector.datagrams.map((datagram, i) => {
    const file = join(place, String(i).padStart(4, '0'))
    writeFileSync(file, datagram)
    return file
  })
  const args = files.flatMap((file) => ['-r', file])
  const collected = await darta(t, ['collect', ...args, '--no-losses', '-o', 'ndjson'])
  t.is(collected.code, 0, collected.stderr)
  // A file of one datagram each: the sequence goes on from one to the next.
  return collected.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Plain)
}

const flows = (records: readonly Plain[]): Plain[] => records.filter((one) => !('_scope' in one))
const options = (records: readonly Plain[]): Plain[] => records.filter((one) => '_scope' in one)

test('common properties go ahead of the records that refer to them, with the number as scope', async (t) => {
  const records = await passed(
    t,
    stream(
      {
        scope: 1,
        fields: [
          [ie.commonPropertiesId, 8, 77n],
          [ie.sourceIPv4Address, 4, address('192.0.2.1')],
          [ie.sourceTransportPort, 2, 80],
        ],
      },
      {
        fields: [
          [ie.commonPropertiesId, 8, 77n],
          [ie.destinationIPv4Address, 4, address('198.51.100.1')],
          [ie.octetDeltaCount, 8, 1234n],
        ],
      },
    ),
  )
  const [first] = records
  t.deepEqual(first._scope, ['commonPropertiesId'])
  t.like(first, {commonPropertiesId: 77, sourceIPv4Address: '192.0.2.1', sourceTransportPort: 80})
  t.like(flows(records)[0], {commonPropertiesId: 77, octetDeltaCount: 1234})
  t.is(flows(records).length, 1)
})

test('an application is kept octet for octet, in fixed and in variable length, with the options that name it', async (t) => {
  // Engine 13 (PANA-L7), selector 0x1c5; with enterprise number 32473, engine 20 (PANA-L7-PEN).
  const fixed = Uint8Array.of(13, 0, 1, 0xc5)
  const variable = Uint8Array.of(13, 1, 0xc5)
  const enterprise = Uint8Array.of(20, 0, 0, 0x7e, 0xd9, 7)
  const named = (id: Uint8Array, length: number, name: string) => ({
    scope: 1,
    fields: [
      [ie.applicationId, length, id],
      [ie.applicationName, VARIABLE, name],
      [ie.applicationDescription, VARIABLE, `what ${name} is`],
    ] as const,
  })
  const used = (id: Uint8Array, length: number, octets: bigint) => ({
    fields: [
      [ie.applicationId, length, id],
      [ie.octetDeltaCount, 8, octets],
    ] as const,
  })
  const records = await passed(
    t,
    stream(
      named(fixed, 4, 'fixed'),
      named(variable, VARIABLE, 'variable'),
      named(enterprise, 6, 'own'),
      used(fixed, 4, 101n),
      used(variable, VARIABLE, 102n),
      used(enterprise, 6, 103n),
    ),
  )
  t.deepEqual(
    flows(records).map(({applicationId, octetDeltaCount}) => [applicationId, octetDeltaCount]),
    [
      ['0d0001c5', 101],
      ['0d01c5', 102],
      ['1400007ed907', 103],
    ],
  )
  for (const [applicationId, applicationName] of [
    ['0d0001c5', 'fixed'],
    ['0d01c5', 'variable'],
    ['1400007ed907', 'own'],
  ]) {
    const [name] = options(records).filter((one) => one.applicationId === applicationId)
    t.like(name, {applicationName, applicationDescription: `what ${applicationName} is`})
    t.deepEqual(name._scope, ['applicationId'])
  }
})

test('NAT events of several Templates of one source are read, whatever their code', async (t) => {
  const time = [ie.observationTimeMilliseconds, 8, 1_700_000_000_000] as const
  const session = (event: number) => ({
    fields: [
      time,
      [ie.natEvent, 1, event],
      [ie.sourceIPv4Address, 4, address('10.0.0.1')],
      [ie.postNATSourceIPv4Address, 4, address('192.0.2.1')],
      [ie.protocolIdentifier, 1, 6],
      [ie.sourceTransportPort, 2, 40000],
      [ie.postNAPTSourceTransportPort, 2, 1024 + event],
    ] as const,
  })
  const records = await passed(
    t,
    stream(
      // 1 and 2 are historic, 3 says that a pool ran out, 16 that a block of ports was assigned.
      ...[1, 2, 4, 5].map(session),
      {fields: [time, [ie.natEvent, 1, 3], [ie.natPoolId, 4, 12]]},
      {
        fields: [
          time,
          [ie.natEvent, 1, 16],
          [ie.sourceIPv4Address, 4, address('10.0.0.2')],
          [ie.portRangeStart, 2, 2048],
          [ie.portRangeEnd, 2, 4095],
        ],
      },
    ),
  )
  t.deepEqual(
    flows(records).map(({natEvent}) => natEvent),
    [1, 2, 4, 5, 3, 16],
  )
  t.like(flows(records)[3], {
    postNATSourceIPv4Address: '192.0.2.1',
    postNAPTSourceTransportPort: 1029,
  })
  t.like(flows(records)[4], {
    natPoolId: 12,
    observationTimeMilliseconds: '2023-11-14T22:13:20.000Z',
  })
  t.like(flows(records)[5], {portRangeStart: 2048, portRangeEnd: 4095})
})

test('of SNMP objects the values and the options that describe them are read, each for its Template and field', async (t) => {
  const values = [
    [ie.sourceIPv4Address, 4, address('192.0.2.1')],
    [ie.mibObjectValueCounter, 8, 99n],
  ] as const
  const records = await passed(
    t,
    stream(
      // Its Template has to come first, so that its number can be said.
      {fields: values},
      {
        scope: 2,
        fields: [
          [ie.templateId, 2, 256],
          [ie.informationElementIndex, 2, 1],
          // 1.3.6.1.2.1.2.2.1.10, ifInOctets, in BER without its head.
          [ie.mibObjectIdentifier, VARIABLE, Uint8Array.of(0x2b, 6, 1, 2, 1, 2, 2, 1, 10)],
          [ie.mibObjectName, VARIABLE, 'ifInOctets'],
        ],
      },
      {fields: values},
    ),
  )
  const [described] = options(records)
  t.deepEqual(described._scope, ['templateId', 'informationElementIndex'])
  t.like(described, {informationElementIndex: 1, mibObjectIdentifier: '2b060102010202010a'})
  t.deepEqual(
    flows(records).map(({mibObjectValueCounter}) => mibObjectValueCounter),
    [99, 99],
  )
})
