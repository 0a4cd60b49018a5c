import {defaultExport} from '../../cli/load-module.js'
import {nearest} from '../../cli/suggest.js'
import {apps as table} from '../../processing/analysis/apps/index.js'
import type {AnalysisApp} from '../../processing/analysis/app.js'
import {DartaError} from '../../record/errors.js'

const apps: Readonly<Record<string, () => Promise<{default: unknown}>>> = table

/** The name of the application that a word or file means. */
export function appFileName(word: string): string {
  return word.replace(/^.*[/\\]|\.[cm]?[jt]s$/g, '')
}

export function appNames(): string[] {
  return Object.keys(apps)
}

/** Whether the word is meant as a file and not as a name: `./my-app.js`. */
export function isPath(word: string): boolean {
  return /[/\\]|\.[cm]?[jt]s$/.test(word)
}

/**
 * The application of this name, or in this file.
 *
 * @throws DartaError DARTA_USAGE there is none, or what the file has as its default export is none
 */
export async function loadApp(word: string): Promise<AnalysisApp> {
  if (Object.hasOwn(apps, word)) return (await apps[word]()).default as AnalysisApp
  if (!isPath(word)) {
    const [near] = nearest(word, appNames())
    const hint = near === undefined ? appNames().join(', ') : `did you mean ${near}?`
    throw new DartaError('DARTA_USAGE', `no application '${word}': ${hint}, or ./FILE.js`)
  }
  const found = await defaultExport(word)
  if (!isApp(found)) {
    throw new DartaError(
      'DARTA_USAGE',
      `${word} has no application as its default export: {summary, options, prepare}`,
    )
  }
  return found
}

function isApp(value: unknown): value is AnalysisApp {
  if (typeof value !== 'object' || value === null) return false
  const {summary, options, prepare} = value as Partial<Record<string, unknown>>
  return (
    typeof summary === 'string' &&
    typeof options === 'object' &&
    options !== null &&
    typeof prepare === 'function'
  )
}
