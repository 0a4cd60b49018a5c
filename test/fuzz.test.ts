import test from 'ava'
import {spawnSync} from 'node:child_process'
import {join} from 'node:path'
import {needing, root, shared} from './support/needing.js'

function fuzz(...args: string[]): {status: number | null; said: string} {
  const {status, stdout, stderr} = spawnSync(
    process.execPath,
    [join(root, 'scripts/fuzz.mjs'), ...args],
    {encoding: 'utf8'},
  )
  return {status, said: stdout + stderr}
}

test('what damaged input once broke stays whole', (t) => {
  const {status, said} = fuzz(
    '--replay',
    '--target',
    'ipfix',
    '--target',
    'ndjson',
    '--target',
    'meter',
  )
  t.is(status, 0, said)
  t.regex(said, /kept inputs, 0 still break a promise/)
})

needing(shared('fixtures'))('a run of the fuzzer can be repeated alone', (t) => {
  const {status, said} = fuzz('--target', 'ipfix', '--seed', '1', '--only', '12345')
  t.is(status, 0, said)
  t.regex(said, /\(run 12345\)/)
})
