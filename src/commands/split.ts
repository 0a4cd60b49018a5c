import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import {detectFormat} from '../cli/find-format.js'
import * as common from '../cli/flags.js'
import {inputNames, openRecords} from '../cli/record-input.js'
import {openRecordSink} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {openInput} from '../io/open-input.js'
import {createDivider} from '../metering/divider.js'
import {selectorByName} from '../metering/selector-by-name.js'
import {shareProgram} from '../metering/share-bpf.js'
import {shareExpression} from '../metering/share-expression.js'
import {ownedSlots, parseShare} from '../metering/share.js'
import {DartaError} from '../record/errors.js'
import {captureDivision, pcapHeader} from './split/divide-capture.js'
import {divideRecords} from './split/divide-records.js'
import {joinOutputs} from './split/join-outputs.js'
import {
  childPart,
  filePart,
  namesEachPart,
  partName,
  type ChildPart,
  type Part,
} from './split/part.js'

export default class Split extends DartaCommand {
  static override summary =
    'Divide a capture or a stream of records into parts that belong together.'
  static override description =
    'Every packet and record goes to exactly one part. What decides is a hash of addresses and protocol, the same one that ' +
    'divides a live link (capture --share), so that both directions and all fragments of a Flow stay together; ' +
    'or --by packets, each in its turn. Parts are files or child commands.'
  static override examples = [
    "<%= config.bin %> split -r big.pcap --parts 4 -w 'part-%d.pcap'",
    "<%= config.bin %> split -r big.pcap --parts 2 --exec 'tcpdump -n -r - -w out-%d.pcap tcp'",
    "<%= config.bin %> split -r flows.ipfix --parts 3 --exec '<%= config.bin %> analyze top -o ipfix' --join -o ndjson",
    '<%= config.bin %> split --print-filter 2/4',
  ]
  static override flags = {
    read: common.read,
    parts: Flags.integer({
      min: 1,
      max: 4096,
      helpValue: 'N',
      exclusive: ['weights'],
      summary: 'Divide into N equal parts.',
    }),
    weights: Flags.string({
      helpValue: 'W,W,…',
      summary: 'Divide into parts as large as these whole numbers say.',
    }),
    by: Flags.string({
      helpValue: 'SELECTOR',
      default: 'flow',
      summary:
        'What decides the part: flow, hosts, src, dst, ports, or packets for each in its turn.',
    }),
    'share-seed': Flags.integer({
      min: 0,
      helpValue: 'N',
      default: 0,
      summary: 'Of the hash; parts are those of capture --share with the same one.',
    }),
    write: Flags.string({
      char: 'w',
      helpValue: 'PATTERN',
      exclusive: ['exec'],
      summary: 'Write files named so; %d is the number of the part, %03d the same with zeros.',
    }),
    exec: Flags.string({
      helpValue: 'CMD',
      summary:
        'Start this command for each part, which reads its part on standard input; %d is the number.',
    }),
    restart: Flags.boolean({
      dependsOn: ['exec'],
      summary: 'Start a command that ends early again; what it was given is lost, and counted.',
    }),
    join: Flags.boolean({
      dependsOn: ['exec'],
      summary:
        'Merge the records that the commands write into one stream, in the order of export times.',
    }),
    output: {
      ...common.output,
      summary: 'Format of record parts, or of the joined stream: ipfix unless said otherwise.',
    },
    force: common.force,
    'print-filter': Flags.string({
      helpValue: 'I/N',
      exclusive: ['read', 'parts', 'weights', 'write', 'exec'],
      summary: 'Only print the share I/N as a filter that any libpcap program takes.',
    }),
    as: Flags.option({options: ['expression', 'bpf'] as const})({
      helpValue: 'expression|bpf',
      dependsOn: ['print-filter'],
      summary: 'Print pcap-filter(7), the default, or the instructions as tcpdump -ddd does.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Split)
    const selector = await selectorByName(flags.by)
    const seed = flags['share-seed']
    if (flags['print-filter'] !== undefined) {
      if (selector.kind !== 'hash') {
        throw new DartaError('DARTA_USAGE', `--by ${flags.by} counts packets, which no filter can`)
      }
      const share = parseShare(flags['print-filter'])
      if (flags.as !== 'bpf') this.print(`${shareExpression(share, selector, seed)}\n`)
      else {
        const program = shareProgram(1, selector, seed, ownedSlots(share))
        const lines = program.map(({code, jt, jf, k}) => `${code} ${jt} ${jf} ${k}`)
        this.print(`${[program.length, ...lines].join('\n')}\n`)
      }
      return
    }
    const divider = createDivider(weightsOf(flags), selector, seed)
    if (flags.write === undefined && flags.exec === undefined) {
      throw new DartaError(
        'DARTA_USAGE',
        "give -w 'part-%d.pcap' or --exec CMD: where the parts go",
      )
    }
    if (flags.write !== undefined && divider.parts > 1 && !namesEachPart(flags.write)) {
      throw new DartaError('DARTA_USAGE', `-w ${flags.write} names all parts alike; put %d in it`)
    }
    const names = await inputNames(flags.read)
    const first = await openInput(names[0], this)
    const kind = first.head.length === 0 ? undefined : await detectFormat(first.head)
    const isCapture = kind?.startsWith('pcap') === true
    let linkType = 1
    const open = (number: number): Promise<Part> =>
      flags.exec === undefined
        ? filePart(this, partName(flags.write!, number), flags.force)
        : childPart(
            this,
            number,
            {command: flags.exec, restart: flags.restart, takeOutput: flags.join},
            // Of a capture the first child's header comes with its frames; a later one's must be made.
            () => (isCapture && started ? [pcapHeader(linkType)] : []),
          )
    let started = false
    const parts: Part[] = []
    try {
      for (let number = 1; number <= divider.parts; number++) parts.push(await open(number))
      started = true
      const joined = flags.join ? this.#join(parts as ChildPart[], flags) : undefined
      // A fault of the joined output is told when the division has ended.
      joined?.catch(() => this.stop())
      const account = this.ledger.stage('split', isCapture ? 'packets' : 'records')
      if (isCapture) {
        const division = captureDivision(divider, parts, account, (type) => (linkType = type))
        await division.divide(first, this)
        for (const name of names.slice(1)) {
          if (this.stopping.aborted) break
          const input = await openInput(name, this)
          await division.divide(input, this)
          await input.close()
        }
        await division.end()
      } else {
        const source = await openRecords(this, {read: flags.read, first})
        await divideRecords(
          this,
          source,
          (flags.join ? undefined : flags.output) ?? 'ipfix',
          divider,
          parts,
          account,
        )
      }
      await first.close()
      await Promise.all(parts.map((part) => part.end()))
      await joined
    } catch (error) {
      await Promise.all(parts.map((part) => part.abort()))
      throw error
    }
  }

  async #join(
    parts: readonly ChildPart[],
    flags: {readonly output?: string; readonly force?: boolean},
  ): Promise<void> {
    const sink = await openRecordSink(this, {output: flags.output, force: flags.force})
    const merged = joinOutputs(
      parts.map((part) => part.output()),
      this.ledger,
    )
    await runPipeline(this, merged, [], sink)
  }
}

function weightsOf({parts, weights}: {parts?: number; weights?: string}): number[] {
  if (weights !== undefined) return weights.split(',').map(Number)
  if (parts === undefined) throw new DartaError('DARTA_USAGE', 'give --parts N or --weights W,W,…')
  return Array<number>(parts).fill(1)
}
