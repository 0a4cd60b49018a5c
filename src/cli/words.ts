import {DartaError} from '../record/errors.js'

/**
 * The words of a command line as a shell would see them, without any of its powers: blanks part words, quotes and
 * backslashes keep them together.
 *
 * @throws DartaError DARTA_USAGE for a quote that is not closed
 */
export function splitWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (quote !== '') {
      if (c === quote) quote = ''
      else if (c === '\\' && quote === '"' && '"\\'.includes(text[i + 1]))
        word = (word ?? '') + text[++i]
      else word = (word ?? '') + c
    } else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (c === '\\' && i + 1 < text.length) word = (word ?? '') + text[++i]
    else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + c
  }
  if (quote !== '') throw new DartaError('DARTA_USAGE', `a ${quote} is not closed in: ${text}`)
  if (word !== undefined) words.push(word)
  return words
}
