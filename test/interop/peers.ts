/* What other programs read in our IPFIX, as one table: 5-tuple to [records, packets, octets]. */
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {readRecord} from '../../src/record/readers.js'
import type {RecordValue} from '../../src/record/value.js'
import {root} from '../support/needing.js'

export type FlowTable = Map<string, [records: number, packets: number, octets: number]>

/** Ports mean something else to each program where the protocol has none. */
const withPorts = new Set([6, 17, 132])

export interface FlowRow {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
  readonly packets: number
  readonly octets: number
}

export function enter(table: FlowTable, row: FlowRow): void {
  const {source, destination, protocol, packets, octets} = row
  const ports = withPorts.has(protocol) ? [row.sourcePort, row.destinationPort] : [0, 0]
  const key = [canonical(source), canonical(destination), protocol, ...ports].join(' ')
  const known = table.get(key) ?? [0, 0, 0]
  table.set(key, [known[0] + 1, known[1] + packets, known[2] + octets])
}

/** Programs write IPv6 addresses in many ways; a URL has one. */
function canonical(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
}

/** The same table where the ports of SCTP do not count. */
export function withoutSctpPorts(table: FlowTable): FlowTable {
  const merged: FlowTable = new Map()
  for (const [key, sums] of table) {
    const plain = key.replace(/ 132 \d+ \d+$/, ' 132 0 0')
    const known = merged.get(plain) ?? [0, 0, 0]
    merged.set(plain, [known[0] + sums[0], known[1] + sums[1], known[2] + sums[2]])
  }
  return merged
}

/** Rows in the order of their keys, so that a difference is seen at once. */
export function rowsOf(table: FlowTable): string[] {
  return [...table].map(([key, sums]) => `${key}: ${sums.join(' ')}`).sort()
}

/** Rows that only one side has; all of both would tell nobody anything. */
export function differences(theirs: readonly string[], ours: readonly string[]): string[] {
  const [a, b] = [new Set(theirs), new Set(ours)]
  return [
    ...theirs.filter((row) => !b.has(row)).map((row) => `theirs ${row}`),
    ...ours.filter((row) => !a.has(row)).map((row) => `ours   ${row}`),
  ]
}

function run(
  program: string,
  args: readonly string[],
  input?: Uint8Array,
): {out: string; err: string} {
  const {stdout, stderr, status, error} = spawnSync(program, args, {
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      TZ: 'UTC',
      LC_ALL: 'C.UTF-8',
      PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
    },
    ...(input && {input}),
  })
  if (error !== undefined) throw error
  const [out, err] = [stdout.toString(), stderr.toString()]
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')}: exit ${status ?? 'by a signal'}: ${err}`)
  return {out, err}
}

/** Directions of a record: of a Biflow the reverse one as a row of its own, if it saw packets. */
function* directions(
  get: (name: string) => string | number | undefined,
): Generator<FlowRow, undefined> {
  const text = (name: string): string | undefined => get(name)?.toString()
  const number = (name: string): number => Number(get(name) ?? 0)
  const row = {
    source: text('sourceIPv4Address') ?? text('sourceIPv6Address') ?? '',
    destination: text('destinationIPv4Address') ?? text('destinationIPv6Address') ?? '',
    protocol: number('protocolIdentifier'),
    sourcePort: number('sourceTransportPort'),
    destinationPort: number('destinationTransportPort'),
    packets: number('packetDeltaCount'),
    octets: number('octetDeltaCount'),
  }
  yield row
  if (number('reversePacketDeltaCount') > 0) {
    yield {
      ...row,
      source: row.destination,
      destination: row.source,
      sourcePort: row.destinationPort,
      destinationPort: row.sourcePort,
      packets: number('reversePacketDeltaCount'),
      octets: number('reverseOctetDeltaCount'),
    }
  }
}

/** All Data Records of a stream as darta reads it; Options Records are left out. */
export function ownRecords(octets: Uint8Array): RecordValue[] {
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  const records: RecordValue[] = []
  for (const batch of [...decoder.push(octets), ...decoder.end()]) {
    if (batch.template.scopeCount > 0) continue
    for (let i = 0; i < batch.count; i++) records.push(readRecord(batch, i))
  }
  return records
}

export function ownReading(octets: Uint8Array): FlowTable {
  const table: FlowTable = new Map()
  for (const record of ownRecords(octets)) {
    const values = new Map(record.map(([{name}, value]) => [name, value]))
    for (const row of directions((name) => values.get(name) as string | number | undefined)) {
      enter(table, row)
    }
  }
  return table
}

/** `complaints`: frames of which tshark says that they are malformed or worth a warning. */
export function tsharkReading(
  file: string,
  biflow: boolean,
): {table: FlowTable; complaints: string} {
  const fields = ['srcaddr', 'srcaddrv6', 'dstaddr', 'dstaddrv6', 'protocol', 'srcport', 'dstport']
  const counters = ['packets', 'octets']
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'separator=|']
  for (const field of [...fields, ...counters]) args.push('-e', `cflow.${field}`)
  const {out} = run('tshark', args)
  const table: FlowTable = new Map()
  for (const line of out.split('\n')) {
    const columns = line.split('|').map((cell) => (cell === '' ? [] : cell.split(',')))
    if (columns.length < 9) continue
    const [src4, src6, dst4, dst6, protocol, srcport, dstport, packets, octets] = columns
    const [source, destination] = src4.length > 0 ? [src4, dst4] : [src6, dst6]
    for (const [i, address] of source.entries()) {
      const step = biflow ? 2 : 1
      const row = {
        source: address,
        destination: destination[i],
        protocol: Number(protocol[i]),
        sourcePort: Number(srcport[i]),
        destinationPort: Number(dstport[i]),
        packets: Number(packets[step * i]),
        octets: Number(octets[step * i]),
      }
      enter(table, row)
      if (!biflow || packets[step * i + 1] === '0') continue
      enter(table, {
        ...row,
        source: row.destination,
        destination: row.source,
        sourcePort: row.destinationPort,
        destinationPort: row.sourcePort,
        packets: Number(packets[step * i + 1]),
        octets: Number(octets[step * i + 1]),
      })
    }
  }
  const {out: complaints} = run('tshark', ['-n', '-r', file, '-Y', '_ws.malformed or _ws.expert'])
  return {table, complaints}
}

/** Records as ipfixDump prints them: name to value; `warnings` is what it says besides. */
export function ipfixDumpRecords(file: string): {records: Map<string, string>[]; warnings: string} {
  const {out, err} = run('ipfixDump', ['--rfc5610', '--in', file])
  const records: Map<string, string>[] = []
  for (const block of out.split(/^--- /m)) {
    if (!block.startsWith('data record')) continue
    const record = new Map<string, string>()
    for (const [, scope, name, value] of block.matchAll(
      /^\t\([\d/]+\)\s+(\(S\))?\s*(\S+) : (.*)$/gm,
    )) {
      if (scope !== undefined) record.set('_scope', name)
      record.set(name, value)
    }
    records.push(record)
  }
  return {records, warnings: err}
}

export function ipfixDumpReading(file: string): {table: FlowTable; warnings: string} {
  const {records, warnings} = ipfixDumpRecords(file)
  const table: FlowTable = new Map()
  for (const record of records) {
    if (record.has('_scope')) continue
    for (const row of directions((name) => record.get(name))) enter(table, row)
  }
  return {table, warnings}
}

interface NfdumpRecord {
  readonly proto: number
  readonly src4_addr?: string
  readonly dst4_addr?: string
  readonly src6_addr?: string
  readonly dst6_addr?: string
  readonly src_port?: number
  readonly dst_port?: number
  readonly in_packets: number
  readonly in_bytes: number
  readonly out_packets?: number
  readonly out_bytes?: number
}

/** What nfdump tells of all files that nfcapd wrote to a folder. */
export function nfdumpRecords(folder: string): NfdumpRecord[] {
  const files = readdirSync(folder).filter((name) => /^nfcapd\.\d+$/.test(name))
  return files.flatMap((file) => {
    const {out} = run('nfdump', ['-q', '-r', join(folder, file), '-o', 'json'])
    // Objects with commas between, but no list around them.
    const text = out
      .replace(/^\[|\]\s*$/g, '')
      .trim()
      .replace(/,$/, '')
    return JSON.parse(`[${text}]`) as NfdumpRecord[]
  })
}

/** The forward direction of a record. */
export function nfdumpRow(record: NfdumpRecord): FlowRow {
  return {
    source: record.src4_addr ?? record.src6_addr ?? '',
    destination: record.dst4_addr ?? record.dst6_addr ?? '',
    protocol: record.proto,
    sourcePort: record.src_port ?? 0,
    destinationPort: record.dst_port ?? 0,
    packets: record.in_packets,
    octets: record.in_bytes,
  }
}

/** nfcapd on loopback of a network namespace of its own gets the file's Messages over UDP; then nfdump tells. */
export function nfdumpReading(octets: Uint8Array): {table: FlowTable; log: string} {
  const place = mkdtempSync(join(tmpdir(), 'darta-nfdump-'))
  try {
    writeFileSync(join(place, 'in.ipfix'), octets)
    // 4739 is 1283 in hex. nfcapd is done when its socket holds nothing any more.
    const script = `
      ip link set lo up
      nfcapd -w '${place}' -b 127.0.0.1 -p 4739 -t 3600 -B 4000000 >nfcapd.log 2>&1 & pid=$!
      until grep -q ':1283 ' /proc/net/udp; do kill -0 $pid || exit 1; done
      '${process.execPath}' '${join(root, 'build/test/interop/send-messages.js')}' in.ipfix 4739
      while grep ':1283 ' /proc/net/udp | grep -qv ':00000000 '; do :; done
      kill -TERM $pid; wait $pid; cat nfcapd.log`
    const {out: log} = run('unshare', ['-n', 'sh', '-c', `cd '${place}'; ${script}`])
    const table: FlowTable = new Map()
    for (const record of nfdumpRecords(place)) {
      const row = nfdumpRow(record)
      enter(table, row)
      if ((record.out_packets ?? 0) === 0) continue
      enter(table, {
        ...row,
        source: row.destination,
        destination: row.source,
        sourcePort: row.destinationPort,
        destinationPort: row.sourcePort,
        packets: record.out_packets ?? 0,
        octets: record.out_bytes ?? 0,
      })
    }
    return {table, log}
  } finally {
    rmSync(place, {recursive: true, force: true})
  }
}
