import {spawnSync} from 'node:child_process'
import {cpSync, existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {DartaError} from '../../record/errors.js'

const LOADED = '/proc/net/linubia/stats'

/** What is said of the module in one line. */
export function moduleStatus(): string {
  if (!existsSync(LOADED)) return 'the module linubia is not loaded'
  const stats = new Map(
    readFileSync(LOADED, 'utf8')
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  )
  const of = (name: string): string => stats.get(name) ?? '?'
  return (
    `linubia ${of('version')} is loaded: ${of('users')} of ${of('max_users')} users, ` +
    `${of('flows')} of ${of('max_flows')} flows, ${of('octets')} octets of memory`
  )
}

/** Runs a program to its end; what went wrong, or undefined. */
function run(program: string, args: readonly string[], cwd?: string): string | undefined {
  const {status, stderr, error} = spawnSync(program, args, {cwd, encoding: 'utf8'})
  if (error !== undefined) return `${program}: ${error.message}`
  if (status === 0) return undefined
  return `${program} ${args.join(' ')}: ${stderr.trim().split('\n').at(-1) ?? ''}`
}

/**
 * Loads the module: the one that is installed (DKMS), else one built in a folder of its own for the kernel that runs.
 *
 * @throws DartaError DARTA_PERMISSION, DARTA_USER_SOURCE
 */
export function loadModule(say: (words: string) => void): void {
  if (existsSync(LOADED)) {
    say('the module is loaded already')
    return
  }
  needRoot('loading')
  if (run('modprobe', ['linubia']) === undefined) return
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  const headers = join('/lib/modules', release, 'build')
  if (!existsSync(headers)) {
    throw new DartaError(
      'DARTA_USER_SOURCE',
      `the module is not installed, and there are no headers of this kernel to build it with: ${headers}`,
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'darta-linubia-'))
  try {
    cpSync(moduleSource(), folder, {recursive: true})
    say(`building the module for ${release}`)
    const fault =
      run('make', ['-s', `KDIR=${headers}`], folder) ?? run('insmod', ['linubia.ko'], folder)
    if (fault !== undefined) throw new DartaError('DARTA_USER_SOURCE', fault)
  } finally {
    rmSync(folder, {recursive: true, force: true})
  }
}

/** @throws DartaError DARTA_PERMISSION, DARTA_USER_SOURCE */
export function unloadModule(): void {
  if (!existsSync(LOADED)) {
    throw new DartaError('DARTA_USER_SOURCE', 'the module linubia is not loaded')
  }
  needRoot('unloading')
  const fault = run('rmmod', ['linubia'])
  if (fault !== undefined) throw new DartaError('DARTA_USER_SOURCE', fault)
}

function needRoot(what: string): void {
  if (process.getuid?.() !== 0) {
    throw new DartaError('DARTA_PERMISSION', `${what} a kernel module needs root`)
  }
}

/** The folder of the module's source, which lies beside the program's package.json. */
function moduleSource(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'linubia-kmod/Kbuild'))) {
    const above = dirname(folder)
    if (above === folder) {
      throw new DartaError('DARTA_USER_SOURCE', 'the source of the module is not here')
    }
    folder = above
  }
  return join(folder, 'linubia-kmod')
}
