import {DartaError} from '../../record/errors.js'

/** Where a filter's text comes from. */
export interface FilterText {
  /** File name; undefined: the command line. */
  readonly name: string | undefined
  readonly text: string
}

export interface Token {
  /** `symbol`: an operator or bracket; `end`: behind the last one. */
  readonly kind: 'word' | 'string' | 'regex' | 'symbol' | 'end'
  /** Of strings and regular expressions what is between the quotes, of the latter with `/flags` behind. */
  readonly text: string
  readonly source: FilterText
  /** First character, and the one behind the last. */
  readonly start: number
  readonly end: number
}

/** A fault of the text, with a caret under it. */
export function syntaxError(
  {source, start, end}: Pick<Token, 'source' | 'start' | 'end'>,
  what: string,
): DartaError {
  const {name, text} = source
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  const newline = text.indexOf('\n', start)
  const lineEnd = newline < 0 ? text.length : newline
  const lineNumber = text.slice(0, lineStart).split('\n').length
  const column = start - lineStart + 1
  const several = text.trimEnd().includes('\n')
  const file = name === undefined ? '' : `${name}, `
  const place = `${file}${several ? `line ${lineNumber}, ` : ''}column ${column}`
  // Tabs keep their width, so that the caret stands under the fault.
  const indent = text.slice(lineStart, start).replace(/[^\t]/g, ' ')
  const carets = '^'.repeat(Math.max(1, Math.min(end, lineEnd) - start))
  return new DartaError(
    'DARTA_FILTER_SYNTAX',
    `${place}: ${what}\n  ${text.slice(lineStart, lineEnd)}\n  ${indent}${carets}`,
  )
}

const blank = /\s/
const symbols = ['&&', '||', '==', '!=', '!~', '<=', '>=', ...'()[],;!=<>~&'.split('')]
/** What ends a word. A colon does only before a blank: addresses have colons. */
const wordEnd = /[\s()[\],;!=<>~&|"']/

function isMatch({kind, text}: Token): boolean {
  return kind === 'symbol' ? /^!?~$/.test(text) : kind === 'word' && /^matches$/i.test(text)
}

/**
 * Cuts a filter into tokens; behind them stands one of kind `end`. A `#` between tokens begins a comment.
 *
 * @throws DartaError DARTA_FILTER_SYNTAX
 */
export function tokensOf(source: FilterText): Token[] {
  const {text} = source
  const tokens: Token[] = []
  let at = 0
  const fault = (start: number, what: string): DartaError =>
    syntaxError({source, start, end: start + 1}, what)

  for (;;) {
    while (at < text.length && blank.test(text[at])) at++
    if (at >= text.length) break
    if (text[at] === '#') {
      const newline = text.indexOf('\n', at)
      at = newline < 0 ? text.length : newline
      continue
    }
    const start = at
    const previous = tokens.at(-1)
    if (text[at] === '"' || text[at] === "'") {
      tokens.push({kind: 'string', text: quoted(text[at]), source, start, end: at})
    } else if (text[at] === '/' && previous !== undefined && isMatch(previous)) {
      tokens.push({kind: 'regex', text: expression(), source, start, end: at})
    } else {
      const symbol = /^:(?=\s|$)/.test(text.slice(at, at + 2))
        ? ':'
        : symbols.find((s) => text.startsWith(s, at))
      if (symbol !== undefined) {
        at += symbol.length
        tokens.push({kind: 'symbol', text: symbol, source, start, end: at})
      } else if (text[at] === '|') throw fault(at, "a single '|'; write or, or ||")
      else {
        tokens.push({kind: 'word', text: word(), source, start, end: at})
      }
    }
  }
  tokens.push({kind: 'end', text: '', source, start: text.trimEnd().length, end: text.length})
  return tokens

  function word(): string {
    const start = at
    while (at < text.length && !wordEnd.test(text[at])) {
      if (text[at] === ':' && (at + 1 === text.length || blank.test(text[at + 1]))) {
        // `2001:db8::` ends in colons that belong to it.
        if (text[at - 1] !== ':') break
      }
      at++
    }
    return text.slice(start, at)
  }

  function quoted(quote: string): string {
    const start = at++
    let value = ''
    while (at < text.length && text[at] !== quote) {
      if (text[at] === '\\' && at + 1 < text.length && '\\"\''.includes(text[at + 1])) at++
      value += text[at++]
    }
    if (at >= text.length) throw fault(start, `this ${quote} is not closed`)
    at++
    return value
  }

  function expression(): string {
    const start = at++
    while (at < text.length && text[at] !== '/') at += text[at] === '\\' ? 2 : 1
    if (at >= text.length) throw fault(start, 'this regular expression has no / at its end')
    at++
    const pattern = text.slice(start + 1, at - 1)
    const flags = /^[a-z]*/.exec(text.slice(at))![0]
    at += flags.length
    return `${pattern}/${flags}`
  }
}
