import type {RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import type {Encoder} from '../../record/format.js'
import type {StageLedger} from '../../record/ledger.js'
import type {DartaCommand} from '../../cli/base-command.js'
import type {Destination} from '../split/destination.js'

/** Octets that are worth a write: about what a pipe or socket takes at once, so that readers are woken seldom. */
const WORTH_WRITING = 192 * 1024

/** What one unit has been dealt, on its way through an encoder of its own. */
export interface Lane {
  readonly unit: Destination
  /** Whether nobody takes its records any more. */
  readonly gone: boolean
  /** Takes records, `counted` of which are its own in the account; their octets are not needed after the call. */
  add(batches: readonly RecordBatch[], counted: number): void
  /** Writes what was added, all of it or only what is worth it. */
  move(all: boolean): Promise<void>
  end(): Promise<void>
}

/** Makes an encoder for a reader that knows no Template yet; it takes its blocks from `newBlock` if it can. */
export type NewEncoder = (newBlock: (octets: number) => Uint8Array<ArrayBuffer>) => Encoder

/**
 * @param route the account of the dealing
 * @param returns a unit that has gone may be there again: its keys stay its own
 */
export function createLane(
  command: DartaCommand,
  unit: Destination,
  newEncoder: NewEncoder,
  route: StageLedger,
  returns: boolean,
): Lane {
  const account = unit.account!
  /** Blocks that nobody reads or writes: at some hundred million octets a second new ones cost more than copying. */
  const free: Uint8Array<ArrayBuffer>[] = []
  let used: Uint8Array<ArrayBuffer>[] = []
  const newBlock = (octets: number): Uint8Array<ArrayBuffer> => {
    const block = free.pop() ?? new Uint8Array(octets)
    used.push(block)
    return block
  }
  let encoder = newEncoder(newBlock)
  let chunks: Uint8Array[] = []
  let count = 0
  let octets = 0
  let gone = false

  async function put(records: number): Promise<void> {
    const written = chunks
    chunks = []
    const fate = gone ? 'gone' : await unit.write(written)
    route.out += records
    account.in += records
    if (fate === 'taken') account.out += records
    else if (records > 0) account.lose('gone', records)
    if (fate === 'again') encoder = newEncoder(newBlock)
    if (fate === 'gone' && !gone && !returns) {
      gone = true
      command.report(new DartaError('DARTA_CHILD', `${unit.name} takes no more records`))
    }
    // All that lay in them has been taken; in the last one the encoder goes on.
    if (used.length > 1) {
      free.push(...used.slice(0, -1))
      used = used.slice(-1)
    }
  }

  async function move(all: boolean): Promise<void> {
    if (octets === 0 || (!all && octets < WORTH_WRITING)) return
    const records = count
    // Flushed, so that the account knows what octets that were not taken stood for.
    chunks.push(...encoder.flush())
    count = 0
    octets = 0
    await put(records)
  }

  return {
    unit,
    get gone() {
      return gone
    },
    add(batches, counted) {
      if (batches.length === 0) return
      chunks.push(...encoder.push(batches))
      for (const {count: records, template} of batches) octets += records * template.minimumOctets
      count += counted
    },
    move,
    async end() {
      await move(true)
      chunks.push(...encoder.end())
      if (chunks.length > 0 && !gone) await put(0)
      await unit.end()
    },
  }
}
