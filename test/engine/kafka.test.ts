import {chmodSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import type {Engine} from '../../src/engine/engine.js'
import {connectEngine} from '../../src/engine/engines.js'
import {readEntry} from '../../src/engine/entry.js'
import {authority, noCertificates} from '../support/certificates.js'
import {bin, darta, folder, start, type Running} from '../support/darta.js'
import {host, noNamespaces, startAt} from '../support/namespaces.js'
import {needing, optionalPackage, root, tools} from '../support/needing.js'
import {bareLines} from '../support/results.js'
import {administeredKafka} from './kafka-admin.js'
import {mockKafka} from './served.js'

const real = needing(tools('kcat'), optionalPackage('kafkajs'))

async function labFlows(t: ExecutionContext): Promise<string> {
  const file = join(folder(t), 'lab.ipfix')
  await darta(t, ['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', file])
  return file
}

const serversOf = (url: string): string => url.replace('kafka://', '')

async function open(t: ExecutionContext, url: string): Promise<Engine> {
  const engine = await connectEngine({url, maxOctets: 1e9, answerMs: 60_000})
  t.teardown(() => engine.close())
  return engine
}

const lines = (octets: Buffer): string[] => bareLines(octets).sort()

/** What kcat reads of a partition: places and values. */
async function kcatReads(
  t: ExecutionContext,
  url: string,
  topic: string,
  partition: number,
): Promise<{at: number; value: Buffer}[]> {
  const words = ['-C', '-q', '-e', '-o', 'beginning', '-X', 'check.crcs=true', '-f', '%o %S\n%s']
  const of = ['-b', serversOf(url), '-t', topic, '-p', String(partition)]
  const {code, stdout, stderr} = await start(t, 'kcat', [...words, ...of]).ended
  t.is(code, 0, stderr)
  const read: {at: number; value: Buffer}[] = []
  for (let at = 0; at < stdout.length;) {
    const end = stdout.indexOf(10, at)
    const [place, octets] = stdout.subarray(at, end).toString().split(' ').map(Number)
    read.push({at: place, value: stdout.subarray(end + 1, end + 1 + octets)})
    at = end + 1 + octets
  }
  return read
}

real('kcat reads what was published: IPFIX Messages that hold every record once', async (t) => {
  const flows = await labFlows(t)
  const {url} = await mockKafka(t)
  const app = ['--app', 'top -k 0 -s srcip', '--parts', '4']
  const routed = await darta(t, ['route', '-r', flows, '--engine', url, ...app])
  t.is(routed.code, 0, routed.stderr)
  const engine = await open(t, url)
  const messages: Uint8Array[] = []
  let records = 0
  for (let part = 0; part < 4; part++) {
    const read = await kcatReads(t, url, 'darta.records.top', part)
    t.true(read.length > 0)
    for (const {value} of read) {
      const entry = readEntry(value)
      records += entry.header.records
      messages.push(entry.messages)
    }
    // An entry's number is its place and one.
    let next = 1
    for (let i = 0; i < read.length;) {
      for (const entry of await engine.read('top', part, next, 64)) {
        t.is(entry.sequence, read[i].at + 1)
        t.is(Buffer.compare(entry.octets, read[i++].value), 0)
        next = entry.sequence + 1
      }
    }
  }
  t.is(records, 724)
  const file = join(folder(t), 'read.ipfix')
  writeFileSync(file, Buffer.concat(messages))
  const print = async (path: string): Promise<string[]> => {
    const {stdout} = await darta(t, ['print', '-q', '-r', path, '-o', 'ndjson'])
    return lines(stdout).filter((line) => !line.includes('"_scope"'))
  }
  const printed = await print(file)
  t.is(printed.length, 724)
  t.deepEqual(printed, await print(flows))
})

real('a server that stops for longer than an answer is waited for loses nothing', async (t) => {
  const flows = await labFlows(t)
  const {url, mock} = await mockKafka(t)
  const app = 'top -k 0 -s srcip'
  const publisher = start(t, bin, [
    ...['route', '--app', app, '--engine', url, '--parts', '2', '-r', flows, '-r', '-'],
  ])
  const analysed = async (): Promise<number> => {
    const {stdout} = await darta(t, ['route', '-q', '--engine', url, '--status'])
    if (stdout.length === 0) return 0
    return (JSON.parse(stdout.toString()) as {counters: {analysed: number}}).counters.analysed
  }
  while ((await darta(t, ['route', '-q', '--engine', url, '--status'])).stdout.length === 0);
  const unit = start(t, bin, ['analyze', 'top', '--engine', url, '-v'])
  while ((await analysed()) < 724);
  mock.child.kill('SIGSTOP')
  publisher.child.stdin.end(readFileSync(flows))
  // The unit hears nothing any more, and says so.
  await unit.says(/timed out|timeout/i)
  mock.child.kill('SIGCONT')
  const routed = await publisher.ended
  t.is(routed.code, 0, routed.stderr)
  t.regex(routed.stderr, /route top: 1454 records in, 1448 out/)
  t.is((await unit.ended).code, 0)
  const follow = await darta(t, ['analyze', 'top', '--engine', url, '--follow', '-o', 'ndjson'])
  const one = await darta(t, [
    ...['analyze', 'top', '-q', '-r', flows, '-r', flows, '-k', '0', '-s', 'srcip', '-o', 'ndjson'],
  ])
  t.deepEqual(lines(follow.stdout), lines(one.stdout))
})

real('more parts than a topic has partitions are refused', async (t) => {
  const {url} = await mockKafka(t)
  const route = ['route', '--app', 'top', '--engine', url, '--parts']
  const {code, stderr} = await darta(t, [...route, '5', '-r', await labFlows(t)])
  t.is(code, 2)
  t.regex(stderr, /darta\.records\.top has 4 partitions, and --parts 5 needs as many/)
})

real('topics are made that keep everything, and what is trimmed is deleted', async (t) => {
  const {url, behind, made, deleted} = await administeredKafka(t)
  const flows = await labFlows(t)
  const app = ['--app', 'top -k 0 -s srcip', '--parts', '2']
  const routed = await darta(t, ['route', '-r', flows, '--engine', url, ...app])
  t.is(routed.code, 0, routed.stderr)
  const config = {'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1'}
  t.deepEqual(made.get('darta.records.top'), {partitions: 2, copies: 1, config})
  t.deepEqual(made.get('darta.registry.state.top'), {partitions: 16, copies: 1, config})
  const unit = await darta(t, ['analyze', 'top', '--engine', url])
  t.is(unit.code, 0, unit.stderr)
  t.is((await darta(t, ['route', '--engine', url, '--remove', 'top'])).code, 0)
  for (const partition of [0, 1]) {
    const read = await kcatReads(t, behind, 'darta.records.top', partition)
    t.is(deleted.get(`darta.records.top/${partition}`), read.at(-1)!.at + 1)
  }
})

real('a topic from which a server removes records by itself is refused', async (t) => {
  const {url, made} = await administeredKafka(t)
  const config = {'cleanup.policy': 'delete', 'retention.ms': '604800000', 'retention.bytes': '-1'}
  made.set('darta.records.top', {partitions: 2, copies: 1, config})
  const route = ['route', '--app', 'top', '--engine', url, '--parts', '2']
  const {code, stderr} = await darta(t, [...route, '-r', await labFlows(t)])
  t.is(code, 2)
  t.regex(stderr, /retention\.ms=604800000, by which records would be lost; it needs -1/)
})

real('what is gone of a log is told by its numbers, and of a registry is not needed', async (t) => {
  // The brokers keep 5 MiB of each partition.
  const {url} = await mockKafka(t)
  const [one, other] = [await open(t, url), await open(t, url)]
  await one.declare('t', 1, ['b/x'])
  const entry = new Uint8Array(400_000)
  let last = 0
  for (let i = 0; i < 20; i++) {
    entry[0] = i
    last = await one.append('t', 0, entry)
  }
  let entries = await other.read('t', 0, 1, 1)
  while (entries.length === 0) entries = await other.read('t', 0, 1, 1)
  t.true(entries[0].sequence > 5)
  t.is(entries[0].octets[0], entries[0].sequence - 1)
  t.is(last, 20)

  const stays = (await one.put('b/x', '1', Uint8Array.of(7), 0))!
  let revision = 0
  for (let i = 0; i < 30; i++) {
    entry[0] = i
    revision = (await one.put('b/x', '5', entry, revision))!
  }
  const late = await open(t, url)
  const found = await late.get('b/x', '5')
  t.deepEqual([found?.revision, found?.value[0]], [revision, 29])
  t.is((await late.get('b/x', '1'))?.revision, stays)
  const next = await late.put('b/x', '5', entry, revision)
  t.true(next! > revision)
})

real('without the npm package kafkajs that is said', async (t) => {
  const block = join(folder(t), 'block.cjs')
  writeFileSync(
    block,
    `const Module = require('node:module')
const resolve = Module._resolveFilename
Module._resolveFilename = function (name, ...rest) {
  if (name.startsWith('kafkajs')) throw new Error('it is not there')
  return resolve.call(this, name, ...rest)
}
`,
  )
  const env = {...process.env, NODE_OPTIONS: `--require ${block}`}
  const words = ['route', '--engine', 'kafka://127.0.0.1:9', '--status']
  const {code, stderr} = await darta(t, words, '', {env})
  t.is(code, 1)
  t.regex(stderr, /the npm package kafkajs, .* is not installed \(DARTA_ENGINE\)/)
})

real('credentials that are none, or that all could read, are refused', async (t) => {
  const file = join(folder(t), 'kafka.conf')
  const status = async (url: string, text: string, mode = 0o600): Promise<string> => {
    writeFileSync(file, text)
    chmodSync(file, mode)
    const {code, stderr} = await darta(t, [
      ...['route', '--engine', url, '--status', '--engine-credentials', file],
    ])
    t.is(code, 2, stderr)
    return stderr
  }
  const plain = 'sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=p\n'
  t.regex(await status('kafka://127.0.0.1:9', plain), /PLAIN would send the password/)
  const none = /kafka\.conf does not say sasl\.mechanism/
  t.regex(await status('kafka+tls://127.0.0.1:9', 'SUAM\n'), none)
  t.regex(await status('kafka+tls://127.0.0.1:9', plain.replace('PLAIN', 'GSSAPI')), none)
  t.regex(await status('kafka+tls://127.0.0.1:9', plain, 0o644), /can be read by others/)
})

needing(
  tools('kcat'),
  optionalPackage('kafkajs'),
  noCertificates,
  noNamespaces,
)('servers are verified over TLS, and hear of users and passwords from a file', async (t) => {
  const path = folder(t)
  const own = authority(path)
  const {cert, key} = own.issue('127.0.0.1')
  const [brokers, clients] = [host(t), host(t)]
  const run = (words: readonly string[], at = clients): Running => startAt(t, at, words)
  const {url} = await mockKafka(t, (program, words) => run([program, ...words], brokers))
  const ports = serversOf(url).replaceAll('127.0.0.1:', '').split(',')
  const front = join(root, 'build/test/engine/kafka-front.js')
  const back = run([process.execPath, front, 'back', path, ...ports], brokers)
  await back.says(/ready/)
  const guard = ['front', path, cert, key, 'darta:secret', ...ports]
  await run([process.execPath, front, ...guard]).says(/ready/)

  const credentials = (password: string): string => {
    const file = join(path, `${password}.conf`)
    const text = `# as kcat -F reads it\nsasl.mechanisms = PLAIN\nsasl.username=darta\nsasl.password=${password}\n`
    writeFileSync(file, text, {mode: 0o600})
    return file
  }
  const secure = url.replace('kafka:', 'kafka+tls:')
  const at = (ca: string, password?: string): string[] => [
    ...['--engine', secure, '--engine-ca', ca],
    ...(password === undefined ? [] : ['--engine-credentials', credentials(password)]),
  ]
  const flows = await labFlows(t)
  const app = ['--app', 'top -k 0 -s srcip', '--parts', '2']
  const routed = await run([bin, 'route', '-r', flows, ...app, ...at(own.ca, 'secret')]).ended
  t.is(routed.code, 0, routed.stderr)
  const unit = await run([bin, 'analyze', 'top', ...at(own.ca, 'secret')]).ended
  t.is(unit.code, 0, unit.stderr)
  const follow = ['analyze', 'top', '-q', '--follow', '-o', 'ndjson', ...at(own.ca, 'secret')]
  const results = await run([bin, ...follow]).ended
  const one = await darta(t, [
    ...['analyze', 'top', '-q', '-r', flows, '-k', '0', '-s', 'srcip', '-o', 'ndjson'],
  ])
  t.deepEqual(lines(results.stdout), lines(one.stdout))

  const refused = async (...words: string[]): Promise<string> => {
    const {code, stderr} = await run([bin, 'route', '-q', '--status', ...words]).ended
    t.is(code, 1, stderr)
    t.regex(stderr, /DARTA_ENGINE/)
    return stderr
  }
  t.regex(await refused(...at(own.ca, 'wrong')), /does not know these credentials/)
  await refused(...at(own.ca))
  t.regex(await refused(...at(authority(path, 'other').ca, 'secret')), /certificate/)
  // What speaks TLS is not talked to in the clear.
  await refused('--engine', url)
})
