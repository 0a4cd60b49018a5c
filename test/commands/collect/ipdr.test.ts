import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {once} from 'node:events'
import {connect} from 'node:net'
import {join} from 'node:path'
import {connect as secure} from 'node:tls'
import {authority, noCertificates} from '../../support/certificates.js'
import {bin, darta, folder, start, type Ended, type Running} from '../../support/darta.js'
import {decoded} from '../../support/collector.js'
import {freePort} from '../../support/free-port.js'
import {
  IpdrExporter,
  KIND,
  message,
  type ExportedField,
  type ExportedSession,
  type ExportedTemplate,
  type Kind,
} from '../../support/ipdr-exporter.js'
import {counted, ipv6, text, u16, u32, u64, u8, type FieldData} from '../../support/ipdr-writer.js'
import {needing, superuser, tools} from '../../support/needing.js'

interface Server {
  readonly running: Running
  readonly port: number
}

async function serve(
  t: ExecutionContext,
  query: string,
  ...flags: readonly string[]
): Promise<Server> {
  const running = start(t, bin, ['collect', `ipdr://127.0.0.1:0${query}`, ...flags])
  await running.says(/listening on ipdr:/)
  const port = Number(/ipdr:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])
  return {running, port}
}

async function stopped({running}: Pick<Server, 'running'>): Promise<Ended> {
  running.child.kill('SIGTERM')
  return running.ended
}

const field = (name: string, type: ExportedField['type'], enabled = true): ExportedField => ({
  name: `http://www.cablelabs.com/namespaces/DOCSIS/3.0/xsd/ipdr:${name}`,
  type,
  enabled,
})

/** What a cable network counts of a service flow: DOCSIS 3.0, SAMIS-TYPE-1, in part. */
const samis = (): ExportedTemplate => ({
  id: 1,
  schema:
    'http://www.cablelabs.com/namespaces/DOCSIS/3.0/xsd/ipdr/DOCSIS-SAMIS-TYPE-1_3.5.1-A.1.xsd',
  typeName: 'SAMIS-TYPE-1:SAMIS-TYPE-1',
  fields: [
    field('CmtsHostName', 'string'),
    field('CmtsSysUpTime', 'unsignedInt'),
    field('CmtsIpv4Addr', 'ipV4Addr'),
    field('CmMacAddr', 'macAddress'),
    field('CmIpv4Addr', 'ipV4Addr'),
    field('CmIpv6Addr', 'ipV6Addr'),
    field('RecType', 'int'),
    field('RecCreationTime', 'dateTimeMsec'),
    field('ServiceFlowChSet', 'hexBinary'),
    field('ServiceDsMulticast', 'boolean'),
    field('ServiceClassName', 'string', false),
    field('ServiceOctetsPassed', 'unsignedLong'),
    field('ServicePktsPassed', 'unsignedLong'),
  ],
})

function samisValues(n: number): FieldData[] {
  return [
    ...['cmts.example.net', 4_000_000_000, '192.0.2.1', '02:00:5e:10:00:01', '198.51.100.7'],
    ...[ipv6('2001:db8:0:0:0:0:0:7'), -1, 1_700_000_000_000 + n, Buffer.from([1, 2, 3]), true],
    ...['gold', 2n ** 60n + BigInt(n), n],
  ]
}

const cpe = (): ExportedTemplate => ({
  id: 2,
  schema: 'CPE',
  typeName: 'CPE-TYPE',
  fields: [field('CpeName', 'string'), field('n', 'unsignedInt')],
})

const DOCUMENT = 'bd2e0a361dd111b295aae6b6e797e7c4'
const OTHER = '00112233445566778899aabbccddeeff'

const session = (more: Partial<ExportedSession> = {}): ExportedSession => ({
  id: 1,
  name: 'samis',
  templates: [samis(), cpe()],
  document: DOCUMENT,
  ...more,
})

/** Records with the elements of IPDR of an output. */
function recordsOf(octets: Uint8Array): Record<string, unknown>[] {
  return decoded(octets).records.filter((record) => 'dartaIpdrDocument' in record)
}

const numbersOf = (octets: Uint8Array): unknown[] =>
  recordsOf(octets).map(({dartaIpdrSequenceNumber}) => dartaIpdrSequenceNumber)

const upTo = (count: number): number[] => Array.from({length: count}, (_, i) => i)

test('an exporter that connects has its records taken and acknowledged, every field in an element of its type', async (t) => {
  const out = join(folder(t), 'out.ipfix')
  const server = await serve(t, '', '-w', out)
  const exporter = new IpdrExporter([session()])
  for (let n = 0; n < 500; n++) exporter.add(1, 1, samisValues(n))
  exporter.add(1, 2, ['cpe', 7])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.unacknowledged === 0)
  const {code, stderr} = await stopped(server)
  t.is(code, 0, stderr)
  t.regex(stderr, /ipdr: 501 records in, 501 out, noted exporters 1\n/)
  const records = recordsOf(readFileSync(out))
  t.is(records.length, 501)
  for (const [n, record] of records.slice(0, 500).entries()) {
    t.like(record, {
      dartaIpdrDocument: 'bd2e0a36-1dd1-11b2-95aa-e6b6e797e7c4',
      dartaIpdrSession: 1,
      dartaIpdrSequenceNumber: n,
      dartaIpdrSchema: samis().schema,
      type: 'SAMIS-TYPE-1:SAMIS-TYPE-1',
      cmtsHostName: 'cmts.example.net',
      cmtsSysUpTime: 4_000_000_000,
      exporterIPv4Address: '192.0.2.1',
      sourceMacAddress: '02:00:5e:10:00:01',
      sourceIPv4Address: '198.51.100.7',
      sourceIPv6Address: '2001:db8::7',
      recType: -1,
      observationTimeMilliseconds: 1_700_000_000_000 + n,
      serviceDsMulticast: true,
      layer2OctetTotalCount: 2n ** 60n + BigInt(n),
      packetTotalCount: n,
      originalExporterIPv4Address: '127.0.0.1',
    })
    t.false('serviceClassName' in record)
  }
  t.like(records[500], {dartaIpdrSequenceNumber: 500, type: 'CPE-TYPE', cpeName: 'cpe', n: 7})
  // The last word of the collector is goodbye, when all was acknowledged.
  const kinds = exporter.received.map(({kind}) => kind)
  t.deepEqual(kinds.slice(0, 4), [
    ...['CONNECT_RESPONSE', 'GET_SESSIONS', 'FLOW_START', 'FINAL_TEMPLATE_DATA_ACK'],
  ] as Kind[])
  t.deepEqual(kinds.slice(-2), ['FLOW_STOP', 'DISCONNECT'])
  t.is(exporter.acknowledged.get(1)!.at(-1), 500)
})

test('the collector connects to an exporter that listens, asks for all fields, and comes back when the connection breaks', async (t) => {
  const exporter = new IpdrExporter([
    session({negotiable: true}),
    session({id: 7, document: OTHER}),
  ])
  const port = await exporter.listen(t)
  const out = join(folder(t), 'out.ipfix')
  const words = ['collect', `ipdr://127.0.0.1:${port}?connect&fields=all&sessions=1`, '-w', out]
  const running = start(t, bin, words)
  await running.says(/connecting to ipdr:\/\/127\.0\.0\.1:\d+/)
  exporter.add(1, 1, samisValues(0))
  exporter.add(7, 1, samisValues(0))
  await exporter.until(() => exporter.unacknowledged === 1)
  t.is(exporter.countOf('MODIFY_TEMPLATE'), 1)
  t.is(exporter.countOf('FLOW_START'), 1)
  t.is(exporter.countOf('GET_SESSIONS'), 0)
  exporter.socket!.destroy()
  exporter.add(1, 1, samisValues(1))
  await exporter.until(() => exporter.unacknowledged === 1)
  t.is(exporter.connections, 2)
  const {code, stderr} = await stopped({running})
  t.is(code, 0, stderr)
  t.regex(stderr, /ipdr: 2 records in, 2 out, noted exporters 2\n/)
  const records = recordsOf(readFileSync(out))
  t.deepEqual(
    records.map(({serviceClassName, packetTotalCount}) => [serviceClassName, packetTotalCount]),
    [
      ['gold', 0],
      ['gold', 1],
    ],
  )
})

test('nothing is acknowledged before it is safe, and a collector killed between a record and its acknowledgement has it once', async (t) => {
  const at = folder(t)
  const [journal, out] = [join(at, 'journal'), join(at, 'out.ipfix')]
  const exporter = new IpdrExporter([session({window: 50})])
  for (let n = 0; n < 400; n++) exporter.add(1, 1, samisValues(n))
  let killed = 0
  for (const until of [60, 170, 230]) {
    const server = await serve(t, '', '--journal', journal, '-w', out)
    await exporter.connect(server.port)
    await exporter.until(() => exporter.unacknowledged <= 400 - until)
    // It has been given more than it has acknowledged.
    t.true(exporter.unacknowledged > 0)
    server.running.child.kill('SIGKILL')
    await server.running.ended
    await exporter.until(() => exporter.socket === undefined)
    killed++
    t.false(existsSync(out))
  }
  // All that was sent is safe, and the acknowledgements of it do not arrive.
  exporter.deaf = true
  const deaf = await serve(t, '?sessions=1', '--journal', journal, '-w', out)
  exporter.received.length = 0
  const before = exporter.acknowledged.get(1)!.at(-1)!
  await exporter.connect(deaf.port)
  exporter.deaf = false
  await exporter.until(() => exporter.countOf('FINAL_TEMPLATE_DATA_ACK') === 1)
  exporter.deaf = true
  const safe = (): number =>
    exporter.received.reduce(
      (most, {kind, octets}) =>
        kind === 'DATA_ACK' ? Math.max(most, Number(octets.readBigUInt64BE(10))) : most,
      -1,
    )
  await exporter.until(() => safe() >= before + 40)
  deaf.running.child.kill('SIGKILL')
  await deaf.running.ended
  await exporter.until(() => exporter.socket === undefined)
  exporter.deaf = false
  const last = await serve(t, '', '--journal', journal, '-w', out)
  await exporter.connect(last.port)
  await exporter.until(() => exporter.unacknowledged === 0)
  const {code, stderr} = await stopped(last)
  t.is(code, 0, stderr)
  t.is(killed, 3)
  t.regex(stderr, /requests from before go first/)
  t.regex(stderr, /skipped \d+ \(duplicate \d+\)/)
  t.deepEqual(numbersOf(readFileSync(out)), upTo(400))
  for (const [n, {packetTotalCount, cmtsHostName}] of recordsOf(readFileSync(out)).entries()) {
    t.deepEqual([packetTotalCount, cmtsHostName], [n, 'cmts.example.net'])
  }
  // Duplicates are known by number alone where they say that they may be some.
  t.true(
    exporter.sent.some(({kind, octets}) => kind === 'DATA' && octets[12] === 1),
    'nothing was sent again',
  )
})

test('what is acknowledged before the journal is on disk would be lost: acknowledgements come after it', async (t) => {
  const at = folder(t)
  const journal = join(at, 'journal')
  const server = await serve(t, '', '--journal', journal, '-w', join(at, 'out.ipfix'))
  const exporter = new IpdrExporter([session()])
  await exporter.connect(server.port)
  for (let n = 0; n < 50; n++) {
    exporter.add(1, 2, [`record ${n} of all`, n])
    await exporter.until(() => exporter.unacknowledged === 0)
    t.true(readFileSync(journal).includes(`record ${n} of all`), `${n}`)
  }
  server.running.child.kill('SIGKILL')
})

test('the next document of a session begins again at its first number, and is no repetition', async (t) => {
  const server = await serve(t, '')
  const exporter = new IpdrExporter([session({droppedRecords: 3})])
  exporter.add(1, 2, ['a', 0])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.unacknowledged === 0)
  exporter.nextDocument(1, OTHER)
  exporter.add(1, 2, ['b', 1])
  await exporter.until(() => exporter.unacknowledged === 0)
  // An exporter that never changes the name of its document: the same number says something else.
  exporter.nextDocument(1, OTHER)
  exporter.add(1, 2, ['c', 2])
  await exporter.until(() => exporter.unacknowledged === 0)
  // A gap, and a record that came before.
  const data = (sequence: number, flags: number, name: string): void =>
    exporter.send(
      'DATA',
      1,
      ...[u16(2), u16(1), u8(flags), u64(sequence)],
      counted(Buffer.concat([text(name), u32(sequence)])),
    )
  data(4, 0, 'd')
  data(4, 1, 'renamed')
  await exporter.until(() => exporter.acknowledged.get(1)!.at(-1) === 4)
  await exporter.until(() => exporter.acknowledged.get(1)!.length >= 4)
  const {stdout, stderr} = await stopped(server)
  t.regex(
    stderr,
    /ipdr: 5 records in, 4 out, skipped 1 \(duplicate 1\), missing 6 \((dropped-by-exporter|sequence-gap) 3/,
  )
  t.deepEqual(
    recordsOf(stdout).map(({cpeName}) => cpeName),
    ['a', 'b', 'c', 'd'],
  )
})

test('a template that was not told is asked for, and records wait for it; without one they are kept as they came', async (t) => {
  const server = await serve(t, '?sessions=1')
  const exporter = new IpdrExporter([session()])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.countOf('FINAL_TEMPLATE_DATA_ACK') === 1)
  const record = Buffer.concat([text('x'), u32(9)])
  const data = (template: number, config: number, sequence: number): void =>
    exporter.send('DATA', 1, u16(template), u16(config), u8(0), u64(sequence), counted(record))
  // The answer to the question has configuration 1 only: of 9 nobody knows anything.
  data(2, 9, 0)
  data(2, 1, 1)
  await exporter.until(() => exporter.acknowledged.get(1)?.at(-1) === 1)
  t.is(exporter.countOf('GET_TEMPLATES'), 1)
  const {stdout, stderr} = await stopped(server)
  t.regex(stderr, /ipdr: 2 records in, 2 out, noted exporters 1, no-template 1 from octet \d+\n/)
  const [raw, read] = recordsOf(stdout)
  t.like(raw, {dartaIpdrTemplateId: 2, dartaIpdrConfigurationId: 9, dartaIpdrSequenceNumber: 0})
  t.is(raw.dartaIpdrRecord, record.toString('hex'))
  t.like(read, {cpeName: 'x', n: 9})
})

test('octets behind a record, and fields of a type that nobody knows, are kept as they came', async (t) => {
  const server = await serve(t, '')
  const exporter = new IpdrExporter([session()])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.countOf('FINAL_TEMPLATE_DATA_ACK') === 1)
  const block = Buffer.concat([
    ...[u32(1), u16(3), text('s'), text('T'), u32(2)],
    ...[u32(0x28), u32(1), text('name'), u8(1), u32(0x40000028), u32(2), text('list'), u8(1)],
  ])
  exporter.send('TEMPLATE_DATA', 1, u16(5), u8(1), block)
  const rest = Buffer.concat([u32(1), text('y')])
  exporter.send(
    ...(['DATA', 1, u16(3), u16(5), u8(0), u64(0)] as const),
    counted(Buffer.concat([text('x'), rest])),
  )
  exporter.send(
    ...(['DATA', 1, u16(2), u16(1), u8(0), u64(1)] as const),
    counted(Buffer.concat([text('x'), u32(7), Buffer.from('more')])),
  )
  // Cut in its second field.
  exporter.send(
    ...(['DATA', 1, u16(2), u16(1), u8(0), u64(2)] as const),
    counted(Buffer.concat([text('z'), u16(7)])),
  )
  await exporter.until(() => exporter.acknowledged.get(1)?.at(-1) === 2)
  const {stdout, stderr} = await stopped(server)
  t.regex(stderr, /ipdr: 3 records in, 3 out, noted unread-octets 3 from octet \d+, exporters 1/)
  const [unknown, behind, cut] = recordsOf(stdout)
  t.is(unknown.name, 'x')
  t.is(unknown.dartaIpdrRecord, rest.toString('hex'))
  t.like(behind, {cpeName: 'x', n: 7})
  t.is(behind.dartaIpdrRecord, Buffer.from('more').toString('hex'))
  t.is(cut.cpeName, 'z')
  t.false('n' in cut)
  t.is(cut.dartaIpdrRecord, '0007')
})

test('a record with more names than there can be elements, or more fields than a Template holds, has its octets too', async (t) => {
  const server = await serve(t, '')
  const many = (id: number, count: number): ExportedTemplate => ({
    ...{id, schema: '', typeName: `T${id}`},
    fields: Array.from({length: count}, (_, i) => field(`f${id}x${i}`, 'unsignedShort')),
  })
  const counts = [479, 600, 479]
  const templates = counts.map((count, i) => many(i + 1, count))
  const exporter = new IpdrExporter([session({templates})])
  counts.forEach((count, i) => {
    const values = Array.from({length: count}, (_, n) => n)
    exporter.add(1, i + 1, values)
  })
  await exporter.connect(server.port)
  await exporter.until(() => exporter.unacknowledged === 0)
  const {stdout, stderr} = await stopped(server)
  t.regex(stderr, /ipdr: 3 records in, 3 out, noted .*too-many-names 1.*unread-octets 1/)
  t.deepEqual(decoded(stdout).faults, [])
  const [whole, long, unnamed] = recordsOf(stdout)
  const octets = (from: number, to: number): string =>
    Buffer.concat(Array.from({length: to - from}, (_, n) => u16(from + n))).toString('hex')
  t.like(whole, {f1x0: 0, f1x478: 478})
  t.false('dartaIpdrRecord' in whole)
  t.like(long, {f2x0: 0, f2x478: 478, dartaIpdrRecord: octets(479, 600)})
  t.like(unnamed, {f3x0: 0, dartaIpdrRecord: octets(0, 479)})
  t.false('f3x478' in unnamed)
})

/** Says `octets` to the collector; what it answers until it closes the connection. */
async function tell(port: number, octets: Buffer): Promise<{kinds: number[]; last: Buffer}> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.write(octets)
  await once(socket, 'close')
  let all = Buffer.concat(chunks)
  const kinds: number[] = []
  let last = Buffer.alloc(0)
  while (all.length >= 8) {
    last = all.subarray(0, all.readUInt32BE(4))
    kinds.push(last[1])
    all = all.subarray(last.length)
  }
  return {kinds, last}
}

const hello = message(
  'CONNECT',
  0,
  Buffer.from([127, 0, 0, 1]),
  ...[u16(0), u32(2), u32(30), text('peer')],
)

test('an exporter that breaks the protocol is told which error it made, and others go on', async (t) => {
  const server = await serve(t, '')
  const good = new IpdrExporter([session()])
  await good.connect(server.port)
  const wrong: readonly (readonly [string, Buffer, number])[] = [
    ['another version', Buffer.concat([u8(1), hello.subarray(1)]), 3],
    ['a length below a header', Buffer.concat([hello.subarray(0, 4), u32(7)]), 3],
    ['a length beyond all bounds', Buffer.concat([hello.subarray(0, 4), u32(0x7fffffff)]), 3],
    ['DATA before CONNECT', message('DATA', 1, Buffer.alloc(17)), 2],
    ['CONNECT twice', Buffer.concat([hello, hello]), 2],
    [
      'DATA of no session',
      Buffer.concat([hello, message('DATA', 9, Buffer.alloc(13), counted(Buffer.from('x')))]),
      2,
    ],
    ['DATA that is cut', Buffer.concat([hello, message('DATA', 1, Buffer.alloc(5))]), 3],
    [
      'TEMPLATE DATA with more than it holds',
      Buffer.concat([
        hello,
        message(
          'GET_SESSIONS_RESPONSE',
          0,
          u16(1),
          u32(1),
          u8(1),
          u8(0),
          text(''),
          text(''),
          u64(0),
        ),
        message('TEMPLATE_DATA', 1, u16(1), u8(0), u32(200)),
      ]),
      3,
    ],
  ]
  for (const [what, octets, code] of wrong) {
    const {last} = await tell(server.port, octets)
    t.is(last[1], KIND.ERROR, what)
    t.is(last.readUInt16BE(12), code, what)
    t.is(last.length, 18 + last.readUInt32BE(14), what)
  }
  // What it cannot do it says, and goes on.
  good.send('REQUEST', 1, u16(0), u16(0), u8(0), u64(1), counted(Buffer.alloc(0)))
  good.sendRaw(Buffer.concat([u8(2), u8(0x7f), u8(0), u8(0), u32(8)]))
  await good.until(() => good.countOf('ERROR') === 2)
  const codes = good.received.flatMap(({kind, octets}) =>
    kind === 'ERROR' ? [octets.readUInt16BE(12)] : [],
  )
  t.deepEqual(codes, [1, 3])
  good.add(1, 2, ['still', 1])
  await good.until(() => good.unacknowledged === 0)
  const {code, stderr} = await stopped(server)
  t.is(code, 0, stderr)
  t.regex(stderr, /ipdr: 2 records in, 1 out, lost 1 \(no-session 1 from octet \d+\)/)
  t.regex(stderr, new RegExp(`protocol-error ${wrong.length}`))
})

test('the collector says that it lives as often as the exporter wants', async (t) => {
  const server = await serve(t, '')
  const exporter = new IpdrExporter([session()])
  exporter.keepAliveSeconds = 1
  await exporter.connect(server.port)
  await exporter.until(() => exporter.countOf('KEEP_ALIVE') >= 3)
  t.is((await stopped(server)).code, 0)
  t.is(exporter.countOf('ERROR'), 0)
})

test('an exporter that says nothing for longer than it may is told so and sent away', async (t) => {
  const server = await serve(t, '?keep-alive=1')
  const exporter = new IpdrExporter([session()])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.socket === undefined)
  const {octets} = exporter.received.findLast(({kind}) => kind === 'ERROR')!
  t.is(octets.readUInt16BE(12), 0)
  t.is((await stopped(server)).code, 0)
})

test('an exporter that sends more than the output takes has to wait, and nothing is lost', async (t) => {
  const {running, port} = await serve(t, '')
  running.child.stdout.pause()
  const exporter = new IpdrExporter([session({window: 1_000_000})])
  const count = 20_000
  for (let n = 0; n < count; n++) exporter.add(1, 1, samisValues(n))
  await exporter.connect(port)
  // What the collector holds: those on their way, those that wait for them, and what came with the last of these.
  const counts: number[] = []
  while (counts.length < 2 || counts.at(-1)! < 5000 || counts.at(-1) !== counts.at(-2)) {
    const said = running.words().length
    running.child.kill('SIGUSR1')
    await running.says(new RegExp(`^[^]{${said},}ipdr: \\d+ records in`))
    counts.push(Number([...running.words().matchAll(/ipdr: (\d+) records in/g)].at(-1)![1]))
  }
  t.true(counts.at(-1)! < 7000, String(counts.at(-1)))
  running.child.stdout.resume()
  await exporter.until(() => exporter.unacknowledged === 0)
  const {stdout, stderr} = await stopped({running})
  t.regex(stderr, new RegExp(`ipdr: ${count} records in, ${count} out`))
  t.deepEqual(numbersOf(stdout), upTo(count))
})

test('of an exporter that has one session and does not tell its number, it is 0', async (t) => {
  const server = await serve(t, '')
  const exporter = new IpdrExporter([session({id: 0})])
  exporter.capabilities = 0
  exporter.add(0, 2, ['a', 1])
  await exporter.connect(server.port)
  await exporter.until(() => exporter.unacknowledged === 0)
  const {code, stdout, stderr} = await stopped(server)
  t.is(code, 0, stderr)
  t.like(recordsOf(stdout)[0], {dartaIpdrSession: 0, cpeName: 'a'})
})

test('an exporter that is not there is told once, and tried until it is', async (t) => {
  const port = await freePort()
  const running = start(t, bin, ['collect', `ipdr://127.0.0.1:${port}?connect`])
  await running.says(/cannot connect: .*; it is tried again/)
  const exporter = new IpdrExporter([session()])
  await exporter.listen(t, port)
  exporter.add(1, 2, ['a', 1])
  await exporter.until(() => exporter.unacknowledged === 0)
  await running.says(/is there again/)
  const {stdout, stderr} = await stopped({running})
  t.is(stderr.match(/cannot connect/g)?.length, 1)
  t.is(recordsOf(stdout).length, 1)
})

needing(noCertificates)('over TLS both sides show who they are before a record goes', async (t) => {
  const at = folder(t)
  const ca = authority(at)
  const [ours, theirs] = [ca.issue('127.0.0.1'), ca.issue('cmts.example.net')]
  const running = start(t, bin, [
    ...['collect', 'ipdr+tls://127.0.0.1:0', '--tls-cert', ours.cert, '--tls-key', ours.key],
    ...['--tls-ca', ca.ca, '--tls-peer', 'cmts.example.net'],
  ])
  await running.says(/listening on ipdr\+tls:/)
  const port = Number(/ipdr\+tls:\/\/127\.0\.0\.1:(\d+)/.exec(running.words())![1])
  const socket = secure({
    ...{port, host: '127.0.0.1', ca: readFileSync(ca.ca)},
    ...{cert: readFileSync(theirs.cert), key: readFileSync(theirs.key)},
  })
  await once(socket, 'secureConnect')
  const exporter = new IpdrExporter([session()])
  exporter.add(1, 2, ['a', 1])
  exporter.begin(socket)
  await exporter.until(() => exporter.unacknowledged === 0)
  const {code, stdout, stderr} = await stopped({running})
  t.is(code, 0, stderr)
  t.is(recordsOf(stdout).length, 1)
})

test('options of an endpoint that mean nothing are refused', async (t) => {
  for (const query of ['?fields=some', '?sessions=256', '?keep-alive=0', '?connect=yes', '?x']) {
    const {code, stderr} = await darta(t, ['collect', `ipdr://127.0.0.1:4737${query}`])
    t.is(code, 2, stderr)
  }
  t.is((await darta(t, ['collect', 'ipdr://?connect'])).code, 2)
})

/** What tshark makes of a capture of an exchange: rows of the kinds of messages, by source port. */
function judged(pcap: string, port: number): {kinds: Map<number, string[]>; faults: string} {
  const shown = execFileSync(
    'tshark',
    [
      ...['-r', pcap, '-d', `tcp.port==${port},ipdr`, '-Y', 'ipdr', '-T', 'fields'],
      ...['-E', 'separator=|', '-e', 'tcp.srcport', '-e', 'ipdr.message_id'],
      ...['-e', '_ws.malformed', '-e', '_ws.expert.message'],
    ],
    {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28},
  )
  const kinds = new Map<number, string[]>()
  let faults = ''
  for (const line of shown.trimEnd().split('\n')) {
    const [from, ids, malformed, expert] = line.split('|')
    const list = kinds.get(Number(from)) ?? []
    list.push(...ids.split(','))
    kinds.set(Number(from), list)
    // What TCP itself has to say is none of ours.
    if (malformed !== '') faults += `${line}\n`
    else if (/unknown|malformed/i.test(expert)) faults += `${line}\n`
  }
  return {kinds, faults}
}

/** How far each side's octets have come in a capture of Ethernet frames, which may still grow, by source port. */
function streamOctets(pcap: Buffer): Map<number, number> {
  const first = new Map<number, number>()
  const reach = new Map<number, number>()
  for (let at = 24; at + 16 <= pcap.length;) {
    const frame = pcap.subarray(at + 16, at + 16 + pcap.readUInt32LE(at + 8))
    at += 16 + pcap.readUInt32LE(at + 8)
    if (at > pcap.length || frame.readUInt16BE(12) !== 0x0800) continue
    const ip = frame.subarray(14, 14 + frame.readUInt16BE(16))
    const tcp = ip.subarray((ip[0] & 0xf) * 4)
    const [port, sequence] = [tcp.readUInt16BE(0), tcp.readUInt32BE(4)]
    if ((tcp[13] & 2) !== 0) first.set(port, (sequence + 1) >>> 0)
    else if (first.has(port)) {
      const end = ((sequence - first.get(port)!) >>> 0) + tcp.length - (tcp[12] >> 4) * 4
      if (end < 2 ** 31) reach.set(port, Math.max(reach.get(port) ?? 0, end))
    }
  }
  return reach
}

needing(superuser(), tools('tcpdump', 'tshark'))(
  'tshark reads every message of both sides, and its capture gives the same records',
  async (t) => {
    const at = folder(t)
    const pcap = join(at, 'ipdr.pcap')
    const out = join(at, 'out.ipfix')
    const server = await serve(t, '?fields=all', '-w', out)
    const witness = start(t, 'tcpdump', [
      ...['-i', 'lo', '-U', '--immediate-mode', '-B', '16384', '-w', pcap],
      `tcp port ${server.port}`,
    ])
    await witness.says(/listening on lo/)
    const exporter = new IpdrExporter([
      session({negotiable: true}),
      session({id: 2, document: OTHER}),
    ])
    exporter.keepAliveSeconds = 1
    for (let n = 0; n < 300; n++) exporter.add(1 + (n & 1), 1, samisValues(n))
    await exporter.connect(server.port)
    const {localPort} = exporter.socket!
    await exporter.until(() => exporter.unacknowledged === 0)
    exporter.nextDocument(1, 'ffeeddccbbaa99887766554433221100')
    exporter.add(1, 2, ['x', 1])
    const record = counted(Buffer.from('?'))
    exporter.send('DATA', 2, u16(8), u16(8), u8(0), u64(150), record)
    exporter.send('REQUEST', 1, u16(0), u16(0), u8(0), u64(1), counted(Buffer.alloc(0)))
    await exporter.until(
      () => exporter.unacknowledged === 0 && exporter.acknowledged.get(2)!.at(-1) === 150,
    )
    await exporter.until(() => exporter.countOf('KEEP_ALIVE') > 0)
    const {stderr} = await stopped(server)
    await exporter.until(() => exporter.socket === undefined)
    // tcpdump writes as packets come; it is asked to end when it has all that both sides said.
    const sizes = (list: readonly {octets: Buffer}[]): number =>
      list.reduce((sum, {octets}) => sum + octets.length, 0)
    const all = new Map([
      [localPort!, sizes(exporter.sent)],
      [server.port, sizes(exporter.received)],
    ])
    const isThere = (): boolean => {
      const seen = streamOctets(readFileSync(pcap))
      return [...all].every(([from, octets]) => (seen.get(from) ?? 0) >= octets)
    }
    while (!existsSync(pcap) || !isThere()) await new Promise((resolve) => setTimeout(resolve, 50))
    witness.child.kill('SIGINT')
    await witness.ended

    const {kinds, faults} = judged(pcap, server.port)
    t.is(faults, '')
    const told = (list: readonly {octets: Buffer}[]): string[] =>
      list.map(({octets}) => String(octets[1]))
    t.deepEqual(kinds.get(localPort!), told(exporter.sent))
    t.deepEqual(kinds.get(server.port), told(exporter.received))
    const seen = new Set([...kinds.values()].flat().map(Number))
    const never = Object.entries(KIND).filter(([, id]) => !seen.has(id))
    t.deepEqual(
      never.map(([name]) => name),
      [],
    )

    const reread = await darta(t, ['collect', '-r', pcap])
    t.is(reread.code, 0, reread.stderr)
    t.regex(stderr, /ipdr: 302 records in, 302 out/)
    t.regex(reread.stderr, /ipdr: 302 records in, 302 out/)
    const plain = (octets: Uint8Array): unknown[] =>
      recordsOf(octets).map((one) => ({...one, collectionTimeMilliseconds: 0}))
    t.deepEqual(plain(reread.stdout), plain(readFileSync(out)))
  },
)
