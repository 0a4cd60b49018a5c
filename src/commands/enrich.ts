import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {openRecordSink, presentationOf} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {parseDuration, parsePositive} from '../cli/values.js'
import type {Attribute} from '../mediation/enrichment/attribute.js'
import {createEnricher, type Enricher} from '../mediation/enrichment/enrich.js'
import {createInterfaceNames} from '../mediation/enrichment/interface-names.js'
import {openMmdb, type Mmdb} from '../mediation/enrichment/mmdb.js'
import {labelAttribute, placeAttribute, type PlaceWord} from '../mediation/enrichment/places.js'
import {readPrefixLabels} from '../mediation/enrichment/prefix-labels.js'
import type {RecordStage} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import {createHostNames} from './enrich/host-names.js'
import {openResolver} from './enrich/resolver.js'
import {openSelected} from './filter/open-selected.js'
import {readInputFile} from './filter/read-input-file.js'

const duration = (defaultMs: number, words: string, summary: string) =>
  Flags.custom<number>({parse: async (input) => parseDuration(input)})({
    helpValue: 'DURATION',
    default: defaultMs,
    defaultHelp: async () => words,
    summary,
  })

const positive = (usual: number, summary: string) =>
  Flags.custom<number>({parse: async (input) => parsePositive(input)})({
    helpValue: 'N',
    default: usual,
    summary,
  })

/** The tables that the command line names, by where they are. */
interface TableFlags {
  readonly country?: string
  readonly city?: string
  readonly as?: string
  readonly 'as-names': boolean
  readonly labels?: string
}

export default class Enrich extends DartaCommand {
  static override summary = 'Put into records where their addresses are and what they are called.'
  static override description =
    'Countries, cities and autonomous systems come from databases in the MaxMind DB format, labels from a file of prefixes, ' +
    'names of hosts from the DNS, names of interfaces from Options Records of the stream. What a record has already stays; an AS ' +
    'number of 0 counts as none. Users are put in by user-map tag. On SIGHUP databases and labels are read again.'
  static override examples = [
    '<%= config.bin %> enrich -r lan.ipfix -w placed.ipfix --city GeoLite2-City.mmdb --as GeoLite2-ASN.mmdb',
    "<%= config.bin %> capture -i eth0 | <%= config.bin %> enrich --country country.mmdb | <%= config.bin %> print 'geo CH'",
    '<%= config.bin %> enrich -r lan.ipfix --labels networks.txt | <%= config.bin %> aggregate -A dartaSourceLabel -O bytes',
    '<%= config.bin %> enrich -r lan.ipfix --names --names-wait 5s -o ndjson',
  ]
  static override args = {
    expression: common.expression(
      'Only records that match, before anything is added; see darta-filter(1).',
    ),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    'line-buffered': common.lineBuffered,
    ...common.recordFilter,
    ...common.presentation,
    count: common.count,
    country: Flags.string({
      helpValue: 'FILE',
      summary: 'Countries of both addresses, by the database in FILE.',
    }),
    city: Flags.string({
      helpValue: 'FILE',
      summary: 'Countries and cities, by the database in FILE.',
    }),
    as: Flags.string({
      helpValue: 'FILE',
      summary: 'Autonomous systems of both addresses, by the database in FILE.',
    }),
    'as-names': Flags.boolean({
      dependsOn: ['as'],
      summary: 'Also who runs the autonomous systems.',
    }),
    labels: Flags.string({
      helpValue: 'FILE',
      summary: 'Labels of the longest prefixes that the addresses are in, by lines of FILE.',
    }),
    interfaces: Flags.boolean({
      summary: 'Names of interfaces, as records of the stream tell them before.',
    }),
    names: Flags.boolean({summary: 'Names of hosts, by the DNS.'}),
    resolver: Flags.string({
      helpValue: 'ADDRESS[:PORT]',
      multiple: true,
      multipleNonGreedy: true,
      dependsOn: ['names'],
      summary: 'Ask this server for names and not those of the system. May be repeated.',
    }),
    'names-wait': duration(1000, '1s', 'How long records wait for names at most; 0s: never.'),
    'names-at-once': positive(64, 'How many addresses are asked for at a time.'),
    'names-cache': positive(100_000, 'How many answers are kept.'),
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Enrich)
    const attributes = this.#tables(flags)
    if (attributes.length === 0 && !flags.names && !flags.interfaces) {
      throw new DartaError(
        'DARTA_USAGE',
        'give what to add: --country, --city, --as, --labels, --names or --interfaces; see --help',
      )
    }
    const resolver = flags.names ? openResolver(flags.resolver ?? []) : undefined
    const source = await openSelected(this, flags, this.operands(raw))
    let enricher: Enricher | undefined
    const open = (): Enricher => {
      const account = this.ledger.stage('enrich', 'records')
      enricher = createEnricher({
        attributes,
        account,
        interfaceNames: flags.interfaces ? createInterfaceNames() : undefined,
        hostNames:
          resolver &&
          createHostNames({
            ask: (address) => resolver.ask(address),
            now: () => performance.now(),
            waitMs: flags['names-wait'],
            concurrency: flags['names-at-once'],
            entries: flags['names-cache'],
            account,
          }),
      })
      return enricher
    }
    this.onHangUp(() => {
      try {
        enricher?.replace(this.#tables(flags))
        this.note('databases and labels were read again')
      } catch (error) {
        // Those so far serve on.
        this.report(error)
      }
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
    try {
      await runPipeline(this, source, [...limit, stageOf(open)], sink)
    } finally {
      // Nobody waits for what was not answered.
      resolver?.cancel()
    }
  }

  /** @throws DartaError DARTA_MMDB, DARTA_USAGE, DARTA_FILE_READ, DARTA_PERMISSION */
  #tables(flags: TableFlags): Attribute[] {
    const opened = new Map<string, Mmdb>()
    const places = (file: string | undefined, words: readonly PlaceWord[]): Attribute[] => {
      if (file === undefined || words.length === 0) return []
      let mmdb = opened.get(file)
      if (mmdb === undefined) {
        mmdb = openMmdb(readInputFile(file), file)
        opened.set(file, mmdb)
      }
      let told = false
      return [
        placeAttribute(mmdb, words, (error) => {
          if (!told) this.report(error)
          told = true
        }),
      ]
    }
    const cities: PlaceWord[] = flags.country === undefined ? ['country', 'city'] : ['city']
    const systems: PlaceWord[] = flags['as-names'] ? ['as', 'as-name'] : ['as']
    const {labels} = flags
    return [
      ...places(flags.country, ['country']),
      ...places(flags.city, cities),
      ...places(flags.as, systems),
      ...(labels === undefined
        ? []
        : [labelAttribute(readPrefixLabels(readInputFile(labels), labels))]),
    ]
  }
}

function stageOf(open: () => Enricher): RecordStage {
  return async function* (source) {
    let enricher: Enricher | undefined
    for await (const batches of source) {
      // Its account comes behind those of the inputs, which open theirs when they are read.
      enricher ??= open()
      yield await enricher.run(batches)
    }
  }
}
