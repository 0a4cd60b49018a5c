import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {join} from 'node:path'
import {bash, bin, darta, folder} from '../support/darta.js'
import {needing, root, tools} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')

function made(t: ExecutionContext, ...flags: string[]): string {
  const file = join(folder(t), 'lab.ipfix')
  const {status} = spawnSync(bin, ['capture', '-q', '-r', lab, '-w', file, ...flags])
  t.is(status, 0)
  return file
}

type Row = Record<string, unknown>

async function rows(t: ExecutionContext, ...words: string[]): Promise<Row[]> {
  const {code, stdout, stderr} = await darta(t, ['aggregate', '-q', '-o', 'ndjson:bare', ...words])
  t.is(code, 0, stderr)
  const text = stdout.toString().trim()
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Row)
}

test('-s ranks as analyze top does', async (t) => {
  const file = made(t)
  const ranked = await rows(t, '-r', file, '-s', 'srcip,dstport/bytes', '-k', '5')
  const top = await darta(t, [
    ...['analyze', 'top', '-q', '-r', file, '-s', 'srcip,dstport/octets', '-k', '5'],
    ...['-o', 'ndjson:bare'],
  ])
  const theirs = top.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .filter((row) => 'dartaRank' in row)
  t.is(ranked.length, 5)
  const names = ['octetDeltaCount', 'packetDeltaCount', 'deltaFlowCount', 'flowStartMilliseconds']
  t.deepEqual(
    ranked.map((row) => names.map((name) => row[name])),
    theirs.map((row) => names.map((name) => row[name])),
  )
})

test('several statistics and a filter give one list behind the other', async (t) => {
  const file = made(t)
  const list = await rows(
    t,
    '-r',
    file,
    '-s',
    'proto/bytes',
    '-s',
    'dstport/flows',
    '-k',
    '2',
    'tcp',
  )
  t.is(list.length, 3)
  t.is(list[0].protocolIdentifier, 6)
  t.true('destinationTransportPort' in list[1])
})

test('what comes out can be aggregated again: sums of sums are the sums', async (t) => {
  const file = made(t)
  const once = await rows(t, '-r', file, '-A', 'proto', '-O', 'bytes')
  const {stdout} = await bash(
    t,
    `darta aggregate -q -r ${file} -a | darta aggregate -q -A proto -O bytes -o ndjson:bare`,
  )
  const twice = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
  t.deepEqual(twice, once)
})

test('Biflows give the same groups as the Flows of both directions', async (t) => {
  const uniflows = await rows(t, '-r', made(t), '-A', 'srcip', '-O', 'bytes')
  const biflows = await rows(t, '-r', made(t, '--biflow'), '-A', 'srcip', '-O', 'bytes')
  const of = (list: Row[]) =>
    list.map((row) => [row.sourceIPv4Address ?? row.sourceIPv6Address, row.octetDeltaCount])
  t.deepEqual(of(biflows).sort(), of(uniflows).sort())
})

test('the results are the same without the addon, and from a disk', async (t) => {
  const file = made(t)
  const words = [
    'aggregate',
    '-q',
    '-r',
    file,
    '-a',
    '-O',
    'bytes',
    '-k',
    '30',
    '--distinct',
    'inif',
  ]
  const native = await darta(t, words)
  t.true(native.stdout.length > 500)
  const plain = await darta(t, words, '', {env: {...process.env, DARTA_NATIVE: '0'}})
  t.deepEqual(plain.stdout, native.stdout)
  const spilled = await darta(t, [...words, '-v', '--max-memory', '10k'])
  t.regex(spilled.stderr, /groups went to disk/)
  const octets = async (data: Buffer) =>
    (await darta(t, ['print', '-q', '-o', 'fmt:%byt'], data)).stdout.toString()
  t.is(await octets(spilled.stdout), await octets(native.stdout))
})

needing(tools('nfdump', 'nfpcapd'))('-A and -O mean what they mean to nfdump', async (t) => {
  const place = folder(t)
  const made_ = spawnSync('nfpcapd', ['-r', lab, '-w', place, '-e', '300,60'], {encoding: 'utf8'})
  t.is(made_.status, 0, made_.stderr)
  const theirs = spawnSync(
    'nfdump',
    ['-R', place, '-q', '-N', '-A', 'srcip,dstip', '-o', 'fmt:%sa %da', '-6', 'proto tcp'],
    {encoding: 'utf8'},
  )
  const pairs = theirs.stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).join(' '))
  const ours = await rows(t, '-r', made(t), '-A', 'srcip,dstip', 'proto tcp')
  const of = (row: Row, side: string) =>
    String(row[`${side}IPv4Address`] ?? row[`${side}IPv6Address`])
  t.deepEqual(
    ours.map((row) => `${of(row, 'source')} ${of(row, 'destination')}`).sort(),
    pairs.sort(),
  )
})

test('groups in the order of time begin with the earliest, as in nfdump, and record is its five-tuple', async (t) => {
  const flow = (start: string, port: number): string =>
    `{"flowStartMilliseconds":"2026-01-01T00:00:0${start}Z","sourceIPv4Address":"192.0.2.1","destinationIPv4Address":"192.0.2.2","sourceTransportPort":${port},"destinationTransportPort":80,"protocolIdentifier":6,"octetDeltaCount":${port}}\n`
  const input = flow('2', 1002) + flow('1', 1001) + flow('3', 1003) + flow('4', 1001)
  const ports = async (...args: string[]): Promise<string> => {
    const format = ['-o', 'fmt:%{sourceTransportPort} %{octetDeltaCount}']
    const {stdout, stderr} = await darta(t, ['aggregate', '-q', ...args, ...format], input)
    t.is(stderr, '')
    return stdout.toString().trim().replaceAll('\n', ', ')
  }
  t.is(await ports('-a', '-O', 'tstart'), '1001 2.0 k, 1002 1.0 k, 1003 1.0 k')
  t.is(await ports('-a', '-O', 'tstart:d'), '1003 1.0 k, 1002 1.0 k, 1001 2.0 k')
  t.is(await ports('-s', 'record/bytes', '-k', '1'), '1001 2.0 k')
})

test('what is wrong on the command line is told with status 2', async (t) => {
  const file = made(t)
  for (const [words, says] of [
    [[], /give -A KEYS/],
    [['-A', 'nokey'], /no key 'nokey'/],
    [['-A', 'srcip', '-O', 'size'], /no order 'size'/],
    [['-A', 'srcip', '--sum', 'userName'], /--sum: userName is string/],
    [['-A', 'srcip', '--mean', 'nothing'], /--mean: nothing is named 'nothing'/],
    [['-A', 'srcip', '--quantile', 'octets'], /expected NAME:0\.95/],
    [['-A', 'srcip', '--distribution', 'mid'], /--bin/],
    [['-A', 'srcip', 'prot tcp'], /nothing is named 'prot'/],
  ] as const) {
    const {code, stderr} = await darta(t, ['aggregate', '-r', file, '-o', 'null', ...words])
    t.is(code, 2, words.join(' '))
    t.regex(stderr, says)
  }
})
