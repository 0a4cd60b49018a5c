import {readFileSync} from 'node:fs'
import * as Flags from '@oclif/core/flags'
import type * as Interfaces from '@oclif/core/interfaces'
import {parseCount} from '../../cli/values.js'
import type {
  AnalysisApp,
  AppOption,
  AppOptions,
  OptionValues,
} from '../../processing/analysis/app.js'
import {DartaError} from '../../record/errors.js'
import {readError} from '../../io/errors.js'

/** An application's options as flags of the command. */
export function appFlags(app: AnalysisApp): Interfaces.FlagInput {
  return Object.fromEntries(
    Object.entries(app.options).map(([name, option]) => [flagName(name), flagOf(option)]),
  )
}

/** What was given for them, by the options' own names. */
export function appOptions(
  app: AnalysisApp,
  flags: Readonly<Record<string, unknown>>,
): OptionValues<AppOptions> {
  const values = Object.fromEntries(
    Object.entries(app.options).map(([name, option]) => {
      const value = flags[flagName(name)]
      return [name, value ?? (option.kind === 'flag' ? false : option.default)]
    }),
  )
  // The flags were made from the same options.
  return values as OptionValues<AppOptions>
}

/** `srcPrefix6` is `--src-prefix6`. */
function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function flagOf(option: AppOption): Interfaces.FlagInput[string] {
  const {summary} = option
  const char = option.char as Interfaces.AlphabetLowercase | undefined
  switch (option.kind) {
    case 'flag':
      return Flags.boolean({char, summary})
    case 'number':
      return Flags.custom<number>({
        parse: async (input) => {
          const value = parseCount(input)
          if (value < option.min || value > option.max) {
            const range = `${option.min} to ${option.max}`
            throw new DartaError('DARTA_USAGE', `expected ${range}, not '${input}'`)
          }
          return value
        },
      })({char, summary, helpValue: 'N', default: option.default})
    case 'text':
      return Flags.string({
        char,
        summary,
        helpValue: option.value,
        default: option.default,
        ...(option.choices && {options: [...option.choices]}),
      })
    case 'file':
      return Flags.custom<string>({parse: async (input) => readText(input)})({
        char,
        summary,
        helpValue: option.value,
      })
    case 'texts':
      return Flags.string({
        char,
        summary,
        helpValue: option.value,
        default: [...option.default],
        multiple: true,
        multipleNonGreedy: true,
      })
  }
}

/** @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw readError(path, error)
  }
}
