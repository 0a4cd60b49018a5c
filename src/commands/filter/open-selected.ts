import type {DartaCommand} from '../../cli/base-command.js'
import {openRecords} from '../../cli/record-input.js'
import type {TimeRange} from '../../cli/values.js'
import type {RecordStream} from '../../record/batch.js'
import {selectRecords, selectStage} from './read-filter.js'

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
 * @throws DartaError as `selectRecords` and `openRecords`
 */
export async function openSelected(
  command: DartaCommand,
  flags: SelectionFlags,
  words?: readonly string[],
): Promise<RecordStream> {
  const {filter, 'filter-file': file, 'time-range': timeRange} = flags
  const select = selectRecords({words, filter, file, timeRange}, () =>
    command.ledger.stage('filter', 'records'),
  )
  const records = await openRecords(command, {
    read: flags.read,
    inputFormat: flags['input-format'],
  })
  return select === undefined ? records : selectStage(select)(records, {signal: command.signal})
}
