import test from 'ava'
import {spawnSync} from 'node:child_process'
import {existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {needing, root, superuser, tools} from '../support/needing.js'
import {cutMessages, udpCapture} from './messages.js'
import {
  differences,
  ipfixDumpReading,
  ipfixDumpRecords,
  nfdumpReading,
  ownReading,
  ownRecords,
  rowsOf,
  tsharkReading,
  withoutSctpPorts,
} from './peers.js'

/** All captures there are: our own, and the shared ones where those lie beside the project. */
const captures = ['test/fixtures', '../shared/fixtures/captures'].flatMap((folder) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder))
        .filter((name) => /\.(pcap|pcapng|cap)$/.test(name))
        .sort()
        .map((name) => join(root, folder, name))
    : [],
)

/** What one run makes of all of them, one after another. */
function exported(...options: string[]): Buffer {
  // The captures are of many years: without long timeouts every packet of an older one would be a Flow of its own.
  const args = ['capture', '-q', '-o', 'ipfix', '-T', '30000d,30000d', ...options]
  for (const capture of captures) args.push('-r', capture)
  const {status, stdout, stderr} = spawnSync(join(root, 'bin/darta'), args, {maxBuffer: 1 << 26})
  if (status !== 0) throw new Error(stderr.toString())
  return stdout
}

const place = mkdtempSync(join(tmpdir(), 'darta-interop-'))
process.on('exit', () => rmSync(place, {recursive: true, force: true}))

function saved(name: string, octets: Uint8Array): string {
  const path = join(place, name)
  writeFileSync(path, octets)
  return path
}

const modes: [name: string, options: string[]][] = [
  ['uniflows', []],
  ['biflows', ['--biflow']],
  ['flows without their tunnels', ['--precision', 'us', '--decap']],
]
for (const [name, options] of modes) {
  const stream = exported(...options)
  const biflow = options.includes('--biflow')
  const ownTable = ownReading(stream)
  const own = rowsOf(ownTable)
  const file = saved(`${options.join('')}.ipfix`, stream)
  const capture = saved(`${options.join('')}.pcap`, udpCapture(cutMessages(stream)))

  test(`there are ${name} to compare`, (t) => {
    t.true(own.length > 600)
  })

  needing(tools('tshark'))(`tshark reads our ${name} in a file and finds nothing wrong`, (t) => {
    const {table, complaints} = tsharkReading(file, biflow)
    t.deepEqual(differences(rowsOf(table), own), [])
    t.is(complaints, '')
  })

  needing(tools('tshark'))(`tshark reads our ${name} off the wire and finds nothing wrong`, (t) => {
    const {table, complaints} = tsharkReading(capture, biflow)
    t.deepEqual(differences(rowsOf(table), own), [])
    t.is(complaints, '')
  })

  needing(tools('ipfixDump'))(`ipfixDump reads our ${name} and warns of nothing`, (t) => {
    const {table, warnings} = ipfixDumpReading(file)
    t.deepEqual(differences(rowsOf(table), own), [])
    t.is(warnings, '')
  })

  needing(tools('nfcapd', 'nfdump', 'unshare'), superuser())(
    `nfcapd takes our ${name} over UDP and nfdump tells the same`,
    (t) => {
      const {table, log} = nfdumpReading(stream)
      // nfdump 1.7.1 takes icmpTypeCode for the destination port of all that is neither TCP nor UDP.
      const [theirs, ours] = [table, ownTable].map((one) => rowsOf(withoutSctpPorts(one)))
      t.deepEqual(differences(theirs, ours), [])
      t.regex(log, /Bad Packets: 0/)
    },
  )
}

needing(tools('ipfixDump'))('ipfixDump reads our Packet Reports and warns of nothing', (t) => {
  const stream = exported('--emit', 'packets')
  const {records, warnings} = ipfixDumpRecords(saved('packets.ipfix', stream))
  t.is(warnings, '')
  const theirs = records
    .filter((record) => !record.has('_scope'))
    .map(
      (record) =>
        `${record.get('ipTotalLength') ?? ''} ${record.get('ipHeaderPacketSection') ?? ''}`,
    )
  const ours = ownRecords(stream).map((record) => {
    const values = new Map(record.map(([{name}, value]) => [name, value]))
    const section = values.get('ipHeaderPacketSection') as Uint8Array
    return `${values.get('ipTotalLength') as number} len: ${section.length}`
  })
  t.true(ours.length > 2000)
  t.is(theirs.join('\n'), ours.join('\n'))
})

needing(tools('ipfixDump'))('ipfixDump reads our Options Records as they are meant', (t) => {
  const {records} = ipfixDumpRecords(saved('options.ipfix', exported('--decap')))
  const scoped = records.filter((record) => record.has('_scope'))
  const of = (name: string): Map<string, string>[] => scoped.filter((record) => record.has(name))
  t.is(of('flowKeyIndicator').length, 2)
  t.is(of('exportedFlowRecordTotalCount').length, 1)
  const names = new Set(of('informationElementName').map((r) => r.get('informationElementName')))
  t.deepEqual(
    [...names].map((name) => name?.replace(/^\(len: \d+\) /, '')),
    ['dartaTunnelDepth'],
  )
  const data = records.length - scoped.length
  const told = of('exportedFlowRecordTotalCount').reduce(
    (sum, record) => sum + Number(record.get('exportedFlowRecordTotalCount')),
    0,
  )
  t.is(told, data)
})
