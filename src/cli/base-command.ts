import {Command} from '@oclif/core/command'
import * as Flags from '@oclif/core/flags'
import type * as Interfaces from '@oclif/core/interfaces'
import {filesOfRange} from '../io/input-files.js'
import {DartaError} from '../record/errors.js'
import {Ledger, type StageLedger} from '../record/ledger.js'
import {isClosedPipe, OutputClosed, writeError} from '../io/errors.js'
import type {FullDisk} from '../io/full-disk.js'
import {writeAllSync} from '../io/standard-streams.js'
import {removeTemporaries} from '../io/temporaries.js'
import type {CommandClass} from './run-darta.js'
import {useNativeKernels} from './native-kernels.js'
import {isTerminal, writeWords} from './terminal.js'

/** 128 + SIGPIPE: what a shell shows for a peer written in C. */
const EXIT_PIPE = 141

/** What oclif's parser says of each word of the command line, in the user's order. */
type RawToken = Awaited<ReturnType<Command['parse']>>['raw'][number]

interface CommonFlags {
  quiet?: boolean
  json?: boolean
  metrics?: string
  'strict-loss'?: boolean
}

/**
 * What every command has: common flags, the ledger, signals, exit codes. A command defines `execute`
 * and reads `this.parse(TheCommand)` there.
 *
 * Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but something was lost and --strict-loss was
 * given; 4 permission; 141 the reader of the output went away; 130, 143 a second SIGINT, SIGTERM.
 */
export abstract class DartaCommand extends Command {
  static override baseFlags: Interfaces.FlagInput = {
    quiet: Flags.boolean({
      char: 'q',
      helpGroup: 'common',
      summary: 'Say nothing on standard error unless something failed or was lost.',
    }),
    verbose: Flags.boolean({
      char: 'v',
      helpGroup: 'common',
      summary: 'Say more on standard error; -vv says still more.',
    }),
    json: Flags.boolean({
      helpGroup: 'common',
      summary: 'Write errors and counters on standard error as JSON, one object a line.',
    }),
    metrics: Flags.string({
      helpGroup: 'common',
      helpValue: '[HOST:]PORT',
      summary:
        'Serve the counters at /metrics for Prometheus, to this machine unless HOST says otherwise; unix:PATH is a socket.',
    }),
    'strict-loss': Flags.boolean({
      helpGroup: 'common',
      summary: 'End with status 3 if anything was lost or damaged.',
    }),
  }

  /**
   * The command as it is with these words behind its name, where flags hang on them: `analyze top` has those
   * of the application. Undefined: as it is.
   */
  static variant?: (argv: readonly string[]) => Promise<CommandClass | undefined>

  /** Words that have a variant, for the manual. */
  static variantWords?: () => readonly string[]

  /** Each stage opens its account here with `this.ledger.stage(name, unit)`, in the order of the data. */
  readonly ledger = new Ledger()
  /** As the user typed it: `capture`. */
  get name(): string {
    return this.id ?? ''
  }

  /** 0, 1 for -v, 2 for -vv. */
  verbosity = 0

  /**
   * Whether records may come at any time, so that outputs must not hold them for long. False while
   * files are read: the same files give the same octets, however fast the machine is.
   */
  live = true

  readonly #abort = new AbortController()
  readonly #stop = new AbortController()
  readonly #stopHooks: (() => void)[] = []
  #hangUp: (() => void) | undefined
  #flush: (() => void) | undefined
  #common: CommonFlags = {}
  #exitCode = 0
  #metrics: {close(): void} | undefined

  /** Aborted when nothing more can be written, because the reader went away: all work is in vain. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Aborted by the first SIGINT or SIGTERM, and with `signal`: sources end, stages flush. */
  get stopping(): AbortSignal {
    return this.#stop.signal
  }

  get quiet(): boolean {
    return this.#common.quiet === true
  }

  /** The command's work. What it throws decides the exit code. */
  protected abstract execute(): Promise<void>

  /** Calls `fn` once, at the first SIGINT or SIGTERM. */
  onStop(fn: () => void): void {
    this.#stopHooks.push(fn)
  }

  /** What SIGHUP does, where it makes sense: reopen outputs, read a file again. */
  onHangUp(fn: () => void): void {
    this.#hangUp = fn
  }

  /** What SIGUSR2 does: write all that is held, begin a new output file. */
  onFlush(fn: () => void): void {
    this.#flush = fn
  }

  /** A line for people on standard error, unless -q. */
  note(text: string): void {
    if (!this.quiet) this.#say(text, {message: text})
  }

  /** A full disk is waited for, said once, until the command has to stop. */
  fullDisk(): FullDisk {
    const told = (error: DartaError | undefined): void => {
      this.note(error?.message ?? 'there is room on the disk again')
    }
    return {told, stopping: this.stopping}
  }

  /** A line for people on standard error with -v (`level` 1) or -vv (2). */
  detail(text: string, level = 1): void {
    if (this.verbosity >= level) this.#say(text, {message: text})
  }

  /**
   * Writes words that are the command's result to standard output, all of them, before it returns.
   * Records go through a sink instead.
   */
  print(text: string): void {
    try {
      writeAllSync(1, Buffer.from(text))
    } catch (error) {
      throw isClosedPipe(error) ? this.outputClosed() : writeError('standard output', error)
    }
  }

  /** The exit code that a fault makes; a command may have its own, as diff(1) has for trouble. */
  protected exitCodeFor(error: DartaError): number {
    return exitCodeOf(error)
  }

  /** The exit status unless something fails: of commands whose answer it is, as grep's and diff's. */
  protected answer(code: number): void {
    this.#exitCode ||= code
  }

  /** Reports a fault after which the work goes on; the exit status will not be 0. */
  report(error: unknown): void {
    // Whoever read the output has gone: what fails from then on fails because of it.
    if (this.signal.aborted) return
    const fault = asDartaError(error)
    this.#exitCode ||= this.exitCodeFor(fault)
    const {code, message, offset} = fault
    const at = offset === undefined ? '' : `, octet ${offset}`
    this.#say(`${message} (${code}${at})`, {code, message, offset})
    if (this.verbosity > 1) this.#say(fault.stack ?? '', {stack: fault.stack})
  }

  /** One line on standard error: words, or with --json the same for programs. */
  #say(words: string, object: Record<string, unknown>): void {
    const json = this.#common.json ?? this.#jsonAsked()
    writeWords(json ? `${JSON.stringify(object)}\n` : `darta ${this.name}: ${words}\n`)
  }

  /** Ends the sources, as a first SIGINT does. */
  stop(): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    for (const fn of this.#stopHooks) fn()
  }

  /** Bare arguments as the user ordered them; oclif's own `argv` mixes up repeated words. */
  operands(raw: readonly RawToken[]): string[] {
    return raw.filter((token) => token.type === 'arg').map((token) => token.input)
  }

  /** How often a flag was given: 2 for `-nn`. */
  occurrences(raw: readonly RawToken[], flag: string): number {
    return raw.filter((token) => token.type === 'flag' && token.flag === flag).length
  }

  protected override async parse<
    F extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    B extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    A extends Interfaces.OutputArgs<Interfaces.ArgInput>,
  >(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    try {
      const output = await super.parse<F, B, A>(options, argv)
      this.#common = output.flags
      await readNames(this, output.flags)
      this.verbosity = this.occurrences(output.raw, 'verbose')
      if (this.#common.metrics !== undefined) await this.#serveMetrics(this.#common.metrics)
      return output
    } catch (error) {
      throw usageError(error)
    }
  }

  async #serveMetrics(address: string): Promise<void> {
    // Loaded where it is needed: node:http takes longer than a small file.
    const {parseMetricsAddress, serveMetrics} = await import('./metrics.js')
    const server = await serveMetrics(parseMetricsAddress(address), this.name, this.ledger)
    this.#metrics = server
    this.note(`metrics on ${server.name}`)
  }

  /** Runs `execute` and never throws: faults become words on standard error and an exit code. */
  override async run(): Promise<void> {
    this.#listen()
    try {
      useNativeKernels()
      await this.execute()
    } catch (error) {
      if (error instanceof InputMissing) await this.#showUsage()
      if (!(error instanceof OutputClosed)) this.report(error)
    }
    this.#metrics?.close()
    if (this.signal.aborted) this.#exitCode = EXIT_PIPE
    else this.#account()
    process.exitCode = this.#exitCode
  }

  async #showUsage(): Promise<void> {
    const {classHelp} = await import('./help.js')
    writeWords(`${classHelp(this.name, this.constructor as CommandClass)}\n`)
  }

  /** The ledger's last word, and what it means for the exit code. */
  #account(): void {
    const lost = this.ledger.totalLost()
    for (const stage of this.ledger.stages) {
      const faulty = stage.lost.size > 0 || stage.missing.size > 0
      if (!this.quiet || faulty) this.#tell(stage)
    }
    if (this.#exitCode === 0 && lost > 0 && this.#common['strict-loss']) this.#exitCode = 3
  }

  #tell(account: StageLedger): void {
    // First: it brings the account up to date.
    const line = account.line()
    const {stage, unit, in: taken, out, skipped, lost, missing, noted, firstOffset} = account
    const reasons = Object.fromEntries(
      Object.entries({skipped, lost, missing, noted, firstOffset})
        .filter(([, counts]) => counts.size > 0)
        .map(([name, counts]) => [name, Object.fromEntries(counts)]),
    )
    this.#say(line, {stage, unit, in: taken, out, ...reasons})
  }

  #jsonAsked(): boolean {
    const end = this.argv.indexOf('--')
    return (end === -1 ? this.argv : this.argv.slice(0, end)).includes('--json')
  }

  /** The work is in vain: the reader of the output went away. */
  outputClosed(): OutputClosed {
    const error = new OutputClosed()
    this.#abort.abort(error)
    this.stop()
    return error
  }

  /** Signals are listened to until the process ends; its last moments need their counters too. */
  #listen(): void {
    // Asked now: after a hang-up the descriptor is no terminal any more.
    const onTerminal = isTerminal(0) || isTerminal(1)
    process.on('SIGINT', () => this.#end('SIGINT'))
    process.on('SIGTERM', () => this.#end('SIGTERM'))
    process.on('SIGHUP', () => (onTerminal ? this.#end('SIGHUP') : this.#hangUp?.()))
    const account = (): void => {
      for (const stage of this.ledger.stages) this.#tell(stage)
    }
    process.on('SIGUSR1', account)
    // BSD's Ctrl-T; elsewhere no signal has this name, and nothing ever calls.
    process.on('SIGINFO', account)
    process.on('SIGUSR2', () => this.#flush?.())
    process.on('uncaughtException', (error) => {
      this.report(error)
      process.exit(this.#exitCode)
    })
  }

  #end(signal: NodeJS.Signals): void {
    if (!this.stopping.aborted) {
      this.stop()
      return
    }
    // Dying of the signal itself tells a shell loop to stop too; an exit code would not.
    removeTemporaries()
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  }
}

/** Wrong usage for which the user gets the help page: nothing says where input comes from. */
export class InputMissing extends DartaError {
  constructor(message: string) {
    super('DARTA_USAGE', message)
  }
}

/** Puts the files of -R, and with --xargs the names on standard input, behind those of -r. @throws DartaError */
async function readNames(command: DartaCommand, flags: Record<string, unknown>): Promise<void> {
  const {xargs, 'read-range': ranges} = flags as {xargs?: boolean; 'read-range'?: string[]}
  if (ranges === undefined && xargs !== true) return
  const read = [...((flags.read as string[] | undefined) ?? [])]
  if (ranges !== undefined) read.push(...ranges.flatMap(filesOfRange))
  if (xargs === true) {
    const {namesOnStandardInput} = await import('./xargs.js')
    read.push(...(await namesOnStandardInput(command)))
    if (read.length === 0) throw new DartaError('DARTA_USAGE', 'standard input names no file')
    if (read.includes('-')) {
      throw new DartaError(
        'DARTA_USAGE',
        '--xargs: standard input has names, and is no input itself',
      )
    }
  }
  flags.read = read
}

/** oclif's errors of the command line, and what parsers of values throw, in one line. */
function usageError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  if (error instanceof DartaError && error.code !== 'DARTA_USAGE') return error
  const message = error.message
    .replace(/\nSee more help with --help$/, '')
    .replace(/^Parsing (--\S+) \n\t/, '$1: ')
    .replace(/\s*\n\s*/g, ' ')
    .trim()
  return new DartaError('DARTA_USAGE', `${message}; see --help`, undefined, error)
}

function asDartaError(error: unknown): DartaError {
  if (error instanceof DartaError) return error
  const {code} = error as NodeJS.ErrnoException
  const message = error instanceof Error ? error.message : String(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new DartaError('DARTA_PERMISSION', message, undefined, error)
  }
  const place = error instanceof Error ? ` ${error.stack?.split('\n')[1]?.trim() ?? ''}` : ''
  return new DartaError('DARTA_INTERNAL', `${message}${place}`, undefined, error)
}

function exitCodeOf(error: DartaError): number {
  if (error.code === 'DARTA_USAGE' || error.code === 'DARTA_FILTER_SYNTAX') return 2
  if (error.code === 'DARTA_PERMISSION') return 4
  return 1
}
