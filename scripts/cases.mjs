// Runs the cases of test/cases as the tests do and shows which differ; --write makes what came out the expected
// result (then read the diff). Other arguments are parts of the names of the cases to run.
import {spawnSync} from 'node:child_process'
import {parseArgs} from 'node:util'
import {allCases, caseFile, rewriteCase, runCase} from '../build/test/support/cases.js'

const {values, positionals} = parseArgs({
  options: {write: {type: 'boolean', default: false}},
  allowPositionals: true,
})
let different = 0
for (const oneCase of allCases()) {
  const name = `${oneCase.command}/${oneCase.name}`
  if (positionals.length > 0 && !positionals.some((part) => name.includes(part))) continue
  const outcome = await runCase(oneCase)
  const wanted = (file) => caseFile(oneCase, file)
  const same =
    outcome.exit === Number(wanted('exit') ?? 0) &&
    wanted('stdout')?.equals(outcome.stdout) &&
    (wanted('stderr')?.equals(outcome.stderr) ?? true)
  if (same) continue
  different++
  console.log(`${name}: ${values.write ? 'written' : `differs (exit ${outcome.exit})`}`)
  if (values.write) rewriteCase(oneCase, outcome)
  else {
    const diff = spawnSync('diff', ['-u', `${oneCase.folder}/stdout`, '-'], {input: outcome.stdout})
    process.stdout.write(diff.stdout)
    process.stdout.write(outcome.stderr)
  }
}
process.exitCode = different > 0 && !values.write ? 1 : 0
