import test, {type ExecutionContext} from 'ava'
import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {bash, darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')

async function made(t: ExecutionContext): Promise<string> {
  const place = folder(t)
  const {code} = await darta(t, ['capture', '-q', '-r', lab, '-w', join(place, 'lab.ipfix')])
  t.is(code, 0)
  return place
}

const said = async (t: ExecutionContext, line: string): Promise<string> => {
  const {stdout, stderr, code} = await bash(t, line)
  t.is(code, 0, stderr)
  return stdout.toString()
}

test('names of files come from standard input, by lines and as find -print0 writes them', async (t) => {
  const place = await made(t)
  const odd = join(place, 'a folder')
  mkdirSync(odd)
  const copy = join(odd, 'two\nlines.ipfix')
  await darta(t, ['filter', '-q', '-r', join(place, 'lab.ipfix'), '-w', copy, 'tcp'])
  const tcp = Number(await said(t, `darta filter -q --count -r ${place}/lab.ipfix tcp`))
  const count = 'darta filter -q --xargs --count tcp'
  t.is(Number(await said(t, `echo ${place}/lab.ipfix | ${count}`)), tcp)
  t.is(Number(await said(t, `find ${place} -name '*.ipfix' -print0 | ${count}`)), 2 * tcp)
  t.is(Number(await said(t, `echo ${place}/lab.ipfix | ${count} -r ${place}/lab.ipfix`)), 2 * tcp)
  for (const [input, says] of [
    ['', /standard input names no file/],
    ['-\n', /is no input itself/],
    ['/nowhere/at/all\n', /nowhere/],
  ] as const) {
    const {code, stderr} = await darta(t, ['print', '--xargs'], input)
    t.not(code, 0)
    t.regex(stderr, says)
  }
})

test('-R reads a range of the files of a directory, after those of -r', async (t) => {
  const place = await made(t)
  const day = join(place, 'day')
  mkdirSync(day)
  for (const name of ['1', '2', '3']) {
    await darta(t, ['filter', '-q', '-r', join(place, 'lab.ipfix'), '-w', join(day, name), 'tcp'])
  }
  const tcp = Number(await said(t, `darta filter -q --count -r ${day}/1 any`))
  for (const [range, times] of [
    [`-R ${day}`, 3],
    [`-R ${day}/2`, 2],
    [`-R ${day}/1:2 -R ${day}/3:3`, 3],
    [`-r ${day}/1 -R ${day}/2:3`, 3],
  ] as const) {
    t.is(Number(await said(t, `darta filter -q --count ${range} any`)), times * tcp, range)
  }
  t.is(
    await said(t, `darta aggregate -q -R ${day} -c 5 -A proto -o 'fmt:%fl'`),
    await said(t, `darta aggregate -q -r ${day}/1 -c 5 -A proto -o 'fmt:%fl'`),
  )
  const {code, stderr} = await darta(t, ['print', '-R', `${day}/3:1`])
  t.is(code, 2, stderr)
  t.regex(stderr, /comes before/)
})

test('-N, -n, --units and --time mean the same in every command that writes tables', async (t) => {
  const place = await made(t)
  const file = join(place, 'lab.ipfix')
  const first = (text: string): string => text.split('\n')[0]
  const lines = "-o 'fmt:%byt %ts'"
  const commands = [
    `print -r ${file} -O bytes -c 1`,
    `sort -r ${file} -O bytes -c 1`,
    `aggregate -r ${file} -a -O bytes -k 1`,
    `anonymize --method black -r ${file} 'bytes > 40000'`,
    `filter -r ${file} 'bytes > 40000 and not options'`,
  ]
  for (const command of commands) {
    const plain = first(await said(t, `darta ${command} -q ${lines} -N --time epoch`))
    t.regex(plain, /^\d{5,} \d{10}\.\d{3}$/, command)
    t.is(first(await said(t, `darta ${command} -q ${lines} --units none --time epoch`)), plain)
    t.regex(first(await said(t, `darta ${command} -q ${lines}`)), /^\d+\.\d [kM] 20\d\d-/, command)
  }
})

test('-t means the same in every command that reads records', async (t) => {
  const place = await made(t)
  const file = join(place, 'lab.ipfix')
  const middle = first(
    await said(t, `darta sort -q -r ${file} -O tstart -o 'fmt:%ts' 'not options' | sed -n 400p`),
  )
  const range = `..${middle}`
  const records = Number(await said(t, `darta filter -q -r ${file} -t ${range} --count any`))
  t.true(records > 100 && records < 700, `${records}`)
  const count = `darta filter -q --count any`
  for (const command of ['anonymize --method black', 'print -o ndjson', 'sort', 'filter any']) {
    t.is(
      Number(await said(t, `darta ${command} -q -r ${file} -t ${range} | ${count}`)),
      records,
      command,
    )
  }
  t.is(
    (
      JSON.parse(await said(t, `darta info -q --totals -o json -r ${file} -t ${range}`)) as {
        records: number
      }
    ).records,
    records,
  )

  function first(text: string): string {
    return text.split('\n')[0]
  }
})

test('-V is understood behind a command, too', async (t) => {
  const version = await said(t, 'darta -V')
  t.regex(version, /^darta \d/)
  t.is(await said(t, 'darta filter -V'), version)
  t.is(await said(t, 'darta capture --version'), version)
})

test('words behind capture -i are a packet filter, and elsewhere are told what they should be', async (t) => {
  for (const [args, says] of [
    [['-i', 'lo', 'tcp', 'prt', '80'], /'tcp prt 80': can't parse/],
    [['-i', 'lo', '-f', 'tcp', 'udp'], /'udp' and -f are two packet filters/],
    [['-r', lab, 'tcp'], /--record-filter/],
  ] as const) {
    const {code, stderr} = await darta(t, ['capture', ...args])
    t.is(code, 2, stderr)
    t.regex(stderr, says)
  }
})
