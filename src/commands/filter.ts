import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {firstRecords} from '../cli/limit-records.js'
import {openRecords} from '../cli/record-input.js'
import {
  chooseFormat,
  openRecordSink,
  presentationOf,
  type RecordSink,
} from '../cli/record-output.js'
import {elementsOf, explainFilter, filterTree} from '../mediation/filter/explain.js'
import type {Expression} from '../mediation/filter/expression.js'
import {
  createRecordFilter,
  type Filtered,
  type RecordFilter,
} from '../mediation/filter/record-filter.js'
import type {RecordBatch, RecordStream} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import type {StageLedger} from '../record/ledger.js'
import {readFilter} from './filter/read-filter.js'

export default class Filter extends DartaCommand {
  static override summary = 'Keep the records that match an expression.'
  static override description =
    'The language is that of nfdump and tcpdump: proto, src, dst, host, net, port, flags, bytes, first seen …, joined by ' +
    'and, or and not. Any Information Element can be asked by its name, and list members with any(…). ' +
    'A record without a value does not match a test of it. Options Records pass unless --options says otherwise.'
  static override examples = [
    "<%= config.bin %> filter -r lan.ipfix 'proto tcp and dst port 443 and net 10.0.0.0/8'",
    "<%= config.bin %> filter -r lan.ipfix -w web.ipfix --fail rest.ipfix 'port in [80 443 8000-8100]'",
    "<%= config.bin %> filter -r lan.ipfix --count 'src ip in @blocked.txt'",
    "<%= config.bin %> filter --explain 'flags S and not flags AFRPU'",
  ]
  static override args = {
    expression: common.expression('What records must match; several words are one expression.'),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    'line-buffered': common.lineBuffered,
    ...common.recordFilter,
    ...common.presentation,
    fail: Flags.string({
      helpValue: 'FILE',
      summary: 'Write the records that do not match to FILE.',
    }),
    invert: Flags.boolean({summary: 'Keep the records that do not match.'}),
    count: Flags.boolean({
      exclusive: ['fail', 'write'],
      summary: 'Write only how many records match.',
    }),
    'max-count': {...common.count, summary: 'Stop after N records that match.'},
    'exit-match': Flags.boolean({
      char: 'e',
      summary: 'End with status 0 if a record matched, 1 if none did, 2 in trouble, as grep.',
    }),
    options: Flags.option({options: ['pass', 'drop', 'test'] as const})({
      helpValue: 'pass|drop|test',
      default: 'pass',
      summary: 'What becomes of Options Records; test asks them as all others.',
    }),
    strict: Flags.boolean({
      summary: 'Fail when records have nothing that a test asks for, instead of not matching.',
    }),
    check: Flags.boolean({
      exclusive: ['explain', 'ast'],
      summary: 'Only look whether the expression is understood: status 0 or 2.',
    }),
    explain: Flags.boolean({
      exclusive: ['ast'],
      summary: 'Write how the expression is understood and what it reads.',
    }),
    ast: Flags.boolean({summary: 'Write the tree of the expression as JSON.'}),
  }

  #likeGrep = false
  #account: StageLedger | undefined
  #matched = 0

  /** As of grep(1): 1 says that nothing matched. */
  protected override exitCodeFor(error: DartaError): number {
    const code = super.exitCodeFor(error)
    return this.#likeGrep && code === 1 ? 2 : code
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Filter)
    this.#likeGrep = flags['exit-match']
    const words = this.operands(raw)
    const {filter, 'filter-file': file, 'time-range': timeRange} = flags
    const read = (): Expression | undefined => readFilter({words, filter, file, timeRange})
    const expression = read()
    if (expression === undefined) {
      throw new DartaError(
        'DARTA_USAGE',
        "give an expression, like 'proto tcp and port 443', or -F FILE; any is all records; see --help",
      )
    }
    if (flags.check) return this.detail('the filter is sound')
    if (flags.ast) return this.print(`${JSON.stringify(filterTree(expression), null, 2)}\n`)
    if (flags.explain) return this.#explain(expression)
    const open = (of: Expression): RecordFilter =>
      createRecordFilter(of, {
        invert: flags.invert,
        options: flags.options,
        strict: flags.strict,
        passed: !flags.count,
        failed: flags.fail !== undefined,
        sifted: (tested, matched) => {
          this.#enter({tested, matched, options: 0})
        },
      })
    let recordFilter = open(expression)
    const source = await openRecords(this, {
      read: flags.read,
      inputFormat: flags['input-format'],
      ...((await maySift(flags)) && {sift: () => recordFilter.sift}),
    })
    this.onHangUp(() => {
      try {
        const next = open(read() ?? expression)
        recordFilter.close()
        recordFilter = next
        this.note('the filter and the files that it names were read again')
      } catch (error) {
        // The one so far serves on.
        this.report(error)
      }
    })
    const current: Pick<RecordFilter, 'run'> = {run: (batches) => recordFilter.run(batches)}
    this.#account = this.ledger.stage('filter', 'records')
    try {
      if (flags.count) await this.#count(source, current, flags['max-count'])
      else await this.#write(source, current, flags, this.occurrences(raw, 'numeric'))
      if (flags['exit-match'] && this.#matched === 0) this.answer(1)
    } finally {
      recordFilter.close()
    }
  }

  #explain(expression: Expression): void {
    const elements = elementsOf(expression)
    const reads = elements.length === 0 ? '' : `reads ${elements.join(' ')}\n`
    this.print(`${explainFilter(expression)}${reads}`)
  }

  async #count(
    source: RecordStream,
    filter: Pick<RecordFilter, 'run'>,
    most = Infinity,
  ): Promise<void> {
    for await (const batches of source) {
      this.#enter(filter.run(batches))
      if (this.#matched >= most || this.signal.aborted) break
    }
    this.print(`${Math.min(this.#matched, most)}\n`)
  }

  async #write(
    source: RecordStream,
    filter: Pick<RecordFilter, 'run'>,
    flags: {
      readonly write?: string
      readonly fail?: string
      readonly output?: string
      readonly force: boolean
      readonly compress?: Parameters<typeof openRecordSink>[1]['compress']
      readonly 'line-buffered': boolean
      readonly 'max-count'?: number
    } & Parameters<typeof presentationOf>[0],
    numeric: number,
  ): Promise<void> {
    const {output, force, compress} = flags
    if (flags.fail !== undefined && flags.fail === (flags.write ?? '-')) {
      throw new DartaError('DARTA_USAGE', '--fail and -w name the same output')
    }
    await chooseFormat({output, write: flags.write})
    const options = {
      ...{output, force, compress, lineBuffered: flags['line-buffered']},
      options: presentationOf(flags, numeric),
    }
    const sink = await openRecordSink(this, {...options, write: flags.write})
    let rest: RecordSink | undefined
    try {
      if (flags.fail !== undefined) {
        rest = await openRecordSink(this, {...options, write: flags.fail})
      }
      this.onFlush(() => {
        for (const one of [sink, rest]) void one?.flush().catch(() => {})
      })
      await this.#move(source, filter, sink, rest, flags['max-count'])
      await Promise.all([sink.end(), rest?.end()])
    } catch (error) {
      await Promise.all([sink.abort(), rest?.abort()])
      throw error
    }
  }

  async #move(
    source: RecordStream,
    filter: Pick<RecordFilter, 'run'>,
    sink: RecordSink,
    rest: RecordSink | undefined,
    most = Infinity,
  ): Promise<void> {
    for await (const batches of source) {
      // Where the limit is reached no record behind the last one counts, also not as one that failed.
      const given = most === Infinity ? batches : cut(filter, batches, most - this.#matched)
      const {passed, failed, ...counts} = filter.run(given)
      this.#enter(counts)
      if (passed.length > 0) await sink.write(passed)
      if (failed.length > 0) await rest?.write(failed)
      if (this.#matched >= most || this.signal.aborted) break
    }
  }

  /** Books records that were asked, those that passed, and Options Records that were not asked. */
  #enter({tested, matched, options}: Pick<Filtered, 'tested' | 'matched' | 'options'>): void {
    const account = this.#account!
    account.in += tested + options
    account.out += matched + options
    if (matched < tested) account.skip('no-match', tested - matched)
    this.#matched += matched
  }
}

/**
 * Whether records may be left out and put together before they come here. Text shows Messages as they were, and whoever counts up
 * to a limit has to see each record.
 */
async function maySift(flags: {
  readonly count: boolean
  readonly 'max-count'?: number
  readonly output?: string
  readonly write?: string
}): Promise<boolean> {
  if (flags['max-count'] !== undefined) return false
  return flags.count || ['ipfix', 'null'].includes((await chooseFormat(flags)).name)
}

/** The records up to the one with which `most` have matched; all if fewer do. */
function cut(
  filter: Pick<RecordFilter, 'run'>,
  batches: readonly RecordBatch[],
  most: number,
): readonly RecordBatch[] {
  if (filter.run(batches).matched <= most) return batches
  const taken: RecordBatch[] = []
  let left = most
  for (const batch of batches) {
    const {matched} = filter.run([batch])
    if (matched < left) {
      taken.push(batch)
      left -= matched
      continue
    }
    // The least number of records among which `left` match.
    let [low, high] = [0, batch.count]
    while (low < high) {
      const middle = (low + high) >> 1
      if (filter.run([firstRecords(batch, middle)]).matched < left) low = middle + 1
      else high = middle
    }
    taken.push(firstRecords(batch, low))
    return taken
  }
  return taken
}
