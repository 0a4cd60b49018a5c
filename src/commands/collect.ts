import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {inputNames, SharedLedger} from '../cli/record-input.js'
import {openRecordSink} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {createCollectingProcess, type CollectingProcess} from '../ipfix/session.js'
import {createTemplatePool} from '../ipfix/template-store.js'
import {createCollector} from '../mediation/collector.js'
import {createOrigin} from '../mediation/origin.js'
import type {RecordStage} from '../record/batch.js'
import {decodings, openProtocols} from './collect/protocols.js'
import {readFiles} from './collect/read-files.js'
import {sampledHeaderReader} from './collect/sampled-header.js'

export default class Collect extends DartaCommand {
  static override summary = 'Collect flow records of NetFlow, IPFIX and sFlow; all become IPFIX.'
  static override description =
    'Reads NetFlow 1, 5, 7 and 9, IPFIX with PSAMP, and sFlow 5: datagrams and TCP streams in captures, IPFIX files, and files of one ' +
    'datagram each. No field is lost: what has no element of IANA gets one of its own, described in the output (RFC 5610). ' +
    "Each record keeps when it came, the Exporter's address and its Observation Domain.\n\n" +
    'What never came is counted by the rules of each protocol: records by the numbers of IPFIX and NetFlow 5, packets by those of NetFlow 9 ' +
    'and sFlow. Data that comes before its Template waits for it.'
  static override examples = [
    '<%= config.bin %> collect -r exports.pcap | <%= config.bin %> print',
    '<%= config.bin %> collect -r exports.pcap --decode-as 9999=netflow9 -w exports.ipfix',
    '<%= config.bin %> collect -r one.ipfix -r two.ipfix -o ndjson',
  ]
  static override flags = {
    read: common.read,
    'decode-as': Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'PORT=PROTOCOL',
      summary:
        'Take what is sent to or from this UDP port for netflow1, netflow5, netflow7, netflow9, ipfix or sflow.',
    }),
    'template-lifetime': {
      ...common.idleTimeout,
      summary:
        'Forget Templates that an Exporter has not sent again for so long over UDP; never unless said.',
    },
    'ignore-ports': Flags.boolean({
      summary:
        'Let Templates that come from one port of an address hold for what comes from its other ports, against RFC 7011.',
    }),
    'no-origin': Flags.boolean({
      summary: 'Do not put time of receipt, Exporter and what headers said into the records.',
    }),
    write: common.write,
    output: common.output,
    force: common.force,
    compress: common.compress,
    'line-buffered': common.lineBuffered,
    count: common.count,
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Collect)
    const protocols = await openProtocols()
    const decodeAs = decodings(flags['decode-as'] ?? [], protocols)
    const files = await inputNames(flags.read)
    const ledger = new SharedLedger(this.ledger)
    const templateLifetime = Math.ceil((flags['template-lifetime'] ?? 0) / 1000)
    const pool = createTemplatePool()
    const collector = createCollector({
      protocols,
      context: {ledger, pool, templateLifetime, readHeader: sampledHeaderReader()},
      account: () => ledger.stage('datagrams', 'packets'),
      maxSessions: 65536,
    })
    let streaming: CollectingProcess | undefined
    const streams = (): CollectingProcess =>
      (streaming ??= createCollectingProcess({ledger, reliable: true, pool}))
    const sink = await openRecordSink(this, {...flags, lineBuffered: flags['line-buffered']})
    const stages: RecordStage[] = []
    if (!flags['no-origin']) stages.push(addOrigin)
    if (flags.count !== undefined) stages.push(limitRecords(flags.count))
    const ignorePorts = flags['ignore-ports']
    const source = readFiles(this, files, {collector, streams, ledger, decodeAs, ignorePorts})
    await runPipeline(this, source, stages, sink)
    collector.end()
  }
}

async function* addOrigin(source: Parameters<RecordStage>[0]): ReturnType<RecordStage> {
  const origin = createOrigin()
  for await (const batches of source) yield origin.add(batches)
}
