// Writes src/registry/elements.ts and native/meter/ie_ids.h from the two CSV files.
// --check: says whether they are up to date instead of writing.
import {readFileSync, writeFileSync, existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {cells} from './csv.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const check = process.argv.includes('--check')

function read(file, enterprise) {
  const lines = readFileSync(`${root}src/registry/${file}`, 'utf8').trimEnd().split('\n')
  return lines.slice(1).map((line, i) => {
    const [id, name, type, semantics, units, range, status, description] = cells(line)
    if (!/^\d+$/.test(id) || !/^[A-Za-z]\w*$/.test(name))
      throw new Error(`${file}:${i + 2}: ${line}`)
    return {id: Number(id), name, type, semantics, units, range, status, description, enterprise}
  })
}

const elements = [...read('iana.csv', 0), ...read('darta.csv', 32473)]
const names = new Set(elements.map((e) => e.name))
if (names.size !== elements.length) throw new Error('two elements have one name')
const numbers = new Set(elements.map((e) => `${e.enterprise}/${e.id}`))
if (numbers.size !== elements.length) throw new Error('two elements have one number')

const quote = (s) => `'${s.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const rows = elements.map((e) => {
  const range = e.range === '' ? '' : `, [${e.range.replace('-', ', ')}]`
  const head = [
    e.enterprise,
    e.id,
    quote(e.name),
    quote(e.type),
    quote(e.semantics),
    quote(e.units),
  ]
  return `  ${e.name}: e(${head.join(', ')}, ${quote(e.status)}, ${quote(e.description ?? '')}${range}),`
})
const typescript = `// Written by scripts/registry.mjs from iana.csv and darta.csv. Do not edit.
import type {AbstractType, InformationElement, Semantics} from '../record/element.js'

function e(
  enterpriseNumber: number,
  elementId: number,
  name: string,
  type: AbstractType,
  semantics: Semantics,
  units: string,
  status: 'current' | 'deprecated',
  description: string,
  range?: readonly [number, number],
): InformationElement {
  return {name, enterpriseNumber, elementId, type, semantics, units, status, description, range}
}

/** Every element of the IANA registry and darta's own, by name. */
export const ie = {
${rows.join('\n')}
}
`
const header = `// Written by scripts/registry.mjs from iana.csv and darta.csv. Do not edit.
#pragma once
#include <cstdint>

namespace darta::ie {
inline constexpr uint32_t reverse_pen = 29305;
inline constexpr uint32_t darta_pen = 32473;
${elements.map((e) => `inline constexpr uint16_t ${e.name} = ${e.id};`).join('\n')}
}  // namespace darta::ie
`
let stale = 0
for (const [path, text] of [
  ['src/registry/elements.ts', typescript],
  ['native/meter/ie_ids.h', header],
]) {
  const file = root + path
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  if (check) {
    console.error(`${path} is out of date: npm run registry`)
    stale++
  } else {
    writeFileSync(file, text)
    console.error(`wrote ${path}`)
  }
}
process.exitCode = stale > 0 ? 1 : 0
