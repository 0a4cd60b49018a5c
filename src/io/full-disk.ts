import {DartaError} from '../record/errors.js'
import {isSystemError, systemWords} from './errors.js'

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
 * @param octets that wait, for people
 * @throws what `write` throws, if that is something else or nobody waits any longer
 */
export async function writeWithRoom<T>(
  path: string,
  octets: number,
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
        const words = `${path}: ${systemWords(error)}; ${octets} octets wait for room`
        told(new DartaError('DARTA_FILE_WRITE', words, undefined, error))
      }
      full = true
    }
    await waitFor(RETRY_MS, stopping)
  }
}

function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
