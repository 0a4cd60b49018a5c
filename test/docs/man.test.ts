import test from 'ava'
import {spawnSync} from 'node:child_process'
import {readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {commands} from '../../src/commands/index.js'
import {errorCodes} from '../../src/record/errors.js'
import {allElements} from '../../src/registry/lookup.js'
import {needing, root, tools} from '../support/needing.js'

const pages = readdirSync(join(root, 'man')).filter((file) => /\.\d$/.test(file))
const format = needing(tools('mandoc'))

function mandoc(...args: string[]): string {
  const {stdout, stderr} = spawnSync('mandoc', args, {cwd: join(root, 'man'), encoding: 'utf8'})
  return stdout + stderr
}

/** A page as a terminal shows it, without bold and underline. */
function shown(page: string): string {
  return mandoc('-T', 'utf8', '-O', 'width=200', page).replace(/.\x08/gu, '')
}

for (const page of pages) {
  format(`mandoc finds no fault in ${page}`, (t) => {
    t.is(mandoc('-T', 'lint', '-W', 'warning', page), '')
  })
}

test('every command has a page, and every page that others refer to exists', (t) => {
  for (const name of Object.keys(commands)) t.true(pages.includes(`darta-${name}.1`), name)
  for (const page of pages) {
    const text = readFileSync(join(root, 'man', page), 'utf8')
    for (const [, name, section] of text.matchAll(/\.Xr (darta\S*) (\d)/g)) {
      t.true(pages.includes(`${name}.${section}`), `${page} refers to ${name}(${section})`)
    }
  }
})

format('a reader finds every option of a command in its page, in both spellings', async (t) => {
  for (const [name, load] of Object.entries(commands)) {
    const text = shown(`darta-${name}.1`)
    const {default: Command} = await load()
    for (const [flag, {char, hidden}] of Object.entries({
      ...Command.flags,
      ...Command.baseFlags,
    }) as [string, {char?: string; hidden?: boolean}][]) {
      if (hidden === true) continue
      t.regex(text, new RegExp(`^ +(-\\S.*, )?--${flag}(=|,| |$)`, 'm'), `${name} --${flag}`)
      if (char !== undefined) t.regex(text, new RegExp(`^ +-${char}( |,)`, 'm'), `${name} -${char}`)
    }
  }
})

format('darta-elements(7) tells of every element, darta-errors(7) of every code', (t) => {
  const elements = shown('darta-elements.7')
  for (const {name, elementId, description} of allElements()) {
    t.regex(elements, new RegExp(`^ +${name} \\((32473/)?${elementId}\\)$`, 'm'))
    t.true(elements.includes(description), name)
  }
  const errors = shown('darta-errors.7')
  for (const code of Object.keys(errorCodes)) t.regex(errors, new RegExp(`^ +${code}$`, 'm'))
})
