import {splitWords} from '../../cli/words.js'
import type {Analysis, RoutingKey} from '../../processing/analysis/app.js'
import {toolbox} from '../../processing/analysis/toolbox.js'
import {DartaError} from '../../record/errors.js'
import {flowKey} from '../../registry/flow-keys.js'
import {appFlags, appOptions} from '../analyze/app-flags.js'
import {appFileName, loadApp} from '../analyze/load-app.js'

/** An application that records are routed for, as far as routing is concerned. */
export interface RoutedApp {
  /** `top`, or `key` where only a key was given. */
  readonly name: string
  /** The words that `darta analyze` takes; of a key only they begin with its flags. */
  readonly words: readonly string[]
  readonly needs: Analysis['needs']
  readonly key: RoutingKey | undefined
  readonly splittable: boolean
}

/** Parses words of another command line. */
export type ParseFlags = (
  flags: ReturnType<typeof appFlags>,
  words: string[],
) => Promise<Record<string, unknown>>

/**
 * The application that `--app 'NAME FLAGS'` names.
 *
 * @throws DartaError DARTA_USAGE
 */
export async function routedApp(text: string, parse: ParseFlags): Promise<RoutedApp> {
  const words = splitWords(text)
  if (words.length === 0) throw new DartaError('DARTA_USAGE', '--app names no application')
  const app = await loadApp(words[0])
  const flags = await parse(appFlags(app), words.slice(1))
  const analysis = app.prepare(appOptions(app, flags), toolbox)
  const name = appFileName(words[0])
  const {needs, routingKey, splittable} = analysis
  return {name, words, needs, key: routingKey, splittable}
}

/**
 * What `--key srcip,dstip` asks for. Records that lack a part have no key.
 *
 * @throws DartaError DARTA_USAGE
 */
export function keyApp(
  text: string,
  symmetric: boolean,
  splittable: boolean,
  name = 'key',
): RoutedApp {
  const parts = text.split(',').map((name) => flowKey(name.trim()))
  const either = parts.find((part) => part.either === true)
  if (either !== undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      `--key ${either.name}: a record has two of them; say src${either.name} or dst${either.name}, or both with --symmetric`,
    )
  }
  if (symmetric && parts.length % 2 === 1) {
    throw new DartaError(
      'DARTA_USAGE',
      '--symmetric: the key has to be one side and then the other, like srcip,srcport,dstip,dstport',
    )
  }
  const key = {key: parts, ...(symmetric && {symmetric: parts.length / 2})}
  const needs = parts.map(({elements}) => elements)
  const words = ['--key', text, ...(symmetric ? ['--symmetric'] : [])]
  return {name, words, needs, key, splittable}
}
