import test from 'ava'
import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {commands} from '../src/commands/index.js'
import {bash, bin, folder} from './support/darta.js'
import {needing, root, shared} from './support/needing.js'

const rowsFile = join(root, '../shared/bench/darta.json')
const rows = existsSync(rowsFile)
  ? (JSON.parse(readFileSync(rowsFile, 'utf8')) as Record<string, string>)
  : {}

/** Rows whose input is a file, of commands that there are. */
const runnable = Object.entries(rows).filter(
  ([, line]) => line.includes('{input}') && Object.hasOwn(commands, line.split(' ')[1]),
)

needing(shared('bench/darta.json'))('the rows of the side-by-side bench name our commands', (t) => {
  t.true(runnable.length >= 5)
})

for (const [row, line] of runnable) {
  test(`the command line of the bench row ${row} works as it stands`, async (t) => {
    const place = folder(t)
    const lab = join(root, 'test/fixtures/lab.pcap')
    const records = join(place, 'in.ipfix')
    const made = spawnSync(bin, ['capture', '-q', '-r', lab, '-w', records])
    t.is(made.status, 0)
    const key = join(place, 'key')
    const filled = line
      .replace('{darta}', 'darta')
      .replace('{input}', line.includes(' capture ') ? lab : records)
      .replace('{output}', join(place, 'out.ipfix'))
      .replace('{key}', key)
    const {code, stderr} = await bash(t, `echo 0123456789abcdef0123456789abcdef >${key}; ${filled}`)
    t.is(code, 0, stderr)
  })
}

test('bench lists its rows, and each names what it compares', (t) => {
  const script = join(root, 'scripts/bench.mjs')
  const {status, stdout} = spawnSync(process.execPath, [script, '--list'], {encoding: 'utf8'})
  t.is(status, 0)
  const groups = new Set(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('/')[0]),
  )
  for (const group of [
    'flows',
    'pipe',
    'totals',
    'top',
    'pairs',
    'ndjson',
    'csv',
    'small',
    'start',
  ])
    t.true(groups.has(group), group)
})
