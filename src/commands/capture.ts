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
import type {Meter, MeterCounters, MeterOutput, MeterShare} from '../metering/meter.js'
import {selectorByName} from '../metering/selector-by-name.js'
import {parseShare} from '../metering/share.js'
import {DartaError} from '../record/errors.js'
import type {StageLedger} from '../record/ledger.js'
import {ofInput} from './capture/of-input.js'
import {meterFlags, meterOptions} from './capture/meter-options.js'
import {liveFlags} from './capture/live-flags.js'
import {markedRecords} from './group/capture-flags.js'
import {openExporter, type MeterExporter} from './capture/open-exporter.js'
import {openMeter} from './capture/open-meter.js'
import {openSelection} from './filter/open-selected.js'

/** How long records of a pipe may wait for a buffer to fill. */
const IDLE_FLUSH_MS = 200

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
  static override args = {
    expression: common.expression('Packets to take, as -f; see pcap-filter(7).'),
  }
  static override flags = {
    read: Flags.string({
      char: 'r',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['interface'],
      helpValue: 'FILE',
      summary: 'Read the capture FILE, or standard input for -, which is the default.',
    }),
    ...liveFlags,
    ...common.recordOutput,
    ...meterFlags,
    odid: Flags.custom<number>({parse: async (input) => parseDomain(input)})({
      helpValue: 'N',
      default: 0,
      summary: 'Observation Domain ID of the Messages.',
    }),
    'record-filter': Flags.string({
      helpValue: 'EXPR',
      summary: 'Only records that match, of those that the meter made; see darta-filter(1).',
    }),
    'filter-file': {
      ...common.filterFile,
      summary: 'Only records that match the expression in FILE.',
    },
    meter: Flags.option({options: ['auto', 'native', 'typescript'] as const})({
      helpValue: 'auto|native|typescript',
      default: 'auto',
      summary:
        'Meter in C++ or in TypeScript, which gives the same records; auto takes C++ where it is built.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags: given, raw} = await this.parse(Capture)
    const flags = withPacketFilter(given, this.operands(raw))
    if (flags['list-interfaces']) {
      const {interfaceList} = await import('./capture/list-interfaces.js')
      this.print(await interfaceList(flags.output))
      return
    }
    const asked = meterOptions(flags)
    const options = flags.group === undefined ? asked : markedRecords(asked)
    const {'record-filter': filter, 'filter-file': file} = flags
    const select = await openSelection({filter, file}, () => this.ledger.stage('filter', 'records'))
    if (select !== undefined && options.emit === 'pcap') {
      throw new DartaError('DARTA_USAGE', '--record-filter chooses records; --emit pcap makes none')
    }
    // What is wrong on the command line is told before anything is opened.
    if (options.emit !== 'pcap') await chooseFormat(flags)
    else if (flags.output !== undefined) {
      throw new DartaError('DARTA_USAGE', '-o chooses a format of records; --emit pcap writes none')
    }
    if (flags.interface !== undefined) {
      // Loaded where it is needed: sockets and groups take longer than a small file.
      const {captureLive} = await import('./capture/live.js')
      await captureLive(this, {...flags, interface: flags.interface}, options, (selectors) =>
        openExporter(this, options, flags, flags.odid, select, selectors),
      )
      return
    }
    const names = await inputNames(flags.read)
    const share = await meterShare(flags)
    const meter = await openMeter(this, flags.meter, {...options, ...(share && {share})})
    try {
      const account = this.ledger.stage('meter', 'packets')
      const exporter = await openExporter(this, options, flags, flags.odid, select)
      const flush = (): void => void exporter.flush(meter.flush()).catch(() => {})
      this.onFlush(flush)
      account.update = () => enter(account, meter.counters())
      try {
        await this.#capture(meter, names, exporter, flush)
      } catch (error) {
        await exporter.abort()
        throw error
      } finally {
        account.update()
        account.update = undefined
      }
    } finally {
      meter.close()
    }
  }

  async #capture(
    meter: Meter,
    names: readonly string[],
    exporter: MeterExporter,
    flush: () => void,
  ): Promise<void> {
    let sound = false
    let full: DartaError | undefined
    for (const name of names) {
      if (this.stopping.aborted || meter.full()) break
      const fault = await this.#one(meter, name, exporter, flush)
      if (fault === undefined) sound = true
      else if (fault.code === 'DARTA_FLOW_TABLE_FULL') {
        full = fault
        break
      } else this.report(ofInput(name, fault))
    }
    const {frames, inputOctets} = meter.counters()
    const metered = frames > 0
    // Nothing was a capture: that has been told, and no output should look as if there had been no packets.
    if (!sound && !metered && !this.stopping.aborted) {
      await exporter.abort()
      return
    }
    // Stopped before the first octet came, there is nothing to finish.
    if ((sound || metered) && inputOctets > 0) await exporter.write(meter.finish())
    const counters = meter.counters()
    await exporter.end(counters)
    if (counters.flowsEvicted > 0) {
      this.note(`${counters.flowsEvicted} Flows were ended early for want of room`)
    }
    // What was metered until then is good, and written.
    if (full !== undefined) throw full
  }

  /** Moves what one capture gives. What is wrong with it is returned; what is wrong with the output is thrown. */
  async #one(
    meter: Meter,
    name: string,
    exporter: MeterExporter,
    flush: () => void,
  ): Promise<DartaError | undefined> {
    const outputs = this.#read(meter, name, flush)
    try {
      for (;;) {
        let next: IteratorResult<readonly MeterOutput[]>
        try {
          next = await outputs.next()
        } catch (error) {
          if (!(error instanceof DartaError)) throw error
          return error
        }
        if (next.done === true) return undefined
        await exporter.write(next.value)
      }
    } finally {
      await outputs.return(undefined).catch(() => {})
    }
  }

  /** Meters one capture. `flush` writes what the meter holds while nothing comes. */
  async *#read(
    meter: Meter,
    name: string,
    flush: () => void,
  ): AsyncGenerator<readonly MeterOutput[], undefined> {
    const size = name === '-' || !('open' in meter) ? undefined : mappableOctets(name)
    let input: CaptureInput
    let progress: Progress
    if (size === undefined) {
      const opened = await openInput(name, this)
      if (opened.head.length === 0 && this.stopping.aborted) return
      await refuseRecords(name, opened.head)
      input = opened
      progress = opened.progress
    } else {
      const before = meter.counters().inputOctets
      input = {path: name, octets: nothing()}
      progress = {
        size,
        get position() {
          return meter.counters().inputOctets - before
        },
      }
    }
    const done = showProgress(name, progress, this.quiet)
    // Whoever reads a pipe of ours behind a pipe sees records soon after they are made; a file's output never
    // depends on time.
    const timer = progress.size === undefined ? setInterval(flush, IDLE_FLUSH_MS) : undefined
    try {
      for await (const outputs of file.capture(meter, input, this)) yield outputs
    } finally {
      clearInterval(timer)
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

/** The share of the frames of a capture that is metered, divided as nodes divide a live link. */
async function meterShare(flags: {
  readonly share?: string
  readonly by: string
  readonly 'share-seed': number
}): Promise<MeterShare | undefined> {
  if (flags.share === undefined) return undefined
  const selector = await selectorByName(flags.by)
  return {share: parseShare(flags.share), selector, seed: flags['share-seed']}
}

function parseDomain(input: string): number {
  const value = /^\d{1,10}$/.test(input) ? Number(input) : NaN
  if (value < 2 ** 32) return value
  throw new DartaError('DARTA_USAGE', `expected a number from 0 to 4294967295, not '${input}'`)
}

/** Words behind the flags are a packet filter, as of tcpdump. @throws DartaError DARTA_USAGE */
function withPacketFilter<T extends {readonly filter?: string; readonly interface?: unknown}>(
  flags: T,
  words: readonly string[],
): T {
  if (words.length === 0) return flags
  const expression = words.join(' ')
  if (flags.interface === undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      `'${expression}': packets of interfaces are filtered, -i; of a capture choose records, --record-filter`,
    )
  }
  if (flags.filter !== undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      `'${expression}' and -f are two packet filters; join them with and`,
    )
  }
  return {...flags, filter: expression}
}
