import {closeSync, constants, open, openSync} from 'node:fs'

/**
 * Opens a named pipe, which waits for somebody at its other end, without holding up the process.
 * When `stopping` is aborted, the wait ends as if somebody had opened and closed the other end.
 *
 * @param flags O_RDONLY or O_WRONLY
 */
export async function openPipe(
  path: string,
  flags: number,
  stopping: AbortSignal | undefined,
): Promise<number> {
  const other = flags === constants.O_RDONLY ? constants.O_WRONLY : constants.O_RDONLY
  let retry: NodeJS.Timeout | undefined
  const release = (): void => {
    try {
      closeSync(openSync(path, other | constants.O_NONBLOCK))
    } catch {
      // Nobody waits at this end yet: the thread that opens has not come so far.
    }
    retry = setTimeout(release, RETRY_MS)
  }
  stopping?.addEventListener('abort', release)
  if (stopping?.aborted) release()
  try {
    return await new Promise<number>((resolve, reject) => {
      open(path, flags, (error, fd) => (error === null ? resolve(fd) : reject(error)))
    })
  } finally {
    stopping?.removeEventListener('abort', release)
    clearTimeout(retry)
  }
}

const RETRY_MS = 20
