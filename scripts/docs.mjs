// Writes man/ and completions/ from man/src/ (prose), the commands' own definitions, the element registry and the
// list of errors. Works on the compiled code: build first. --check says what is out of date instead of writing.
import {existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {readCommands, readFormats} from './docs/commands.mjs'
import {completions} from './docs/completions.mjs'
import {manPages} from './docs/man.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const check = process.argv.includes('--check')

const commands = await readCommands()
const formats = await readFormats()
const files = new Map([
  ...(await manPages(commands, formats)),
  ...(await completions(commands.map(withVariants), formats)),
])

/** The shells complete the flags of all that may stand behind the command's name, each once. */
function withVariants(command) {
  const every = [...command.flags, ...command.variants.flatMap(({flags}) => flags)]
  const first = new Map(every.toReversed().map((flag) => [flag.name, flag]))
  return {...command, flags: every.filter((flag) => first.get(flag.name) === flag)}
}

let stale = 0
function outOfDate(path, what) {
  console.error(`${path} is ${what}: npm run docs`)
  stale++
}
for (const [path, text] of files) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
  if (check) outOfDate(path, 'out of date')
  else {
    mkdirSync(dirname(path), {recursive: true})
    writeFileSync(path, text)
    console.error(`wrote ${path}`)
  }
}
for (const folder of ['man', 'completions']) {
  for (const entry of existsSync(folder) ? readdirSync(folder, {withFileTypes: true}) : []) {
    const path = `${folder}/${entry.name}`
    if (!entry.isFile() || files.has(path)) continue
    if (check) outOfDate(path, 'of nothing that exists')
    else rmSync(path)
  }
}
process.exitCode = stale > 0 ? 1 : 0
