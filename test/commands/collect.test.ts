import test, {type ExecutionContext} from 'ava'
import {createSocket} from 'node:dgram'
import {once} from 'node:events'
import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {connect, type Socket} from 'node:net'
import {join} from 'node:path'
import {setTimeout as delay} from 'node:timers/promises'
import {connect as connectTls, type ConnectionOptions} from 'node:tls'
import {
  ipfix,
  ipfixTemplate,
  netflow5,
  netflow9,
  netflow9Template,
  sflow,
} from '../mediation/collecting.js'
import {authority, noCertificates} from '../support/certificates.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {native} from '../support/native-addon.js'
import {needing} from '../support/needing.js'

/** A collector that listens; the ports are those of the endpoints in their order by transport: UDP first. */
async function listening(
  t: ExecutionContext,
  endpoints: readonly string[],
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Running & {readonly ports: number[]}> {
  const running = start(t, bin, ['collect', ...endpoints, ...args], {
    env: {...process.env, ...env},
  })
  // Whole lines, since the ports stand at their ends; others may follow at once.
  await running.says(new RegExp(`(listening on [^\\n]*\\n[^]*){${endpoints.length}}`))
  const ports = [...running.words().matchAll(/listening on \w+:.*?:(\d+)$/gm)].map(([, port]) =>
    Number(port),
  )
  return {...running, ports}
}

/** Resolves when the kernel has taken all. */
async function sendDatagrams(port: number, datagrams: readonly Uint8Array[]): Promise<void> {
  const socket = createSocket('udp4')
  for (const datagram of datagrams) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()))
    })
  }
  socket.close()
}

/** A connection that the other side may break; what it says is not looked at. */
function dial(to: number | string): {socket: Socket; closed: Promise<void>} {
  const socket = typeof to === 'string' ? connect(to) : connect(to, '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.resume()
  return {socket, closed}
}

async function stopped({child, ended}: Running): Promise<{stdout: Buffer; stderr: string}> {
  child.kill('SIGTERM')
  const {code, stdout, stderr} = await ended
  if (code !== 0) throw new Error(`ended with ${String(code)}: ${stderr}`)
  return {stdout, stderr}
}

interface Line {
  readonly [name: string]: unknown
}

function linesOf(stdout: Buffer): Line[] {
  const text = stdout.toString().trim()
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Line)
}

async function recordsOf(t: ExecutionContext, ...files: string[]): Promise<Line[]> {
  const reads = files.flatMap((file) => ['-r', file])
  const {stdout, code, stderr} = await darta(t, ['print', '-q', '-o', 'ndjson', ...reads])
  t.is(code, 0, stderr)
  return linesOf(stdout)
}

const isData = (line: Line): boolean => !('_scope' in line)

for (const [how, env, needs] of [
  ['by the addon', {}, native],
  ['without the addon', {DARTA_NATIVE: '0'}, undefined],
] as const) {
  needing(needs)(
    `takes every protocol on one port and stops with all of it written, ${how}`,
    async (t) => {
      const collector = await listening(t, ['udp://127.0.0.1:0'], ['-o', 'ndjson'], env)
      await sendDatagrams(collector.ports[0], [
        netflow5({sequence: 0, records: 30}),
        netflow9Template({sequence: 0}),
        netflow9({sequence: 1, records: 20}),
        ipfixTemplate({sequence: 0}),
        ipfix({sequence: 0, records: 10}),
        sflow({sequence: 0, sample: 0}),
      ])
      const {stdout} = await stopped(collector)
      const data = linesOf(stdout).filter(isData)
      t.is(data.length, 61)
      for (const one of data) {
        t.is(one.originalExporterIPv4Address, '127.0.0.1')
        t.regex(String(one.collectionTimeMilliseconds), /^20/)
      }
      const losses = linesOf(stdout).filter((one) => 'dartaCollectedRecordTotalCount' in one)
      t.deepEqual(
        losses.map((one) => [one.dartaExportProtocol, one.dartaCollectedRecordTotalCount]).sort(),
        [
          ['ipfix', 10],
          ['netflow5', 30],
          ['netflow9', 20],
          ['sflow', 1],
        ],
      )
      const sockets = linesOf(stdout).filter((one) => 'collectorTransportPort' in one)
      t.deepEqual(
        sockets.map((one) => [one.packetTotalCount, one.ignoredPacketTotalCount]),
        [[6, 0]],
      )
    },
  )
}

for (const [output, args] of [
  ['NDJSON', ['-o', 'ndjson']],
  ['IPFIX', ['-o', 'ipfix']],
] as const) {
  // Written as IPFIX, what is plain is passed on without a look at the session that it is of.
  test(`strangers with nothing but Templates push out no Exporter that sends records, which become ${output}`, async (t) => {
    const collector = await listening(t, ['udp://127.0.0.1:0'], [...args, '--max-sessions', '40'])
    const [port] = collector.ports
    const honest = createSocket('udp4')
    t.teardown(() => honest.close())
    const say = (datagram: Uint8Array): Promise<unknown> =>
      new Promise((resolve) => honest.send(datagram, port, '127.0.0.1', resolve))
    await say(ipfixTemplate({sequence: 0}))
    let sequence = 0
    for (let stranger = 0; stranger < 400; stranger++) {
      // A port of its own, as an address of its own would be.
      await sendDatagrams(port, [ipfixTemplate({sequence: 0})])
      if (stranger % 5 !== 0) continue
      await say(ipfix({sequence, records: 10}))
      sequence += 10
    }
    const {stdout, stderr} = await stopped(collector)
    t.regex(stderr, new RegExp(`: ipfix: ${sequence} records in, ${sequence} out\\n`))
    const evicted = Number(/session-evicted (\d+)/.exec(stderr)?.[1])
    t.true(evicted > 300, stderr)
    if (output === 'NDJSON') {
      const records = linesOf(stdout).filter(isData)
      t.is(records.filter((one) => !('dartaExportProtocol' in one)).length, sequence)
    }
  })
}

test('takes IPFIX over TCP and Unix sockets, each connection a session, and stops with all of it written', async (t) => {
  const path = join(folder(t), 'collect.sock')
  const collector = await listening(
    t,
    ['tcp://127.0.0.1:0', `unix:${path}`],
    ['-o', 'ndjson', '--strict-loss'],
  )
  t.is(statSync(path).mode & 0o777, 0o600)
  const sockets: Socket[] = []
  for (let i = 0; i < 4; i++) {
    const {socket} = dial(i % 2 === 0 ? collector.ports[0] : path)
    await once(socket, 'connect')
    sockets.push(socket)
    // The same Template number means another thing in each connection.
    socket.write(ipfixTemplate({sequence: 0, domain: i}))
    for (let n = 0; n < 50; n++) socket.write(ipfix({sequence: 2 * n, records: 2, domain: i}))
  }
  for (const [i, socket] of sockets.entries()) if (i < 2) socket.end()
  // The other two are still open when the collector is told to stop.
  await new Promise<void>((resolve) => sockets[3].write('', () => resolve()))
  const {stdout, stderr} = await stopped(collector)
  t.is(linesOf(stdout).filter(isData).length, 400, stderr)
  for (const socket of sockets) socket.destroy()
})

test('a Template that a connection redefines without withdrawing it is noted as a fault', async (t) => {
  const collector = await listening(t, ['tcp://127.0.0.1:0'], ['-o', 'null'])
  const {socket, closed} = dial(collector.ports[0])
  socket.write(ipfixTemplate({sequence: 0}))
  const other = ipfixTemplate({sequence: 0})
  other[25] = 12
  socket.end(other)
  await closed
  const {stderr} = await stopped(collector)
  t.regex(stderr, /ipfix-messages: 2 messages in, 2 out, noted template-redefined 1/)
})

test('what is no IPFIX ends a connection, and others go on', async (t) => {
  const collector = await listening(t, ['tcp://127.0.0.1:0'], ['-o', 'ndjson'])
  const {socket: good, closed: done} = dial(collector.ports[0])
  good.write(ipfixTemplate({sequence: 0}))
  const {socket: bad, closed: ended} = dial(collector.ports[0])
  // Messages that say they are shorter than their header, each between two whole ones.
  const broken = new Uint8Array(28)
  broken.set(ipfixTemplate({sequence: 0}))
  broken[19] = 3
  for (let i = 0; i < 200; i++) bad.write(broken)
  await ended
  good.end(ipfix({sequence: 0, records: 5}))
  await done
  const {stdout, stderr} = await stopped(collector)
  t.is(linesOf(stdout).filter(isData).length, 5)
  t.regex(stderr, /damaged Messages in a row/)
})

needing(noCertificates)(
  'over TLS takes nothing from whom it cannot verify, says why, and goes on',
  async (t) => {
    const place = folder(t)
    const ours = authority(place)
    const others = authority(place, 'other')
    const own = ours.issue('localhost')
    const collector = await listening(
      t,
      ['tls://127.0.0.1:0'],
      ['--tls-cert', own.cert, '--tls-key', own.key, '--tls-ca', ours.ca].concat([
        '--tls-peer',
        'router.example.net',
        '-o',
        'ndjson',
      ]),
    )
    const attempt = async (options: ConnectionOptions): Promise<void> => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: collector.ports[0],
        ca: readFileSync(ours.ca),
        servername: 'localhost',
        ...options,
      })
      socket.on('error', () => {})
      socket.write(Buffer.concat([ipfixTemplate({sequence: 0}), ipfix({sequence: 0, records: 3})]))
      socket.end()
      await new Promise<void>((resolve) => socket.resume().once('close', () => resolve()))
    }
    const identity = ({cert, key}: {cert: string; key: string}): ConnectionOptions => ({
      cert: readFileSync(cert),
      key: readFileSync(key),
    })
    const said = async (pattern: RegExp): Promise<void> => collector.says(pattern)
    await attempt({})
    await said(/was refused: .*peer did not return a certificate/)
    // A line a second at most: what is said of the next ones is counted.
    await attempt(identity(others.issue('router.example.net')))
    await attempt(identity(ours.issue('router.example.net', -1)))
    await attempt(identity(ours.issue('mallory.example.net')))
    await attempt({
      ...identity(ours.issue('router.example.net')),
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
    })
    await attempt(identity(ours.issue('router.example.net')))
    const {stdout, stderr} = await stopped(collector)
    t.is(linesOf(stdout).filter(isData).length, 3, stderr)
    t.regex(stderr, /connections: 6 messages in, 1 out, lost 5 \(refused 5\)/)
  },
)

test('takes only what is allowed, and another list after SIGHUP', async (t) => {
  const list = join(folder(t), 'allow')
  writeFileSync(list, '192.0.2.0/24 # nobody here\n')
  const collector = await listening(
    t,
    ['udp://127.0.0.1:0', 'tcp://127.0.0.1:0'],
    ['-o', 'ndjson', '--allow', `@${list}`, '-l', '-v'],
  )
  const [udp, tcp] = collector.ports
  await sendDatagrams(udp, [netflow5({sequence: 0})])
  await dial(tcp).closed
  // By the old list: what is still on its way when the new one is read is taken by that.
  while (!collector.words().includes('not-allowed 1')) {
    collector.child.kill('SIGUSR1')
    await delay(20)
  }
  writeFileSync(list, '127.0.0.0/8\n')
  collector.child.kill('SIGHUP')
  await collector.says(/read --allow again/)
  await sendDatagrams(udp, [netflow5({sequence: 1, records: 2})])
  await collector.gives(1)
  const {stdout, stderr} = await stopped(collector)
  t.is(linesOf(stdout).filter(isData).length, 2)
  t.regex(stderr, /datagrams: 2 packets in, 1 out, skipped 1 \(not-allowed 1\)/)
})

test('makes a file for each period, also where nothing comes, and runs a command for each', async (t) => {
  const place = folder(t)
  const hook = join(place, 'seen')
  const collector = await listening(
    t,
    ['udp://127.0.0.1:0'],
    ['-w', join(place, 'x-%H%M%S.ipfix'), '-G', '1s', '-S', '%Y/%m', '-v', '-I', 'here'].concat([
      '-x',
      `sh -c 'echo "$0 $1 $2" >> ${hook}' %b %u %i`,
    ]),
  )
  await collector.says(/(?:[^\n]*wrote[^\n]*\n){2}/)
  await sendDatagrams(collector.ports[0], [netflow5({sequence: 0, records: 3})])
  await collector.says(/(?:[^\n]*wrote[^\n]*\n){5}/)
  await stopped(collector)
  const files = readdirSync(place, {recursive: true, withFileTypes: true})
    .filter((one) => one.name.startsWith('x-'))
    .map((one) => join(one.parentPath, one.name))
    .sort()
  t.true(files.length >= 5)
  t.true(
    files.every((file) => /\/\d{4}\/\d\d\/x-\d{6}\.ipfix$/.test(file)),
    files.join(),
  )
  const counts = await Promise.all(
    files.map(async (file) => (await recordsOf(t, file)).filter(isData).length),
  )
  t.is(
    counts.reduce((a, b) => a + b),
    3,
  )
  const seen = readFileSync(hook, 'utf8').trim().split('\n')
  t.is(seen.length, files.length)
  for (const line of seen) t.regex(line, /^x-\d{6}\.ipfix \d{10} here$/)
  const starts = seen.map((line) => Number(line.split(' ')[1]))
  // No period is left out, whatever else the machine does.
  t.deepEqual(
    starts,
    starts.map((_, i) => starts[0] + i),
  )
})

test('files are cut at the times of their records, the same whenever they are read', async (t) => {
  const place = folder(t)
  const times = [0, 50, 61, 62, 200, 201].map(
    (after) => 1_700_000_000 - (1_700_000_000 % 60) + after,
  )
  const input = join(place, 'in.ipfix')
  writeFileSync(
    input,
    Buffer.concat([
      ipfixTemplate({sequence: 0, time: times[0]}),
      ...times.map((time, i) => ipfix({sequence: i, time})),
    ]),
  )
  const {code, stderr} = await darta(t, [
    'collect',
    ...['-r', input, '-w', join(place, 'out-%H%M.ipfix'), '-G', '60', '-z', 'gzip'],
  ])
  t.is(code, 0, stderr)
  const files = readdirSync(place).filter((name) => name.startsWith('out-'))
  const data = await Promise.all(
    files.sort().map(async (name) => (await recordsOf(t, join(place, name))).filter(isData).length),
  )
  t.deepEqual(data, [2, 2, 0, 2])
})

test('a collector that is started again in the same period leaves the old file as it is', async (t) => {
  const place = folder(t)
  for (let i = 0; i < 2; i++) {
    const pattern = join(place, '%Y.ipfix')
    const collector = await listening(t, ['udp://127.0.0.1:0'], ['-w', pattern, '-G', '365d'])
    await sendDatagrams(collector.ports[0], [netflow5({sequence: 0, records: 2 + i})])
    await stopped(collector)
  }
  const files = readdirSync(place).sort()
  t.is(files.length, 2)
  t.true(files[1].startsWith(`${files[0]}.`), files.join())
  const counts = await Promise.all(
    files.map(async (file) => (await recordsOf(t, join(place, file))).filter(isData).length),
  )
  t.deepEqual(counts, [2, 3])
})

needing(native)(
  'what the kernel has no room for is counted: received and dropped are what was sent',
  async (t) => {
    const collector = await listening(t, ['udp://127.0.0.1:0'], ['-o', 'null', '-B', '8k'])
    collector.child.kill('SIGSTOP')
    const sent = 2000
    await sendDatagrams(
      collector.ports[0],
      Array.from({length: sent}, (_, i) => netflow5({sequence: 30 * i, records: 30})),
    )
    collector.child.kill('SIGCONT')
    const {stderr} = await stopped(collector)
    const [, taken, out, dropped] =
      /sockets: (\d+) packets in, (\d+) out, lost (\d+) \(socket-full/.exec(stderr) ?? []
    t.is(Number(taken), sent, stderr)
    t.is(Number(out) + Number(dropped), sent)
    t.true(Number(dropped) > 0)
  },
)

test('says where it cannot listen and leaves no file', async (t) => {
  const collector = await listening(t, ['tcp://127.0.0.1:0'])
  const out = join(folder(t), 'out.ipfix')
  const {code, stderr} = await darta(t, [
    ...['collect', `tcp://127.0.0.1:${collector.ports[0]}`, '-w', out],
  ])
  t.is(code, 1)
  t.regex(stderr, /cannot listen on tcp:.*EADDRINUSE \(DARTA_LISTEN\)/)
  t.throws(() => statSync(out))
  await stopped(collector)
})

test('ends quietly when the reader of its output goes away', async (t) => {
  const collector = await listening(t, ['udp://127.0.0.1:0'], ['-o', 'ndjson', '-l'])
  collector.child.stdout.destroy()
  await sendDatagrams(collector.ports[0], [netflow5({sequence: 0}), netflow5({sequence: 1})])
  const {code, stderr} = await collector.ended
  t.is(code, 141)
  t.notRegex(stderr, /Error|EPIPE/)
})

test('Templates of an Exporter that goes on survive in --template-cache, for its own address and port only', async (t) => {
  const cache = join(folder(t), 'templates.json')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const send = (octets: Uint8Array, port: number): Promise<void> =>
    new Promise((resolve) => socket.send(octets, port, '127.0.0.1', () => resolve()))
  const args = ['-o', 'ndjson', '--no-losses', '--template-cache', cache]
  const before = await listening(t, ['udp://127.0.0.1:0'], args)
  const [port] = before.ports
  await send(ipfixTemplate({sequence: 0}), port)
  await stopped(before)
  const after = await listening(t, [`udp://127.0.0.1:${port}`], args)
  await send(ipfix({sequence: 7, records: 2}), port)
  // The same domain from another port: its Template was never seen.
  await sendDatagrams(port, [ipfix({sequence: 0, records: 9})])
  await after.says(/1 Templates of ipfix restored/)
  const {stdout, stderr} = await stopped(after)
  t.is(linesOf(stdout).filter(isData).length, 2, stderr)
  t.regex(stderr, /lost 1 \(no-template 1/)
  writeFileSync(cache, '{"version":1}')
  const {code, stderr: words} = await darta(t, ['collect', 'udp://127.0.0.1:0', ...args])
  t.is(code, 1)
  t.regex(words, /is no cache of Templates/)
})

test('--time-window says for each file when its first Flow began and its last one ended', async (t) => {
  const place = folder(t)
  const input = join(place, 'in')
  // Two datagrams a minute apart, each with a Flow of 1 s that ended 10 s before its export.
  const datagrams = [0, 60].map((after) => {
    const octets = netflow5({sequence: after, records: 1, time: 1_700_000_000 + after})
    const view = new DataView(octets.buffer)
    view.setUint32(24 + 24, 60_000 - 11_000)
    view.setUint32(24 + 28, 60_000 - 10_000)
    return octets
  })
  for (const [i, octets] of datagrams.entries()) writeFileSync(`${input}${i}`, octets)
  const {code, stderr} = await darta(t, [
    ...['collect', '-r', `${input}0`, '-r', `${input}1`, '--time-window', '--no-losses'],
    ...['-w', join(place, '%H%M.ipfix'), '-G', '1m'],
  ])
  t.is(code, 0, stderr)
  const files = readdirSync(place).filter((name) => name.endsWith('.ipfix'))
  t.is(files.length, 2)
  const windows = await Promise.all(
    files.sort().map(async (name) => {
      const records = await recordsOf(t, join(place, name))
      const [window, ...more] = records.filter((one) => 'minFlowStartMilliseconds' in one)
      t.deepEqual(more, [])
      return [
        window.minFlowStartMilliseconds,
        window.maxFlowEndMilliseconds,
        window.maxExportSeconds,
      ]
    }),
  )
  t.deepEqual(windows, [
    ['2023-11-14T22:13:09.000Z', '2023-11-14T22:13:10.000Z', '2023-11-14T22:13:20Z'],
    ['2023-11-14T22:14:09.000Z', '2023-11-14T22:14:10.000Z', '2023-11-14T22:14:20Z'],
  ])
})

test('a damaged stretch of a file is lost alone, and files read one behind the other are as one', async (t) => {
  const place = folder(t)
  const whole = Buffer.concat([
    ipfixTemplate({sequence: 0}),
    ...Array.from({length: 20}, (_, i) => ipfix({sequence: 2 * i, records: 2})),
  ])
  const damaged = Buffer.from(whole)
  // The Message Header of the sixth one with data.
  damaged.fill(0xee, 28 + 5 * 28, 28 + 5 * 28 + 8)
  writeFileSync(join(place, 'a'), whole)
  writeFileSync(join(place, 'b'), damaged)
  writeFileSync(join(place, 'both'), Buffer.concat([whole, damaged]))
  const read = async (...names: string[]): Promise<[number, string]> => {
    const files = names.flatMap((name) => ['-r', join(place, name)])
    const {stdout, stderr} = await darta(t, ['collect', ...files, '-o', 'ndjson'])
    return [linesOf(stdout).filter(isData).length, stderr]
  }
  t.is((await read('a'))[0], 40)
  const [some, words] = await read('b')
  t.is(some, 38)
  t.regex(words, /lost 1 \(malformed-message 1 from octet 168\)/)
  t.regex(words, /lost 2 \(malformed-message 2/)
  t.is((await read('a', 'b'))[0], 78)
  t.is((await read('both'))[0], 78)
})
