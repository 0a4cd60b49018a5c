import type {RecordBatch} from './batch.js'
import type {Sift} from './filter-kernel.js'
import type {Ledger} from './ledger.js'

/**
 * Turns octets of a stream or file into batches. Synchronous on purpose: waiting is paid per chunk
 * of input, never per batch.
 */
export interface Decoder {
  /**
   * Takes the next octets, cut anywhere; returns the batches that are complete. The octets are the
   * decoder's from now on: batches may point into them and nobody changes them.
   * Damage is counted in the ledger and skipped, not thrown, where the rest can still be read.
   */
  push(octets: Uint8Array): RecordBatch[]
  /**
   * True: octets that `push` took may be written over once its batches are done with, as nothing else refers to them. Only where
   * `DecodeContext.sift` or `passing` says that they are when the next ones are asked for.
   */
  readonly lets?: boolean
  /** End of input: what was held, and an account of what was cut off. */
  end(): RecordBatch[]
}

/** Turns batches into octets. Arrays it has returned are the receiver's and are never changed. */
export interface Encoder {
  /** Octets to write now, in order; what is not worth writing yet is held. */
  push(batches: readonly RecordBatch[]): Uint8Array[]
  /** Everything held, so that a reader that waits sees it (idle output, `-l`, SIGUSR2). */
  flush(): Uint8Array[]
  /** Everything held and whatever ends the format; nothing follows. */
  end(): Uint8Array[]
}

export interface DecodeContext {
  /** The decoder opens its own account here; several inputs of one format share one. */
  readonly ledger: Ledger
  /** Name of the input for people and for `MessageContext.exporter`; `-` is standard input. */
  readonly source: string
  /**
   * Whoever takes the batches does not mind in which order records of different Templates come, so that there may be fewer
   * and larger ones; records of one Template keep their order.
   */
  readonly anyOrder?: boolean
  /**
   * Whoever takes the batches keeps of them what this filter lets pass, and does not mind if records of several Messages of one export
   * time come as one batch, so that the decoder may leave out the rest; and is done with batches when it asks for the next ones. Asked
   * again for each chunk.
   */
  readonly sift?: () => Sift | undefined
  /** Whoever takes the batches is done with them and their octets when it asks for the next ones. */
  readonly passing?: boolean
  /** What the file holds that `map:FILE` names; of `plugin:FILE` its name. */
  readonly argument?: string
  /** Default export of that file, where it is a module. */
  readonly module?: unknown
}

export interface EncodeContext {
  /** The encoder opens its own account here. */
  readonly ledger: Ledger
  /** What the command's flags say about the output; each encoder takes what it knows. */
  readonly options: Readonly<Record<string, unknown>>
  /** What follows the colon in `fmt:…`. */
  readonly argument?: string
}

/** Default export of each file of src/formats: the file's name is what `-o` and `--input-format` take. */
export interface Format {
  /** One line for `--help` and the man page. */
  readonly summary: string
  /** Never written on a terminal. */
  readonly binary: boolean
  /** Whether what follows its name and a colon is a file, of which the decoder gets the text. */
  readonly argumentIsFile?: boolean
  /** Whether it is a module, of which the decoder gets the default export. */
  readonly argumentIsModule?: boolean
  /** Whether input that begins with `head` (1 to 65536 octets) is of this format. */
  detects?(head: Uint8Array): boolean
  decoder?(context: DecodeContext): Decoder
  encoder?(context: EncodeContext): Encoder
}
