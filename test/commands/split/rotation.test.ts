import test, {type ExecutionContext} from 'ava'
import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {framesOf} from '../../support/captures.js'
import {bin, darta, folder, type Ended} from '../../support/darta.js'
import {root} from '../../support/needing.js'

const lab = `${root}test/fixtures/lab.pcap`

async function split(t: ExecutionContext, ...words: string[]): Promise<Ended> {
  const ended = await darta(t, ['split', ...words])
  t.is(ended.code, 0, ended.stderr)
  return ended
}

/** Seconds since 1970 of a line of `framesOf`. */
const second = (frame: string): number => Number(BigInt(frame.split(' ')[0]) / 1_000_000_000n)

test('parts by time hold the frames of their periods, and empty periods have empty captures', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '-G', '2s', '-w', join(at, '%s.pcap'))
  const files = readdirSync(at).sort()
  const starts = files.map((name) => parseInt(name, 10))
  const frames = files.map((name) => framesOf(join(at, name)))
  starts.forEach((start, i) => {
    t.is(start % 2, 0)
    if (i > 0) t.is(start, starts[i - 1] + 2)
    t.true(frames[i].every((frame) => second(frame) >= start && second(frame) < start + 2))
  })
  t.true(
    frames.some((list) => list.length === 0),
    'the capture has a gap',
  )
  t.deepEqual(frames.flat().sort(), framesOf(lab).sort())
})

test('each of several parts has a file for each period', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '-G', '10s', '--parts', '3', '-w', join(at, '%i-%H%M%S.pcap'))
  const files = readdirSync(at)
  const periods = new Set(files.map((name) => name.slice(2)))
  t.true(periods.size > 2)
  t.is(files.length, 3 * periods.size)
  t.deepEqual(files.flatMap((name) => framesOf(join(at, name))).sort(), framesOf(lab).sort())
})

test('a frame that is older than its file is in it all the same, and noted', async (t) => {
  const at = folder(t)
  const octets = readFileSync(lab)
  // The first frame's time, behind the file header, is set 20 s back: it comes first, so all is in order.
  // The last one's would be older than its file.
  const reordered = Buffer.from(octets)
  let last = 24
  for (let next = 24; next < octets.length; next += 16 + octets.readUInt32LE(next + 8)) last = next
  reordered.writeUInt32LE(octets.readUInt32LE(24), last)
  const input = join(at, 'reordered.pcap')
  writeFileSync(input, reordered)
  const {stderr} = await split(t, '-r', input, '-G', '5s', '-w', join(at, 'part-%s'))
  t.regex(stderr, /2230 packets in, 2230 out, noted older-than-file 1/)
  const files = readdirSync(at).filter((name) => name.startsWith('part-'))
  t.deepEqual(files.flatMap((name) => framesOf(join(at, name))).sort(), framesOf(input).sort())
})

test('parts by size are none larger, and one after another they are the capture', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '-C', '50k', '-w', join(at, '%02d.pcap'))
  const files = readdirSync(at).sort()
  t.true(files.length > 10)
  for (const name of files) t.true(statSync(join(at, name)).size <= 50_000, name)
  t.deepEqual(
    files.flatMap((name) => framesOf(join(at, name))),
    framesOf(lab),
  )
})

test('a frame that is larger than the size alone makes a file of its own', async (t) => {
  const at = folder(t)
  const few = join(at, 'few.pcap')
  const octets = readFileSync(lab)
  let end = 24
  for (let frame = 0; frame < 30; frame++) end += 16 + octets.readUInt32LE(end + 8)
  writeFileSync(few, octets.subarray(0, end))
  await split(t, '-r', few, '-C', '100', '-w', join(at, 'part-%02d'))
  const files = readdirSync(at)
    .filter((name) => name.startsWith('part-'))
    .sort()
  const frames = files.map((name) => framesOf(join(at, name)))
  t.true(frames.every((list) => list.length > 0))
  t.deepEqual(frames.flat(), framesOf(few))
})

test('a ring keeps the last files, and does not touch what was there before', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '-C', '50k', '-w', join(at, 'all-%d'))
  const all = readdirSync(at).length
  await split(t, '-r', lab, '-C', '50k', '-W', '3', '-w', join(at, 'ring-%d'))
  const contents = (name: string): string[] => framesOf(join(at, name))
  for (let file = all - 2; file <= all; file++) {
    t.deepEqual(contents(`ring-${((file - 1) % 3) + 1}`), contents(`all-${file}`))
  }
  const again = await darta(t, [
    'split',
    '-r',
    lab,
    '-C',
    '50k',
    '-W',
    '3',
    '-w',
    join(at, 'ring-%d'),
  ])
  t.is(again.code, 1)
  t.regex(again.stderr, /ring-1 exists/)
})

test('records by time and by size: each file is read alone, and together they are the whole', async (t) => {
  const at = folder(t)
  const whole = join(at, 'whole.ipfix')
  // Several captures one after another: Messages of different times.
  await split(t, '-r', lab, '-G', '10s', '-w', join(at, '%02n.pcap'))
  const captures = readdirSync(at).sort()
  const made = await Promise.all(
    captures.map((name) => darta(t, ['capture', '-q', '-r', join(at, name), '-o', 'ipfix'])),
  )
  writeFileSync(whole, Buffer.concat(made.map(({stdout}) => stdout)))
  const lines = async (name: string): Promise<string[]> => {
    const {code, stdout, stderr} = await darta(t, ['print', '-r', name, '-o', 'ndjson'])
    t.is(code, 0, stderr)
    return stdout
      .toString()
      .split('\n')
      .filter((line) => line.includes('packetDeltaCount'))
      .map((line) => line.replace(/"_ipfix":\{[^}]*\}/, ''))
      .sort()
  }
  const expected = await lines(whole)
  t.true(expected.length > 100)
  for (const [prefix, words] of [
    ['time-', ['-G', '10s', '-w', join(at, 'time-%s')]],
    ['size-', ['-C', '20k', '-w', join(at, 'size-%d')]],
    ['both-', ['-C', '20k', '-G', '20s', '--parts', '2', '-w', join(at, 'both-%i-%n')]],
  ] as const) {
    await split(t, '-r', whole, ...words)
    const files = readdirSync(at).filter((name) => name.startsWith(prefix))
    t.true(files.length > 2, prefix)
    const found = await Promise.all(files.map((name) => lines(join(at, name))))
    t.deepEqual(found.flat().sort(), expected, prefix)
  }
})

test('by time each period has a command of its own', async (t) => {
  const at = folder(t)
  await split(t, '-q', '-r', lab, '-G', '10s', '--exec', `${bin} capture -q -w ${at}/%s-%n.ipfix`)
  const files = readdirSync(at)
  t.true(files.length > 2)
  let packets = 0
  for (const name of files) {
    const {stdout} = await darta(t, ['info', '-q', '-r', join(at, name), '-o', 'json'])
    packets += (JSON.parse(stdout.toString()) as {packetCount: number}).packetCount
  }
  const {stderr} = await darta(t, ['capture', '-r', lab, '-o', 'null'])
  t.is(packets, Number(/meter: \d+ packets in, (\d+) out/.exec(stderr)?.[1]))
})

test('compressed parts are the parts', async (t) => {
  const at = folder(t)
  await split(t, '-r', lab, '-C', '200k', '-z', 'gzip', '-w', join(at, '%d.gz'))
  t.is(readFileSync(join(at, '1.gz')).readUInt16BE(0), 0x1f8b)
  const files = readdirSync(at).sort()
  const {stderr} = await darta(t, [
    'split',
    ...files.flatMap((name) => ['-r', join(at, name)]),
    '--parts',
    '1',
    '-w',
    join(at, 'whole'),
  ])
  t.regex(stderr, /2230 packets in, 2230 out/)
  t.deepEqual(framesOf(join(at, 'whole')), framesOf(lab))
})

test('nothing at all to be divided by time makes no file, and by size an empty one', async (t) => {
  const at = folder(t)
  const empty = join(at, 'empty.pcap')
  writeFileSync(empty, readFileSync(lab).subarray(0, 24))
  await split(t, '-r', empty, '-G', '1m', '-w', join(at, 'time-%s'))
  await split(t, '-r', empty, '-C', '1k', '-w', join(at, 'size-%d'))
  t.deepEqual(readdirSync(at).sort(), ['empty.pcap', 'size-1'])
  t.deepEqual(framesOf(join(at, 'size-1')), [])
})

test('-x runs for each file when it is whole, and knows its part and period', async (t) => {
  const at = folder(t)
  const list = join(at, 'list')
  const hook = `sh -c "test -s %f && echo %b %i %u >> ${list}"`
  const words = ['-G', '10s', '--parts', '2', '-w', join(at, '%i-%s.pcap'), '-x', hook]
  await split(t, '-r', lab, ...words)
  const files = readdirSync(at).filter((name) => name.endsWith('.pcap'))
  const said = readFileSync(list, 'utf8').trim().split('\n').sort()
  t.true(files.length > 4)
  t.deepEqual(said, files.map((name) => `${name} ${name[0]} ${name.slice(2, -5)}`).sort())
})
