import type {DartaCommand} from '../../cli/base-command.js'
import type {TlsCredentials} from '../../io/tls-credentials.js'
import type {RecordStream} from '../../record/batch.js'
import type {Ledger} from '../../record/ledger.js'
import {createAccountingIntake} from './accounting-intake.js'
import {openAccountingJournal} from './accounting-journal.js'
import {answeringProtocols, type AnsweringEndpoint} from './answering.js'
import type {AnsweringServer, OpenProtocol} from './answering-protocol.js'

export interface AccountingOptions {
  /** Of `--journal`. */
  readonly journal: string | undefined
  /** Whether what the output has written is where it belongs. */
  readonly isSafeWhenWritten: boolean
  /** Resolves when the output has written all records. */
  settle(): Promise<void>
  readonly ledger: Ledger
  readonly credentials: TlsCredentials | undefined
  readonly bufferOctets: number
  readonly maxConnections: number
  allows(address: Uint8Array): boolean
}

/** Servers to which clients account, and the records of what they told. */
export interface Accounting {
  readonly records: RecordStream
  /** What has been written so far is in an output that is whole. */
  published(): Promise<void>
  close(): Promise<void>
}

/**
 * Listens for clients that account, and says where.
 *
 * @throws DartaError DARTA_USAGE, DARTA_LISTEN, DARTA_PERMISSION, DARTA_FILE_READ, DARTA_SPILL
 */
export async function openAccounting(
  command: DartaCommand,
  endpoints: readonly AnsweringEndpoint[],
  options: AccountingOptions,
): Promise<Accounting> {
  const {ledger} = options
  const protocols = await answeringProtocols()
  const opened = new Map<string, OpenProtocol | undefined>()
  /** One whose endpoint was named, or of which the journal holds records: others have no account. */
  function protocolOf(name: string): OpenProtocol | undefined {
    if (!opened.has(name)) opened.set(name, protocols.get(name)?.open(ledger))
    return opened.get(name)
  }
  // Before anything is bound: a secret that is absent is a wrong command line.
  const opening = endpoints.map((endpoint) => ({
    protocol: endpoint.protocol,
    open: protocolOf(endpoint.protocol)!.server(endpoint),
  }))
  const path = options.journal
  const journal = path === undefined ? undefined : await openAccountingJournal(path)
  if (path !== undefined && journal !== undefined && journal.pending.length > 0) {
    command.note(`${path}: ${journal.pending.length} requests from before go first`)
  }
  const intake = createAccountingIntake({
    journal,
    account: (protocol) => ledger.stage(protocol, 'records'),
    fieldsOf: (entry) => protocolOf(entry.protocol)?.fieldsOf(entry),
    settle: () => options.settle(),
    isSafeWhenWritten: options.isSafeWhenWritten,
  })
  const servers: AnsweringServer[] = []
  const close = async (): Promise<void> => {
    for (const server of servers) server.close()
    await journal?.close()
  }
  try {
    for (const {protocol, open} of opening) {
      const server = await open({
        intake,
        account: ledger.stage(protocol, 'records'),
        credentials: options.credentials,
        bufferOctets: options.bufferOctets,
        maxConnections: options.maxConnections,
        stopping: command.stopping,
        allows: (address) => options.allows(address),
        note: (text) => command.detail(text),
        say: (text) => command.note(text),
      })
      servers.push(server)
      command.note(`${server.connects === true ? 'connecting to' : 'listening on'} ${server.name}`)
    }
  } catch (error) {
    await close()
    throw error
  }
  const stop = (): void => {
    void Promise.all(servers.map((server) => server.stop())).then(() => intake.stop())
  }
  if (command.stopping.aborted) stop()
  else command.onStop(stop)
  return {records: intake.records, published: () => intake.published(), close}
}
