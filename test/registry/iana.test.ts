import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {allElements} from '../../src/registry/lookup.js'
import {needing, root, shared} from '../support/needing.js'

const registry = join(root, '../shared/registry/iana-ipfix.xml')
const compare = needing(shared('registry/iana-ipfix.xml'))

function iana(path: string): {stdout: string; status: number | null} {
  return spawnSync(process.execPath, [join(root, 'scripts/iana.mjs'), path], {encoding: 'utf8'})
}

/** The registry as IANA has it, changed in one place, as a file that goes away with the test. */
function changed(t: ExecutionContext, from: string | RegExp, to: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  const before = readFileSync(registry, 'utf8')
  const after = before.replace(from, to)
  t.not(after, before)
  writeFileSync(join(folder, 'changed.xml'), after)
  return join(folder, 'changed.xml')
}

compare('iana.csv has every element of the IANA registry with the same facts', (t) => {
  const {stdout, status} = iana(registry)
  t.is(stdout, '')
  t.is(status, 0)
})

compare('scripts/iana.mjs names the element and the column that differ', (t) => {
  const range = changed(t, '<range>0-0xFFFFF</range>', '<range>0-0xFFFF</range>')
  t.like(iana(range), {
    stdout: "31 flowLabelIPv6: range is '0-65535', iana.csv says '0-1048575'\n",
    status: 1,
  })
  const number = changed(t, '<elementId>533</elementId>', '<elementId>600</elementId>')
  t.like(iana(number), {
    stdout:
      '533 pathDelaySumDeltaMicroseconds: not in the registry\n' +
      '600 pathDelaySumDeltaMicroseconds: not in iana.csv\n',
    status: 1,
  })
})

test('every element has a description of 1 to 12 words, and no two have the same', (t) => {
  const seen = new Map<string, string>()
  for (const {name, description} of allElements()) {
    const words = description.split(' ').filter((word) => word !== '').length
    t.true(words >= 1 && words <= 12, `${name}: ${words} words`)
    t.is(seen.get(description), undefined, `${name} is described like another element`)
    seen.set(description, name)
  }
  t.true(seen.size > 500)
})

test('no two elements have the same number', (t) => {
  const seen = new Map<string, string>()
  for (const {enterpriseNumber, elementId, name} of allElements()) {
    const number = `${enterpriseNumber}/${elementId}`
    t.is(seen.get(number), undefined, `${number} is ${name}`)
    seen.set(number, name)
  }
})
