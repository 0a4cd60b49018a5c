import {spawnSync} from 'node:child_process'
import {join} from 'node:path'
import type {ExecutionContext} from 'ava'
import {commands} from '../../src/commands/index.js'
import {needing, root, tools} from '../support/needing.js'

const folder = join(root, 'completions')
const names = [...Object.keys(commands), 'help'].sort()

/** What a shell offers when Tab is pressed behind the last word of a line, sorted. */
type Shell = (t: ExecutionContext, line: string) => string[]

function run(t: ExecutionContext, program: string, args: string[], cwd?: string): string {
  const {status, stdout, stderr} = spawnSync(program, args, {encoding: 'utf8', cwd})
  t.is(status, 0, stderr)
  return stdout
}

const bash: Shell = (t, line) => {
  // As readline does it: '=' is a word of its own.
  const words = line
    .split(' ')
    .flatMap((word) => word.split(/(=)/).filter((part, i) => part !== '' || i === 0))
  if (line.endsWith('=')) words.push('')
  const script = `source ${folder}/darta.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _darta
    [[ \${#COMPREPLY[@]} -eq 0 ]] || printf '%s\\n' "\${COMPREPLY[@]}"`
  return run(t, 'bash', ['--norc', '-c', script, 'bash', ...words])
    .split('\n')
    .filter((word) => word !== '')
    .sort()
}

const fish: Shell = (t, line) =>
  run(t, 'fish', ['--no-config', '-c', `source ${folder}/darta.fish; complete -C '${line}'`])
    .split('\n')
    .map((row) => row.split('\t')[0].replace(/^--[\w-]+=(?=.)/, ''))
    .filter((word) => word !== '')
    .sort()

const zsh: Shell = (t, line) => {
  const text = run(t, 'zsh', ['-f', join(root, 'test/docs/zsh-complete.zsh'), folder, line])
  const offers = [...text.matchAll(/offer:(.*?)\r*$/gm)].map((match) => match[1])
  return [...new Set(offers)].sort()
}

const plain = (words: string[]): string[] => words.filter((word) => !word.startsWith('-'))

for (const [name, shell] of Object.entries({bash, fish, zsh})) {
  const complete = needing(tools(name))

  complete(`${name} offers the commands`, (t) => {
    t.deepEqual(plain(shell(t, 'darta ')), names)
    t.true(shell(t, 'darta i').includes('ie'))
  })

  complete(`${name} offers the values that an option may have`, (t) => {
    t.deepEqual(shell(t, 'darta ie -o '), ['csv', 'json', 'ndjson', 'table'])
    t.deepEqual(shell(t, 'darta ie --status=c'), ['current'])
  })

  complete(`${name} offers the options of the command and no others`, (t) => {
    t.deepEqual(shell(t, 'darta ie --sp'), ['--spec'])
    t.true(shell(t, 'darta ie --s').includes('--strict-loss'))
    t.deepEqual(shell(t, 'darta ie --biflow'), [])
  })

  complete(`${name} offers Information Elements by name`, (t) => {
    t.deepEqual(shell(t, 'darta ie octetDelta'), ['octetDeltaCount', 'octetDeltaSumOfSquares'])
    t.deepEqual(shell(t, 'darta ie -o csv octetDeltaC'), ['octetDeltaCount'])
  })
}
