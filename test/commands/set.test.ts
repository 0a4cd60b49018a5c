import test from 'ava'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {darta, folder} from '../support/darta.js'
import {labRecords, printedLines} from '../support/lab-records.js'

test('a set of records has the values that they print, and a filter by it passes these records', async (t) => {
  const {place, file} = await labRecords(t)
  for (const [key, column4, expression] of [
    ['srcip', '%sa', 'src ip in'],
    ['dstport', '%dp', 'dst port in'],
  ] as const) {
    const set = join(place, `${key}.set`)
    const chosen = "'tcp and dst port < 1024'"
    const values = await printedLines(t, `darta set -q -r ${file} --of ${key} -o values ${chosen}`)
    const print = `darta print -q -N -r ${file} -o 'fmt:${column4}' 'tcp and dst port < 1024 and not options'`
    t.true(values.length > 3)
    t.deepEqual(
      [...values].sort(),
      await printedLines(t, `${print} | tr -d ' ' | LC_ALL=C sort -u`),
    )
    await printedLines(t, `darta set -q -r ${file} --of ${key} -w ${set} ${chosen}`)
    const by = await printedLines(t, `darta filter -q -r ${file} --count '${expression} @${set}'`)
    const without = await printedLines(
      t,
      `darta set -q ${set} --subtract ${set} -w ${set}.none; darta filter -q -r ${file} --count '${expression} @${set}.none or options'`,
    )
    const plain = values.map((value) => `${expression.replace(/ in$/, '')} ${value}`).join(' or ')
    t.deepEqual(by, await printedLines(t, `darta filter -q -r ${file} --count '${plain}'`))
    t.deepEqual(without, ['0'])
  }
})

test('values that do not fit memory make the same set', async (t) => {
  const {file} = await labRecords(t)
  const args = ['set', '-r', file, '--of', 'dst6/64']
  const memory = await darta(t, args)
  const disk = await darta(t, [...args, '-v', '--max-memory', '1Ki'])
  t.is(disk.code, 0, disk.stderr)
  t.true(memory.stdout.length > 0)
  t.deepEqual(disk.stdout, memory.stdout)
  t.regex(disk.stderr, /values went to disk \d+ times/)
  t.regex(memory.stderr, /set: \d+ records in, \d+ out, skipped \d+ \(/)
})

test('files and pipes are joined, compressed or not, and cut by others', async (t) => {
  const place = folder(t)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(place, name))
  writeFileSync(a, '10.0.0.0/24 # lab\n2001:db8::/32\n')
  writeFileSync(b, gzipSync('10.0.1.0/24, 192.0.2.1'))
  writeFileSync(c, '10.0.0.128-10.0.1.127\n192.0.2.0/24\n')
  const run = async (...args: string[]): Promise<string> => {
    const {stdout, stderr, code} = await darta(t, ['set', ...args], '10.0.2.0/23 198.51.100.7')
    t.is(code, 0, stderr)
    return stdout.toString().trim().replaceAll('\n', ' ')
  }
  t.is(await run(a, b, '-'), '10.0.0.0/22 192.0.2.1 198.51.100.7 2001:db8::/32')
  t.is(await run(a, b, '--intersect', c), '10.0.0.128/25 10.0.1.0/25 192.0.2.1')
  t.is(await run(a, b, '--subtract', c, '--subtract', a), '10.0.1.128/25')
  t.is(await run(a, b, '--intersect', c, '--subtract', b), '10.0.0.128/25')
  t.is(await run('--count'), '513')
  t.is(
    await run('-o', 'ranges', '--networks', '16'),
    '10.0.0.0-10.0.255.255 198.51.0.0-198.51.255.255',
  )
})

test('the status says whether a set contains all that is asked', async (t) => {
  const code = async (...args: string[]): Promise<number | null> => {
    const {stdout, code: status} = await darta(t, ['set', ...args], '10.0.0.0/8 2001:db8::1')
    t.is(stdout.length, 0)
    return status
  }
  t.is(await code('--contains', '10.1.2.0/24', '--contains', '2001:db8::1'), 0)
  t.is(await code('--contains', '10.1.2.3', '--contains', '11.0.0.0'), 1)
  t.is(await code('--contains', '9.255.255.255-10.0.0.1'), 1)
  t.is(await code('/nowhere/at/all', '--contains', '10.1.2.3'), 2)
  t.is(await code('--contains', '80'), 2)
})

const wrong: [args: string[], says: RegExp][] = [
  [['--of', 'userName'], /userName is neither addresses nor whole numbers/],
  [['--of', 'srcipp'], /no key 'srcipp'/],
  [['-f', 'tcp'], /filters are about records/],
  [['--networks', '33'], /expected bits of IPv4 and IPv6 like 24,64, not '33'/],
  [['-o', 'values', '-'], /more than 2\^32/],
  [['--max-memory', '1M'], /--of/],
]
for (const [args, says] of wrong) {
  test(`refuses ${args.join(' ')}`, async (t) => {
    const {code, stderr} = await darta(t, ['set', ...args], '::/0')
    t.is(code, 2)
    t.regex(stderr, says)
  })
}
