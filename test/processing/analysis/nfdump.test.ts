import {existsSync, readFileSync, readdirSync, statSync} from 'node:fs'
import {readFile} from 'node:fs/promises'
import {createSocket} from 'node:dgram'
import {join} from 'node:path'
import {setImmediate} from 'node:timers/promises'
import test, {type ExecutionContext} from 'ava'
import {createDecoder} from '../../../src/ipfix/decoder.js'
import {createEncoder} from '../../../src/ipfix/encoder.js'
import top from '../../../src/processing/analysis/apps/top.js'
import type {RecordBatch} from '../../../src/record/batch.js'
import {REVERSE_PEN} from '../../../src/record/element.js'
import {Ledger} from '../../../src/record/ledger.js'
import {analyse} from '../../support/analyse.js'
import {darta, folder, start} from '../../support/darta.js'
import {needing, root, shared, tools} from '../../support/needing.js'
import type {Plain} from '../../support/results.js'

function decode(chunks: readonly Uint8Array[]): RecordBatch[] {
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  return [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()]
}

const exportsFolder = join(root, '../shared/fixtures/exports')
const expectedFolder = join(root, '../shared/fixtures/expected')

/** Exports of real exporters as IPFIX Messages, which nfcapd and nfdump have read. */
function casesOfNfdump(): {name: string; files: string[]; expected: string}[] {
  if (!existsSync(exportsFolder)) return []
  return readdirSync(exportsFolder).flatMap((entry) => {
    const name = entry.replace(/\.(ipfix|dat|bin)$/, '')
    const path = join(exportsFolder, entry)
    const expected = join(expectedFolder, `${name}.nfdump.json`)
    const files = statSync(path).isDirectory()
      ? readdirSync(path)
          .sort()
          .map((file) => join(path, file))
      : [path]
    const isIpfix = readFileSync(files[0]).readUInt16BE(0) === 10
    return existsSync(expected) && isIpfix ? [{name, files, expected}] : []
  })
}

/** Where nfdump has other records than there are, not other sums of them. */
const differently = new Map([
  ['logstash__ipfix', 'nfcapd reads the first Message of a datagram only, this file holds several'],
])

/** [octets, packets, Flows] by key. */
type Sums = Map<string, [number, number, number]>

function add(sums: Sums, key: string, octets: number, packets: number): void {
  const [o, p, f] = sums.get(key) ?? [0, 0, 0]
  sums.set(key, [o + octets, p + packets, f + 1])
}

function oursBy(rows: readonly Plain[], key: (row: Plain) => unknown): Sums {
  return new Map(
    rows.map((row) => [
      String(key(row)),
      [Number(row.octetDeltaCount), Number(row.packetDeltaCount), Number(row.deltaFlowCount)],
    ]),
  )
}

interface NfdumpRecord {
  in_bytes?: number
  in_packets?: number
  out_bytes?: number
  out_packets?: number
  proto?: number
  src4_addr?: string
  src6_addr?: string
  dst4_addr?: string
  dst6_addr?: string
}

const cases = casesOfNfdump()

needing(shared('fixtures/expected'))('there are exports that nfdump has read', (t) => {
  t.true(cases.length >= 20)
})

for (const {name, files, expected} of cases) {
  const why = differently.get(name)
  needing(why)(`top gives the sums of what nfdump read of ${name}`, (t) => {
    const batches = decode(files.map((file) => readFileSync(file)))
    const records = JSON.parse(readFileSync(expected, 'utf8')) as NfdumpRecord[]
    const biflow = batches.some(({template}) =>
      template.fields.some(({element}) => element.enterpriseNumber === REVERSE_PEN),
    )
    const wanted: Record<string, Sums> = {srcip: new Map(), dstip: new Map(), proto: new Map()}
    for (const record of records) {
      const source = record.src4_addr ?? record.src6_addr
      const destination = record.dst4_addr ?? record.dst6_addr
      const directions = [[source, destination, record.in_bytes, record.in_packets] as const]
      // nfdump shows other counters of the way out under the same names.
      if (biflow && ((record.out_packets ?? 0) > 0 || (record.out_bytes ?? 0) > 0)) {
        directions.push([destination, source, record.out_bytes, record.out_packets])
      }
      for (const [from, to, octets = 0, packets = 0] of directions) {
        if (from !== undefined) add(wanted.srcip, from, octets, packets)
        if (to !== undefined) add(wanted.dstip, to, octets, packets)
        if (record.proto !== undefined) add(wanted.proto, `${record.proto}`, octets, packets)
      }
    }
    const statistic = ['srcip', 'dstip', 'proto'].map((key) => `${key}/octets`)
    const {rows} = analyse(top, {statistic, top: 0}, batches)
    const of = (key: string): Plain[] => rows.filter((r) => r.dartaStatistic === `${key}/octets`)
    const ours: Record<string, Sums> = {
      srcip: oursBy(of('srcip'), (r) => r.sourceIPv4Address ?? r.sourceIPv6Address),
      dstip: oursBy(of('dstip'), (r) => r.destinationIPv4Address ?? r.destinationIPv6Address),
      proto: oursBy(of('proto'), (r) => r.protocolIdentifier),
    }
    for (const key of ['srcip', 'dstip', 'proto']) {
      // What a record lacks is zero in nfdump; here the record does not count for the key.
      for (const zero of ['0', '0.0.0.0', '::']) {
        if (!ours[key].has(zero)) wanted[key].delete(zero)
      }
      t.deepEqual([...ours[key]].sort(), [...wanted[key]].sort(), key)
    }
  })
}

/** A port of 127.0.0.1 that nobody has, for a program that cannot take port 0. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const {port} = socket.address()
  await new Promise<void>((resolve) => socket.close(() => resolve()))
  return port
}

/** Octets that wait for the receiver at this UDP port; undefined: nobody listens. */
async function waitingAt(port: number): Promise<number | undefined> {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  const line = (await readFile('/proc/net/udp', 'utf8')).split('\n').find((l) => l.includes(hex))
  return line === undefined ? undefined : parseInt(/:([0-9A-F]{8}) \d\d:/.exec(line)![1], 16)
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await setImmediate()
}

/** Sends Messages to nfcapd one by one and returns the file that it makes of them. */
async function captureWithNfcapd(
  t: ExecutionContext,
  messages: readonly Uint8Array[],
): Promise<string> {
  const port = await freePort()
  const path = folder(t)
  const args = ['-b', '127.0.0.1', '-p', String(port), '-w', path, '-t', '86400']
  const {child, ended} = start(t, 'nfcapd', args)
  await until(async () => (await waitingAt(port)) !== undefined)
  const socket = createSocket('udp4')
  for (const message of messages) {
    await new Promise((resolve) => socket.send(message, port, '127.0.0.1', resolve))
    await until(async () => (await waitingAt(port)) === 0)
  }
  socket.close()
  child.kill('SIGTERM')
  await ended
  const [file] = readdirSync(path).filter((name) => name.startsWith('nfcapd.2'))
  return join(path, file)
}

needing(tools('nfcapd', 'nfdump'))(
  'top ranks the sources of metered packets as nfdump -s srcip/bytes does',
  async (t) => {
    const metered = await darta(t, ['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap')])
    t.is(metered.code, 0)
    const batches = decode([metered.stdout])
    const encoder = createEncoder({
      ledger: new Ledger(),
      maxMessageOctets: 1400,
      messagePerArray: true,
    })
    const messages = [...encoder.push(batches), ...encoder.end()]
    const file = await captureWithNfcapd(t, messages)
    const args = ['-r', file, '-s', 'srcip/bytes', '-n', '10', '-o', 'csv']
    const {stdout} = await start(t, 'nfdump', args).ended
    const [head, ...lines] = stdout.toString().split('\n')
    const column = (name: string): number => head.split(',').indexOf(name)
    const theirs = lines
      .slice(0, 10)
      .map((line) => line.split(','))
      .map((cells) => ['val', 'byt', 'pkt', 'fl'].map((name) => cells[column(name)]))
    const {rows} = analyse(top, {}, batches)
    t.deepEqual(
      rows.map((row) =>
        [
          row.sourceIPv4Address ?? row.sourceIPv6Address,
          row.octetDeltaCount,
          row.packetDeltaCount,
          row.deltaFlowCount,
        ].map(String),
      ),
      theirs,
    )
  },
)

test('the cases that are read differently are told apart by name', (t) => {
  for (const name of differently.keys()) {
    t.true(cases.length === 0 || cases.some((one) => one.name === name), name)
  }
})
