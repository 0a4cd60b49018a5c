import {execFile} from 'node:child_process'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {promisify} from 'node:util'
import test, {type ExecutionContext} from 'ava'
import {createDecoder} from '../../src/ipfix/decoder.js'
import {Ledger} from '../../src/record/ledger.js'
import {bin, darta, folder, start, type Ended} from '../support/darta.js'
import {needing, root, shared, tools} from '../support/needing.js'
import {plainRecords, type Plain} from '../support/results.js'

const lab = join(root, 'test/fixtures/lab.pcap')

async function labRecords(t: ExecutionContext): Promise<Buffer> {
  const {code, stdout} = await darta(t, ['capture', '-q', '-r', lab])
  t.is(code, 0)
  return stdout
}

/** Rows of results that were written as IPFIX. */
function rowsOf({stdout}: Ended): Plain[] {
  const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
  return plainRecords([...decoder.push(stdout), ...decoder.end()]).filter(
    (record) => record._scope === undefined,
  )
}

test('SIGUSR1 tells the account, SIGINT ends the input and gives the results so far', async (t) => {
  const args = ['analyze', 'protocols', '-o', 'table', '--window', '10s', '--lateness', '0']
  const {child, says, gives, ended} = start(t, bin, args)
  child.stdin.write(await labRecords(t))
  // The first window is told when records have passed it.
  await gives(1)
  child.kill('SIGUSR1')
  await says(/analyze protocols: 727 records in, \d+ out/)
  child.kill('SIGINT')
  const {code, stdout, stderr} = await ended
  t.is(code, 0, stderr)
  t.is(stdout.toString().match(/^2026-11-25T16:27:\d0\.000Z to /gm)?.length, 3)
})

test('a reader of the output that goes away is no error', async (t) => {
  const records = await labRecords(t)
  const {child, ended} = start(t, bin, ['analyze', 'top', '-q', '-o', 'table'])
  child.stdout.destroy()
  child.stdin.end(records)
  const {code, stderr} = await ended
  t.is(code, 141)
  t.is(stderr, '')
})

test('without records there are totals of nothing', async (t) => {
  const {code, stdout} = await darta(t, ['analyze', 'top', '-q', '-o', 'table'])
  t.is(code, 0)
  t.regex(stdout.toString(), /^srcip\/octets: 0 of 0\n/)
})

test('inputs are analysed together and a missing one stops the command before it begins', async (t) => {
  const records = await labRecords(t)
  const path = join(folder(t), 'lab.ipfix')
  await (await import('node:fs/promises')).writeFile(path, records)
  const twice = await darta(t, [
    'analyze',
    'protocols',
    '-q',
    '-o',
    'ipfix',
    '-r',
    path,
    '-r',
    path,
  ])
  const once = await darta(t, ['analyze', 'protocols', '-q', '-o', 'ipfix', '-r', path])
  t.deepEqual(
    rowsOf(twice).map((row) => Number(row.octetDeltaCount)),
    rowsOf(once).map((row) => 2 * Number(row.octetDeltaCount)),
  )
  const absent = await darta(t, ['analyze', 'top', '-r', path, '-r', `${path}.absent`])
  t.is(absent.code, 1)
  t.regex(absent.stderr, /DARTA_FILE_READ/)
})

interface Truth {
  readonly records: number
  readonly bytes: number
  readonly packets: number
  readonly distinct_src: number
  readonly distinct_src_dst: number
  readonly top_src_bytes: {src: string; bytes: number; packets: number; flows: number}[]
}

needing(shared('bench/gen.c'), tools('cc'))(
  'sources and pairs of generated records are those that the generator says',
  async (t) => {
    const path = folder(t)
    const run = promisify(execFile)
    const gen = join(path, 'gen')
    await run('cc', ['-O2', '-o', gen, join(root, '../shared/bench/gen.c'), '-lm'])
    const input = join(path, 'x.ipfix')
    const truthFile = join(path, 'x.json')
    await run(gen, ['ipfix', '--records', '50000', '--out', input, '--truth', truthFile])
    const truth = JSON.parse(await readFile(truthFile, 'utf8')) as Truth
    const args = ['analyze', 'top', '-q', '-r', input, '-k', '10', '-o', 'ipfix']
    const ended = await darta(t, [...args, '-s', 'srcip/octets', '-s', 'srcip,dstip/octets'])
    t.is(ended.code, 0, ended.stderr)
    const sources = rowsOf(ended).filter((row) => row.dartaStatistic === 'srcip/octets')
    t.deepEqual(
      sources.map((row) => ({
        src: row.sourceIPv4Address ?? row.sourceIPv6Address,
        bytes: row.octetDeltaCount,
        packets: row.packetDeltaCount,
        flows: row.deltaFlowCount,
      })),
      truth.top_src_bytes,
    )
    const decoder = createDecoder({ledger: new Ledger(), source: 'test'})
    const summaries = plainRecords([...decoder.push(ended.stdout), ...decoder.end()]).filter(
      (record) => record.dartaGroupCount !== undefined,
    )
    t.deepEqual(
      summaries.map((r) => [
        r.dartaGroupCount,
        r.octetDeltaCount,
        r.packetDeltaCount,
        r.deltaFlowCount,
      ]),
      [
        [truth.distinct_src, truth.bytes, truth.packets, truth.records],
        [truth.distinct_src_dst, truth.bytes, truth.packets, truth.records],
      ],
    )
  },
)
