import {readFileSync} from 'node:fs'
import {readError, spokenName} from '../io/errors.js'
import {inputFiles} from '../io/input-files.js'
import {openInput, type OpenInput} from '../io/open-input.js'
import type {Ending} from '../io/read-descriptor.js'
import type {RecordStream} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import type {DecodeContext, Format} from '../record/format.js'
import {Ledger, type LedgerUnit, type StageLedger} from '../record/ledger.js'
import {InputMissing, type DartaCommand} from './base-command.js'
import {detectFormat, formatByName} from './find-format.js'
import {defaultExport} from './load-module.js'
import {showProgress} from './progress.js'
import {isTerminal} from './terminal.js'

export interface RecordInputOptions {
  /** Of `-r`; `-` and nothing at all are standard input. */
  readonly read?: readonly string[]
  /** Of `--input-format`. */
  readonly inputFormat?: string
  /** See `DecodeContext`. */
  readonly anyOrder?: boolean
  /** See `DecodeContext`. */
  readonly sift?: DecodeContext['sift']
  /** See `DecodeContext`. */
  readonly passing?: boolean
  /** The first input, if the command has opened it already to see what it is. */
  readonly first?: OpenInput
}

/**
 * The names of the inputs, all of which can be opened; a directory stands for the files below it.
 *
 * @throws DartaError DARTA_USAGE when standard input would be a terminal; DARTA_FILE_READ,
 * DARTA_PERMISSION
 */
export async function inputNames(read: readonly string[] | undefined): Promise<string[]> {
  const names = read === undefined || read.length === 0 ? ['-'] : [...read]
  if (names.length === 1 && names[0] === '-' && read?.length !== 1 && isTerminal(0)) {
    throw new InputMissing('standard input is a terminal: give -r FILE or pipe something in')
  }
  if (names.indexOf('-') !== names.lastIndexOf('-')) {
    throw new DartaError('DARTA_USAGE', '-r: standard input can be read only once')
  }
  return names.flatMap((name) => (name === '-' ? [name] : inputFiles(name)))
}

/**
 * Records of the named inputs, one after another. What is damaged is reported and makes the exit
 * code 1, and reading goes on with the next input.
 */
export async function openRecords(
  command: DartaCommand,
  options: RecordInputOptions,
): Promise<RecordStream> {
  const forced =
    options.inputFormat === undefined
      ? undefined
      : await readableFormat(options.inputFormat, '--input-format')
  const names = await inputNames(options.read)
  const {anyOrder, sift, passing} = options
  const context = {ledger: new SharedLedger(command.ledger), anyOrder, sift, passing}
  return readRecords(command, names, forced, context, options.first)
}

type InputContext = Pick<DecodeContext, 'ledger' | 'anyOrder' | 'sift' | 'passing'>

async function* readRecords(
  command: DartaCommand,
  names: readonly string[],
  forced: Format | undefined,
  context: InputContext,
  first?: OpenInput,
): RecordStream {
  yield* readInputs(command, names, (input) => readInput(command, input, forced, context), first)
}

/** What of a command reading inputs needs. */
export interface InputReader extends Ending {
  live: boolean
  readonly quiet: boolean
  /** Reports a fault after which reading goes on. */
  report(error: unknown): void
}

/**
 * Opens inputs one after another and gives what `read` makes of them. What is damaged is reported, and reading goes on with
 * the next one.
 *
 * @param first the first input, if it is open already
 */
export async function* readInputs(
  command: InputReader,
  names: readonly string[],
  read: (input: OpenInput) => RecordStream,
  first?: OpenInput,
): RecordStream {
  for (const [i, name] of names.entries()) {
    if (command.stopping.aborted) return
    try {
      const input = (i === 0 ? first : undefined) ?? (await openInput(name, command))
      command.live = input.progress.size === undefined
      const hide = showProgress(name, input.progress, command.quiet)
      try {
        yield* read(input)
      } finally {
        hide()
        await input.close()
      }
    } catch (error) {
      if (!(error instanceof DartaError)) throw error
      command.report(error)
    }
  }
}

async function* readInput(
  command: DartaCommand,
  input: OpenInput,
  forced: Format | undefined,
  context: InputContext,
): RecordStream {
  if (input.head.length === 0) return
  const format = forced ?? (await detected(input))
  const decoder = format.decoder!({...context, source: input.name})
  for (;;) {
    let next: IteratorResult<Uint8Array, unknown>
    try {
      next = await input.octets.next()
    } catch (error) {
      // The decoder gives what it holds all the same.
      command.report(error)
      break
    }
    if (next.done === true) break
    const batches = decoder.push(next.value)
    if (batches.length > 0) yield batches
    if (decoder.lets === true) input.recycle?.(next.value)
  }
  const batches = decoder.end()
  if (batches.length > 0) yield batches
}

async function detected(input: OpenInput): Promise<Format> {
  const name = await detectFormat(input.head)
  const what = spokenName(input.name, 'standard input')
  if (name === 'pcap' || name === 'pcapng') {
    throw new DartaError(
      'DARTA_FORMAT_UNKNOWN',
      `${what} is a capture (${name}), not records; use darta capture -r`,
    )
  }
  if (name === undefined) {
    const hex = Buffer.from(input.head.subarray(0, 4)).toString('hex')
    throw new DartaError(
      'DARTA_FORMAT_UNKNOWN',
      `${what} begins with ${hex}, which is no format darta knows; --input-format names one`,
      0,
    )
  }
  return readableFormat(name, input.name)
}

async function readableFormat(spec: string, flag: string): Promise<Format> {
  const {name, format, argument} = await formatByName(spec, flag)
  if (format.decoder === undefined) {
    throw new DartaError('DARTA_USAGE', `${flag}: ${name} can be written but not read`)
  }
  if (argument === undefined) return format
  let given: Pick<DecodeContext, 'argument' | 'module'>
  if (format.argumentIsFile === true) {
    try {
      given = {argument: readFileSync(argument, 'utf8')}
    } catch (error) {
      throw readError(argument, error)
    }
  } else if (format.argumentIsModule === true) {
    given = {argument, module: await defaultExport(argument)}
  } else return format
  // What is wrong with it is said before any input is opened.
  format.decoder({ledger: new Ledger(), source: argument, ...given})
  return {...format, decoder: (context) => format.decoder!({...context, ...given})}
}

/**
 * Gives several inputs of one format one account, and all of them their place before the stages that
 * were opened since: accounts stand in the order of the data, but decoders are made when input comes.
 */
export class SharedLedger extends Ledger {
  readonly #target: Ledger
  #place: number

  constructor(target: Ledger) {
    super()
    this.#target = target
    this.#place = target.stages.length
  }

  override stage(name: string, unit: LedgerUnit): StageLedger {
    const known = this.stages.find((stage) => stage.stage === name && stage.unit === unit)
    if (known !== undefined) return known
    const stage = this.#target.stage(name, unit)
    const {stages} = this.#target
    stages.splice(stages.indexOf(stage), 1)
    stages.splice(this.#place++, 0, stage)
    this.stages.push(stage)
    return stage
  }
}
