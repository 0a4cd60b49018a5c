import ava, {type ExecutionContext} from 'ava'
import {existsSync, readdirSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {createEncoder} from '../../src/ipfix/encoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {ie} from '../../src/registry/elements.js'
import {countRecords, decoded, tcpCollector, udpCollector} from '../support/collector.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {numberedRecords} from '../support/numbered.js'
import {address, batchOf, templateOf} from '../support/records.js'
import {host, noNamespaces, startAt} from '../support/namespaces.js'
import {native} from '../support/native-addon.js'
import {needing, root} from '../support/needing.js'

// One after another: each starts processes, and some wait for time to pass.
const test = ava.serial

const numbers = (records: readonly Record<string, unknown>[]): number[] =>
  records.map(({flowId}) => flowId as number)
const upTo = (count: number): number[] => Array.from({length: count}, (_, i) => i)

function exporting(t: ExecutionContext, ...args: string[]): Running {
  return start(t, bin, ['ipfix-export', ...args])
}

/** What an account says: `1000 records in, 990 out`, and the counts of its reasons. */
function account(words: string, destination: string): Record<string, number> {
  const line = words.split('\n').findLast((one) => one.includes(`: to ${destination}: `)) ?? ''
  const [, taken, out] = /: (-?\d+) records in, (-?\d+) out/.exec(line) ?? []
  const reasons = [...line.matchAll(/([a-z][a-z-]+) (\d+)(?=[,)]|$)/g)]
  return {
    in: Number(taken),
    out: Number(out),
    ...Object.fromEntries(reasons.map(([, why, n]) => [why, Number(n)])),
  }
}

const withoutAddon = {...process.env, DARTA_NATIVE: '0'}

for (const [what, env] of [
  ['', process.env],
  [', also without the addon', withoutAddon],
] as const) {
  test(`all records arrive over TCP in one session that breaks no rule${what}`, async (t) => {
    const collector = await tcpCollector(t)
    const to = `tcp://127.0.0.1:${collector.port}`
    const before = Math.floor(Date.now() / 1000)
    const {code, stderr} = await darta(t, ['ipfix-export', to], numberedRecords(20000), {env})
    t.is(code, 0, stderr)
    t.is(collector.sessions.length, 1)
    const {octets} = collector.sessions[0]
    const {records, faults} = decoded(octets)
    t.deepEqual(numbers(records), upTo(20000))
    t.deepEqual(faults, [])
    // The header says when the Message left, not when the original did.
    t.true(octets.readUInt32BE(4) >= before)
    t.deepEqual(account(stderr, to), {in: 20000, out: 20000, connections: 1})
    const check = await darta(t, ['info', '--check', '-q'], octets)
    t.is(check.code, 0, check.stdout.toString())
  })

  test(`all records arrive over UDP, Templates first and more than once${what}`, async (t) => {
    const collector = await udpCollector(t)
    const to = `udp://127.0.0.1:${collector.port}`
    const rate = ['--rate', '20k']
    const {code, stderr} = await darta(t, ['ipfix-export', to, ...rate], numberedRecords(3000), {
      env,
    })
    t.is(code, 0, stderr)
    await collector.until(() => countRecords(Buffer.concat(collector.datagrams)) === 3000)
    const longest = Math.max(...collector.datagrams.map(({length}) => length))
    t.true(longest <= (what === '' && native === undefined ? 1472 : 512), String(longest))
    for (const datagram of collector.datagrams) t.is(datagram.readUInt16BE(2), datagram.length)
    const announcements = collector.datagrams.filter((datagram) => datagram.readUInt16BE(16) === 2)
    t.true(announcements.length >= 3)
    t.is(collector.datagrams[0].readUInt16BE(16), 2)
    t.is(collector.datagrams[1].readUInt16BE(16), 2)
    const {records, faults} = decoded(Buffer.concat(collector.datagrams))
    t.deepEqual(numbers(records), upTo(3000))
    t.deepEqual(faults, [])
  })
}

test('records arrive over a Unix socket', async (t) => {
  const path = join(folder(t), 'socket')
  const collector = await tcpCollector(t, {path})
  const {code, stderr} = await darta(t, ['ipfix-export', `unix:${path}`], numberedRecords(500))
  t.is(code, 0, stderr)
  t.deepEqual(numbers(decoded(collector.sessions[0].octets).records), upTo(500))
})

test('NDJSON is sent as IPFIX', async (t) => {
  const collector = await tcpCollector(t)
  const line = '{"sourceIPv4Address":"192.0.2.1","octetDeltaCount":7}\n'
  const {code} = await darta(t, ['ipfix-export', `tcp://127.0.0.1:${collector.port}`], line)
  t.is(code, 0)
  t.like(decoded(collector.sessions[0].octets).records[0], {octetDeltaCount: 7})
})

test('each Observation Domain keeps its ID and has sequence numbers of its own', async (t) => {
  const collector = await tcpCollector(t)
  const place = folder(t)
  const files = [7, 4294967295].map((domain) => {
    const path = join(place, `${domain}.ipfix`)
    writeFileSync(path, numberedRecords(300, 0, {domain}))
    return path
  })
  const args = files.flatMap((file) => ['-r', file])
  const {code} = await darta(t, ['ipfix-export', ...args, `tcp://127.0.0.1:${collector.port}`])
  t.is(code, 0)
  const {octets} = collector.sessions[0]
  const next = new Map<number, number>()
  for (let at = 0; at < octets.length; at += octets.readUInt16BE(at + 2)) {
    const domain = octets.readUInt32BE(at + 12)
    t.true((next.get(domain) ?? 0) <= octets.readUInt32BE(at + 8))
    next.set(domain, octets.readUInt32BE(at + 8))
  }
  t.deepEqual([...next.keys()], [7, 4294967295])
  const {records, faults} = decoded(octets)
  t.is(records.length, 600)
  t.deepEqual(faults, [])
})

test('a destination that is not there loses all, counted, and holds up no other', async (t) => {
  const gone = await tcpCollector(t)
  gone.kill()
  const collector = await tcpCollector(t)
  const dead = `tcp://127.0.0.1:${gone.port}`
  const live = `tcp://127.0.0.1:${collector.port}`
  const args = ['ipfix-export', '--linger', '0', '--queue', '100k', dead, live]
  const {code, stderr} = await darta(t, args, numberedRecords(30000))
  t.is(code, 1)
  t.deepEqual(numbers(decoded(collector.sessions[0].octets).records), upTo(30000))
  const lost = account(stderr, dead)
  t.is(lost.in, 30000)
  t.is(lost.out, 0)
  t.is(lost['queue-full'] + lost.undelivered, 30000)
  t.true(lost['queue-full'] > 0)
  t.regex(stderr, /cannot connect: connection refused; tries again every 60 s/)
  t.regex(stderr, /records could not be delivered \(DARTA_UNDELIVERED\)/)
})

test('a peer that takes nothing loses exactly what there is no room for', async (t) => {
  const blocked = await tcpCollector(t, {paused: true})
  const collector = await tcpCollector(t)
  const names = [blocked, collector].map(({port}) => `tcp://127.0.0.1:${port}`)
  const count = 120_000
  const place = join(folder(t), 'in.ipfix')
  writeFileSync(place, numberedRecords(count))
  const limits = ['--queue', '300k', '--linger', '0', '--stall', '500ms']
  const running = exporting(t, '-r', place, ...limits, ...names)
  // The other one has got all: the blocked one holds it up no longer.
  await collector.until(() => collector.sessions[0]?.ended === true)
  const {stderr} = await running.ended
  blocked.sessions[0].socket?.resume()
  await blocked.until(() => blocked.sessions[0].ended)
  t.is(decoded(collector.sessions[0].octets).records.length, count)
  const got = decoded(blocked.sessions[0].octets).records.length
  const told = account(stderr, names[0])
  t.is(told.in, count)
  t.is(got + told['queue-full'] + (told.undelivered ?? 0), count, stderr)
  t.true(told['queue-full'] > 0, stderr)
})

test('a session that breaks is followed by one that begins anew, and nothing is lost', async (t) => {
  const first = await tcpCollector(t)
  const to = `tcp://127.0.0.1:${first.port}`
  const running = exporting(t, '--reconnect', '50ms', to)
  running.child.stdin.write(numberedRecords(4000))
  await first.until(() => countRecords(first.sessions[0]?.octets ?? Buffer.alloc(0)) > 0)
  first.kill()
  const second = await tcpCollector(t, {port: first.port})
  running.child.stdin.end(numberedRecords(4000, 4000))
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  const later = decoded(second.sessions[0].octets)
  t.deepEqual(later.faults, [])
  t.is(second.sessions[0].octets.readUInt32BE(8), 0)
  const one = numbers(decoded(first.sessions[0].octets).records)
  const two = numbers(later.records)
  t.deepEqual(
    [...new Set([...one, ...two])].sort((a, b) => a - b),
    upTo(8000),
  )
  const told = account(stderr, to)
  t.is(told.in, 8000)
  t.is(told.out, 8000)
  t.true(one.length + two.length - 8000 <= told['in-doubt'], stderr)
})

test('with --spill an outage loses nothing, and neither does kill -9 in it', async (t) => {
  const place = join(folder(t), 'spool')
  const gone = await tcpCollector(t)
  gone.kill()
  const to = `tcp://127.0.0.1:${gone.port}`
  const running = exporting(t, '--spill', place, to)
  running.child.stdin.write(numberedRecords(5000))
  await running.says(/cannot connect/)
  const stored = (): number =>
    existsSync(place)
      ? readdirSync(place)
          .filter((name) => /^\d+\.ipfix$/.test(name))
          .reduce((n, name) => n + statSync(join(place, name)).size, 0)
      : 0
  while (stored() < 5000 * 50) await new Promise((resolve) => setTimeout(resolve, 20))
  const told = running.says(/in, 0 out/)
  running.child.kill('SIGUSR1')
  await told
  running.child.kill('SIGKILL')
  await running.ended
  // What another process wrote in part is no Message.
  const collector = await tcpCollector(t, {port: gone.port})
  const {code, stderr} = await darta(
    t,
    ['ipfix-export', '--spill', place, to],
    numberedRecords(1000, 5000),
  )
  t.is(code, 0, stderr)
  const {records, faults} = decoded(collector.sessions[0].octets)
  t.deepEqual(numbers(records), upTo(6000))
  t.deepEqual(faults, [])
  t.regex(stderr, /5000 records from before go first/)
  t.deepEqual(account(stderr, to), {in: 6000, out: 6000, connections: 1})
  // Nothing is left to send.
  const again = await darta(t, ['ipfix-export', '--spill', place, to])
  t.is(again.code, 0, again.stderr)
  t.is(account(again.stderr, to).in, 0)
})

test('what is left in a spill folder at the end stays, and is no loss', async (t) => {
  const place = join(folder(t), 'spool')
  const gone = await tcpCollector(t)
  gone.kill()
  const to = `tcp://127.0.0.1:${gone.port}`
  const args = ['ipfix-export', '--linger', '0', '--spill', place]
  const {code, stderr} = await darta(t, [...args, to], numberedRecords(100))
  t.is(code, 0, stderr)
  t.regex(stderr, /100 records are kept/)
  const other = await darta(t, [...args, 'tcp://127.0.0.1:1'])
  t.is(other.code, 1)
  t.regex(other.stderr, /holds records for tcp:.*: name it as a destination too/)
})

test('SIGHUP tries again at once what waits for its time', async (t) => {
  const gone = await tcpCollector(t)
  gone.kill()
  const running = exporting(t, `tcp://127.0.0.1:${gone.port}`)
  running.child.stdin.write(numberedRecords(10))
  await running.says(/cannot connect/)
  const collector = await tcpCollector(t, {port: gone.port})
  running.child.kill('SIGHUP')
  await collector.until(() => countRecords(collector.sessions[0]?.octets ?? Buffer.alloc(0)) === 10)
  running.child.stdin.end()
  t.is((await running.ended).code, 0)
})

test('SIGTERM sends what is held and ends in order', async (t) => {
  const collector = await tcpCollector(t)
  const running = exporting(t, `tcp://127.0.0.1:${collector.port}`)
  running.child.stdin.write(numberedRecords(2000))
  await collector.until(() => collector.sessions.length === 1)
  running.child.kill('SIGTERM')
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  t.deepEqual(numbers(decoded(collector.sessions[0].octets).records), upTo(2000))
})

test('--rate holds the sender back', async (t) => {
  const collector = await tcpCollector(t)
  const begun = performance.now()
  const args = ['ipfix-export', '--rate', '2k', `tcp://127.0.0.1:${collector.port}`]
  const {code} = await darta(t, args, numberedRecords(1000))
  t.is(code, 0)
  // The first go at once; the last cannot come before the others' time.
  t.true(performance.now() - begun > 400)
  t.is(decoded(collector.sessions[0].octets).records.length, 1000)
})

test('--replay keeps to the time of the original', async (t) => {
  const collector = await tcpCollector(t)
  const exportTime = (n: number): number => 1_700_000_000 + Math.floor(n / 100)
  const begun = performance.now()
  const to = `tcp://127.0.0.1:${collector.port}`
  const args = ['ipfix-export', '--replay', '10', to]
  const running = start(t, bin, args)
  running.child.stdin.end(numberedRecords(1000, 0, {exportTime}))
  const {code} = await running.ended
  t.is(code, 0)
  // Nine seconds of the original.
  t.true(performance.now() - begun > 900)
  t.deepEqual(numbers(decoded(collector.sessions[0].octets).records), upTo(1000))
})

needing(native)(
  'a UDP Collector that comes back gets what it did not take, Templates first',
  async (t) => {
    const first = await udpCollector(t)
    const to = `udp://127.0.0.1:${first.port}`
    const running = exporting(t, to)
    running.child.stdin.write(numberedRecords(50))
    await first.until(() => countRecords(Buffer.concat(first.datagrams)) === 50)
    await new Promise((resolve) => setTimeout(resolve, 300))
    first.kill()
    running.child.stdin.write(numberedRecords(20, 50))
    running.child.stdin.write(numberedRecords(20, 70))
    const second = await udpCollector(t, first.port)
    running.child.stdin.end(numberedRecords(20, 90))
    await second.until(() => countRecords(Buffer.concat(second.datagrams)) >= 20)
    const {code, stderr} = await running.ended
    t.is(code, 0, stderr)
    const got = new Set([
      ...numbers(decoded(Buffer.concat(first.datagrams)).records),
      ...numbers(decoded(Buffer.concat(second.datagrams)).records),
    ])
    t.true(got.size >= 90, stderr)
    t.is(account(stderr, to).in, 110)
  },
)

for (const [as, lost] of [
  ['netflow5', {'counter-range': 2, 'time-range': 1}],
  ['netflow9', {'time-range': 1}],
  ['sflow', {'counter-range': 2}],
] as const) {
  test(`what numbers of ${as} have no room for is counted, and the rest is sent`, async (t) => {
    const collector = await udpCollector(t)
    const to = `udp://127.0.0.1:${collector.port}`
    const flow = templateOf([
      ...[ie.sourceIPv4Address, ie.destinationIPv4Address],
      ...[ie.packetDeltaCount, ie.octetDeltaCount, ie.flowStartMilliseconds],
    ])
    const [from, til] = ['192.0.2.1', '192.0.2.2'].map(address)
    const time = 1_700_000_000_000n
    const rows = [
      [from, til, 1n, 60n, time],
      [from, til, 1n, 2n ** 64n - 1n, time],
      [from, til, 1n, 2n ** 53n - 1n, time],
      [from, til, 1n, 70n, 2n ** 64n - 1n],
      [from, til, 1n, 80n, time],
    ]
    const encoder = createEncoder({ledger: new Ledger()})
    const input = Buffer.concat([...encoder.push([batchOf(flow, rows)]), ...encoder.end()])
    const {code, stderr} = await darta(t, ['ipfix-export', '--as', as, to], input)
    t.is(code, 0, stderr)
    const skipped = Object.entries(lost)
      .map(([why, n]) => `${why} ${n}`)
      .join(', ')
    const n = Object.values(lost).reduce((a, b) => a + b, 0)
    const words = `: ${as}: 5 records in, ${5 - n} out, skipped ${n} (${skipped})`
    t.true(stderr.includes(words), stderr)
    await collector.until(() => collector.datagrams.length > 0)
  })
}

test('over UDP Templates come again at their interval', async (t) => {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const running = exporting(t, '--template-refresh', '150ms', to)
  running.child.stdin.write(numberedRecords(3))
  const announcements = (): number =>
    collector.datagrams.filter((datagram) => datagram.readUInt16BE(16) === 2).length
  // Two at first, one ahead of the first use and one with it, and three at their time.
  await collector.until(() => announcements() >= 7)
  running.child.stdin.end()
  const {code, stderr} = await running.ended
  t.is(code, 0, stderr)
  t.true(account(stderr, to)['template-refresh'] >= 3)
  const {records, faults} = decoded(Buffer.concat(collector.datagrams))
  t.deepEqual(numbers(records), upTo(3))
  t.deepEqual(faults, [])
})

test('over UDP Templates that come again when the input has ended do not end what is left of it', async (t) => {
  const collector = await udpCollector(t)
  const to = `udp://127.0.0.1:${collector.port}`
  const args = ['ipfix-export', '--template-refresh', '100ms', '--rate', '2k', to]
  const {code, stderr} = await darta(t, args, numberedRecords(3000))
  t.is(code, 0, stderr)
  const told = account(stderr, to)
  t.like(told, {in: 3000, out: 3000})
  t.true(told['template-refresh'] >= 2, stderr)
  await collector.until(() => countRecords(Buffer.concat(collector.datagrams)) >= 3000)
  const {records, faults} = decoded(Buffer.concat(collector.datagrams))
  t.deepEqual(numbers(records), upTo(3000))
  t.deepEqual(faults, [])
})

needing(noNamespaces, native)(
  'a path that carries less makes Messages shorter, and records stay whole',
  async (t) => {
    const place = host(t)
    place.run('ip', 'link', 'set', 'lo', 'mtu', '1400')
    const keeper = join(root, 'build/test/support/keep-datagrams.js')
    const keeping = startAt(t, place, [process.execPath, keeper])
    await keeping.says(/ready \d+/)
    const port = /ready (\d+)/.exec(keeping.words())![1]
    const lengths = (): number[] =>
      [...keeping.words().matchAll(/length (\d+)/g)].map(([, length]) => Number(length))
    const to = `udp://127.0.0.1:${port}`
    const sending = startAt(t, place, [bin, 'ipfix-export', '--rate', '5k', to])
    sending.child.stdin.write(numberedRecords(200))
    await keeping.says(/length 1[23]\d\d/)
    place.run('ip', 'link', 'set', 'lo', 'mtu', '700')
    sending.child.stdin.end(numberedRecords(200, 200))
    const {code, stderr} = await sending.ended
    t.is(code, 0, stderr)
    // 28 octets are headers of IP and UDP.
    t.true(Math.max(...lengths()) <= 1372)
    t.true(Math.max(...lengths().slice(-2)) <= 672)
    await keeping.gives(lengths().reduce((sum, length) => sum + length, 0))
    keeping.child.kill('SIGTERM')
    const {stdout} = await keeping.ended
    const got = numbers(decoded(stdout).records)
    t.deepEqual(
      [...new Set(got)].sort((a, b) => a - b),
      upTo(400),
    )
  },
)

for (const [args, words] of [
  [[], /give at least one destination/],
  [['sctp://host'], /expected udp:/],
  [['tcp://a', 'tcp://a:4739'], /tcp:\/\/a:4739 is given twice/],
  [['tls://a'], /tls:\/\/a:4740 needs --tls-cert, --tls-key, --tls-ca/],
  [['tcp://a', '--tls-ca', 'x'], /--tls-ca is for tls/],
  [['tcp://a', '--replay', '0'], /expected a speed/],
  [['tcp://a', '--max-message', '10'], /expected 64 to 65535 octets/],
] as const) {
  test(`refuses ${['ipfix-export', ...args].join(' ')}`, async (t) => {
    const {code, stderr} = await darta(t, ['ipfix-export', ...args])
    t.is(code, 2)
    t.regex(stderr, words)
  })
}

test('the lab capture goes through pipes to a Collector without a record lost', async (t) => {
  const collector = await tcpCollector(t)
  const running = start(t, 'sh', [
    '-c',
    `'${bin}' capture -q -r '${join(root, 'test/fixtures/lab.pcap')}' | '${bin}' ipfix-export tcp://127.0.0.1:${collector.port}`,
  ])
  const {code} = await running.ended
  t.is(code, 0)
  const {records, faults} = decoded(collector.sessions[0].octets)
  t.is(records.filter(({_scope}) => _scope === undefined).length, 724)
  t.deepEqual(faults, [])
})
