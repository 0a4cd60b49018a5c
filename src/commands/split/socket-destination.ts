import type {DartaCommand} from '../../cli/base-command.js'
import {connectSocket, type SocketSink} from '../../io/connect-socket.js'
import {OutputClosed} from '../../io/errors.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import {DartaError} from '../../record/errors.js'
import type {LedgerUnit} from '../../record/ledger.js'
import type {Destination, Fate} from './destination.js'

/** The least time between two attempts to connect again, in milliseconds. */
const RETRY_MS = 1000

/**
 * A stream socket. Who listens must be there at the start; what it does not take when it has gone is lost and counted.
 * With `restart` it is connected to again.
 */
export async function socketDestination(
  command: DartaCommand,
  url: string,
  restart: boolean,
  unit: LedgerUnit,
  credentials?: TlsCredentials,
): Promise<Destination> {
  let sink: SocketSink | undefined = await connectSocket(url, command.stopping, credentials)
  const account = command.ledger.stage(url, unit)
  let retryAt = 0

  async function reconnect(): Promise<Fate> {
    if (!restart || command.stopping.aborted || performance.now() < retryAt) return 'gone'
    retryAt = performance.now() + RETRY_MS
    try {
      sink = await connectSocket(url, command.stopping, credentials)
    } catch (error) {
      if (error instanceof DartaError) return 'gone'
      throw error
    }
    account.note('connected-again')
    return 'again'
  }

  function lost(error: unknown): void {
    void sink?.abort()
    sink = undefined
    const words = error instanceof DartaError ? error.message : `${url} went away`
    command.report(new DartaError('DARTA_FILE_WRITE', words))
  }

  return {
    name: url,
    account,
    live: true,
    async write(chunks) {
      if (sink === undefined) return reconnect()
      try {
        // Also without octets: it may have gone since the last ones.
        if (sink.closed) throw new OutputClosed()
        await sink.write(chunks)
        return 'taken'
      } catch (error) {
        lost(error)
        return reconnect()
      }
    },
    async next() {
      throw new DartaError('DARTA_INTERNAL', 'a socket has no files that could be changed')
    },
    async end() {
      try {
        await sink?.end()
      } catch (error) {
        lost(error)
      }
    },
    async abort() {
      await sink?.abort()
    },
  }
}
