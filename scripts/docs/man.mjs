import {existsSync, readFileSync, readdirSync} from 'node:fs'

/**
 * The pages of man/, path to text. man/src/ holds them in mdoc with lines like `@options@` where generated text
 * goes. A command without a page of its own there gets one made of its summary and description.
 */
export async function manPages(commands, formats) {
  const {errorCodes} = await import('../../build/src/record/errors.js')
  const {allElements} = await import('../../build/src/registry/lookup.js')
  const {columns} = await import('../../build/src/formats/human/columns.js')
  const byName = new Map(commands.map((command) => [command.name, command]))
  const generated = {
    commands: () => commands.flatMap((c) => [`.It Xr darta-${c.name} 1`, text(`${c.summary}.`)]),
    formats: () => ['.Bl -tag -width Ds', ...formats.flatMap(formatItem), '.El'],
    columns: () => Object.entries(columns).map(([word, {heading}]) => row(`%${word}`, heading)),
    'see also': () => commands.map((c) => `.Xr darta-${c.name} 1 ,`),
    elements: () => elementList(allElements()),
    errors: () => Object.entries(errorCodes).flatMap(([code, meaning]) => errorItem(code, meaning)),
    'common options': () =>
      optionList(commands[0]?.flags.filter((flag) => flag.group === 'common')),
  }
  const pages = new Map()
  const sources = readdirSync('man/src').filter((file) => /\.\d$/.test(file))
  for (const file of sources) {
    const source = readFileSync(`man/src/${file}`, 'utf8')
    const command = byName.get(/^darta-(.*)\.1$/.exec(file)?.[1] ?? '')
    pages.set(`man/${file}`, fill(file, source, {...generated, ...(command && ofCommand(command))}))
  }
  for (const command of commands) {
    const file = `darta-${command.name}.1`
    if (existsSync(`man/src/${file}`)) continue
    pages.set(`man/${file}`, fill(file, plainPage(command), {...generated, ...ofCommand(command)}))
  }
  return [...pages].sort(([a], [b]) => (a < b ? -1 : 1))
}

function fill(file, source, generated) {
  const lines = source.split('\n').flatMap((line) => {
    const what = /^@(.*)@$/.exec(line)?.[1]
    if (what === undefined) return [line]
    if (!Object.hasOwn(generated, what)) throw new Error(`man/src/${file}: nothing makes ${line}`)
    return generated[what]()
  })
  return `.\\" Written by scripts/docs.mjs from man/src/${file}. Do not edit.\n${lines.join('\n')}`
}

function ofCommand(command) {
  return {
    name: () => [`.Nm darta-${command.name}`, `.Nd ${escape(lowerFirst(command.summary))}`],
    synopsis: () => synopsis(command),
    options: () => optionSections(command),
    arguments: () => argumentList(command),
  }
}

function plainPage({name, description, summary}) {
  return `.Dd November 25, 2026
.Dt DARTA-${name.toUpperCase()} 1
.Os
.Sh NAME
@name@
.Sh SYNOPSIS
@synopsis@
.Sh DESCRIPTION
${text(description === '' ? `${summary}.` : description)}
@arguments@
@options@
.Sh SEE ALSO
.Xr darta 1
`
}

function synopsis({name, args}) {
  const words = args.map(
    ({name: arg, required, multiple}) =>
      `${required ? '.' : '.Op '}Ar ${escape(arg)}${multiple ? ' ...' : ''}`,
  )
  return [`.Nm darta ${name}`, '.Op Ar option ...', ...words]
}

function argumentList({args}) {
  const told = args.filter((arg) => arg.text !== '')
  if (told.length === 0) return []
  return [
    '.Bl -tag -width Ds',
    ...told.flatMap((arg) => [`.It Ar ${escape(arg.name)}`, text(`${arg.text}${oneOf(arg)}`)]),
    '.El',
  ]
}

/** The options of a command, in the order of its file, by the groups that it names; common ones last. */
function optionSections({name, flags, variants}) {
  const groups = new Map([['', []]])
  for (const flag of flags) {
    if (!groups.has(flag.group)) groups.set(flag.group, [])
    groups.get(flag.group).push(flag)
  }
  const common = groups.get('common') ?? []
  groups.delete('common')
  const lines = ['.Sh OPTIONS']
  for (const [title, members] of groups) {
    if (members.length === 0) continue
    if (title !== '') lines.push(`.Ss ${escape(upperFirst(title))}`)
    lines.push(...optionList(members))
  }
  for (const variant of variants) {
    lines.push(`.Ss Of ${escape(`${name} ${variant.word}`)}`, text(variant.summary))
    if (variant.flags.length > 0) lines.push(...optionList(variant.flags))
  }
  lines.push('.Ss Common to all commands', ...optionList(common))
  return lines
}

function optionList(flags = []) {
  return [
    '.Bl -tag -width Ds',
    ...flags.flatMap((flag) => [spelling(flag), text(told(flag))]),
    '.El',
  ]
}

function spelling({name, char, aliases, value, negatable}) {
  const spellings = [...(char === undefined ? [] : [char]), ...aliases, name]
  const words = spellings.map((s) => {
    if (s.length === 1) return `Fl ${s}${value === undefined ? '' : ` Ar ${escapeWord(value)}`}`
    return `Fl \\-${s}${value === undefined ? '' : ` Ns = Ns Ar ${escapeWord(value)}`}`
  })
  if (negatable) words.push(`Fl \\-no-${name}`)
  return `.It ${words.join(' , ')}`
}

function told(flag) {
  const parts = [flag.text + oneOf(flag)]
  if (flag.default !== undefined && flag.default !== false && flag.default !== '') {
    if (!/\bdefault\b/i.test(flag.text)) parts.push(`Default: ${flag.default}.`)
  }
  if (flag.multiple && !flag.text.includes('May be repeated')) parts.push('May be repeated.')
  return parts.join(' ')
}

function oneOf({options, value = '', text: words}) {
  const untold = options.filter((option) => !`${value} ${words}`.includes(option))
  return untold.length === 0 ? '' : ` One of: ${options.join(', ')}.`
}

/** A row of a table whose first column is what users write. */
function row(word, meaning) {
  return `.It Cm ${escapeWord(word)} Ta ${escapeWord(meaning)}`
}

function formatItem({name, summary, reads, writes}) {
  const how = reads && writes ? 'read and written' : reads ? 'read' : 'written'
  return [`.It Cm ${name}`, text(`${upperFirst(summary.replace(/\.$/, ''))}; ${how}.`)]
}

function elementList(elements) {
  return elements.flatMap((e) => {
    const number =
      e.enterpriseNumber === 0 ? `${e.elementId}` : `${e.enterpriseNumber}/${e.elementId}`
    const about = [e.type]
    if (e.semantics !== 'default') about.push(e.semantics)
    if (e.units !== '') about.push(e.units)
    if (e.range !== undefined) about.push(`${e.range[0]} to ${e.range[1]}`)
    if (e.status !== 'current') about.push(e.status)
    const lines = [`.It Sy ${e.name} Pq ${number}`, text(`${about.join(', ')}.`)]
    if (e.description !== '') lines.push('.br', text(`${e.description}.`))
    return lines
  })
}

function errorItem(code, meaning) {
  return [`.It Er ${code}`, text(`${upperFirst(meaning)}.`)]
}

/** Plain words as mdoc text: `code` in bold, a line for each sentence, blank lines as paragraphs. */
function text(words) {
  return words
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) =>
      paragraph
        .replace(/\s*\n\s*/g, ' ')
        // A new sentence, a new line: so mdoc knows where sentences end.
        .split(/(?<=[.!?]\)?) (?=[A-Z`"'(-])/)
        .map((sentence) => escape(sentence).replace(/`([^`]+)`/g, '\\fB$1\\fR'))
        .join('\n'),
    )
    .join('\n.Pp\n')
}

function escape(words) {
  return words
    .replaceAll('\\', '\\e')
    .replace(/(^|[\s(`[|,])-/g, (_, before) => `${before}\\-`)
    .replace(/(?<=\\-)-/g, '\\-')
    .replace(/^(?=[.'])/, '\\&')
}

/** Words behind a macro; those that look like a macro themselves are disarmed. */
function escapeWord(words) {
  return escape(words)
    .split(' ')
    .map((word) => (/^[A-Z%][a-z][a-z]?$|^[.,:;()[\]|?!]$/.test(word) ? `\\&${word}` : word))
    .join(' ')
}

function upperFirst(words) {
  return words[0].toUpperCase() + words.slice(1)
}

function lowerFirst(words) {
  return /^[A-Z][a-z]/.test(words) ? words[0].toLowerCase() + words.slice(1) : words
}
