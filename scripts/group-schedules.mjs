// Runs capture nodes that divide a link through randomised schedules of joins, leaves, deaths and lost coordinators, with
// real traffic in network namespaces, and holds what they took against what was sent. As root, built before:
//
//   npm run schedules [-- COUNT [SEED [GUARD]]]   20 schedules with a guard band of 500ms unless told otherwise; the seed
//                                                 is printed
import {spawnSync} from 'node:child_process'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [count = '20', seed = String(Math.floor(Math.random() * 1e6)), guard = '500ms'] =
  process.argv.slice(2)
console.log(`schedules: ${count} of seed ${seed}, guard ${guard}`)
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
    env: {...process.env, DARTA_SCHEDULES: count, DARTA_SEED: seed, DARTA_GUARD: guard},
  },
)
process.exit(status ?? 1)
