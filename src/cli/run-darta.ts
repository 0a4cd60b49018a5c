import {Config} from '@oclif/core/config'
import type {DartaCommand} from './base-command.js'

/** A file of src/commands: its default export. */
export type CommandClass = Omit<typeof DartaCommand, 'prototype'> &
  (new (argv: string[], config: Config) => DartaCommand)

/** The folder src/commands: name on the command line, and how to load what bears it. */
export type CommandTable = Readonly<Record<string, () => Promise<{default: CommandClass}>>>

/**
 * Runs one command line and ends the process. The usual way loads the one command's module and
 * gives it a Config that knows no plugins: oclif's own start takes longer than most commands.
 */
export async function runDarta(commands: CommandTable, argv: string[]): Promise<void> {
  const [name, ...rest] = argv
  if (rest.length === 1 && /^(?:-V|--version)$/.test(rest[0]) && Object.hasOwn(commands, name)) {
    // `darta filter -V` is asked as `darta -V`.
    return runDarta(commands, rest)
  }
  if (name !== undefined && Object.hasOwn(commands, name) && !asksForHelp(rest)) {
    const {default: CommandOfName} = await commands[name]()
    CommandOfName.id = name
    await new CommandOfName(rest, lightConfig()).run()
  } else {
    const {runRoot} = await import('./help.js')
    process.exitCode = await runRoot(commands, argv)
  }
  // The process ends as the event loop runs empty. process.exit() would leave V8's heap standing while
  // Node waits for its worker threads, and one that waits for a garbage collection waits for ever.
  setTimeout(() => process.exit(), LINGER_MS).unref()
}

/** How long something that is still open, and that nobody waits for, can keep the process. */
const LINGER_MS = 1000

/** What oclif needs to parse and run one command. */
export function lightConfig(): Config {
  const config = new Config({root: '/'})
  config.name = 'darta'
  config.bin = 'darta'
  config.topicSeparator = ' '
  config.runHook = async () => ({successes: [], failures: []})
  return config
}

/** Whether `--help` or `-h` stands among the flags, before a `--`. */
function asksForHelp(argv: readonly string[]): boolean {
  for (const word of argv) {
    if (word === '--') return false
    if (word === '--help' || word === '-h') return true
  }
  return false
}
