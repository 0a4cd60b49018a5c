import type {DartaCommand} from '../../cli/base-command.js'
import {createDecoder} from '../../ipfix/decoder.js'
import {createEncoder} from '../../ipfix/encoder.js'
import type {Analysis, AnalysisState, RoutingKey} from '../../processing/analysis/app.js'
import {joinSnapshots, splitSnapshot} from '../../processing/analysis/snapshots.js'
import {recordEnd, recordStart, type MessageContext, type RecordBatch} from '../../record/batch.js'
import {DartaError} from '../../record/errors.js'
import {Ledger} from '../../record/ledger.js'
import {recordsInOrder} from './records-in-order.js'
import {startProgram, type Program, type ProgramRun} from './program-run.js'

/** Which records a program needs, and which of them together. */
export interface ProgramNeeds {
  readonly needs: Analysis['needs']
  readonly key: RoutingKey | undefined
}

const contract = {uses: [], splittable: false}

/**
 * A program as an application that one process feeds as records come, all with one run; its results go to `take` as they come.
 */
export interface StreamingProgram extends Analysis {
  /** It reads no more: nothing is gained by giving it more. */
  readonly gone: boolean
  /** Resolves when there is room for more. */
  drained(): Promise<void>
  kill(): void
}

export async function streamingProgram(
  command: DartaCommand,
  program: Program,
  {needs, key}: ProgramNeeds,
  take: (batches: readonly RecordBatch[]) => Promise<void>,
): Promise<StreamingProgram> {
  let exportTime = 0
  const run = await startProgram(command, program, (batches) =>
    take(batches.map((batch) => inTime(batch, exportTime))),
  )
  const state: AnalysisState = {
    add(batches) {
      for (const {message} of batches) exportTime = Math.max(exportTime, message.exportTime)
      run.feed(batches)
      return batches.reduce((n, {count}) => n + count, 0)
    },
    // What it wrote until it failed has gone on already.
    finish: () => run.end().catch((error: unknown) => command.report(error)),
    merge() {
      throw new Error('a run of a program knows only what it was given itself')
    },
    snapshot: () => new Uint8Array(0),
    results: () => [],
    memoryOctets: () => 0,
    close: () => {},
  }
  return {
    ...contract,
    needs,
    routingKey: key,
    createState: () => state,
    get gone() {
      return run.gone
    },
    drained: () => run.drained(),
    kill: () => run.kill(),
  }
}

/** How often in a row a unit tries what fails before it leaves its work to others. */
const TRIES = 3

/**
 * What becomes of a window whose program fails. Alone, the next window may be better. Among many, the window must not be without its
 * results: the unit begins again at its last checkpoint, and leaves if that does not help, so that another may try.
 */
export type Failing = (error: unknown) => void

export function reportFailing(command: DartaCommand): Failing {
  return (error) => command.report(error)
}

export function leaveFailing(command: DartaCommand): Failing {
  let tries = 0
  return (error) => {
    command.report(error)
    if (++tries >= TRIES) command.stop()
    throw error
  }
}

/**
 * A program as an application of windows: a window's records are held and, when no more come, given to one run of the program, in
 * the order of their time; what it writes are the window's results. So these hang on the records alone. What units with different keys
 * have found is put together, one behind the other.
 */
export function windowedProgram(
  command: DartaCommand,
  program: Program,
  {needs, key}: ProgramNeeds,
  failing: Failing,
): Analysis {
  return {
    ...contract,
    needs,
    routingKey: key,
    createState: ({maxOctets}) => heldState(command, program, maxOctets, failing),
  }
}

function heldState(
  command: DartaCommand,
  program: Program,
  maxOctets: number,
  failing: Failing,
): AnalysisState {
  let records: RecordBatch[] = []
  let results: RecordBatch[] = []
  let octets = 0
  let run: ProgramRun | undefined
  let closed = false

  function hold(into: RecordBatch[], batches: readonly RecordBatch[]): void {
    for (const batch of batches) {
      if (batch.count === 0) continue
      into.push(batch)
      octets += recordEnd(batch, batch.count - 1) - recordStart(batch, 0)
    }
    if (maxOctets > 0 && octets > maxOctets) {
      throw new DartaError(
        'DARTA_MEMORY_LIMIT',
        `the records of a window need more than the ${maxOctets} octets that --max-memory allows`,
      )
    }
  }

  return {
    add(batches) {
      hold(records, batches)
      return batches.reduce((n, {count}) => n + count, 0)
    },
    async finish() {
      if (records.length === 0) return
      const found: RecordBatch[] = []
      run = await startProgram(command, program, async (batches) => hold(found, batches))
      if (closed) run.kill()
      try {
        for (const batches of recordsInOrder(records)) {
          run.feed(batches)
          await run.drained()
        }
        await run.end()
      } catch (error) {
        failing(error)
        // Results that end somewhere are none.
        const {results: account} = program
        const lost = found.reduce((n, {count}) => n + count, 0)
        account.out -= lost
        if (lost > 0) account.lose('of-failed-program', lost)
        found.length = 0
      }
      records = []
      const all = [...found, ...results]
      results = []
      octets = 0
      hold(results, all)
    },
    merge(snapshot) {
      const [held, known] = splitSnapshot(snapshot, 2)
      hold(records, decode(held))
      hold(results, decode(known))
    },
    snapshot: () => joinSnapshots([encode(records), encode(results)]),
    *results({exportTime}: MessageContext) {
      for (const batch of results) yield inTime(batch, exportTime)
    },
    memoryOctets: () => octets,
    close() {
      closed = true
      run?.kill()
      records = []
      results = []
    },
  }
}

/** Results that say no time of their own are of their records'. */
function inTime(batch: RecordBatch, exportTime: number): RecordBatch {
  if (batch.message.exportTime !== 0) return batch
  return {...batch, message: {...batch.message, exportTime}}
}

function encode(batches: readonly RecordBatch[]): Uint8Array {
  if (batches.length === 0) return new Uint8Array(0)
  const encoder = createEncoder({ledger: new Ledger()})
  return Buffer.concat([...encoder.push(batches), ...encoder.end()])
}

function decode(octets: Uint8Array): RecordBatch[] {
  const decoder = createDecoder({ledger: new Ledger(), source: 'engine'})
  return [...decoder.push(octets), ...decoder.end()].filter(
    ({template}) => template.scopeCount === 0,
  )
}
