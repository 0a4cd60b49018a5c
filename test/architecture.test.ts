import test from 'ava'
import {readFileSync, readdirSync} from 'node:fs'
import {dirname, join, normalize} from 'node:path'
import {fileURLToPath} from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Row {
  readonly folders: ReadonlySet<string>
  readonly nodeModules: boolean
}

/** The table under "Who imports whom", by folder of src/ (or file at its top). */
function readTable(): Map<string, Row> {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const section = text.split(/^## /m).find((part) => part.startsWith('Who imports whom')) ?? ''
  const rows = new Map<string, Row>()
  for (const line of section.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim())
    if (cells.length !== 5 || cells[1] === 'folder' || cells[1].startsWith('---')) continue
    const folders = cells[2] === 'nothing of ours' ? [] : cells[2].split(', ')
    rows.set(cells[1], {folders: new Set(folders), nodeModules: cells[3] === 'yes'})
  }
  return rows
}

const table = readTable()
const sources = readdirSync(join(root, 'src'), {recursive: true, encoding: 'utf8'})
  .filter((file) => file.endsWith('.ts'))
  .sort()

/** What a file of src/ imports or exports from, as written. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, 'src', file), 'utf8')
  return ts.preProcessFile(text, true, true).importedFiles.map(({fileName}) => fileName)
}

function folderOf(file: string): string {
  return file.split('/')[0]
}

test('the import table has a row for every folder of src, and no folder that it does not know', (t) => {
  for (const folder of new Set(sources.map(folderOf))) {
    t.true(table.has(folder), `ARCHITECTURE.md has no row for src/${folder}`)
  }
  for (const [folder, {folders}] of table) {
    for (const other of folders) t.true(table.has(other), `${folder}: ${other} has no row`)
  }
})

test('every file of src imports only from folders that the table allows', (t) => {
  let checked = 0
  for (const file of sources) {
    const own = folderOf(file)
    for (const name of importsOf(file)) {
      if (!name.startsWith('.')) continue
      const target = normalize(join(dirname(file), name))
      const other = folderOf(target)
      checked++
      if (other === own) continue
      t.true(table.get(own)?.folders.has(other) ?? false, `src/${file} imports ${name}`)
    }
  }
  t.true(checked > 10, `only ${checked} imports were found`)
})

test('node: modules are imported only where the table says so, and always by that prefix', (t) => {
  const builtins = new Set(process.getBuiltinModule('node:module').builtinModules)
  for (const file of sources) {
    for (const name of importsOf(file)) {
      t.false(builtins.has(name), `src/${file} imports ${name} without node:`)
      if (name.startsWith('node:')) {
        t.true(table.get(folderOf(file))?.nodeModules ?? false, `src/${file} imports ${name}`)
      }
    }
  }
})
