import type {DartaCommand} from '../../cli/base-command.js'
import {
  chooseFormat,
  openOctetSink,
  openRecordSink,
  type RecordOutputOptions,
  type RecordSink,
} from '../../cli/record-output.js'
import {formatByName} from '../../cli/find-format.js'
import type {OctetSink} from '../../io/octet-sink.js'
import type {MeterCounters, MeterOptions, MeterOutput} from '../../metering/meter.js'
import type {RecordBatch} from '../../record/batch.js'
import type {Landmark} from '../../metering/turn-counter.js'
import type {Decoder} from '../../record/format.js'
import {Ledger} from '../../record/ledger.js'
import {createExportingProcess, type ExportingProcess} from './exporting-process.js'
import type {LiveReport} from './process-reports.js'
import type {SelectorReport} from './selection.js'

/** What takes a meter's buffers to where the user wants them. */
export interface MeterExporter {
  /** Resolves when there is room for more. The buffers are the exporter's from now on. */
  write(outputs: readonly MeterOutput[]): Promise<void>
  /** As `write`, and everything held on the way goes out too. */
  flush(outputs: readonly MeterOutput[]): Promise<void>
  /** Says where a node was in its count when certain packets came; nothing where packets are written as they are. */
  landmarks?(landmarks: readonly Landmark[]): Promise<void>
  /** Says what was counted so far; nothing where packets are written as they are. */
  report?(counters: MeterCounters, live: LiveReport): Promise<void>
  /** Resolves when all buffers given so far were written. */
  settle(): Promise<void>
  /** Nothing follows: writes what is left to say and resolves when all is where it belongs. */
  end(counters: MeterCounters, live?: LiveReport): Promise<void>
  /** Gives up; no half-written file stays. */
  abort(): Promise<void>
}

/**
 * Opens the output that `-w`, `-o` and `--emit` describe. IPFIX goes out in the meter's own buffers; all other formats
 * get the same Messages decoded, so that they say what `| darta print` would.
 *
 * @throws DartaError DARTA_USAGE, DARTA_FILE_EXISTS, DARTA_FILE_WRITE, DARTA_PERMISSION
 */
export async function openExporter(
  command: DartaCommand,
  meter: MeterOptions,
  output: RecordOutputOptions,
  observationDomainId: number,
  select?: (batches: readonly RecordBatch[]) => readonly RecordBatch[],
  selectors?: readonly SelectorReport[],
): Promise<MeterExporter> {
  if (meter.emit === 'pcap') {
    return exportOctets(await openOctetSink(command, output, '--emit pcap', true))
  }
  const process = createExportingProcess(meter, observationDomainId, selectors)
  const {name} = await chooseFormat(output)
  if (name === 'ipfix' && select === undefined) {
    const sink = await openOctetSink(command, output, '-o ipfix', true)
    const account = command.ledger.stage('ipfix', 'records')
    return exportMessages(sink, process, () => {
      account.in = account.out = process.records
    })
  }
  const sink = await openRecordSink(command, output)
  const {format} = await formatByName('ipfix', '-o')
  // What the decoder counts is our own: it is not what the user asked for.
  const decoder = format.decoder!({ledger: new Ledger(), source: '-'})
  return exportRecords(sink, decoder, process, select)
}

/** One write at a time: a flush may come while another one waits for room. */
function inOrder(sink: OctetSink): {
  readonly put: (chunks: readonly Uint8Array[], flush?: boolean) => Promise<void>
  readonly settle: () => Promise<void>
  readonly end: () => Promise<void>
  readonly abort: () => Promise<void>
} {
  let last = Promise.resolve()
  return {
    put: (chunks, flush = false) => {
      last = last.then(async () => {
        await sink.write(chunks)
        if (flush) await sink.flush?.()
      })
      // A flush by a timer has nobody who waits; the next write reports its failure.
      last.catch(() => {})
      return last
    },
    settle: async () => {
      await last
      await sink.flush?.()
      await sink.settle?.()
    },
    end: async () => {
      await last
      await sink.end()
    },
    abort: () => sink.abort(),
  }
}

function exportOctets(sink: OctetSink): MeterExporter {
  const {put, settle, end, abort} = inOrder(sink)
  const octetsOf = (outputs: readonly MeterOutput[]): Uint8Array[] =>
    outputs.map(({octets}) => octets)
  return {
    write: (outputs) => put(octetsOf(outputs)),
    flush: (outputs) => put(octetsOf(outputs), true),
    settle,
    end,
    abort,
  }
}

function exportMessages(
  sink: OctetSink,
  process: ExportingProcess,
  account: () => void,
): MeterExporter {
  const {put, settle, end, abort} = inOrder(sink)
  const messagesOf = (outputs: readonly MeterOutput[]): Uint8Array[] => {
    const messages = process.export(outputs)
    account()
    return messages
  }
  return {
    write: (outputs) => put(messagesOf(outputs)),
    flush: (outputs) => put(messagesOf(outputs), true),
    landmarks: (landmarks) => put(process.landmarks(landmarks)),
    report: (counters, live) => put(process.report(counters, live)),
    settle,
    async end(counters, live) {
      await put(process.finish(counters, live))
      await end()
    },
    abort,
  }
}

function exportRecords(
  sink: RecordSink,
  decoder: Decoder,
  process: ExportingProcess,
  select: (batches: readonly RecordBatch[]) => readonly RecordBatch[] = (batches) => batches,
): MeterExporter {
  const put = async (messages: readonly Uint8Array[]): Promise<void> => {
    const batches = select(messages.flatMap((message) => decoder.push(message)))
    if (batches.length > 0) await sink.write(batches)
  }
  return {
    write: (outputs) => put(process.export(outputs)),
    async flush(outputs) {
      await put(process.export(outputs))
      await sink.flush()
    },
    landmarks: (landmarks) => put(process.landmarks(landmarks)),
    report: (counters, live) => put(process.report(counters, live)),
    settle: async () => sink.settle?.(),
    async end(counters, live) {
      await put(process.finish(counters, live))
      const batches = select(decoder.end())
      if (batches.length > 0) await sink.write(batches)
      await sink.end()
    },
    abort: () => sink.abort(),
  }
}
