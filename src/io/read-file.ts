import {constants, openSync} from 'node:fs'
import {readError} from './errors.js'
import {readDescriptor, type Ending, type OctetInput} from './read-descriptor.js'

/**
 * Opens a file, named pipe or device for reading.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION
 */
export function readFile(path: string, ending: Ending): OctetInput {
  try {
    return readDescriptor(path, openSync(path, constants.O_RDONLY), ending)
  } catch (error) {
    throw readError(path, error)
  }
}
