import type {TlsCredentials} from '../../io/tls-credentials.js'
import type {FieldValue} from '../../record/field-records.js'
import type {Ledger, StageLedger} from '../../record/ledger.js'
import type {AccountingIntake} from './accounting-intake.js'
import type {JournalEntry} from './accounting-journal.js'
import type {AnsweringEndpoint} from './answering.js'

/** What a server has others do. */
export interface ServerContext {
  readonly intake: Pick<AccountingIntake, 'take' | 'whenRoom'>
  readonly account: StageLedger
  readonly credentials: TlsCredentials | undefined
  readonly bufferOctets: number
  readonly maxConnections: number
  /** Set when the command is stopped. */
  readonly stopping: AbortSignal
  allows(address: Uint8Array): boolean
  /** A detail, for who asks for details. */
  note(text: string): void
  /** What everybody should know; not to be said often. */
  say(text: string): void
}

export interface AnsweringServer {
  /** Where it listens, with the port that was taken, or connects to. */
  readonly name: string
  readonly connects?: boolean
  /** Takes nothing new; what was taken is answered. */
  stop(): Promise<void>
  close(): void
}

/** Opens what listens at an endpoint, or connects to it. @throws DartaError DARTA_LISTEN, DARTA_PERMISSION */
export type OpenServer = (context: ServerContext) => Promise<AnsweringServer>

/** A protocol in which each record is answered when it is safe: default export of each file of `answering`. */
export interface AnsweringProtocol {
  /** What stands in front of `://`, what carries it, and the port that is registered for it. */
  readonly schemes: Readonly<Record<string, readonly ['udp' | 'tcp' | 'tls', number]>>
  /** What may stand behind the question mark: words with a value, or alone. */
  readonly options: Readonly<Record<string, 'value' | 'alone'>>
  /** Opens the accounts that all its servers share. */
  open(ledger: Ledger): OpenProtocol
}

export interface OpenProtocol {
  /** Before anything is bound: what is wrong with the command line. @throws DartaError DARTA_USAGE, DARTA_FILE_READ */
  server(endpoint: AnsweringEndpoint): OpenServer
  /** The fields of a request that stands in a journal; undefined: it cannot be read any more. */
  fieldsOf(entry: JournalEntry): readonly FieldValue[] | undefined
}
