import type {DartaCommand} from '../../cli/base-command.js'
import {openRecords} from '../../cli/record-input.js'
import type {TimeRange} from '../../cli/values.js'
import type {RecordBatch, RecordStage, RecordStream} from '../../record/batch.js'
import type {StageLedger} from '../../record/ledger.js'

/** What the user gave: words of the command line, `-f`, `-F`, `-t`. Together they must all hold. */
export interface FilterSources {
  readonly words?: readonly string[]
  readonly filter?: string
  readonly file?: string
  readonly timeRange?: TimeRange
}

/** Takes batches and gives those records back that pass. */
export type Selection = (batches: readonly RecordBatch[]) => readonly RecordBatch[]

/**
 * What a command other than `filter` puts before its work: the records that match, and Options Records. Undefined: the user
 * asked for no filter.
 *
 * @throws DartaError as `readFilter`
 */
export async function openSelection(
  sources: FilterSources,
  openAccount: () => StageLedger,
): Promise<Selection | undefined> {
  const {words = [], filter, file, timeRange} = sources
  if (words.length === 0 && (filter ?? file ?? timeRange) === undefined) return undefined
  // Loaded where it is needed: the language takes longer than a small file.
  const {selectRecords} = await import('./read-filter.js')
  return selectRecords(sources, openAccount)
}

/** The same as a stage of a pipeline. */
export function selectStage(select: Selection): RecordStage {
  return async function* (source) {
    for await (const batches of source) {
      const passed = select(batches)
      if (passed.length > 0) yield passed
    }
  }
}

/** What the user gave of the common flags that say which records are read. */
export interface SelectionFlags {
  readonly read?: readonly string[]
  readonly 'input-format'?: string
  readonly filter?: string
  readonly 'filter-file'?: string
  readonly 'time-range'?: TimeRange
}

/**
 * Records of the inputs that match what the command line asks for.
 *
 * @param words an expression that is an argument
 * @param how see `DecodeContext`
 * @throws DartaError as `openSelection` and `openRecords`
 */
export async function openSelected(
  command: DartaCommand,
  flags: SelectionFlags,
  words?: readonly string[],
  how: {readonly anyOrder?: boolean; readonly passing?: boolean} = {},
): Promise<RecordStream> {
  const {filter, 'filter-file': file, 'time-range': timeRange} = flags
  const select = await openSelection({words, filter, file, timeRange}, () =>
    command.ledger.stage('filter', 'records'),
  )
  const records = await openRecords(command, {
    read: flags.read,
    inputFormat: flags['input-format'],
    ...how,
  })
  return select === undefined ? records : selectStage(select)(records, {signal: command.signal})
}
