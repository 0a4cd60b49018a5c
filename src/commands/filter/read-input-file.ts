import {readFileSync} from 'node:fs'
import {readError} from '../../io/errors.js'

/** All octets of a file that the user names. @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION */
export function readInputFile(name: string): Uint8Array {
  try {
    return readFileSync(name === '-' ? 0 : name)
  } catch (error) {
    throw readError(name, error)
  }
}
