import {statSync} from 'node:fs'
import {DartaError, type ErrorCode} from '../record/errors.js'
import {readError} from './errors.js'

/**
 * What holds a secret must be its owner's alone.
 *
 * @param code of the error if it is not
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, `code`
 */
export function checkPrivate(path: string, code: ErrorCode): void {
  let mode: number
  try {
    ;({mode} = statSync(path))
  } catch (error) {
    throw readError(path, error)
  }
  if ((mode & 0o077) === 0) return
  const words = `${path} can be read by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`
  throw new DartaError(code, words)
}
