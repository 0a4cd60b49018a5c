import test from 'ava'
import {spawnSync} from 'node:child_process'
import {join} from 'node:path'
import {root} from '../support/needing.js'

test('the conformance matrix is what its script writes, and every test that it names is there', (t) => {
  const script = join(root, 'scripts/conformance.mjs')
  const {status, stderr} = spawnSync(process.execPath, [script, '--check'], {encoding: 'utf8'})
  t.is(stderr, '')
  t.is(status, 0)
})
