import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join as joinPath} from 'node:path'
import ndjson from '../../src/formats/ndjson.js'
import {createChecker} from '../../src/ipfix/check.js'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {createRecordBuilder} from '../../src/record/record-writer.js'
import {createTemplate, type MibObject} from '../../src/record/template.js'
import {ie} from '../../src/registry/lookup.js'
import {hex} from '../hex.js'
import {needing, tools} from '../support/needing.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {accounts, decode, encode, join, message, named} from './octets.js'

const object = (identifier: Uint8Array, ...index: number[]): MibObject => ({identifier, index})
const ifOutQLen = hex`06 09 2b 06 01 02 01 02 02 01 15`
const ifInOctets = hex`06 09 2b 06 01 02 01 02 02 01 0a`

/** Queue lengths by egress interface, as in RFC 8038 section 6.6. */
function queues(identifier: Uint8Array, rows: readonly [number, number][], time = 1): RecordBatch {
  const builder = createRecordBuilder(
    createTemplate(300, [
      {element: ie.egressInterface, length: 4},
      {element: ie.mibObjectValueGauge, length: 4, mib: object(identifier, 1)},
    ]),
  )
  for (const row of rows) builder.add(row)
  return builder.take({exportTime: time, sequenceNumber: 0, observationDomainId: 1, offset: 0})!
}

/** IDs of the Sets of a Message, in order. */
function setIds(octets: Uint8Array): number[] {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const ids: number[] = []
  for (let at = 16; at < octets.length; at += view.getUint16(at + 2)) ids.push(view.getUint16(at))
  return ids
}

const example = message(hex`
  0002 0010   # Template Set
  02bf 0002   # 703: two fields
  000e 0004   # egressInterface
  01b8 0004   # mibObjectValueGauge
  0003 001a   # Options Template Set
  02c0 0004 0002   # 704: four fields, two of scope
  0091 0002   # templateId
  011f 0002   # informationElementIndex
  01bf 0001   # mibIndexIndicator in one octet
  01bd ffff   # mibObjectIdentifier
  02c0 0015   # what is said of 703
  02bf 0001 01 0b ${ifOutQLen}
  02bf 000c   # data
  00000003 0000002a
`)

test('the object and the index that MIB Field Options give a field are kept with its Template', (t) => {
  const {batches, records} = decode(example)
  t.is(records.out, 2)
  const data = batches.find(({template}) => template.id === 703)!
  t.deepEqual(data.template.fields[1].mib, object(ifOutQLen, 1))
  t.is(data.template.fields[0].mib, undefined)
  t.deepEqual(named([data]), [
    [
      ['egressInterface', 3],
      ['mibObjectValueGauge', 42],
    ],
  ])
})

test('MIB Field Options of no such Template or field are noted and change nothing', (t) => {
  const wrong = message(hex`
    0003 001a 02c0 0004 0002 0091 0002 011f 0002 01bf 0001 01bd ffff
    0002 0010 02bf 0002 000e 0004 01b8 0004
    02c0 003e
    02bf 0000 01 0b ${ifOutQLen}   # egressInterface carries no object
    02bf 0002 01 0b ${ifOutQLen}   # there is no third field
    03e7 0001 01 0b ${ifOutQLen}   # nor such a Template
    02bf 0001 01 01 06             # that is no object identifier
    02bf 000c 00000003 0000002a
  `)
  const {batches, records} = decode(wrong)
  t.is(records.noted.get('mib-field-ignored'), 4)
  const data = batches.find(({template}) => template.id === 703)!
  t.true(data.template.fields.every(({mib}) => mib === undefined))
})

test('a Template with values of SNMP objects goes ahead of its options and data, all in one Message, whatever room was left', (t) => {
  for (let filler = 0; filler < 140; filler++) {
    const names = createRecordBuilder(createTemplate(301, [{element: ie.interfaceName, length: 1}]))
    for (let i = 0; i <= filler; i++) names.add(['x'])
    const context = {exportTime: 1, sequenceNumber: 0, observationDomainId: 1, offset: 0}
    const {messages} = encode([names.take(context)!, queues(ifOutQLen, [[3, 42]])], {
      maxMessageOctets: 150,
      messagePerArray: true,
    })
    const [holding, ...others] = messages.filter((one) => setIds(one).includes(3))
    t.deepEqual(others, [])
    const ids = setIds(holding)
    const at = ids.indexOf(3)
    t.is(ids[at - 1], 2)
    t.true(ids[at + 1] >= 256)
    // Data come behind them, be it in the next one.
    const all = messages.flatMap(setIds)
    t.true(all.lastIndexOf(ids[at + 1]) < all.length - 1)
  }
})

test('two Templates that differ in their objects alone have IDs of their own', (t) => {
  const {octets} = encode([queues(ifOutQLen, [[1, 1]]), queues(ifInOctets, [[1, 2]])])
  const {batches} = decode(octets)
  const data = batches.filter(({template}) => template.scopeCount === 0)
  t.is(data.length, 2)
  t.not(data[0].template.id, data[1].template.id)
  t.deepEqual(
    data.map(({template}) => template.fields[1].mib),
    [object(ifOutQLen, 1), object(ifInOctets, 1)],
  )
})

test('MIB Field Options come again with each Template that is sent again', (t) => {
  const encoder = createEncoder({ledger: new Ledger(), messagePerArray: true, templateRefresh: 60})
  const first = [...encoder.push([queues(ifOutQLen, [[1, 1]], 1000)]), ...encoder.flush()]
  const quiet = [...encoder.push([queues(ifOutQLen, [[1, 2]], 1030)]), ...encoder.flush()]
  const again = [...encoder.push([queues(ifOutQLen, [[1, 3]], 1060)]), ...encoder.flush()]
  t.deepEqual(
    quiet.flatMap(setIds).filter((id) => id < 256),
    [],
  )
  const late = decode(join(...again)).batches
  t.deepEqual(named(late.filter(({template}) => template.scopeCount === 0)).length, 1)
  const data = late.find(({template}) => template.scopeCount === 0)!
  t.deepEqual(data.template.fields[1].mib, object(ifOutQLen, 1))
  t.is(first.length, 1)
  t.is(again.length, 1)
})

test('what is read and written again says no more of its objects than before, and breaks no rule', (t) => {
  const once = encode([queues(ifOutQLen, [[3, 42]])])
  const twice = encode(decode(once.octets).batches)
  const thrice = encode(decode(twice.octets).batches)
  t.deepEqual(thrice.octets, twice.octets)
  t.is(twice.account.in, 2)
  t.is(twice.account.out, 2)
  t.deepEqual(accounts(decode(thrice.octets).ledger).records.out, 2)
  const violations: unknown[] = []
  const checker = createChecker((violation) => violations.push(violation))
  checker.push(thrice.octets)
  checker.finish()
  t.deepEqual(violations, [])
})

test('NDJSON says which objects values are of, and gives the same Messages back', (t) => {
  const odd = object(hex`06 03 2b 80 01`, 1)
  const builder = createRecordBuilder(
    createTemplate(300, [
      {element: ie.mibObjectValueCounter, length: 8, mib: object(hex`06 07 2b 06 01 02 01 01 03`)},
      {element: ie.egressInterface, length: 4},
      {element: ie.mibObjectValueCounter, length: 8, mib: object(ifInOctets, 1)},
      {element: ie.mibObjectValueCounter, length: 8},
      {element: ie.mibObjectValueGauge, length: 4, mib: odd},
    ]),
  )
  builder.add([1, 2, 3, 4, 5])
  const batch = builder.take({
    exportTime: 1,
    sequenceNumber: 0,
    observationDomainId: 1,
    offset: 0,
  })!
  const context = {ledger: new Ledger(), source: 'test', options: {}, argument: undefined}
  const encoder = ndjson.encoder!(context)
  const text = join(...encoder.push([batch]), ...encoder.end())
  const {_ipfix: notes} = JSON.parse(Buffer.from(text).toString()) as {
    _ipfix: Record<string, unknown>
  }
  t.deepEqual(notes.objects, {
    mibObjectValueCounter: ['1.3.6.1.2.1.1.3', '1.3.6.1.2.1.2.2.1.10[1]', null],
    // A number with a zero in front is not how it would be written.
    mibObjectValueGauge: '0x06032b8001[3]',
  })
  const decoder = ndjson.decoder!(context)
  const back = [...decoder.push(text), ...decoder.end()]
  t.deepEqual(encode(back).octets, encode([batch]).octets)
})

for (const wrong of ['1.3.x', '9.9', '1.3.6[x]', '0x2', 7]) {
  test(`an object told as ${JSON.stringify(wrong)} costs its line alone`, (t) => {
    const lines = [wrong, '1.3.6'].map((objects) =>
      JSON.stringify({mibObjectValueGauge: 1, _ipfix: {objects: {mibObjectValueGauge: objects}}}),
    )
    const ledger = new Ledger()
    const context = {ledger, source: 'test', options: {}, argument: undefined}
    const decoder = ndjson.decoder!(context)
    const batches = [...decoder.push(Buffer.from(`${lines.join('\n')}\n`)), ...decoder.end()]
    t.is(batches.length, 1)
    t.is(ledger.totalLost(), 1)
  })
}

needing(tools('tshark'))(
  'tshark reads which object a field has the value of',
  (t: ExecutionContext) => {
    const folder = mkdtempSync(joinPath(tmpdir(), 'darta-mib-'))
    t.teardown(() => rmSync(folder, {recursive: true}))
    const file = joinPath(folder, 'queues.ipfix')
    writeFileSync(file, encode([queues(ifOutQLen, [[3, 42]])]).octets)
    const fields = ['object_identifier', 'index_indicator', 'object_value_gauge']
    const {stdout, status} = spawnSync(
      'tshark',
      ['-r', file, '-T', 'fields', ...fields.flatMap((name) => ['-e', `cflow.mib_${name}`])],
      {encoding: 'utf8'},
    )
    t.is(status, 0)
    t.is(stdout.trim(), '06092b0601020102020115\t0x0000000000000001\t42')
  },
)
