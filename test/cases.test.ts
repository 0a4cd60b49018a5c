import test from 'ava'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {allCases, caseFile, runCase, type Case} from './support/cases.js'
import {needing, root, shared, tools} from './support/needing.js'

/** Why the case cannot run here. */
function missing(oneCase: Case): (string | undefined)[] {
  const lines = caseFile(oneCase, 'needs')?.toString().trim().split('\n') ?? []
  return lines.map((line) => (line.includes('/') ? shared(line) : tools(line)))
}

/** ava begins all tests of a file at once; more scripts than this only get into each other's way. */
let free = 4
const waiting: (() => void)[] = []

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (free > 0) free--
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next === undefined) free++
    else next()
  }
}

test('the program that the cases run is built', (t) => {
  t.true(existsSync(join(root, 'bin/darta')))
  t.true(existsSync(join(root, 'dist/main.js')), 'npm run build')
})

for (const oneCase of allCases()) {
  const title = `${oneCase.command} ${oneCase.name.replaceAll('-', ' ')}`
  needing(...missing(oneCase))(title, async (t) => {
    const {stdout, stderr, exit} = await inTurn(() => runCase(oneCase))
    const said = stderr.toString()
    const wanted = Number(caseFile(oneCase, 'exit')?.toString() ?? 0)
    t.is(exit, wanted, said)
    const out = caseFile(oneCase, 'stdout')
    if (out !== undefined) t.is(stdout.toString('latin1'), out.toString('latin1'), said)
    const err = caseFile(oneCase, 'stderr')
    if (err !== undefined) t.is(said, err.toString())
  })
}
