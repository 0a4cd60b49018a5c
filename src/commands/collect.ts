import * as Flags from '@oclif/core/flags'
import {DartaCommand, InputMissing} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {inputNames, openRecords, SharedLedger} from '../cli/record-input.js'
import {openRecordSink, type RecordSink} from '../cli/record-output.js'
import type {Rotation} from '../cli/rotation.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {isTerminal} from '../cli/terminal.js'
import {tlsCredentials, tlsFlags} from '../cli/tls-flags.js'
import {parseCount, parseDuration, parseSize} from '../cli/values.js'
import {hostAndPort, parseEndpoint, type Endpoint} from '../io/endpoint.js'
import {handedSockets} from '../io/listen-fds.js'
import {md5Of} from '../io/md5.js'
import {loadNative} from '../io/native.js'
import {tightenHeap} from '../io/tight-heap.js'
import {createCollectingProcess, type CollectingProcess} from '../ipfix/session.js'
import {createTemplatePool} from '../ipfix/template-store.js'
import {createCollector, type Collector} from '../mediation/collector.js'
import {lossRecords, socketRecords, type Losses} from '../mediation/loss-records.js'
import {createFileWindow} from '../mediation/file-window.js'
import {createOrigin} from '../mediation/origin.js'
import {createRelay, type Relay} from '../mediation/relay.js'
import {createSessionDetails, type SessionFacts} from '../mediation/session-details.js'
import {createSampling, type Sampling} from '../mediation/sampling.js'
import type {RecordBatch, RecordStage, RecordStream} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import {kernels} from '../record/kernels.js'
import {readAllowList} from './collect/allow-list.js'
import {answeringEndpoints, type AnsweringEndpoint} from './collect/answering.js'
import {createHook} from './collect/hook.js'
import {handedEndpoint, listen, MAX_GONE, type Listeners} from './collect/listen.js'
import {joinStreams} from './collect/join-streams.js'
import {decodings, openProtocols} from './collect/protocols.js'
import {readFiles} from './collect/read-files.js'
import {openAccounting, type Accounting} from './collect/accounting.js'
import {polledEndpoints} from './collect/snmp/polled-endpoint.js'
import {openPolling} from './collect/snmp/polling.js'
import {openTemplateCache} from './collect/template-cache.js'
import {openRotatingSink, parseLayout} from './collect/rotating-sink.js'
import {sampledHeaderReader} from './collect/sampled-header.js'

/** How often Templates are written to the cache. */
const SAVE_MS = 60_000

/** Sessions from which on their state is much of the heap. */
const MANY_SESSIONS = 1024

const size = Flags.custom<number>({parse: async (input) => parseSize(input)})
const duration = Flags.custom<number>({parse: async (input) => parseDuration(input)})
const count = Flags.custom<number>({parse: async (input) => parseCount(input)})

export default class Collect extends DartaCommand {
  static override summary =
    'Collect records of NetFlow, IPFIX, sFlow, SNMP, RADIUS, Diameter and IPDR; all become IPFIX.'
  static override description =
    'Listens on any number of endpoints, or reads captures, IPFIX files and files of one datagram each: NetFlow 1, 5, 7 and 9, IPFIX with PSAMP, and ' +
    'sFlow 5. No field is lost: what has no element of IANA gets one of its own, described in the output (RFC 5610). ' +
    "Each record keeps when it came, the Exporter's address and its Observation Domain.\n\n" +
    'What never came is counted by the rules of each protocol: records by the numbers of IPFIX and NetFlow 5, packets by those of NetFlow 9 ' +
    'and sFlow; what the kernel dropped is asked of the kernel. Data that comes before its Template waits for it.'
  static override examples = [
    "<%= config.bin %> collect udp://*:2055 udp://*:6343 tcp://*:4739 -w 'flows/%Y%m%d-%H%M.ipfix' -G 5m",
    '<%= config.bin %> collect -p 2055 | <%= config.bin %> print',
    '<%= config.bin %> collect tls://collector.example.net --tls-cert c.pem --tls-key k.pem --tls-ca ca.pem -w flows.ipfix',
    "<%= config.bin %> collect 'snmp://192.0.2.1?secret-file=snmp.txt&interval=30s' snmptrap://*?secret-file=snmp.txt -o ndjson",
    '<%= config.bin %> collect -r exports.pcap --decode-as 9999=netflow9 -o ndjson',
  ]
  static override strict = false
  static override usage = '<%= command.id %> [ENDPOINT…] [FLAGS]'
  static override flags = {
    read: common.read,
    bind: Flags.string({
      char: 'b',
      helpValue: 'ADDR',
      dependsOn: ['port'],
      summary: 'Address for --port; every address unless said.',
    }),
    port: Flags.integer({
      char: 'p',
      min: 0,
      max: 65535,
      multiple: true,
      helpValue: 'PORT',
      summary: 'Listen on this UDP port, the same as udp://ADDR:PORT. May be repeated.',
    }),
    buffer: size({
      char: 'B',
      helpValue: 'SIZE',
      default: 32 << 20,
      defaultHelp: async () => '32Mi',
      summary: 'Kernel buffer of each UDP socket; the kernel may give less.',
    }),
    allow: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'CIDR,…',
      summary:
        'Take only what these addresses and prefixes send, or those in @FILE, one a line. SIGHUP reads it again.',
    }),
    ...tlsFlags,
    'decode-as': Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'PORT=PROTOCOL',
      summary:
        'Take what is sent to or from this UDP port for netflow1, netflow5, netflow7, netflow9, ipfix, sflow or radius.',
    }),
    'input-format': Flags.string({
      helpValue: 'FORMAT',
      dependsOn: ['read'],
      summary: 'Read -r as this format, like map:FILE for one that a mapping describes.',
    }),
    'template-lifetime': duration({
      helpValue: 'DURATION',
      summary:
        'Forget Templates that an Exporter has not sent again for so long over UDP; never unless said.',
    }),
    'template-cache': Flags.string({
      helpValue: 'FILE',
      summary:
        'Keep Templates of UDP Exporters in FILE while no collector runs, for a day at most; what is restored is said.',
    }),
    'ignore-ports': Flags.boolean({
      summary:
        'Let Templates that come from one port of an address hold for what comes from its other ports, against RFC 7011.',
    }),
    sampling: Flags.custom<Sampling>({parse: async (input) => parseSampling(input)})({
      helpValue: 'auto|none|N',
      default: 'auto',
      summary:
        'Multiply counters by the rate of their sampler, where it is known, and mark it; not at all; or by N, whatever is known.',
    }),
    'max-sessions': count({
      helpValue: 'N',
      default: 65536,
      summary: 'Exporters that are remembered at once, and connections.',
    }),
    'max-new': count({
      helpValue: 'N',
      default: 10000,
      summary: 'New Exporters in a second; datagrams of more are lost, and counted.',
    }),
    'no-origin': Flags.boolean({
      summary: 'Do not put time of receipt, Exporter and what headers said into the records.',
    }),
    'no-losses': Flags.boolean({
      summary: 'Do not put records of what is missing at the end of the output.',
    }),
    'time-window': Flags.boolean({
      summary:
        'Put the time window of its records at the end of each output: first start, last end (RFC 5655).',
    }),
    'session-details': Flags.boolean({
      summary:
        'Put Exporter, port, protocol and export times of the session at the end of each output whose records are all of one (RFC 5655).',
    }),
    'message-digest': Flags.boolean({
      summary:
        'Put an MD5 digest of its Message into each, which info --check verifies (RFC 5655).',
    }),
    journal: Flags.string({
      helpValue: 'FILE',
      summary:
        'Keep accounting requests in FILE, on disk before they are answered, until their records are in an output that is whole.',
    }),
    write: {...common.write, summary: 'Write FILE; with -G, -C or -S a pattern of many.'},
    rotate: duration({
      char: 'G',
      aliases: ['rotate'],
      helpValue: 'DURATION',
      dependsOn: ['write'],
      summary: 'Begin a new file every so often, by the clock; -w then has letters of strftime(3).',
    }),
    'rotate-size': size({
      char: 'C',
      helpValue: 'SIZE',
      dependsOn: ['write'],
      summary: 'Begin a new file when one has so many octets, before compression.',
    }),
    files: Flags.integer({
      char: 'W',
      min: 1,
      helpValue: 'N',
      dependsOn: ['rotate-size'],
      summary: 'Keep N files of -C: the first is written anew after the last one.',
    }),
    layout: Flags.string({
      char: 'S',
      helpValue: 'LAYOUT',
      dependsOn: ['rotate'],
      summary: 'Folders for files, of strftime(3) letters as %Y/%m/%d, or a number of nfcapd(1).',
    }),
    exec: Flags.string({
      char: 'x',
      helpValue: 'CMD',
      dependsOn: ['write'],
      summary:
        'Run this for each file that is whole: %f is the file, %d its folder, %t and %u the start of its period, %i the --ident.',
    }),
    ident: Flags.string({
      char: 'I',
      helpValue: 'NAME',
      default: 'none',
      summary: 'Name of this collector, for -x.',
    }),
    output: common.output,
    force: common.force,
    compress: common.compress,
    'line-buffered': common.lineBuffered,
    count: common.count,
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Collect)
    if (flags['message-digest'] && (flags.output ?? 'ipfix') !== 'ipfix') {
      throw new DartaError(
        'DARTA_USAGE',
        `--message-digest is for IPFIX, not for -o ${flags.output!}`,
      )
    }
    const {answering, others} = await answeringEndpoints(this.operands(raw))
    const {polled, received} = polledEndpoints(others)
    const endpoints = endpointsOf(received, flags.port ?? [], flags.bind)
    if (endpoints.length + answering.length + polled.length > 0 && flags.read !== undefined) {
      throw new DartaError('DARTA_USAGE', 'either listen or read files with -r, not both')
    }
    const handed = flags.read === undefined ? handedSockets().map(handedEndpoint) : []
    const receives = endpoints.length + handed.length > 0
    const listens = receives || answering.length + polled.length > 0
    if (!listens && flags.read === undefined && isTerminal(0)) {
      throw new InputMissing('give endpoints like udp://*:2055 to listen on, or files with -r')
    }
    const live = listens
    const credentials = await tlsCredentials(flags, [
      ...endpoints,
      ...handed.map(({endpoint}) => endpoint),
      ...answering.map(({endpoint}) => endpoint),
    ])
    const protocols = await openProtocols()
    const decodeAs = decodings(flags['decode-as'] ?? [], protocols)
    const files = live ? [] : await inputNames(flags.read)
    const allowed = flags.allow === undefined ? undefined : readAllowList(flags.allow)
    const allows = (address: Uint8Array): boolean => allowed?.allows(address) ?? true
    const ledger = new SharedLedger(this.ledger)
    const pool = createTemplatePool()
    const ignorePorts = flags['ignore-ports']
    const gone: Losses[] = []
    if (flags['template-cache'] !== undefined && !live) {
      throw new DartaError('DARTA_USAGE', '--template-cache is for endpoints, not for files')
    }
    const cachePath = flags['template-cache']
    const cache = cachePath === undefined ? undefined : openTemplateCache(this, cachePath)
    let sessions = 0
    const collector = createCollector({
      protocols,
      context: {
        ledger,
        pool,
        templateLifetime: Math.ceil((flags['template-lifetime'] ?? 0) / 1000),
        readHeader: sampledHeaderReader(),
      },
      account: () => ledger.stage('datagrams', 'packets'),
      maxSessions: flags['max-sessions'],
      maxNewPerSecond: live ? flags['max-new'] : undefined,
      allows,
      forgetting: (source) => relay?.forget(source),
      opened(key, _, protocol, session) {
        if (++sessions === MANY_SESSIONS) tightenHeap()
        cache?.restore(key, protocol, session)
      },
      closing: (_, exporter, protocol, session) => {
        const losses = [...session.losses()]
        // Of Messages with nothing but Templates there is nothing to tell.
        const telling = losses.some(({sums}) => {
          return Object.entries(sums).some(([name, n]) => name !== 'messages' && n > 0)
        })
        if (telling && gone.length < MAX_GONE) gone.push({exporter, protocol, losses})
      },
    })
    let streaming: CollectingProcess | undefined
    const streams = (): CollectingProcess =>
      (streaming ??= createCollectingProcess({ledger, reliable: true, pool}))
    if (flags.journal !== undefined && answering.length === 0) {
      throw new DartaError(
        'DARTA_USAGE',
        '--journal is for radius://, diameter://, ipdr:// and snmptrap://',
      )
    }
    const clock = {exportTime: 0}
    const origin = flags['no-origin'] ? undefined : createOrigin(kernels.appendTails)
    const sampling = createSampling(flags.sampling)
    const relay =
      receives &&
      answering.length + polled.length === 0 &&
      !flags['time-window'] &&
      !flags['session-details'] &&
      flags.count === undefined
        ? openRelay(origin, sampling, clock)
        : undefined
    let sink: RecordSink | undefined
    const listeners = receives
      ? await listen(this, {
          endpoints,
          handed,
          collector,
          streams,
          ledger,
          credentials,
          bufferOctets: flags.buffer,
          ignorePorts,
          decodeAs,
          gone,
          maxConnections: flags['max-sessions'],
          allows,
          relay,
          relayEncoder: (from, to) => sink?.relayEncoder?.(from, to),
        })
      : undefined
    const polling = polled.length === 0 ? undefined : openPolling(this, polled, ledger)
    const accounting = await this.#openAccounting(answering, {
      journal: flags.journal,
      isSafeWhenWritten: flags.write === undefined || flags.write === '-',
      settle: async () => sink?.settle?.(),
      ledger,
      credentials,
      bufferOctets: flags.buffer,
      maxConnections: flags['max-sessions'],
      allows,
    })
    // Whatever ends the process, what was known a minute before is not lost.
    const saving = cache && setInterval(() => void save().catch(() => {}), SAVE_MS)
    const save = async (): Promise<void> => {
      // What a relay knows of Templates comes back.
      relay?.use(undefined)
      await cache?.save(collector.reports())
    }
    try {
      const window = flags['time-window'] ? createFileWindow() : undefined
      const details = flags['session-details'] ? createSessionDetails() : undefined
      const last = (): RecordBatch[] => [
        ...(window?.take() ?? []),
        ...(details?.take((name) => factsOf(name, collector, listeners, gone)) ?? []),
        ...(flags['no-losses'] ? [] : lastRecords(collector, listeners, gone, clock)),
      ]
      const seen = (batches: readonly RecordBatch[]): void => {
        window?.see(batches)
        details?.see(batches)
      }
      sink = await this.#openSink(flags, seen, last, async () => accounting?.published())
      const stages: RecordStage[] = [noteTime(clock)]
      if (origin !== undefined) stages.push(eachArray((batches) => origin.add(batches)))
      if (flags.sampling !== 'none') stages.push(eachArray((batches) => sampling.apply(batches)))
      if (flags.count !== undefined) stages.push(limitRecords(flags.count))
      this.onHangUp(() => {
        this.#reload(allowed, collector)
        void sink?.flush().catch(() => {})
      })
      const others = [accounting?.records, polling?.records].filter((one) => one !== undefined)
      const source =
        others.length > 0
          ? joinStreams([...others, ...(listeners ? [listeners.records] : [])])
          : (listeners?.records ??
            (flags['input-format'] === undefined
              ? readFiles(this, files, {collector, streams, ledger, decodeAs, ignorePorts, gone})
              : await openRecords(this, {read: files, inputFormat: flags['input-format']})))
      await runPipeline(this, source, stages, sink)
      await save()
    } finally {
      clearInterval(saving)
      listeners?.close()
      polling?.close()
      await accounting?.close()
      collector.end()
    }
  }

  async #openAccounting(
    endpoints: readonly AnsweringEndpoint[],
    options: Parameters<typeof openAccounting>[2],
  ): Promise<Accounting | undefined> {
    return endpoints.length === 0 ? undefined : openAccounting(this, endpoints, options)
  }

  #reload(allowed: ReturnType<typeof readAllowList> | undefined, collector: Collector): void {
    if (allowed === undefined) return
    try {
      allowed.reload()
      collector.reconsider()
      this.detail('read --allow again')
    } catch (error) {
      // The list stays as it was.
      this.note(error instanceof Error ? error.message : String(error))
    }
  }

  async #openSink(
    flags: SinkFlags,
    seen: (batches: readonly RecordBatch[]) => void,
    last: () => readonly RecordBatch[],
    published: () => Promise<void>,
  ): Promise<RecordSink> {
    const rotation: Rotation = {
      periodMs: flags.rotate,
      octets: flags['rotate-size'],
      files: flags.files,
    }
    const lineBuffered = flags['line-buffered']
    const options = flags['message-digest'] ? {messageDigest: md5Of} : {}
    const rotates = flags.rotate !== undefined || flags['rotate-size'] !== undefined
    if (flags.write === undefined || (!rotates && flags.exec === undefined)) {
      const sink = await openRecordSink(this, {...flags, lineBuffered, options})
      return {
        format: sink.format,
        relayEncoder: (from, to) => sink.relayEncoder?.(from, to),
        write: (batches) => {
          seen(batches)
          return sink.write(batches)
        },
        flush: () => sink.flush(),
        settle: async () => sink.settle?.(),
        abort: () => sink.abort(),
        async end() {
          const batches = last()
          if (batches.length > 0) await sink.write(batches)
          await sink.end()
          await published()
        },
      }
    }
    return openRotatingSink(this, {
      pattern: flags.write,
      rotation,
      layout: flags.layout === undefined ? undefined : parseLayout(flags.layout),
      output: flags.output,
      force: flags.force,
      compress: flags.compress,
      lineBuffered,
      encoding: options,
      hook: flags.exec === undefined ? undefined : createHook(this, flags.exec, flags.ident),
      ledger: new SharedLedger(this.ledger),
      seen,
      last,
      published,
      live: flags.read === undefined,
    })
  }
}

interface SinkFlags {
  readonly read?: string[]
  readonly write?: string
  readonly rotate?: number
  readonly 'rotate-size'?: number
  readonly files?: number
  readonly layout?: string
  readonly exec?: string
  readonly ident: string
  readonly output?: string
  readonly force: boolean
  readonly compress?: Parameters<typeof openRecordSink>[1]['compress']
  readonly 'line-buffered': boolean
  readonly 'message-digest': boolean
}

function endpointsOf(words: readonly string[], ports: readonly number[], bind = '*'): Endpoint[] {
  return [
    ...words.map((word) => parseEndpoint(word, {role: 'listen'})),
    ...ports.map((port) =>
      parseEndpoint(`udp://${hostAndPort(bind, port)}`, {role: 'listen', transports: ['udp']}),
    ),
  ]
}

/** What is known of the session with the Exporter of this name. */
function factsOf(
  name: string,
  collector: Collector,
  listeners: Listeners | undefined,
  gone: readonly Losses[],
): SessionFacts | undefined {
  for (const {key, exporter, protocol} of collector.reports()) {
    if (exporter.name !== name) continue
    const port = listeners === undefined ? undefined : /^.*>(\d+)$/.exec(key)?.[1]
    const collectorPort = port === undefined ? undefined : Number(port)
    return {exporter, protocol, transport: 17, ...(collectorPort && {collectorPort})}
  }
  for (const {connection} of listeners?.streamReports() ?? []) {
    if (connection.name === name) return {exporter: connection, protocol: 'ipfix', transport: 6}
  }
  return gone.find(({exporter}) => exporter.name === name)
}

/** What sessions and sockets have to say of losses; domain 0, at the time of the last Message. */
function lastRecords(
  collector: Collector,
  listeners: Listeners | undefined,
  gone: Losses[],
  {exportTime}: {readonly exportTime: number},
): RecordBatch[] {
  const streams = [...(listeners?.streamReports() ?? [])].map(({connection, stream}) => ({
    exporter: connection,
    protocol: 'ipfix',
    losses: stream.losses(),
  }))
  return [
    ...lossRecords([...collector.reports(), ...streams, ...gone.splice(0)], exportTime),
    ...socketRecords(listeners?.socketCounters() ?? [], exportTime),
  ]
}

/** Remembers the time of the last Message: the same input gives the same output. */
function noteTime(clock: {exportTime: number}): RecordStage {
  return async function* (source: RecordStream) {
    for await (const batches of source) {
      for (const {message} of batches) {
        if (message.exportTime > clock.exportTime) clock.exportTime = message.exportTime
      }
      yield batches
    }
  }
}

function parseSampling(input: string): Sampling {
  if (input === 'auto' || input === 'none') return input
  const n = parseCount(input)
  if (n >= 1 && n < 2 ** 32) return n
  throw new DartaError('DARTA_USAGE', `expected auto, none or a count, not '${input}'`)
}

function eachArray(
  change: (batches: readonly RecordBatch[]) => readonly RecordBatch[],
): RecordStage {
  return async function* (source: RecordStream) {
    for await (const batches of source) yield change(batches)
  }
}

/** Undefined where there is no addon. */
function openRelay(
  origin: ReturnType<typeof createOrigin> | undefined,
  sampling: ReturnType<typeof createSampling>,
  clock: {exportTime: number},
): Relay | undefined {
  const kernel = loadNative()?.createRelay()
  const latest = (exportTime: number): void => {
    if (exportTime > clock.exportTime) clock.exportTime = exportTime
  }
  return kernel && createRelay({kernel, origin, sampling, latest})
}
