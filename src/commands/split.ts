import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import {detectFormat} from '../cli/find-format.js'
import * as common from '../cli/flags.js'
import {inputNames, openRecords} from '../cli/record-input.js'
import {openOctetSink, openRecordSink} from '../cli/record-output.js'
import {checkPattern, placeName, type Place, type Rotation} from '../cli/rotation.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {tlsCredentials} from '../cli/tls-flags.js'
import {parseDuration, parseSize} from '../cli/values.js'
import type {Endpoint} from '../io/endpoint.js'
import {openInput} from '../io/open-input.js'
import {createDivider, type Divider} from '../metering/divider.js'
import {selectorByName} from '../metering/selector-by-name.js'
import {shareProgram} from '../metering/share-bpf.js'
import {shareExpression} from '../metering/share-expression.js'
import {ownedSlots, parseShare} from '../metering/share.js'
import {DartaError} from '../record/errors.js'
import type {Hook} from './collect/hook.js'
import {asksForGroup, groupSplitFlags} from './group/split-flags.js'
import {childDestination, endWithJoined, type ChildDestination} from './split/child-destination.js'
import type {Destination} from './split/destination.js'
import {captureDivision} from './split/divide-capture.js'
import {openSelection, selectStage} from './filter/open-selected.js'
import {divideRecords} from './split/divide-records.js'
import {fileDestination} from './split/file-destination.js'

export default class Split extends DartaCommand {
  static override summary =
    'Divide a capture or a stream of records into parts that belong together.'
  static override description =
    'Every packet and record goes to exactly one part. What decides is a hash of addresses and protocol, the same one that ' +
    'divides a live link (capture --share), so that both directions and all fragments of a Flow stay together; ' +
    'or --by packets, each in its turn. Parts are files, child commands or sockets. -G and -C begin new files by time and size, ' +
    'each part its own or, without parts, the whole stream.'
  static override examples = [
    "<%= config.bin %> split -r big.pcap --parts 4 -w 'part-%d.pcap'",
    "<%= config.bin %> split -r big.pcap --parts 2 --exec 'tcpdump -n -r - -w out-%d.pcap tcp'",
    "<%= config.bin %> split -r flows.ipfix --parts 3 --exec '<%= config.bin %> analyze top -o ipfix' --join -o ndjson",
    "<%= config.bin %> split -r big.pcap -G 5m -w 'trace-%Y%m%d-%H%M.pcap'",
    "<%= config.bin %> split -r big.pcap --parts 2 -C 1G -w 'part-%d-%n.pcap'",
    '<%= config.bin %> split --to unix:/run/zeek-1.sock --to tcp://192.0.2.7:4739',
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
    match: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'EXPR',
      exclusive: ['parts', 'weights'],
      summary:
        'A part for what this filter lets pass, and no --match before it did; may be repeated. One more part has the rest.',
    }),
    by: common.by,
    'share-seed': Flags.integer({
      min: 0,
      helpValue: 'N',
      default: 0,
      summary: 'Of the hash; parts are those of capture --share with the same one.',
    }),
    write: Flags.string({
      char: 'w',
      helpValue: 'PATTERN',
      exclusive: ['exec', 'to'],
      summary:
        'Write files named so; %d is the number of the part, %n of the file in its series, %03d the same with zeros.',
    }),
    exec: Flags.string({
      helpValue: 'CMD',
      exclusive: ['to'],
      summary:
        'Start this command for each part, which reads its part on standard input; %d is the number.',
    }),
    to: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'URL',
      summary:
        'Send parts to unix:PATH, tcp://HOST:PORT or tls://HOST:PORT, where somebody listens; once for each part, or once with %d in it.',
    }),
    restart: Flags.boolean({
      summary:
        'Start a command that ends early again, or connect again; what cannot be given meanwhile is lost, and counted.',
    }),
    rotate: Flags.custom<number>({parse: async (input) => parseRotation(input)})({
      char: 'G',
      helpValue: 'DURATION',
      summary:
        'Begin new files (or commands) every DURATION, aligned to the clock; -w has letters of strftime(3), and %i is the part.',
    }),
    'rotate-size': Flags.custom<number>({parse: async (input) => parseSize(input)})({
      char: 'C',
      helpValue: 'SIZE',
      dependsOn: ['write'],
      summary: 'Begin a new file rather than let one get larger than SIZE.',
    }),
    'rotate-files': Flags.integer({
      char: 'W',
      min: 1,
      helpValue: 'COUNT',
      dependsOn: ['rotate-size'],
      summary: 'Keep COUNT files of each part: after the last one the first is written anew.',
    }),
    compress: {...common.compress, dependsOn: ['write']},
    hook: Flags.string({
      char: 'x',
      helpValue: 'CMD',
      dependsOn: ['write'],
      summary:
        'Run this for each file that is whole: %f is the file, %d its folder, %b its name, %t and %u the start of its period, %i the part.',
    }),
    join: Flags.boolean({
      dependsOn: ['exec'],
      exclusive: ['rotate'],
      summary:
        'Merge what the commands write into one stream: records in the order of export times, captures in that of packets.',
    }),
    ...common.recordFilter,
    output: {
      ...common.output,
      summary: 'Format of record parts, or of the joined stream: ipfix unless said otherwise.',
    },
    force: common.force,
    'print-filter': Flags.string({
      helpValue: 'I/N',
      exclusive: ['read', 'parts', 'weights', 'write', 'exec', 'to', 'rotate'],
      summary: 'Only print the share I/N as a filter that any libpcap program takes.',
    }),
    drift: Flags.boolean({
      exclusive: ['parts', 'weights', 'write', 'exec', 'to', 'rotate', 'print-filter'],
      summary:
        'Only compare what nodes with capture --by packets wrote, one input each: whether they count alike.',
    }),
    as: Flags.option({options: ['expression', 'bpf'] as const})({
      helpValue: 'expression|bpf',
      dependsOn: ['print-filter'],
      summary: 'Print pcap-filter(7), the default, or the instructions as tcpdump -ddd does.',
    }),
    ...groupSplitFlags,
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Split)
    // What only some uses need is loaded where they begin: sockets alone take longer than a small file.
    if (asksForGroup(flags)) {
      const {runGroup} = await import('./group/split-group.js')
      return runGroup(this, flags)
    }
    if (flags.drift) {
      const {compareCounts} = await import('./split/compare-counts.js')
      await compareCounts(this, await inputNames(flags.read))
      return
    }
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
    const {weights, numbered} = weightsOf(flags)
    const rotation: Rotation = {
      periodMs: flags.rotate,
      octets: flags['rotate-size'],
      files: flags['rotate-files'],
    }
    const sockets = await checkDestinations(flags, numbered ? weights.length : 0, rotation)
    const credentials = await tlsCredentials(flags, sockets)
    const hashed = createDivider(weights, selector, seed)
    const names = await inputNames(flags.read)
    const first = await openInput(names[0], this)
    const kind = first.head.length === 0 ? undefined : await detectFormat(first.head)
    const unit = kind?.startsWith('pcap') === true ? 'packets' : 'records'
    const select = await openSelection(
      {filter: flags.filter, file: flags['filter-file'], timeRange: flags['time-range']},
      () => this.ledger.stage('filter', 'records'),
    )
    if (select !== undefined && unit === 'packets') {
      throw new DartaError('DARTA_USAGE', '-f and -F choose records, and this is a capture')
    }
    const records =
      unit === 'records' ? await openRecords(this, {read: flags.read, first}) : undefined
    const source = records && select ? selectStage(select)(records, this) : records
    const divider = flags.match === undefined ? hashed : await openMatchDivider(flags.match, unit)
    const account = this.ledger.stage('split', unit)
    const children: ChildDestination[] = []
    const openChild = (place: Place): Promise<ChildDestination> => {
      const {exec, restart, join: takeOutput} = flags
      return childDestination(this, place, {command: exec!, rotation, restart, takeOutput, unit})
    }
    const open = async (place: Place): Promise<Destination> => {
      if (flags.write !== undefined) {
        const {write: pattern, force, compress} = flags
        let hook: Hook | undefined
        if (flags.hook !== undefined) {
          const {createHook} = await import('./collect/hook.js')
          hook = createHook(this, flags.hook, String(place.part ?? 1))
        }
        return fileDestination(this, place, {pattern, rotation, force, compress, hook})
      }
      if (flags.to !== undefined) {
        const {socketDestination} = await import('./split/socket-destination.js')
        return socketDestination(
          this,
          socketName(flags.to, place),
          flags.restart,
          unit,
          credentials,
        )
      }
      return children[(place.part ?? 1) - 1] ?? openChild(place)
    }
    let joined: Promise<void> | undefined
    if (flags.join) {
      // All of them: the stream of their outputs is opened before they are given anything.
      for (let part = 1; part <= divider.parts; part++) {
        children.push(await openChild({part, file: 1}))
      }
      joined = this.#join(children, flags)
      endWithJoined(this, joined, children)
    }
    if (source !== undefined) {
      const format = (flags.join ? undefined : flags.output) ?? 'ipfix'
      await divideRecords(this, source, format, divider, rotation, numbered, open, account)
    } else {
      const division = await captureDivision(divider, rotation, numbered, open, account)
      try {
        await division.divide(first, this)
        for (const name of names.slice(1)) {
          if (this.stopping.aborted) break
          const input = await openInput(name, this)
          await division.divide(input, this)
          await input.close()
        }
        await division.end()
      } catch (error) {
        await division.abort()
        throw error
      }
    }
    await first.close()
    await joined
  }

  async #join(
    children: readonly ChildDestination[],
    flags: {readonly output?: string; readonly force?: boolean},
  ): Promise<void> {
    const {joinEither} = await import('./split/join-outputs.js')
    const joined = await joinEither(
      children.map((child) => child.output()),
      this.ledger,
    )
    if (joined.kind === 'records') {
      const sink = await openRecordSink(this, {output: flags.output, force: flags.force})
      await runPipeline(this, joined.records, [], sink)
      return
    }
    if (flags.output !== undefined) {
      throw new DartaError(
        'DARTA_USAGE',
        '-o chooses a format of records; the commands write captures',
      )
    }
    const sink = await openOctetSink(this, {}, 'a capture', true)
    try {
      for await (const octets of joined.octets) await sink.write(octets)
      await sink.end()
    } catch (error) {
      await sink.abort()
      throw error
    }
  }
}

interface WhereFlags {
  readonly parts?: number
  readonly weights?: string
  readonly match?: string[]
  readonly write?: string
  readonly exec?: string
  readonly to?: string[]
  readonly rotate?: number
  readonly 'rotate-size'?: number
  readonly restart: boolean
}

/** Sizes of the parts; `numbered`: there may be several, so that they have numbers. */
function weightsOf(flags: WhereFlags): {weights: number[]; numbered: boolean} {
  const {parts, weights, to, match} = flags
  if (match !== undefined) return {weights: [...match, 'rest'].map(() => 1), numbered: true}
  if (weights !== undefined) return {weights: weights.split(',').map(Number), numbered: true}
  if (parts !== undefined) return {weights: Array<number>(parts).fill(1), numbered: true}
  if (to !== undefined) return {weights: to.map(() => 1), numbered: true}
  if (flags.rotate !== undefined || flags['rotate-size'] !== undefined) {
    return {weights: [1], numbered: false}
  }
  throw new DartaError(
    'DARTA_USAGE',
    'give --parts N, --weights W,W,… or --match EXPR, or -G or -C for parts by time or size',
  )
}

/** @throws DartaError DARTA_USAGE */
async function checkDestinations(
  flags: WhereFlags,
  parts: number,
  rotation: Rotation,
): Promise<readonly Endpoint[]> {
  const {write, exec, to, restart, rotate} = flags
  let sockets: Endpoint[] = []
  if (write !== undefined) checkPattern(write, parts, rotation)
  else if (to !== undefined) {
    if (rotate !== undefined) {
      throw new DartaError('DARTA_USAGE', '-G begins new files and commands, which sockets are not')
    }
    if (to.length !== 1 && to.length !== parts) {
      throw new DartaError('DARTA_USAGE', `${parts} parts cannot go to ${to.length} sockets`)
    }
    const names = Array.from({length: parts}, (_, i) => socketName(to, {part: i + 1, file: 1}))
    const {parseSocketUrl} = await import('../io/connect-socket.js')
    sockets = names.map(parseSocketUrl)
    if (new Set(names).size < parts) {
      throw new DartaError('DARTA_USAGE', '--to names two parts alike; put %d in it')
    }
  } else if (exec === undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      "give -w 'part-%d.pcap', --exec CMD or --to URL: where the parts go",
    )
  }
  if (restart && write !== undefined) {
    throw new DartaError('DARTA_USAGE', '--restart is for commands and sockets: files stay')
  }
  return sockets
}

function socketName(to: readonly string[], place: Place): string {
  return placeName(to.length === 1 ? to[0] : to[(place.part ?? 1) - 1], place)
}

/** Loaded where it is needed, as the language of filters is. */
async function openMatchDivider(match: string[], unit: 'packets' | 'records'): Promise<Divider> {
  const {matchDivider} = await import('./split/match-divider.js')
  return matchDivider(match, unit)
}

/** Of `-G`: milliseconds, at least a second. */
function parseRotation(input: string): number {
  const ms = parseDuration(input)
  if (ms >= 1000 && Number.isInteger(ms)) return ms
  throw new DartaError('DARTA_USAGE', `a period has at least a second, not '${input}'`)
}
