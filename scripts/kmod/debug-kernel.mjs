// A kernel with all that finds faults in kernel code (KASAN, lockdep, kmemleak, PROVE_RCU, debug objects), built of Debian's
// source with the few options of linubia-kmod/test/debug.config. It takes 15 minutes of two processors, once.
import {execFileSync, spawnSync} from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {cache} from './kernels.mjs'

const SOURCE = 'linux-source-6.1'
const options = fileURLToPath(new URL('../../linubia-kmod/test/debug.config', import.meta.url))

/** Why it cannot be built here; undefined where it can. */
function absence() {
  const signs = {
    flex: 'flex',
    bison: 'bison',
    bc: 'bc',
    xz: 'xz-utils',
    'apt-get': 'apt',
  }
  const absent = Object.keys(signs).filter(
    (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
  )
  if (!existsSync('/usr/include/libelf.h')) absent.push('libelf-dev')
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

/** The version of the source package in the archive; undefined if it cannot be told. */
function sourceVersion() {
  const {stdout} = spawnSync('apt-cache', ['policy', SOURCE], {encoding: 'utf8'})
  return /Candidate: (\S+)/.exec(stdout ?? '')?.[1]
}

/**
 * The kernel of the cache, built if it is not there, of another version or with other options.
 *
 * @param say told what takes long
 * @throws {Error} if it cannot be built here
 */
export function provideDebug(say) {
  const why = absence()
  if (why !== undefined) throw new Error(why)
  const folder = join(cache, 'debug')
  const build = join(folder, 'build')
  const image = join(build, 'arch/x86/boot/bzImage')
  const mark = join(folder, 'made-of')
  const wanted = `${sourceVersion()}\n${readFileSync(options, 'utf8')}`
  const current = existsSync(image) && existsSync(mark) && readFileSync(mark, 'utf8') === wanted
  if (!current) {
    fetchSource(folder, say)
    say('building a kernel of it; this takes 15 minutes or more, once')
    const make = (...words) =>
      execFileSync('nice', ['-n', '15', 'make', `O=${build}`, ...words], {
        cwd: join(folder, SOURCE),
        stdio: ['ignore', 'ignore', 'pipe'],
        maxBuffer: 1 << 26,
      })
    make('allnoconfig', `KCONFIG_ALLCONFIG=${options}`)
    const config = readFileSync(join(build, '.config'), 'utf8')
    const ignored = readFileSync(options, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('=y') && !config.includes(`${line}\n`))
    if (ignored.length > 0) throw new Error(`the kernel has no ${ignored.join(', ')}`)
    make('-j2', 'bzImage', 'modules')
    writeFileSync(mark, wanted)
  }
  return {
    version: readFileSync(join(build, 'include/config/kernel.release'), 'utf8').trim(),
    headers: build,
    root: folder,
    vmlinux: image,
    // All that tests need is in it.
    builtIn: true,
    memoryMiB: 1536,
  }
}

function fetchSource(folder, say) {
  const place = join(folder, SOURCE)
  if (existsSync(place)) return
  say(`fetching ${SOURCE} of Debian`)
  mkdirSync(folder, {recursive: true})
  const own = mkdtempSync(join(folder, 'fetching-'))
  try {
    const download = spawnSync('apt-get', ['-q', 'download', SOURCE], {cwd: own, encoding: 'utf8'})
    if (download.status !== 0) throw new Error(`cannot fetch ${SOURCE}: ${download.stderr}`)
    const [deb] = readdirSync(own).filter((name) => name.endsWith('.deb'))
    execFileSync('dpkg-deb', ['-x', join(own, deb), own])
    execFileSync('tar', ['xJf', join(own, `usr/src/${SOURCE}.tar.xz`), '-C', own])
    renameSync(join(own, SOURCE), place)
  } finally {
    rmSync(own, {recursive: true, force: true})
  }
}
