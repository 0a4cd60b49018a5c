import * as Flags from '@oclif/core/flags'
import {DartaCommand} from '../cli/base-command.js'
import * as common from '../cli/flags.js'
import {limitRecords} from '../cli/limit-records.js'
import {openRecordSink, presentationOf, type RecordSink} from '../cli/record-output.js'
import {parseDuration} from '../cli/values.js'
import {createAggregator, type Aggregator} from '../mediation/aggregation/aggregator.js'
import {distributions} from '../mediation/aggregation/derive.js'
import {
  columnMeasure,
  distinctMeasure,
  meanMeasure,
  quantileMeasure,
  type Measure,
} from '../mediation/aggregation/measure.js'
import {FIVE_TUPLE, parseStatistic} from '../processing/analysis/statistic.js'
import type {RecordStream} from '../record/batch.js'
import {DartaError} from '../record/errors.js'
import {
  columnNumber,
  columnOrder,
  computedOrder,
  type GroupOrder,
} from '../record/group-selection.js'
import {flowKey, networkKeys, type FlowKey} from '../registry/flow-keys.js'
import {openSpillFile} from './aggregate/spill-file.js'
import {openSelected} from './filter/open-selected.js'

/** Rows of `-s` where `-k` does not say. */
const TOP = 10

const texts = (summary: string, value = 'NAME') =>
  Flags.string({multiple: true, multipleNonGreedy: true, helpValue: value, summary})

export default class Aggregate extends DartaCommand {
  static override summary = 'Group records by key and time: sums, extremes, means, distinct counts.'
  static override description =
    'Makes one record of all that agree in the key, with their octets, packets and Flows and the times of the first and ' +
    'last packet (RFC 7015). Keys are those of nfdump (srcip, dstport, proto, src4/24 …) and any element by its name. ' +
    'With -s it ranks, as nfdump does. Groups that do not fit --max-memory are kept on disk below TMPDIR.'
  static override examples = [
    '<%= config.bin %> aggregate -r lan.ipfix -A srcip,dstip -O bytes -k 20',
    '<%= config.bin %> aggregate -r lan.ipfix -s srcip/bytes -s dstport/flows -k 5 -o table',
    "<%= config.bin %> aggregate -r lan.ipfix -A src4/24 --distinct dstip --quantile octets:0.95 'proto tcp'",
    '<%= config.bin %> aggregate -r lan.ipfix -A proto --bin 5m --distribution proportional -o csv',
  ]
  static override args = {
    expression: common.expression('Only records that match; see darta-filter(1) for the language.'),
  }
  static override flags = {
    ...common.recordInput,
    ...common.recordOutput,
    count: {...common.count, summary: 'Only the first N records that match.'},
    ...common.recordFilter,
    ...common.presentation,
    aggregate: Flags.boolean({
      char: 'a',
      exclusive: ['keys', 'statistic'],
      summary: 'Group by protocol, addresses and ports.',
    }),
    keys: Flags.string({
      char: 'A',
      helpValue: 'KEYS',
      exclusive: ['statistic'],
      summary: 'Group by these, with commas between: srcip,dstip,src4/24,userName.',
    }),
    statistic: Flags.string({
      char: 's',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'KEY/ORDER',
      summary: 'Rank groups: srcip/bytes, srcip,dstport/flows/packets, proto/bps.',
    }),
    order: {
      ...common.order,
      summary:
        'Sort by octets, packets, flows, bps, pps, bpp, duration, greatest first, or tstart, tend, earliest first; :a and :d turn it.',
    },
    top: {...common.top, summary: `How many groups; of -s ${TOP} unless said otherwise.`},
    bin: Flags.custom<number>({parse: async (input) => parseDuration(input)})({
      helpValue: 'DURATION',
      exclusive: ['statistic'],
      summary: 'Group by time intervals this long, aligned to the clock.',
    }),
    distribution: Flags.option({options: distributions})({
      helpValue: distributions.join('|'),
      dependsOn: ['bin'],
      summary:
        'Which intervals get the counters of a Flow: that of its start (default), end or middle, or each its part.',
    }),
    sum: texts('Sum of an element.'),
    min: texts('Least value of an element.'),
    max: texts('Greatest value of an element.'),
    mean: texts('Mean of an element over the records that have it.'),
    distinct: texts('How many different values of a key there are, exactly.'),
    'approx-distinct': texts('The same with a standard error of 2.3 % and bounded memory.'),
    quantile: texts('Value that this part of the records does not exceed, within 1 %.', 'NAME:Q'),
    'max-memory': {
      ...common.maxMemory,
      summary: 'Most memory for groups; what does not fit goes to disk.',
    },
  }

  protected async execute(): Promise<void> {
    const {flags, raw} = await this.parse(Aggregate)
    const questions = questionsOf(flags)
    const measures = measuresOf(flags)
    const matching = await openSelected(this, flags, this.operands(raw))
    const {signal} = this
    const source =
      flags.count === undefined ? matching : limitRecords(flags.count)(matching, {signal})
    const sink = await openRecordSink(this, {
      write: flags.write,
      output: flags.output,
      force: flags.force,
      compress: flags.compress,
      options: presentationOf(flags, this.occurrences(raw, 'numeric')),
    })
    const open = (): Aggregator[] =>
      questions.map(({name, key, order, count}) =>
        createAggregator({
          key,
          measures,
          intervalMs: flags.bin,
          distribution: flags.distribution ?? 'start',
          order,
          count,
          maxOctets: (flags['max-memory'] ?? 0) / questions.length,
          openStore: openSpillFile,
          ledger: this.ledger.stage(name, 'records'),
        }),
      )
    await this.#aggregate(source, open, sink)
  }

  async #aggregate(
    source: RecordStream,
    open: () => Aggregator[],
    sink: RecordSink,
  ): Promise<void> {
    let aggregators: Aggregator[] | undefined
    try {
      for await (const batches of source) {
        // Their accounts come behind those of the inputs, which open theirs when they are read.
        aggregators ??= open()
        for (const aggregator of aggregators) aggregator.add(batches)
        if (this.signal.aborted) break
      }
      aggregators ??= open()
      for (const aggregator of aggregators) {
        for (const batches of aggregator.results()) {
          if (this.signal.aborted) break
          await sink.write(batches)
        }
        if (aggregator.spills > 0) {
          this.detail(`groups went to disk ${aggregator.spills} times`)
        }
      }
      await sink.end()
    } catch (error) {
      await sink.abort()
      throw error
    } finally {
      for (const aggregator of aggregators ?? []) aggregator.close()
    }
  }
}

interface Question {
  /** Of its account. */
  readonly name: string
  readonly key: readonly FlowKey[]
  readonly order: GroupOrder | undefined
  readonly count: number
}

/** @throws DartaError DARTA_USAGE */
function questionsOf(flags: {
  readonly aggregate: boolean
  readonly keys?: string
  readonly statistic?: string[]
  readonly order?: string
  readonly top?: number
}): Question[] {
  const {statistic, order, top} = flags
  if (statistic !== undefined) {
    if (order !== undefined) throw new DartaError('DARTA_USAGE', '-O: -s has its order behind a /')
    return statistic.flatMap(parseStatistic).map(({name, key, order: {by}}) => ({
      name: `aggregate ${name}`,
      key,
      order: by,
      count: top ?? TOP,
    }))
  }
  const keys = flags.keys ?? (flags.aggregate ? FIVE_TUPLE : undefined)
  if (keys === undefined) {
    throw new DartaError(
      'DARTA_USAGE',
      'give -A KEYS, -a for protocol, addresses and ports, or -s KEY/ORDER; see --help',
    )
  }
  const names = keys.split(',').map((name) => name.trim())
  const unique = [...new Set(names)]
  if (unique.includes('')) throw new DartaError('DARTA_USAGE', `-A: '${keys}' has an empty key`)
  const by = order === undefined ? undefined : orderOf(order)
  // What another part of the key brings along stands once.
  const key = new Map(unique.flatMap(keysOf).map((part) => [part.name, part]))
  return [{name: 'aggregate', key: [...key.values()], order: by, count: top ?? 0}]
}

function keysOf(name: string): readonly FlowKey[] {
  return networkKeys(name) ?? [flowKey(name === 'user' ? 'userName' : name)]
}

function orderOf(text: string): GroupOrder {
  const times: Readonly<Record<string, number>> = {tstart: 3, tend: 4}
  const [word, direction] = text.split(':')
  if (Object.hasOwn(times, word) && (direction === undefined || /^[ad]$/.test(direction))) {
    // From the earliest on unless said otherwise, as in nfdump.
    return columnOrder(times[word], direction !== 'd')
  }
  if (word === 'duration') {
    const lasting = (words: Uint32Array, at: number): number =>
      columnNumber(words, at, times.tend) - columnNumber(words, at, times.tstart)
    return computedOrder(lasting, direction === 'a')
  }
  return parseStatistic(`proto/${text}`)[0].order.by
}

/** @throws DartaError DARTA_USAGE */
function measuresOf(flags: {
  readonly sum?: string[]
  readonly min?: string[]
  readonly max?: string[]
  readonly mean?: string[]
  readonly distinct?: string[]
  readonly 'approx-distinct'?: string[]
  readonly quantile?: string[]
}): Measure[] {
  return [
    ...(flags.sum ?? []).map((name) => columnMeasure('sum', name)),
    ...(flags.min ?? []).map((name) => columnMeasure('min', name)),
    ...(flags.max ?? []).map((name) => columnMeasure('max', name)),
    ...(flags.mean ?? []).map((name) => meanMeasure(name)),
    ...(flags.distinct ?? []).map((name) => distinctMeasure('distinct', name)),
    ...(flags['approx-distinct'] ?? []).map((name) => distinctMeasure('approximate', name)),
    ...(flags.quantile ?? []).map((text) => quantileMeasure(text)),
  ]
}
