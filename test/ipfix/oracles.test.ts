import {spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {VARIABLE} from '../../src/record/element.js'
import {createRecordBuilder} from '../../src/record/record-writer.js'
import {createTemplate} from '../../src/record/template.js'
import {ie} from '../../src/registry/lookup.js'
import {needing, superuser, tools} from '../support/needing.js'
import {numbers} from './generate.js'
import {difference, leavesOf, leavesOfDump} from './ipfix-dump.js'
import {decode, encode, recordsOf} from './octets.js'
import type {ExecutionContext} from 'ava'
import type {RecordBatch} from '../../src/record/batch.js'
import type {Value} from '../../src/record/value.js'

function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-oracle-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  return folder
}

function run(program: string, args: readonly string[]): string {
  const {stdout, status, stderr} = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: {...process.env, TZ: 'UTC'},
  })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
  return stdout
}

interface Flow {
  readonly v6: boolean
  readonly values: Value[]
}

const common = [
  ie.flowStartMilliseconds,
  ie.flowEndMilliseconds,
  ie.octetDeltaCount,
  ie.packetDeltaCount,
  ie.sourceTransportPort,
  ie.destinationTransportPort,
  ie.tcpControlBits,
  ie.protocolIdentifier,
  ie.ingressInterface,
]
const lengths = [8, 8, 8, 8, 2, 2, 2, 1, 4]
const templates = [false, true].map((v6) =>
  createTemplate(v6 ? 257 : 256, [
    ...common.map((element, i) => ({element, length: lengths[i]})),
    {element: v6 ? ie.sourceIPv6Address : ie.sourceIPv4Address, length: v6 ? 16 : 4},
    {element: v6 ? ie.destinationIPv6Address : ie.destinationIPv4Address, length: v6 ? 16 : 4},
    {element: ie.interfaceName, length: VARIABLE},
  ]),
)

/** Flows of all sizes, both IP versions, with names of every length from 0 to 299. */
function flows(n: number): Flow[] {
  const below = numbers(42)
  return Array.from({length: n}, (_, i) => {
    const v6 = below(3) === 0
    const start = 1_700_000_000_000 + below(1_000_000)
    const values: Value[] = [
      start,
      start + below(100_000),
      i % 50 === 0 ? 2 ** 40 + below(1000) : below(100_000) + 1,
      below(1000) + 1,
      below(65536),
      below(65536),
      below(512),
      [6, 17, 132][below(3)],
      below(2 ** 31),
      v6 ? `2001:db8::${(i + 1).toString(16)}` : `10.1.${i >> 8}.${i & 255}`,
      v6 ? `2001:db8:1::${(i + 7).toString(16)}` : `198.51.100.${i & 255}`,
      'e'.repeat(i % 300),
    ]
    return {v6, values}
  })
}

/** The flows in batches of up to ten of one kind, two seconds in all. */
function batchesOf(list: readonly Flow[]): RecordBatch[] {
  const batches: RecordBatch[] = []
  const builders = templates.map((template) => createRecordBuilder(template))
  const take = (which: number, i: number): void => {
    const batch = builders[which].take({
      exportTime: 1_700_001_100 + (i < list.length / 2 ? 0 : 1),
      sequenceNumber: 0,
      observationDomainId: 7,
      offset: 0,
    })
    if (batch !== undefined) batches.push(batch)
  }
  list.forEach(({v6, values}, i) => {
    const which = v6 ? 1 : 0
    builders[which].add(values)
    if (builders[which].count === 10) take(which, i)
  })
  take(0, list.length)
  take(1, list.length)
  return batches
}

for (const maxMessageOctets of [1400, 65535]) {
  needing(tools('tshark'))(
    `tshark reads the flows in Messages of up to ${maxMessageOctets} octets, every field`,
    (t) => {
      const batches = batchesOf(flows(700))
      const {octets} = encode(batches, {maxMessageOctets})
      const file = join(scratch(t), 'flows.ipfix')
      writeFileSync(file, octets)
      const fields = [
        'cflow.octets',
        'cflow.packets',
        'cflow.srcport',
        'cflow.dstport',
        'cflow.tcpflags',
        'cflow.protocol',
        'cflow.inputint',
      ]
      const more = ['cflow.srcaddr', 'cflow.srcaddrv6', 'cflow.if_name', '_ws.expert.message']
      const args = ['-n', '-r', file, '-T', 'fields', '-E', 'separator=;', '-E', 'aggregator=|']
      const text = run('tshark', [...args, ...[...fields, ...more].flatMap((f) => ['-e', f])])
      const columns = [...fields, ...more].map(() => [] as string[])
      for (const line of text.trim().split('\n')) {
        line.split(';').forEach((cell, i) => {
          if (cell !== '') columns[i].push(...cell.split('|'))
        })
      }
      const records = recordsOf(batches).map((r) => new Map(r.map(([e, v]) => [e.name, v])))
      const ours = (name: string): string[] =>
        records.map((r) => r.get(name)).flatMap((v) => (v === undefined ? [] : [`${v as number}`]))
      const decimal = (list: readonly string[]): string[] => list.map((v) => `${Number(v)}`)
      t.deepEqual(columns[0], ours('octetDeltaCount'))
      t.deepEqual(columns[1], ours('packetDeltaCount'))
      t.deepEqual(columns[2], ours('sourceTransportPort'))
      t.deepEqual(columns[3], ours('destinationTransportPort'))
      t.deepEqual(decimal(columns[4]), ours('tcpControlBits'))
      t.deepEqual(columns[5], ours('protocolIdentifier'))
      t.deepEqual(columns[6], ours('ingressInterface'))
      t.deepEqual(columns[7], ours('sourceIPv4Address'))
      t.deepEqual(columns[8], ours('sourceIPv6Address'))
      t.deepEqual(
        columns[9].join(),
        ours('interfaceName')
          .filter((name) => name !== '')
          .join(),
      )
      // Nothing is malformed, no Template missing, no sequence number unexpected.
      t.deepEqual(columns[10], [])
    },
  )
}

needing(tools('ipfixDump'))('libfixbuf reads the flows, every field', (t) => {
  const batches = batchesOf(flows(700))
  const file = join(scratch(t), 'flows.ipfix')
  writeFileSync(file, encode(batches).octets)
  const dump = leavesOfDump(run('ipfixDump', ['-i', file]))
  t.is(difference(recordsOf(batches).map(leavesOf), dump), undefined)
})

needing(superuser(), tools('unshare', 'ip', 'nfcapd', 'nfdump', 'stdbuf'))(
  'nfcapd and nfdump read the flows that come as datagrams',
  (t) => {
    const list = flows(700)
    const folder = scratch(t)
    const file = join(folder, 'flows.ipfix')
    const flowFolder = join(folder, 'flows')
    mkdirSync(flowFolder)
    const {messages} = encode(batchesOf(list), {maxMessageOctets: 1400, messagePerArray: true})
    writeFileSync(file, Buffer.concat(messages))
    const counts = messages.map(
      (_, i) => decode(Buffer.concat(messages.slice(0, i + 1))).records.out,
    )
    const program = fileURLToPath(new URL('nfcapd-run.js', import.meta.url))
    const {stderr} = spawnSync(
      'unshare',
      [
        '-n',
        'sh',
        '-c',
        'ip link set lo up && exec "$@"',
        'sh',
        process.execPath,
        program,
        file,
        flowFolder,
        counts.map((count, i) => count - (counts[i - 1] ?? 0)).join(),
      ],
      {encoding: 'utf8'},
    )
    t.is(stderr, '')
    const rows = JSON.parse(run('nfdump', ['-R', flowFolder, '-o', 'json'])) as Record<
      string,
      number | string
    >[]
    const theirs = rows.map((row) =>
      [
        row.first,
        row.last,
        row.in_bytes,
        row.in_packets,
        row.src_port,
        row.dst_port,
        row.proto,
        row.input_snmp,
        row.src4_addr ?? row.src6_addr,
        row.dst4_addr ?? row.dst6_addr,
      ].join(' '),
    )
    const iso = (ms: Value): string => new Date(ms as number).toISOString().slice(0, -1)
    const ours = list.map(
      ({values: [start, end, octets, packets, src, dst, , proto, input, a, b]}) =>
        [iso(start), iso(end), octets, packets, src, dst, proto, input, a, b]
          .map((value) => `${value as string}`)
          .join(' '),
    )
    t.deepEqual(theirs.sort(), ours.sort())
  },
)
