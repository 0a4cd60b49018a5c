/* Real Collectors take what ipfix-export sends: their totals must be those of the records. */
import {execFileSync, spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import test, {type ExecutionContext} from 'ava'
import {tcpCollector, udpCollector} from '../support/collector.js'
import {bin, darta} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing, root, superuser, tools} from '../support/needing.js'
import {udpCapture} from './messages.js'
import {
  differences,
  enter,
  ipfixDumpReading,
  nfdumpRecords,
  nfdumpRow,
  ownReading,
  rowsOf,
  withoutSctpPorts,
  type FlowTable,
} from './peers.js'

const place = mkdtempSync(join(tmpdir(), 'darta-collectors-'))
process.on('exit', () => rmSync(place, {recursive: true, force: true}))
const input = join(place, 'lab.ipfix')
const lab = join(root, 'test/fixtures/lab.pcap')
execFileSync(bin, ['capture', '-q', '-r', lab, '-w', input])
const all = ownReading(readFileSync(input))
/** The packets themselves, which sFlow carries as well as Flows. */
const packets = join(place, 'packets.ipfix')
execFileSync(bin, ['capture', '-q', '-r', lab, '--emit', 'packets', '-w', packets])
/** What NetFlow 5 has room for. */
const ipv4: FlowTable = new Map([...all].filter(([key]) => !key.includes(':')))

/** In a network namespace of its own: starts a Collector, sends, and ends it when it has taken all. */
function collected(start: string, as: string, finish: string, file = input): string {
  // 4739 is 1283 in hex.
  const script = `
    ip link set lo up
    ${start} & pid=$!
    until grep -q ':1283 ' /proc/net/udp /proc/net/udp6; do kill -0 $pid || exit 1; sleep 0.05; done
    '${bin}' ipfix-export -q -r '${file}' --as ${as} --rate 20k udp://127.0.0.1:4739
    while grep -h ':1283 ' /proc/net/udp /proc/net/udp6 | grep -qv ':00000000 '; do sleep 0.05; done
    ${finish}
    kill -INT $pid; wait $pid`
  const {stdout, stderr, status} = spawnSync('unshare', ['-n', 'sh', '-c', script], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    env: {...process.env, TZ: 'UTC', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`},
  })
  if (status !== 0 && status !== 130) throw new Error(`status ${status ?? 'none'}: ${stderr}`)
  return stdout + stderr
}

/** The command that starts a collector of pmacct, which writes what it counted to a file of the folder. */
function pmacctCollector(folder: string, program: string, lines: readonly string[]): string {
  writeFileSync(
    join(folder, 'conf'),
    [
      'daemonize: false',
      `${program}_ip: 127.0.0.1`,
      `${program}_port: 4739`,
      ...lines,
      'aggregate: src_host,dst_host,src_port,dst_port,proto',
      'plugins: print',
      'print_output: csv',
      `print_output_file: ${folder}/out.csv`,
      'print_refresh_time: 3600',
      'print_cache_entries: 16411',
      'plugin_pipe_size: 16777216',
      'plugin_buffer_size: 65536',
    ].join('\n') + '\n',
  )
  return `${program} -f '${folder}/conf' >'${folder}/log' 2>&1`
}

/** What it counted: it has one line for each key, however many records. */
function pmacctTable(folder: string): FlowTable {
  const table: FlowTable = new Map()
  const [head, ...lines] = readFileSync(join(folder, 'out.csv'), 'utf8').trim().split('\n')
  const columns = head.split(',')
  const value = (cells: string[], name: string): string => cells[columns.indexOf(name)]
  for (const line of lines) {
    const cells = line.split(',')
    const protocol = {icmp: 1, tcp: 6, udp: 17, 'ipv6-icmp': 58}[value(cells, 'PROTOCOL')]
    enter(table, {
      source: value(cells, 'SRC_IP'),
      destination: value(cells, 'DST_IP'),
      protocol: protocol ?? Number(value(cells, 'PROTOCOL')),
      sourcePort: Number(value(cells, 'SRC_PORT')),
      destinationPort: Number(value(cells, 'DST_PORT')),
      packets: Number(value(cells, 'PACKETS')),
      octets: Number(value(cells, 'BYTES')),
    })
  }
  return table
}

/** Packets and octets of each key. */
function sumsOf(table: FlowTable): string[] {
  return [...table].map(([key, [, packets, octets]]) => `${key}: ${packets} ${octets}`).sort()
}

for (const [as, table] of [
  ['ipfix', all],
  ['netflow9', all],
  ['netflow5', ipv4],
] as const) {
  needing(
    tools('nfcapd', 'nfdump', 'unshare', 'ip'),
    superuser(),
    native,
  )(`nfcapd takes our ${as} and nfdump tells the same totals`, (t) => {
    const folder = mkdtempSync(join(place, 'nfcapd-'))
    const start = `nfcapd -w '${folder}' -b 127.0.0.1 -p 4739 -t 3600 -B 4000000 >'${folder}/log' 2>&1`
    collected(start, as, 'true')
    const log = readFileSync(join(folder, 'log'), 'utf8')
    t.regex(log, /Bad Packets: 0/)
    if (as !== 'ipfix') t.regex(log, /Sequence Errors: 0/)
    const theirs: FlowTable = new Map()
    for (const record of nfdumpRecords(folder)) enter(theirs, nfdumpRow(record))
    const [a, b] = [theirs, table].map((one) => rowsOf(withoutSctpPorts(one)))
    t.deepEqual(differences(a, b), [])
  })

  needing(
    tools('nfacctd', 'unshare', 'ip'),
    superuser(),
    native,
  )(`nfacctd takes our ${as} and tells the same totals`, (t) => {
    const folder = mkdtempSync(join(place, 'nfacctd-'))
    const start = pmacctCollector(folder, 'nfacctd', ['nfacctd_time_new: true'])
    collected(start, as, 'sleep 1')
    t.deepEqual(differences(sumsOf(pmacctTable(folder)), sumsOf(table)), [])
  })

  needing(tools('tshark'))(`tshark reads our ${as} and finds nothing wrong`, async (t) => {
    const collector = await udpCollector(t)
    const to = `udp://127.0.0.1:${collector.port}`
    const args = ['ipfix-export', '-r', input, '--as', as, '--rate', '20k', to]
    t.is((await darta(t, args)).code, 0)
    await quiet(t, collector.datagrams)
    const file = join(place, `${as}.pcap`)
    writeFileSync(file, udpCapture(collector.datagrams))
    const {sums, complaints} = tsharkSums(file)
    const own = {records: 0, packets: 0, octets: 0, addresses: new Map<string, number>()}
    for (const [key, [records, packets, octets]] of table) {
      const [source] = key.split(' ')
      own.records += records
      own.packets += packets
      own.octets += octets
      own.addresses.set(source, (own.addresses.get(source) ?? 0) + records)
    }
    t.deepEqual(sums, own)
    t.is(complaints, '')
  })
}

/** By addresses and protocol only: later fragments have no ports, which these collectors do not look for. */
function withoutPorts(table: FlowTable): FlowTable {
  const merged: FlowTable = new Map()
  for (const [key, [, packets, octets]] of table) {
    const plain = key.replace(/ \d+ \d+$/, '')
    const [, n, sum] = merged.get(plain) ?? [0, 0, 0]
    merged.set(plain, [0, n + packets, sum + octets])
  }
  return merged
}

for (const [what, file, comparable] of [
  ['Flows', input, withoutSctpPorts],
  ['packets', packets, withoutPorts],
] as const) {
  needing(
    tools('sfcapd', 'nfdump', 'unshare', 'ip'),
    superuser(),
    native,
  )(`sfcapd takes our ${what} as sFlow and nfdump tells the same totals`, (t) => {
    const folder = mkdtempSync(join(place, 'sfcapd-'))
    const start = `sfcapd -w '${folder}' -b 127.0.0.1 -p 4739 -t 3600 -B 4000000 >'${folder}/log' 2>&1`
    collected(start, 'sflow', 'true', file)
    const log = readFileSync(join(folder, 'log'), 'utf8')
    t.regex(log, /Sequence Errors: 0, Bad Packets: 0/)
    const theirs: FlowTable = new Map()
    for (const record of nfdumpRecords(folder)) enter(theirs, nfdumpRow(record))
    const [a, b] = [theirs, all].map((one) => sumsOf(comparable(one)))
    t.deepEqual(differences(a, b), [])
  })

  needing(
    tools('sfacctd', 'unshare', 'ip'),
    superuser(),
    native,
  )(`sfacctd takes our ${what} as sFlow and tells the same totals`, (t) => {
    const folder = mkdtempSync(join(place, 'sfacctd-'))
    const start = pmacctCollector(folder, 'sfacctd', ['sfacctd_renormalize: true'])
    collected(start, 'sflow', 'sleep 1', file)
    const [a, b] = [pmacctTable(folder), all].map((one) => sumsOf(comparable(one)))
    t.deepEqual(differences(a, b), [])
  })

  needing(tools('tshark'))(
    `tshark reads our ${what} as sFlow, finds nothing wrong and the same totals`,
    async (t) => {
      const collector = await udpCollector(t)
      const to = `udp://127.0.0.1:${collector.port}`
      const args = ['ipfix-export', '-r', file, '--as', 'sflow', '--rate', '20k', to]
      t.is((await darta(t, args)).code, 0)
      await quiet(t, collector.datagrams)
      const capture = join(place, `sflow-${what}.pcap`)
      writeFileSync(capture, udpCapture(collector.datagrams))
      const run = (...words: string[]): string =>
        execFileSync('tshark', ['-n', '-r', capture, '-d', 'udp.port==4739,sflow', ...words], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        })
      const names = ['sflow.flow_sample.sampling_rate', 'sflow_245.header.frame_length']
      const sums = {packets: 0, octets: 0}
      for (const line of run('-T', 'fields', ...names.flatMap((name) => ['-e', name])).split(
        '\n',
      )) {
        const [rates = [], lengths = []] = line.split('\t').map((cell) => cell.split(','))
        for (const [i, rate] of rates.entries()) {
          sums.packets += Number(rate)
          sums.octets += Number(rate) * Number(lengths[i] ?? 0)
        }
      }
      const own = {packets: 0, octets: 0}
      for (const [, n, octets] of all.values()) {
        own.packets += n
        own.octets += octets
      }
      t.deepEqual(sums, own)
      t.is(run('-Y', '_ws.malformed and not icmp and not icmpv6'), '')
    },
  )
}

/** tshark lists the values of a frame field by field, so that records of two Templates cannot be told apart: sums can. */
function tsharkSums(file: string): {sums: object; complaints: string} {
  const run = (...args: string[]): string =>
    execFileSync('tshark', ['-n', '-r', file, ...args], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  const fields = ['srcaddr', 'srcaddrv6', 'packets', 'octets'].flatMap((f) => ['-e', `cflow.${f}`])
  const sums = {records: 0, packets: 0, octets: 0, addresses: new Map<string, number>()}
  for (const line of run('-T', 'fields', '-E', 'separator=|', ...fields).split('\n')) {
    if (!line.includes('|')) continue
    const [four, six, packets, octets] = line
      .split('|')
      .map((cell) => (cell === '' ? [] : cell.split(',')))
    for (const address of [...four, ...six]) {
      sums.records++
      sums.addresses.set(address, (sums.addresses.get(address) ?? 0) + 1)
    }
    for (const n of packets) sums.packets += Number(n)
    for (const n of octets) sums.octets += Number(n)
  }
  return {sums, complaints: run('-Y', '_ws.malformed or _ws.expert')}
}

/** What the kernel still holds for us has been read when an own datagram comes after it. */
async function quiet(t: ExecutionContext, datagrams: readonly Buffer[]): Promise<void> {
  let before = -1
  while (datagrams.length !== before) {
    before = datagrams.length
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  t.true(before > 0)
}

needing(tools('ipfixDump'))(
  'ipfixDump reads what we send over TCP and warns of nothing',
  async (t) => {
    const collector = await tcpCollector(t)
    const {code} = await darta(t, [
      'ipfix-export',
      ...['-r', input, `tcp://127.0.0.1:${collector.port}`],
    ])
    t.is(code, 0)
    const file = join(place, 'tcp.ipfix')
    writeFileSync(file, collector.sessions[0].octets)
    const {table, warnings} = ipfixDumpReading(file)
    t.deepEqual(differences(rowsOf(table), rowsOf(all)), [])
    t.is(warnings, '')
  },
)

test('there is something to compare', (t) => {
  t.true(all.size > 500)
  t.true(ipv4.size > 300)
})
