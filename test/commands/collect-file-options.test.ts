/* What RFC 5655 lets a file say of itself: digests of its Messages, the time window, the session that it came by. */
import ava from 'ava'
import {createHash} from 'node:crypto'
import {execFileSync} from 'node:child_process'
import {createSocket} from 'node:dgram'
import {readFileSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {netflow5} from '../mediation/collecting.js'
import {bin, darta, folder, start} from '../support/darta.js'
import {needing, tools} from '../support/needing.js'
import {numberedRecords} from '../support/numbered.js'

// One after another: each starts processes.
const test = ava.serial

async function recordsOf(t: ExecutionContext, file: string): Promise<Record<string, unknown>[]> {
  const {stdout, stderr} = await darta(t, ['print', '-r', file, '-o', 'ndjson'])
  // Sequence numbers count the digests too.
  t.notRegex(stderr, /missing|lost|reset|noted/)
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function messages(octets: Buffer): Buffer[] {
  const list: Buffer[] = []
  for (let at = 0; at < octets.length; at += octets.readUInt16BE(at + 2)) {
    list.push(octets.subarray(at, at + octets.readUInt16BE(at + 2)))
  }
  return list
}

async function digested(
  t: ExecutionContext,
  ...args: string[]
): Promise<{file: string; octets: Buffer}> {
  const place = folder(t)
  const input = join(place, 'in.ipfix')
  // Of several domains, so that each needs the Template.
  writeFileSync(input, Buffer.concat([7, 8].map((domain) => numberedRecords(4000, 0, {domain}))))
  const file = join(place, 'out.ipfix')
  const {code, stderr} = await darta(t, [
    ...['collect', '-r', input, '--message-digest', '-w', file, ...args],
  ])
  t.is(code, 0, stderr)
  return {file, octets: readFileSync(file)}
}

test('each Message has one MD5 digest of itself, at the end, over zeros in its place', async (t) => {
  const {file, octets} = await digested(t)
  const list = messages(octets)
  t.true(list.length > 4)
  for (const message of list) {
    const told = message.subarray(-16)
    const zeroed = Buffer.from(message)
    zeroed.fill(0, zeroed.length - 16)
    t.deepEqual(createHash('md5').update(zeroed).digest(), Buffer.from(told))
  }
  const records = await recordsOf(t, file)
  t.is(records.filter((record) => 'messageMD5Checksum' in record).length, list.length)
  t.is(records.filter((record) => 'flowId' in record).length, 8000)
})

test('info --check verifies digests, and finds each octet that was changed', async (t) => {
  const {octets} = await digested(t)
  const sound = await darta(t, ['info', '--check'], octets)
  t.is(sound.code, 0, sound.stdout.toString())
  t.regex(sound.stderr, new RegExp(`, ${messages(octets).length} Message digests are right`))
  // An octet of an address, of which nothing else would be noticed.
  const place = octets.indexOf(Buffer.from([192, 0, 2, 1]))
  for (const at of [place, octets.length - 1]) {
    const changed = Buffer.from(octets)
    changed[at] ^= 0x40
    const {code, stdout} = await darta(t, ['info', '--check'], changed)
    t.is(code, 1)
    t.regex(stdout.toString(), /the digest is not that of its Message.*RFC 5655 section 8\.1\.1/)
    t.is(stdout.toString().trim().split('\n').length, 1)
  }
})

test('a second digest in a Message is a fault', async (t) => {
  const {octets} = await digested(t)
  const [first, second] = messages(octets)
  // The digest's Set once more: 4 octets of header, 1 of scope, 16 of digest.
  const doubled = Buffer.concat([second, second.subarray(-21)])
  doubled.writeUInt16BE(doubled.length, 2)
  const {code, stdout} = await darta(t, ['info', '--check'], Buffer.concat([first, doubled]))
  t.is(code, 1)
  t.regex(stdout.toString(), /a second digest in one Message/)
})

test('each file of a rotation has its digests, and the Template that they need', async (t) => {
  const place = folder(t)
  const files = [0, 60].map((after) => {
    const path = join(place, `in${after}`)
    writeFileSync(path, netflow5({sequence: after, records: 1, time: 1_700_000_000 + after}))
    return path
  })
  const {code, stderr} = await darta(t, [
    ...['collect', ...files.flatMap((file) => ['-r', file])],
    ...['--message-digest', '--time-window', '-w', join(place, '%H%M.ipfix'), '-G', '1m'],
  ])
  t.is(code, 0, stderr)
  const made = readdirSync(place).filter((name) => name.endsWith('.ipfix'))
  t.is(made.length, 2)
  for (const name of made) {
    const checked = await darta(t, ['info', '--check', '-r', join(place, name)])
    t.is(checked.code, 0, checked.stdout.toString())
    t.regex(checked.stderr, /[1-9]\d* Message digests are right/)
  }
})

needing(tools('ipfixDump'))(
  'ipfixDump reads a file with digests and warns of nothing',
  async (t) => {
    const {file, octets} = await digested(t)
    const out = execFileSync('ipfixDump', ['--rfc5610', '--in', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.is(out.match(/messageMD5Checksum : /g)?.length, messages(octets).length)
  },
)

test('digests are for IPFIX only', async (t) => {
  const {code, stderr} = await darta(t, ['collect', '--message-digest', '-o', 'ndjson'], '')
  t.is(code, 2)
  t.regex(stderr, /--message-digest is for IPFIX/)
})

test('info --check finds Flows outside of the File Time Window, and a second window', async (t) => {
  const place = folder(t)
  const input = join(place, 'in.ipfix')
  writeFileSync(input, numberedRecords(100))
  const file = join(place, 'out.ipfix')
  const {code, stderr} = await darta(t, ['collect', '-r', input, '--time-window', '-w', file])
  t.is(code, 0, stderr)
  const octets = readFileSync(file)
  t.is((await darta(t, ['info', '--check', '-q'], octets)).code, 0)
  // Start and end of the window, which stand behind all Flows.
  const at = octets.lastIndexOf(Buffer.from([0, 0, 1, 0x8b]))
  t.true(at > 0)
  for (const [place, by, words] of [
    [at - 8, 5, /a Flow begins 5 ms outside of the File Time Window.*RFC 5655 section 8\.1\.2/],
    [at, -7, /a Flow ends 7 ms outside of the File Time Window/],
  ] as const) {
    const changed = Buffer.from(octets)
    changed.writeBigUInt64BE(changed.readBigUInt64BE(place) + BigInt(by), place)
    const {code: found, stdout} = await darta(t, ['info', '--check', '-q'], changed)
    t.is(found, 1)
    t.regex(stdout.toString(), words)
  }
  const twice = await darta(t, ['info', '--check', '-q'], Buffer.concat([octets, octets]))
  t.regex(twice.stdout.toString(), /a second File Time Window/)
})

test('--session-details tells of the session, where all records are of one', async (t) => {
  const output = join(folder(t), 'out.ipfix')
  const collector = start(t, bin, [
    ...['collect', 'udp://127.0.0.1:0', '--session-details', '-w', output],
  ])
  await collector.says(/listening on \S+:\d+\n/)
  const port = Number(/listening on \S+:(\d+)\n/.exec(collector.words())![1])
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  t.teardown(() => socket.close())
  for (const after of [0, 60]) {
    const octets = netflow5({sequence: after / 60, records: 1, time: 1_700_000_000 + after})
    await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve))
  }
  collector.child.kill('SIGTERM')
  const {code, stderr} = await collector.ended
  t.is(code, 0, stderr)
  const details = (await recordsOf(t, output)).filter((one) => 'exportProtocolVersion' in one)
  t.is(details.length, 1)
  t.like(details[0], {
    exporterIPv4Address: '127.0.0.1',
    exporterTransportPort: socket.address().port,
    collectorTransportPort: port,
    exportTransportProtocol: 17,
    exportProtocolVersion: 5,
    minExportSeconds: '2023-11-14T22:13:20Z',
    maxExportSeconds: '2023-11-14T22:14:20Z',
  })
  t.deepEqual(details[0]._scope, ['sessionScope'])
})

test('--session-details tells nothing where records are of several sessions', async (t) => {
  const output = join(folder(t), 'out.ipfix')
  const collector = start(t, bin, [
    ...['collect', 'tcp://127.0.0.1:0', '--session-details', '-w', output],
  ])
  await collector.says(/listening on \S+:\d+\n/)
  const port = Number(/listening on \S+:(\d+)\n/.exec(collector.words())![1])
  for (const first of [0, 10]) {
    const to = `tcp://127.0.0.1:${port}`
    t.is((await darta(t, ['ipfix-export', to], numberedRecords(10, first))).code, 0)
  }
  collector.child.kill('SIGTERM')
  t.is((await collector.ended).code, 0)
  const records = await recordsOf(t, output)
  t.is(records.filter((one) => 'flowId' in one).length, 20)
  t.false(records.some((one) => 'exportProtocolVersion' in one))
})
