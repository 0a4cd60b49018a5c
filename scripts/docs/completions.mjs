/** Completion files for three shells, path to text. */
export async function completions(commands, formats) {
  const known = commands.map((command) => withFormats(command, formats))
  if (commands.length === 0) return []
  const {allElements} = await import('../../build/src/registry/lookup.js')
  const elements = allElements().map((element) => element.name)
  return [
    ['completions/darta.bash', bash(known, elements)],
    ['completions/_darta', zsh(known, elements)],
    ['completions/darta.fish', fish(known, elements)],
  ]
}

/** A flag that takes a FORMAT takes the name of one: of those that can be read, or written. */
function withFormats(command, formats) {
  const readable = formats.filter(({reads}) => reads).map(({name}) => name)
  const writable = formats.filter(({writes}) => writes).map(({name}) => name)
  return {
    ...command,
    flags: command.flags.map((flag) =>
      flag.value === 'FORMAT' && flag.options.length === 0
        ? {...flag, options: flag.name.startsWith('input') ? readable : writable}
        : flag,
    ),
  }
}

const notice = 'Written by scripts/docs.mjs from the definitions of the commands. Do not edit.'

/** What a placeholder stands for: words, or something that the shell can list itself. */
function kindOf({value, name, options}) {
  if (options.length > 0) return 'words'
  const placeholder = (value ?? name).toUpperCase()
  if (/\b(FILE|PATH)S?\b/.test(placeholder)) return 'file'
  if (/\bDIR(ECTORY)?\b/.test(placeholder)) return 'folder'
  if (/\b(IFACE|INTERFACE)\b/.test(placeholder)) return 'interface'
  if (/\bELEMENTS\b/.test(placeholder)) return 'element-list'
  if (/\b(ELEMENT|QUERY)\b/.test(placeholder)) return 'element'
  return 'other'
}

const shorts = ({char, aliases}) =>
  [char, ...aliases.filter((alias) => alias.length === 1)].filter((letter) => letter !== undefined)
const longs = ({name, aliases, negatable}) => [
  name,
  ...aliases.filter((alias) => alias.length > 1),
  ...(negatable ? [`no-${name}`] : []),
]
const spellings = (flag) => [
  ...shorts(flag).map((letter) => `-${letter}`),
  ...longs(flag).map((word) => `--${word}`),
]

/** The first sentence, without what man pages mark up. */
function brief(text) {
  return text
    .split(/(?<=[.;]) /)[0]
    .replace(/[.;]$/, '')
    .replaceAll('`', '')
}

function bash(commands, elements) {
  const words = (list) => `mapfile -t COMPREPLY < <(compgen -W '${list.join(' ')}' -- "$current")`
  const action = {
    words: ({options}) => words(options),
    file: () => 'mapfile -t COMPREPLY < <(compgen -f -- "$current")',
    folder: () => 'mapfile -t COMPREPLY < <(compgen -d -- "$current")',
    interface: () =>
      'mapfile -t COMPREPLY < <(compgen -W "any $(ls /sys/class/net 2>/dev/null)" -- "$current")',
    element: () => 'mapfile -t COMPREPLY < <(compgen -W "$elements" -- "$current")',
    'element-list': () =>
      'mapfile -t COMPREPLY < <(compgen -P "$before" -W "$elements" -- "${current##*,}")',
    other: () => ':',
  }
  const perCommand = commands.map(({name, flags, args}) => {
    const valued = flags.filter((flag) => flag.value !== undefined)
    const cases = valued.map(
      (flag) => `        ${spellings(flag).join('|')}) ${action[kindOf(flag)](flag)}; return ;;`,
    )
    const positions = args.map(
      (arg, i) => `        ${arg.multiple ? '*' : i + 1}) ${action[kindOf(arg)](arg)} ;;`,
    )
    return `    ${name})
      case $previous in
${cases.join('\n')}
      esac
      if [[ $current == -* ]]; then
        ${words([...flags.flatMap(spellings), '--help'])}
        return
      fi
      case $position in
${positions.join('\n')}
      esac
      ;;`
  })
  const takesValue = commands.map(
    ({name, flags}) =>
      `    ${name}) [[ ' ${flags
        .filter((flag) => flag.value !== undefined)
        .flatMap(spellings)
        .join(' ')} ' == *" $2 "* ]] ;;`,
  )
  return `# bash completion for darta. ${notice}
_darta_takes_value() {
  case $1 in
${takesValue.join('\n')}
    *) return 1 ;;
  esac
}

_darta() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' position=1 before='' i word
  local elements='${elements.join(' ')}'
  COMPREPLY=()
  # bash breaks --flag=value into three words.
  if [[ $current == = ]]; then
    current=''
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [[ $current == *,* ]]; then before=\${current%,*},; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -z $command ]]; then
      if [[ $word != -* ]]; then command=$word; fi
    elif [[ $word == = ]]; then
      i=$((i + 1))
    elif [[ $word == -?* ]]; then
      if _darta_takes_value "$command" "$word" && [[ \${COMP_WORDS[i + 1]} != = ]]; then i=$((i + 1)); fi
    else
      position=$((position + 1))
    fi
  done
  case $command in
    '') ${words([...commands.map(({name}) => name), 'help', '--help', '--version'])} ;;
    help) ${words(commands.map(({name}) => name))} ;;
${perCommand.join('\n')}
  esac
}

complete -o filenames -F _darta darta
`
}

function zsh(commands, elements) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`
  const inSpec = (text) => text.replace(/[\\:[\]]/g, '\\$&')
  const action = (thing) =>
    ({
      words: `(${thing.options.join(' ')})`,
      file: '_files',
      folder: '_files -/',
      interface: '_net_interfaces',
      element: '_darta_element',
      'element-list': '_sequence _darta_element',
      other: ' ',
    })[kindOf(thing)]
  const perCommand = commands.map(({name, flags, args}) => {
    const specs = flags.flatMap((flag) => {
      const all = spellings(flag)
      const apart = flag.multiple ? '*' : `(${all.join(' ')})`
      const told = `[${inSpec(brief(flag.text))}]`
      const value = flag.value === undefined ? '' : `:${inSpec(flag.value)}:${action(flag)}`
      return all.map((spelling) => {
        const takes = value === '' ? '' : spelling.startsWith('--') ? '=' : '+'
        return quote(`${apart}${spelling}${takes}${told}${value}`)
      })
    })
    for (const arg of args) {
      const more = arg.multiple ? '*' : ''
      specs.push(quote(`${more}:${inSpec(arg.name)}:${action(arg)}`))
    }
    specs.push(quote('(-)--help[Show help]'))
    return `        ${name})
          _arguments -s \\
            ${specs.join(' \\\n            ')}
          ;;`
  })
  const described = commands.map(({name, summary}) => quote(`${name}:${inSpec(brief(summary))}`))
  return `#compdef darta
# zsh completion for darta. ${notice}

_darta_element() {
  local -a elements=(
    ${elements.join('\n    ')}
  )
  compadd "$@" -a elements
}

_darta() {
  local curcontext=$curcontext state line
  local -a commands=(
    ${described.join('\n    ')}
    'help:Show help'
  )
  _arguments -C '(- *)--help[Show help]' '(- *)--version[Show the version]' '1:command:->command' '*::option:->rest'
  case $state in
    command) _describe -t commands command commands ;;
    rest)
      case $words[1] in
        help) _describe -t commands command commands ;;
${perCommand.join('\n')}
      esac
      ;;
  esac
}

_darta "$@"
`
}

function fish(commands, elements) {
  const quote = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`
  const action = (thing) =>
    ({
      words: `-x -a ${quote(thing.options.join(' '))}`,
      file: '-r -F',
      folder: "-x -a '(__fish_complete_directories)'",
      interface: "-x -a 'any (command ls /sys/class/net)'",
      element: "-x -a '$__darta_elements'",
      'element-list': "-x -a '(__fish_append , $__darta_elements)'",
      other: '-x',
    })[kindOf(thing)]
  const lines = [
    `# fish completion for darta. ${notice}`,
    `set -g __darta_elements ${elements.join(' ')}`,
    'complete -c darta -f',
    "complete -c darta -n __fish_use_subcommand -l help -d 'Show help'",
    "complete -c darta -n __fish_use_subcommand -l version -d 'Show the version'",
    "complete -c darta -n __fish_use_subcommand -a help -d 'Show help'",
    `complete -c darta -n '__fish_seen_subcommand_from help' -a ${quote(commands.map((c) => c.name).join(' '))}`,
  ]
  for (const {name, summary, flags, args} of commands) {
    const seen = `complete -c darta -n '__fish_seen_subcommand_from ${name}'`
    lines.push(`complete -c darta -n __fish_use_subcommand -a ${name} -d ${quote(brief(summary))}`)
    for (const flag of flags) {
      const names = [
        ...shorts(flag).map((letter) => `-s ${letter}`),
        ...longs(flag).map((word) => `-l ${word}`),
      ]
      const value = flag.value === undefined ? '' : ` ${action(flag)}`
      lines.push(`${seen} ${names.join(' ')}${value} -d ${quote(brief(flag.text))}`)
    }
    for (const arg of args) {
      const how = action(arg).replace(/^-[xr] ?/, '')
      if (how !== '') lines.push(`${seen} ${how}`)
    }
    lines.push(`${seen} -l help -d 'Show help'`)
  }
  return `${lines.join('\n')}\n`
}
