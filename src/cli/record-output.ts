import type {OctetSink} from '../io/octet-sink.js'
import type {IpfixEncoder} from '../ipfix/encoder.js'
import {standardOutput} from '../io/stdio.js'
import {writeFile} from '../io/write-file.js'
import type {RecordBatch} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import type {EncodeContext, Encoder} from '../record/format.js'
import type {Ledger} from '../record/ledger.js'
import type {DartaCommand} from './base-command.js'
import {createBlockPool, type BlockPool} from './block-pool.js'
import {formatByName} from './find-format.js'
import {isTerminal} from './terminal.js'
import type {Compression} from './values.js'

/** How long records may wait in an encoder while nothing follows them. */
export const IDLE_FLUSH_MS = 200

export interface RecordOutputOptions {
  /** Of `-w`. */
  readonly write?: string
  /** Of `-o`. */
  readonly output?: string
  /** What the command writes when neither `-o` nor DARTA_FORMAT says. */
  readonly preferred?: {readonly terminal: string; readonly other: string}
  readonly force?: boolean
  /** Of `-z`. */
  readonly compress?: Compression
  /** Of `-l`. */
  readonly lineBuffered?: boolean
  /** For the encoder: the command's flags about presentation. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * What `common.presentation` says, for `RecordOutputOptions.options`.
 *
 * @param numeric how often -n was given
 */
export function presentationOf(
  flags: Readonly<Record<'time' | 'units' | 'plain' | 'bigint', unknown>>,
  numeric: number,
): Readonly<Record<string, unknown>> {
  const {time, units, plain, bigint} = flags
  return {time, units, plain, numeric, bigint}
}

/** Where records go. */
export interface RecordSink {
  /** Name of the format that is written. */
  readonly format: string
  /**
   * The encoder that records which come now go to, for those who write Messages with it themselves: what they write goes out
   * with the next `write`. Undefined if it is no encoder for that, or what came between these times (milliseconds since 1970)
   * does not all go to it.
   */
  relayEncoder?(fromMs: number, toMs: number): IpfixEncoder | undefined
  /** Resolves when there is room for more. */
  write(batches: readonly RecordBatch[]): Promise<void>
  /** Writes all that is held (SIGUSR2). */
  flush(): Promise<void>
  /** Resolves when all records given so far were written. */
  settle?(): Promise<void>
  /** Resolves when all is where it belongs. */
  end(): Promise<void>
  /** Gives up; no half-written file stays. */
  abort(): Promise<void>
}

/**
 * Opens the output that `-w` and `-o` describe.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openRecordSink(
  command: DartaCommand,
  options: RecordOutputOptions,
): Promise<RecordSink> {
  const {name, binary, newEncoder} = await chooseFormat(options)
  const pool = createBlockPool()
  const encoder = newEncoder(command.ledger, {...options.options, ...pool.options})
  const octets = await openOctetSink(command, options, `-o ${name}`, binary)
  return new EncodingSink(command, name, encoder, octets, options.lineBuffered ?? false, pool)
}

/**
 * The format in which records go out.
 *
 * @throws DartaError DARTA_USAGE
 */
export async function chooseFormat(options: RecordOutputOptions): Promise<WritableFormat> {
  return writableFormat(options.output ?? chosenFormat(isOnTerminal(options), options.preferred))
}

/** A format that records can be written in. */
export interface WritableFormat {
  readonly name: string
  /** Never written on a terminal. */
  readonly binary: boolean
  /** @param options the command's flags about presentation */
  readonly newEncoder: (ledger: Ledger, options?: EncodeContext['options']) => Encoder
}

/** The format that `-o` names so. @throws DartaError DARTA_USAGE */
export async function writableFormat(spec: string): Promise<WritableFormat> {
  const {name, format, argument} = await formatByName(spec, '-o')
  if (format.encoder === undefined) {
    throw new DartaError('DARTA_USAGE', `-o: ${name} can be read but not written`)
  }
  return {
    name,
    binary: format.binary,
    newEncoder: (ledger, options = {}) => format.encoder!({ledger, options, argument}),
  }
}

/**
 * Opens what `-w` names for octets. `what` is written, for people; what is binary does not go to a terminal.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openOctetSink(
  command: DartaCommand,
  options: Pick<RecordOutputOptions, 'write' | 'force' | 'compress'>,
  what: string,
  binary: boolean,
): Promise<OctetSink> {
  const {write, compress} = options
  const compressed = compress !== undefined && compress.codec !== 'none'
  if ((binary || compressed) && isOnTerminal(options)) {
    throw new DartaError(
      'DARTA_USAGE',
      `${compressed ? `-z ${compress.codec}` : what} is binary and standard output is a terminal: pipe it, as in | darta print, or use -w FILE`,
    )
  }
  const closed = (): void => {
    command.outputClosed()
  }
  const sink =
    write === undefined || write === '-'
      ? standardOutput(closed)
      : await writeFile(write, {force: options.force ?? false, closed, stopping: command.stopping})
  return compressSink(sink, compress)
}

/** Compresses what goes to `sink`, if that is wanted. */
export async function compressSink(
  sink: OctetSink,
  compress: Compression | undefined,
): Promise<OctetSink> {
  if (compress === undefined || compress.codec === 'none') return sink
  const {compressTo} = await import('../io/compress.js')
  return compressTo(sink, compress.codec, compress.level)
}

/** The encoder if kernels may write with it. */
export function forRelays(encoder: Encoder): IpfixEncoder | undefined {
  const {relay} = encoder as Partial<IpfixEncoder>
  return relay && (encoder as IpfixEncoder)
}

function isOnTerminal({write}: Pick<RecordOutputOptions, 'write'>): boolean {
  return (write === undefined || write === '-') && isTerminal(1)
}

function chosenFormat(
  onTerminal: boolean,
  preferred: RecordOutputOptions['preferred'] = {terminal: 'table', other: 'ipfix'},
): string {
  if (onTerminal) return preferred.terminal
  return process.env.DARTA_FORMAT || preferred.other
}

class EncodingSink implements RecordSink {
  readonly format: string
  readonly #command: DartaCommand
  readonly #encoder: Encoder
  readonly #octets: OctetSink
  readonly #lineBuffered: boolean
  readonly #pool: BlockPool
  #timer: NodeJS.Timeout | undefined
  /** Writes happen one after another, also when the timer comes between. */
  #last: Promise<void> = Promise.resolve()

  constructor(
    command: DartaCommand,
    format: string,
    encoder: Encoder,
    octets: OctetSink,
    lineBuffered: boolean,
    pool: BlockPool,
  ) {
    this.#command = command
    this.format = format
    this.#encoder = encoder
    this.#octets = octets
    this.#lineBuffered = lineBuffered
    this.#pool = pool
  }

  relayEncoder(): IpfixEncoder | undefined {
    return forRelays(this.#encoder)
  }

  async write(batches: readonly RecordBatch[]): Promise<void> {
    const chunks = this.#encoder.push(batches)
    if (this.#lineBuffered) {
      await this.#put(chunks)
      await this.flush()
      return
    }
    if (this.#command.live) {
      this.#timer ??= setTimeout(() => void this.flush().catch(() => {}), IDLE_FLUSH_MS)
    }
    await this.#put(chunks)
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const chunks = this.#encoder.flush()
    const left = this.#pool.takeLeft()
    await this.#next(async () => {
      await this.#write(chunks, left)
      await this.#octets.flush?.()
    })
  }

  async settle(): Promise<void> {
    await this.flush()
    await this.#next(async () => this.#octets.settle?.())
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#put(this.#encoder.end())
    await this.#octets.end()
  }

  async abort(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#octets.abort()
  }

  async #put(chunks: readonly Uint8Array[]): Promise<void> {
    const left = this.#pool.takeLeft()
    if (chunks.length > 0) await this.#next(() => this.#write(chunks, left))
    else await this.#last
  }

  async #write(
    chunks: readonly Uint8Array[],
    left: ReturnType<BlockPool['takeLeft']>,
  ): Promise<void> {
    await this.#octets.write(chunks)
    if (chunks.length > 0) this.#pool.taken(this.#octets, left)
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work)
    // A flush by the timer has nobody who waits; the next write reports its failure.
    this.#last.catch(() => {})
    return this.#last
  }
}
