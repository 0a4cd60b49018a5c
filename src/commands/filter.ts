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
import {createRecordFilter, type RecordFilter} from '../mediation/filter/record-filter.js'
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
    const source = await openRecords(this, {read: flags.read, inputFormat: flags['input-format']})
    const open = (of: Expression): RecordFilter =>
      createRecordFilter(of, {
        invert: flags.invert,
        options: flags.options,
        strict: flags.strict,
        passed: !flags.count,
        failed: flags.fail !== undefined,
      })
    let recordFilter = open(expression)
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
    try {
      const matched = flags.count
        ? await this.#count(source, current, flags['max-count'])
        : await this.#write(source, current, flags, this.occurrences(raw, 'numeric'))
      if (flags['exit-match'] && matched === 0) this.answer(1)
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
  ): Promise<number> {
    const account = this.ledger.stage('filter', 'records')
    let sum = 0
    for await (const batches of source) {
      const {tested, matched, options} = filter.run(batches)
      enter(account, tested, matched, options)
      sum += matched
      if (sum >= most || this.signal.aborted) break
    }
    this.print(`${Math.min(sum, most)}\n`)
    return sum
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
  ): Promise<number> {
    const {output, force, compress} = flags
    if (flags.fail !== undefined && flags.fail === (flags.write ?? '-')) {
      throw new DartaError('DARTA_USAGE', '--fail and -w name the same output')
    }
    await chooseFormat({output, write: flags.write})
    const account = this.ledger.stage('filter', 'records')
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
      const matched = await this.#move(source, filter, account, sink, rest, flags['max-count'])
      await Promise.all([sink.end(), rest?.end()])
      return matched
    } catch (error) {
      await Promise.all([sink.abort(), rest?.abort()])
      throw error
    }
  }

  async #move(
    source: RecordStream,
    filter: Pick<RecordFilter, 'run'>,
    account: StageLedger,
    sink: RecordSink,
    rest: RecordSink | undefined,
    most = Infinity,
  ): Promise<number> {
    let sum = 0
    for await (const batches of source) {
      // Where the limit is reached no record behind the last one counts, also not as one that failed.
      const given = most === Infinity ? batches : cut(filter, batches, most - sum)
      const {passed, failed, tested, matched, options} = filter.run(given)
      enter(account, tested, matched, options)
      sum += matched
      if (passed.length > 0) await sink.write(passed)
      if (failed.length > 0) await rest?.write(failed)
      if (sum >= most || this.signal.aborted) break
    }
    return sum
  }
}

function enter(account: StageLedger, tested: number, matched: number, options: number): void {
  account.in += tested + options
  account.out += matched + options
  if (matched < tested) account.skip('no-match', tested - matched)
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
