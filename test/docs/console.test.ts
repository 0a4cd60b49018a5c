import test, {type ExecutionContext} from 'ava'
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {needing, root, tools} from '../support/needing.js'

interface Block {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** Blocks fenced as ```console. */
function blocksOfMarkdown(file: string): Block[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map((match) => ({
    file,
    line: text.slice(0, match.index).split('\n').length + 1,
    text: match[1],
  }))
}

/** Literal displays that begin with a prompt, as mandoc would show them. */
function blocksOfMan(file: string): Block[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^\.Bd -literal.*\n(\$ [\s\S]*?)^\.Ed$/gm)].map((match) => ({
    file,
    line: text.slice(0, match.index).split('\n').length + 1,
    text: match[1].replaceAll('\\&', '').replaceAll('\\-', '-').replaceAll('\\e', '\\'),
  }))
}

const manPages = readdirSync(join(root, 'man/src'))
  .filter((file) => /\.\d$/.test(file))
  .map((file) => `man/src/${file}`)
const blocks = [
  ...['README.md', 'CONTRIBUTING.md'].flatMap(blocksOfMarkdown),
  ...manPages.flatMap(blocksOfMan),
]

/** Commands with what must be seen after each. A backslash at the end continues a command. */
function stepsOf(text: string): {command: string; expected: string[]}[] {
  const steps: {command: string; expected: string[]}[] = []
  let continued = false
  for (const line of text.replace(/\n$/, '').split('\n')) {
    if (continued) steps[steps.length - 1].command += `\n${line}`
    else if (line.startsWith('$ ')) steps.push({command: line.slice(2), expected: []})
    else steps[steps.length - 1].expected.push(line)
    continued = continued || line.startsWith('$ ') ? line.endsWith('\\') : false
  }
  return steps
}

/** What a person sees who types the command on a terminal 100 columns wide. */
function seen(command: string, folder: string): string[] {
  const {stdout, status, error} = spawnSync(
    'script',
    ['-q', '-c', `stty cols 100 rows 40 -onlcr; ${command}`, '/dev/null'],
    {
      cwd: folder,
      encoding: 'utf8',
      input: '',
      env: {
        ...process.env,
        PATH: `${join(root, 'bin')}:${process.env.PATH ?? ''}`,
        SHELL: '/bin/sh',
        TERM: 'xterm',
        NO_COLOR: '1',
        LC_ALL: 'C.UTF-8',
        DARTA_FORMAT: '',
      },
    },
  )
  if (error !== undefined || status !== 0) throw new Error(`${command}: ${error ?? stdout}`)
  // `script` types an end-of-file into the terminal when its own input ends; it shows as ^D.
  const text = stdout.replace(/^\^D\x08\x08/, '').replace(/\n$/, '')
  return text === '' ? [] : text.split('\n')
}

/** A line `...` stands for any number of lines; all others must be the same, but for blanks at the end. */
function matches(expected: readonly string[], actual: readonly string[]): boolean {
  if (expected.length === 0) return actual.length === 0
  const [first, ...rest] = expected
  if (first === '...') {
    for (let skip = 0; skip <= actual.length; skip++) {
      if (matches(rest, actual.slice(skip))) return true
    }
    return false
  }
  return actual.length > 0 && first === actual[0].trimEnd() && matches(rest, actual.slice(1))
}

/** The project as a reader has it before him; files that commands write stay out of it. */
function workingCopy(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'darta-'))
  t.teardown(() => rmSync(folder, {recursive: true}))
  for (const name of readdirSync(root)) symlinkSync(join(root, name), join(folder, name))
  return folder
}

const run = needing(tools('script'))
for (const {file, line, text} of blocks) {
  run(`${file}:${line} shows what its commands print`, (t) => {
    const folder = workingCopy(t)
    for (const {command, expected} of stepsOf(text)) {
      const actual = seen(command, folder)
      if (!matches(expected, actual)) t.deepEqual(actual, expected, command)
      else t.pass()
    }
  })
}

test('lines of dots match any number of lines, everything else is compared', (t) => {
  t.true(matches(['a', '...', 'd'], ['a', 'b', 'c', 'd']))
  t.true(matches(['...'], []))
  t.false(matches(['a', '...', 'd'], ['a', 'b', 'c']))
  t.false(matches(['a'], ['a', 'b']))
  t.false(matches([], ['a']))
})

test('there are blocks to run in README and man pages', (t) => {
  for (const file of ['README.md', 'man/src/']) {
    t.true(
      blocks.some((block) => block.file.startsWith(file)),
      file,
    )
  }
})
