import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import type ndjsonPackage from 'ndjson'
import ndjson from '../../src/formats/ndjson.js'
import type {RecordBatch} from '../../src/record/batch.js'
import {isList} from '../../src/record/element.js'
import {readRecord} from '../../src/record/readers.js'
import {hexText, type RecordValue} from '../../src/record/value.js'
import {decode as decodeIpfix, encode as encodeIpfix} from '../ipfix/octets.js'
import {decodeCase, fixtures, ipfixCases, needsTshark, type Truth} from '../ipfix/fixtures.js'
import {needing, shared, tools} from '../support/needing.js'
import {native} from '../support/native-addon.js'
import {decode, encode, formats, lines, require} from './coding.js'

const cases = ipfixCases()
/** Tests of a case say why they skip. */
function withCase(truth: Truth): ReturnType<typeof needing> {
  return needing(shared('fixtures'), ...(needsTshark(truth) ? [tools('tshark')] : []))
}
if (cases.length === 0)
  needing(shared('fixtures/truth.json'))('exports of real Exporters keep everything', (t) =>
    t.fail(),
  )

for (const truth of cases) {
  withCase(truth)(
    `${truth.name}: IPFIX, NDJSON, IPFIX, NDJSON: both are the same as before`,
    (t) => {
      // Ours from the start, so that Template IDs and Messages are as our encoder makes them.
      const first = encodeIpfix(decodeCase(truth).batches).octets
      const batches = decodeIpfix(first).batches
      const text = encode(ndjson, batches)
      const read = decode(ndjson, text.octets)
      t.is(read.account.totalLost(), 0, read.account.line())
      const second = encodeIpfix(read.batches).octets
      t.true(Buffer.from(second).equals(first), `${second.length} octets, not ${first.length}`)
      t.is(encode(ndjson, decodeIpfix(second).batches).text, text.text)
    },
  )

  withCase(truth)(`${truth.name}: NDJSON read and written again is the same text`, (t) => {
    const {batches} = decodeCase(truth)
    for (const argument of [undefined, 'all']) {
      const text = encode(ndjson, batches, {argument})
      t.is(
        text.account.out,
        batches.reduce((sum, {count}) => sum + count, 0),
      )
      t.is(encode(ndjson, decode(ndjson, text.octets).batches, {argument}).text, text.text)
    }
  })

  needing(
    shared('fixtures'),
    native,
    ...(needsTshark(truth) ? [tools('tshark')] : []),
  )(`${truth.name}: the native kernel writes what the plain writer writes`, (t) => {
    const {batches} = decodeCase(truth)
    for (const format of Object.values(formats)) {
      t.is(encode(format, batches, {native: true}).text, encode(format, batches).text)
    }
  })

  withCase(truth)(
    `${truth.name}: the lines are those that the ndjson package makes of the values`,
    async (t) => {
      const {batches} = decodeCase(truth)
      const objects: Record<string, unknown>[] = []
      const ours: string[] = []
      const written = lines(batches, {argument: 'bare'})
      let at = 0
      for (const batch of batches) {
        for (let i = 0; i < batch.count; i++, at++) {
          const object = naiveObject(batch, i)
          if (object === undefined) continue
          objects.push(object)
          ours.push(written[at])
        }
      }
      t.deepEqual(ours, await stringified(objects))
    },
  )
}

/** The record as an object of plain values; undefined where JSON.stringify cannot spell them. */
function naiveObject(batch: RecordBatch, index: number): Record<string, unknown> | undefined {
  const {scopeCount} = batch.template
  const record: RecordValue = readRecord(batch, index)
  const object: Record<string, unknown> = {}
  const repeated = new Set<string>()
  for (const [element, value] of record) {
    let json: unknown = value
    if (isList(element.type) || typeof value === 'bigint') return undefined
    if (value instanceof Uint8Array) {
      if (element.type !== 'octetArray') return undefined
      json = hexText(value)
    } else if (element.type === 'dateTimeSeconds') {
      json = new Date(Number(value) * 1000).toISOString().replace('.000Z', 'Z')
    } else if (element.type === 'dateTimeMilliseconds') {
      json = new Date(Number(value)).toISOString()
    } else if (typeof value === 'string') {
      json = value.replace(/\0+$/, '')
    }
    const registered = element.enterpriseNumber === 0 || element.enterpriseNumber === 29305
    if (!registered && element.type === 'octetArray' && !/^\d/.test(element.name)) return undefined
    if (!(element.name in object)) object[element.name] = json
    else if (repeated.has(element.name)) (object[element.name] as unknown[]).push(json)
    else {
      object[element.name] = [object[element.name], json]
      repeated.add(element.name)
    }
  }
  if (scopeCount > 0) object._scope = record.slice(0, scopeCount).map(([{name}]) => name)
  return object
}

async function stringified(objects: readonly object[]): Promise<string[]> {
  const {stringify} = require('ndjson') as typeof ndjsonPackage
  let text = ''
  await pipeline(Readable.from(objects), stringify(), async (source: AsyncIterable<string>) => {
    for await (const chunk of source) text += chunk
  })
  return text === '' ? [] : text.trimEnd().split('\n')
}

/**
 * Cases in which nfdump keeps what the records have: 32-bit or 64-bit delta counters and times in milliseconds. Of the others
 * it drops records, or shows zeros for elements that it does not know.
 */
const nfdumpCases = [
  'gen__pmacct-ipfix-mixed',
  'gen__softflowd-ipfix-biflow-mixed',
  'gen__softflowd-ipfix-example2',
  'ipfixcol__02-odid0',
  'ipfixcol__02-odid4',
  'ipfixcol__03-odid0-a',
  'ipfixcol__03-odid0-b',
  'ipfixcol__04-odid256_512',
  'ipfixcol__missing-template-258',
  'logstash__ipfix-from-ixia-something-something',
  'logstash__ipfix-openbsd-pflow',
  'swisscom__100-IPFIXv10-CISCO',
]
for (const truth of cases.filter(({name}) => nfdumpCases.includes(name))) {
  const expected = join(fixtures, 'expected', `${truth.name}.nfdump.json`)
  withCase(truth)(
    `${truth.name}: addresses, ports, counters and times are those that nfdump read`,
    (t) => {
      const rows = JSON.parse(readFileSync(expected, 'utf8')) as Record<string, unknown>[]
      const theirs = rows.map((row) =>
        [
          row.src4_addr ?? row.src6_addr,
          row.dst4_addr ?? row.dst6_addr,
          row.proto,
          row.in_packets,
          row.in_bytes,
          row.first,
          row.last,
        ].join(' '),
      )
      const ours = lines(decodeCase(truth).batches)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((record) => record._scope === undefined)
        .map((record) =>
          [
            record.sourceIPv4Address ?? record.sourceIPv6Address,
            record.destinationIPv4Address ?? record.destinationIPv6Address,
            record.protocolIdentifier,
            record.packetDeltaCount,
            record.octetDeltaCount,
            String(record.flowStartMilliseconds).slice(0, -1),
            String(record.flowEndMilliseconds).slice(0, -1),
          ].join(' '),
        )
      t.deepEqual(ours.sort(), theirs.sort())
    },
  )
}
