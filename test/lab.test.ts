import test from 'ava'
import {execFileSync, spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {createDecoder} from '../src/ipfix/decoder.js'
import {Ledger} from '../src/record/ledger.js'
import {readRecord} from '../src/record/readers.js'
import {needing, root, tools} from './support/needing.js'

const capture = join(root, 'test/fixtures/lab.pcap')
const truth = readFileSync(join(root, 'test/fixtures/lab.tsv'), 'utf8')

/** Packets and octets of each 5-tuple, spelled as in lab.tsv, of all Flow Records that a capture gives. */
function metered(...args: string[]): {table: string; records: number} {
  const {stdout, stderr, status} = spawnSync(
    join(root, 'bin/darta'),
    ['capture', '-r', capture, '-o', 'ipfix', ...args],
    {maxBuffer: 1 << 26},
  )
  if (status !== 0) throw new Error(String(stderr))
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  const batches = [...decoder.push(stdout), ...decoder.end()]
  const sums = new Map<string, [number, number]>()
  let records = 0
  for (const batch of batches) {
    if (batch.template.scopeCount > 0) continue
    for (let index = 0; index < batch.count; index++) {
      const record = new Map(
        readRecord(batch, index).map(([element, value]) => [element.name, value]),
      )
      const number = (name: string): number => Number(record.get(name) ?? 0)
      const text = (...names: string[]): string =>
        names.map((name) => record.get(name)).find((value) => typeof value === 'string') ?? ''
      const key = [
        text('sourceIPv4Address', 'sourceIPv6Address'),
        text('destinationIPv4Address', 'destinationIPv6Address'),
        ...['protocolIdentifier', 'sourceTransportPort', 'destinationTransportPort'].map(number),
      ].join('\t')
      const [packets, octets] = sums.get(key) ?? [0, 0]
      sums.set(key, [packets + number('packetDeltaCount'), octets + number('octetDeltaCount')])
      records++
    }
  }
  const rows = [...sums.keys()].sort().map((key) => [key, ...(sums.get(key) ?? [])].join('\t'))
  return {table: [truth.split('\n')[0], ...rows, ''].join('\n'), records}
}

needing(tools('tshark'))('lab.tsv is what tshark counts in lab.pcap', (t) => {
  const script = join(root, 'scripts/lab-truth.mjs')
  t.is(execFileSync(process.execPath, [script, capture], {encoding: 'utf8'}), truth)
})

test('capture counts packets and octets of every 5-tuple of the lab as tshark does', (t) => {
  t.is(metered().table, truth)
})

test('time limits cut Flows of the lab into more records with the same sums', (t) => {
  const cut = metered('-T', '5,1')
  t.is(cut.table, truth)
  t.true(cut.records > metered().records)
})
