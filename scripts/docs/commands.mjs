import {existsSync} from 'node:fs'

/**
 * The commands as their classes define them, sorted by name:
 *
 *     {name, summary, description, flags: [{name, char, value, text, options, default, multiple, negatable, group}],
 *      args: [{name, text, options, required, multiple}], usage, variants: [{word, summary, flags}]}
 *
 * `value` is the placeholder of what a flag takes, undefined for a flag that takes nothing.
 */
export async function readCommands() {
  const index = new URL('../../build/src/commands/index.js', import.meta.url)
  if (!existsSync(index)) return []
  const {commands} = await import(index.href)
  const list = []
  for (const name of Object.keys(commands).sort()) {
    const {default: Command} = await commands[name]()
    if (typeof Command.summary !== 'string') throw new Error(`${name} has no summary`)
    list.push({
      name,
      summary: Command.summary.replace(/\.$/, ''),
      description: Command.description ?? '',
      usage: Command.usage,
      flags: describeFlags(name, {...Command.flags, ...Command.baseFlags}),
      variants: await readVariants(name, Command),
      args: Object.entries(Command.args ?? {})
        .filter(([, arg]) => !arg.hidden)
        .map(([argName, arg], i, all) => ({
          name: arg.name ?? argName,
          text: textOf(arg),
          options: arg.options ?? [],
          required: arg.required ?? false,
          multiple: arg.multiple ?? (Command.strict === false && i === all.length - 1),
        })),
    })
  }
  return list
}

function describeFlags(command, flags) {
  return Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .map(([name, flag]) => describeFlag(command, name, flag))
}

/** What a word behind the command's name adds to it: [{word, summary, flags}], sorted by word. */
async function readVariants(name, Command) {
  const variants = []
  for (const word of [...((await Command.variantWords?.()) ?? [])].sort()) {
    const {summary, flags} = await Command.variant([word])
    const own = Object.entries(flags).filter(([flag]) => !Object.hasOwn(Command.flags, flag))
    variants.push({word, summary, flags: describeFlags(`${name} ${word}`, Object.fromEntries(own))})
  }
  return variants
}

/** The formats: {name, summary, reads, writes}, sorted by name. */
export async function readFormats() {
  const {formats} = await import('../../build/src/formats/index.js')
  const list = []
  for (const name of Object.keys(formats).sort()) {
    const {default: format} = await formats[name]()
    const {summary, decoder, encoder} = format
    list.push({name, summary, reads: decoder !== undefined, writes: encoder !== undefined})
  }
  return list
}

function describeFlag(command, name, flag) {
  const text = textOf(flag)
  if (text === '') throw new Error(`${command} --${name} says nothing of itself`)
  return {
    name,
    char: flag.char,
    aliases: [...(flag.aliases ?? []), ...(flag.charAliases ?? [])],
    value:
      flag.type === 'option'
        ? String(flag.helpValue ?? name.toUpperCase()).replace(/^<(.*)>$/, '$1')
        : undefined,
    text,
    options: flag.options ?? [],
    default: typeof flag.default === 'function' ? undefined : flag.default,
    multiple: flag.multiple ?? false,
    negatable: flag.allowNo ?? false,
    group: flag.helpGroup ?? '',
  }
}

/** Summary and description of a flag or argument as one text; the second often repeats the first. */
function textOf({summary, description}) {
  const parts = [summary, description].filter((part) => typeof part === 'string' && part !== '')
  return [...new Set(parts)].map((part) => part.trim().replace(/([^.:;!?])$/, '$1.')).join(' ')
}
