import type {SessionElements} from '../registry/lookup.js'
import type {HeldSet} from './held-sets.js'
import type {Damage} from './message-stream.js'
import type {UnreadSets} from './sequence.js'
import type {SessionTemplates, TemplatePool} from './template-store.js'
import type {HeaderColumns, MessageContext} from '../record/batch.js'
import type {StageLedger} from '../record/ledger.js'
import type {Template} from '../record/template.js'

/** What happened to a Template, for those who report it. */
export type TemplateEvent =
  | 'new'
  /** Announced again unchanged. */
  | 'refreshed'
  /** Another Template under an ID in use. */
  | 'redefined'
  | 'withdrawn'
  /** Forgotten for lack of room. */
  | 'evicted'

/** Told of what does not show in the batches. */
export interface SessionObserver {
  template?(event: TemplateEvent, template: Template, message: MessageContext | undefined): void
  /** A Data Set for which no Template is known (yet); `octets` with its header. */
  unreadSet?(setId: number, octets: number, message: MessageContext): void
  damage?(damage: Damage): void
  /** A Message that was read without fault, before its batches are handed over. */
  message?(message: MessageContext): void
}

/** What all sessions of a Collecting Process have in common. */
export interface Process {
  readonly pool: TemplatePool
  readonly messages: StageLedger
  readonly records: StageLedger
  readonly observer: SessionObserver | undefined
  /** Files, pipes and TCP, not UDP. */
  readonly reliable: boolean
  /** Seconds; 0: Templates stay. */
  readonly templateLifetime: number
  readonly work: MessageWork
  /** Of sessions that have learned nothing. */
  readonly elements: SessionElements
  /** What sequence numbers count. */
  readonly counts: 'records' | 'messages'
}

/** What has been done of the Message at hand and may have to be taken back. */
export interface MessageWork {
  /** Undoes changes of Templates and elements, last one first. */
  undo: (() => void)[]
  /** Slots of the Templates it brought. */
  arrived: number[]
  /** Its Data Sets without Template. */
  unread: UnreadSets | undefined
  /** Its records that lack a direction. */
  refused: number
}

/** One Transport Session. Kept small: a Collecting Process has tens of thousands. */
export interface SessionState extends SessionTemplates {
  readonly process: Process
  readonly source: string | undefined
  /** Of the Exporter, 4 or 16 octets. */
  readonly address: Uint8Array | undefined
  /** Of the Message at hand; see `MessageContext`. */
  receivedMs: number | undefined
  columns: HeaderColumns | undefined
  /** Shared by all sessions until this one learns an element. */
  elements: SessionElements
  held: HeldSet[]
  heldOctets: number
}
