// Builds everything: the index.ts of each registry folder, TypeScript to build/, the bundle to dist/, the addon.
// --no-native leaves the addon out. What is up to date already is not made again.
import {spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {basename, dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'
import {quickStart} from './quick-start.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

/** Folders whose file names are the names on the command line. */
const registryFolders = [
  'src/commands',
  'src/formats',
  'src/metering/backends',
  'src/metering/selectors',
  'src/metering/user-sources',
  'src/mediation/processes',
  'src/processing/analysis/apps',
  'src/mediation/protocols',
  'src/commands/collect/answering',
  'src/processing/routing/functions',
  'src/presentation/renderers',
]

function fail(message) {
  console.error(`build: ${message}`)
  process.exit(1)
}

function run(program, args) {
  const {status, signal, error} = spawnSync(program, args, {stdio: 'inherit'})
  if (error !== undefined) fail(`${program}: ${error.message}`)
  if (status !== 0) fail(`${basename(args[0] ?? program)} failed (${signal ?? `exit ${status}`})`)
}

/** Writes only what differs, so that nothing built from it looks stale. */
function writeIfChanged(path, content) {
  const octets = Buffer.from(content)
  if (existsSync(path) && readFileSync(path).equals(octets)) return
  mkdirSync(dirname(path), {recursive: true})
  writeFileSync(path, octets)
}

/** Every file below `folder`, sorted. */
function filesBelow(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function writeIndex(folder) {
  mkdirSync(folder, {recursive: true})
  const names = readdirSync(folder, {withFileTypes: true})
    .filter((entry) => entry.isFile() && /^[a-z][a-z0-9-]*\.ts$/.test(entry.name))
    .map((entry) => entry.name.slice(0, -3))
    .filter((name) => name !== 'index')
    .sort()
  const variable = basename(folder).replace(/-(.)/g, (_, letter) => letter.toUpperCase())
  const rows = names.map((name) => {
    const property = /^[a-z0-9]+$/.test(name) && !/^\d/.test(name) ? name : `'${name}'`
    return `  ${property}: () => import('./${name}.js'),\n`
  })
  writeIfChanged(
    join(folder, 'index.ts'),
    `// Written by scripts/build.mjs from the folder's file names. Do not edit.\n` +
      `export const ${variable} = {\n${rows.join('')}}\n`,
  )
}

/** Compiled files whose source is gone would still be found by imports and by the test runner. */
function removeStale() {
  for (const file of filesBelow('build')) {
    const source = relative('build', file).replace(/\.js(\.map)?$/, '.ts')
    if (/\.js(\.map)?$/.test(file) && !existsSync(source)) rmSync(file)
  }
}

/** Changes when any source, setting or tool that the compiled code depends on does. */
function fingerprint() {
  const hash = createHash('sha256')
  const inputs = [
    ...filesBelow('src'),
    ...filesBelow('test').filter((file) => file.endsWith('.ts')),
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'scripts/build.mjs',
    'scripts/quick-start.mjs',
  ]
  for (const file of inputs) {
    const {mtimeMs, size} = statSync(file)
    hash.update(`${file}\0${mtimeMs}\0${size}\n`)
  }
  return hash.digest('hex')
}

async function bundle() {
  const {build} = await import('esbuild')
  const result = await build({
    entryPoints: ['src/main.ts'],
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    // oclif asks for it only to run commands written in TypeScript.
    external: ['typescript'],
    plugins: quickStart,
    // Identifiers keep their names: stack traces that users send should say where they are.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    banner: {
      js: "const require=process.getBuiltinModule('node:module').createRequire(import.meta.url);",
    },
    write: false,
    logLevel: 'warning',
  }).catch(() => fail('the bundle failed'))
  const wanted = new Set()
  for (const {path, contents} of result.outputFiles) {
    wanted.add(relative(root, path))
    writeIfChanged(path, contents)
  }
  for (const file of filesBelow('dist')) if (!wanted.has(file)) rmSync(file)
}

const native = !process.argv.includes('--no-native')
for (const argument of process.argv.slice(2)) {
  if (argument !== '--no-native') fail(`unknown argument ${argument}`)
}
if (!existsSync('node_modules/typescript7')) fail('node_modules is missing: npm ci')

for (const folder of registryFolders) writeIndex(folder)
removeStale()
const stamp = 'build/.built'
const now = fingerprint()
const program = existsSync('src/main.ts')
const done =
  existsSync(stamp) &&
  readFileSync(stamp, 'utf8') === now &&
  (!program || existsSync('dist/main.js'))
if (!done) {
  rmSync(stamp, {force: true})
  // Version 7 is the one that is fast; eslint's parser needs 6.
  run(process.execPath, ['node_modules/typescript7/bin/tsc', '-p', '.'])
  if (program) await bundle()
  writeIfChanged(stamp, now)
}
if (native) run('make', ['--no-print-directory', '-s', '-C', 'native', '-j2'])
