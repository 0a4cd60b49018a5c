import {VARIABLE, type InformationElement} from '../../../src/record/element.js'
import {createRecordBuilder} from '../../../src/record/record-writer.js'
import {readRecord} from '../../../src/record/readers.js'
import {createSubTemplates} from '../../../src/record/sub-templates.js'
import {createTemplate} from '../../../src/record/template.js'
import {createSessionElements, ie, reverseOf} from '../../../src/registry/lookup.js'
import {unknownElement} from '../../../src/record/element.js'
import {numbers} from '../../ipfix/generate.js'
import type {MessageContext, RecordBatch} from '../../../src/record/batch.js'
import type {ListValue, RecordValue, Value} from '../../../src/record/value.js'

/** An enterprise's element of which only the number is known. */
export const unknown = unknownElement(35632, 80)
/** The same for octets that are text. */
const unknownText = unknownElement(35632, 81)

const START = 1_700_000_000_000

/** Records with values of every type, in fields of full and reduced size, fixed and variable, in and outside of lists. */
export function variedRecords(count = 120): RecordBatch[] {
  const below = numbers(11)
  const pick = <T>(pool: readonly T[]): T => pool[below(pool.length)]
  const subTemplates = createSubTemplates()
  const elements = createSessionElements()
  const batches: RecordBatch[] = []
  const make = (
    specifiers: readonly (readonly [InformationElement, number])[],
    row: (i: number) => Value[],
    message: Partial<MessageContext> = {},
    scopeCount = 0,
  ): void => {
    const template = createTemplate(
      256 + batches.length,
      specifiers.map(([element, length]) => ({element, length})),
      scopeCount,
    )
    const builder = createRecordBuilder(template, {subTemplates, elements})
    for (let i = 0; i < count; i++) builder.add(row(i))
    const context = {exportTime: START / 1000, sequenceNumber: 0, observationDomainId: 7, offset: 0}
    batches.push(builder.take({...context, ...message})!)
  }

  // Fixed places; counters of reduced size; two kinds of the same element.
  make(
    [
      [ie.sourceIPv4Address, 4],
      [ie.destinationIPv4Address, 4],
      [ie.sourceTransportPort, 2],
      [ie.destinationTransportPort, 2],
      [ie.protocolIdentifier, 1],
      [ie.octetDeltaCount, 5],
      [ie.packetDeltaCount, 3],
      [ie.flowStartMilliseconds, 8],
      [ie.flowEndMilliseconds, 8],
      [ie.bgpSourceAsNumber, 4],
      [ie.bgpDestinationAsNumber, 2],
      [ie.tcpControlBits, 2],
      [ie.ipClassOfService, 1],
      [reverseOf(ie.octetDeltaCount)!, 8],
      [ie.absoluteError, 8],
      [ie.dataRecordsReliability, 1],
      [ie.sourceMacAddress, 6],
      [unknown, 4],
    ],
    (i) => [
      pick(['10.0.0.1', '10.200.1.1', '192.0.2.9', '198.51.100.77']),
      pick(['10.0.0.2', '203.0.113.5', '192.0.2.9']),
      pick([53, 80, 443, 8042, 50000]),
      pick([53, 80, 443, 8100, 123]),
      pick([1, 6, 17, 58]),
      pick([40, 1000, 999_999, 1_000_000, 2 ** 33]),
      pick([1, 2, 100, 70_000]),
      START + 1000 * i,
      START + 1000 * i + pick([0, 1, 250, 90_000]),
      pick([0, 64496, 4200000000]),
      pick([1, 64497]),
      pick([2, 18, 16, 0x100 + 18, 27]),
      pick([0, 40, 184, 187]),
      pick([0, 500]),
      pick([-1.5, 0, 0.25, 1e9]),
      pick([true, false]),
      pick(['00:00:5e:00:53:01', '02:00:00:00:00:02']),
      Uint8Array.of(0, 0, pick([0, 1]), pick([5, 200])),
    ],
    {exporter: '192.0.2.33:4739', observationDomainId: 9},
  )

  // Fields that move: everything behind the name.
  make(
    [
      [ie.userName, VARIABLE],
      [ie.sourceIPv6Address, 16],
      [ie.destinationIPv6Address, 16],
      [ie.octetDeltaCount, 8],
      [ie.protocolIdentifier, 1],
      [ie.destinationTransportPort, 2],
      [ie.flowStartMicroseconds, 8],
      [ie.flowEndNanoseconds, 8],
      [ie.interfaceDescription, VARIABLE],
      [ie.mibObjectValueInteger, 4],
      [unknownText, VARIABLE],
      [ie.ipPayloadPacketSection, VARIABLE],
      [ie.dartaUserId, 4],
    ],
    (i) => [
      pick(['alice', 'bob', 'Ålice', '', 'a b']),
      pick(['2001:db8::1', '2001:db8:ffff::1', 'fe80::9']),
      pick(['2001:db8::1', '::1']),
      pick([64, 10n ** 19n, 2 ** 53 - 1]),
      pick([6, 17]),
      pick([53, 443]),
      BigInt(START) * 1000n + BigInt(500 * i),
      BigInt(START) * 1_000_000n + BigInt(i) * 1_000_000_000n,
      pick(['uplink to core', 'Uplink', 'x'.repeat(300)]),
      pick([-5, 0, 2 ** 31 - 1]),
      new TextEncoder().encode(pick(['blue', 'green'])),
      new TextEncoder().encode(pick(['GET / HTTP/1.1', 'SSH-2.0', ''])),
      pick([0, 1000, 4294967295]),
    ],
    {exporter: '[2001:db8::33]:4739'},
  )

  // Lists, also lists within.
  const item = (): Value => pick([5, 6, 100])
  const inner = (): ListValue => ({
    kind: 'basicList',
    semantic: 3,
    element: ie.dot1qVlanId,
    length: 2,
    items: Array.from({length: below(4)}, item),
  })
  const member = (): RecordValue => [
    [ie.sourceIPv4Address, pick(['10.9.9.9', '172.16.0.1'])],
    [ie.octetDeltaCount, pick([1, 5000])],
    [ie.userName, pick(['alice', 'carol'])],
  ]
  make(
    [
      [ie.basicList, VARIABLE],
      [ie.subTemplateList, VARIABLE],
      [ie.subTemplateMultiList, VARIABLE],
      [ie.octetDeltaCount, 8],
    ],
    () => {
      const list = subTemplates.ofRecord(member())
      const nested = subTemplates.ofRecord([
        [ie.octetDeltaCount, 1],
        [ie.basicList, inner()],
      ])
      return [
        inner(),
        {
          kind: 'subTemplateList',
          semantic: 3,
          templateId: list.id,
          records: Array.from({length: below(3)}, member),
        },
        {
          kind: 'subTemplateMultiList',
          semantic: 3,
          groups: [
            {templateId: list.id, records: Array.from({length: below(2)}, member)},
            {
              templateId: nested.id,
              records: Array.from({length: below(3)}, (): RecordValue => [
                [ie.octetDeltaCount, pick([7, 8])],
                [ie.basicList, inner()],
              ]),
            },
          ],
        },
        pick([10, 20]),
      ]
    },
  )

  // Options Records.
  make(
    [
      [ie.observationDomainId, 4],
      [ie.samplingPacketInterval, 4],
      [ie.interfaceName, VARIABLE],
    ],
    () => [pick([7, 8]), pick([1, 1000]), pick(['eth0', 'lo'])],
    {},
    1,
  )

  // Both IP versions in one Template, as some exporters have it, and one element twice.
  make(
    [
      [ie.sourceIPv4Address, 4],
      [ie.sourceIPv6Address, 16],
      [ie.vlanId, 2],
      [ie.vlanId, 2],
      [ie.flowStartSeconds, 4],
      [ie.flowDurationMilliseconds, 4],
      [ie.deltaFlowCount, 8],
      [ie.icmpTypeCodeIPv4, 2],
      [ie.protocolIdentifier, 1],
      [ie.exporterIPv4Address, 4],
      [ie.observationDomainId, 4],
      [ie.mplsTopLabelStackSection, 3],
    ],
    (i) => {
      const four = below(2) === 0
      return [
        four ? pick(['10.0.0.1', '192.0.2.9']) : '0.0.0.0',
        four ? '::' : pick(['2001:db8::1', 'fe80::9']),
        pick([1, 10]),
        pick([10, 20]),
        START / 1000 + i,
        pick([0, 1500, 90_000]),
        pick([1, 3]),
        pick([0x0800, 0x0301]),
        pick([1, 6]),
        pick(['192.0.2.33', '192.0.2.34']),
        pick([7, 70]),
        Uint8Array.of(0, pick([0x64, 0x65]), pick([0x01, 0x4b])),
      ]
    },
  )
  return batches
}

/** A record for people who write tests: values by name, each occurrence. */
export interface Row {
  readonly all: (name: string) => readonly Value[]
  /** The first value of this name. */
  readonly get: (name: string) => Value | undefined
  readonly number: (name: string) => number
  readonly text: (name: string) => string
  readonly has: (name: string) => boolean
  /** Members of lists at any depth; of `list` only. */
  readonly members: (list?: string) => readonly Row[]
  readonly message: MessageContext
  readonly options: boolean
}

export function rowsOf(batch: RecordBatch): Row[] {
  return Array.from({length: batch.count}, (_, i) =>
    rowOf(readRecord(batch, i), batch.message, batch.template.scopeCount > 0),
  )
}

function rowOf(record: RecordValue, message: MessageContext, options: boolean): Row {
  const all = (name: string): Value[] =>
    record.filter(([element]) => element.name === name).map(([, value]) => value)
  const get = (name: string): Value | undefined => all(name)[0]
  const membersOf = (list?: string): Row[] =>
    record
      .filter(([element]) => list === undefined || element.name === list)
      .flatMap(([, value]) => (isList(value) ? listMembers(value, message) : []))
  return {
    all,
    get,
    number: (name) => Number(get(name) ?? NaN),
    text: (name) => {
      const value = get(name)
      return typeof value === 'string' ? value : ''
    },
    has: (name) => get(name) !== undefined,
    members: membersOf,
    message,
    options,
  }
}

function isList(value: Value): value is ListValue {
  return typeof value === 'object' && 'kind' in value
}

function listMembers(list: ListValue, message: MessageContext): Row[] {
  const records: RecordValue[] =
    list.kind === 'basicList'
      ? list.items.map((item): RecordValue => [[list.element, item]])
      : list.kind === 'subTemplateList'
        ? [...list.records]
        : list.groups.flatMap(({records: of}) => [...of])
  return records.flatMap((record) => {
    const row = rowOf(record, message, false)
    return [row, ...row.members()]
  })
}
