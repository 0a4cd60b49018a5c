import test from 'ava'
import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {filesOfRange, inputFiles} from '../../src/io/input-files.js'
import {DartaError} from '../../src/record/errors.js'
import {darta, folder} from '../support/darta.js'
import {root} from '../support/needing.js'

const lab = join(root, 'test/fixtures/lab.pcap')

test('a directory stands for the files below it, in the order of their paths, without what is hidden or unfinished', (t) => {
  const place = folder(t)
  mkdirSync(join(place, '2026/11'), {recursive: true})
  mkdirSync(join(place, '.git'))
  const files = ['2026/10.ipfix', '2026/11/1.ipfix', '2026/11/2.ipfix', '2027.ipfix']
  for (const file of [...files].reverse()) writeFileSync(join(place, file), '')
  for (const file of ['2026/11/3.ipfix.77.tmp', 'x.current', '.hidden', '.git/a'])
    writeFileSync(join(place, file), '')
  symlinkSync('2027.ipfix', join(place, '2028.ipfix'))
  symlinkSync('nowhere', join(place, '2029.ipfix'))
  t.deepEqual(
    inputFiles(place),
    [...files, '2028.ipfix'].map((file) => join(place, file)),
  )
})

test('a range goes from one file to another of a directory or of folders below one, or to the end', (t) => {
  const place = folder(t)
  const files = ['1/a', '1/b', '1/c:d', '2/a', '2/b', '3/a'].map((file) => join(place, file))
  for (const day of ['1', '2', '3']) mkdirSync(join(place, day))
  for (const file of [...files, join(place, '2/c.tmp')]) writeFileSync(file, '')
  const range = (words: string): string[] => filesOfRange(`${place}/${words}`)
  t.deepEqual(range(''), [`${place}/`])
  t.deepEqual(range('1/a'), files.slice(0, 3))
  t.deepEqual(range('1/a:b'), files.slice(0, 2))
  t.deepEqual(range('1//a:b'), files.slice(0, 2))
  t.deepEqual(range('1/b:b'), files.slice(1, 2))
  t.deepEqual(range('1/c:d'), files.slice(2, 3))
  t.deepEqual(range('1/b:2/b'), files.slice(1, 5))
  t.deepEqual(range('1/b:3/a'), files.slice(1))
  for (const [words, code, says] of [
    ['4/a', 'DARTA_FILE_READ', /4\/a/],
    ['1/a:e', 'DARTA_FILE_READ', /no file .*1\/e/],
    ['1/b:a', 'DARTA_USAGE', /comes before/],
    ['2/b:1/a', 'DARTA_USAGE', /comes before/],
    ['1:2', 'DARTA_USAGE', /is no file but a directory/],
    ['2/c.tmp', 'DARTA_FILE_READ', /unfinished/],
  ] as const) {
    const error = t.throws(() => range(words), {instanceOf: DartaError}, words)
    t.is(error?.code, code, words)
    t.regex(error?.message ?? '', says, words)
  }
})

test('a directory without files is an error that names it', (t) => {
  const place = folder(t)
  const error = t.throws(() => inputFiles(place), {instanceOf: DartaError})
  t.is(error?.code, 'DARTA_FILE_READ')
  t.regex(error?.message ?? '', new RegExp(place))
})

test('the captures of a directory are metered as one', async (t) => {
  const place = folder(t)
  const [first, second] = ['a.pcap', 'b.pcap'].map((name) => join(place, name))
  symlinkSync(lab, first)
  symlinkSync(lab, second)
  const whole = await darta(t, ['capture', '-r', first, '-r', second])
  const below = await darta(t, ['capture', '-r', place])
  t.is(below.code, 0)
  t.deepEqual(below.stdout, whole.stdout)
})
