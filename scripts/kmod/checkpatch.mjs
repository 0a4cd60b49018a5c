// The kernel's style checker, of Debian's kernel source: it is in no other package.
//
//   checkpatch.mjs provide             fetches it if it is not in the cache
//   checkpatch.mjs check FILE...       what it says of files, one finding a line; status 1 if it says anything
//
// Status 69 with the reason on standard error: it cannot be had here.
import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {cache} from './kernels.mjs'

const UNAVAILABLE = 69
const SOURCE = 'linux-source-6.1'
const files = ['checkpatch.pl', 'spelling.txt', 'const_structs.checkpatch']

/**
 * Of a module outside of the kernel's tree: it compares versions, with the constant where KERNEL_VERSION's users have it, and
 * `linubia.h` includes a header of the same name.
 */
const ignored = ['LINUX_VERSION_CODE', 'CONSTANT_COMPARISON', 'EMBEDDED_FILENAME']

function unavailable(why) {
  console.error(why)
  process.exit(UNAVAILABLE)
}

function provide() {
  const folder = join(cache, 'checkpatch')
  if (existsSync(folder)) return join(folder, files[0])
  if (spawnSync('perl', ['-v']).status !== 0) unavailable('not installed: perl')
  mkdirSync(cache, {recursive: true})
  const own = mkdtempSync(join(cache, 'fetching-'))
  try {
    const download = spawnSync('apt-get', ['-q', 'download', SOURCE], {cwd: own, encoding: 'utf8'})
    if (download.status !== 0) {
      unavailable(`cannot fetch ${SOURCE}: ${String(download.stderr).trim().split('\n').at(-1)}`)
    }
    const [deb] = readdirSync(own).filter((name) => name.endsWith('.deb'))
    execFileSync('dpkg-deb', ['-x', join(own, deb), own])
    const members = files.map((name) => `${SOURCE}/scripts/${name}`)
    execFileSync('tar', ['xJf', join(own, `usr/src/${SOURCE}.tar.xz`), '-C', own, ...members])
    if (!existsSync(folder)) renameSync(join(own, SOURCE, 'scripts'), folder)
  } finally {
    rmSync(own, {recursive: true, force: true})
  }
  return join(folder, files[0])
}

const [what, ...given] = process.argv.slice(2)
const program = provide()
if (what === 'check') {
  const {stdout, stderr, status} = spawnSync(
    'perl',
    [
      program,
      ...['--no-tree', '--strict', '--terse', '--show-types', '--no-summary'],
      ...['--ignore', ignored.join(',')],
      ...given.flatMap((file) => ['-f', file]),
    ],
    // It leaves notes where it is run.
    {encoding: 'utf8', cwd: cache},
  )
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  process.exitCode = status ?? 1
}
