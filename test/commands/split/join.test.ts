import test from 'ava'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {mergeLanes, type Item} from '../../../src/commands/split/merge-lanes.js'
import {StageLedger} from '../../../src/record/ledger.js'
import {framesOf} from '../../support/captures.js'
import {darta, folder} from '../../support/darta.js'
import {root} from '../../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

async function* lane(values: readonly number[], octets = 1): AsyncGenerator<Item<number>[]> {
  for (const value of values) yield [{value, octets, count: 1}]
}

async function merged(
  lanes: readonly AsyncIterable<readonly Item<number>[]>[],
  account = new StageLedger('join', 'packets'),
  mostHeld?: number,
): Promise<number[]> {
  const all: number[] = []
  for await (const some of mergeLanes(lanes, (a, b) => a < b, account, mostHeld)) all.push(...some)
  return all
}

test('lanes that are in order each are in order together, whatever comes first', async (t) => {
  const account = new StageLedger('join', 'packets')
  t.deepEqual(await merged([lane([1, 4, 9]), lane([2, 3]), lane([]), lane([5])], account), [
    ...[1, 2, 3, 4, 5, 9],
  ])
  t.is(account.in, 6)
  t.is(account.out, 6)
  t.is(account.noted.size, 0)
})

test('a lane that is silent to the end holds nobody up for ever, and what it has then is noted as late', async (t) => {
  const numbers = Array.from({length: 100}, (_, i) => i + 1)
  let told: () => void = () => {}
  const over = new Promise<void>((resolve) => (told = resolve))
  async function* talker(): AsyncGenerator<Item<number>[]> {
    yield* lane(numbers, 10)
    told()
  }
  async function* silent(): AsyncGenerator<Item<number>[]> {
    // Says something only when the other one could write all it had.
    await over
    yield* lane([0, 1000], 10)
  }
  const account = new StageLedger('join', 'packets')
  const all = await merged([talker(), silent()], account, 200)
  t.deepEqual(
    [...all].sort((a, b) => a - b),
    [0, ...numbers, 1000],
  )
  t.is(account.out, 102)
  t.is(account.noted.get('late'), 1)
})

test('a lane that fails ends the merging with its error', async (t) => {
  async function* broken(): AsyncGenerator<Item<number>[]> {
    yield [{value: 1, octets: 1, count: 1}]
    throw new Error('broken')
  }
  await t.throwsAsync(merged([broken(), lane([2, 3])]), {message: 'broken'})
})

test('a child that writes nothing holds up neither the others nor the division', async (t) => {
  const at = folder(t)
  const octets = readFileSync(lab)
  const input = join(at, 'in.pcap')
  // More than pipes hold.
  writeFileSync(input, Buffer.concat([octets, ...Array<Buffer>(5).fill(octets.subarray(24))]))
  const command = 'sh -c "if [ %d = 1 ]; then cat > /dev/null; else cat; fi"'
  const words = ['split', '-r', input, '--parts', '2', '--exec', command, '--join']
  const {code, stdout, stderr} = await darta(t, words)
  t.is(code, 0, stderr)
  const [, second] = /child-2: (\d+) packets in/.exec(stderr)?.map(Number) ?? []
  writeFileSync(join(at, 'out.pcap'), stdout)
  t.is(framesOf(join(at, 'out.pcap')).length, second)
})

test('captures that child commands write are merged in the order of time, each frame once', async (t) => {
  const at = folder(t)
  for (const by of ['flow', 'packets']) {
    const words = ['split', '-r', lab, '--parts', '3', '--by', by, '--exec', 'cat', '--join']
    const {code, stdout, stderr} = await darta(t, words)
    t.is(code, 0, stderr)
    writeFileSync(join(at, by), stdout)
    const frames = framesOf(join(at, by))
    t.deepEqual([...frames].sort(), framesOf(lab).sort())
    const times = frames.map((frame) => BigInt(frame.split(' ')[0]))
    const late = Number(/noted late (\d+)/.exec(stderr)?.[1] ?? 0)
    // A frame that was late already where it came from cannot be earlier.
    t.true(times.filter((time, i) => i > 0 && time < times[i - 1]).length <= late)
    t.regex(stderr, /join: 2230 packets in, 2230 out/)
  }
})

test('children that write captures and others that write records are not merged', async (t) => {
  const command = 'sh -c "if [ %d = 1 ]; then cat; else cat >/dev/null; echo {}; fi"'
  const {code, stderr} = await darta(t, [
    'split',
    '-r',
    lab,
    '--parts',
    '2',
    '--exec',
    command,
    '--join',
  ])
  t.is(code, 1)
  t.regex(stderr, /child 2 writes no capture, as others do|child 1 writes neither IPFIX nor NDJSON/)
  const named = ['split', '-r', lab, '--parts', '2', '--exec', 'cat', '--join', '-o', 'csv']
  t.is((await darta(t, named)).code, 2)
})
