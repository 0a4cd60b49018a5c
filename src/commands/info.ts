import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import {detectFormat, formatByName} from '../cli/find-format.js'
import * as common from '../cli/flags.js'
import {showProgress} from '../cli/progress.js'
import {inputNames} from '../cli/record-input.js'
import {openInput, type OpenInput} from '../io/open-input.js'
import {md5Of} from '../io/md5.js'
import {createChecker} from '../ipfix/check.js'
import {DartaError} from '../record/errors.js'
import {Ledger} from '../record/ledger.js'
import type {RecordBatch} from '../record/batch.js'
import {meterOptions} from './capture/meter-options.js'
import {ofInput} from './capture/of-input.js'
import {openMeter} from './capture/open-meter.js'
import {surveyCapture, type CaptureReport} from './info/capture-report.js'
import {surveyMessages, type MessageReport} from './info/message-report.js'
import {surveyRecords, type RecordReport} from './info/record-report.js'
import {createRecordSums} from './info/record-sums.js'
import {createRecordDigest, digestDifferences, type RecordDigest} from './info/record-digest.js'
import {openSelection, type Selection} from './filter/open-selected.js'
import {reportText} from './info/report-text.js'
import {toJson} from './info/report.js'

type Report = MessageReport | RecordReport | CaptureReport

export default class Info extends DartaCommand {
  static override summary =
    'Say what is in files of records and captures, and whether they are sound.'
  static override description =
    'Of IPFIX: Messages, Sets, records by Template, time spans, breaks of the sequence numbers, padding and damage, ' +
    'each with its octet. Of captures: frames, link types, times, what is not IP and what is damaged.'
  static override examples = [
    '<%= config.bin %> info -r lan.ipfix',
    '<%= config.bin %> info -r lan.ipfix --totals',
    '<%= config.bin %> info -r lan.ipfix --templates',
    '<%= config.bin %> info -r export.ipfix --check && echo sound',
    '<%= config.bin %> info --compare -r monday.ipfix -r copy.ndjson',
    '<%= config.bin %> info -r lan.pcap -o json',
  ]
  static override flags = {
    ...common.recordInput,
    totals: Flags.boolean({
      summary: 'Only how many records, octets and packets; the fast way.',
      exclusive: ['templates', 'check', 'compare'],
    }),
    filter: {...common.filter, dependsOn: ['totals']},
    'filter-file': {...common.filterFile, dependsOn: ['totals']},
    'time-range': {...common.timeRange, dependsOn: ['totals']},
    templates: Flags.boolean({
      summary: 'Write each Template as Information Element Specifiers (RFC 7013).',
      exclusive: ['check', 'compare'],
    }),
    check: Flags.boolean({
      summary:
        'Hold IPFIX Messages against RFC 7011 and write each violation; status 1 if there is any.',
    }),
    compare: Flags.boolean({
      summary:
        'Whether two inputs hold the same Data Records in any order: status 0 if so, 1 if not, 2 in trouble.',
      exclusive: ['check'],
    }),
    output: Flags.option({options: ['text', 'ndjson', 'json'] as const, char: 'o'})({
      helpValue: 'text|ndjson|json',
      default: 'text',
      summary: 'Output format.',
    }),
  }

  #comparing = false

  /** As of diff(1) and cmp(1). */
  protected override exitCodeFor(error: DartaError): number {
    if (!this.#comparing) return super.exitCodeFor(error)
    return error.code === 'DARTA_DIFFERENT' ? 1 : 2
  }

  protected async execute(): Promise<void> {
    const {flags} = await this.parse(Info)
    this.#comparing = flags.compare
    const names = await inputNames(flags.read)
    if (flags.compare) return this.#compare(names, flags)
    const select = await openSelection(
      {filter: flags.filter, file: flags['filter-file'], timeRange: flags['time-range']},
      () => this.#account('filter', 'records'),
    )
    for (const name of names) {
      if (this.stopping.aborted) break
      try {
        await this.#one(name, flags, select)
      } catch (error) {
        if (!(error instanceof DartaError) || error.code === 'DARTA_FILE_WRITE') throw error
        this.report(ofInput(name, error))
      }
    }
  }

  async #one(
    name: string,
    flags: {
      readonly 'input-format'?: string
      readonly totals: boolean
      readonly templates: boolean
      readonly check: boolean
      readonly output: 'text' | 'ndjson' | 'json'
    },
    select: Selection | undefined,
  ): Promise<void> {
    const input = await openInput(name, this)
    const format = flags['input-format'] ?? (await detectFormat(input.head))
    if (format === undefined && input.head.length > 0) {
      const hex = Buffer.from(input.head.subarray(0, 4)).toString('hex')
      const words = `${name} begins with ${hex}, which is no format darta knows`
      throw new DartaError('DARTA_FORMAT_UNKNOWN', words, 0)
    }
    const json = (value: object): void =>
      this.print(`${toJson({file: name, ...value}, flags.output === 'json' ? 2 : undefined)}\n`)
    const text = flags.output === 'text'
    if (flags.check) return this.#check(input, format ?? 'ipfix', text ? undefined : json)
    if (flags.totals) {
      const totals = await this.#totals(input, format ?? 'ipfix', select)
      if (!text) return json(totals)
      const words = Object.entries(totals).map(([what, n]) => `${n ?? 'more than 2^64'} ${what}`)
      return this.print(`${name}: ${words.join(', ')}\n`)
    }
    if (format === undefined) return text ? this.print(`${name}: empty\n`) : json({format: 'empty'})
    const report = await this.#survey(input, format)
    if (flags.templates) return this.#templates(report, text ? undefined : json)
    const {codec} = input
    if (text) return this.print(reportText(name, report, codec))
    return json({...report, ...(codec !== undefined && {compression: codec})})
  }

  async #survey(input: OpenInput, format: string): Promise<Report> {
    if (format === 'pcap' || format === 'pcapng') {
      const meter = await openMeter(this, 'auto', meterOptions(captureFlags))
      try {
        const survey = surveyCapture(format, meter)
        await this.#feed(input, (octets) => survey.push(octets))
        const report = survey.end()
        const account = this.#account('capture', 'packets')
        const {frames, ipPackets, skipped, lost} = survey.counters()
        account.in += frames
        account.out += ipPackets
        for (const [kind, n] of skipped) account.skip(kind, n)
        for (const [reason, n] of lost) account.lose(reason, n)
        return report
      } finally {
        meter.close()
      }
    }
    if (format === 'ipfix') {
      const ledger = new Ledger()
      const survey = surveyMessages(ledger, input.name)
      await this.#feed(input, (octets) => survey.push(octets))
      const report = survey.end()
      this.#add(ledger)
      return report
    }
    const survey = surveyRecords(format)
    await this.#decode(input, format, (batches) => survey.add(batches))
    return survey.end()
  }

  /** Records, octets and packets. */
  async #totals(
    input: OpenInput,
    format: string,
    select: Selection | undefined,
  ): Promise<Record<string, number | bigint | null>> {
    if (format === 'pcap' || format === 'pcapng') {
      if (select !== undefined) {
        throw new DartaError('DARTA_USAGE', '-f and -F choose records, and this is a capture')
      }
      const report = (await this.#survey(input, format)) as CaptureReport
      return {frames: report.frames, octets: report.ipOctets, packets: report.ipPackets}
    }
    let records = 0
    const sums = createRecordSums(false)
    await this.#decode(input, format, (batches) => {
      const data = (select?.(batches) ?? batches).filter(({template}) => template.scopeCount === 0)
      for (const {count} of data) records += count
      sums.add(data)
    })
    const {octets, packets} = sums.sums()
    sums.close()
    return {records, octets: octets ?? null, packets: packets ?? null}
  }

  async #compare(
    names: readonly string[],
    flags: {readonly 'input-format'?: string; readonly output: 'text' | 'ndjson' | 'json'},
  ): Promise<void> {
    const [first, second] = names
    if (first === undefined || second === undefined || names.length > 2) {
      throw new DartaError('DARTA_USAGE', '--compare needs two inputs: -r FILE -r FILE')
    }
    // Loaded where it is needed: crypto takes longer than a small file.
    const {randomInt} = await import('node:crypto')
    const seed = randomInt(2 ** 32)
    const digestOf = async (name: string): Promise<RecordDigest> => {
      const input = await openInput(name, this)
      const format = flags['input-format'] ?? (await detectFormat(input.head)) ?? 'ipfix'
      if (format.startsWith('pcap')) {
        throw new DartaError('DARTA_USAGE', `--compare: ${name} is a capture; it holds no records`)
      }
      const digest = createRecordDigest(seed)
      await this.#decode(input, format, (batches) => {
        digest.add(batches.filter(({template}) => template.scopeCount === 0))
      })
      return digest
    }
    const digests = [await digestOf(first), await digestOf(second)] as const
    const differences = digestDifferences([first, second], digests)
    if (flags.output !== 'text') {
      const indent = flags.output === 'json' ? 2 : undefined
      this.print(`${toJson({files: names, same: differences.length === 0, differences}, indent)}\n`)
    } else if (differences.length > 0) this.print(`${differences.join('\n')}\n`)
    if (differences.length > 0) {
      throw new DartaError('DARTA_DIFFERENT', `${first} and ${second} hold different records`)
    }
    this.note(`${first} and ${second} hold the same records`)
  }

  #templates(report: Report, json: ((value: object) => void) | undefined): void {
    if (!('templates' in report)) {
      throw new DartaError('DARTA_USAGE', '--templates: a capture has none')
    }
    for (const template of report.templates) {
      if (json !== undefined) json(template)
      else {
        const {fields, records} = template
        const title =
          'templateId' in template
            ? `template ${template.templateId} of domain ${template.observationDomainId}`
            : 'kind'
        this.print(`# ${title}, ${records} records\n${fields.join('\n')}\n`)
      }
    }
  }

  async #check(
    input: OpenInput,
    format: string,
    json: ((value: object) => void) | undefined,
  ): Promise<void> {
    if (format !== 'ipfix') {
      throw new DartaError('DARTA_USAGE', `--check is for IPFIX, and ${input.name} is ${format}`)
    }
    let violations = 0
    let lines = ''
    const checker = createChecker(({offset, message, rule}) => {
      violations++
      const [rfc, section] = rule.split(' ')
      lines +=
        json === undefined
          ? `${input.name}: octet ${offset}: ${message} (RFC ${rfc} section ${section})\n`
          : `${toJson({file: input.name, octet: offset, message, rfc: Number(rfc), section})}\n`
    }, md5Of)
    const tell = (): void => {
      if (lines !== '') this.print(lines)
      lines = ''
    }
    await this.#feed(input, (octets) => {
      checker.push(octets)
      tell()
    })
    checker.finish()
    tell()
    if (violations > 0) {
      const times = violations === 1 ? 'one place' : `${violations} places`
      throw new DartaError('DARTA_NOT_CONFORMING', `${input.name} breaks RFC 7011 in ${times}`)
    }
    const {digests} = checker
    const verified = digests === 0 ? '' : `, ${digests} Message digests are right`
    this.note(`${input.name} keeps to RFC 7011${verified}`)
  }

  async #decode(
    input: OpenInput,
    name: string,
    take: (batches: readonly RecordBatch[]) => void,
  ): Promise<void> {
    const {format} = await formatByName(name, '--input-format')
    if (format.decoder === undefined) {
      throw new DartaError('DARTA_USAGE', `--input-format: ${name} can be written but not read`)
    }
    const ledger = new Ledger()
    const decoder = format.decoder({ledger, source: input.name})
    await this.#feed(input, (octets) => take(decoder.push(octets)))
    take(decoder.end())
    this.#add(ledger)
  }

  async #feed(input: OpenInput, take: (octets: Uint8Array) => void): Promise<void> {
    const done = showProgress(input.name, input.progress, this.quiet)
    try {
      for await (const octets of input.octets) take(octets)
    } finally {
      done()
    }
  }

  #account(stage: string, unit: Ledger['stages'][number]['unit']): Ledger['stages'][number] {
    const known = this.ledger.stages.find((one) => one.stage === stage && one.unit === unit)
    return known ?? this.ledger.stage(stage, unit)
  }

  /** Adds the account of one input to that of the command. */
  #add(ledger: Ledger): void {
    for (const one of ledger.stages) {
      const all = this.#account(one.stage, one.unit)
      all.in += one.in
      all.out += one.out
      for (const [reason, n] of one.skipped) all.skip(reason, n)
      for (const [reason, n] of one.lost) all.lose(reason, n, one.firstOffset.get(reason))
      for (const [reason, n] of one.missing) all.miss(reason, n, one.firstOffset.get(reason))
      for (const [reason, n] of one.noted) all.note(reason, n, one.firstOffset.get(reason))
    }
  }
}

/** Packet Reports of no octets: all packets are dissected and nothing is kept of them. */
const captureFlags = {
  emit: 'packets',
  biflow: false,
  decap: false,
  precision: 'ms',
  section: 0,
  'on-full': 'evict',
} as const
