import {DartaError} from '../record/errors.js'
import type {EncodeContext, Encoder, Format} from '../record/format.js'
import type {Template} from '../record/template.js'
import {columnByName, columns, type Cell, type Column} from './human/columns.js'
import {presentationOf} from './human/presentation.js'
import type {Origin} from './human/value-text.js'

/** What a format string is made of. */
type Part = string | Column

const escapes: Readonly<Record<string, string>> = {n: '\n', t: '\t', '\\': '\\'}

/**
 * Reads `%ts %{octetDeltaCount} text`: nfdump's words behind a percent sign, any element's name in braces, `%%`, and
 * `\n`, `\t`.
 *
 * @throws DartaError DARTA_USAGE with the column of what is wrong
 */
export function parseFormat(text: string): Part[] {
  const parts: Part[] = []
  let literal = ''
  const pattern = /%%|%\{([^}]*)\}|%([a-z][a-z0-9]*)|\\([nt\\])|([\s\S])/g
  for (const match of text.matchAll(pattern)) {
    const [all, braced, word, escape] = match
    if (all === '%%') literal += '%'
    else if (escape !== undefined) literal += escapes[escape]
    else if (braced !== undefined || word !== undefined) {
      // `%srcip` is no word, but `%pr,` and `%bytes` would be: the longest word counts.
      const found = braced === undefined ? longestWord(word) : columnByName(braced)
      if (found === undefined) {
        throw new DartaError(
          'DARTA_USAGE',
          `fmt: nothing is named '${braced ?? word}', at column ${match.index + 1}; words are ${Object.keys(columns).join(' ')}, or an element in %{…}`,
        )
      }
      if (literal !== '') parts.push(literal)
      literal = ''
      if (typeof found === 'string') {
        parts.push(columns[found])
        literal = word.slice(found.length)
      } else parts.push(found)
    } else if (all === '%') {
      throw new DartaError(
        'DARTA_USAGE',
        `fmt: a percent sign alone at column ${match.index + 1}; write %%`,
      )
    } else literal += all
  }
  if (literal !== '') parts.push(literal)
  return parts
}

function longestWord(word: string): string | undefined {
  for (let end = word.length; end > 0; end--) {
    if (Object.hasOwn(columns, word.slice(0, end))) return word.slice(0, end)
  }
  return undefined
}

const format: Format = {
  summary: "lines of your own: fmt:'%ts %sap %dap %byt %{flowEndReason}'",
  binary: false,
  encoder({ledger, options, argument}: EncodeContext): Encoder {
    if (argument === undefined || argument === '') {
      throw new DartaError('DARTA_USAGE', "fmt needs a format: -o 'fmt:%ts %sap %dap %byt'")
    }
    const parts = parseFormat(argument)
    const presentation = presentationOf(options)
    const origin: Origin = {ns: undefined}
    const stage = ledger.stage('fmt', 'records')
    const compiled = new Map<string, (string | Cell)[]>()
    const compile = (template: Template): (string | Cell)[] => {
      let cells = compiled.get(template.layout)
      if (cells === undefined) {
        cells = parts.map((part) =>
          typeof part === 'string' ? part : part.cell(template, presentation, origin),
        )
        compiled.set(template.layout, cells)
      }
      return cells
    }
    const text = new TextEncoder()
    return {
      push(batches) {
        let lines = ''
        for (const batch of batches) {
          stage.in += batch.count
          if (batch.template.scopeCount > 0) {
            stage.skip('options-record', batch.count)
            continue
          }
          const cells = compile(batch.template)
          for (let i = 0; i < batch.count; i++) {
            for (const cell of cells) lines += typeof cell === 'string' ? cell : cell(batch, i)
            lines += '\n'
          }
          stage.out += batch.count
        }
        return lines === '' ? [] : [text.encode(lines)]
      },
      flush: () => [],
      end: () => [],
    }
  },
}

export default format
