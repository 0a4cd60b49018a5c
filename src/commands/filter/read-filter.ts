import {existsSync} from 'node:fs'
import {parseTimeRange} from '../../cli/values.js'
import {nearest} from '../../cli/suggest.js'
import {readInputFile} from './read-input-file.js'
import {all, type Expression} from '../../mediation/filter/expression.js'
import type {FilterContext} from '../../mediation/filter/operands.js'
import {parseFilter} from '../../mediation/filter/parse.js'
import {createRecordFilter} from '../../mediation/filter/record-filter.js'
import {DartaError} from '../../record/errors.js'
import type {StageLedger} from '../../record/ledger.js'
import type {FilterSources, Selection} from './open-selected.js'

/** Times in a filter are measured from one moment. */
function createContext(): FilterContext {
  const now = Date.now()
  return {
    readFile: readInputFile,
    timeRange: (text) => parseTimeRange(text, now),
    suggest: (word, names) => nearest(word, names),
  }
}

/**
 * The filter that the command line asks for; undefined: none.
 *
 * @throws DartaError DARTA_FILTER_SYNTAX, DARTA_FILE_READ, DARTA_PERMISSION
 */
export function readFilter(sources: FilterSources): Expression | undefined {
  const context = createContext()
  const parts: Expression[] = []
  const {words = [], filter, file, timeRange} = sources
  for (const text of [words.length > 0 ? words.join(' ') : undefined, filter]) {
    if (text === undefined) continue
    try {
      parts.push(parseFilter({name: undefined, text}, context))
    } catch (error) {
      throw (text === filter ? undefined : meantOtherwise(words, error)) ?? error
    }
  }
  if (file !== undefined) {
    const text = new TextDecoder().decode(readInputFile(file))
    parts.push(parseFilter({name: file, text}, context))
  }
  if (timeRange !== undefined) {
    const {from, to} = timeRange
    const text = [
      from === undefined ? [] : [`first seen >= ${epochMs(from)}`],
      to === undefined ? [] : [`last seen < ${epochMs(to)}`],
    ].flat()
    if (text.length > 0) parts.push(parseFilter({name: '-t', text: text.join(' and ')}, context))
  }
  return parts.length === 0 ? undefined : all(parts)
}

/** Whoever forgets `-r`, or gives `-n` a number as nfdump does, gets more help from this than from a caret under the word. */
function meantOtherwise(words: readonly string[], cause: unknown): DartaError | undefined {
  const [first] = words
  if (existsSync(first)) {
    return new DartaError(
      'DARTA_USAGE',
      `${first} is a file: give it as -r ${first}`,
      undefined,
      cause,
    )
  }
  if (!/^\d+$/.test(first)) return undefined
  return new DartaError(
    'DARTA_USAGE',
    `an expression does not begin with ${first}: -c N says how many records and -k N how many rows, -n takes no number`,
    undefined,
    cause,
  )
}

/** Milliseconds since 1970 as a filter takes them: 12 digits or more. */
function epochMs(ms: number): string {
  return String(Math.floor(ms)).padStart(12, '0')
}

/**
 * What `openSelection` gives, where a filter was asked for.
 *
 * @throws DartaError as `readFilter`
 */
export function selectRecords(
  sources: FilterSources,
  openAccount: () => StageLedger,
): Selection | undefined {
  const expression = readFilter(sources)
  if (expression === undefined) return undefined
  const filter = createRecordFilter(expression)
  let account: StageLedger | undefined
  return (batches) => {
    // Its account comes behind those of the inputs, which open theirs when they are read.
    account ??= openAccount()
    const {passed, tested, matched, options} = filter.run(batches)
    account.in += tested + options
    account.out += matched + options
    if (matched < tested) account.skip('no-match', tested - matched)
    return passed
  }
}
