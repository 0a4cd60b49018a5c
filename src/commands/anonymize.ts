import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {openRecordSink, presentationOf} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {parseDuration, parsePrefixLengths} from '../cli/values.js'
import {createAnonymizer, type Anonymizer} from '../mediation/anonymization/anonymizer.js'
import {createCryptoPan} from '../mediation/anonymization/crypto-pan.js'
import {createPolicy, parsePolicy, type Method} from '../mediation/anonymization/policy.js'
import type {RecordStage} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import {readKey} from './anonymize/read-key.js'
import {openSelected} from './filter/open-selected.js'
import {readInputFile} from './filter/read-input-file.js'

export default class Anonymize extends DartaCommand {
  static override summary = 'Replace addresses, and whatever else a policy names, in records.'
  static override description =
    'Addresses of all kinds become others that share prefixes as the originals do (Crypto-PAn), or are cut or blackened; also in ' +
    'lists and in text. Packet sections and octets of unknown meaning are blackened. Ports can be binned and times shifted. ' +
    'What was done is told in Options Records (RFC 6235).'
  static override examples = [
    '<%= config.bin %> anonymize -r lan.ipfix -w public.ipfix --key-file secret.key',
    '<%= config.bin %> anonymize -r lan.ipfix -w public.ipfix --method truncate --ports bin',
    '<%= config.bin %> anonymize --key-agent /run/keys.sock --policy policy.txt --time-shift -3h',
  ]
  static override args = {
    expression: common.expression(
      'Only records that match, before anything is replaced; see darta-filter(1).',
    ),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    'line-buffered': common.lineBuffered,
    ...common.recordFilter,
    ...common.presentation,
    count: common.count,
    method: Flags.option({options: ['crypto-pan', 'truncate', 'black'] as const})({
      helpValue: 'crypto-pan|truncate|black',
      default: 'crypto-pan',
      summary: 'What becomes of addresses: permuted with their prefixes, cut, or zeros.',
    }),
    'key-file': Flags.string({
      helpValue: 'FILE',
      exclusive: ['key-agent'],
      summary:
        'The key of crypto-pan: 32 characters or 64 hexadecimal digits; - is standard input.',
    }),
    'key-agent': Flags.string({
      helpValue: 'PATH',
      summary: 'Unix socket of an agent that gives the key to whoever connects.',
    }),
    bits: Flags.string({
      helpValue: 'V4[,V6]',
      default: '24,48',
      summary: 'Leading bits that truncate leaves.',
    }),
    ports: Flags.option({options: ['keep', 'bin', 'black'] as const})({
      helpValue: 'keep|bin|black',
      default: 'keep',
      summary: 'Ports stay, become 0, 1024 or 49152 by their range (RFC 6335), or 0.',
    }),
    'time-shift': Flags.custom<number>({parse: async (input) => parseShift(input)})({
      helpValue: 'DURATION',
      summary: 'Add this to all times, also those of Messages; -3h takes away.',
    }),
    'time-precision': Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      exclusive: ['time-shift'],
      summary: 'Cut times to whole multiples of this.',
    }),
    policy: Flags.string({
      helpValue: 'FILE',
      summary: 'What becomes of which element: lines like userName black; see below.',
    }),
    'no-options': Flags.boolean({
      summary: 'Write no Options Records that say what was done.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Anonymize)
    const rules: ReadonlyMap<string, Method> =
      flags.policy === undefined
        ? new Map()
        : parsePolicy(new TextDecoder().decode(readInputFile(flags.policy)), flags.policy)
    const [bits4, bits6] = parsePrefixLengths('--bits', flags.bits, 48)
    const shiftMs = flags['time-shift'] ?? 0
    const policy = createPolicy({
      method: flags.method,
      bits4,
      bits6,
      ports: flags.ports,
      shiftMs,
      precisionMs: flags['time-precision'] ?? 0,
      rules,
    })
    const keyed =
      flags.method === 'crypto-pan' || [...rules.values()].some(({kind}) => kind === 'crypto-pan')
    const key = {file: flags['key-file'], agent: flags['key-agent']}
    if (keyed && key.file === undefined && key.agent === undefined) {
      throw new DartaError(
        'DARTA_USAGE',
        'crypto-pan needs a key: --key-file FILE or --key-agent PATH; never on the command line',
      )
    }
    const cryptoPan = keyed ? createCryptoPan(await readKey(key)) : undefined
    const source = await openSelected(this, flags, this.operands(raw))
    const open = (): Anonymizer =>
      createAnonymizer({
        policy,
        cryptoPan,
        exportShift: Math.floor(shiftMs / 1000),
        describe: !flags['no-options'],
        ledger: this.ledger.stage('anonymize', 'records'),
      })
    const sink = await openRecordSink(this, {
      write: flags.write,
      output: flags.output,
      force: flags.force,
      compress: flags.compress,
      lineBuffered: flags['line-buffered'],
      options: presentationOf(flags, this.occurrences(raw, 'numeric')),
    })
    const limit = flags.count === undefined ? [] : [limitRecords(flags.count)]
    await runPipeline(this, source, [...limit, stageOf(open)], sink)
  }
}

function stageOf(open: () => Anonymizer): RecordStage {
  return async function* (source) {
    let anonymizer: Anonymizer | undefined
    for await (const batches of source) {
      anonymizer ??= open()
      const out = anonymizer.run(batches)
      if (out.length > 0) yield out
    }
  }
}

/** A duration, with a minus before it or not, in milliseconds. */
function parseShift(input: string): number {
  const back = input.startsWith('-')
  const ms = Math.round(parseDuration(input.replace(/^[-+]/, '')))
  return back ? -ms : ms
}
