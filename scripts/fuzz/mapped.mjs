// Text and binary records of formats that a mapping describes, and IPDR documents: however the octets come, the same records
// come of them, and every line and field is in the account.
import {mutateOctets} from './random.mjs'
import {built, checkBalance, promise} from './support.mjs'

const octetsOf = (text) => new TextEncoder().encode(text)

const fields = {
  src: 'sourceIPv4Address',
  n: {element: 'octetDeltaCount', unit: 'Ki'},
  proto: {element: 'protocolIdentifier', names: {tcp: 6}},
  at: {element: 'flowStartMilliseconds', time: 'epoch'},
  up: 'dataRecordsReliability',
  mac: 'sourceMacAddress',
  left: null,
}
const binary = {
  src: {at: 0, octets: 4, as: 'address', element: 'sourceIPv4Address'},
  n: {at: 4, octets: 8, as: 'signed', element: 'octetDeltaCount'},
  f: {at: 12, octets: 8, as: 'float', element: 'samplingProbability'},
  text: {at: 20, octets: 6, as: 'text', element: 'userName'},
}

/** By the name behind `mapped-`: the format, its mapping, seeds. */
const cases = {
  csv: [
    'map',
    {format: 'csv', comment: '#', absent: ['-'], fields},
    [
      'src,n,proto,at,up,mac,left,x\n192.0.2.1,1.5,tcp,1700000000.5,true,02:00:5e:10:00:01,q,"a ""b"",\nc"\n-,-,17,,no,,,\n# r\n',
    ],
  ],
  kv: [
    'map',
    {format: 'kv', fields},
    ['src=192.0.2.1 n=7 proto=tcp user="a \\"b\\"" at=1.25\r\nup=false x=ü\n\n'],
  ],
  jsonl: [
    'map',
    {format: 'jsonl', fields},
    [
      '{"src":-1062731277,"n":9223372036854775807,"a":{"b":[1,{}],"__proto__":2},"up":true,"mac":null}\n{}\n[]\n',
    ],
  ],
  binary: [
    'map',
    {format: 'binary', recordOctets: 28, endian: 'little', fields: binary},
    ['abcd01234567ABCDEFGHuser\0\0..', 'abcd01234567ABCDEFGHuser\0\0..zzzz'],
  ],
  ipdr: [
    'ipdr',
    undefined,
    [
      '<?xml version="1.0"?><i:IPDRDoc xmlns:i="u"><i:IPDR xsi:type="T&amp;U"><i:ipAddress>192.0.2.1</i:ipAddress><a><b>&#xeb;ü</b>' +
        '<c/><![CDATA[<x>]]></a><!-- <IPDR> --></i:IPDR><i:IPDR/><IPDR><startTime>2023-11-14T22:13:20Z</startTime></IPDR>' +
        '<IPDRDoc.End count="3"/></i:IPDRDoc>',
    ],
  ],
}

/** IPDR documents in XDR, of both versions, with and without the mark in front of records. */
async function xdrDocuments() {
  const w = await built('test/support/ipdr-writer.js')
  const fields = [
    {name: 'subscriberId', type: 'string'},
    {name: 'n', type: 'int'},
    {name: 'big', type: 'unsignedLong'},
    {name: 'octets', type: 'hexBinary'},
  ]
  const values = ['anna \u00e9', -1, 1n << 60n, Buffer.from('c0ffee', 'hex')]
  const structure = Buffer.concat([
    ...[w.u32(1), w.u32(2), w.text('S'), w.u32(2)],
    ...[w.text('call'), w.u32(0x80000000), w.u32(1), w.text('from'), w.u32(0x827)],
    ...[w.text('legs'), w.u32(0xc0000000), w.u32(1), w.u32(9), w.text('n'), w.u32(0x2b)],
    ...[w.u32(2), w.u32(2), w.u32(0xffffffff), w.counted(Buffer.from([192, 0, 2, 1]))],
    ...[w.u32(2), Buffer.from([1, 2])],
  ])
  return [3, 4, 4].map((version, i) => {
    const document = {version}
    return new Uint8Array(
      Buffer.concat([
        w.documentHeader(document),
        w.documentDescriptor(document, 1, 'T', fields),
        w.documentRecord(document, 1, fields, values, i < 2),
        ...(i === 1 ? [structure] : []),
        w.documentRecord(document, 1, fields, values, i < 2),
        w.documentEnd(3),
      ]),
    )
  })
}

export const mappedNames = Object.keys(cases).map((name) => `mapped-${name}`)

async function target([name, mapping, texts]) {
  const {default: format} = await built(`src/formats/${name}.js`)
  const {Ledger} = await built('src/record/ledger.js')
  const {readRecord} = await built('src/record/readers.js')
  const decode = (parts) => {
    const ledger = new Ledger()
    const argument = mapping === undefined ? undefined : JSON.stringify(mapping)
    const decoder = format.decoder({ledger, source: 'fuzz', argument})
    const records = []
    const take = (batches) => {
      for (const batch of batches) {
        for (let i = 0; i < batch.count; i++) {
          records.push(readRecord(batch, i).map(([element, value]) => `${element.name}=${value}`))
        }
      }
    }
    for (const part of parts) take(decoder.push(part))
    take(decoder.end())
    checkBalance(ledger)
    promise(
      ledger.stages[0].out === records.length,
      `${records.length} records, ${ledger.stages[0].line()}`,
    )
    return JSON.stringify([records, ledger.lines()])
  }
  return {
    seeds: [...texts.map(octetsOf), ...(name === 'ipdr' ? await xdrDocuments() : [])],
    mutate(random, seed, others) {
      let octets = seed
      for (let n = 1 + random.below(4); n > 0; n--) octets = mutateOctets(random, octets, others)
      return octets
    },
    units: (octets) => Math.max(1, octets.length / 64),
    run(random, octets) {
      const step = random.of([1, 7, 64, 1400])
      const parts = []
      for (let at = 0; at < octets.length; at += step) parts.push(octets.slice(at, at + step))
      const [whole, cut] = [decode([octets.slice()]), decode(parts)]
      promise(whole === cut, `cut otherwise:\n${whole}\n${cut}`)
    },
  }
}

export const mappedTargets = Object.fromEntries(
  Object.entries(cases).map(([name, one]) => [`mapped-${name}`, () => target(one)]),
)
