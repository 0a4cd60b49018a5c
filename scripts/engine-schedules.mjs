// Runs Processing Units at a cluster of three NATS servers, all in network namespaces of their own, through randomised schedules
// in which units and servers are killed, links are cut and units join and leave, and holds the results against those of one unit that
// has all records. As root, built before, with the server that scripts/nats-server.sh fetches:
//
//   npm run schedules:engine [-- COUNT [SEED [EVENTS]]]   20 schedules of 8 events unless told otherwise; the seed is printed
import {spawnSync} from 'node:child_process'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [count = '20', seed = String(Math.floor(Math.random() * 1e6)), events = '8'] =
  process.argv.slice(2)
console.log(`schedules: ${count} of seed ${seed}, ${events} events each`)
const {status} = spawnSync(
  process.execPath,
  [
    'node_modules/ava/entrypoints/cli.mjs',
    'build/test/engine/schedules.test.js',
    ...['--serial', '--timeout=20m', '--match', 'schedule of seed*'],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {...process.env, DARTA_SCHEDULES: count, DARTA_SEED: seed, DARTA_EVENTS: events},
  },
)
process.exit(status ?? 1)
