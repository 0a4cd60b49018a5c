import test from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bash, bin, darta, folder} from '../support/darta.js'
import {labRecords, printedLines} from '../support/lab-records.js'

test('the order is that of sort(1) over the printed column, and no record is lost', async (t) => {
  const {place, file} = await labRecords(t)
  const sorted = join(place, 'sorted.ipfix')
  const print = `darta print -q -N -o 'fmt:%{octetDeltaCount}' 'any and not options'`
  await darta(t, ['sort', '-r', file, '-O', 'bytes', '-w', sorted])
  const ours = await printedLines(t, `${print} -r ${sorted}`)
  t.true(ours.length > 700)
  t.deepEqual(ours, await printedLines(t, `${print} -r ${file} | sort -rn`))
  const same = await darta(t, ['info', '-q', '--compare', '-r', file, '-r', sorted])
  t.is(same.code, 0)
  t.deepEqual(await printedLines(t, `${print} -r ${file} -O bytes`), ours)
  t.deepEqual(await printedLines(t, `${print} -r ${file} -O bytes -c 5`), ours.slice(0, 5))
  t.deepEqual(
    await printedLines(t, `darta sort -q -r ${file} -c 5 -O bytes | ${print}`),
    ours.slice(0, 5),
  )
})

test('what goes to disk goes out as what stays in memory, octet for octet', async (t) => {
  const {file} = await labRecords(t)
  for (const order of ['tstart', 'srcip,dstip,bytes:a', 'flowEndReason:d,tend']) {
    const args = ['sort', '-v', '-r', file, '-O', order]
    const [memory, disk] = [await darta(t, args), await darta(t, [...args, '--max-memory', '16Ki'])]
    t.is(memory.code, 0, memory.stderr)
    t.regex(disk.stderr, /records went to disk \d+ times/)
    t.deepEqual(disk.stdout, memory.stdout)
  }
})

test('files in order are merged as they come, and doubles dropped', async (t) => {
  const {place, file} = await labRecords(t)
  const [even, odd, whole] = ['even', 'odd', 'whole'].map((name) => join(place, name))
  await darta(t, ['sort', '-q', '-r', file, '-w', even, 'src port < 1024'])
  await darta(t, ['sort', '-q', '-r', file, '-w', odd, 'not src port < 1024'])
  await darta(t, ['sort', '-q', '-r', file, '-w', whole])
  const flows = `darta filter -q --options drop any | darta print -q -o ndjson | sed 's/,"_ipfix.*//'`
  const merged = await printedLines(t, `darta sort --merge -r ${even} -r ${odd} | ${flows} | sort`)
  t.deepEqual(merged, await printedLines(t, `darta filter -q -r ${whole} any | ${flows} | sort`))
  const starts = (line: string): string =>
    `${line} | darta filter -q --options drop any | darta print -q -o 'fmt:%{flowStartMilliseconds}'`
  t.deepEqual(
    await printedLines(t, starts(`darta sort --merge -r ${even} -r ${odd}`)),
    await printedLines(t, starts(`darta sort -r ${file}`)),
  )
  const {stderr} = await darta(t, [
    ...['sort', '--merge', '--unique', '-r', even, '-r', odd, '-r', whole, '-o', 'null'],
  ])
  const [, records, out, doubles] = /sort: (\d+) records in, (\d+) out, skipped (\d+) \(double/
    .exec(stderr)!
    .map(Number)
  t.is(records, out + doubles)
  const once = await darta(t, [
    'sort',
    '--unique',
    '-r',
    even,
    '-r',
    odd,
    '-r',
    whole,
    '-o',
    'null',
  ])
  t.regex(once.stderr, new RegExp(`skipped ${doubles} \\(double ${doubles}\\)`))
})

test('an input that is not in order is named, and its records go out all the same', async (t) => {
  const {place, file} = await labRecords(t)
  const [up, down] = ['up', 'down'].map((name) => join(place, name))
  await darta(t, ['sort', '-q', '-r', file, '-w', up])
  await darta(t, ['sort', '-q', '-r', file, '-O', 'tstart:d', '-w', down])
  const {code, stderr} = await darta(t, ['sort', '--merge', '-r', up, '-r', down, '-o', 'null'])
  t.is(code, 1)
  t.regex(stderr, /down is not in the order of -O.*DARTA_UNSORTED/)
  t.notRegex(stderr, /up is not in the order/)
  const [, records, out] = /sort: (\d+) records in, (\d+) out/.exec(stderr)!
  t.is(records, out)
})

test('Options Records go first and keep their order', async (t) => {
  const place = folder(t)
  const file = join(place, 'records')
  const flow = (octets: number): string => `{"octetDeltaCount":${octets}}\n`
  const option = (domain: number): string =>
    `{"observationDomainId":${domain},"observationDomainName":"d${domain}","_scope":["observationDomainId"]}\n`
  writeFileSync(file, flow(1) + option(2) + flow(3) + option(1) + flow(2))
  const {stdout} = await darta(t, ['sort', '-q', '-r', file, '-O', 'bytes', '-o', 'ndjson'])
  const lines = stdout.toString().trimEnd().split('\n')
  const values = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  t.deepEqual(
    values.map((v) => v.observationDomainName ?? v.octetDeltaCount),
    ['d2', 'd1', 3, 2, 1],
  )
})

test('the same input gives the same octets', async (t) => {
  const {file} = await labRecords(t)
  const args = ['sort', '-q', '-r', file, '-O', 'proto']
  t.deepEqual((await darta(t, args)).stdout, (await darta(t, args)).stdout)
})

test('a reader that goes away ends it without a word', async (t) => {
  const {file} = await labRecords(t)
  const {stderr} = await bash(t, `"${bin}" sort -r ${file} -O bytes -o ndjson | head -1 >/dev/null`)
  t.notRegex(stderr, /Error|EPIPE/)
})

test('what is wrong on the command line is told with status 2', async (t) => {
  for (const args of [
    ['-O', 'nothing'],
    ['--ignore', 'exporterIPv4Address'],
    ['--unique', '--ignore', 'nothing'],
    ['--unique', '--first'],
    ['--max-memory', 'much'],
  ]) {
    const {code} = await darta(t, ['sort', ...args], '{"octetDeltaCount":1}\n')
    t.is(code, 2, args.join(' '))
  }
})
