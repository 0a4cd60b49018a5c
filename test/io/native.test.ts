import {execFileSync} from 'node:child_process'
import {cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import test, {type ExecutionContext} from 'ava'
import {nativeAbsence} from '../../src/io/native.js'
import {needing, root} from '../support/needing.js'

const testNative = needing(nativeAbsence())

/** What a process says that loads the addon by the module at `path`: its functions, or why there is none. */
function load(path: string, environment: Record<string, string> = {}): string {
  const script = `import {loadNative, nativeAbsence} from ${JSON.stringify(path)}
    console.log(loadNative() === undefined ? nativeAbsence() : typeof loadNative().meterCreate)`
  const env = {...process.env, DARTA_NATIVE: undefined, ...environment}
  const options = {env, encoding: 'utf8'} as const
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], options).trim()
}

/** A package of nothing but the loader, at `place`, and its addon's octets. */
function packageWith(t: ExecutionContext, place: string, addon?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-addon-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  mkdirSync(join(folder, place), {recursive: true})
  const module = join(folder, place, 'native.js')
  cpSync(join(root, 'build/src/io/native.js'), module)
  mkdirSync(join(folder, 'native/build'), {recursive: true})
  if (addon !== undefined) writeFileSync(join(folder, 'native/build/darta.node'), addon)
  return module
}

const compiled = join(root, 'build/src/io/native.js')

testNative('the addon is found beside the compiled code and beside the bundle', (t) => {
  t.is(load(compiled), 'function')
  for (const place of ['build/src/io', 'dist', 'dist/chunks']) {
    const module = packageWith(t, place)
    cpSync(
      join(root, 'native/build/darta.node'),
      join(module, ...up(place), 'native/build/darta.node'),
    )
    t.is(load(module), 'function')
  }
})

function up(place: string): string[] {
  return ['..', ...place.split('/').map(() => '..')]
}

testNative('DARTA_NATIVE=0 switches the addon off, and only 0 does', (t) => {
  t.is(load(compiled, {DARTA_NATIVE: '0'}), 'DARTA_NATIVE is 0')
  t.is(load(compiled, {DARTA_NATIVE: '1'}), 'function')
})

test('an addon that is absent, or not for this machine, is told and not thrown', (t) => {
  t.regex(load(packageWith(t, 'dist')), /darta\.node is not built$/)
  t.regex(load(packageWith(t, 'dist', 'no shared object')), /darta\.node: /)
})
