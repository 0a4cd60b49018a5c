/* What the Exporting Process says besides the records it was given: options that still hold, and what it did not send. */
import ava from 'ava'
import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {udpCapture} from '../interop/messages.js'
import {countRecords, decoded, tcpCollector, udpCollector} from '../support/collector.js'
import {bin, darta, folder, start} from '../support/darta.js'
import {needing, tools} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'
import type {Plain} from '../support/results.js'

// One after another: each starts processes, and some wait for time to pass.
const test = ava.serial

const options = (records: readonly Plain[]): Plain[] => records.filter((one) => '_scope' in one)
const flows = (records: readonly Plain[]): Plain[] => records.filter((one) => !('_scope' in one))
const sum = (records: readonly Plain[], name: string): number =>
  records.reduce((n, record) => n + Number(record[name] ?? 0), 0)

/** An Options Record, and a Flow Record with an element that a type record has to describe. */
const sampler =
  '{"selectorId":5,"selectorAlgorithm":1,"samplingPacketInterval":1,"samplingPacketSpace":9,"_scope":["selectorId"]}\n'
const flow = (octets: number): string =>
  `{"sourceIPv4Address":"192.0.2.1","octetDeltaCount":${octets},"dartaSamplingFactor":10}\n`

test('darta collect, stopped for a while, is told which Flow Records, packets and octets it will not get', async (t) => {
  const place = folder(t)
  const output = join(place, 'collected.ipfix')
  const input = join(place, 'in.ipfix')
  const count = 150_000
  const stream = numberedRecords(count)
  writeFileSync(input, stream)
  const collector = start(t, bin, ['collect', 'tcp://127.0.0.1:0', '-w', output])
  await collector.says(/listening on \S+:\d+\n/)
  const port = /listening on \S+:(\d+)\n/.exec(collector.words())![1]
  const other = await tcpCollector(t)
  const [to, beside] = [port, other.port].map((one) => `tcp://127.0.0.1:${one}`)
  collector.child.kill('SIGSTOP')
  const limits = ['--queue', '300k', '--stall', '300ms', '--linger', '60s', '--loss-report', '50ms']
  const running = start(t, bin, ['ipfix-export', '-r', input, ...limits, to, beside])
  // The one beside has all: what the stopped one has no room for is lost to it by now.
  await other.until(() => other.sessions[0]?.ended === true)
  collector.child.kill('SIGCONT')
  const {stderr, code} = await running.ended
  t.is(code, 0, stderr)
  collector.child.kill('SIGTERM')
  const ended = await collector.ended
  t.is(ended.code, 0, ended.stderr)
  const {stdout} = await darta(t, ['print', '-r', output, '-o', 'ndjson'])
  const records = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Plain)
  const got = flows(records)
  const [told] = options(records)
    .filter((one) => 'notSentFlowTotalCount' in one)
    .slice(-1)
  t.true(got.length < count, stderr)
  const all = flows(decoded(stream).records)
  t.is(told.notSentFlowTotalCount, count - got.length)
  for (const [name, counter] of [
    ['notSentPacketTotalCount', 'packetDeltaCount'],
    ['notSentOctetTotalCount', 'octetDeltaCount'],
  ] as const) {
    t.is(told[name], sum(all, counter) - sum(got, counter), name)
  }
  t.deepEqual(told._scope as unknown, ['exportingProcessId'])
  const [first, last] = (told.observationTimeMilliseconds as unknown as string[]).map(Date.parse)
  t.true(first <= last && last <= Date.now())
  // Its own account says the same.
  const line = stderr.split('\n').findLast((one) => one.includes(`: to ${to}: `)) ?? ''
  t.is(Number(/queue-full (\d+)/.exec(line)?.[1]), count - got.length)
})

needing(tools('tshark'))(
  'tshark reads what was not sent since no datagram has room for it, and nothing wrong',
  async (t) => {
    const collector = await udpCollector(t)
    const to = `udp://127.0.0.1:${collector.port}`
    const name = (octets: number): string => 'n'.repeat(octets)
    const lines = [10, 500, 20, 500].map(
      (octets, i) =>
        `{"interfaceName":"${name(octets)}","packetDeltaCount":${i + 1},"octetDeltaCount":${100 * (i + 1)}}\n`,
    )
    const args = ['ipfix-export', '--max-message', '200', to]
    const {stderr, code} = await darta(t, args, lines.join(''))
    t.is(code, 0, stderr)
    await collector.until(
      () => options(decoded(Buffer.concat(collector.datagrams)).records).length > 0,
    )
    t.regex(stderr, /: ipfix-write: 4 records in, 2 out, lost 2 \(record-too-long 2\)/)
    const {records, faults} = decoded(Buffer.concat(collector.datagrams))
    t.deepEqual(faults, [])
    t.like(options(records).at(-1), {notSentFlowTotalCount: 2, notSentPacketTotalCount: 6})
    const file = join(folder(t), 'out.pcap')
    writeFileSync(file, udpCapture(collector.datagrams))
    const run = (...words: string[]): string =>
      execFileSync('tshark', ['-n', '-r', file, ...words], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    const fields = ['flows', 'packets', 'octets'].flatMap((one) => ['-e', `cflow.notsent_${one}`])
    t.is(run('-Y', 'cflow.notsent_flows', '-T', 'fields', ...fields).trim(), '2\t6\t600')
    t.is(run('-Y', '_ws.malformed or _ws.expert'), '')
  },
)

test('with --loss-report 0 nothing is told of what was not sent', async (t) => {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const lines = ['n'.repeat(500), 'n'].map((name) => `{"interfaceName":"${name}"}\n`)
  const args = ['ipfix-export', '--max-message', '200', '--loss-report', '0', to]
  const {stderr} = await darta(t, args, lines.join(''))
  await collector.until(() => countRecords(Buffer.concat(collector.datagrams)) > 0)
  t.regex(stderr, /lost 1 \(record-too-long 1\)/)
  t.deepEqual(options(decoded(Buffer.concat(collector.datagrams)).records), [])
})

test('over UDP options come again with the Templates, and a Collector that begins late knows them', async (t) => {
  const first = await udpCollector(t)
  const to = `udp://127.0.0.1:${first.port}`
  const running = start(t, bin, ['ipfix-export', '--template-refresh', '150ms', to])
  running.child.stdin.write(sampler + flow(1))
  const told = (datagrams: readonly Buffer[], name: string): number =>
    decoded(Buffer.concat(datagrams)).records.filter((record) => name in record).length
  await first.until(() => told(first.datagrams, 'samplingPacketSpace') >= 4)
  const {records, faults} = decoded(Buffer.concat(first.datagrams))
  // Each of them has its number: nothing is missing, nothing twice.
  t.deepEqual(faults, [])
  t.is(flows(records).length, 1)
  t.true(told(first.datagrams, 'informationElementName') >= 4)
  first.kill()
  const late = await udpCollector(t, first.port)
  await late.until(() => told(late.datagrams, 'samplingPacketSpace') >= 1)
  running.child.stdin.end(flow(2))
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  await late.until(() => flows(decoded(Buffer.concat(late.datagrams)).records).length > 0)
  const later = decoded(Buffer.concat(late.datagrams)).records
  t.like(flows(later)[0], {octetDeltaCount: 2, dartaSamplingFactor: 10})
  t.like(
    options(later).find((record) => 'samplingPacketSpace' in record),
    {
      selectorId: 5,
      samplingPacketSpace: 9,
    },
  )
})

test('of options with the same scope the last one comes again', async (t) => {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const running = start(t, bin, ['ipfix-export', '--template-refresh', '150ms', to])
  running.child.stdin.write(sampler + sampler.replace(':9', ':99') + flow(1))
  const spaces = (): unknown[] =>
    decoded(Buffer.concat(collector.datagrams))
      .records.filter((record) => 'samplingPacketSpace' in record)
      .map((record) => record.samplingPacketSpace)
  await collector.until(() => spaces().length >= 7)
  running.child.stdin.end()
  t.is((await running.ended).code, 0)
  // Ahead of the first data it may be the last one already; from then on it is.
  t.deepEqual([...new Set(spaces())].sort(), [9, 99])
  t.deepEqual(spaces().slice(-3), [99, 99, 99])
})

for (const [what, spill] of [
  ['', false],
  [', also that of another process, with --spill', true],
] as const) {
  test(`a session that follows another begins with the options that hold${what}`, async (t) => {
    const one = await tcpCollector(t)
    const to = `tcp://127.0.0.1:${one.port}`
    const kept = spill ? ['--spill', join(folder(t), 'spool')] : []
    const args = ['ipfix-export', '--reconnect', '50ms', ...kept, to]
    const running = start(t, bin, args)
    running.child.stdin.write(sampler + flow(1))
    await one.until(() => countRecords(one.sessions[0]?.octets ?? Buffer.alloc(0)) >= 3)
    one.kill()
    if (spill) {
      running.child.kill('SIGKILL')
      await running.ended
    }
    const two = await tcpCollector(t, {port: one.port})
    const second = spill ? start(t, bin, args) : running
    second.child.stdin.end(flow(2))
    const {code, stderr} = await second.ended
    t.is(code, 0, stderr)
    const {records, faults} = decoded(two.sessions[0].octets)
    t.deepEqual(faults, [])
    t.is(two.sessions[0].octets.readUInt32BE(8), 0)
    t.true(options(records).some((record) => record.samplingPacketSpace === 9))
    // The type record goes ahead of the Template with the element.
    t.like(flows(records).at(-1), {octetDeltaCount: 2, dartaSamplingFactor: 10})
    const at = (name: string): number => records.findIndex((record) => name in record)
    t.true(at('informationElementName') < at('dartaSamplingFactor'))
  })
}

test('over UDP a Template with values of SNMP objects never goes without the options that describe them', async (t) => {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const running = start(t, bin, ['ipfix-export', '--template-refresh', '150ms', to])
  const counted = (value: number): string =>
    `${JSON.stringify({
      ingressInterface: 3,
      mibObjectValueCounter: value,
      _ipfix: {objects: {mibObjectValueCounter: '1.3.6.1.2.1.2.2.1.10[0]'}},
    })}\n`
  running.child.stdin.write(counted(1))
  const announcing = (): Buffer[] =>
    collector.datagrams.filter((datagram) => setsOf(datagram).some(([id]) => id === 2))
  await collector.until(() => announcing().length >= 5)
  running.child.stdin.end(counted(2))
  t.is((await running.ended).code, 0)
  await collector.until(
    () => flows(decoded(Buffer.concat(collector.datagrams)).records).length >= 2,
  )
  for (const datagram of announcing()) {
    const [first, second, third] = setsOf(datagram)
    t.deepEqual([first[0], second[0]], [2, 3])
    const said = decoded(datagram).records.find((record) => 'mibObjectIdentifier' in record)!
    t.like(said, {informationElementIndex: 1, mibIndexIndicator: 1})
    // It is the number of the Template in front of it.
    t.is(said.templateId, first[1].readUInt16BE(0))
    t.true(third[0] >= 256)
  }
  const {records, faults} = decoded(Buffer.concat(collector.datagrams))
  t.deepEqual(faults, [])
  t.deepEqual(
    flows(records).map((record) => record.mibObjectValueCounter),
    [1, 2],
  )
})

/** Sets of a Message: ID and body. */
function setsOf(message: Buffer): [id: number, body: Buffer][] {
  const sets: [number, Buffer][] = []
  for (let at = 16; at + 4 <= message.length;) {
    const length = message.readUInt16BE(at + 2)
    sets.push([message.readUInt16BE(at), message.subarray(at + 4, at + length)])
    at += length
  }
  return sets
}
