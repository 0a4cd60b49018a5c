import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import type {Command} from '@oclif/core/command'
import type {Config} from '@oclif/core/config'
import {CommandHelp, Help} from '@oclif/core/help'
import type * as Interfaces from '@oclif/core/interfaces'
import {isClosedPipe} from '../io/errors.js'
import {writeAllSync} from '../io/standard-streams.js'
import {lightConfig, type CommandClass, type CommandTable} from './run-darta.js'
import {nearest} from './suggest.js'
import {wantsColour, writeWords} from './terminal.js'

interface PackageFacts {
  readonly version: string
  readonly description: string
}

/**
 * What `darta` does without a command's name: `--help`, `help [COMMAND]`, `COMMAND --help`,
 * `--version`, and an unknown command. Returns the exit code.
 */
export async function runRoot(commands: CommandTable, argv: readonly string[]): Promise<number> {
  const [first] = argv
  if (first === '--version' || first === '-V' || first === 'version')
    return printOut(`${version()}\n`)
  const asked = argv.some((word) => word === '--help' || word === '-h' || word === 'help')
  const name = argv.find((word) => !word.startsWith('-') && word !== 'help')
  if (name !== undefined && Object.hasOwn(commands, name)) {
    return printOut(await commandHelp(name, commands, argv.slice(argv.indexOf(name) + 1)))
  }
  if (name === undefined && (asked || first === undefined)) {
    const text = await rootHelp(commands)
    if (asked) return printOut(text)
    writeWords(text)
    return 2
  }
  const what = name === undefined ? `unknown flag ${first}` : `no command '${name}'`
  const near = name === undefined ? [] : nearest(name, Object.keys(commands))
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '; see darta --help'
  if (argv.includes('--json')) {
    writeWords(`${JSON.stringify({code: 'DARTA_USAGE', message: `${what}${hint}`})}\n`)
  } else {
    writeWords(`darta: ${what}${hint} (DARTA_USAGE)\n`)
  }
  return 2
}

/** The help page of one command, with these words behind its name. */
export async function commandHelp(
  name: string,
  commands: CommandTable,
  argv: readonly string[] = [],
): Promise<string> {
  const {default: CommandOfName} = await commands[name]()
  return classHelp(name, (await CommandOfName.variant?.(argv)) ?? CommandOfName)
}

/** The help page of one command's class. */
export function classHelp(name: string, CommandOfName: CommandClass): string {
  const command = describe(name, CommandOfName)
  // The summary stands above; oclif would repeat it in the description.
  const rest = {...command, summary: undefined}
  const page = new CommandHelp(rest, fullConfig(), helpOptions()).generate()
  return `${command.summary ?? ''}\n\n${page}\n`
}

async function rootHelp(commands: CommandTable): Promise<string> {
  const config = fullConfig()
  const list = []
  for (const name of Object.keys(commands)) {
    list.push(describe(name, (await commands[name]()).default))
  }
  const help = new RootHelp(config, helpOptions())
  return help.page(list)
}

class RootHelp extends Help {
  page(commands: Command.Loadable[]): string {
    return `${this.formatRoot()}\n\n${this.formatCommands(commands)}\n`
  }
}

/** What oclif's help needs to know of a command, without its plugin machinery. */
function describe(name: string, CommandOfName: CommandClass): Command.Loadable {
  const {summary, description, examples, usage, strict, aliases} = CommandOfName
  return {
    id: name,
    summary,
    description,
    examples,
    usage: usage ?? usageLine(name, CommandOfName),
    strict,
    aliases,
    hiddenAliases: [],
    hidden: false,
    flags: named(lettersFirst({...CommandOfName.flags, ...CommandOfName.baseFlags})),
    args: named(CommandOfName.args),
    load: async () => CommandOfName as unknown as Command.Class,
  }
}

/** `ie [QUERY...] [FLAGS]` */
function usageLine(name: string, {args, strict}: CommandClass): string {
  const words = Object.entries(args).map(([arg, {multiple, required}]) => {
    const word = `${arg.toUpperCase()}${(multiple ?? false) || strict === false ? '...' : ''}`
    return required ? word : `[${word}]`
  })
  return [name, ...words, '[FLAGS]'].join(' ')
}

/** Flags with a letter before those without: oclif indents no other order right. */
function lettersFirst<T extends {char?: string}>(flags: Record<string, T>): Record<string, T> {
  const entries = Object.entries(flags)
  return Object.fromEntries([
    ...entries.filter(([, {char}]) => char !== undefined),
    ...entries.filter(([, {char}]) => char === undefined),
  ])
}

/** Copies with their own names inside, as oclif's cache would have made. */
function named<T extends object>(things: Record<string, T>): Record<string, T & {name: string}> {
  return Object.fromEntries(Object.entries(things).map(([name, t]) => [name, {...t, name}]))
}

function helpOptions(): Interfaces.HelpOptions {
  return {
    maxWidth: Math.min(process.stdout.columns ?? 100, 100),
    stripAnsi: !wantsColour(1),
    flagSortOrder: 'none',
    docopts: false,
  }
}

function fullConfig(): Config {
  const config = lightConfig()
  const facts = packageFacts()
  config.version = facts.version
  config.userAgent = version()
  config.pjson = {name: 'darta', ...facts, oclif: {}}
  return config
}

function version(): string {
  const {platform, arch, version: node} = process
  return `darta ${packageFacts().version} ${platform}-${arch} node-${node}`
}

/** From the package.json above this file, wherever the build put it. */
function packageFacts(): PackageFacts {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageFacts
}

function printOut(text: string): number {
  try {
    writeAllSync(1, Buffer.from(text))
    return 0
  } catch (error) {
    if (isClosedPipe(error)) return 141
    throw error
  }
}
