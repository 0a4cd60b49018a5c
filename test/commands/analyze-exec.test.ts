import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import test from 'ava'
import {bash, bin, darta, folder, start, type Ended, type Running} from '../support/darta.js'
import {freePort} from '../support/free-port.js'
import {needing, optionalPackage, root, tools} from '../support/needing.js'

const script = join(root, 'examples/flows-per-source.awk')
const awk = ['--exec', `awk -f ${script}`, '--feed', 'ndjson', '--key', 'srcip']

async function labFlows(t: ExecutionContext): Promise<string> {
  const file = join(folder(t), 'lab.ipfix')
  const ended = await darta(t, [
    ...['capture', '-q', '-r', join(root, 'test/fixtures/lab.pcap'), '-w', file],
  ])
  t.is(ended.code, 0, ended.stderr)
  return file
}

/** Rows without the Messages that they came in. */
const rows = (octets: Buffer): string[] =>
  octets
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/,"_ipfix":\{[^}]*\}/, ''))

async function good(t: ExecutionContext, ...words: string[]): Promise<Ended> {
  const ended = await darta(t, words)
  t.is(ended.code, 0, ended.stderr)
  return ended
}

/** What an application of darta's says of the flows of each source, as the script spells it. */
async function expected(t: ExecutionContext, flows: string, ...words: string[]): Promise<string[]> {
  const {stdout} = await good(
    t,
    ...['analyze', 'top', '-q', '-r', flows, '-s', 'srcip/flows', '-k', '0', ...words],
  )
  return rows(stdout)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((row) => !('_scope' in row))
    .map((row) => {
      const known = Object.entries(row).filter(([name]) =>
        /^(dartaWindow.*|source.*Address|deltaFlowCount)$/.test(name),
      )
      return JSON.stringify(Object.fromEntries(known))
    })
    .sort()
}

test('a program that reads records is an application, and its lines of JSON are records', async (t) => {
  const flows = await labFlows(t)
  const {stdout, stderr} = await good(t, 'analyze', '-r', flows, ...awk)
  t.deepEqual(rows(stdout).sort(), await expected(t, flows))
  t.regex(stderr, /analyze exec: 727 records in, 724 out, skipped 3 \(options 3\)\n/)
  t.regex(stderr, /feed exec: 724 records in, 724 out\n.*results of exec: 12 records in, 12 out\n/)
})

test('an application of darta as the program gives what it gives itself', async (t) => {
  const flows = await labFlows(t)
  const own = await good(t, 'analyze', 'matrix', '-q', '-r', flows, '-o', 'ndjson')
  const words = ['--exec', `${bin} analyze matrix -q -o ipfix`, '--key', 'srcip,dstip']
  const as = await good(t, 'analyze', '-q', '-r', flows, ...words, '-o', 'ndjson')
  t.deepEqual(rows(as.stdout), rows(own.stdout))
})

test('other lines are text, of which each is a record', async (t) => {
  const flows = await labFlows(t)
  const {stdout} = await good(
    t,
    ...['analyze', '-q', '-r', flows, '--exec', 'wc -l', '--feed', 'fmt:%{octetDeltaCount}'],
    ...['-o', 'fmt:%{dartaTextLine}'],
  )
  t.is(stdout.toString(), '724\n')
})

needing(tools('tshark'))('tshark can be the program: it reads IPFIX', async (t) => {
  const flows = await labFlows(t)
  // It refuses sockets, which is what a child of ours has as its input.
  const {stdout} = await good(
    t,
    ...['analyze', '-q', '-r', flows, '-o', 'fmt:%{dartaTextLine}'],
    ...['--exec', `sh -c "cat | tshark -r - -T fields -E occurrence=a -e cflow.octets 2>&-"`],
  )
  const numbers = (text: string): number[] =>
    text
      .split(/[\s,]+/)
      .filter((word) => /^\d+$/.test(word))
      .map(Number)
      .sort((a, b) => a - b)
  const all = await good(
    t,
    ...['print', '-q', '-r', flows, '-o', 'fmt:%{octetDeltaCount}', '--units', 'none'],
  )
  t.deepEqual(numbers(stdout.toString()), numbers(all.stdout.toString()))
})

test('with windows each has a run of its own, and its results say which', async (t) => {
  const flows = await labFlows(t)
  const windows = ['--window', '10s']
  const {stdout, stderr} = await good(t, 'analyze', '-r', flows, ...awk, ...windows)
  t.deepEqual(rows(stdout).sort(), await expected(t, flows, ...windows))
  t.true(rows(stdout).length > 12)
  t.regex(stderr, /feed exec: 724 records in, 724 out\n/)
})

test('a window is the same stream to the program in whatever order its records came', async (t) => {
  const at = folder(t)
  const lines = rows((await good(t, 'print', '-q', '-r', await labFlows(t), '-o', 'ndjson')).stdout)
  const records = lines.filter((line) => !line.includes('_scope'))
  const streams: string[] = []
  for (const order of [records, records.toReversed(), records.toSorted()]) {
    const file = join(at, 'in.ndjson')
    writeFileSync(file, order.map((line) => `${line}\n`).join(''))
    const {stdout} = await good(
      t,
      ...['analyze', '-q', '-r', file, '--window', '1h', '--lateness', '1h'],
      ...['--exec', 'cat', '--feed', 'fmt:%{flowStartMilliseconds} %{octetDeltaCount}'],
    )
    streams.push(rows(stdout).join('\n'))
  }
  t.is(streams[0].split('\n').length, 724)
  t.is(streams[1], streams[0])
  t.is(streams[2], streams[0])
})

test('units under route that each run the program give what one gives', async (t) => {
  const flows = await labFlows(t)
  const unit = `${bin} analyze -q -o ipfix --exec 'awk -f ${script}' --feed ndjson --key srcip`
  for (const units of ['1', '3']) {
    const {stdout} = await good(
      t,
      ...['route', '-q', '-r', flows, '--key', 'srcip', '--units', units, '--join'],
      ...['--exec', unit, '-o', 'ndjson'],
    )
    t.deepEqual(rows(stdout).sort(), await expected(t, flows), `${units} units`)
  }
})

test('a program that fails is an error, and what it was given is lost', async (t) => {
  const flows = await labFlows(t)
  const run = async (cmd: string, ...words: string[]): Promise<Ended> =>
    darta(t, ['analyze', '-r', flows, '--exec', cmd, ...words])
  const failed = await run('sh -c "cat >/dev/null; exit 3"')
  t.is(failed.code, 1)
  t.regex(failed.stderr, /exec \(sh\) ended with status 3 \(DARTA_CHILD\)\n/)
  t.regex(failed.stderr, /feed exec: 724 records in, 0 out, lost 724 \(of-failed-program 724\)\n/)
  const killed = await run('sh -c "kill -9 $$"')
  t.is(killed.code, 1)
  t.regex(killed.stderr, /exec \(sh\) died of SIGKILL \(DARTA_CHILD\)\n/)
  t.regex(killed.stderr, /lost 724 \(/)
  const none = await run('no-such-program-here')
  t.is(none.code, 1)
  t.regex(
    none.stderr,
    /exec \(no-such-program-here\) cannot be started: there is no such command \(DARTA_CHILD\)\n/,
  )
  const capture = await run(`cat ${join(root, 'test/fixtures/lab.pcap')}`)
  t.is(capture.code, 1)
  t.regex(capture.stderr, /exec writes a capture and no results \(DARTA_FORMAT_UNKNOWN/)
  t.is((await run('')).code, 2)
  t.is((await run('cat', '--feed', 'nothing')).code, 2)
  t.is((await run('cat', '--symmetric')).code, 2)
})

test('a window whose program fails has no results, and the others have theirs', async (t) => {
  const flows = await labFlows(t)
  const at = join(folder(t), 'out.ndjson')
  // The first window is the one with most records.
  const picky = `sh -c 'n=$(wc -l); echo $n; test $n -lt 500'`
  const words = ['--exec', picky, '--feed', 'ndjson', '--window', '10s', '-w', at]
  const ended = await darta(t, ['analyze', '-r', flows, ...words, '-o', 'fmt:%{dartaTextLine}'])
  t.is(ended.code, 1)
  t.regex(ended.stderr, /exec \(sh\) ended with status 1 \(DARTA_CHILD\)\n/)
  const counts = readFileSync(at, 'utf8').trim().split('\n').map(Number)
  const sum = counts.reduce((a, b) => a + b, 0)
  t.true(counts.length >= 2 && sum > 0 && sum < 724)
  const lost = 724 - sum
  t.true(
    ended.stderr.includes(
      `feed exec: 724 records in, ${sum} out, lost ${lost} (of-failed-program ${lost})`,
    ),
    ended.stderr,
  )
  t.regex(ended.stderr, /results of exec: \d in, \d out, lost 1 \(of-failed-program 1\)|lost 1/)
})

test('a program that has seen enough ends the work', async (t) => {
  const ended = await bash(
    t,
    `yes '{"octetDeltaCount":1,"sourceIPv4Address":"192.0.2.1"}' |
     darta analyze --exec 'head -n 3' --feed fmt:%{octetDeltaCount} -o 'fmt:%{dartaTextLine}'
     exit \${PIPESTATUS[1]}`,
  )
  t.is(ended.code, 0, ended.stderr)
  t.is(ended.stdout.toString(), '1\n1\n1\n')
  t.regex(ended.stderr, /skipped \d+ \(not-read \d+\)/)
})

test('results come as the program writes them, and SIGTERM ends its input', async (t) => {
  const words = ['analyze', '--exec', 'cat', '--feed', 'ndjson', '-o', 'ndjson']
  const running: Running = start(t, bin, words)
  running.child.stdin.write('{"octetDeltaCount":1}\n')
  await running.gives(1)
  running.child.kill('SIGTERM')
  const {code, stdout, stderr} = await running.ended
  t.is(code, 0, stderr)
  t.deepEqual(rows(stdout), ['{"octetDeltaCount":1}'])
  t.regex(stderr, /feed exec: 1 records in, 1 out\n/)
})

test('a reader of the results that goes away ends the program and all before it', async (t) => {
  const ended = await bash(
    t,
    `set -o pipefail
     yes '{"octetDeltaCount":1}' | darta analyze --exec cat --feed ndjson -o ndjson | head -n 1`,
  )
  t.is(ended.code, 141)
  t.regex(ended.stdout.toString(), /^\{"octetDeltaCount":1.*\n$/)
  t.notRegex(ended.stderr, /darta/)
})

const engine = needing(tools('nats-server'), optionalPackage('nats'))

/** A server with JetStream on loopback, ready. */
async function serve(t: ExecutionContext): Promise<string> {
  const port = await freePort()
  const words = ['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', folder(t)]
  const env = {...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin`}
  const server = start(t, 'nats-server', words, {env})
  await server.says(/Server is ready/)
  return `nats://127.0.0.1:${port}`
}

engine(
  'programs are units at an engine: killed or failing, the results are those of one',
  async (t) => {
    const flows = await labFlows(t)
    const url = await serve(t)
    const windows = ['--window', '10s', '--lateness', '10m']
    const routed = await darta(t, [
      ...['route', '-r', flows, '--key', 'srcip', '--name', 'sources', '--engine', url],
      ...[...windows, '--parts', '4'],
    ])
    t.is(routed.code, 0, routed.stderr)
    t.regex(routed.stderr, /route sources: 727 records in, 724 out/)
    const unit = (command: string): Running =>
      start(t, bin, [
        ...['analyze', 'sources', '--exec', command, '--feed', 'ndjson', '--engine', url],
      ])
    // One cannot do its work and says so; another is killed; a third has to do all.
    const failing = unit('sh -c "cat >/dev/null; exit 7"')
    const left = await failing.ended
    t.is(left.code, 1)
    t.regex(left.stderr, /sources \(sh\) ended with status 7 \(DARTA_CHILD\)/)
    const victim = unit(`awk -f ${script}`)
    await victim.says(/works for sources/)
    victim.child.kill('SIGKILL')
    const other = unit(`awk -f ${script}`)
    const follow = await darta(t, ['analyze', 'sources', '-q', '--engine', url, '--follow'])
    t.is(follow.code, 0, follow.stderr)
    t.is((await other.ended).code, 0)
    t.deepEqual(rows(follow.stdout).sort(), await expected(t, flows, ...windows))
    // What is routed by a key is no application of darta's, and the other way round.
    const bare = await darta(t, ['analyze', 'sources', '--engine', url])
    t.is(bare.code, 2)
    t.regex(bare.stderr, /sources is no application of darta's: it is routed by --key srcip/)
    const unnamed = await darta(t, ['route', '-r', flows, '--key', 'srcip', '--engine', url])
    t.is(unnamed.code, 2)
  },
)
