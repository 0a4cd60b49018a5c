import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import {detectFormat} from '../cli/find-format.js'
import * as common from '../cli/flags.js'
import {showProgress, type Progress} from '../cli/progress.js'
import {inputNames} from '../cli/record-input.js'
import {chooseFormat} from '../cli/record-output.js'
import {mappableOctets} from '../io/map-candidate.js'
import {openInput} from '../io/open-input.js'
import type {CaptureInput} from '../metering/backend.js'
import file from '../metering/backends/file.js'
import type {Meter, MeterCounters} from '../metering/meter.js'
import {DartaError} from '../record/errors.js'
import type {StageLedger} from '../record/ledger.js'
import {ofInput} from './capture/of-input.js'
import {meterFlags, meterOptions} from './capture/meter-options.js'
import {openExporter, type MeterExporter} from './capture/open-exporter.js'
import {openMeter} from './capture/open-meter.js'

export default class Capture extends DartaCommand {
  static override summary = 'Meter packets: make Flow Records, Packet Reports or pcap of captures.'
  static override description =
    'Reads pcap and pcapng, from files and pipes, compressed with gzip, zstd, bzip2, lz4 or not. Several files in ' +
    'order are one stream of packets: Flows go on from one to the next. Whatever is not IP is counted by its ' +
    'kind, whatever is damaged by its reason and octet offset; all complete packets are metered.\n\n' +
    'Records go out as IPFIX, with Options Records that name the Flow Key and account for what was exported and ' +
    'ignored (RFC 7011 section 4). Export times are those of the packets, so the same capture gives the same octets.'
  static override examples = [
    '<%= config.bin %> capture -r lan.pcap -w lan.ipfix',
    'tcpdump -i eth0 -w - | <%= config.bin %> capture -r - | <%= config.bin %> print',
    '<%= config.bin %> capture -r monday.pcap.gz -r tuesday.pcap.gz --biflow -o ndjson',
    '<%= config.bin %> capture -r lan.pcapng --key src,dst --decap -T 60,10',
  ]
  static override flags = {
    read: Flags.string({
      char: 'r',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE',
      summary: 'Read the capture FILE, or standard input for -, which is the default.',
    }),
    write: common.write,
    output: common.output,
    force: common.force,
    ...meterFlags,
    odid: Flags.custom<number>({parse: async (input) => parseDomain(input)})({
      helpValue: 'N',
      default: 0,
      summary: 'Observation Domain ID of the Messages.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Capture)
    const options = meterOptions(flags)
    const names = await inputNames(flags.read)
    // What is wrong on the command line is told before anything is opened.
    if (options.emit !== 'pcap') await chooseFormat(flags)
    else if (flags.output !== undefined) {
      throw new DartaError('DARTA_USAGE', '-o chooses a format of records; --emit pcap writes none')
    }
    const meter = await openMeter(options)
    try {
      const account = this.ledger.stage('meter', 'packets')
      const exporter = await openExporter(this, options, flags, flags.odid)
      this.onFlush(() => void exporter.write(meter.flush()).catch(() => {}))
      try {
        await this.#capture(meter, names, exporter, account)
      } catch (error) {
        await exporter.abort()
        throw error
      }
    } finally {
      meter.close()
    }
  }

  async #capture(
    meter: Meter,
    names: readonly string[],
    exporter: MeterExporter,
    account: StageLedger,
  ): Promise<void> {
    let failure: DartaError | undefined
    let captures = 0
    for (const name of names) {
      if (this.stopping.aborted || meter.full()) break
      try {
        for await (const outputs of this.#read(meter, name)) {
          await exporter.write(outputs)
          enter(account, meter.counters())
        }
        captures++
      } catch (error) {
        if (!(error instanceof DartaError) || this.signal.aborted) throw error
        if (error.code === 'DARTA_FLOW_TABLE_FULL') {
          // What was metered until then is good.
          failure = error
          break
        }
        if (error.code === 'DARTA_FILE_WRITE' || error.code === 'DARTA_PERMISSION') throw error
        this.report(ofInput(name, error))
      }
    }
    // Nothing was a capture: that has been told, and no output should look as if there had been no packets.
    if (captures === 0 && failure === undefined && !this.stopping.aborted) {
      await exporter.abort()
      return
    }
    if (meter.counters().inputOctets > 0) await exporter.write(meter.finish())
    const counters = meter.counters()
    enter(account, counters)
    await exporter.end(counters)
    if (counters.flowsEvicted > 0) {
      this.note(`${counters.flowsEvicted} Flows were ended early for want of room`)
    }
    if (failure !== undefined) throw failure
  }

  /** Meters one capture. */
  async *#read(meter: Meter, name: string): ReturnType<typeof file.capture> {
    const size = name === '-' || !('open' in meter) ? undefined : mappableOctets(name)
    if (size !== undefined) {
      const before = meter.counters().inputOctets
      const progress: Progress = {
        size,
        get position() {
          return meter.counters().inputOctets - before
        },
      }
      yield* this.#meter(meter, {path: name, octets: nothing()}, name, progress)
      return
    }
    const input = await openInput(name, this)
    if (input.head.length === 0 && this.stopping.aborted) return
    await refuseRecords(name, input.head)
    yield* this.#meter(meter, input, name, input.progress)
  }

  async *#meter(
    meter: Meter,
    input: CaptureInput,
    name: string,
    progress: Progress,
  ): ReturnType<typeof file.capture> {
    const done = showProgress(name, progress, this.quiet)
    try {
      yield* file.capture(meter, input, this)
    } finally {
      done()
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Says what the user did, where a meter would only say that the magic number is unknown. */
async function refuseRecords(name: string, head: Uint8Array): Promise<void> {
  if (head.length === 0) {
    throw new DartaError('DARTA_CAPTURE_FORMAT', `${name} is empty, not even a capture's header`, 0)
  }
  const format = await detectFormat(head)
  if (format === undefined || format.startsWith('pcap')) return
  throw new DartaError(
    'DARTA_CAPTURE_FORMAT',
    `${name} is ${format}, not a capture: its records are read by darta print`,
    0,
  )
}

/** What the meter has counted, as an account of this command. */
function enter(account: StageLedger, counters: MeterCounters): void {
  account.in = counters.frames
  account.out = counters.ipPackets
  for (const [kind, n] of counters.skipped) account.skipped.set(kind, n)
  for (const [reason, n] of counters.lost) account.lost.set(reason, n)
  for (const [reason, offset] of counters.firstOffset) account.firstOffset.set(reason, offset)
}

function parseDomain(input: string): number {
  const value = /^\d{1,10}$/.test(input) ? Number(input) : NaN
  if (value < 2 ** 32) return value
  throw new DartaError('DARTA_USAGE', `expected a number from 0 to 4294967295, not '${input}'`)
}
