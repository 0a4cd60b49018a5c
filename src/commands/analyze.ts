import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type * as Interfaces from '@oclif/core/interfaces'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import type {CommandClass} from '../cli/run-darta.js'
import {writableFormat} from '../cli/record-output.js'
import {textTable} from '../cli/text-table.js'
import {parseDuration} from '../cli/values.js'
import {splitWords} from '../cli/words.js'
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
import {execFlags} from './analyze/exec-flags.js'
import {appFileName, appNames, isPath, loadApp} from './analyze/load-app.js'
import {
  leaveFailing,
  reportFailing,
  streamingProgram,
  windowedProgram,
  type ProgramNeeds,
  type StreamingProgram,
} from './analyze/program-analysis.js'
import type {Program} from './analyze/program-run.js'
import {keyApp} from './route/application.js'
import {engineFlags, openEngine} from './route/open-engine.js'
import {openResults, type ResultSink} from './analyze/results.js'
import {windowingOf} from './analyze/windowing.js'
import {openSelected} from './filter/open-selected.js'

const duration = Flags.custom<number>({parse: async (input) => parseDuration(input)})

/** Of every application. */
const flags = {
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
  static override flags = {...flags, ...execFlags}

  static override variantWords = appNames

  static override async variant(argv: readonly string[]): Promise<CommandClass | undefined> {
    const word = argv.find((w) => !w.startsWith('-'))
    if (word === undefined || asksFor('exec', argv)) return undefined
    // What is deployed at an engine may have any name.
    if (asksFor('engine', argv) && !appNames().includes(word) && !isPath(word)) return undefined
    const app = await loadApp(word)
    const usage = `analyze ${word} [FLAGS]`
    const own: Interfaces.FlagInput = {...appFlags(app), ...flags}
    return class extends Analyze {
      static override summary = `${app.summary}.`
      static override usage = usage
      static override args = {} as typeof Analyze.args
      static override flags = own as typeof Analyze.flags
    }
  }

  protected async execute(): Promise<void> {
    if (asksFor('exec', this.argv)) return this.#program()
    const [word] = this.argv
    if (word === undefined || word.startsWith('-')) return this.#withoutApp()
    if (asksFor('engine', this.argv)) return this.#atEngine(word)
    const app = await loadApp(word)
    const own = appFlags(app)
    const {flags: given, raw} = await this.parse({
      flags: {...flags, ...own},
      baseFlags: DartaCommand.baseFlags,
      args: Analyze.args,
    })
    const analysis = app.prepare(appOptions(app, given), toolbox)
    const style: TableStyle = {
      units: given.plain ? 'none' : (given.units ?? 'si'),
      names: this.occurrences(raw, 'numeric') < 2,
    }
    const windowing = windowingOf(given.window, given.slide, given.lateness)
    // A state takes records in any order; which window is over hangs on the order.
    const source = await openSelected(this, given, undefined, {
      anyOrder: windowing === undefined,
    })
    const sink = await openResults(this, given, analysis, style)
    await this.#analyse(source, analysis, windowing, given['max-memory'] ?? 0, word, sink)
  }

  /** As one of the units of a deployed application, whose flags are those of the deployment. */
  async #atEngine(word: string): Promise<void> {
    const {argv} = this
    const {flags: given} = await this.parse(
      {args: {}, flags, baseFlags: DartaCommand.baseFlags},
      argv.slice(1),
    )
    const name = appFileName(word)
    // Loaded where it is needed: an engine and its codecs take longer than a small file.
    const {deployedApp} = await import('../engine/apps.js')
    const {runUnit, writeResults} = await import('./analyze/unit-of-engine.js')
    const engine = await openEngine(given)
    try {
      if (given.follow) {
        const {output, write, force} = given
        return await writeResults(this, engine, name, {output, write, force})
      }
      const deployed = await deployedApp(engine, name)
      if (isKeyOnly(deployed.words)) {
        throw new DartaError(
          'DARTA_USAGE',
          `${name} is no application of darta's: it is routed by ${deployed.words.join(' ')}; say with --exec what it is`,
        )
      }
      const app = await loadApp(word)
      const {flags: own} = await this.parse({flags: appFlags(app)}, deployed.words.slice(1))
      await this.parse({args: {}, flags, baseFlags: DartaCommand.baseFlags}, argv.slice(1))
      const analysis = app.prepare(appOptions(app, own), toolbox)
      await runUnit(this, engine, deployed, analysis, given['max-memory'] ?? 0)
    } finally {
      await engine.close()
    }
  }

  /** A program in the place of an application. */
  async #program(): Promise<void> {
    const {args, flags: given} = await this.parse(Analyze)
    const words = splitWords(given.exec ?? '')
    if (words.length === 0) throw new DartaError('DARTA_USAGE', '--exec needs a command')
    const name = args.app ?? 'exec'
    const feed = await writableFormat(given.feed ?? 'ipfix')
    let accounts: Pick<Program, 'fed' | 'results'> | undefined
    // Behind those of the inputs and of the unit, in the order of the data.
    const opened = (): NonNullable<typeof accounts> =>
      (accounts ??= {
        fed: this.ledger.stage(`feed ${name}`, 'records'),
        results: this.ledger.stage(`results of ${name}`, 'records'),
      })
    const program: Program = {
      ...{name, words, feed},
      get fed() {
        return opened().fed
      },
      get results() {
        return opened().results
      },
    }
    if (given.engine !== undefined) return this.#programAtEngine(name, program)
    const needs = needsOf(given.key, given.symmetric)
    const windowing = windowingOf(given.window, given.slide, given.lateness)
    const maxOctets = given['max-memory'] ?? 0
    const style: TableStyle = {units: given.plain ? 'none' : (given.units ?? 'si'), names: true}
    const source = await openSelected(this, given)
    if (windowing !== undefined) {
      const analysis = windowedProgram(this, program, needs, reportFailing(this))
      const sink = await openResults(this, given, analysis, style)
      return this.#analyse(source, analysis, windowing, maxOctets, name, sink)
    }
    let sink: ResultSink | undefined
    const analysis = await streamingProgram(this, program, needs, (batches) => sink!.put(batches))
    try {
      sink = await openResults(this, given, analysis, style)
      await this.#analyse(source, analysis, undefined, maxOctets, name, sink, analysis)
    } catch (error) {
      analysis.kill()
      throw error
    }
  }

  /** As one of the units that work for what is routed by a key; what it is, each unit is told by its own command line. */
  async #programAtEngine(name: string, program: Program): Promise<void> {
    const {args, flags: given} = await this.parse(Analyze)
    if (args.app === undefined || given.key !== undefined || given.follow) {
      throw new DartaError(
        'DARTA_USAGE',
        given.follow
          ? '--follow: results are read without --exec'
          : 'at an engine the name comes first, and the key is what route was told: analyze NAME --exec CMD --engine URL',
      )
    }
    const {deployedApp} = await import('../engine/apps.js')
    const {runUnit} = await import('./analyze/unit-of-engine.js')
    const engine = await openEngine(given)
    try {
      const deployed = await deployedApp(engine, name)
      if (!isKeyOnly(deployed.words)) {
        throw new DartaError(
          'DARTA_USAGE',
          `${name} is an application of darta's (${deployed.words.join(' ')}); --exec works for what route has a --key of`,
        )
      }
      const {flags: own} = await this.parse(
        {
          args: {},
          flags: {key: execFlags.key, symmetric: execFlags.symmetric, exec: execFlags.exec},
        },
        [...deployed.words, '--exec', 'of this unit'],
      )
      const needs = needsOf(own.key, own.symmetric)
      const analysis = windowedProgram(this, program, needs, leaveFailing(this))
      await runUnit(this, engine, deployed, analysis, given['max-memory'] ?? 0)
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
    streaming?: StreamingProgram,
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
        await streaming?.drained()
        await sink.write(unit.takeClosed())
        if (this.signal.aborted || streaming?.gone === true) break
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
    const {flags: given} = await this.parse(Analyze)
    if (!given.list) {
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

/** Whether a flag is among the words, before it is known whose flags the others are. */
function asksFor(flag: string, argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv
    .slice(0, end < 0 ? argv.length : end)
    .some((word) => word === `--${flag}` || word.startsWith(`--${flag}=`))
}

/** Whether what is deployed is a key and no application of darta's. */
function isKeyOnly(words: readonly string[]): boolean {
  return words[0]?.startsWith('--') === true
}

/** What `--key` asks for; without it any records. @throws DartaError DARTA_USAGE */
function needsOf(key: string | undefined, symmetric: boolean): ProgramNeeds {
  return key === undefined ? {needs: [], key: undefined} : keyApp(key, symmetric, false)
}
