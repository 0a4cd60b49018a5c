import type {Meter, MeterOutput} from './meter.js'

/** A capture as octets, decompressed; what the command hands to a backend that reads files. */
export interface CaptureInput {
  /** Read once, to its end or until the command is told to stop. */
  readonly octets: AsyncIterable<Uint8Array>
  /** It can be mapped as it is: a regular file, not compressed. */
  readonly path?: string
}

/**
 * Where packets come from. Each file of src/metering/backends is one; its name is what the command line takes.
 * A backend moves packets into the meter and its full buffers out, and gives the event loop a turn between.
 */
export interface CaptureBackend<Source> {
  /** One line for `--help`. */
  readonly summary: string
  /**
   * Runs until the source ends, the meter is full or `stopping` is aborted. Flows stay live: call `finish` afterwards.
   *
   * @throws DartaError of the meter or the source; the next source can be captured all the same
   */
  capture(
    meter: Meter,
    source: Source,
    context: {readonly stopping: AbortSignal},
  ): AsyncIterable<readonly MeterOutput[]>
}
