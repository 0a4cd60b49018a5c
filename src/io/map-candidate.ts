import {closeSync, openSync, readSync, statSync} from 'node:fs'
import {detectCodec} from './codec.js'
import {readError} from './errors.js'

/**
 * The size of the file if it can be mapped as it is: a regular file that is not empty (those of /proc say so) and not
 * compressed; else undefined.
 *
 * @throws DartaError DARTA_FILE_READ, DARTA_PERMISSION
 */
export function mappableOctets(path: string): number | undefined {
  try {
    const stat = statSync(path)
    if (!stat.isFile() || stat.size === 0) return undefined
    const head = new Uint8Array(4)
    const fd = openSync(path, 'r')
    try {
      const length = readSync(fd, head)
      return detectCodec(head.subarray(0, length)) === undefined ? stat.size : undefined
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw readError(path, error)
  }
}
