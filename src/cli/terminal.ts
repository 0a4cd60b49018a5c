import {isTerminal, writeAllSync} from '../io/standard-streams.js'

export {isTerminal}

/** Colour only on a terminal, and not against the user's NO_COLOR or a terminal that has none. */
export function wantsColour(fd: 1 | 2): boolean {
  const {NO_COLOR, TERM} = process.env
  return isTerminal(fd) && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb'
}

/** Writes words to standard error. If nobody reads them any more, there is nobody to tell. */
export function writeWords(text: string): void {
  try {
    writeAllSync(2, Buffer.from(text))
  } catch {
    // See above.
  }
}
