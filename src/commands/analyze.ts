import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import type {CommandClass} from '../cli/run-darta.js'
import {textTable} from '../cli/text-table.js'
import {parseDuration} from '../cli/values.js'
import type {Analysis, TableStyle} from '../processing/analysis/app.js'
import {
  createProcessingUnit,
  type ProcessingUnit,
  type Windowing,
} from '../processing/analysis/processing-unit.js'
import {toolbox} from '../processing/analysis/toolbox.js'
import {DartaError} from '../record/errors.js'
import type {RecordStream} from '../record/batch.js'
import {appFlags, appOptions} from './analyze/app-flags.js'
import {appFileName, appNames, loadApp} from './analyze/load-app.js'
import {engineFlags, openEngine} from './route/open-engine.js'
import {openResults, type ResultSink} from './analyze/results.js'
import {windowingOf} from './analyze/windowing.js'
import {openSelected} from './filter/open-selected.js'

const duration = Flags.custom<number>({parse: async (input) => parseDuration(input)})

export default class Analyze extends DartaCommand {
  static override summary = 'Run a traffic analysis application on records, as a Processing Unit.'
  static override description =
    'The application comes first; its own flags are those that analyze APP --help shows. Records that lack what it needs are ' +
    'counted as not-applicable. Results go to a terminal as a table, elsewhere as NDJSON, and with -o as any format of records, ' +
    'so that the next command can read them.\n\n' +
    'With --window, there is a result for each window of event time (the end of a Flow). A window is closed when records have ' +
    'reached its end and --lateness more; what comes for it later is lost as late. SIGINT ends the input: results so far are written.'
  static override examples = [
    '<%= config.bin %> analyze top -r lan.ipfix',
    '<%= config.bin %> analyze top -r lan.ipfix -s srcip,dstport/flows -s src4/24/octets -k 20',
    '<%= config.bin %> capture -r lan.pcap | <%= config.bin %> analyze matrix --symmetric',
    '<%= config.bin %> analyze protocols -r lan.ipfix --window 5m -o csv',
    '<%= config.bin %> analyze --list',
  ]
  static override args = {
    app: Args.string({
      ignoreStdin: true,
      description: 'Name of an application, or ./FILE.js with one as its default export.',
    }),
  }
  static override flags = {
    list: Flags.boolean({summary: 'Write the names of the applications and what they do.'}),
    ...common.recordInput,
    write: common.write,
    output: {
      ...common.output,
      summary:
        'Output format; without it table on a terminal, else ndjson or what DARTA_FORMAT says.',
    },
    force: common.force,
    compress: common.compress,
    window: duration({
      helpValue: 'DURATION',
      summary: 'A result for each window of event time this long, like 5m; else one of all input.',
    }),
    slide: duration({
      helpValue: 'DURATION',
      dependsOn: ['window'],
      summary: 'A window begins each DURATION; shorter than the window they overlap.',
    }),
    lateness: duration({
      helpValue: 'DURATION',
      dependsOn: ['window'],
      summary: 'How long a window waits for late records after its end; 5m unless said otherwise.',
    }),
    'max-memory': {
      ...common.maxMemory,
      summary: 'Most memory for what the application has to remember; beyond, the command fails.',
    },
    ...common.recordFilter,
    'time-range': common.timeRange,
    ...engineFlags,
    follow: Flags.boolean({
      dependsOn: ['engine'],
      summary:
        'Write the results that units at the engine have found, each window once, and do no work.',
    }),
    numeric: common.numeric,
    plain: common.plain,
    units: common.units,
  }

  static override variantWords = appNames

  static override async variant(argv: readonly string[]): Promise<CommandClass | undefined> {
    const word = argv.find((w) => !w.startsWith('-'))
    if (word === undefined) return undefined
    const app = await loadApp(word)
    const usage = `analyze ${word} [FLAGS]`
    return class extends Analyze {
      static override summary = `${app.summary}.`
      static override usage = usage
      static override args = {} as typeof Analyze.args
      static override flags = {...appFlags(app), ...Analyze.flags}
    }
  }

  protected async execute(): Promise<void> {
    const [word] = this.argv
    if (word === undefined || word.startsWith('-')) return this.#withoutApp()
    const app = await loadApp(word)
    const own = appFlags(app)
    const {flags, raw} = await this.parse({
      flags: {...Analyze.flags, ...own},
      baseFlags: DartaCommand.baseFlags,
      args: Analyze.args,
    })
    if (flags.engine !== undefined) return this.#atEngine(word)
    const analysis = app.prepare(appOptions(app, flags), toolbox)
    const style: TableStyle = {
      units: flags.plain ? 'none' : (flags.units ?? 'si'),
      names: this.occurrences(raw, 'numeric') < 2,
    }
    const windowing = windowingOf(flags.window, flags.slide, flags.lateness)
    const source = await openSelected(this, flags)
    const sink = await openResults(this, flags, analysis, style)
    await this.#analyse(source, analysis, windowing, flags['max-memory'] ?? 0, word, sink)
  }

  /** As one of the units of a deployed application, whose flags are those of the deployment. */
  async #atEngine(word: string): Promise<void> {
    const {argv} = this
    const {flags} = await this.parse(
      {args: {}, flags: Analyze.flags, baseFlags: DartaCommand.baseFlags},
      argv.slice(1),
    )
    const name = appFileName(word)
    // Loaded where it is needed: an engine and its codecs take longer than a small file.
    const {deployedApp} = await import('../engine/apps.js')
    const {runUnit, writeResults} = await import('./analyze/unit-of-engine.js')
    const engine = await openEngine(flags)
    try {
      if (flags.follow) {
        const {output, write, force} = flags
        return await writeResults(this, engine, name, {output, write, force})
      }
      const deployed = await deployedApp(engine, name)
      const app = await loadApp(word)
      const {flags: own} = await this.parse({flags: appFlags(app)}, deployed.words.slice(1))
      await this.parse(
        {args: {}, flags: Analyze.flags, baseFlags: DartaCommand.baseFlags},
        argv.slice(1),
      )
      const analysis = app.prepare(appOptions(app, own), toolbox)
      await runUnit(this, engine, deployed, analysis, flags['max-memory'] ?? 0)
    } finally {
      await engine.close()
    }
  }

  async #analyse(
    source: RecordStream,
    analysis: Analysis,
    windowing: Windowing | undefined,
    maxOctets: number,
    name: string,
    sink: ResultSink,
  ): Promise<void> {
    let unit: ProcessingUnit | undefined
    // Its account comes behind those of the inputs, which open theirs when they are read.
    const open = (): ProcessingUnit =>
      createProcessingUnit(analysis, {
        windowing,
        maxOctets,
        ledger: this.ledger.stage(`analyze ${name}`, 'records'),
      })
    try {
      for await (const batches of source) {
        unit ??= open()
        unit.add(batches)
        await sink.write(unit.takeClosed())
        if (this.signal.aborted) break
      }
      unit ??= open()
      await sink.write(unit.finish())
      await sink.end()
    } catch (error) {
      await sink.abort()
      throw error
    }
  }

  async #withoutApp(): Promise<void> {
    const {flags} = await this.parse(Analyze)
    if (!flags.list) {
      throw new DartaError(
        'DARTA_USAGE',
        `the application comes first: ${appNames().join(', ')}, or ./FILE.js; see --help`,
      )
    }
    const rows: string[][] = []
    for (const name of appNames()) rows.push([name, (await loadApp(name)).summary])
    this.print(textTable(['APPLICATION', 'SUMMARY'], rows))
  }
}
