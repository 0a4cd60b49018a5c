import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {bash, bin, darta, folder, start} from '../support/darta.js'
import {root} from '../support/needing.js'

/** A package as somebody installs it: bin and what it runs, nothing else. */
function installation(t: ExecutionContext, ...parts: ('dist' | 'build')[]): string {
  const place = folder(t)
  mkdirSync(join(place, 'bin'))
  cpSync(bin, join(place, 'bin/darta'))
  cpSync(join(root, 'package.json'), join(place, 'package.json'))
  for (const part of parts) {
    if (part === 'dist') cpSync(join(root, part), join(place, part), {recursive: true})
    else symlinkSync(join(root, part), join(place, part))
  }
  return place
}

/** A folder for PATH in which `node` says that it is `version`, or is the one that runs the tests. */
function nodeFolder(t: ExecutionContext, version: string | undefined): string {
  const place = folder(t)
  if (version === undefined) symlinkSync(process.execPath, join(place, 'node'))
  else writeFileSync(join(place, 'node'), `#!/bin/sh\necho ${version}\n`, {mode: 0o755})
  return place
}

function run(
  program: string,
  path: string,
): {status: number | null; stdout: string; stderr: string} {
  return spawnSync(program, ['ie', '--spec', '8'], {
    encoding: 'utf8',
    env: {...process.env, PATH: path},
  })
}

const found = 'sourceIPv4Address(8)<ipv4Address>[4]\n'

test('runs through symbolic links, absolute and relative, from any folder', (t) => {
  const place = folder(t)
  symlinkSync(bin, join(place, 'absolute'))
  symlinkSync('absolute', join(place, 'relative'))
  mkdirSync(join(place, 'deep'))
  symlinkSync('../relative', join(place, 'deep/deeper'))
  for (const name of ['./absolute', './relative', './deep/deeper', join(place, 'deep/deeper')]) {
    const {stdout, stderr} = spawnSync(name, ['ie', '--spec', '8'], {encoding: 'utf8', cwd: place})
    t.is(stdout, found, stderr)
  }
  const path = `${place}:${process.env.PATH ?? ''}`
  t.is(run('absolute', path).stdout, found)
})

test('runs the bundle alone, with no modules beside it, on the Node in PATH', (t) => {
  const place = installation(t, 'dist')
  const {stdout, stderr} = run(
    join(place, 'bin/darta'),
    `${nodeFolder(t, undefined)}:/usr/bin:/bin`,
  )
  t.is(stderr, '')
  t.is(stdout, found)
})

test('runs the compiled files where there is no bundle', (t) => {
  const place = installation(t, 'build')
  const {stdout, stderr} = run(
    join(place, 'bin/darta'),
    `${nodeFolder(t, undefined)}:/usr/bin:/bin`,
  )
  t.is(stderr, '')
  t.is(stdout, found)
})

test('takes the packaged Node before an old one in PATH', (t) => {
  const place = installation(t, 'dist')
  mkdirSync(join(place, 'node_modules/node/bin'), {recursive: true})
  symlinkSync(process.execPath, join(place, 'node_modules/node/bin/node'))
  t.is(run(join(place, 'bin/darta'), `${nodeFolder(t, '18.0.0')}:/usr/bin:/bin`).stdout, found)
})

for (const version of ['20.20.2', '22.14.0', '18.19.1']) {
  test(`says what it needs where Node ${version} is all there is`, (t) => {
    const place = installation(t, 'dist')
    const {status, stdout, stderr} = run(
      join(place, 'bin/darta'),
      `${nodeFolder(t, version)}:/usr/bin:/bin`,
    )
    t.is(status, 1)
    t.is(stdout, '')
    t.regex(stderr, new RegExp(`^darta: Node.js 22.15 or newer is needed, .* is ${version};.*\n$`))
  })
}

test('says so where there is no Node at all, and where nothing was built', (t) => {
  // Only what the script itself may call.
  const place = folder(t)
  for (const name of ['sh', 'readlink']) {
    const {stdout} = spawnSync('sh', ['-c', `command -v ${name}`], {encoding: 'utf8'})
    symlinkSync(stdout.trim(), join(place, name))
  }
  const without = run(join(installation(t, 'dist'), 'bin/darta'), place)
  t.is(without.status, 1)
  t.regex(
    without.stderr,
    /^darta: Node.js 22.15 or newer is needed, and there is no node in PATH\n$/,
  )
  const unbuilt = run(join(installation(t), 'bin/darta'), place)
  t.is(unbuilt.status, 1)
  t.regex(unbuilt.stderr, /^darta: not built: .*npm run build\n$/)
})

test('keeps compiled code in the cache folder, and does without where it cannot', async (t) => {
  const cache = folder(t)
  const env = {...process.env, XDG_CACHE_HOME: cache}
  const {stdout} = await darta(t, ['ie', '--spec', '8'], '', {env})
  t.is(stdout.toString(), found)
  t.deepEqual(readdirSync(cache), ['darta'])
  for (const XDG_CACHE_HOME of ['/dev/null', '/proc/nowhere']) {
    const ended = await darta(t, ['ie', '--spec', '8'], '', {env: {...process.env, XDG_CACHE_HOME}})
    t.is(ended.stdout.toString(), found)
    t.is(ended.stderr, '')
  }
})

test('tells its version', async (t) => {
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  for (const word of ['--version', '-V', 'version']) {
    const {code, stdout} = await darta(t, [word])
    t.is(code, 0)
    t.true(stdout.toString().startsWith(`darta ${version} linux-`))
  }
})

test('--help and help list the commands', async (t) => {
  for (const word of ['--help', '-h', 'help']) {
    const {code, stdout, stderr} = await darta(t, [word])
    t.is(code, 0)
    t.is(stderr, '')
    t.regex(stdout.toString(), /\nCOMMANDS\n(.*\n)* {2}ie +Look up Information Elements/)
  }
})

test('the help page of a command comes by three ways and ends with 0', async (t) => {
  const pages = await Promise.all(
    [
      ['ie', '--help'],
      ['help', 'ie'],
      ['ie', '8', '-h'],
      ['--help', 'ie'],
    ].map((args) => darta(t, args)),
  )
  for (const {code, stdout} of pages) {
    t.is(code, 0)
    t.is(stdout.toString(), pages[0].stdout.toString())
  }
  t.regex(
    pages[0].stdout.toString(),
    /^Look up Information Elements\.\n\nUSAGE\n {2}\$ darta ie \[QUERY...\]/,
  )
})

test('--help behind -- is an operand', async (t) => {
  const {code, stderr} = await darta(t, ['ie', '--', '--help'])
  t.is(code, 1)
  t.regex(stderr, /no Information Element matches '--help'/)
})

for (const words of ['ie', '--help', 'ie --help']) {
  test(`darta ${words} says nothing when its reader goes away`, async (t) => {
    const {stderr, code} = await bash(t, `exec {out}> >(true); wait $!; darta ${words} >&$out`)
    t.is(stderr, '')
    t.is(code, 141)
  })
}

test('closed standard streams do no harm', async (t) => {
  const {code, stderr} = await bash(t, 'darta ie 8 <&- >&-')
  t.is(code, 0)
  t.is(stderr, '')
  t.is((await bash(t, 'darta ie xyzzy 2>&-')).code, 1)
})

test('SIGUSR1 is heard, and never opens the debugger however early it comes', async (t) => {
  const place = folder(t)
  spawnSync('mkfifo', [join(place, 'in')])
  const {child, says, words} = start(t, bin, ['capture', '-r', join(place, 'in'), '-o', 'null'])
  // Until somebody catches it, the signal ends any process.
  const catches = (): boolean => {
    const status = readFileSync(`/proc/${Number(child.pid)}/status`, 'utf8')
    const mask = /SigCgt:\s*(\w+)/.exec(status)?.[1] ?? '0'
    return (BigInt(`0x${mask}`) & 0x200n) !== 0n
  }
  while (!catches()) await new Promise((resolve) => setImmediate(resolve))
  const asking = setInterval(() => child.kill('SIGUSR1'), 5)
  t.teardown(() => clearInterval(asking))
  await says(/meter: 0 packets in/)
  t.notRegex(words(), /Debugger listening/)
})
