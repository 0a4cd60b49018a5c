import {DartaError} from '../record/errors.js'
import {isSystemError, systemWords} from './errors.js'
import {pause} from './pause.js'

/** How often a full disk is tried again. */
const RETRY_MS = 1000

/** What to do while there is no room for what has to be written. */
export interface FullDisk {
  /** Told when it begins, and with undefined when there is room again. */
  readonly told: (error: DartaError | undefined) => void
  /** Ends the wait: what has no room then is an error. */
  readonly stopping: AbortSignal
}

/**
 * Calls `write` until it finds room.
 *
 * @param octets how many wait, for people; asked only when there is no room
 * @throws what `write` throws, if that is something else or nobody waits any longer
 */
export async function writeWithRoom<T>(
  path: string,
  octets: () => number,
  {told, stopping}: FullDisk,
  write: () => Promise<T>,
): Promise<T> {
  for (let full = false; ;) {
    try {
      const result = await write()
      if (full) told(undefined)
      return result
    } catch (error) {
      const waits = isSystemError(error) && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
      if (!waits || stopping.aborted) throw error
      if (!full) {
        const words = `${path}: ${systemWords(error)}; ${octets()} octets wait for room`
        told(new DartaError('DARTA_FILE_WRITE', words, undefined, error))
      }
      full = true
    }
    await pause(RETRY_MS, stopping)
  }
}
