import {isTerminal, writeAllSync} from '../io/standard-streams.js'

export {isTerminal}

/** Colour only on a terminal, and not against the user's NO_COLOR or a terminal that has none. */
export function wantsColour(fd: 1 | 2): boolean {
  const {NO_COLOR, TERM} = process.env
  return isTerminal(fd) && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb'
}

/** Whether a line that is to vanish stands on the terminal. */
let transient = false

/** Writes words to standard error. If nobody reads them any more, there is nobody to tell. */
export function writeWords(text: string): void {
  write(transient ? `${CLEAR}${text}` : text)
  transient = false
}

/** Shows a line on the terminal until other words come or it is hidden; not ended by a line break. */
export function showLine(text: string): void {
  write(`\r${text}\x1b[K`)
  transient = true
}

export function hideLine(): void {
  if (transient) write(CLEAR)
  transient = false
}

const CLEAR = '\r\x1b[K'

function write(text: string): void {
  try {
    writeAllSync(2, Buffer.from(text))
  } catch {
    // Nobody reads it.
  }
}
