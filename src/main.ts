import {existsSync, mkdirSync} from 'node:fs'
import {enableCompileCache} from 'node:module'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {replaceStandardStreams} from './io/standard-streams.js'

/** Only a gain in time: where the folder cannot be made or written, nothing is lost. */
function keepCompiledCode(): void {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const folder = join(caches, 'darta')
  try {
    // Level by level: Node's own way to make all of them never ends below /proc.
    for (const path of [caches, folder]) if (!existsSync(path)) mkdirSync(path)
    enableCompileCache(folder)
  } catch {
    // See above.
  }
}

// First of all: what is imported before it is compiled anew each time.
keepCompiledCode()
replaceStandardStreams()

const [{runDarta}, {commands}] = await Promise.all([
  import('./cli/run-darta.js'),
  import('./commands/index.js'),
])
await runDarta(commands, process.argv.slice(2))
