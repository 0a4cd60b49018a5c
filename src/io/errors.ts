import {getSystemErrorMessage} from 'node:util'
import {DartaError} from '../record/errors.js'

/** The error of a system call, such as `node:fs` throws. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & {code: string} {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string'
}

/** The system's own words: `no space left on device`. */
export function systemWords(error: unknown): string {
  if (!isSystemError(error)) return String(error instanceof Error ? error.message : error)
  return error.errno === undefined ? error.message : getSystemErrorMessage(error.errno)
}

/** Whether the reader of a pipe or socket went away. */
export function isClosedPipe(error: unknown): boolean {
  return isSystemError(error) && (error.code === 'EPIPE' || error.code === 'ECONNRESET')
}

function refused(error: unknown): boolean {
  return isSystemError(error) && (error.code === 'EACCES' || error.code === 'EPERM')
}

/** An input or output as people call it. */
export function spokenName(name: string, dash: 'standard input' | 'standard output'): string {
  return name === '-' ? dash : name
}

/** DARTA_FILE_READ, or DARTA_PERMISSION where the system refused; `name` as the user wrote it. */
export function readError(name: string, error: unknown, offset?: number): DartaError {
  if (error instanceof DartaError) return error
  const code = refused(error) ? 'DARTA_PERMISSION' : 'DARTA_FILE_READ'
  const what = spokenName(name, 'standard input')
  return new DartaError(code, `cannot read ${what}: ${systemWords(error)}`, offset, error)
}

/** DARTA_FILE_WRITE, or DARTA_PERMISSION; says how many octets were written before. */
export function writeError(name: string, error: unknown, octets?: number): DartaError {
  if (error instanceof DartaError) return error
  const code = refused(error) ? 'DARTA_PERMISSION' : 'DARTA_FILE_WRITE'
  const after = octets === undefined ? '' : ` after ${octets} octets`
  return new DartaError(
    code,
    `cannot write ${spokenName(name, 'standard output')}${after}: ${systemWords(error)}`,
    undefined,
    error,
  )
}

/** The reader of our output went away: the end of the work, not a fault. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed'
}
