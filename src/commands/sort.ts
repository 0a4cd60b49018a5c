import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {inputNames} from '../cli/record-input.js'
import {openRecordSink, presentationOf} from '../cli/record-output.js'
import {runPipeline} from '../cli/run-pipeline.js'
import {parseSize} from '../cli/values.js'
import type {Lane} from '../mediation/sorting/merge-sorted.js'
import type {Sorter} from '../mediation/sorting/sorter.js'
import type {RecordBatch, RecordStream} from '../record/batch.js'
import type {InformationElement} from '../record/element.js'
import {DartaError} from '../record/errors.js'
import {elementByName} from '../registry/lookup.js'
import {openSelected} from './filter/open-selected.js'
import {SORT_OCTETS, sorterOf, sortOf, type SortOptions} from './sort/sort-of.js'

export default class Sort extends DartaCommand {
  static override summary = 'Put records in order; drop those that came twice; merge sorted files.'
  static override description =
    'Records go out in the order of -O, by the time of their first packet unless said otherwise; those that agree stay in the order in ' +
    'which they came. What does not fit --max-memory goes to disk below TMPDIR. Options Records go first. Aggregates are ordered by ' +
    'aggregate -O.'
  static override examples = [
    '<%= config.bin %> sort -r lan.ipfix -w sorted.ipfix',
    '<%= config.bin %> sort -r lan.ipfix -O bytes -c 20 -o table',
    '<%= config.bin %> sort -r east.ipfix -r west.ipfix --unique --ignore exporterIPv4Address -w both.ipfix',
    '<%= config.bin %> sort --merge -r monday.ipfix -r tuesday.ipfix | <%= config.bin %> print',
  ]
  static override args = {
    expression: common.expression('Only records that match; see darta-filter(1) for the language.'),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    ...common.recordFilter,
    ...common.presentation,
    order: Flags.string({
      char: 'O',
      helpValue: 'KEY,…',
      default: 'tstart',
      summary:
        'Sort by tstart, tend, bytes, packets, duration, bps, pps, bpp, srcip, dstport … or an element; :a least first, :d greatest.',
    }),
    unique: Flags.boolean({
      exclusive: ['first'],
      summary: 'Drop records that are the same as another in all fields.',
    }),
    ignore: Flags.string({
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      dependsOn: ['unique'],
      summary: 'This element does not make records different. May be repeated.',
    }),
    first: Flags.boolean({
      summary: 'Of records that agree in all of -O only the first that came.',
    }),
    merge: Flags.boolean({
      summary:
        'Each input is in order already: merge them as they come, with no memory and no wait.',
    }),
    count: {...common.count, summary: 'Only the first N records in order.'},
    'max-memory': Flags.custom<number>({parse: async (input) => parseSize(input)})({
      helpValue: 'SIZE',
      default: SORT_OCTETS,
      defaultHelp: async () => '256Mi',
      summary: 'Most memory for records; what does not fit goes to disk.',
    }),
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Sort)
    const words = this.operands(raw)
    const options: SortOptions = {
      order: flags.order,
      drop: flags.unique ? 'same' : flags.first ? 'key' : undefined,
      ignored: (flags.ignore ?? []).map(elementOf),
      most: flags.count,
      maxOctets: flags['max-memory'],
    }
    const {write, output, force, compress} = flags
    const outputOptions = {
      ...{write, output, force, compress},
      options: presentationOf(flags, this.occurrences(raw, 'numeric')),
    }
    if (flags.merge) {
      const sorter = sorterOf(this, options)
      const names = await inputNames(flags.read)
      const lanes: Lane[] = []
      for (const name of names) {
        lanes.push(laneOf(await openSelected(this, {...flags, read: [name]}, words)))
      }
      const sink = await openRecordSink(this, outputOptions)
      return runPipeline(this, this.#merge(names, lanes, sorter), [], sink)
    }
    const sort = sortOf(this, options)
    const source = await openSelected(this, flags, words)
    const sink = await openRecordSink(this, outputOptions)
    await runPipeline(this, source, [sort], sink)
  }

  /** Merges inputs of which each is in order. */
  async *#merge(
    names: readonly string[],
    lanes: readonly Lane[],
    open: () => Sorter,
  ): AsyncGenerator<readonly RecordBatch[]> {
    const sorter = open()
    const disordered = new Set<number>()
    try {
      yield* sorter.merge(lanes, (lane) => {
        if (!disordered.has(lane)) {
          this.report(
            new DartaError(
              'DARTA_UNSORTED',
              `${names[lane]} is not in the order of -O, so neither is what goes out: leave --merge out`,
            ),
          )
        }
        disordered.add(lane)
      })
    } finally {
      sorter.close()
    }
  }
}

function laneOf(records: RecordStream): Lane {
  const iterator = records[Symbol.asyncIterator]()
  return {
    async next() {
      const result = await iterator.next()
      return result.done === true ? undefined : result.value
    },
  }
}

/** @throws DartaError DARTA_USAGE */
function elementOf(name: string): InformationElement {
  const element = elementByName(name)
  if (element === undefined) {
    throw new DartaError('DARTA_USAGE', `--ignore: no Information Element is named '${name}'`)
  }
  return element
}
