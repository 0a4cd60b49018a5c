import {spawnSync} from 'node:child_process'
import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {needing, root} from '../support/needing.js'

const script = join(root, 'scripts/kmod/checkpatch.mjs')
const source = join(root, 'linubia-kmod')

function absence(): string | undefined {
  const {status, stderr} = spawnSync(process.execPath, [script, 'provide'], {encoding: 'utf8'})
  return status === 0 ? undefined : stderr.trim().split('\n')[0]
}

const check = (...files: string[]): {status: number | null; stdout: string} =>
  spawnSync(process.execPath, [script, 'check', ...files], {encoding: 'utf8'})

needing(absence())('checkpatch --strict finds nothing in the module', (t) => {
  const files = readdirSync(source)
    .filter((name) => /\.[ch]$/.test(name))
    .map((name) => join(source, name))
  t.true(files.length >= 9)
  const {status, stdout} = check(...files, join(source, 'uapi/linubia.h'))
  t.is(stdout, '')
  t.is(status, 0)
})

needing(absence())('checkpatch is asked in earnest: it finds what is wrong', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'darta-style-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  const file = join(folder, 'bad.c')
  writeFileSync(file, '// SPDX-License-Identifier: GPL-2.0\nint f( void ){return 0;}\n')
  const {status, stdout} = check(file)
  t.is(status, 1)
  t.regex(stdout, /bad\.c:2: ERROR:/)
})
