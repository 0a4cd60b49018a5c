// Debian's current kernels with their headers, ready to build modules against and to boot, in a cache of their own:
// nothing is installed and the system's package lists are not touched.
import {execFileSync, spawnSync} from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {homedir} from 'node:os'
import {join} from 'node:path'

/** Metapackages whose dependencies say which kernel is the current one. */
export const flavours = {6.1: 'linux-headers-amd64', 6.12: 'linux-headers-6.12-amd64'}

/** Where kernels are kept; DARTA_KERNEL_CACHE says otherwise. */
export const cache =
  process.env.DARTA_KERNEL_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'darta-kernels')

/** Programs that fetching and booting a kernel needs, by package. */
const programs = {
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  'gcc-12': 'gcc-12',
  make: 'make',
  modprobe: 'kmod',
  nft: 'nftables',
  depmod: 'kmod',
  'qemu-system-x86_64': 'qemu-system-x86',
  xz: 'xz-utils',
  zstd: 'zstd',
}

/** Why kernels cannot be built for and booted here; undefined where they can. */
export function absence() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'not Linux on x86-64'
  const path = `${process.env.PATH}:/usr/sbin:/sbin`
  const absent = Object.keys(programs).filter(
    (name) => spawnSync('sh', ['-c', `command -v ${name}`], {env: {PATH: path}}).status !== 0,
  )
  if (!existsSync('/bin/busybox')) absent.push('busybox')
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

const apt = (...words) => execFileSync(words[0], words.slice(1), {encoding: 'utf8'})

/** Options that give apt a state of its own, for systems whose package lists are gone (containers). */
let ownLists
function aptOptions() {
  return ownLists ?? []
}

function dependencies(name) {
  const text = spawnSync('apt-cache', [...aptOptions(), 'depends', name], {encoding: 'utf8'})
  if (text.status !== 0) return []
  return [...text.stdout.matchAll(/^ [ |]Depends: (\S+)$/gm)].map(([, it]) => it)
}

/** Asks the archive with lists of our own below the cache. */
function fetchLists() {
  const at = join(cache, 'apt')
  for (const folder of ['lists/partial', 'archives/partial']) {
    mkdirSync(join(at, folder), {recursive: true})
  }
  ownLists = ['-o', `Dir::State::lists=${at}/lists`, '-o', `Dir::Cache=${at}`]
  apt('apt-get', ...ownLists, '-qq', 'update')
}

/**
 * The current kernel of a flavour: its version and the packages it takes.
 *
 * @throws {Error} if the archive cannot be asked or does not have it
 */
export function resolve(flavour) {
  const meta = flavours[flavour]
  let [headers] = dependencies(meta)
  if (headers === undefined) {
    fetchLists()
    ;[headers] = dependencies(meta)
  }
  if (headers === undefined) throw new Error(`the archive has no ${meta}`)
  const version = headers.replace(/^linux-headers-/, '')
  const parts = dependencies(headers)
  const common = parts.find((name) => name.endsWith('-common'))
  const kbuild = parts.find((name) => name.startsWith('linux-kbuild-'))
  return {version, packages: [headers, common, kbuild, `linux-image-${version}`]}
}

/**
 * A kernel of the cache, fetched if it is not there.
 *
 * @returns version, folder of the headers to build against, folder with lib/modules below it, uncompressed kernel
 */
export function provide(flavour) {
  const {version, packages} = resolve(flavour)
  const folder = join(cache, version)
  const kernel = {
    version,
    headers: join(folder, 'usr/src', `linux-headers-${version}`),
    root: folder,
    vmlinux: join(folder, 'vmlinux'),
  }
  if (existsSync(kernel.vmlinux)) return kernel
  mkdirSync(cache, {recursive: true})
  // Two runs may fetch at once: each makes its own, and the first one stays.
  const own = mkdtempSync(join(cache, 'fetching-'))
  try {
    const download = spawnSync('apt-get', [...aptOptions(), '-q', 'download', ...packages], {
      cwd: own,
      encoding: 'utf8',
    })
    if (download.status !== 0) throw new Error(`cannot fetch ${version}: ${download.stderr}`)
    for (const file of readdirSync(own).filter((name) => name.endsWith('.deb'))) {
      execFileSync('dpkg-deb', ['-x', join(own, file), own])
      rmSync(join(own, file))
    }
    // Debian's headers include each other by the path at which they would be installed.
    const makefile = join(own, 'usr/src', `linux-headers-${version}`, 'Makefile')
    const text = readFileSync(makefile, 'utf8')
    writeFileSync(makefile, text.replaceAll('/usr/src/', `${folder}/usr/src/`))
    execFileSync('depmod', ['-b', own, version], {env: {PATH: `${process.env.PATH}:/sbin`}})
    writeFileSync(join(own, 'vmlinux'), decompress(join(own, 'boot', `vmlinuz-${version}`)))
    if (!existsSync(folder)) renameSync(own, folder)
  } finally {
    rmSync(own, {recursive: true, force: true})
  }
  return kernel
}

/** The ELF file in a bzImage: an emulator takes longer to decompress it than to run all the rest of the boot. */
function decompress(path) {
  const image = readFileSync(path)
  const start = (image[0x1f1] + 1) * 512 + image.readUInt32LE(0x248)
  // The last 4 octets are the size.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4)
  const how =
    payload.readUInt32BE(0) === 0x28b52ffd
      ? ['zstd', '-dc', '--long=31']
      : ['xz', '-dc', '--single-stream']
  return execFileSync(how[0], how.slice(1), {input: payload, maxBuffer: 1 << 28})
}

/**
 * Builds the module for a kernel, outside of the source folder.
 *
 * @returns the path of the module, and what the compiler and sparse said
 */
export function buildModule(kernel, source, into, {sparse = false} = {}) {
  mkdirSync(into, {recursive: true})
  for (const file of readdirSync(source)) {
    if (/\.[ch]$|^Kbuild$/.test(file)) copyIfChanged(join(source, file), join(into, file))
  }
  mkdirSync(join(into, 'uapi'), {recursive: true})
  copyIfChanged(join(source, 'uapi/linubia.h'), join(into, 'uapi/linubia.h'))
  const check = sparse ? ['C=1', 'CF=-D__CHECK_ENDIAN__'] : []
  const {status, stdout, stderr} = spawnSync(
    'make',
    // Type information of modules needs a tool that only kernel builders have.
    [
      '-C',
      kernel.headers,
      `M=${into}`,
      'W=1',
      ...check,
      'CONFIG_DEBUG_INFO_BTF_MODULES=',
      'modules',
    ],
    {encoding: 'utf8'},
  )
  const said = `${stdout}${stderr}`
  if (status !== 0) throw new Error(`the module does not build for ${kernel.version}:\n${said}`)
  return {module: join(into, 'linubia.ko'), said}
}

function copyIfChanged(from, to) {
  if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) return
  copyFileSync(from, to)
}
