// How long darta takes to start, against Node alone: medians of pairs, one run of each in turn.
//
//   node scripts/bench-startup.mjs [--runs 21] [-- COMMAND ...]      default command: ie sourceIPv4Address
import {spawnSync} from 'node:child_process'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const {values, positionals} = parseArgs({
  options: {runs: {type: 'string', default: '21'}},
  allowPositionals: true,
})
const command = positionals.length > 0 ? positionals : ['ie', 'sourceIPv4Address']
const node = `${root}node_modules/node/bin/node`
const contenders = {
  'node -e 0': [node, ['-e', '0']],
  [`darta ${command.join(' ')}`]: [`${root}bin/darta`, command],
}

/** Wall time in milliseconds. */
function once(program, args) {
  const begin = performance.now()
  const {status, stderr} = spawnSync(program, args, {stdio: ['ignore', 'ignore', 'pipe']})
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  return performance.now() - begin
}

const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
// The first run of all fills the compile cache.
for (const [program, args] of Object.values(contenders)) once(program, args)
for (let i = 0; i < Number(values.runs); i++) {
  for (const [name, [program, args]] of Object.entries(contenders)) {
    times[name].push(once(program, args))
  }
}
const medians = Object.entries(times).map(([name, list]) => {
  const sorted = list.sort((a, b) => a - b)
  const median = sorted[sorted.length >> 1]
  console.log(`${median.toFixed(1)} ms median, ${sorted[0].toFixed(1)} ms least: ${name}`)
  return median
})
console.log(`${(medians[1] / medians[0]).toFixed(2)} times Node alone (node ${process.version})`)
