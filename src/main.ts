import {enableCompileCache} from 'node:module'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {replaceStandardStreams} from './io/standard-streams.js'

// Only a gain in time: where the folder cannot be written, nothing is lost. First of all, because
// what is imported before is compiled anew each time.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'darta'))
replaceStandardStreams()

const [{runDarta}, {commands}] = await Promise.all([
  import('./cli/run-darta.js'),
  import('./commands/index.js'),
])
await runDarta(commands, process.argv.slice(2))
