import type {MessageContext, RecordBatch, RecordStream} from '../../record/batch.js'
import type {StageLedger} from '../../record/ledger.js'
import {createFieldRecords, type FieldValue} from '../../record/field-records.js'
import {createRecentRequests} from '../../mediation/recent-requests.js'
import {MOST_IDENTITIES, type AccountingJournal, type JournalEntry} from './accounting-journal.js'

/** Requests that wait for the output at once; more are told to come again. */
const MOST_WAITING = 16384

/** The fields of a request's record, or what gives them when the record is made. */
export type RequestFields = readonly FieldValue[] | (() => readonly FieldValue[])

/** A request and what has to be known of it to answer it. */
interface Taken {
  /** Let go of, with the fields, when its record is made: what is remembered for long is who it was. */
  entry: JournalEntry
  fields: RequestFields
  safe: boolean
  /** Answers that wait until it is safe: of the request, and of its repetitions. */
  readonly answers: (() => void)[]
}

export interface IntakeOptions {
  readonly journal: AccountingJournal | undefined
  /** Where a request is counted. */
  account(protocol: JournalEntry['protocol']): StageLedger
  /** Fields of a request of an earlier process; undefined: it cannot be read any more. */
  fieldsOf(entry: JournalEntry): readonly FieldValue[] | undefined
  /** Resolves when all records given so far were written. */
  settle(): Promise<void>
  /** Whether what was written is where it belongs: a pipe. A file is when it has its name, as `published` tells. */
  readonly isSafeWhenWritten: boolean
}

/** Where requests become records, each of which is safe before it is answered. */
export interface AccountingIntake {
  /**
   * Takes a request. `answer` is called when its record is safe: in the journal, on disk; without a journal when the output
   * has it. A request that is known is answered again, and makes no second record.
   *
   * @returns false if so many wait that this one has to come again
   */
  take(entry: JournalEntry, fields: RequestFields, answer: () => void): boolean
  /** Whether another request can be taken now; else `then` is called when it can be tried again. */
  whenRoom(then: () => void): boolean
  /** Records of all that is taken until `stop`; first those that an earlier process left in its journal. */
  readonly records: RecordStream
  /** What has been written so far is in an output that is whole. */
  published(): Promise<void>
  /** Nothing more will be taken: `records` ends when all is answered. */
  stop(): void
}

export function createAccountingIntake(options: IntakeOptions): AccountingIntake {
  const {journal} = options
  const recent = createRecentRequests<Taken>(MOST_IDENTITIES)
  const records = createFieldRecords()
  let waiting: Taken[] = []
  let stopped = false
  /** Who waits for room. */
  const crowd: (() => void)[] = []
  let wakeUp = (): void => {}
  /** Entries of the journal whose records the output has, and that are not told to be done with. */
  let written = 0
  /** The journal is written by one at a time. */
  let journalling: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const next = journalling.then(step)
    journalling = next.catch(() => {})
    return next
  }

  for (const identity of journal?.done ?? []) recent.add(identity, settled)
  /** Of an earlier process. Repetitions can come before their records are made. */
  const left = (journal?.pending ?? []).map((entry): Taken => {
    return {entry, fields: [], safe: true, answers: []}
  })
  for (const one of left) recent.add(one.entry.identity, one)

  function messageOf({sender, receivedMs}: JournalEntry): MessageContext {
    return {
      exportTime: Math.floor(receivedMs / 1000),
      sequenceNumber: 0,
      observationDomainId: 0,
      offset: 0,
      exporter: sender.name,
      ...(sender.address !== undefined && {
        exporterAddress: new Uint8Array(Buffer.from(sender.address, 'hex')),
      }),
      receivedMs,
    }
  }

  /** Their records, those together that came together. */
  function batchesOf(all: readonly Taken[]): RecordBatch[] {
    const batches: RecordBatch[] = []
    let last: JournalEntry | undefined
    const close = (): void => {
      if (last !== undefined) batches.push(...records.take(messageOf(last)))
    }
    for (const one of all) {
      const {entry, fields} = one
      if (last !== undefined && !cameTogether(last, entry)) close()
      last = entry
      records.add(typeof fields === 'function' ? fields() : fields)
      options.account(entry.protocol).out++
      one.entry = settled.entry
      one.fields = settled.fields
    }
    close()
    return batches
  }

  function makeSafe(all: readonly Taken[]): void {
    for (const one of all) {
      one.safe = true
      for (const answer of one.answers.splice(0)) answer()
    }
  }

  async function published(): Promise<void> {
    const count = written
    written = 0
    if (journal !== undefined) await inTurn(() => journal.settle(count))
  }

  async function* stream(): RecordStream {
    for (const one of left) {
      const {entry} = one
      const account = options.account(entry.protocol)
      account.in++
      account.note('from-journal')
      const fields = options.fieldsOf(entry)
      if (fields === undefined) account.lose('journal')
      else {
        one.fields = fields
        yield batchesOf([one])
      }
      written++
    }
    if (options.isSafeWhenWritten && written > 0) {
      await options.settle()
      await published()
    }
    for (;;) {
      if (waiting.length === 0) {
        if (stopped) return
        await new Promise<void>((resolve) => (wakeUp = resolve))
        continue
      }
      const taken = waiting
      waiting = []
      for (const then of crowd.splice(0)) queueMicrotask(then)
      if (journal !== undefined) {
        await inTurn(() => journal.add(taken.map(({entry}) => entry)))
        makeSafe(taken)
      }
      yield batchesOf(taken)
      // Who asks for more has given these to the output.
      written += taken.length
      if (journal === undefined || options.isSafeWhenWritten) await options.settle()
      if (options.isSafeWhenWritten) await published()
      makeSafe(taken)
    }
  }

  return {
    records: stream(),
    take(entry, fields, answer) {
      const account = options.account(entry.protocol)
      const known = recent.find(entry.identity)
      if (known !== undefined) {
        account.skip('duplicate')
        if (known.safe) answer()
        else known.answers.push(answer)
        return true
      }
      if (stopped || waiting.length >= MOST_WAITING) {
        account.lose(stopped ? 'stopped' : 'busy')
        return false
      }
      const one: Taken = {entry, fields, safe: false, answers: [answer]}
      recent.add(entry.identity, one)
      waiting.push(one)
      wakeUp()
      return true
    },
    whenRoom(then) {
      if (stopped || waiting.length < MOST_WAITING) return true
      crowd.push(then)
      return false
    },
    published,
    stop() {
      stopped = true
      wakeUp()
    },
  }
}

function cameTogether(a: JournalEntry, b: JournalEntry): boolean {
  return (
    a.receivedMs === b.receivedMs &&
    a.sender.name === b.sender.name &&
    a.sender.address === b.sender.address
  )
}

/** Of a request that an earlier process has done with, nothing is needed but that it is safe. */
const settled: Taken = {
  entry: {
    protocol: 'radius',
    identity: {key: ''},
    sender: {name: ''},
    receivedMs: 0,
    octets: new Uint8Array(0),
  },
  fields: [],
  safe: true,
  answers: [],
}
