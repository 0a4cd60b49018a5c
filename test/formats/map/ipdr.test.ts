import test from 'ava'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import ipdr from '../../../src/formats/ipdr.js'
import {Ledger} from '../../../src/record/ledger.js'
import {bash} from '../../support/darta.js'
import {needing, root, shared} from '../../support/needing.js'
import {plainRecords, type Plain} from '../../support/results.js'

function read(text: string, size = Infinity): {records: Plain[]; line: string; fields: string} {
  const octets = new TextEncoder().encode(text)
  const ledger = new Ledger()
  const decoder = ipdr.decoder({ledger, source: 'test'})
  const batches = []
  for (let at = 0; at < octets.length; at += size)
    batches.push(...decoder.push(octets.slice(at, at + size)))
  batches.push(...decoder.end())
  const [line, fields] = ledger.lines()
  return {records: plainRecords(batches), line, fields}
}

const document = `<?xml version="1.0"?><i:IPDRDoc xmlns:i="urn:x" version="3.1">
<i:IPDR xsi:type="A&amp;B"><i:ipAddress>192.0.2.1</i:ipAddress><call><from>&lt;Zo&#xeb;&gt;</from><to><![CDATA[<ü>]]></to></call>
<none/><!-- <IPDR> --></i:IPDR>
<i:IPDR><a>1</b></i:IPDR>
<i:IPDR><startTime>2023-11-14T22:13:20.5Z</startTime><ipAddress>nowhere</ipAddress></i:IPDR>
<i:IPDRDoc.End count="4" endTime="x"/></i:IPDRDoc>`

test('each IPDR of a document is a record, however its octets come', (t) => {
  for (const size of [1, 13, Infinity]) {
    const {records, line, fields} = read(document, size)
    t.deepEqual(records, [
      {type: 'A&B', sourceIPv4Address: '192.0.2.1', callFrom: '<Zoë>', callTo: '<ü>'},
      {flowStartMilliseconds: 1_700_000_000_500},
    ])
    const at = Buffer.byteLength(document.slice(0, document.indexOf('<i:IPDR><a>')))
    t.true(line.includes(`(syntax 1 from octet ${at})`), line)
    t.regex(
      line,
      /^ipdr: 3 records in, 2 out, lost 1 \(syntax 1 from octet \d+\), missing 1 \(document-count 1\)/,
    )
    t.regex(fields, /7 fields in, 5 out, skipped 1 \(empty 1\), lost 1 \(value-of-ipAddress 1 /)
  }
})

test('a document that ends in the middle gives what is whole of it', (t) => {
  const first = document.indexOf('</i:IPDR>') + '</i:IPDR>'.length
  const start = document.indexOf('<i:IPDR ')
  for (let cut = 0; cut < document.length; cut++) {
    const {records, line} = read(document.slice(0, cut))
    if (cut >= first) t.is(records[0]?.sourceIPv4Address, '192.0.2.1')
    else if (cut > start + 8) t.regex(line, /1 records in, 0 out, lost 1 \((truncated|syntax) 1/)
    else t.is(records.length, 0)
  }
})

needing(shared('fixtures/ipdr'))(
  'all that the VoIP document of IPDR says is in records',
  async (t) => {
    const file = join(root, '../shared/fixtures/ipdr/voip-doc.xml')
    const {code, stdout, stderr} = await bash(
      t,
      `darta collect --no-losses -r ${file} | darta print -q -o ndjson`,
    )
    t.is(code, 0, stderr)
    t.regex(stderr, /ipdr: 30 records in, 30 out\n/)
    const records = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((record) => !('_scope' in record))
    t.is(records.length, 30)
    const named: Record<string, string> = {
      subscriberID: 'userName',
      ipAddress: 'sourceIPv4Address',
      startTime: 'flowStartMilliseconds',
      endTime: 'flowEndMilliseconds',
      IPDRCreationTime: 'ipdrCreationTime',
    }
    let n = -1
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      if (line.includes('<IPDR ')) n++
      const [, name, text] = /^<(\w+)>([^<]+)<\/\1>$/.exec(line) ?? []
      if (name !== undefined) t.is(String(records[n][named[name] ?? name]), text, `${name} of ${n}`)
    }
    t.is(n, 29)
  },
)
