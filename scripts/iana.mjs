// Says what differs between src/registry/iana.csv and a copy of IANA's IPFIX registry in XML:
//
//     node scripts/iana.mjs ipfix.xml
//
// One line a difference on stdout; status 1 if there is any. Descriptions are ours and not compared.
import {readFileSync} from 'node:fs'
import {cells} from './csv.mjs'

const columns = ['name', 'type', 'semantics', 'units', 'range', 'status']
const [path] = process.argv.slice(2)
if (path === undefined) {
  console.error('usage: node scripts/iana.mjs IPFIX-REGISTRY.xml')
  process.exit(2)
}

const entities = {lt: '<', gt: '>', amp: '&', quot: '"', apos: "'"}

/** Elements by number, from the XML's first registry; what is reserved or unassigned has no type. */
function readXml(text) {
  const list = /<registry id="ipfix-information-elements">([\s\S]*?)<\/registry>/.exec(text)?.[1]
  if (list === undefined) throw new Error(`${path}: no registry of Information Elements in it`)
  const elements = new Map()
  for (const [, record] of list.matchAll(/<record\b[^>]*>([\s\S]*?)<\/record>/g)) {
    const field = (tag) =>
      new RegExp(`<${tag}>([^<]*)</${tag}>`)
        .exec(record)?.[1]
        .replace(/&(\w+);/g, (_, name) => entities[name])
        .trim() ?? ''
    const type = field('dataType')
    if (type === '') continue
    elements.set(field('elementId'), {
      name: field('name'),
      type,
      semantics: field('dataTypeSemantics') || 'default',
      units: field('units'),
      range: field('range').replace(/0x[0-9a-f]+|\d+/gi, (number) => String(Number(number))),
      status: field('status'),
    })
  }
  return elements
}

function readCsv(text) {
  const elements = new Map()
  for (const line of text.trimEnd().split('\n').slice(1)) {
    const [id, ...rest] = cells(line)
    elements.set(id, Object.fromEntries(columns.map((column, i) => [column, rest[i]])))
  }
  return elements
}

const theirs = readXml(readFileSync(path, 'utf8'))
const ours = readCsv(readFileSync(new URL('../src/registry/iana.csv', import.meta.url), 'utf8'))
const differences = []
const ids = [...new Set([...theirs.keys(), ...ours.keys()])].sort((a, b) => a - b)
for (const id of ids) {
  const [a, b] = [ours.get(id), theirs.get(id)]
  if (a === undefined) differences.push(`${id} ${b.name}: not in iana.csv`)
  else if (b === undefined) differences.push(`${id} ${a.name}: not in the registry`)
  else {
    for (const column of columns) {
      if (a[column] === b[column]) continue
      const say = (value) => (value === '' ? 'nothing' : `'${value}'`)
      differences.push(
        `${id} ${b.name}: ${column} is ${say(b[column])}, iana.csv says ${say(a[column])}`,
      )
    }
  }
}
for (const line of differences) console.log(line)
console.error(`${theirs.size} elements compared, ${differences.length} differences`)
process.exitCode = differences.length > 0 ? 1 : 0
