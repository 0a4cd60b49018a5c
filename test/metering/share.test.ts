import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import test from 'ava'
import {nativeAbsence} from '../../src/io/native.js'
import flow from '../../src/metering/selectors/flow.js'
import packets from '../../src/metering/selectors/packets.js'
import ports from '../../src/metering/selectors/ports.js'
import {parseShare} from '../../src/metering/share.js'
import {framesOf} from '../support/captures.js'
import {bash, darta, folder} from '../support/darta.js'
import {printedLines} from '../support/lab-records.js'
import {needing, root, shared, tools} from '../support/needing.js'
import {difference} from './equivalence.js'
import {meterOptions} from './metering.js'

const lab = `${root}test/fixtures/lab.pcap`
const captures = `${root}../shared/fixtures/captures/`

needing(nativeAbsence(), shared('fixtures/captures'))(
  'the C++ and the TypeScript meter take the same share of every capture, and account for the rest',
  (t) => {
    for (const name of readdirSync(captures)) {
      const octets = new Uint8Array(readFileSync(captures + name))
      if (octets.length > 400_000) continue
      for (const [text, selector] of [
        ['2/3', flow],
        ['3-4/5', ports],
        ['2/3', packets],
      ] as const) {
        const share = {share: parseShare(text), selector, seed: 7}
        for (const emit of ['pcap', 'flows'] as const) {
          const found = difference([[octets]], meterOptions({emit, share}))
          if (found !== undefined) return t.fail(`${name}, ${text}, ${emit}: ${found}`)
        }
      }
    }
    t.pass()
  },
)

for (const by of ['flow', 'packets']) {
  test(`a share by ${by} of a file is the part that split makes, as octets and as records`, async (t) => {
    const at = folder(t)
    await darta(t, [
      'split',
      '-q',
      '-r',
      lab,
      '--parts',
      '3',
      '--by',
      by,
      '-w',
      join(at, '%d.pcap'),
    ])
    for (const part of [1, 2, 3]) {
      const share = ['--share', `${part}/3`, '--by', by]
      const octets = await darta(t, ['capture', '-q', '-r', lab, ...share, '--emit', 'pcap'])
      t.is(octets.code, 0, octets.stderr)
      t.deepEqual(octets.stdout, readFileSync(join(at, `${part}.pcap`)))
      const records = await darta(t, ['capture', '-q', '-r', lab, ...share, '-o', 'ndjson'])
      const whole = await darta(t, [
        'capture',
        '-q',
        '-r',
        join(at, `${part}.pcap`),
        '-o',
        'ndjson',
      ])
      t.deepEqual(records.stdout, whole.stdout)
    }
  })
}

test('frames of other shares are in the account, and -c counts those of the own', async (t) => {
  const {stderr} = await darta(t, [
    'capture',
    '-r',
    lab,
    '--share',
    '1/4',
    '--by',
    'packets',
    '-c',
    '10',
    '-o',
    'null',
  ])
  t.regex(stderr, /meter: 37 packets in, 9 out, skipped 28 \(other-share 27, arp 1\)/)
})

needing(tools('tcpdump'))(
  'tcpdump fed with each share writes files whose merge is what it writes of the whole, octet for octet and times included',
  async (t) => {
    const at = folder(t)
    const write = (name: string): string =>
      `tcpdump -Z root -n -r - -w ${join(at, name)} --time-stamp-precision=nano 2>/dev/null`
    for (const by of ['flow', 'packets']) {
      for (const part of [1, 2, 3, 4]) {
        const share = `--share ${part}/4 --by ${by} --emit pcap`
        const {code, stderr} = await bash(
          t,
          `darta capture -q -r ${lab} ${share} | ${write(`${by}-${part}`)}`,
        )
        t.is(code, 0, stderr)
      }
      execFileSync('sh', ['-c', `${write('whole')} < ${lab}`])
      const parts = [1, 2, 3, 4].map((part) => framesOf(join(at, `${by}-${part}`)))
      t.true(parts.every((frames) => frames.length > 0))
      t.deepEqual(parts.flat().sort(), framesOf(join(at, 'whole')).sort())
    }
  },
)

needing(tools('tshark'))(
  'tshark fed with each share reads together what it reads of the whole',
  async (t) => {
    const read =
      'tshark -n -r - -T fields -e frame.time_epoch -e frame.len -e eth.src -e ip.src -e ip.id -e ipv6.dst -e tcp.srcport -e udp.dstport 2>/dev/null'
    const parts = await Promise.all(
      [1, 2].map((part) =>
        printedLines(
          t,
          `darta capture -q -r ${lab} --share ${part}/2 --by hosts --emit pcap | ${read}`,
        ),
      ),
    )
    t.true(parts.every((part) => part.length > 1))
    t.deepEqual(parts.flat().sort(), (await printedLines(t, `${read} < ${lab}`)).sort())
  },
)

for (const [program, words, log] of [
  ['zeek', 'zeek -C -r -', 'conn.log'],
  ['suricata', 'suricata -k none -r /dev/stdin -l .', 'stats.log'],
] as const) {
  needing(tools(program))(`${program} takes a share from the pipe`, async (t) => {
    const at = folder(t)
    const line = `cd ${at} && darta capture -q -r ${lab} --share 1/2 --emit pcap | ${words} && test -s ${log}`
    const {code, stderr} = await bash(t, line)
    t.is(code, 0, stderr)
  })
}
