import {constants, openSync, statSync} from 'node:fs'
import {readError} from './errors.js'
import {openPipe} from './open-pipe.js'
import {readDescriptor, type Ending, type OctetInput} from './read-descriptor.js'

/**
 * Opens a file, named pipe or device for reading.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION
 */
export async function readFile(path: string, ending: Ending): Promise<OctetInput> {
  try {
    const fd = statSync(path).isFIFO()
      ? await openPipe(path, constants.O_RDONLY, ending.stopping)
      : openSync(path, constants.O_RDONLY)
    return await readDescriptor(path, fd, ending)
  } catch (error) {
    throw readError(path, error)
  }
}
