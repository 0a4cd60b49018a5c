import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {openRecordSink, presentationOf} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import type {RecordStage} from '../record/batch.js'
import {openSelected} from './filter/open-selected.js'

export default class Print extends DartaCommand {
  static override summary = 'Write records as table, NDJSON, CSV or lines of your own.'
  static override description =
    'Reads IPFIX or NDJSON, from files and pipes, compressed or not. The format is table unless -o or DARTA_FORMAT ' +
    'says otherwise: table, long, wide and raw are for people, ndjson and ipfix keep everything, csv and tsv have ' +
    "chosen columns, and fmt: lines like 'fmt:%ts %sap %dap %byt %{flowEndReason}'."
  static override examples = [
    '<%= config.bin %> print -r lan.ipfix',
    '<%= config.bin %> capture -r lan.pcap | <%= config.bin %> print -o ndjson',
    "<%= config.bin %> print -r lan.ipfix -o 'fmt:%ts %sap %dap %byt'",
    '<%= config.bin %> print -r lan.ipfix -o long -c 20 -N --time local',
    "<%= config.bin %> print -r lan.ipfix 'proto tcp and dst port 443'",
  ]
  static override args = {
    expression: common.expression('Only records that match; see darta-filter(1) for the language.'),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    'line-buffered': common.lineBuffered,
    count: common.count,
    order: {
      ...common.order,
      summary:
        'In this order, as of darta sort: tstart, bytes, srcip,dstport …; -c N is its first N.',
    },
    ...common.recordFilter,
    ...common.presentation,
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Print)
    const order = flags.order === undefined ? undefined : await this.#sort(flags.order, flags.count)
    const source = await openSelected(this, flags, this.operands(raw))
    const sink = await openRecordSink(this, {
      write: flags.write,
      output: flags.output,
      preferred: {terminal: 'table', other: 'table'},
      force: flags.force,
      compress: flags.compress,
      lineBuffered: flags['line-buffered'],
      options: presentationOf(flags, this.occurrences(raw, 'numeric')),
    })
    const limit = flags.count === undefined ? [] : [limitRecords(flags.count)]
    await runPipeline(this, source, order === undefined ? limit : [order], sink)
  }

  /** @throws DartaError DARTA_USAGE */
  async #sort(order: string, most: number | undefined): Promise<RecordStage> {
    // Loaded where it is needed: printing is the usual case.
    const {sortOf} = await import('./sort/sort-of.js')
    return sortOf(this, {order, most})
  }
}
