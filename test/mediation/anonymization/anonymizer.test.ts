import test from 'ava'
import {createAnonymizer} from '../../../src/mediation/anonymization/anonymizer.js'
import {createCryptoPan} from '../../../src/mediation/anonymization/crypto-pan.js'
import {maskAddresses} from '../../../src/mediation/anonymization/mask-text.js'
import {
  createPolicy,
  parsePolicy,
  type PolicyOptions,
} from '../../../src/mediation/anonymization/policy.js'
import {recordEnd, recordStart, type RecordBatch} from '../../../src/record/batch.js'
import {VARIABLE} from '../../../src/record/element.js'
import {Ledger} from '../../../src/record/ledger.js'
import {kernels} from '../../../src/record/kernels.js'
import {readRecord} from '../../../src/record/readers.js'
import {createRecordBuilder} from '../../../src/record/record-writer.js'
import {createTemplate} from '../../../src/record/template.js'
import type {RecordValue, Value} from '../../../src/record/value.js'
import {ie} from '../../../src/registry/elements.js'
import {decode, encode} from '../../ipfix/octets.js'
import {addon} from '../../support/native-addon.js'
import {nfdumpFlows} from '../filter/flows.js'
import {variedRecords} from '../filter/records.js'

const key = new TextEncoder().encode('0123456789abcdefghijklmnopqrstuv')

function anonymized(
  batches: readonly RecordBatch[],
  options: Partial<PolicyOptions> = {},
  describe = false,
  native = true,
): {batches: RecordBatch[]; line: string} {
  const policy = createPolicy({
    method: 'crypto-pan',
    bits4: 24,
    bits6: 48,
    ports: 'keep',
    shiftMs: 0,
    precisionMs: 0,
    rules: new Map(),
    ...options,
  })
  const before = kernels.cryptoPan
  kernels.cryptoPan = native ? addon?.createCryptoPan : undefined
  try {
    const ledger = new Ledger().stage('anonymize', 'records')
    const exportShift = Math.floor((options.shiftMs ?? 0) / 1000)
    const cryptoPan = createCryptoPan(key)
    const out = createAnonymizer({policy, cryptoPan, exportShift, describe, ledger}).run(batches)
    return {batches: out, line: ledger.line()}
  } finally {
    kernels.cryptoPan = before
  }
}

/** All values of a record, those in lists too. */
function* leaves(record: RecordValue): Iterable<readonly [type: string, value: Value]> {
  for (const [element, value] of record) {
    if (typeof value === 'object' && 'kind' in value) {
      const inner: RecordValue[] =
        value.kind === 'basicList'
          ? value.items.map((item): RecordValue => [[value.element, item]])
          : value.kind === 'subTemplateList'
            ? [...value.records]
            : value.groups.flatMap(({records}) => [...records])
      for (const one of inner) yield* leaves(one)
    } else yield [element.type, value]
  }
}

function records(batches: readonly RecordBatch[]): RecordValue[] {
  return batches.flatMap((batch) =>
    Array.from({length: batch.count}, (_, i) => readRecord(batch, i)),
  )
}

const isAddress = (type: string): boolean => /Address$/.test(type)

for (const method of ['crypto-pan', 'black'] as const) {
  test(`no record keeps an address that it had, in whatever element, with ${method}`, (t) => {
    const batches = [...variedRecords(60), ...nfdumpFlows(200)]
    for (const native of [true, false]) {
      const out = anonymized(batches, {method}, false, native)
      const [before, after] = [records(batches), records(out.batches)]
      t.is(after.length, before.length, out.line)
      let checked = 0
      for (const [i, record] of before.entries()) {
        const had = new Set(
          [...leaves(record)]
            .filter(([type, value]) => isAddress(type) && !/^[0.:]+$/.test(value as string))
            .map(([, value]) => value as string),
        )
        for (const [type, value] of leaves(after[i])) {
          if (isAddress(type)) {
            t.false(had.has(value as string), `${value as string} is left`)
            checked++
          }
          if (type === 'string') for (const one of had) t.false((value as string).includes(one))
        }
      }
      t.true(checked > 500)
    }
  })
}

test('with the addon and without the octets are the same, and nothing else changes', (t) => {
  const batches = nfdumpFlows(300)
  const native = anonymized(batches, {}, false, true).batches
  const plain = anonymized(batches, {}, false, false).batches
  const octets = (list: readonly RecordBatch[]): string[] =>
    list.map((b) =>
      Buffer.from(b.octets.subarray(recordStart(b, 0), recordEnd(b, b.count - 1))).toString('hex'),
    )
  t.deepEqual(octets(native), octets(plain))
  for (const [i, record] of records(batches).entries()) {
    const now = records(native)[i]
    for (const [f, [element, value]] of record.entries()) {
      if (!isAddress(element.type)) t.deepEqual(now[f][1], value, element.name)
    }
  }
})

function one(fields: readonly (readonly [keyof typeof ie, Value])[]): RecordBatch {
  const template = createTemplate(
    256,
    fields.map(([name]) => {
      const element = ie[name]
      const full = {unsigned16: 2, unsigned64: 8, ipv4Address: 4, ipv6Address: 16, macAddress: 6}
      const times = {dateTimeSeconds: 4, dateTimeMilliseconds: 8, dateTimeMicroseconds: 8}
      const lengths: Record<string, number> = {...full, ...times}
      return {element, length: lengths[element.type] ?? VARIABLE}
    }),
  )
  const builder = createRecordBuilder(template)
  builder.add(fields.map(([, value]) => value))
  const message = {exportTime: 1_700_000_000, sequenceNumber: 0, observationDomainId: 1, offset: 0}
  return builder.take({...message, exporter: '192.0.2.1:4739'})!
}

function values(batches: readonly RecordBatch[]): Record<string, Value> {
  return Object.fromEntries(records(batches)[0].map(([element, value]) => [element.name, value]))
}

const mixed = one([
  ['sourceIPv4Address', '192.0.2.77'],
  ['destinationIPv6Address', '2001:db8:1:2:3:4:5:6'],
  ['sourceMacAddress', '00:00:5e:00:53:01'],
  ['sourceTransportPort', 443],
  ['destinationTransportPort', 50000],
  ['octetDeltaCount', 1234],
  ['userName', 'alice at 192.0.2.77, [2001:db8::1]:80'],
  ['flowStartSeconds', 1_700_000_001],
  ['flowStartMilliseconds', 1_700_000_001_234],
  ['flowEndMicroseconds', 1_700_000_001_234_567n],
  ['ipPayloadPacketSection', Uint8Array.of(192, 0, 2, 77, 1, 2, 3, 4)],
])

test('truncation leaves the leading bits, of MAC addresses the manufacturer', (t) => {
  const now = values(anonymized([mixed], {method: 'truncate', bits4: 23, bits6: 20}).batches)
  t.is(now.sourceIPv4Address, '192.0.2.0')
  t.is(now.destinationIPv6Address, '2001::')
  t.is(now.sourceMacAddress, '00:00:5e:00:00:00')
})

test('of names of hosts nothing is left', (t) => {
  const named = one([
    ['sourceIPv4Address', '192.0.2.77'],
    ['dartaSourceHostName', 'pc17.example.org'],
    ['dartaDestinationHostName', ''],
    ['dartaSourceCountry', 'CH'],
  ])
  const now = values(anonymized([named], {method: 'black'}).batches)
  t.is(now.dartaSourceHostName, 'x'.repeat(16))
  t.is(now.dartaDestinationHostName, '')
  t.is(now.dartaSourceCountry, 'CH')
})

test('ports are binned, times shifted or cut, text and packets are without addresses', (t) => {
  const now = values(
    anonymized([mixed], {method: 'black', ports: 'bin', shiftMs: -3_600_000}).batches,
  )
  t.is(now.sourceTransportPort, 0)
  t.is(now.destinationTransportPort, 49152)
  t.is(now.sourceIPv4Address, '0.0.0.0')
  t.is(now.octetDeltaCount, 1234)
  t.is(now.userName, `alice at ${'x'.repeat(10)}, [${'x'.repeat(11)}]:80`)
  t.is(now.flowStartSeconds, 1_699_996_401)
  t.is(now.flowStartMilliseconds, 1_699_996_401_234)
  t.is(now.flowEndMicroseconds, 1_699_996_401_234_567n)
  t.deepEqual(now.ipPayloadPacketSection, new Uint8Array(8))
  const cut = values(anonymized([mixed], {precisionMs: 60_000}).batches)
  t.is(cut.flowStartSeconds, 1_699_999_980)
  t.is(cut.flowStartMilliseconds, 1_699_999_980_000)
  t.is(cut.flowEndMicroseconds, 1_699_999_980_000_000n)
})

test('Messages lose where they came from, and are of the shifted time', (t) => {
  const [batch] = anonymized([mixed], {shiftMs: 5000}).batches
  t.is(batch.message.exporter, undefined)
  t.is(batch.message.exportTime, 1_700_000_005)
})

test('the input is left as it was', (t) => {
  const before = mixed.octets.slice()
  anonymized([mixed])
  t.deepEqual(mixed.octets, before)
})

test('a policy goes before the options, by element and by type', (t) => {
  const rules = parsePolicy(
    '# public\nsourceIPv4Address truncate 8\ntype macAddress keep\nuserName black\noctetDeltaCount black\n' +
      'flowStartSeconds shift 1h\nsourceTransportPort bin # and so on\nipPayloadPacketSection keep\n',
    'policy',
  )
  const now = values(anonymized([mixed], {rules}).batches)
  t.is(now.sourceIPv4Address, '192.0.0.0')
  t.is(now.sourceMacAddress, '00:00:5e:00:53:01')
  t.is(now.userName, 'x'.repeat(37))
  t.is(now.octetDeltaCount, 0)
  t.is(now.flowStartSeconds, 1_700_003_601)
  t.is(now.sourceTransportPort, 0)
  t.is((now.ipPayloadPacketSection as Uint8Array)[0], 192)
})

test('what is wrong in a policy is told with its line', (t) => {
  for (const [text, says] of [
    ['sourceIPv4Adress black', /^p, line 1: no Information Element is named 'sourceIPv4Adress'/],
    ['\nuserName crypto-pan', /^p, line 2: crypto-pan does not go with string/],
    ['userName', /no method ''/],
    ['userName blacken', /no method 'blacken': keep, black/],
    ['sourceIPv4Address truncate', /truncate needs the number of leading bits/],
    ['flowStartSeconds shift soon', /shift needs a duration/],
    ['octetDeltaCount bin', /bin does not go with unsigned64/],
    ['basicList black', /basicList is a list/],
    ['userName black 1 twice', /'twice' has no place here/],
  ] as const) {
    const error = t.throws(() => parsePolicy(text, 'p'))
    t.regex(error.message, says)
  }
})

test('Options Records say what was done to which element, RFC 6235 section 6', (t) => {
  const {batches} = anonymized([mixed], {ports: 'bin', shiftMs: 1000}, true)
  // As a reader gets them, with the encoder's own numbers of Templates.
  const read = decode(encode(batches).octets).batches
  const data = read.find(({template}) => template.scopeCount === 0)!
  const told = records(read.filter(({template}) => template.scopeCount > 0)).map((record) =>
    Object.fromEntries(record.map(([element, value]) => [element.name, value])),
  )
  const technique = (name: keyof typeof ie): Value | undefined =>
    told.find((row) => Number(row.informationElementId) === ie[name].elementId)
      ?.anonymizationTechnique
  t.true(told.length > 5)
  for (const row of told) {
    t.is(row.templateId, data.template.id)
    t.is(row.anonymizationFlags, 3)
    const field = data.template.fields[Number(row.informationElementIndex)]
    t.is(field.element.elementId, Number(row.informationElementId))
  }
  t.is(technique('sourceIPv4Address'), 6)
  t.is(technique('sourceTransportPort'), 3)
  t.is(technique('flowStartMilliseconds'), 9)
  t.is(technique('ipPayloadPacketSection'), 2)
  t.is(technique('octetDeltaCount'), undefined)
})

test('addresses in text are found in all their forms, and nothing else is', (t) => {
  for (const [text, masked] of [
    ['192.0.2.1', 'xxxxxxxxx'],
    ['host-192-0-2-1.example.org', 'host-xxxxxxxxx.example.org'],
    ['2001:db8::1', 'xxxxxxxxxxx'],
    ['::1 and fe80::1', 'xxx and xxxxxxx'],
    ['1:2:3:4:5:6:7:8', 'xxxxxxxxxxxxxxx'],
    ['00:00:5e:00:53:01', 'xxxxxxxxxxxxxxxxx'],
    ['0000.5e00.5301', 'xxxxxxxxxxxxxx'],
    ['10:30:00 o clock', '10:30:00 o clock'],
    ['version 1.2.3', 'version 1.2.3'],
    ['eth0', 'eth0'],
    ['', ''],
  ] as const) {
    const octets = new TextEncoder().encode(text)
    maskAddresses(octets, 0, octets.length)
    const found = new TextDecoder().decode(octets)
    // What stands beside an address may go with it, an address never stays.
    if (text.startsWith('host-')) t.false(found.includes('192-0-2-1'))
    else t.is(found, masked)
  }
})

test('a list that cannot be read does not go out, and is counted', (t) => {
  const template = createTemplate(256, [
    {element: ie.sourceIPv4Address, length: 4},
    {element: ie.basicList, length: VARIABLE},
  ])
  const octets = Uint8Array.of(192, 0, 2, 1, 7, 3, 0, 8, 0, 4, 192, 0)
  const batch: RecordBatch = {
    template,
    octets,
    view: new DataView(octets.buffer),
    start: 0,
    count: 1,
    offsets: Uint32Array.of(0, 12),
    message: {exportTime: 1, sequenceNumber: 0, observationDomainId: 0, offset: 77},
  }
  const {batches, line} = anonymized([batch])
  t.deepEqual(batches, [])
  t.is(line, 'anonymize: 1 records in, 0 out, lost 1 (unreadable-list 1 from octet 77)')
})
