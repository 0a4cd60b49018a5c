// Runs ava and tells a person what happened: every failure in full, every skipped test with its
// reason, what each test file counted, and last the line `N passed, N failed, N skipped`.
//
//   report.mjs --passed N --failed N [--skipped N] [--minutes N] [ava arguments]
//
// The numbers are checks that ran before; they are added to the sum. Exit status 1 if anything failed. After so many
// minutes (50) what still runs is told and ended: whoever waits for the tests hears which of them never came back.
import {execFileSync, spawn} from 'node:child_process'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const total = {passed: 0, failed: 0, skipped: 0}
const rest = process.argv.slice(2)
let minutes = 50
while (/^--(passed|failed|skipped|minutes)$/.test(rest[0] ?? '')) {
  const [option, value] = [rest.shift().slice(2), Number(rest.shift())]
  if (option === 'minutes') minutes = value
  else total[option] = value
}

/** Counts per test file, in the order in which they were first heard of. */
const files = new Map()
const skipped = []
/** The failure whose details are being read. */
let open = false
let planned

function count(file, kind) {
  total[kind]++
  const row = files.get(file) ?? {passed: 0, failed: 0, skipped: 0}
  row[kind]++
  files.set(file, row)
}

/** One line of TAP 13, as ava writes it. */
function line(text) {
  const result = /^(not )?ok \d+ - (.*?)(?: # (SKIP|TODO).*)?$/.exec(text)
  if (result === null) {
    const plan = /^1\.\.(\d+)/.exec(text)
    if (plan !== null) planned = Number(plan[1])
    if (open && /^ {2}/.test(text) && !/^ {2}(---|\.\.\.)$/.test(text)) console.log(text)
    return
  }
  const [, not, name, directive] = result
  const file = name.split(' › ').slice(0, -1).join('/')
  open = not !== undefined && directive === undefined
  if (directive !== undefined) {
    count(file, 'skipped')
    skipped.push(directive === 'TODO' ? `${name} (not written yet)` : name)
  } else {
    count(file, open ? 'failed' : 'passed')
  }
  if (open) console.log(`\nFAILED ${name}`)
}

/** Tells all that runs below the process `top`, and ends it; a worker may be in a wait that no other signal ends. */
function endAll(top) {
  const below = new Set([top])
  const rows = execFileSync(
    'ps',
    ['-e', '--sort=start_time', '-o', 'pid=,ppid=,etime=,stat=,args='],
    {encoding: 'utf8'},
  )
    .trim()
    .split('\n')
  const running = []
  for (const row of rows) {
    const [pid, parent] = row.trim().split(/\s+/, 2).map(Number)
    // In the order in which they began, a parent before its children.
    if (below.has(parent)) below.add(pid)
    if (below.has(pid)) running.push(row)
  }
  console.log(`\nFAILED the tests did not end within ${minutes} minutes; what still ran:`)
  console.log(running.join('\n'))
  for (const pid of below) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
}

// A reader such as head may have seen enough.
process.stdout.on('error', () => process.exit(1))

const started = Date.now()
const child = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...rest], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const limit = setTimeout(() => endAll(child.pid), minutes * 60_000)
const lines = createInterface({input: child.stdout, crlfDelay: Infinity})
lines.on('line', line)
const linesRead = new Promise((resolve) => lines.once('close', resolve))
const [code, signal] = await new Promise((resolve) =>
  child.once('exit', (...status) => resolve(status)),
)
clearTimeout(limit)
await linesRead

const seen = [...files.values()].reduce((n, row) => n + row.passed + row.failed + row.skipped, 0)
// ava's own reporter dies when a test ends the process; then no plan is written.
if (planned === undefined || (code !== 0 && total.failed === 0)) {
  console.log(`\nFAILED ava ended early: ${signal ?? `exit ${code}`}, ${seen} results, no plan`)
  total.failed++
}
if (seen === 0) {
  console.log('\nFAILED no test ran')
  total.failed++
}

console.log()
for (const [file, row] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
  if (file === '') continue
  const parts = [`${row.passed} passed`]
  if (row.failed > 0) parts.push(`${row.failed} failed`)
  if (row.skipped > 0) parts.push(`${row.skipped} skipped`)
  console.log(`${file}: ${parts.join(', ')}`)
}
if (skipped.length > 0) console.log('\nSkipped:')
for (const name of skipped.sort()) console.log(`  ${name}`)
console.log(`\nava took ${((Date.now() - started) / 1000).toFixed(0)} s`)
const sums = `${total.passed} passed, ${total.failed} failed`
console.log(total.skipped > 0 ? `${sums}, ${total.skipped} skipped` : sums)
process.exitCode = total.failed > 0 ? 1 : 0
