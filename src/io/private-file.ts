import {closeSync, fstatSync, openSync, readFileSync} from 'node:fs'
import {DartaError, type ErrorCode} from '../record/errors.js'
import {readError} from './errors.js'

/**
 * Reads what holds a secret, which must be its owner's alone.
 *
 * @param code of the error if it is not
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION, `code`
 */
export function readPrivateFile(path: string, code: ErrorCode): Buffer {
  let mode: number
  let octets: Buffer
  try {
    const file = openSync(path, 'r')
    try {
      ;({mode} = fstatSync(file))
      octets = readFileSync(file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw readError(path, error)
  }
  if ((mode & 0o077) === 0) return octets
  const words = `${path} can be read by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`
  throw new DartaError(code, words)
}
