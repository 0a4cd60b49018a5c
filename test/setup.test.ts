import test, {type ExecutionContext} from 'ava'
import {execFileSync, spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {root} from './support/needing.js'

/** A PATH on which only `programs` are found, linked from where they really are. */
function pathOf(t: ExecutionContext, programs: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  mkdirSync(join(folder, 'bin'))
  for (const program of programs) {
    const where = execFileSync('sh', ['-c', `command -v ${program}`], {encoding: 'utf8'}).trim()
    symlinkSync(where, join(folder, 'bin', program))
  }
  return join(folder, 'bin')
}

function setUp(group: string, env: NodeJS.ProcessEnv): {status: number | null; said: string} {
  const run = spawnSync('sh', ['scripts/setup.sh', group], {cwd: root, encoding: 'utf8', env})
  return {status: run.status, said: run.stdout + run.stderr}
}

/** What the script itself and a build with nothing to do call. */
const bare = ['sh', 'dirname', 'mktemp', 'rm', 'id', 'ls', 'node', 'npm', 'uname', 'mkdir']

test('a set-up with nothing to do says nothing', (t) => {
  t.deepEqual(setUp('build', process.env), {status: 0, said: ''})
})

test('a set-up that cannot install names what the tests miss, and goes on', (t) => {
  const PATH = pathOf(t, [...bare, 'g++', 'make', 'bzip2'])
  const {status, said} = setUp('test', {PATH})
  t.is(status, 0, said)
  const missing = /^setup: missing for the tests, .* to install it: (.*)$/m.exec(said)?.[1] ?? ''
  const packages = missing.trim().split(' ')
  for (const name of ['clang-14', 'mandoc', 'tshark', 'zsh']) t.true(packages.includes(name), said)
  for (const name of ['bzip2', 'g++', 'make']) t.false(packages.includes(name), said)
})

test('a set-up without compiler that cannot install one says so and stops', (t) => {
  const PATH = pathOf(t, [...bare, 'make'])
  const {status, said} = setUp('build', {PATH})
  t.is(status, 1)
  t.regex(said, /^setup: missing for the build, .* to install it: g\+\+ $/m)
})
