import type {DartaCommand} from '../../cli/base-command.js'
import {openOctetSink, openRecordSink, type RecordOutputOptions} from '../../cli/record-output.js'
import {isTerminal} from '../../cli/terminal.js'
import type {Analysis, TableStyle} from '../../processing/analysis/app.js'
import type {UnitWindow} from '../../processing/analysis/processing-unit.js'
import {utcTime} from '../../processing/analysis/text-table.js'
import type {RecordBatch} from '../../record/batch.js'

/** Where results of windows go; it closes their states. */
export interface ResultSink {
  write(windows: readonly UnitWindow[]): Promise<void>
  /** Records that are results before any window is closed. */
  put(batches: readonly RecordBatch[]): Promise<void>
  end(): Promise<void>
  abort(): Promise<void>
}

type ResultFlags = Pick<RecordOutputOptions, 'write' | 'output' | 'force' | 'compress'>

/** A table for people on a terminal; for programs NDJSON, which people can read as well. */
function formatName({write, output}: ResultFlags): string {
  if (output !== undefined) return output
  const onTerminal = (write === undefined || write === '-') && isTerminal(1)
  return onTerminal ? 'table' : process.env.DARTA_FORMAT || 'ndjson'
}

/**
 * Opens the output of results: records in the format asked for, or the application's own table.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openResults(
  command: DartaCommand,
  flags: ResultFlags,
  analysis: Analysis,
  style: TableStyle,
): Promise<ResultSink> {
  const output = formatName(flags)
  const probe = analysis.createState({maxOctets: 0})
  const hasTable = probe.table !== undefined
  probe.close()
  if (output === 'table' && hasTable) return openTable(command, flags, style)
  const sink = await openRecordSink(command, {...flags, output})
  return {
    async write(windows) {
      for (const window of windows) {
        await window.finish()
        for (const batch of window.results()) await sink.write([batch])
        window.close()
      }
    },
    put: (batches) => sink.write(batches),
    end: () => sink.end(),
    abort: () => sink.abort(),
  }
}

async function openTable(
  command: DartaCommand,
  flags: ResultFlags,
  style: TableStyle,
): Promise<ResultSink> {
  const sink = await openOctetSink(command, flags, '-o table', false)
  const utf8 = new TextEncoder()
  let first = true
  return {
    async write(windows) {
      for (const {window, table, finish, close} of windows) {
        await finish()
        const head =
          window === undefined ? '' : `${utcTime(window.startMs)} to ${utcTime(window.endMs)}\n`
        await sink.write([utf8.encode(`${first ? '' : '\n'}${head}${table!(style)}`)])
        close()
        first = false
      }
    },
    put: () => Promise.reject(new Error('a table is made of windows')),
    end: () => sink.end(),
    abort: () => sink.abort(),
  }
}
