// What the engine has to survive, at real NATS servers and in simulated time; in the end the results are held against those of one unit
// that has all records. Built before:
//
//   npm run schedules:engine [-- COUNT [SEED [EVENTS]]]
//       at three servers, all in network namespaces of their own (as root, with the server that scripts/nats-server.sh fetches):
//       units and servers are killed, links cut, units frozen, join and leave; 20 schedules of 8 events unless told otherwise
//   npm run schedules:engine -- LOOP[,LOOP...] [SECONDS [SEED]]
//       at one server on loopback, 600 s each unless told otherwise; units: a unit is killed each 10 s; frozen: a unit is frozen for 5 to
//       30 s and goes on; server: it is killed and comes back; proxy: links stall and break, messages are dropped, repeated and swapped;
//       kafka: at kcat's brokers units are killed and frozen, join and leave, and the brokers stand still
//   npm run schedules:engine -- faults [CASES [SEED]]
//       in one process: an engine that drops, repeats, reorders and stalls, 91 cases of each of 12 kinds unless told otherwise
//
// The seed is printed.
import {spawnSync} from 'node:child_process'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [what = '20', ...more] = process.argv.slice(2)
const anySeed = () => String(Math.floor(Math.random() * 1e6))

function plan() {
  if (what === 'faults') {
    const [count = '91', seed = anySeed()] = more
    console.log(`faults: ${count} cases of each kind, seed ${seed}`)
    return {file: 'faults', env: {DARTA_CASES: count, DARTA_SEED: seed}}
  }
  if (/[a-z]/.test(what)) {
    const [seconds = '600', seed = anySeed()] = more
    console.log(`loops: ${what}, ${seconds} s each, seed ${seed}`)
    const env = {DARTA_LOOP: what, DARTA_SECONDS: seconds, DARTA_SEED: seed}
    return {file: 'schedules', env, match: 'loop: *'}
  }
  const [seed = anySeed(), events = '8'] = more
  console.log(`schedules: ${what} of seed ${seed}, ${events} events each`)
  const env = {DARTA_SCHEDULES: what, DARTA_SEED: seed, DARTA_EVENTS: events}
  return {file: 'schedules', env, match: 'schedule of seed*'}
}

const {file, env, match} = plan()
const {status} = spawnSync(
  process.execPath,
  [
    'node_modules/ava/entrypoints/cli.mjs',
    `build/test/engine/${file}.test.js`,
    ...['--serial', '--timeout=40m', ...(match ? ['--match', match] : [])],
  ],
  {cwd: root, stdio: 'inherit', env: {...process.env, ...env}},
)
process.exit(status ?? 1)
