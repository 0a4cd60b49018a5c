import test, {type ExecutionContext} from 'ava'
import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {bpfTest} from '../../../src/metering/bpf-run.js'
import {compileFilter} from '../../../src/metering/compile-filter.js'
import {
  filterTexts,
  frameAt,
  kernelAccepts,
  noAddon,
  randomFrames,
} from '../../metering/selectors/frames.js'
import {framesOf} from '../../support/captures.js'
import {darta, folder} from '../../support/darta.js'
import {needing, root, tools} from '../../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

needing(noAddon, tools('tcpdump'))(
  'programs run here decide as the kernel runs them, on frames of all kinds',
  async (t) => {
    const frames = randomFrames(3000, 5)
    for (const text of [...filterTexts, '(ip[4:4] << 3) >> 5 > 77 or -ip[1] < 4']) {
      const program = await compileFilter(text, 1)
      const run = bpfTest(program)
      const expected = kernelAccepts(frames, program)
      const found = Uint8Array.from({length: frames.count}, (_, i) => {
        const frame = frameAt(frames, i)
        return Number(run(frame, frame.length) !== 0)
      })
      t.true(expected.includes(1) && expected.includes(0), text)
      t.deepEqual(found, expected, text)
    }
  },
)

needing(tools('tcpdump'))(
  'parts of a capture by filters are what tcpdump lets through, the first match decides, and the rest is one more part',
  async (t) => {
    const at = folder(t)
    const words = [
      '--match',
      'udp port 53',
      '--match',
      'ip6',
      '--match',
      'tcp or udp',
      '-w',
      join(at, '%d'),
    ]
    const {code, stderr} = await darta(t, ['split', '-r', lab, ...words])
    t.is(code, 0, stderr)
    const tcpdump = (filter: string): string[] => {
      const out = join(at, 'judged')
      const words = ['-n', '-r', lab, '-w', out, '--time-stamp-precision=nano', filter]
      execFileSync('tcpdump', words, {stdio: 'ignore'})
      return framesOf(out)
    }
    const filters = [
      'udp port 53',
      'not (udp port 53) and ip6',
      'not (udp port 53) and not ip6 and (tcp or udp)',
      'not (udp port 53) and not ip6 and not (tcp or udp)',
    ]
    for (const [i, filter] of filters.entries()) {
      const found = framesOf(join(at, String(i + 1)))
      t.true(found.length > 0, filter)
      t.deepEqual(found, tcpdump(filter), filter)
    }
  },
)

test('parts of records by filters are those that darta filter lets through, whole and by size', async (t) => {
  const at = folder(t)
  const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
  const filters = ['proto udp and port 53', 'ipv6']
  const match = filters.flatMap((filter) => ['--match', filter])
  const lines = async (input: Uint8Array): Promise<string[]> => {
    const {stdout} = await darta(
      t,
      ['print', '-q', '-N', '-o', 'fmt:%ts %te %pr %sap %dap %pkt'],
      input,
    )
    return stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '')
  }
  const kept = async (filter: string): Promise<string[]> => {
    const {code, stdout, stderr} = await darta(t, ['filter', '-q', filter], ipfix)
    t.is(code, 0, stderr)
    return (await lines(stdout)).sort()
  }
  const expected = [
    await kept(filters[0]),
    await kept(`not (${filters[0]}) and (${filters[1]})`),
    await kept(`not (${filters[0]}) and not (${filters[1]})`),
  ]
  t.true(expected.every((list) => list.length > 0))
  await split(t, ipfix, ...match, '-w', join(at, 'whole-%d'))
  await split(t, ipfix, ...match, '-C', '2k', '-w', join(at, 'cut-%d-%n'))
  for (const [i, list] of expected.entries()) {
    t.deepEqual((await lines(readFileSync(join(at, `whole-${i + 1}`)))).sort(), list)
    const files = readdirSync(at).filter((name) => name.startsWith(`cut-${i + 1}`))
    const parts = await Promise.all(files.map((name) => lines(readFileSync(join(at, name)))))
    t.deepEqual(parts.flat().sort(), list)
  }
  t.true(readdirSync(at).length > 8)
})

async function split(t: ExecutionContext, input: Uint8Array, ...words: string[]): Promise<void> {
  const {code, stderr} = await darta(t, ['split', ...words], input)
  t.is(code, 0, stderr)
}

needing(tools('tcpdump'))(
  'what is wrong with a filter is told before anything is written',
  async (t) => {
    const at = folder(t)
    const {stdout: ipfix} = await darta(t, ['capture', '-q', '-r', lab])
    for (const [input, filter] of [
      [readFileSync(lab), 'port of call'],
      [ipfix, 'port of call'],
    ] as const) {
      const {code, stderr} = await darta(
        t,
        ['split', '--match', filter, '-w', join(at, '%d')],
        input,
      )
      t.is(code, 2, stderr)
      t.deepEqual(readdirSync(at), [])
    }
    const both = ['split', '-r', lab, '--match', 'tcp', '--parts', '2', '-w', join(at, '%d')]
    t.is((await darta(t, both)).code, 2)
  },
)
