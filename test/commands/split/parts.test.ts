import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {splitWords} from '../../../src/cli/words.js'
import {framesOf} from '../../support/captures.js'
import {bin, darta, folder, type Ended} from '../../support/darta.js'
import {needing, root, tools} from '../../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

async function split(t: ExecutionContext, ...words: string[]): Promise<Ended> {
  const ended = await darta(t, ['split', ...words])
  t.is(ended.code, 0, ended.stderr)
  return ended
}

function partFrames(at: string, parts: number): string[][] {
  return Array.from({length: parts}, (_, i) => framesOf(join(at, `${i + 1}.pcap`)))
}

for (const by of ['flow', 'hosts', 'src', 'dst', 'ports', 'packets']) {
  test(`the parts of a capture by ${by} are the capture, each frame once`, async (t) => {
    const at = folder(t)
    await split(t, '-r', lab, '--parts', '4', '--by', by, '-w', join(at, '%d.pcap'))
    const parts = partFrames(at, 4)
    t.true(parts.every((frames) => frames.length > 0))
    t.deepEqual(parts.flat().sort(), framesOf(lab).sort())
  })
}

test('packets in turn differ by one at most, and follow one another', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '--parts', '7', '--by', 'packets', '-w', join(at, '%d.pcap'))
  const sizes = partFrames(at, 7).map((frames) => frames.length)
  t.true(Math.max(...sizes) - Math.min(...sizes) <= 1, sizes.join())
  t.is(framesOf(join(at, '1.pcap'))[1], framesOf(lab)[7])
})

needing(tools('tcpdump'))(
  'a share printed as filter gives tcpdump the frames of that part, as expression',
  async (t) => {
    const at = folder(t)
    await split(t, '-r', lab, '--parts', '3', '-w', join(at, '%d.pcap'))
    for (const part of [1, 2, 3]) {
      const {stdout} = await split(t, '--print-filter', `${part}/3`)
      const out = join(at, `filtered-${part}.pcap`)
      execFileSync(
        'tcpdump',
        ['-n', '-r', lab, '-w', out, '--time-stamp-precision=nano', stdout.toString().trim()],
        {stdio: 'ignore'},
      )
      t.deepEqual(framesOf(out), framesOf(join(at, `${part}.pcap`)))
    }
  },
)

needing(tools('tcpdump'))(
  'child commands get their parts: what each tcpdump writes together is what one writes of the whole',
  async (t) => {
    const at = folder(t)
    const write = (name: string): string =>
      `tcpdump -Z root -n -r - -w ${join(at, name)} --time-stamp-precision=nano tcp`
    await split(t, '-r', lab, '--parts', '3', '--exec', write('%d.pcap'))
    execFileSync('sh', ['-c', `${write('whole.pcap')} < ${lab}`], {stdio: 'ignore'})
    const whole = framesOf(join(at, 'whole.pcap'))
    t.true(whole.length > 0)
    t.deepEqual(partFrames(at, 3).flat().sort(), whole.sort())
  },
)

test('parts of Flow Records are the records of the parts of the packets', async (t) => {
  const at = folder(t)
  const whole = join(at, 'whole.ipfix')
  await darta(t, ['capture', '-q', '-r', lab, '-w', whole])
  await split(t, '-r', whole, '--parts', '3', '-w', join(at, '%d.ipfix'))
  await split(t, '-r', lab, '--parts', '3', '-w', join(at, '%d.pcap'))
  for (const part of [1, 2, 3]) {
    const lines = async (input: string[]): Promise<string[]> => {
      const {stdout: ipfix} = await darta(t, input)
      const {stdout} = await darta(
        t,
        ['print', '-q', '-N', '-o', 'fmt:%ts %te %pr %sap %dap %pkt %byt'],
        ipfix,
      )
      return stdout.toString().split('\n').sort()
    }
    const divided = await lines(['print', '-q', '-r', join(at, `${part}.ipfix`), '-o', 'ipfix'])
    t.deepEqual(divided, await lines(['capture', '-q', '-r', join(at, `${part}.pcap`)]))
    t.true(divided.length > 1)
  }
})

test('joined outputs of child commands are one stream that adds up to the whole', async (t) => {
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
  const {code, stdout, stderr} = await darta(
    t,
    ['split', '-q', '--parts', '3', '--exec', `${bin} print -q -o ipfix`, '--join', '-o', 'ndjson'],
    ipfix,
  )
  t.is(code, 0, stderr)
  const {stdout: whole} = await darta(t, ['print', '-q', '-o', 'ndjson'], ipfix)
  const flows = (text: Buffer): string[] =>
    text
      .toString()
      .split('\n')
      .filter((line) => line.includes('packetDeltaCount'))
      .map((line) => line.replace(/,"_ipfix":.*$/, ''))
      .sort()
  t.true(flows(whole).length > 100)
  t.deepEqual(flows(stdout), flows(whole))
})

test('what a child that ends early does not get is counted, and nobody else loses anything', async (t) => {
  const at = folder(t)
  const command = `sh -c "test %d = 2 && exit 0; cat > ${join(at, '%d.pcap')}"`
  const {stderr} = await darta(t, ['split', '-r', lab, '--parts', '3', '--exec', command])
  const whole = framesOf(lab).length
  t.regex(stderr, new RegExp(`split: ${whole} packets in, ${whole} out`))
  const counts = [
    ...stderr.matchAll(/child-(\d): (\d+) packets in, (\d+) out(?:, lost (\d+) \(gone)?/g),
  ]
  const [dealt, out, lost] = [2, 3, 4].map((column) =>
    counts.reduce((sum, match) => sum + Number(match[column] ?? 0), 0),
  )
  t.is(dealt, whole, stderr)
  t.is(out + lost, whole)
  t.true(Number(counts[1][4]) > 0)
  const kept = framesOf(join(at, '1.pcap')).length + framesOf(join(at, '3.pcap')).length
  t.is(kept, out)
})

test('what is wrong with the parts is told before anything is written', async (t) => {
  for (const words of [
    ['-w', 'x-%d.pcap'],
    ['--parts', '2'],
    ['--parts', '2', '-w', 'same.pcap'],
    ['--weights', '1,0', '-w', 'x-%d.pcap'],
    ['--parts', '2', '-w', 'x-%d', '--by', 'moon'],
    ['--print-filter', '3/2'],
    ['--print-filter', '1/2', '--by', 'packets'],
  ]) {
    const input = words.includes('--print-filter') ? [] : ['-r', lab]
    const {code, stderr} = await darta(t, ['split', ...input, ...words])
    t.is(code, 2, `${words.join(' ')}: ${stderr}`)
  }
})

test('words of --exec are parted as a shell parts them', (t) => {
  t.deepEqual(splitWords(`tcpdump -w 'a b' "c \\"d\\"" e\\ f  ''`), [
    ...['tcpdump', '-w', 'a b', 'c "d"', 'e f', ''],
  ])
  t.throws(() => splitWords(`sh -c 'open`), {code: 'DARTA_USAGE'})
})
