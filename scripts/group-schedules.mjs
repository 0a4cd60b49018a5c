// Runs capture nodes that divide a link through randomised schedules of joins, leaves, deaths and lost coordinators, with
// real traffic in network namespaces, and holds what they took against what was sent. As root, built before:
//
//   npm run schedules [-- COUNT [SEED]]      20 schedules unless told otherwise; the seed is printed
import {spawnSync} from 'node:child_process'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [count = '20', seed = String(Math.floor(Math.random() * 1e6))] = process.argv.slice(2)
console.log(`schedules: ${count} of seed ${seed}`)
const {status} = spawnSync(
  process.execPath,
  [
    'node_modules/ava/entrypoints/cli.mjs',
    'build/test/live/group-schedules.test.js',
    '--serial',
    '--timeout=10m',
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {...process.env, DARTA_SCHEDULES: count, DARTA_SEED: seed},
  },
)
process.exit(status ?? 1)
