import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bash, bin, darta, folder, start} from '../support/darta.js'
import {root} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')

function made(t: ExecutionContext): {place: string; file: string} {
  const place = folder(t)
  const file = join(place, 'lab.ipfix')
  const {status} = spawnSync(bin, ['capture', '-q', '-r', lab, '-w', file])
  t.is(status, 0)
  return {place, file}
}

async function count(t: ExecutionContext, file: string): Promise<number> {
  const {stdout} = await darta(t, ['filter', '-q', '-r', file, '--count', 'any'])
  return Number(stdout.toString())
}

test('what passes and what fails are the input together, Options Records are in both', async (t) => {
  const {place, file} = made(t)
  const hit = join(place, 'hit.ipfix')
  const rest = join(place, 'rest.ipfix')
  const {code, stderr} = await darta(t, ['filter', '-r', file, '-w', hit, '--fail', rest, 'tcp'])
  t.is(code, 0)
  t.regex(stderr, /filter: 727 records in, 550 out, skipped 177 \(no-match 177\)/)
  t.is(await count(t, hit), 547)
  t.is(await count(t, rest), 177)
  const both = `darta info -q --compare -r <(cat ${hit} ${rest} | darta filter -q --options drop any) -r <(darta filter -q --options drop -r ${file} any)`
  t.is((await bash(t, both)).code, 0)
  for (const part of [hit, rest]) {
    const options = await darta(t, [
      'filter',
      '-q',
      '-r',
      part,
      '--options',
      'test',
      '--count',
      'options',
    ])
    t.is(options.stdout.toString(), '3\n')
  }
})

test('what passes goes out as a copy would', async (t) => {
  const {file} = made(t)
  const {stdout} = await darta(t, ['filter', '-q', '-r', file, 'any'])
  const copy = await darta(t, ['print', '-q', '-r', file, '-o', 'ipfix'])
  t.deepEqual(stdout, copy.stdout)
})

test('the same records pass without the addon, and in a pipe', async (t) => {
  const {file} = made(t)
  const expression = 'proto udp and src net 192.0.2.0/24 or bytes > 5k'
  const {stdout} = await darta(t, ['filter', '-q', '-r', file, '-o', 'ndjson', expression])
  t.true(stdout.length > 1000)
  const env = {...process.env, DARTA_NATIVE: '0'}
  const plain = await darta(t, ['filter', '-q', '-o', 'ndjson', expression], readFileSync(file), {
    env,
  })
  t.deepEqual(plain.stdout, stdout)
})

test('with -e the status is that of grep: 0 for a match, 1 for none, 2 for trouble', async (t) => {
  const {place, file} = made(t)
  const run = async (...words: string[]): Promise<number | null> =>
    (await darta(t, ['filter', '-q', '-e', '-o', 'null', ...words])).code
  t.is(await run('-r', file, 'tcp'), 0)
  t.is(await run('-r', file, 'host 233.252.0.9'), 1)
  t.is(await run('-r', join(place, 'absent'), 'tcp'), 2)
  t.is(await run('-r', file, 'prot tcp'), 2)
})

test('an expression that is not understood ends with status 2 and a caret, before anything is written', async (t) => {
  const {place, file} = made(t)
  const out = join(place, 'out.ipfix')
  const {code, stderr, stdout} = await darta(t, [
    'filter',
    '-r',
    file,
    '-w',
    out,
    'proto tcp and prt 80',
  ])
  t.is(code, 2)
  t.is(stdout.length, 0)
  t.regex(
    stderr,
    /column 15: nothing is named 'prt'; did you mean port\?\n {2}proto tcp and prt 80\n {16}\^\^\^/,
  )
  t.throws(() => readFileSync(out))
})

test('the filter comes from files that include others, and from the command line, and all must hold', async (t) => {
  const {place, file} = made(t)
  writeFileSync(join(place, 'nets'), '192.0.2.0/24\n2001:db8::/32 # documentation\n')
  writeFileSync(join(place, 'let.filter'), `let ours = src ip in @${join(place, 'nets')}\n`)
  writeFileSync(join(place, 'a.filter'), `@include ${join(place, 'let.filter')}\nours and udp\n`)
  const counted = async (...words: string[]): Promise<number> =>
    Number((await darta(t, ['filter', '-q', '-r', file, '--count', ...words])).stdout.toString())
  const direct = await counted('udp and src ip in [192.0.2.0/24 2001:db8::/32] and packets 1')
  t.true(direct > 0)
  t.is(await counted('-F', join(place, 'a.filter'), 'packets', '1'), direct)
  t.is(await counted('-F', join(place, 'a.filter'), '-f', 'packets 1'), direct)
  const absent = await darta(t, ['filter', '-r', file, 'src ip in @/nonexistent'])
  t.is(absent.code, 1)
  t.regex(absent.stderr, /cannot read \/nonexistent: no such file/)
})

test('-c ends with the record that is the last to match, and only what came before it fails', async (t) => {
  const {place, file} = made(t)
  const rest = join(place, 'rest.ndjson')
  const {stdout} = await darta(t, [
    ...['filter', '-q', '-r', file, '-c', '5', '--fail', rest, '-o', 'ndjson', '--options', 'drop'],
    'udp',
  ])
  const whole = await darta(t, [
    'filter',
    '-q',
    '-r',
    file,
    '-o',
    'ndjson',
    '--options',
    'drop',
    'any',
  ])
  const all = whole.stdout.toString().trim().split('\n')
  const passed = stdout.toString().trim().split('\n')
  const failed = readFileSync(rest, 'utf8').trim().split('\n').filter(Boolean)
  t.is(passed.length, 5)
  const last = all.indexOf(passed[4])
  t.deepEqual([...passed, ...failed].sort(), all.slice(0, last + 1).sort())
})

test('a time range takes the Flows that lie in it', async (t) => {
  const {file} = made(t)
  const counted = async (...words: string[]): Promise<string> =>
    (await darta(t, ['filter', '-q', '-r', file, '--count', ...words])).stdout.toString()
  const inside = await counted(
    'first seen >= 2026-11-25T16:27:14Z and last seen < 2026-11-25T16:27:20Z',
  )
  t.not(inside, '0\n')
  t.is(await counted('-t', '2026-11-25T16:27:14..2026-11-25T16:27:19', 'any'), inside)
})

test('--strict fails where a test has nothing to ask', async (t) => {
  const {file} = made(t)
  const {code, stderr} = await darta(t, [
    'filter',
    '-r',
    file,
    '--strict',
    '-o',
    'null',
    'user alice',
  ])
  t.is(code, 2)
  t.regex(stderr, /--strict: records of Template \d+ have nothing that 'user alice' could ask/)
  t.is((await darta(t, ['filter', '-q', '-r', file, '--strict', '-o', 'null', 'tcp'])).code, 0)
})

test('a reader of the output that goes away ends the command with status 141', async (t) => {
  const {file} = made(t)
  const {code, stdout, stderr} = await bash(
    t,
    `for i in 1 2 3 4 5 6 7 8; do cat ${file}; done | darta filter any -o ndjson | head -n 1`,
  )
  t.is(stdout.toString().split('\n').length, 2)
  t.notRegex(stderr, /EPIPE|Error/)
  t.true(code === 141 || code === 0)
})

test('print, info, analyze, split, route and capture take the same expressions', async (t) => {
  const {place, file} = made(t)
  const expression = 'udp and dst port 53'
  const out = async (line: string): Promise<string> => {
    const {code, stdout, stderr} = await bash(t, line)
    t.is(code, 0, stderr)
    return stdout.toString()
  }
  const n = Number(await out(`darta filter -q -r ${file} --count '${expression}'`))
  t.true(n > 0)
  const lines = async (line: string): Promise<number> => (await out(line)).trim().split('\n').length
  t.is(await lines(`darta print -q -r ${file} -o 'fmt:%sa' ${expression}`), n)
  t.is(await lines(`darta print -q -r ${file} -o 'fmt:%sa' -f udp dst port 53`), n)
  writeFileSync(join(place, 'dns.filter'), `${expression}\n`)
  t.is(await lines(`darta print -q -r ${file} -o 'fmt:%sa' -F ${join(place, 'dns.filter')}`), n)
  t.regex(
    await out(`darta info -q -r ${file} --totals -f '${expression}'`),
    new RegExp(`: ${n} records`),
  )
  const top = await out(
    `darta analyze top -q -r ${file} -s dstport/flows -f '${expression}' -o csv`,
  )
  t.regex(top, new RegExp(`\\b53\\b.*\\b${n}\\b`))
  await out(`darta split -q -r ${file} --parts 2 -w ${place}/p%d.ipfix -f '${expression}'`)
  const parts = `cat ${place}/p1.ipfix ${place}/p2.ipfix | darta print -q -o 'fmt:%sa'`
  t.is(await lines(parts), n)
  t.is(
    await lines(
      `darta capture -q -r ${lab} --record-filter '${expression}' | darta print -q -o 'fmt:%sa'`,
    ),
    n,
  )
  const unit = `${bin} filter -q -w ${place}/r%d.ipfix any`
  await out(`darta route -q -r ${file} --key srcip --units 2 --exec '${unit}' -f '${expression}'`)
  const units = `cat ${place}/r1.ipfix ${place}/r2.ipfix | darta print -q -o 'fmt:%sa'`
  t.is(await lines(units), n)
  for (const wrong of [
    `darta split -r ${lab} --parts 2 -w ${place}/q%d.pcap -f udp`,
    `darta info -r ${lab} --totals -f udp`,
    `darta capture -r ${lab} --emit pcap --record-filter udp`,
    `darta print -r ${file} -f 'prot udp'`,
  ]) {
    t.is((await bash(t, wrong)).code, 2, wrong)
  }
})

test('a file without -r before it is told as such', async (t) => {
  const {file} = made(t)
  for (const command of ['filter', 'print', 'aggregate', 'anonymize']) {
    const more = {aggregate: ['-a'], anonymize: ['--method', 'black']}[command] ?? []
    for (const words of [[file], [file, 'proto tcp']]) {
      const {code, stderr} = await darta(t, [command, ...more, ...words])
      t.is(code, 2)
      t.true(stderr.includes(`${file} is a file: give it as -r ${file}`), stderr)
    }
  }
})

test('who gives -n a number, as of nfdump, is told what says how many', async (t) => {
  const {file} = made(t)
  const {code, stderr} = await darta(t, ['print', '-r', file, '-n', '3', 'proto tcp'])
  t.is(code, 2)
  t.regex(stderr, /does not begin with 3: -c N says how many records/)
})

test('records of NDJSON are filtered as those of IPFIX', async (t) => {
  const {file} = made(t)
  const json = await darta(t, ['print', '-q', '-r', file, '-o', 'ndjson'])
  const expression = 'tcp and flags S and not port 80'
  const ours = await darta(t, ['filter', '-q', '-r', file, '-o', 'ndjson:bare', expression])
  const theirs = await darta(t, ['filter', '-q', '-o', 'ndjson:bare', expression], json.stdout)
  t.true(ours.stdout.length > 500)
  t.deepEqual(theirs.stdout, ours.stdout)
})

test('after SIGHUP the files that the filter names are read again, and one that is wrong changes nothing', async (t) => {
  const place = folder(t)
  const list = join(place, 'list')
  const replaceList = (text: string): void => {
    writeFileSync(join(place, 'next'), text)
    renameSync(join(place, 'next'), list)
  }
  const flow = (octet: number): string =>
    `{"sourceIPv4Address":"192.0.2.${octet}","octetDeltaCount":${octet}}\n`
  replaceList('192.0.2.1\n')
  const running = start(t, bin, ['filter', '-l', '-o', 'ndjson:bare', `src ip in @${list}`])
  const {child} = running
  child.stdin.write(flow(2) + flow(1))
  await running.gives(1)
  replaceList('192.0.2.0/30\n')
  child.kill('SIGHUP')
  await running.says(/read again/)
  child.stdin.write(flow(3))
  await running.gives(flow(1).length + 1)
  replaceList('no address\n')
  child.kill('SIGHUP')
  await running.says(/DARTA_FILTER_SYNTAX/)
  child.stdin.end(flow(2) + flow(9))
  const {code, stdout, stderr} = await running.ended
  t.is(code, 2)
  const passed = stdout.toString().trim().split('\n')
  t.deepEqual(
    passed.map((line) => (JSON.parse(line) as {octetDeltaCount: number}).octetDeltaCount),
    [1, 3, 2],
  )
  t.regex(stderr, /filter: 5 records in, 3 out, skipped 2 \(no-match 2\)/)
})
